import JSON
import ObjectModel

/// Which nodes a daemon pod belongs on. Pure.
enum DaemonPlacement {
    struct Verdict: Sendable, Hashable {
        /// A pod should be made there.
        var shouldRun: Bool
        /// A pod that is there may stay.
        var shouldStay: Bool
    }

    /// Tolerations every daemon pod has, so that it runs on nodes in trouble.
    static func tolerations(hostNetwork: Bool) -> [JSON] {
        var all: [JSON] = ["not-ready", "unreachable"].map { tolerate($0, "NoExecute") }
        for key in ["disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"] {
            all.append(tolerate(key, "NoSchedule"))
        }
        if hostNetwork { all.append(tolerate("network-unavailable", "NoSchedule")) }
        return all
    }

    private static func tolerate(_ key: String, _ effect: String) -> JSON {
        ["key": .string("node.kubernetes.io/\(key)"), "operator": "Exists", "effect": .string(effect)]
    }

    static func verdict(podSpec: JSON, node: Object) -> Verdict {
        let no = Verdict(shouldRun: false, shouldStay: false)
        let wanted = podSpec["nodeName"].string ?? ""
        if !wanted.isEmpty && wanted != node.name { return no }
        let labels = node.metadata.labels
        guard podSpec["nodeSelector"].stringMap.allSatisfy({ labels[$0.key] == $0.value }) else { return no }
        let required = podSpec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        guard required.isNull || matches(required["nodeSelectorTerms"].elements, node) else { return no }
        let tolerations =
            podSpec["tolerations"].elements + tolerations(hostNetwork: podSpec["hostNetwork"].bool ?? false)
        let taints = node.tree["spec"]["taints"].elements.compactMap(Taint.init)
        let untolerated = taints.filter { taint in
            taint.effect != .preferNoSchedule && !tolerations.contains { EvictionDecision.tolerates($0, taint) }
        }
        if untolerated.isEmpty { return Verdict(shouldRun: true, shouldStay: true) }
        return Verdict(shouldRun: false, shouldStay: !untolerated.contains { $0.effect == .noExecute })
    }

    /// Terms are ORed, what stands in one term is ANDed; an empty term matches nothing.
    static func matches(_ terms: [JSON], _ node: Object) -> Bool {
        terms.contains { term in
            let expressions = term["matchExpressions"].elements
            let fields = term["matchFields"].elements
            if expressions.isEmpty && fields.isEmpty { return false }
            return expressions.allSatisfy { holds($0, node.metadata.labels) }
                && fields.allSatisfy { holds($0, ["metadata.name": node.name]) }
        }
    }

    private static func holds(_ expression: JSON, _ labels: [String: String]) -> Bool {
        guard let key = expression["key"].string,
            let op = expression["operator"].string.flatMap(LabelSelector.Requirement.Operator.init)
        else { return false }
        let values = expression["values"].elements.compactMap(\.string)
        return LabelSelector([LabelSelector.Requirement(key: key, op: op, values: values)]).matches(labels)
    }

    /// The template's pod for one node: the scheduler binds it, and can only choose that node.
    static func pin(_ spec: inout JSON, to node: String) {
        let field: JSON = ["key": "metadata.name", "operator": "In", "values": [.string(node)]]
        spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = [
            "nodeSelectorTerms": [["matchFields": [field]]]
        ]
        let existing = spec["tolerations"].elements
        let added = tolerations(hostNetwork: spec["hostNetwork"].bool ?? false).filter { !existing.contains($0) }
        spec["tolerations"] = .array(existing + added)
    }

    /// The node a daemon pod is meant for, bound or not.
    static func target(of pod: PodView) -> String {
        if !pod.nodeName.isEmpty { return pod.nodeName }
        let terms = pod.object.tree["spec"]["affinity"]["nodeAffinity"][
            "requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        return terms[0]["matchFields"][0]["values"][0].string ?? ""
    }
}
