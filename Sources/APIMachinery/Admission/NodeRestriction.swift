import JSON
import ObjectModel

/// A node's agent changes its own node, its own pods and its own lease, and nothing else.
///
/// With the node authorizer (which limits what it reads) this keeps a node that was taken over from taking others.
struct NodeRestriction: AdmissionPlugin {
    func admit(_ request: inout AdmissionRequest, in machinery: Machinery) throws {
        guard let node = Self.node(of: request.context) else { return }
        switch request.place.description {
        case "nodes": try nodes(request, node)
        case "pods": try pods(request, node)
        case "persistentvolumeclaims": try claims(request, node)
        case "leases.coordination.k8s.io":
            guard request.key.namespace == "kube-node-lease" else {
                throw request.forbidden("can only access leases in the \"kube-node-lease\" system namespace")
            }
            guard request.key.name == node else {
                throw request.forbidden("can only access node lease with the same name as the requesting node")
            }
        case "csinodes.storage.k8s.io":
            guard request.key.name == node else {
                throw request.forbidden("can only access CSINode with the same name as the requesting node")
            }
        case "resourceslices.resource.k8s.io":
            guard request.object["spec"]["nodeName"].string == node else {
                throw request.forbidden("can only access ResourceSlice with the same node name as the requesting node")
            }
        default: break
        }
    }

    /// The node in whose name a request is made; nil when no node's agent makes it.
    private static func node(of context: RequestContext) -> String? {
        guard context.user.name.hasPrefix("system:node:"), context.user.groups.contains("system:nodes") else {
            return nil
        }
        return String(context.user.name.dropFirst("system:node:".count))
    }

    // MARK: Nodes

    private func nodes(_ request: AdmissionRequest, _ node: String) throws {
        guard request.key.name == node else {
            throw request.forbidden("node \"\(node)\" is not allowed to modify node \"\(request.key.name)\"")
        }
        if request.operation == .delete { return }
        let (new, old) = (request.object, request.old?.tree)
        if let old, new["spec"]["taints"] != old["spec"]["taints"] {
            throw request.forbidden("node \"\(node)\" is not allowed to modify taints")
        }
        if new["metadata"]["ownerReferences"] != (old?["metadata"]["ownerReferences"] ?? .null) {
            throw request.forbidden("node \"\(node)\" is not allowed to modify ownerReferences")
        }
        let (after, before) = (new["metadata"]["labels"].stringMap, old?["metadata"]["labels"].stringMap ?? [:])
        let changed = Set(after.keys).union(before.keys).filter { after[$0] != before[$0] }
        let refused = changed.filter { !Self.mayLabel($0) }.sorted()
        if !refused.isEmpty {
            throw request.forbidden(
                "is not allowed to modify labels: \(refused.joined(separator: ", "))")
        }
    }

    private static let ownLabels: Set<String> = [
        "kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch", "beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type",
        "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
        "topology.kubernetes.io/zone", "topology.kubernetes.io/region", "node.kubernetes.io/windows-build",
    ]

    /// Labels of Kubernetes's own domains steer pods, so a node gives itself only those that describe it.
    private static func mayLabel(_ key: String) -> Bool {
        guard key.contains("/") else { return true }
        let domain = key.prefix { $0 != "/" }
        func isIn(_ parent: String) -> Bool { domain == parent || domain.hasSuffix("." + parent) }
        if isIn("node-restriction.kubernetes.io") { return false }
        guard isIn("kubernetes.io") || isIn("k8s.io") else { return true }
        return ownLabels.contains(key) || isIn("kubelet.kubernetes.io") || isIn("node.kubernetes.io")
    }

    // MARK: Pods

    private func pods(_ request: AdmissionRequest, _ node: String) throws {
        let bound = request.old?.tree["spec"]["nodeName"].string ?? ""
        switch (request.operation, request.subresource) {
        case (.create, nil): try mirror(request, node)
        case (.delete, _):
            guard bound == node else {
                throw request.forbidden("node \"\(node)\" can only delete pods with spec.nodeName set to itself")
            }
        case (.update, "status"):
            guard bound == node else {
                throw request.forbidden(
                    "node \"\(node)\" can only update pod status for pods with spec.nodeName set to itself")
            }
            if request.object["metadata"]["labels"] != request.old?.tree["metadata"]["labels"] ?? .null {
                throw request.forbidden("node \"\(node)\" cannot update labels through pod status")
            }
        default:
            throw request.forbidden("unexpected operation of node \"\(node)\" on pods")
        }
    }

