import JSON
import ObjectModel

#if canImport(Glibc)
    import Glibc
#endif

/// PodTopologySpread and InterPodAffinity for one pod: the counts per domain, gathered once, then asked per node.
struct PodRules {
    enum Rejection: Sendable, Hashable {
        case spread, spreadMissingLabel, affinity, antiAffinity, existingAntiAffinity, constraint

        /// kube-scheduler's words.
        var reason: String {
            switch self {
            case .spread: "node(s) didn't match pod topology spread constraints"
            case .spreadMissingLabel:
                "node(s) didn't match pod topology spread constraints (missing required label)"
            case .affinity: "node(s) didn't match pod affinity rules"
            case .antiAffinity: "node(s) didn't match pod anti-affinity rules"
            case .existingAntiAffinity: "node(s) didn't satisfy existing pods anti-affinity rules"
            case .constraint: MarathonConstraint.reason
            }
        }
        var rejectedBy: RejectedBy {
            switch self {
            case .spread, .spreadMissingLabel: .spread
            default: .podAffinity
            }
        }
        /// False when taking pods away from the node cannot help.
        var isResolvable: Bool { self != .spreadMissingLabel && self != .affinity }
    }

    /// Counts by domain of one node label.
    struct Counted {
        var topology: Int
        var counts: [Int32]

        func count(_ slot: Int, _ table: NodeTable) -> Int32? {
            let domain = table.topologies[topology].domain[slot]
            guard domain >= 0 else { return nil }
            return Int(domain) < counts.count ? counts[Int(domain)] : 0
        }
    }
    private struct HardSpread {
        var counted: Counted
        /// Highest count a domain may have before the pod comes.
        var limit: Int32
    }
    private struct SoftSpread {
        var counted: Counted
        var weight: Double
        var maxSkew: Int
    }
    struct Candidate {
        var slot: Int
        var key: UInt64
        /// Lower is better; negative: the node has not all the labels.
        var spread: Double
        var affinity: Int
    }

    private var hard: [HardSpread] = []
    private var soft: [SoftSpread] = []
    private var affinity: [Counted] = []
    /// The pod is the first of a group that wants to be together.
    private var isFirstOfGroup = false
    private var antiAffinity: [Counted] = []
    private var existing: [Counted] = []
    private var preferences: [Counted] = []
    private var constraints: [ConstraintLimit] = []

    /// True when rules only reject and do not score.
    var isSimple: Bool { soft.isEmpty && preferences.isEmpty }

    /// - Parameter matching: the registered terms that match the pod.
    init(_ pod: PodView, _ core: SchedulerCore, matching: [Int]) {
        let template = pod.template
        for id in matching {
            let term = core.terms[id]
            let topology = core.table.topology(term.selection.topologyKey)
            if !term.requiredAnti.isEmpty { existing.append(Self.sum(term.requiredAnti, topology, core.table)) }
            if !term.preference.isEmpty { preferences.append(Self.sum(term.preference, topology, core.table)) }
        }
        func counted(_ selection: PodSelection) -> Counted {
            let id = core.terms.registerCounted(selection) { core.placed.values.map { ($0.pod, $0.slot) } }
            return Self.sum(core.terms[id].matching, core.table.topology(selection.topologyKey), core.table)
        }
        affinity = template.affinity.required.map(counted)
        if !affinity.isEmpty, affinity.allSatisfy({ $0.counts.allSatisfy { $0 == 0 } }) {
            isFirstOfGroup = template.affinity.required.allSatisfy { core.terms.counts($0, pod) }
        }
        antiAffinity = template.antiAffinity.required.map(counted)
        for preferred in template.affinity.preferred {
            preferences.append(Self.scaled(counted(preferred.term), by: preferred.weight))
        }
        for preferred in template.antiAffinity.preferred {
            preferences.append(Self.scaled(counted(preferred.term), by: -preferred.weight))
        }
        if !template.spread.isEmpty { addSpread(pod, core) }
        for constraint in template.constraints where constraint.isCounting {
            let counts = counted(constraint.selection(of: pod))
            constraints.append(ConstraintLimit(constraint.rule, counts, pod, core))
        }
    }

    private static func sum(_ entries: [Int32: Int32], _ topology: Int, _ table: NodeTable) -> Counted {
        var counts = [Int32](repeating: 0, count: table.topologies[topology].names.count)
        let domains = table.topologies[topology].domain
        for (slot, amount) in entries {
            let domain = domains[Int(slot)]
            if domain >= 0 { counts[Int(domain)] &+= amount }
        }
        return Counted(topology: topology, counts: counts)
    }

    private static func scaled(_ counted: Counted, by weight: Int) -> Counted {
        let weight = Int32(clamping: max(min(weight, 100), -100))
        return Counted(topology: counted.topology, counts: counted.counts.map { $0 &* weight })
    }

    // MARK: Spread

