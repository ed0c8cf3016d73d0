public import ObjectModel

/// What the pods of a node need, as it is now. Asked on requests of node agents, so it should answer from a cache.
public protocol NodeGraph: Sendable {
    /// True when a pod bound to the node refers to the object: secrets, config maps, claims, resource claims and service
    /// accounts directly; volumes, and the secrets that those name, through the pod's claims; volume attachments by
    /// their node name; a pod itself when it is bound to the node.
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
        let verb = attributes.verb
        switch (resource.group, resource.resource) {
        case ("", "secrets"), ("", "configmaps"), ("", "persistentvolumes"), ("storage.k8s.io", "volumeattachments"):
            guard resource.subresource.isEmpty, ["get", "list", "watch"].contains(verb) else {
                return .noOpinion(reason: "can only read resources of this type")
            }
            return await needed(resource, node)
        case ("", "persistentvolumeclaims"):
            // Its status is written after a volume was grown on the node.
            let isStatus = resource.subresource == "status" && ["get", "update", "patch"].contains(verb)
            guard isStatus || (resource.subresource.isEmpty && verb == "get") else {
                return .noOpinion(reason: "can only get individual resources of this type, and write their status")
            }
            return await needed(resource, node)
        case ("resource.k8s.io", "resourceclaims"):
            guard resource.subresource.isEmpty, verb == "get" else {
                return .noOpinion(reason: "can only get individual resources of this type")
            }
            return await needed(resource, node)
        case ("resource.k8s.io", "resourceslices"):
            return slice(resource, verb, node)
        case ("", "serviceaccounts"):
            let isToken = resource.subresource == "token" && verb == "create"
            guard isToken || (resource.subresource.isEmpty && verb == "get") else {
                return .noOpinion(reason: "can only get service accounts and create their tokens")
            }
            return await needed(resource, node)
        case ("", "pods"): return await pod(attributes, resource, node)
        case ("", "nodes"): return self.node(attributes, resource, node)
        case ("coordination.k8s.io", "leases"):
            guard resource.namespace == "kube-node-lease", Self.isOwn(resource, verb, node) else {
                return .noOpinion(reason: "can only access node lease with the same name as the requesting node")
            }
            return .allowed(reason: "node lease")
        case ("storage.k8s.io", "csinodes"):
            guard Self.isOwn(resource, verb, node) else {
                return .noOpinion(reason: "can only access CSINode with the same name as the requesting node")
            }
            return .allowed(reason: "CSI node")
        default: return Self.byRole(attributes)
        }
    }

    private func needed(_ resource: AuthorizationAttributes.Resource, _ node: String) async -> AuthorizationVerdict {
        guard !resource.name.isEmpty else { return .noOpinion(reason: "No Object name found") }
        let key = ObjectKey(namespace: resource.namespace, name: resource.name)
        let kind = GroupVersionResource(group: resource.group, version: resource.version, resource: resource.resource)
        if await graph.isNeeded(kind, key, byPodsOn: node) { return .allowed(reason: "needed by a pod of the node") }
        return .noOpinion(reason: "no relationship found between node '\(node)' and this object")
    }

    /// Reads of its own pods; what it writes is confined by admission (`NodeRestriction`).
    private func pod(
        _ attributes: AuthorizationAttributes, _ resource: AuthorizationAttributes.Resource, _ node: String
    ) async -> AuthorizationVerdict {
        guard resource.subresource.isEmpty else { return Self.byRole(attributes) }
        switch attributes.verb {
        case "get": return await needed(resource, node)
        case "list", "watch":
            if resource.selectedFields["spec.nodeName"] == node { return .allowed(reason: "pods of the node") }
            return .noOpinion(reason: "can only list/watch pods with spec.nodeName field selector")
        default: return Self.byRole(attributes)
        }
    }

    private func node(
        _ attributes: AuthorizationAttributes, _ resource: AuthorizationAttributes.Resource, _ node: String
    ) -> AuthorizationVerdict {
        guard ["get", "list", "watch"].contains(attributes.verb), resource.subresource.isEmpty else {
            return Self.byRole(attributes)
        }
        if resource.name == node { return .allowed(reason: "own node") }
        return .noOpinion(reason: "node '\(node)' cannot read '\(resource.name)', only its own Node object")
    }

    /// Slices of devices are published by the node that has them; their content is checked by admission.
    private func slice(_ resource: AuthorizationAttributes.Resource, _ verb: String, _ node: String)
        -> AuthorizationVerdict
    {
        switch verb {
        case "get", "create", "update", "patch", "delete": return .allowed(reason: "resource slices")
        case "list", "watch", "deletecollection":
            if resource.selectedFields["spec.nodeName"] == node { return .allowed(reason: "slices of the node") }
            return .noOpinion(reason: "can only list/watch/deletecollection with spec.nodeName field selector")
        default: return .noOpinion(reason: "only the verbs of an owner are allowed")
        }
    }

    private static func isOwn(_ resource: AuthorizationAttributes.Resource, _ verb: String, _ node: String) -> Bool {
        guard resource.subresource.isEmpty, ["get", "create", "update", "patch", "delete"].contains(verb) else {
            return false
        }
        return resource.name == node || (verb == "create" && resource.name.isEmpty)
    }

    private static func byRole(_ attributes: AuthorizationAttributes) -> AuthorizationVerdict {
        rules.contains { $0.allows(attributes) } ? .allowed(reason: "node rule") : .noOpinion(reason: "")
    }

    /// The role `system:node`, for what needs no look at pods.
    private static let rules: [PolicyRule] = DefaultRoles.rules(ofClusterRole: "system:node")
}
