public import JSON
import Synchronization

/// One immutable version of an API object.
///
/// The JSON bytes are made once and shared by every GET, LIST and watch of this version. The tree is kept only while
/// it is useful (`releaseTree`) and parsed again when somebody asks later. Objects always carry `apiVersion`, `kind`
/// and, once stored, `metadata.resourceVersion`.
public final class Object: Sendable {
    /// Metadata extracted when the object was made.
    public let metadata: ObjectMetadata
    /// Group, version and kind of this representation.
    public let kind: GroupVersionKind

    private struct Forms {
        var tree: JSON?
        var bytes: [UInt8]?
        var protobuf: [UInt8]?
    }
    private let forms: Mutex<Forms>

    /// An object from its tree. Reads metadata leniently: fields of a wrong type count as absent.
    public init(_ tree: JSON) {
        metadata = ObjectMetadata(tree["metadata"])
        kind = GroupVersionKind(apiVersion: tree["apiVersion"].string ?? "", kind: tree["kind"].string ?? "")
        forms = Mutex(Forms(tree: tree, bytes: nil))
    }

    /// An object from its JSON bytes, for example from the store or the wire.
    /// - Throws: `JSONError` when the bytes are not JSON.
    public init(bytes: [UInt8]) throws(JSONError) {
        let tree = try JSON.parse(bytes)
        metadata = ObjectMetadata(tree["metadata"])
        kind = GroupVersionKind(apiVersion: tree["apiVersion"].string ?? "", kind: tree["kind"].string ?? "")
        forms = Mutex(Forms(tree: nil, bytes: bytes))
    }

    /// An object whose tree and bytes are both at hand; they must describe the same document.
    public init(tree: JSON?, bytes: [UInt8], metadata: ObjectMetadata, kind: GroupVersionKind) {
        self.metadata = metadata
        self.kind = kind
        forms = Mutex(Forms(tree: tree, bytes: bytes))
    }

    /// The document as a tree; parsed when it is not at hand (and then not kept).
    public var tree: JSON {
        let (tree, bytes) = forms.withLock { ($0.tree, $0.bytes) }
        if let tree { return tree }
        guard let bytes, let parsed = try? JSON.parse(bytes) else { return .null }
        return parsed
    }

    /// The document as compact JSON, made once.
    public var bytes: [UInt8] {
        let (tree, bytes) = forms.withLock { ($0.tree, $0.bytes) }
        if let bytes { return bytes }
        let made = (tree ?? .null).encoded()
        forms.withLock { $0.bytes = made }
        return made
    }

    /// The document's protobuf message, made once by who knows the kinds, and shared like the JSON bytes.
    ///
    /// - Parameter make: makes it of the tree; nil when the kind has none.
    public func protobuf(_ make: (JSON) -> [UInt8]?) -> [UInt8]? {
        if let known = forms.withLock({ $0.protobuf }) { return known }
        guard let made = make(tree) else { return nil }
        forms.withLock { $0.protobuf = made }
        return made
    }

    /// Gives the tree's memory back; the bytes stay.
    public func releaseTree() {
        _ = bytes
        forms.withLock { $0.tree = nil }
    }

    public var name: String { metadata.name }
    public var namespace: String { metadata.namespace }
    public var uid: String { metadata.uid }
    /// Namespace and name.
    public var key: ObjectKey { ObjectKey(namespace: metadata.namespace, name: metadata.name) }
}

/// The part of `metadata` that machinery reads all the time. Annotations are left in the tree: they are big and rarely read.
public struct ObjectMetadata: Sendable, Hashable {
    public var name = ""
    /// Empty for cluster-scoped objects.
    public var namespace = ""
    public var uid = ""
    /// 0 when the object was never stored.
    public var resourceVersion: Revision = 0
    public var generation = 0
    public var labels: [String: String] = [:]
    public var ownerReferences: [OwnerReference] = []
    public var finalizers: [String] = []
    public var creationTimestamp: Timestamp?
    public var deletionTimestamp: Timestamp?
    public var deletionGracePeriodSeconds: Int?

    public init() {}

    /// Reads the `metadata` member of an object.
    public init(_ metadata: JSON) {
        name = metadata["name"].string ?? ""
        namespace = metadata["namespace"].string ?? ""
        uid = metadata["uid"].string ?? ""
        resourceVersion = metadata["resourceVersion"].string.flatMap { Revision($0) } ?? 0
        generation = metadata["generation"].int ?? 0
        labels = metadata["labels"].stringMap
        ownerReferences = metadata["ownerReferences"].elements.map(OwnerReference.init)
        finalizers = metadata["finalizers"].elements.compactMap(\.string)
        creationTimestamp = metadata["creationTimestamp"].string.flatMap { Timestamp($0) }
        deletionTimestamp = metadata["deletionTimestamp"].string.flatMap { Timestamp($0) }
        deletionGracePeriodSeconds = metadata["deletionGracePeriodSeconds"].int
    }

    /// The owner marked as controller, if any.
    public var controller: OwnerReference? { ownerReferences.first { $0.controller } }
    /// True once deletion was requested.
    public var isTerminating: Bool { deletionTimestamp != nil }
}

/// A reference from a dependent to its owner (`metadata.ownerReferences[]`).
public struct OwnerReference: Hashable, Sendable {
    public var apiVersion: String
    public var kind: String
    public var name: String
    public var uid: String
    public var controller: Bool
    public var blockOwnerDeletion: Bool

    public init(
        apiVersion: String, kind: String, name: String, uid: String, controller: Bool = true,
        blockOwnerDeletion: Bool = true
    ) {
        self.apiVersion = apiVersion
        self.kind = kind
        self.name = name
        self.uid = uid
        self.controller = controller
        self.blockOwnerDeletion = blockOwnerDeletion
    }

    /// Reads one element of `metadata.ownerReferences`.
    public init(_ json: JSON) {
        apiVersion = json["apiVersion"].string ?? ""
        kind = json["kind"].string ?? ""
        name = json["name"].string ?? ""
        uid = json["uid"].string ?? ""
        controller = json["controller"].bool ?? false
        blockOwnerDeletion = json["blockOwnerDeletion"].bool ?? false
    }

    /// The reference as it is written into an object.
    public var json: JSON {
        [
            "apiVersion": .string(apiVersion), "kind": .string(kind), "name": .string(name), "uid": .string(uid),
            "controller": .bool(controller), "blockOwnerDeletion": .bool(blockOwnerDeletion),
        ]
    }
}
