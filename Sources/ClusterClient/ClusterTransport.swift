public import JSON
public import ObjectModel

/// How a component reaches the cluster: a function call inside `apus up`, HTTPS elsewhere. Every failure towards the
/// cluster is a `StatusError`; cancellation is `CancellationError`.
public protocol ClusterTransport: Sendable {
    func get(_ resource: GroupVersionResource, _ key: ObjectKey) async throws -> Object

    /// Objects of a resource, all namespaces when `namespace` is nil.
    func list(_ resource: GroupVersionResource, namespace: String?, options: ListOptions) async throws -> ObjectList

    /// Changes after `options.resourceVersion` (which must be set). Ends, or throws `StatusError` 410 when the past is
    /// gone or the reader was too slow: list again then.
    func watch(_ resource: GroupVersionResource, namespace: String?, options: ListOptions) async throws
        -> AsyncThrowingStream<WatchEvent, any Error>

    func create(_ resource: GroupVersionResource, _ object: JSON, options: WriteOptions) async throws -> Object

    /// Replaces the object, or one subresource of it (`options.subresource`).
    func update(_ resource: GroupVersionResource, _ object: JSON, options: WriteOptions) async throws -> Object

    func patch(
        _ resource: GroupVersionResource, _ key: ObjectKey, _ type: PatchType, _ patch: JSON, options: WriteOptions
    ) async throws -> Object

    /// Returns the object as it was, or as it now waits for its finalizers or grace period.
    @discardableResult
    func delete(_ resource: GroupVersionResource, _ key: ObjectKey, options: DeleteOptions) async throws -> Object

    /// Posts to a subresource that makes something else than the object: `binding`, `eviction`, `token`.
    @discardableResult
    func post(_ resource: GroupVersionResource, _ key: ObjectKey, subresource: String, _ body: JSON) async throws
        -> JSON

    /// What kinds the server serves now, custom resources included: for garbage collection and namespace deletion.
    func resources() async throws -> [ServedResource]
}

/// One row of discovery.
public struct ServedResource: Sendable, Hashable {
    public var resource: GroupVersionResource
    public var kind: String
    public var isNamespaced: Bool
    public var verbs: [String]

    public init(resource: GroupVersionResource, kind: String, isNamespaced: Bool, verbs: [String]) {
        self.resource = resource
        self.kind = kind
        self.isNamespaced = isNamespaced
        self.verbs = verbs
    }
}

/// Query of a list or watch.
public struct ListOptions: Sendable, Hashable {
    public var labelSelector = LabelSelector()
    public var fieldSelector = FieldSelector()
    public var limit: Int?
    public var continueToken: String?
    /// Empty: the newest state. For a watch: the revision to continue after.
    public var resourceVersion = ""
    /// `Exact`, `NotOlderThan` or empty.
    public var resourceVersionMatch = ""
    public var allowBookmarks = true

    public init(labelSelector: LabelSelector = LabelSelector(), fieldSelector: FieldSelector = FieldSelector()) {
        self.labelSelector = labelSelector
        self.fieldSelector = fieldSelector
    }
}

/// Options of create, update and patch.
public struct WriteOptions: Sendable, Hashable {
    /// `status`, `scale`, `finalize`, `approval`… or nil for the object itself.
    public var subresource: String?
    public var isDryRun = false
    /// Who owns the written fields; empty: the client's user agent.
    public var fieldManager = ""

    public init(subresource: String? = nil, isDryRun: Bool = false, fieldManager: String = "") {
        self.subresource = subresource
        self.isDryRun = isDryRun
        self.fieldManager = fieldManager
    }
}

/// Options of delete.
public struct DeleteOptions: Sendable, Hashable {
    public enum Propagation: String, Sendable {
        case background = "Background"
        case foreground = "Foreground"
        case orphan = "Orphan"
    }
    public var gracePeriodSeconds: Int?
    /// Delete only the object with this uid, else 409.
    public var uid: String?
    /// Delete only this version, else 409.
    public var resourceVersion: Revision?
    public var propagation: Propagation?
    public var isDryRun = false

    public init(gracePeriodSeconds: Int? = nil, uid: String? = nil, propagation: Propagation? = nil) {
        self.gracePeriodSeconds = gracePeriodSeconds
        self.uid = uid
        self.propagation = propagation
    }
}

/// The kinds of patch a server understands.
public enum PatchType: String, Sendable {
    case json = "application/json-patch+json"
    case merge = "application/merge-patch+json"
    case strategicMerge = "application/strategic-merge-patch+json"
    case apply = "application/apply-patch+yaml"
}

/// One page of a list.
public struct ObjectList: Sendable {
    public var items: [Object]
    /// The revision at which the list is true; watch from here.
    public var resourceVersion: Revision
    public var continueToken: String?
    public var remainingItemCount: Int?

    public init(
        items: [Object], resourceVersion: Revision, continueToken: String? = nil, remainingItemCount: Int? = nil
    ) {
        self.items = items
        self.resourceVersion = resourceVersion
        self.continueToken = continueToken
        self.remainingItemCount = remainingItemCount
    }
}

/// One change. A bookmark's object carries nothing but its resourceVersion.
public struct WatchEvent: Sendable {
    public enum Kind: String, Sendable {
        case added = "ADDED"
        case modified = "MODIFIED"
        case deleted = "DELETED"
        case bookmark = "BOOKMARK"
    }
    public var kind: Kind
    public var object: Object

    public init(_ kind: Kind, _ object: Object) {
        self.kind = kind
        self.object = object
    }
}

/// The client that a component holds: a transport and the name it writes under.
public struct ClusterClient: Sendable {
    public let transport: any ClusterTransport
    /// Field manager and event source, for example `kube-scheduler`.
    public let component: String

    public init(transport: any ClusterTransport, component: String) {
        self.transport = transport
        self.component = component
    }
}
