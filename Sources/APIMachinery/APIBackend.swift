public import ClusterClient
public import JSON
public import ObjectModel
public import Schema
public import Security
import Synchronization

/// The Kubernetes API without HTTP: every verb on every kind, with defaulting, admission, validation and storage. The
/// HTTP server above turns requests into these calls and results into bytes; components inside the process reach the
/// same calls through `LocalTransport`. `APIMachinery.Machinery` implements it.
///
/// Every failure is a `StatusError`. Authorization is the caller's; `context.user` is used by admission.
public protocol APIBackend: Sendable {
    var catalog: Catalog { get }

    func get(_ resource: ResourceDefinition, _ key: ObjectKey, resourceVersion: String) async throws -> Object
    /// What `get` without a revision answers, when that needs no waiting; nil: ask `get`.
    func getAtOnce(_ resource: ResourceDefinition, _ key: ObjectKey) -> Object?
    func list(_ resource: ResourceDefinition, namespace: String?, options: ListOptions) async throws -> ObjectList
    func watch(_ resource: ResourceDefinition, namespace: String?, query: WatchQuery) async throws -> WatchSubscription

    /// - Parameter subresource: nil, or one that is created by POST (`binding`, `eviction`, `token`).
    func create(
        _ resource: ResourceDefinition, namespace: String, name: String, subresource: String?, body: JSON,
        context: RequestContext
    ) async throws -> WriteResult
    func update(
        _ resource: ResourceDefinition, _ key: ObjectKey, subresource: String?, body: JSON, context: RequestContext
    ) async throws -> WriteResult
    func patch(
        _ resource: ResourceDefinition, _ key: ObjectKey, subresource: String?, type: PatchType, patch: JSON,
        force: Bool, context: RequestContext
    ) async throws -> WriteResult
    func delete(_ resource: ResourceDefinition, _ key: ObjectKey, options: DeleteOptions, context: RequestContext)
        async throws -> DeleteResult
    func deleteCollection(
        _ resource: ResourceDefinition, namespace: String?, list: ListOptions, options: DeleteOptions,
        context: RequestContext
    ) async throws -> ObjectList
    /// Reads a subresource that is not the object: `scale`.
    func getSubresource(_ resource: ResourceDefinition, _ key: ObjectKey, subresource: String) async throws -> JSON
    /// Lets admission refuse a connection to an object: exec, attach, port-forward, proxy.
    /// - Parameter options: for example a `PodExecOptions`.
    func admitConnection(
        _ resource: ResourceDefinition, _ key: ObjectKey, subresource: String, options: JSON, context: RequestContext
    ) async throws
}

extension APIBackend {
    public func getAtOnce(_ resource: ResourceDefinition, _ key: ObjectKey) -> Object? { nil }
    public func admitConnection(
        _ resource: ResourceDefinition, _ key: ObjectKey, subresource: String, options: JSON, context: RequestContext
    ) async throws {}
}

/// Who asks, and how strictly.
public final class RequestContext: Sendable {
    public enum FieldValidation: String, Sendable {
        case ignore = "Ignore"
        case warn = "Warn"
        case strict = "Strict"
    }
    public let user: UserInfo
    public let fieldManager: String
    public let fieldValidation: FieldValidation
    public let isDryRun: Bool
    /// Nobody owns the fields of what is created until somebody applies to it: for objects that are made in great numbers and that
    /// only programs write. Within the server's process alone.
    public let isUntracked: Bool
    /// Paths of members that stood twice in the body (see `JSON.parseDocument`).
    public let duplicateFields: [String]
    private let collected = Mutex<[String]>([])
    private let annotations = Mutex<[String: String]>([:])

    public init(
        user: UserInfo, fieldManager: String = "", fieldValidation: FieldValidation = .warn, isDryRun: Bool = false,
        duplicateFields: [String] = [], isUntracked: Bool = false
    ) {
        self.user = user
        self.fieldManager = fieldManager
        self.fieldValidation = fieldValidation
        self.isDryRun = isDryRun
        self.duplicateFields = duplicateFields
        self.isUntracked = isUntracked
    }

    /// Texts for `Warning:` headers.
    public var warnings: [String] { collected.withLock { $0 } }
    public func warn(_ text: String) { collected.withLock { $0.append(text) } }
    /// What admission noted for an audit event (`auditAnnotations` of webhooks and policies); the first note of a key
    /// counts, and there are at most 256.
    public var auditAnnotations: [String: String] { annotations.withLock { $0 } }
    public func annotate(_ key: String, _ value: String) {
        annotations.withLock { notes in
            if notes.count < 256, notes[key] == nil { notes[key] = value }
        }
    }
}

/// What a write gave.
public struct WriteResult: Sendable {
    /// The stored object, or the answer of a subresource (`Status`, `Scale`, `TokenRequest`).
    public var object: Object
    /// True when the object is new: HTTP 201.
    public var isCreated: Bool
    public init(object: Object, isCreated: Bool) {
        self.object = object
        self.isCreated = isCreated
    }
}

/// What a delete gave.
public struct DeleteResult: Sendable {
    /// The last state.
    public var object: Object
    /// False while finalizers or a grace period keep it.
    public var isGone: Bool
    public init(object: Object, isGone: Bool) {
        self.object = object
        self.isGone = isGone
    }
}

/// Query of a watch.
public struct WatchQuery: Sendable {
    public var labelSelector = LabelSelector()
    public var fieldSelector = FieldSelector()
    /// Empty or `0`: synthetic ADDED for all that is there, then changes.
    public var resourceVersion = ""
    public var resourceVersionMatch = ""
    public var allowBookmarks = false
    /// True, a streaming list: ADDED for all, a bookmark with `k8s.io/initial-events-end`, then changes. False: changes
    /// only, from now on when there is no revision. Nil: as `resourceVersion` says.
    public var sendInitialEvents: Bool?
    public init() {}
}

/// A running watch: batches of events, bounded; a reader that is too slow gets a 410.
public struct WatchSubscription: Sendable {
    /// Events as the cache has them: in another version than `kind` at times.
    public let channel: WatchChannel
    /// What objects are to be shown as.
    public let kind: GroupVersionKind
    /// Whether `shown` has to see every event: it also leaves some out.
    private let showsAll: Bool
    /// Brings events into the version of `kind`, and leaves out what is not asked for. May ask a webhook.
    public let shown: @Sendable ([WatchEvent]) async throws -> [WatchEvent]
    /// Ends it and frees what it holds.
    public let cancel: @Sendable () -> Void

    public init(
        channel: WatchChannel, kind: GroupVersionKind, showsAll: Bool = false,
        shown: @escaping @Sendable ([WatchEvent]) async throws -> [WatchEvent] = { $0 },
        cancel: @escaping @Sendable () -> Void
    ) {
        self.channel = channel
        self.kind = kind
        self.showsAll = showsAll
        self.shown = shown
        self.cancel = cancel
    }

    /// Events as they are to be shown, for one task. The watch ends when the stream goes.
    public var events: AsyncThrowingStream<[WatchEvent], any Error> {
        let lifetime = WatchLifetime(cancel: cancel)
        return AsyncThrowingStream { [self] in
            _ = lifetime
            while true {
                guard let batch = try await channel.next() else { return nil }
                if isShown(batch) { return batch }
                let shown = try await shown(batch)
                if !shown.isEmpty { return shown }
            }
        }
    }

    /// Whether events are told as they are.
    public func isShown(_ events: [WatchEvent]) -> Bool {
        !showsAll && events.allSatisfy { $0.object.kind == kind }
    }
}
