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
/// `run()` lists, then watches, and lists again when the server says that the past is gone; a broken watch continues
/// where it broke. Subscribers are called in revision order from one task; they must be quick and must not block (put a
/// key on a work queue and return). With `options.limit` set the list is read in pages of that size.
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
        /// Told old and new view of a key inside the lock, so that indexes never lag behind `revision`.
        var indexers: [@Sendable (ObjectKey, View?, View?) -> Void] = []
        var isSynced = false
        var revision: Revision = 0
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
    /// Number of objects.
    public var count: Int { state.withLock { $0.views.count } }
    /// True once the first list was delivered.
    public var isSynced: Bool { state.withLock { $0.isSynced } }
    /// Views and indexes show everything written up to this revision (revisions are global, so a writer can compare
    /// the `resourceVersion` its write returned with this).
    public var revision: Revision { state.withLock { $0.revision } }

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

    /// Hears of every change inside the informer's lock; see `InformerIndex`.
    func attach(_ indexer: @escaping @Sendable (ObjectKey, View?, View?) -> Void) {
        state.withLock { state in
            state.indexers.append(indexer)
            for (key, entry) in state.views { indexer(key, nil, entry.view) }
        }
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
                    "the list failed; trying again", metadata: ["resource": "\(resource)", "error": "\(error)"])
                try? await Task.sleep(for: .milliseconds(min(100 << min(failures, 7), 10_000)))
            }
        }
    }

    private func relist() async throws -> Revision {
        var seen = Set<ObjectKey>()
        var options = options
        var revision: Revision
        repeat {
            let page = try await client.list(resource, namespace: namespace, options: options)
            revision = page.resourceVersion
            for object in page.items {
                seen.insert(object.key)
                put(object, advances: false)
            }
            options.continueToken = page.continueToken
        } while !(options.continueToken ?? "").isEmpty
        let gone = state.withLock { $0.views.keys.filter { !seen.contains($0) } }
        for key in gone { remove(key, at: 0) }
        state.withLock { state in
            state.isSynced = true
            state.revision = revision
        }
        return revision
    }

    /// Watches until the past is gone (410) or the task is cancelled.
    private func follow(after start: Revision) async throws {
        var revision = start
        var failures = 0
        while !Task.isCancelled {
            var options = options
            options.limit = nil
            options.resourceVersion = String(revision)
            let before = revision
            do {
                for try await event in try await client.watch(resource, namespace: namespace, options: options) {
                    let at = event.object.metadata.resourceVersion
                    revision = max(revision, at)
                    switch event.kind {
                    case .added, .modified: put(event.object, advances: true)
                    case .deleted: remove(event.object.key, at: at)
                    case .bookmark: advance(to: at)
                    }
                }
            } catch let error as StatusError where error.code != 410 {
                logger.debug(
                    "the watch broke; continuing it", metadata: ["resource": "\(resource)", "error": "\(error)"])
            }
            // A server that ends watches at once must not be asked in a tight loop.
            failures = revision == before ? failures + 1 : 0
            if failures > 0 { try await Task.sleep(for: .milliseconds(min(50 << min(failures, 8), 10_000))) }
        }
    }

    /// - Parameter advances: false while listing: a page does not show everything up to its newest object's revision.
    private func put(_ object: Object, advances: Bool) {
        let view: View
        do {
            view = try decode(object)
        } catch {
            logger.error(
                "an object cannot be read and is ignored",
                metadata: ["resource": "\(resource)", "object": "\(object.key)", "error": "\(error)"])
            remove(object.key, at: object.metadata.resourceVersion)
            return
        }
        let meta = object.metadata
        let key = object.key
        let (events, handlers): ([InformerEvent<View>], [Handler]) = state.withLock { state in
            if advances { state.revision = max(state.revision, meta.resourceVersion) }
            let old = state.views.updateValue((meta.resourceVersion, meta.uid, view), forKey: key)
            for indexer in state.indexers { indexer(key, old?.view, view) }
            guard let old else { return ([.added(view)], state.handlers) }
            if old.revision == meta.resourceVersion && old.uid == meta.uid { return ([], []) }
            if old.uid != meta.uid { return ([.deleted(old.view), .added(view)], state.handlers) }
            return ([.modified(old: old.view, new: view)], state.handlers)
        }
        for event in events { for handler in handlers { handler(event) } }
    }

    private func remove(_ key: ObjectKey, at revision: Revision) {
        let (old, handlers): (View?, [Handler]) = state.withLock { state in
            state.revision = max(state.revision, revision)
            guard let old = state.views.removeValue(forKey: key)?.view else { return (nil, []) }
            for indexer in state.indexers { indexer(key, old, nil) }
            return (old, state.handlers)
        }
        guard let old else { return }
        for handler in handlers { handler(.deleted(old)) }
    }

    private func advance(to revision: Revision) {
        state.withLock { $0.revision = max($0.revision, revision) }
    }
}