    private func mirror(_ request: AdmissionRequest, _ node: String) throws {
        let pod = request.object
        guard !pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].isNull else {
            throw request.forbidden(
                "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"\(node)\" can only create mirror pods"
            )
        }
        guard pod["spec"]["nodeName"].string == node else {
            throw request.forbidden("node \"\(node)\" can only create pods with spec.nodeName set to itself")
        }
        let owners = pod["metadata"]["ownerReferences"].elements
        let isSelf = owners.allSatisfy { owner in
            owner["apiVersion"].string == "v1" && owner["kind"].string == "Node" && owner["name"].string == node
                && owner["blockOwnerDeletion"].bool != true
        }
        guard isSelf, owners.count == 1 else {
            throw request.forbidden("node \"\(node)\" can only create pods with an owner reference set to itself")
        }
    }

    /// What a node may post to its pods: their eviction, and for their accounts tokens that are bound to them.
    static func post(
        _ subresource: String, _ key: ObjectKey, _ body: JSON, _ context: RequestContext, in machinery: Machinery
    ) throws {
        guard let node = node(of: context) else { return }
        switch subresource {
        case "eviction":
            let bound = machinery.cached(.pods, key)?.tree["spec"]["nodeName"].string ?? ""
            guard bound == node else {
                throw StatusError.forbidden(
                    GroupVersionResource.pods.groupResource, name: key.name,
                    "node \"\(node)\" can only evict pods with spec.nodeName set to itself")
            }
        case "token":
            let accounts = GroupVersionResource.serviceAccounts.groupResource
            func refuse(_ why: String) -> StatusError { .forbidden(accounts, name: key.name, why) }
            let reference = body["spec"]["boundObjectRef"]
            guard reference["kind"].string == "Pod", !(reference["uid"].string ?? "").isEmpty else {
                throw refuse("node requested token not bound to a pod")
            }
            let pod = machinery.cached(
                .pods, ObjectKey(namespace: key.namespace, name: reference["name"].string ?? ""))
            guard let pod, pod.uid == reference["uid"].string else {
                throw refuse("node requested token bound to a pod that does not exist")
            }
            guard pod.tree["spec"]["nodeName"].string == node else {
                throw refuse("node requested token bound to a pod scheduled on a different node")
            }
        default: break
        }
    }

    // MARK: Claims

    private func claims(_ request: AdmissionRequest, _ node: String) throws {
        guard request.operation == .update, request.subresource == "status", let old = request.old?.tree else {
            throw request.forbidden("node \"\(node)\" may only update PVC status")
        }
        func rest(_ tree: JSON) -> JSON {
            var tree = tree
            for field in [
                "capacity", "conditions", "allocatedResources", "allocatedResourceStatuses", "modifyVolumeStatus",
            ] {
                tree["status"].removeMember(field)
            }
            for field in ["managedFields", "resourceVersion"] { tree["metadata"].removeMember(field) }
            return tree
        }
        if rest(request.object) != rest(old) {
            throw request.forbidden(
                "node \"\(node)\" is not allowed to update fields other than status.quantity and status.conditions")
        }
    }
}

/// A new node takes no pods before it was seen ready.
struct TaintNodesByCondition: AdmissionPlugin {
    func admit(_ request: inout AdmissionRequest, in machinery: Machinery) throws {
        guard request.creates(.nodes) else { return }
        let key = "node.kubernetes.io/not-ready"
        let taints = request.object["spec"]["taints"].elements
        if taints.contains(where: { $0["key"].string == key && $0["effect"].string == "NoSchedule" }) { return }
        request.object["spec"]["taints"] = .array(taints + [["key": .string(key), "effect": "NoSchedule"]])
    }
}
