import JSON
import MesosModel
import ObjectModel

/// What the agent says of itself.
struct AgentFacts: Sendable {
    let caches: AgentCaches
    let configuration: MesosAgent.Configuration
    let began: Timestamp

    var hostname: String { configuration.nodeName }
    var pid: String { "slave(1)@\(configuration.address):\(configuration.port)" }

    /// The agent's id; nil until the master has given it one.
    var agentID: String? {
        caches.agents[ObjectKey(name: configuration.nodeName)]?.tree["spec"]["id"].string
    }
    /// The agent's id, as a pod of it knows it.
    func agentID(of pod: NodePod) -> String {
        pod.annotations[MesosNames.agentAnnotation].string ?? agentID ?? ""
    }

    private var node: JSON { caches.nodes[ObjectKey(name: configuration.nodeName)]?.tree ?? .null }

    /// `Resource` messages of what frameworks may use of this node, as the master counts it: whole mebibytes, what is
    /// reserved apart from what is free for everybody.
    var resources: [JSON] {
        let allocatable = node["status"]["allocatable"]
        func amount(_ name: String, _ divisor: Double) -> Double {
            Quantity(allocatable[name]).map { ($0.doubleValue / divisor).rounded(.down) } ?? 0
        }
        var total = Resources(scalars: [
            "cpus": amount("cpu", 0.001) / 1000, "mem": amount("memory", 1_048_576),
            "disk": amount("ephemeral-storage", 1_048_576), "gpus": amount("nvidia.com/gpu", 1),
        ])
        total.add(MesosResource("ports", .ranges(ValueRanges([.init(31000, 32000)]))))
        let kept = caches.agents[ObjectKey(name: configuration.nodeName)]?.tree["spec"] ?? .null
        if let reserved = try? Resources(trees: kept["reserved"].elements + kept["volumes"].elements) {
            total = total.minus(amountsOf: reserved) + reserved
        }
        return total.trees
    }

    /// Attributes, from labels of the node.
    var attributes: [JSON] {
        node["metadata"]["labels"].stringMap.sorted { $0.key < $1.key }.compactMap { label, value in
            guard label.hasPrefix(MesosNames.attributePrefix) else { return nil }
            let name = String(label.dropFirst(MesosNames.attributePrefix.count))
            if let number = Double(value), number.isFinite {
                return ["name": .string(name), "type": "SCALAR", "scalar": ["value": .double(number)]]
            }
            return ["name": .string(name), "type": "TEXT", "text": ["value": .string(value)]]
        }
    }

    /// The fault domain; nil when the node tells none.
    var domain: JSON? {
        let labels = node["metadata"]["labels"]
        guard let region = labels["topology.kubernetes.io/region"].string,
            let zone = labels["topology.kubernetes.io/zone"].string
        else { return nil }
        return [
            "fault_domain": ["region": ["name": .string(region)], "zone": ["name": .string(zone)]]
        ]
    }

    /// `AgentInfo`.
    func agentInfo() -> JSON {
        var info: JSON = [
            "hostname": .string(hostname), "port": JSON(configuration.port),
            "resources": .array(resources.map(LegacyResources.inBothForms)),
        ]
        if let agentID { info["id"] = ["value": .string(agentID)] }
        if !attributes.isEmpty { info["attributes"] = .array(attributes) }
        if let domain { info["domain"] = domain }
        return info
    }
}

extension JSON {
    /// A number as it is printed: whole ones keep one digit after the point, as Mesos prints doubles.
    static func double(_ value: Double) -> JSON {
        value.isFinite ? .number(JSONNumber(text: "\(value)")) : .string(value > 0 ? "Infinity" : "-Infinity")
    }
}
