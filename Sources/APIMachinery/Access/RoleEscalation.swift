import JSON
import ObjectModel
import Security

/// Nobody hands out permissions that they do not hold (kubernetes-api.md §15): whoever writes a role must have all of
/// its rules or the verb `escalate` on it, and whoever writes a binding must have the rules of its role or the verb
/// `bind` on that role. Members of `system:masters` hold everything.
///
/// Asked of the outcome of a write, so it covers create, update, patch and apply alike.
struct RoleEscalation: AdmissionPlugin {
    private static let group = "rbac.authorization.k8s.io"

    func validate(_ request: AdmissionRequest, in machinery: Machinery) throws {
        guard request.place.group == Self.group, request.operation != .delete, request.subresource == nil,
            let roles = machinery.configuration.roles, !request.context.user.groups.contains("system:masters"),
            !isHousekeeping(request)
        else { return }
        switch request.place.resource {
        case "roles", "clusterroles": try role(request, roles)
        case "rolebindings", "clusterrolebindings": try binding(request, roles)
        default: break
        }
    }

    private func role(_ request: AdmissionRequest, _ roles: RBACAuthorizer) throws {
        let (new, old) = (request.object, request.old?.tree ?? .null)
        let aggregation = new["aggregationRule"]
        let isSame = request.operation == .update && new["rules"].elements == old["rules"].elements
        if isSame, aggregation == old["aggregationRule"] { return }
        let name = request.operation == .create ? "" : request.key.name
        if allows(request, roles, "escalate", request.place.resource, name) { return }
        let (user, namespace) = (request.context.user, request.key.namespace)
        if aggregation.object != nil, request.operation == .create || aggregation != old["aggregationRule"] {
            // Whatever role it will select, now or later, becomes part of it.
            let everything = [
                PolicyRule(verbs: ["*"], apiGroups: ["*"], resources: ["*"]),
                PolicyRule(verbs: ["*"], nonResourceURLs: ["*"]),
            ]
            if roles.escalationProblem(granting: everything, by: user, namespace: namespace) != nil {
                throw request.forbidden("must have cluster-admin privileges to use the aggregationRule")
            }
        }
        let rules = new["rules"].elements.map(PolicyRule.init)
        if let problem = roles.escalationProblem(granting: rules, by: user, namespace: namespace) {
            throw request.forbidden(problem)
        }
    }

    private func binding(_ request: AdmissionRequest, _ roles: RBACAuthorizer) throws {
        let reference = request.object["roleRef"]
        let (kind, name) = (reference["kind"].string ?? "", reference["name"].string ?? "")
        let plural = kind == "ClusterRole" ? "clusterroles" : "roles"
        if allows(request, roles, "bind", plural, name) { return }
        let namespace = request.key.namespace
        guard let rules = roles.rules(roleKind: kind, name: name, namespace: namespace) else {
            throw StatusError.notFound(GroupResource(group: Self.group, resource: plural), name: name)
        }
        if let problem = roles.escalationProblem(granting: rules, by: request.context.user, namespace: namespace) {
            throw request.forbidden(problem)
        }
    }

    private func allows(
        _ request: AdmissionRequest, _ roles: RBACAuthorizer, _ verb: String, _ resource: String, _ name: String
    ) -> Bool {
        roles.authorize(
            AuthorizationAttributes(
                user: request.context.user, verb: verb,
                resource: .init(
                    group: Self.group, version: "*", resource: resource, namespace: request.key.namespace, name: name))
        ).isAllowed
    }

    /// A change of owners and finalizers alone, which garbage collection must be able to make.
    private func isHousekeeping(_ request: AdmissionRequest) -> Bool {
        guard request.operation == .update, let old = request.old?.tree else { return false }
        func content(_ tree: JSON) -> JSON {
            var tree = tree
            for field in ["finalizers", "ownerReferences", "managedFields", "resourceVersion"] {
                tree["metadata"].removeMember(field)
            }
            return tree
        }
        return content(request.object) == content(old)
    }
}
