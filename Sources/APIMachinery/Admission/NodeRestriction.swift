import JSON
import ObjectModel

/// A node's agent changes its own node, its own pods and its own lease, and nothing else.
struct NodeRestriction: AdmissionPlugin {
    func admit(_ request: inout AdmissionRequest, in machinery: Machinery) throws {
        let user = request.context.user
        guard user.name.hasPrefix("system:node:"), user.groups.contains("system:nodes") else { return }
        let node = String(user.name.dropFirst("system:node:".count))
        switch request.place.description {
        case "nodes":
            guard request.key.name == node else {
                throw request.forbidden("node \"\(node)\" is not allowed to modify node \"\(request.key.name)\"")
            }
            if request.operation == .update, request.subresource == nil, let old = request.old?.tree {
                if request.object["spec"]["taints"] != old["spec"]["taints"] {
                    throw request.forbidden("node \"\(node)\" is not allowed to modify taints")
                }
            }
        case "pods": try pods(request, node)
        case "leases.coordination.k8s.io":
            guard request.key.namespace == "kube-node-lease", request.key.name == node else {
                throw request.forbidden("can only access node lease with the same name as the requesting node")
            }
        default: break
        }
    }

    private func pods(_ request: AdmissionRequest, _ node: String) throws {
        switch request.operation {
        case .create:
            guard !request.object["metadata"]["annotations"]["kubernetes.io/config.mirror"].isNull,
                request.object["spec"]["nodeName"].string == node
            else {
                throw request.forbidden("node \"\(node)\" can only create mirror pods that are bound to itself")
            }
        case .update, .delete:
            let bound = request.old?.tree["spec"]["nodeName"].string ?? ""
            guard bound == node else {
                throw request.forbidden("node \"\(node)\" can only change pods with spec.nodeName set to itself")
            }
            if request.operation == .update, request.subresource == nil {
                throw request.forbidden("node \"\(node)\" can only update pod status")
            }
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
