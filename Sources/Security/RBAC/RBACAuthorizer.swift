public import ObjectModel
import Synchronization

/// What an authorizer found.
public enum AuthorizationVerdict: Sendable, Hashable {
    /// Something allows it; the reason is for audit, not for the client.
    case allowed(reason: String)
    /// Nothing here allows it; another authorizer may. The reason, often empty, may be shown to the client.
    case noOpinion(reason: String)

    /// True for `allowed`.
    public var isAllowed: Bool {
        if case .allowed = self { true } else { false }
    }
    public var reason: String {
        switch self {
        case .allowed(let reason), .noOpinion(let reason): reason
        }
    }
}

/// Role-based access control (kubernetes-api.md §15) over roles and bindings that the caller feeds.
///
/// Evaluations work on an immutable snapshot and take a lock only to get it. Group `system:masters` may do everything.
public final class RBACAuthorizer: Sendable {
    private let tables = Mutex(RBACTables())

    /// An authorizer that knows no role yet: it allows `system:masters` and nobody else.
    public init() {}

    // MARK: Feeding

    /// Replaces everything: Roles, ClusterRoles, RoleBindings and ClusterRoleBindings in any order.
    public func replace(with objects: some Sequence<Object>) {
        var new = RBACTables()
        for object in objects { new.upsert(object) }
        tables.withLock { [new] in $0 = new }
    }

    /// Takes in a new or changed object of the four kinds (others are ignored).
    public func upsert(_ object: Object) { tables.withLock { $0.upsert(object) } }

    /// Takes a removed object out.
    public func remove(_ object: Object) { tables.withLock { $0.remove(object) } }

    // MARK: Asking

    /// Whether a request is allowed.
    public func authorize(_ attributes: AuthorizationAttributes) -> AuthorizationVerdict {
        if attributes.user.groups.contains("system:masters") { return .allowed(reason: "") }
        let tables = tables.withLock { $0 }
        var verdict: AuthorizationVerdict?
        var missing: [String] = []
        tables.forEachBinding(of: attributes.user, namespace: attributes.resource?.namespace ?? "") {
            binding, subject in
            guard let rules = tables.rules(of: binding.role) else {
                missing.append(
                    binding.role.isCluster
                        ? "clusterrole.rbac.authorization.k8s.io \"\(binding.role.name)\" not found"
                        : "role.rbac.authorization.k8s.io \"\(binding.role.name)\" not found")
                return true
            }
            guard rules.contains(where: { $0.allows(attributes) }) else { return true }
            verdict = .allowed(reason: "RBAC: allowed by \(binding) to \(subject)")
            return false
        }
        if let verdict { return verdict }
        if missing.isEmpty { return .noOpinion(reason: "") }
        return .noOpinion(reason: "RBAC: \(Set(missing).sorted().joined(separator: ", "))")
    }

    /// What a user may do in a namespace, from bindings of the cluster and of the namespace, without repetitions.
    /// Members of `system:masters` get one rule for everything.
    public func rules(for user: UserInfo, namespace: String) -> [PolicyRule] {
        if user.groups.contains("system:masters") {
            return [
                PolicyRule(verbs: ["*"], apiGroups: ["*"], resources: ["*"]),
                PolicyRule(verbs: ["*"], nonResourceURLs: ["*"]),
            ]
        }
        let tables = tables.withLock { $0 }
        var found: [PolicyRule] = []
        var seen: Set<PolicyRule> = []
        tables.forEachBinding(of: user, namespace: namespace) { binding, _ in
            for rule in tables.rules(of: binding.role) ?? [] where seen.insert(rule).inserted { found.append(rule) }
            return true
        }
        return found
    }

    /// The rules of the role that a binding refers to; nil when there is no such role.
    /// - Parameter namespace: the binding's, for `kind: Role`.
    public func rules(roleKind: String, name: String, namespace: String) -> [PolicyRule]? {
        let isCluster = roleKind == "ClusterRole"
        return tables.withLock {
            $0.rules(
                of: RBACTables.RoleReference(namespace: isCluster ? "" : namespace, name: name, isCluster: isCluster))
        }
    }

    /// Nobody may hand out what they do not hold. Checked when a role is written (unless the user has the verb `escalate`
    /// on it) and when a binding is (unless `bind`).
    /// - Returns: nil when the user holds all of the rules; else the text that Kubernetes gives, to put into a 403.
    public func escalationProblem(granting rules: [PolicyRule], by user: UserInfo, namespace: String) -> String? {
        let missing = PolicyRule.uncovered(rules, by: self.rules(for: user, namespace: namespace))
        if missing.isEmpty { return nil }
        let groups = user.groups.map { "\"\($0)\"" }.joined(separator: " ")
        let list = Self.compact(missing).map(\.description).sorted().joined(separator: "\n")
        return
            "user \"\(user.name)\" (groups=[\(groups)]) is attempting to grant RBAC permissions not currently held:\n"
            + list
    }

    /// Parts that differ in the verb alone put together again, for a shorter message.
    private static func compact(_ parts: [PolicyRule]) -> [PolicyRule] {
        var result: [PolicyRule] = []
        var index: [PolicyRule: Int] = [:]
        for part in parts {
            var key = part
            key.verbs = []
            if let at = index[key] {
                result[at].verbs += part.verbs
            } else {
                index[key] = result.count
                result.append(part)
            }
        }
        return result
    }
}

extension AuthorizationAttributes {
    /// What a refused client reads: `User "u" cannot get resource "pods" in API group "" in the namespace "ns"`.
    public var refusal: String {
        guard let resource else { return "User \"\(user.name)\" cannot \(verb) path \"\(path)\"" }
        let kind = resource.subresource.isEmpty ? resource.resource : "\(resource.resource)/\(resource.subresource)"
        let place = resource.namespace.isEmpty ? "at the cluster scope" : "in the namespace \"\(resource.namespace)\""
        return "User \"\(user.name)\" cannot \(verb) resource \"\(kind)\" in API group \"\(resource.group)\" \(place)"
    }
}
