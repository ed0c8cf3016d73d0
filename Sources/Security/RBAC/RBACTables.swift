import JSON
import ObjectModel

/// An immutable snapshot of roles and bindings, indexed by subject. A value: changing a copy leaves evaluations alone
/// that are under way.
struct RBACTables: Sendable {
    /// Who is given something. Service accounts count by their user name.
    enum Subject: Hashable, Sendable {
        case user(String)
        case group(String)
    }
    /// A role binding or (in namespace "") a cluster role binding.
    struct Binding: Sendable {
        var key: ObjectKey
        var role: RoleReference
        var subjects: [Subject]
    }
    struct RoleReference: Hashable, Sendable {
        /// Empty for a ClusterRole.
        var namespace: String
        var name: String
        var isCluster: Bool
    }

    private var rules: [RoleReference: [PolicyRule]] = [:]
    private var bindings: [ObjectKey: Binding] = [:]
    /// Keys of bindings by subject, kept sorted so that answers do not depend on hashing.
    private var bySubject: [Subject: [ObjectKey]] = [:]

    /// Takes in a Role, ClusterRole, RoleBinding or ClusterRoleBinding; other kinds are ignored.
    mutating func upsert(_ object: Object) {
        switch object.kind.kind {
        case "Role", "ClusterRole":
            rules[Self.role(of: object)] = object.tree["rules"].elements.map(PolicyRule.init)
        case "RoleBinding", "ClusterRoleBinding":
            removeBinding(object.key)
            add(Self.binding(object))
        default: break
        }
    }

    /// Takes an object out again.
    mutating func remove(_ object: Object) {
        switch object.kind.kind {
        case "Role", "ClusterRole": rules[Self.role(of: object)] = nil
        case "RoleBinding", "ClusterRoleBinding": removeBinding(object.key)
        default: break
        }
    }

    func rules(of role: RoleReference) -> [PolicyRule]? { rules[role] }

    /// Bindings that apply to a user: those of the whole cluster first, then those of the namespace (unless it is "").
    /// - Parameter body: returns false to stop.
    func forEachBinding(of user: UserInfo, namespace: String, _ body: (Binding, Subject) -> Bool) {
        let subjects = [Subject.user(user.name)] + user.groups.map(Subject.group)
        for scope in namespace.isEmpty ? [""] : ["", namespace] {
            for subject in subjects {
                for key in bySubject[subject] ?? [] where key.namespace == scope {
                    if let binding = bindings[key], !body(binding, subject) { return }
                }
            }
        }
    }

    private mutating func add(_ binding: Binding) {
        bindings[binding.key] = binding
        for subject in Set(binding.subjects) {
            var keys = bySubject[subject] ?? []
            keys.append(binding.key)
            keys.sort()
            bySubject[subject] = keys
        }
    }

    private mutating func removeBinding(_ key: ObjectKey) {
        guard let old = bindings.removeValue(forKey: key) else { return }
        for subject in Set(old.subjects) {
            bySubject[subject]?.removeAll { $0 == key }
            if bySubject[subject]?.isEmpty == true { bySubject[subject] = nil }
        }
    }

    private static func role(of object: Object) -> RoleReference {
        RoleReference(namespace: object.namespace, name: object.name, isCluster: object.kind.kind == "ClusterRole")
    }

    private static func binding(_ object: Object) -> Binding {
        let tree = object.tree
        let isCluster = tree["roleRef"]["kind"].string == "ClusterRole"
        let role = RoleReference(
            namespace: isCluster ? "" : object.namespace, name: tree["roleRef"]["name"].string ?? "",
            isCluster: isCluster)
        return Binding(
            key: object.key, role: role,
            subjects: tree["subjects"].elements.compactMap { subject(of: $0, namespace: object.namespace) })
    }

    private static func subject(of json: JSON, namespace: String) -> Subject? {
        guard let name = json["name"].string else { return nil }
        switch json["kind"].string {
        case "User": return .user(name)
        case "Group": return .group(name)
        case "ServiceAccount":
            let own = json["namespace"].string ?? ""
            return .user(ServiceAccountClaims.username(namespace: own.isEmpty ? namespace : own, name: name))
        default: return nil
        }
    }
}

extension RBACTables.Binding: CustomStringConvertible {
    var description: String {
        let binding = key.namespace.isEmpty ? "ClusterRoleBinding \"\(key.name)\"" : "RoleBinding \"\(key)\""
        let role = self.role.isCluster ? "ClusterRole \"\(self.role.name)\"" : "Role \"\(self.role.name)\""
        return "\(binding) of \(role)"
    }
}
extension RBACTables.Subject: CustomStringConvertible {
    var description: String {
        switch self {
        case .user(let name): "User \"\(name)\""
        case .group(let name): "Group \"\(name)\""
        }
    }
}
