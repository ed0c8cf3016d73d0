import ObjectModel

/// A counting constraint of Marathon for one pod: which values of its field may take one more instance.
struct ConstraintLimit {
    private var counted: PodRules.Counted
    /// Whether a value with so many instances may get the pod.
    private var allowed: Allowed

    private enum Allowed {
        /// Values with fewer than so many.
        case below(Int32)
        /// This value alone.
        case only(Int32)
        /// Values with fewer than `full`, so many more with exactly `full`, and unused ones if there may be more.
        case even(full: Int32, mayFill: Bool, mayOpen: Bool)
    }

    init(_ rule: MarathonConstraint.Rule, _ counted: PodRules.Counted, _ pod: PodView, _ core: SchedulerCore) {
        self.counted = counted
        switch rule {
        case .maximumPer(let most): allowed = .below(Int32(clamping: most))
        case .cluster:
            // They are together; if they are not, where most of them are.
            let most = counted.counts.indices.max { counted.counts[$0] < counted.counts[$1] }
            if let most, counted.counts[most] > 0 {
                allowed = .only(Int32(truncatingIfNeeded: most))
            } else {
                allowed = .below(1)
            }
        case .groupBy(let minimum):
            let used = counted.counts.count { $0 > 0 }
            let wanted = minimum ?? Self.domains(counted.topology, pod, core)
            let groups = max(wanted, used, 1)
            let instances = core.groupSize(of: pod)
            let full = Int32(clamping: instances / groups)
            let fuller = counted.counts.count { $0 > full }
            allowed = .even(full: full, mayFill: fuller < instances % groups, mayOpen: used < wanted)
        default: allowed = .below(1)
        }
    }

    /// How many values the nodes have that the pod could go to.
    private static func domains(_ topology: Int, _ pod: PodView, _ core: SchedulerCore) -> Int {
        let kept = core.podClass(pod.template)
        let domain = core.table.topologies[topology].domain
        var found: Set<Int32> = []
        for slot in domain.indices where domain[slot] >= 0 && kept.rejections[slot].isEmpty {
            found.insert(domain[slot])
        }
        return found.count
    }

    func allows(_ slot: Int, _ table: NodeTable) -> Bool {
        guard let count = counted.count(slot, table) else { return false }
        switch allowed {
        case .below(let limit): return count < limit
        case .only(let domain): return table.topologies[counted.topology].domain[slot] == domain
        case .even(let full, let mayFill, let mayOpen):
            if count == 0 { return mayOpen }
            return count < full || count == full && mayFill
        }
    }
}

extension MarathonConstraint {
    /// The instances that are counted together with a pod.
    func selection(of pod: PodView) -> PodSelection {
        PodSelection(
            selector: LabelSelector([
                .init(key: Self.groupLabel, op: .in, values: [pod.template.constraintGroup])
            ]),
            namespaces: [pod.key.namespace], namespaceSelector: nil, topologyKey: field.topologyKey,
            countsTerminating: false)
    }
}

extension SchedulerCore {
    /// Which instances belong together.
    struct ConstraintGroup: Hashable {
        var namespace: String
        var name: String
    }

    /// Instances of the pod's app that run or wait, the pod included.
    func groupSize(of pod: PodView) -> Int {
        max(groupSizes[ConstraintGroup(namespace: pod.key.namespace, name: pod.template.constraintGroup)] ?? 0, 1)
    }

    /// Notes that a pod takes the place of another version of itself.
    func countInGroup(_ old: PodView?, _ new: PodView?) {
        func change(_ pod: PodView?, by amount: Int) {
            guard let pod, !pod.template.constraints.isEmpty, !pod.isTerminating else { return }
            let group = ConstraintGroup(namespace: pod.key.namespace, name: pod.template.constraintGroup)
            let size = (groupSizes[group] ?? 0) + amount
            groupSizes[group] = size > 0 ? size : nil
        }
        change(old, by: -1)
        change(new, by: 1)
    }
}
