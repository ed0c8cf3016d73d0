import ObjectModel

/// DefaultPreemption: which pods of lower priority to take away so that a pod fits.
extension SchedulerCore {
    enum PreemptionAnswer {
        case victims([PodView], slot: Int)
        /// Nothing helps; kube-scheduler's words.
        case none(String)
    }

    private struct Candidate {
        var slot: Int
        /// Most important first.
        var victims: [PodView]
        var violations: Int
    }

    func preempt(_ pod: PodView, _ diagnosis: Diagnosis) -> PreemptionAnswer {
        guard pod.mayPreempt else { return .none("not eligible due to preemptionPolicy=Never.") }
        if let slot = nominations[pod.uid],
            table.extras[slot].pods.values.contains(where: { $0.isTerminating && $0.priority < pod.priority })
        {
            return .none("not eligible due to a terminating pod on the nominated node.")
        }
        let unhelpful = diagnosis.total - diagnosis.resolvable.count
        let hasLower = placedPriorities.keys.contains { $0 < pod.priority }
        var victimless = 0
        var candidates: [Candidate] = []
        if hasLower, !diagnosis.resolvable.isEmpty {
            let needs: VolumeNeeds
            if case .needs(let found) = volumeNeeds(of: pod) { needs = found } else { needs = VolumeNeeds() }
            // A random part of the nodes is enough; trying them all would block everybody else.
            let wanted = max(diagnosis.total / 10, 100)
            let offset = Int(random.next() % UInt64(diagnosis.resolvable.count))
            for index in diagnosis.resolvable.indices {
                let slot = diagnosis.resolvable[(index + offset) % diagnosis.resolvable.count]
                if let candidate = candidate(pod, slot, needs) {
                    candidates.append(candidate)
                    if candidates.count >= wanted { break }
                } else {
                    victimless += 1
                }
            }
        } else {
            victimless = diagnosis.resolvable.count
        }
        if let best = candidates.min(by: Self.isBetter) { return .victims(best.victims, slot: best.slot) }
        var reasons: [String] = []
        if victimless > 0 { reasons.append("\(victimless) No preemption victims found for incoming pod") }
        if unhelpful > 0 { reasons.append("\(unhelpful) Preemption is not helpful for scheduling") }
        return .none("0/\(diagnosis.total) nodes are available: \(reasons.sorted().joined(separator: ", ")).")
    }

    /// The fewest victims that make room on a node; nil when even all of lower priority do not.
    private func candidate(_ pod: PodView, _ slot: Int, _ needs: VolumeNeeds) -> Candidate? {
        let lower = table.extras[slot].pods.values.filter { $0.priority < pod.priority }
            .sorted { Self.isMoreImportant($0, $1) }
        if lower.isEmpty { return nil }
        var removed = lower
        guard isFeasible(pod, slot, without: removed, needs) else { return nil }
        // Give back as many as possible, first those whose budget would be violated, the important before the others.
        let (violating, others) = splitByBudget(lower)
        var violations = 0
        for (group, isViolating) in [(violating, true), (others, false)] {
            for candidate in group {
                let without = removed.filter { $0.uid != candidate.uid }
                if isFeasible(pod, slot, without: without, needs) {
                    removed = without
                } else if isViolating {
                    violations += 1
                }
            }
        }
        return removed.isEmpty ? nil : Candidate(slot: slot, victims: removed, violations: violations)
    }

    private func isFeasible(
        _ pod: PodView, _ slot: Int, without removed: [PodView], _ needs: VolumeNeeds
    ) -> Bool {
        guard matchesVolumes(needs, slot),
            NodeFit.problems(pod.template, table, slot, excluding: pod.uid, removed: removed).isEmpty
        else { return false }
        for victim in removed { terms.change(victim, slot: slot, sign: -1) }
        defer { for victim in removed { terms.change(victim, slot: slot, sign: 1) } }
        let matching = terms.matching(pod)
        if pod.template.isNodeLocal, matching.allSatisfy({ terms[$0].requiredAnti.isEmpty }) { return true }
        return PodRules(pod, self, matching: matching).rejection(slot, table) == nil
    }

    /// Pods whose eviction would take more from a disruption budget than is left, and the others.
    private func splitByBudget(_ pods: [PodView]) -> (violating: [PodView], others: [PodView]) {
        if budgets.isEmpty { return ([], pods) }
        var left = budgets.mapValues(\.allowed)
        var violating: [PodView] = []
        var others: [PodView] = []
        for pod in pods {
            var isViolating = false
            for (key, budget) in budgets where key.namespace == pod.key.namespace {
                guard let selector = budget.selector, selector.matches(pod.labels) else { continue }
                left[key, default: 0] -= 1
                if left[key, default: 0] < 0 { isViolating = true }
            }
            if isViolating { violating.append(pod) } else { others.append(pod) }
        }
        return (violating, others)
    }

    private static func isMoreImportant(_ left: PodView, _ right: PodView) -> Bool {
        left.priority != right.priority ? left.priority > right.priority : left.started < right.started
    }

    /// Fewest violated budgets, lowest highest priority, lowest sum of priorities, fewest victims, latest start.
    private static func isBetter(_ left: Candidate, _ right: Candidate) -> Bool {
        if left.violations != right.violations { return left.violations < right.violations }
        let leftTop = left.victims.first?.priority ?? 0
        let rightTop = right.victims.first?.priority ?? 0
        if leftTop != rightTop { return leftTop < rightTop }
        // Shifted, so that more victims of negative priority do not look cheaper.
        let base = Int(Int32.max)
        let leftSum = left.victims.reduce(0) { $0 + $1.priority + base }
        let rightSum = right.victims.reduce(0) { $0 + $1.priority + base }
        if leftSum != rightSum { return leftSum < rightSum }
        if left.victims.count != right.victims.count { return left.victims.count < right.victims.count }
        let leftStart = left.victims.lazy.filter { $0.priority == leftTop }.map(\.started).min() ?? 0
        let rightStart = right.victims.lazy.filter { $0.priority == rightTop }.map(\.started).min() ?? 0
        return leftStart > rightStart
    }
}