    private mutating func addSpread(_ pod: PodView, _ core: SchedulerCore) {
        let kept = core.podClass(pod.template)
        let constraints = pod.template.spread
        let topologies = constraints.map { core.table.topology($0.selection.topologyKey) }
        for isHard in [true, false] {
            let group = zip(constraints, topologies).filter { $0.0.isHard == isHard }
            if group.isEmpty { continue }
            // Only nodes that have the labels of all constraints of the kind take part.
            let required = group.map(\.1)
            for (constraint, topology) in group {
                let domains = core.table.topologies[topology].domain
                func takesPart(_ slot: Int) -> Bool {
                    let rejection = kept.rejections[slot]
                    if rejection.contains(.absent) { return false }
                    if constraint.honorsAffinity, rejection.contains(.affinity) { return false }
                    if constraint.honorsTaints, rejection.contains(.taint) { return false }
                    return required.allSatisfy { core.table.topologies[$0].domain[slot] >= 0 }
                }
                let id = core.terms.registerCounted(constraint.selection) {
                    core.placed.values.map { ($0.pod, $0.slot) }
                }
                var counts = [Int32](repeating: -1, count: core.table.topologies[topology].names.count)
                for slot in domains.indices where domains[slot] >= 0 && counts[Int(domains[slot])] < 0 {
                    if takesPart(slot) { counts[Int(domains[slot])] = 0 }
                }
                for (slot, amount) in core.terms[id].matching where domains[Int(slot)] >= 0 && takesPart(Int(slot)) {
                    counts[Int(domains[Int(slot)])] += amount
                }
                let eligible = counts.lazy.filter { $0 >= 0 }
                let domainCount = eligible.count
                let counted = Counted(topology: topology, counts: counts.map { max($0, 0) })
                if isHard {
                    let least = domainCount < constraint.minDomains ? 0 : eligible.min() ?? 0
                    let own: Int32 = core.terms.counts(constraint.selection, pod) ? 1 : 0
                    hard.append(
                        HardSpread(
                            counted: counted, limit: least.addingSaturated(Int32(clamping: constraint.maxSkew) - own)))
                } else {
                    soft.append(
                        SoftSpread(
                            counted: counted, weight: log(Double(domainCount + 2)), maxSkew: constraint.maxSkew))
                }
            }
        }
    }

    // MARK: Asking

    /// Why the pod may not go to a node, nil when it may.
    func rejection(_ slot: Int, _ table: NodeTable) -> Rejection? {
        for constraint in hard {
            guard let count = constraint.counted.count(slot, table) else { return .spreadMissingLabel }
            if count > constraint.limit { return .spread }
        }
        for rule in affinity {
            guard let count = rule.count(slot, table) else { return .affinity }
            if count == 0, !isFirstOfGroup { return .affinity }
        }
        for rule in antiAffinity {
            if let count = rule.count(slot, table), count > 0 { return .antiAffinity }
        }
        for rule in existing {
            if let count = rule.count(slot, table), count > 0 { return .existingAntiAffinity }
        }
        for limit in constraints where !limit.allows(slot, table) { return .constraint }
        return nil
    }

    func candidate(_ slot: Int, key: UInt64, _ table: NodeTable) -> Candidate {
        var spread = 0.0
        for constraint in soft {
            guard let count = constraint.counted.count(slot, table) else {
                spread = -1
                break
            }
            spread += Double(count) * constraint.weight + Double(constraint.maxSkew - 1)
        }
        let affinity = preferences.reduce(0) { $0 + Int($1.count(slot, table) ?? 0) }
        return Candidate(slot: slot, key: key, spread: spread, affinity: affinity)
    }

    /// The best by the node's own score plus 2 × spread plus 2 × affinity, each brought to 0…100 over all candidates.
    func best(_ candidates: [Candidate]) -> Int? {
        let spreads = candidates.lazy.map(\.spread).filter { $0 >= 0 }
        let leastSpread = spreads.min() ?? 0
        let mostSpread = spreads.max() ?? 0
        let leastAffinity = candidates.lazy.map(\.affinity).min() ?? 0
        let mostAffinity = candidates.lazy.map(\.affinity).max() ?? 0
        var best: (score: Int, tie: UInt64, slot: Int)?
        for candidate in candidates {
            var score = PodClass.score(candidate.key)
            if !soft.isEmpty, candidate.spread >= 0 {
                let share = mostSpread == 0 ? 1 : (mostSpread + leastSpread - candidate.spread) / mostSpread
                score += 2 * Int(bounded: 100 * share)
            }
            if mostAffinity > leastAffinity {
                score += 2 * (100 * (candidate.affinity - leastAffinity) / (mostAffinity - leastAffinity))
            }
            let tie = candidate.key & 0xffff_ffff_ffff
            if let known = best, (known.score, known.tie) >= (score, tie) { continue }
            best = (score, tie, candidate.slot)
        }
        return best?.slot
    }
}
