public import ObjectModel

/// What the pods of a node need, as it is now. Asked on requests of node agents, so it should answer from a cache.
public protocol NodeGraph: Sendable {
    /// True when a pod bound to the node refers to the object: secrets, config maps, claims, and service accounts
    /// directly; volumes through the pod's claims; volume attachments by their node name.
    func isNeeded(_ resource: GroupVersionResource, _ key: ObjectKey, byPodsOn node: String) async -> Bool
}

/// What a node agent may do beyond roles (kubernetes-api.md §15): user `system:node:NAME` in group `system:nodes` reads
/// only what pods bound to its node refer to, and writes only its own objects.
public struct NodeAuthorizer: Sendable {
    private let graph: any NodeGraph

    /// - Parameter graph: knows which pods are bound to which node and what they refer to.
    public init(graph: any NodeGraph) {
        self.graph = graph
    }

    /// The node's name when a user is a node agent.
    public static func node(of user: UserInfo) -> String? {
        let prefix = "system:node:"
        guard user.name.hasPrefix(prefix), user.name.utf8.count > prefix.utf8.count,
            user.groups.contains("system:nodes")
        else { return nil }
        return String(user.name.dropFirst(prefix.count))
    }

    /// Whether a node agent may do this; no opinion on anybody else.
    public func authorize(_ attributes: AuthorizationAttributes) async -> AuthorizationVerdict {
        guard let node = Self.node(of: attributes.user), let resource = attributes.resource else {
            return .noOpinion(reason: "")
        }
        let key = ObjectKey(namespace: resource.namespace, name: resource.name)
        switch (resource.group, resource.resource) {
        case ("", "secrets"), ("", "configmaps"), ("", "persistentvolumes"), ("storage.k8s.io", "volumeattachments"):
            guard resource.subresource.isEmpty, ["get", "list", "watch"].contains(attributes.verb) else {
                return .noOpinion(reason: "can only read resources of this type")
            }
            return await needed(resource, key, node, verbs: attributes.verb)
        case ("", "persistentvolumeclaims"):
            // Its status is written after a volume was grown on the node.
            let isStatus = resource.subresource == "status" && ["get", "update", "patch"].contains(attributes.verb)
            guard isStatus || (resource.subresource.isEmpty && attributes.verb == "get") else {
                return .noOpinion(reason: "can only get individual resources of this type, and write their status")
            }
            return await needed(resource, key, node, verbs: attributes.verb)
        case ("", "serviceaccounts") where resource.subresource == "token":
            guard attributes.verb == "create" else { return .noOpinion(reason: "can only create tokens") }
            return await needed(resource, key, node, verbs: attributes.verb)
        case ("coordination.k8s.io", "leases"):
            guard resource.namespace == "kube-node-lease",
                ["get", "create", "update", "patch", "delete"].contains(attributes.verb),
                resource.name == node || (attributes.verb == "create" && resource.name.isEmpty)
            else { return .noOpinion(reason: "can only access the node lease with the same name as the node") }
            return .allowed(reason: "node lease")
        case ("storage.k8s.io", "csinodes"):
            guard ["get", "create", "update", "patch", "delete"].contains(attributes.verb),
                resource.name == node || (attributes.verb == "create" && resource.name.isEmpty)
            else { return .noOpinion(reason: "can only access CSINode with the same name as the node") }
            return .allowed(reason: "CSI node")
        default:
            let allowed = Self.rules.contains { $0.allows(attributes) }
            return allowed ? .allowed(reason: "node rule") : .noOpinion(reason: "")
        }
    }

    private func needed(
        _ resource: AuthorizationAttributes.Resource, _ key: ObjectKey, _ node: String, verbs: String
    ) async -> AuthorizationVerdict {
        guard !key.name.isEmpty else { return .noOpinion(reason: "No Object name found") }
        let kind = GroupVersionResource(group: resource.group, version: resource.version, resource: resource.resource)
        if await graph.isNeeded(kind, key, byPodsOn: node) { return .allowed(reason: "needed by a pod of the node") }
        return .noOpinion(reason: "no relationship found between node '\(node)' and this object")
    }

    /// The role `system:node`, for what needs no look at pods.
    private static let rules: [PolicyRule] = DefaultRoles.rules(ofClusterRole: "system:node")
}
