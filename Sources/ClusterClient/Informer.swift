public import Logging
public import ObjectModel
public import ServiceLifecycle
import Synchronization

/// A change that an informer's subscribers hear. `old` is the version the subscriber saw before.
public enum InformerEvent<View: Sendable>: Sendable {
    case added(View)
    case modified(old: View, new: View)
    case deleted(View)
}

/// A local, always current copy of one resource (or a selected part), decoded once per version into what the component
/// reads.
///
/// `run()` lists, then watches, and lists again when the server says that the past is gone. Subscribers are called in
/// revision order from one task; they must be quick and must not block (put a key on a work queue and return).
public final class Informer<View: Sendable>: Service {
    public typealias Handler = @Sendable (InformerEvent<View>) -> Void

    public let resource: GroupVersionResource
    private let client: ClusterClient
    private let namespace: String?
    private let options: ListOptions
    private let decode: @Sendable (Object) throws -> View
    private let logger: Logger

    private struct State {
        var views: [ObjectKey: (revision: Revision, uid: String, view: View)] = [:]
        var handlers: [Handler] = []
        var isSynced = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())

    /// - Parameter decode: makes the component's view; an object for which it throws is left out (and logged).
    public init(
        _ resource: GroupVersionResource, client: ClusterClient, namespace: String? = nil,
        options: ListOptions = ListOptions(), logger: Logger, decode: @escaping @Sendable (Object) throws -> View
    ) {
        self.resource = resource
        self.client = client
        self.namespace = namespace
        self.options = options
        self.logger = logger
        self.decode = decode
    }

    // MARK: Reading

    /// The view of one object, or nil.
    public subscript(key: ObjectKey) -> View? { state.withLock { $0.views[key]?.view } }
    /// All views, in no order.
    public var all: [View] { state.withLock { $0.views.values.map(\.view) } }
    /// All keys, in no order.
    public var keys: [ObjectKey] { state.withLock { Array($0.views.keys) } }
    /// True once the first list was delivered.
    public var isSynced: Bool { state.withLock { $0.isSynced } }

    /// Returns once the first list was delivered, or when the task is cancelled.
    public func waitUntilSynced() async {
        while !Task.isCancelled {
            if isSynced { return }
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Calls the handler for everything that is there now and every change after. Subscribe before `run()`.
    public func subscribe(_ handler: @escaping Handler) {
        let existing = state.withLock { state in
            state.handlers.append(handler)
            return state.views.values.map(\.view)
        }
        for view in existing { handler(.added(view)) }
    }

    // MARK: Running

    public func run() async throws {
        try await cancelWhenGracefulShutdown { try await self.loop() }
    }

    private func loop() async throws {
        var failures = 0
        while !Task.isCancelled {
            do {
                let revision = try await relist()
                failures = 0
                try await follow(after: revision)
            } catch is CancellationError {
                return
            } catch let error as StatusError where error.code == 410 {
                logger.debug("the watch fell behind; listing again", metadata: ["resource": "\(resource)"])
            } catch {
                failures += 1
                logger.warning(
                    "list and watch failed; trying again",
                    metadata: ["resource": "\(resource)", "error": "\(error)"])
                try? await Task.sleep(for: .milliseconds(min(100 << min(failures, 7), 10_000)))
            }
        }
    }

    private func relist() async throws -> Revision {
        let list = try await client.list(resource, namespace: namespace, options: options)
        var seen = Set<ObjectKey>(minimumCapacity: list.items.count)
        for object in list.items {
            seen.insert(object.key)
            put(object)
        }
        let gone = state.withLock { $0.views.keys.filter { !seen.contains($0) } }
        for key in gone { remove(key) }
        state.withLock { $0.isSynced = true }
        return list.resourceVersion
    }

    private func follow(after start: Revision) async throws {
        var revision = start
        while !Task.isCancelled {
            var options = options
            options.resourceVersion = String(revision)
            for try await event in try await client.watch(resource, namespace: namespace, options: options) {
                revision = max(revision, event.object.metadata.resourceVersion)
                switch event.kind {
                case .added, .modified: put(event.object)
                case .deleted: remove(event.object.key)
                case .bookmark: break
                }
            }
        }
    }

    private func put(_ object: Object) {
        let view: View
        do {
            view = try decode(object)
        } catch {
            logger.error(
                "an object cannot be read and is ignored",
                metadata: ["resource": "\(resource)", "object": "\(object.key)", "error": "\(error)"])
            return
        }
        let meta = object.metadata
        let (events, handlers): ([InformerEvent<View>], [Handler]) = state.withLock { state in
            let old = state.views.updateValue((meta.resourceVersion, meta.uid, view), forKey: object.key)
            guard let old else { return ([.added(view)], state.handlers) }
            if old.revision == meta.resourceVersion && old.uid == meta.uid { return ([], []) }
            if old.uid != meta.uid { return ([.deleted(old.view), .added(view)], state.handlers) }
            return ([.modified(old: old.view, new: view)], state.handlers)
        }
        for event in events { for handler in handlers { handler(event) } }
    }

    private func remove(_ key: ObjectKey) {
        let (old, handlers) = state.withLock { ($0.views.removeValue(forKey: key)?.view, $0.handlers) }
        guard let old else { return }
        for handler in handlers { handler(.deleted(old)) }
    }
}
