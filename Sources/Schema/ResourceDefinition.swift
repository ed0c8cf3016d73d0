public import ObjectModel

/// One served resource: a row of discovery, and the key to everything that is derived from the schema.
public struct ResourceDefinition: Sendable, Hashable {
    /// One subresource, for example `pods/eviction`.
    public struct Subresource: Sendable, Hashable {
        /// `status`, `scale`, `eviction`…
        public var name: String
        /// What is sent and returned; differs from the parent for scale, eviction, binding, token.
        public var kind: GroupVersionKind
        public var verbs: [String]
        public init(name: String, kind: GroupVersionKind, verbs: [String]) {
            self.name = name
            self.kind = kind
            self.verbs = verbs
        }
    }
    public var resource: GroupVersionResource
    public var kind: GroupVersionKind
    /// `pod`
    public var singular: String
    public var isNamespaced: Bool
    public var shortNames: [String]
    public var categories: [String]
    /// Sorted: create, delete, deletecollection, get, list, patch, update, watch, or fewer.
    public var verbs: [String]
    public var subresources: [Subresource]
    /// Name of the root type in the schema, for example `io.k8s.api.core.v1.Pod`.
    public var typeName: String

    public init(
        resource: GroupVersionResource, kind: GroupVersionKind, singular: String, isNamespaced: Bool,
        shortNames: [String], categories: [String], verbs: [String], subresources: [Subresource], typeName: String
    ) {
        self.resource = resource
        self.kind = kind
        self.singular = singular
        self.isNamespaced = isNamespaced
        self.shortNames = shortNames
        self.categories = categories
        self.verbs = verbs
        self.subresources = subresources
        self.typeName = typeName
    }

    public func hasVerb(_ verb: String) -> Bool { verbs.contains(verb) }
    public func subresource(_ name: String) -> Subresource? { subresources.first { $0.name == name } }
}
