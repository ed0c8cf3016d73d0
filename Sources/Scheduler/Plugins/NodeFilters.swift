import JSON
import Ledger

/// The filters that look at one node object alone, as a bit each: NodeUnschedulable, TaintToleration, NodeAffinity.
struct StaticRejection: OptionSet, Sendable {
    let rawValue: UInt8
    static let unschedulable = StaticRejection(rawValue: 1)
    static let taint = StaticRejection(rawValue: 2)
    static let affinity = StaticRejection(rawValue: 4)
    static let absent = StaticRejection(rawValue: 8)
    static let constraint = StaticRejection(rawValue: 16)
}

enum NodeFilters {
    static let unschedulableTaint = Taint(key: "node.kubernetes.io/unschedulable", effect: "NoSchedule")

    static func rejection(_ template: PodTemplate, _ node: NodeView) -> StaticRejection {
        var rejection: StaticRejection = []
        if node.isUnschedulable, !template.tolerations.contains(where: { $0.tolerates(unschedulableTaint) }) {
            rejection.insert(.unschedulable)
        }
        if untoleratedTaint(template, node) != nil { rejection.insert(.taint) }
        if !matchesAffinity(template, node) { rejection.insert(.affinity) }
        for constraint in template.constraints where !constraint.allows(node) {
            rejection.insert(.constraint)
            break
        }
        return rejection
    }

    /// The first taint that keeps the pod away.
    static func untoleratedTaint(_ template: PodTemplate, _ node: NodeView) -> Taint? {
        node.taints.first { taint in
            (taint.effect == "NoSchedule" || taint.effect == "NoExecute")
                && !template.tolerations.contains { $0.tolerates(taint) }
        }
    }

    /// `nodeSelector` and the required node affinity.
    static func matchesAffinity(_ template: PodTemplate, _ node: NodeView) -> Bool {
        for (key, value) in template.nodeSelector where node.labels[key] != value { return false }
        guard let required = template.requiredNodes else { return true }
        return required.contains { $0.matches(node) }
    }

    /// Number of PreferNoSchedule taints that the pod does not tolerate: fewer is better.
    static func avoidedTaints(_ template: PodTemplate, _ node: NodeView) -> Int {
        node.taints.count { taint in
            taint.effect == "PreferNoSchedule" && !template.tolerations.contains { $0.tolerates(taint) }
        }
    }

    /// Sum of the weights of preferred node affinity terms that hold.
    static func preference(_ template: PodTemplate, _ node: NodeView) -> Int {
        template.preferredNodes.reduce(0) { $0 + ($1.term.matches(node) ? $1.weight : 0) }
    }

    /// ImageLocality: 0 to 100 by the size of the images that are there, discounted where few nodes have them, so that
    /// pods do not pile up on one node.
    static func imageScore(_ template: PodTemplate, _ node: NodeView, _ table: NodeTable) -> Int {
        guard !node.images.isEmpty, table.presentCount > 0 else { return 0 }
        var sum: Int64 = 0
        for image in template.images {
            guard let size = node.images[image] else { continue }
            sum += min(size, 1 << 40) * Int64(table.imageNodes[image] ?? 0) / Int64(table.presentCount)
        }
        let least: Int64 = 23 << 20
        let most = Int64(1000 << 20) * Int64(max(template.images.count, 1))
        return Int(100 * (min(max(sum, least), most) - least) / (most - least))
    }
}

/// NodeResourcesFit's LeastAllocated and NodeResourcesBalancedAllocation.
enum ResourceScores {
    /// Mean over CPU and memory of the share that would be left, 0 to 100.
    static func leastAllocated(_ template: PodTemplate, _ row: NodeTable.Row) -> Int {
        var sum: Int64 = 0
        var weights: Int64 = 0
        if row.allocatableCPU > 0 {
            let used = row.usedCPU + row.scoredExtraCPU + template.scoredMilliCPU
            if used <= row.allocatableCPU { sum += (row.allocatableCPU - used) * 100 / row.allocatableCPU }
            weights += 1
        }
        if row.allocatableMemory > 0 {
            let used = row.usedMemory + row.scoredExtraMemory + template.scoredMemory
            if used <= row.allocatableMemory {
                // In kibibytes: petabytes times 100 must not overflow.
                sum += ((row.allocatableMemory - used) >> 10) * 100 / max(row.allocatableMemory >> 10, 1)
            }
            weights += 1
        }
        return weights == 0 ? 0 : Int(sum / weights)
    }

    /// How much the pod evens out the node's CPU and memory shares, 0 to 100; 0 for pods that ask for neither.
    static func balanced(_ template: PodTemplate, _ row: NodeTable.Row) -> Int {
        guard template.requests.milliCPU > 0 || template.requests.memory > 0 else { return 0 }
        guard row.allocatableCPU > 0, row.allocatableMemory > 0 else { return 50 }
        func balance(_ cpu: Int64, _ memory: Int64) -> Double {
            let first = min(Double(cpu) / Double(row.allocatableCPU), 1)
            let second = min(Double(memory) / Double(row.allocatableMemory), 1)
            return (1 - abs(first - second) / 2) * 100
        }
        let with = balance(row.usedCPU + template.requests.milliCPU, row.usedMemory + template.requests.memory)
        let without = balance(row.usedCPU, row.usedMemory)
        return Int(bounded: min(max(50 + (with - without) / 2, 0), 100))
    }
}
