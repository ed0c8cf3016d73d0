/// Who may do what in a window: asks the cluster's roles and bindings about a principal.
///
/// A window without credentials knows no principals, and lets everybody do everything.
public struct WindowAccess: Sendable {
    /// Something that a principal wants to do, in the words of Kubernetes's roles.
    public struct Wish: Sendable, Hashable {
        /// For example `list`, `update`, `use`.
        public var verb: String
        public var group: String
        /// Plural, for example `frameworks`.
        public var resource: String
        /// Of one object; empty for all of them.
        public var name: String
        /// Of objects in namespaces; empty for all of them.
        public var namespace: String

        public init(
            _ verb: String, _ resource: String, group: String = "mesos.apus.dev", name: String = "",
            namespace: String = ""
        ) {
            self.verb = verb
            self.namespace = namespace
            self.group = group
            self.resource = resource
            self.name = name
        }
    }

    /// Asks nobody.
    public static let open = WindowAccess { _, _ in true }
    private let decide: @Sendable (String, Wish) async -> Bool

    /// - Parameter decide: whether the principal may.
    public init(_ decide: @escaping @Sendable (String, Wish) async -> Bool) {
        self.decide = decide
    }

    /// Whether a principal may; nil is everybody on a window without credentials.
    public func isAllowed(_ principal: String?, _ wish: Wish) async -> Bool {
        guard let principal else { return true }
        return await decide(principal, wish)
    }

    /// - Throws: `WindowError` 403 that names what is missing.
    public func require(_ principal: String?, _ wish: Wish) async throws {
        guard let principal, await !decide(principal, wish) else { return }
        throw WindowError(403, Self.refusal(principal, wish))
    }

    /// The sentence that a refused principal is told.
    public static func refusal(_ principal: String, _ wish: Wish) -> String {
        let name = wish.name.isEmpty ? "" : " \"\(wish.name)\""
        let place = wish.namespace.isEmpty ? "" : " in the namespace \"\(wish.namespace)\""
        return "the principal \"\(principal)\" may not \(wish.verb) \(wish.resource).\(wish.group)\(name)\(place)"
    }
}
