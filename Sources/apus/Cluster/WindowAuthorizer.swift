import APIServer
import HTTPWindow
import JSON
import Security

/// Principals of the windows as users of the cluster: the principal NAME is the user `mesos:NAME` in the group
/// `mesos:principals`, and may do what roles and bindings give to these.
enum WindowAuthorizer {
    private static let group = "mesos:principals"
    private static let role = "apus:mesos-operator"

    static func access(_ authorizer: ClusterAuthorizer) -> WindowAccess {
        WindowAccess { principal, wish in
            let user = UserInfo(name: "mesos:\(principal)", groups: [group, "system:authenticated"])
            let attributes = AuthorizationAttributes(
                user: user, verb: wish.verb,
                resource: .init(
                    group: wish.group, version: "v1", resource: wish.resource, namespace: wish.namespace,
                    name: wish.name))
            guard case .allowed = await authorizer.authorize(attributes) else { return false }
            return true
        }
    }

    /// The role that may do everything in the windows, and its binding to all principals. An administrator who narrows the
    /// binding marks it with `rbac.authorization.kubernetes.io/autoupdate: "false"`, and it stays so.
    static var defaults: [JSON] {
        let rbac = "rbac.authorization.k8s.io"
        let metadata: JSON = [
            "name": .string(role), "annotations": ["rbac.authorization.kubernetes.io/autoupdate": "true"],
        ]
        return [
            [
                "apiVersion": .string("\(rbac)/v1"), "kind": "ClusterRole", "metadata": metadata,
                "rules": [
                    [
                        "apiGroups": [
                            "mesos.apus.dev", "marathon.apus.dev", "metronome.apus.dev", "chronos.apus.dev",
                        ],
                        "resources": ["*"], "verbs": ["*"],
                    ]
                ],
            ],
            [
                "apiVersion": .string("\(rbac)/v1"), "kind": "ClusterRoleBinding", "metadata": metadata,
                "roleRef": ["apiGroup": .string(rbac), "kind": "ClusterRole", "name": .string(role)],
                "subjects": [["apiGroup": .string(rbac), "kind": "Group", "name": .string(group)]],
            ],
        ]
    }
}

extension WindowAccess {
    /// What a request to the agent needs: to list tasks for what only reads, to update them for what does more. Executors
    /// are the agent's own affair.
    func requireOfAgent(_ request: WindowRequest) async throws {
        let path = request.path.hasPrefix("/slave(1)") ? request.path.dropFirst("/slave(1)".count) : request.path[...]
        if path.hasPrefix("/api/v1/executor") || path.hasPrefix("/health") || path.hasPrefix("/version") { return }
        let isRead = request.method == "GET" || request.method == "HEAD"
        try await require(request.principal, Wish(isRead ? "list" : "update", "tasks"))
    }
}
