import JSON
import ObjectModel

/// Whether the node takes a pod that was bound to it: the last check, against what really is here.
enum PodAdmission {
    struct Node: Sendable {
        var labels: [String: String]
        var name: String
        var allocatable: [String: Quantity]
    }

    /// Why the node refuses the pod; nil when it takes it.
    /// - Parameter others: pods that hold resources of this node already.
    static func check(_ pod: Pod, node: Node, others: [Pod]) -> WaitingReason? {
        if !matchesAffinity(pod, node) {
            return WaitingReason(
                reason: "NodeAffinity",
                message:
                    "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
            )
        }
        let taken = others.flatMap(hostPorts)
        if hostPorts(pod).contains(where: { port in taken.contains { $0.conflicts(with: port) } }) {
            return WaitingReason(
                reason: "NodePorts",
                message: "Pod was rejected: Predicate NodePorts failed: "
                    + "node(s) didn't have free ports for the requested pod ports")
        }
        let maximum = node.allocatable["pods"]?.value ?? 110
        if others.count + 1 > maximum {
            return refused("pods", requested: 1, used: others.count, capacity: maximum)
        }
        let names = Set((pod.spec.containers + pod.spec.initContainers).flatMap { $0.resources.requests.keys })
        for name in names.union(["cpu", "memory"]).sorted() {
            let isCPU = name == "cpu"
            func amount(_ quantity: Quantity) -> Int { isCPU ? quantity.milliValue : quantity.value }
            let requested = amount(PodResources.request(pod.spec, name))
            guard requested > 0 else { continue }
            let used = others.reduce(0) { $0.addingSaturated(amount(PodResources.request($1.spec, name))) }
            let capacity = node.allocatable[name].map(amount) ?? 0
            if used.addingSaturated(requested) > capacity {
                return refused(name, requested: requested, used: used, capacity: capacity)
            }
        }
        return nil
    }

    private static func refused(_ name: String, requested: Int, used: Int, capacity: Int) -> WaitingReason {
        WaitingReason(
            reason: "OutOf\(name)",
            message: "Pod was rejected: Node didn't have enough resource: \(name), requested: \(requested), "
                + "used: \(used), capacity: \(capacity)")
    }

    // MARK: Ports

    private struct HostPort {
        var address: String
        var transport: String
        var port: Int
        func conflicts(with other: HostPort) -> Bool {
            let any = ["", "0.0.0.0", "::"]
            return port == other.port && transport == other.transport
                && (address == other.address || any.contains(address) || any.contains(other.address))
        }
    }
    private static func hostPorts(_ pod: Pod) -> [HostPort] {
        let given = (pod.spec.containers + pod.spec.initContainers.filter { $0.kind == .sidecar }).flatMap(\.ports)
            .filter { $0.hostPort > 0 }
            .map { HostPort(address: $0.hostIP, transport: $0.transport, port: $0.hostPort) }
        return given
            + pod.assignedPorts.flatMap { port in
                port.transports.map { HostPort(address: "", transport: $0, port: port.hostPort) }
            }
    }

    // MARK: Affinity

    private static func matchesAffinity(_ pod: Pod, _ node: Node) -> Bool {
        guard pod.spec.nodeSelector.allSatisfy({ node.labels[$0.key] == $0.value }) else { return false }
        let required = pod.spec.affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        guard !required.isNull else { return true }
        return required["nodeSelectorTerms"].elements.contains { term in
            let (labels, fields) = (term["matchExpressions"].elements, term["matchFields"].elements)
            guard !labels.isEmpty || !fields.isEmpty else { return false }
            return labels.allSatisfy { matches($0, node.labels) }
                && fields.allSatisfy { matches($0, ["metadata.name": node.name]) }
        }
    }
    private static func matches(_ expression: JSON, _ labels: [String: String]) -> Bool {
        let value = labels[expression["key"].string ?? ""]
        let values = expression["values"].elements.compactMap(\.string)
        switch expression["operator"].string {
        case "In": return value.map(values.contains) ?? false
        case "NotIn": return value.map { !values.contains($0) } ?? true
        case "Exists": return value != nil
        case "DoesNotExist": return value == nil
        case "Gt", "Lt":
            guard let left = value.flatMap({ Int($0) }), let right = values.first.flatMap({ Int($0) }) else {
                return false
            }
            return expression["operator"].string == "Gt" ? left > right : left < right
        default: return false
        }
    }
}
