import ObjectModel

/// Why a pod found no node: the reasons and how many nodes each of them concerns.
struct Diagnosis {
    var total = 0
    var reasons: [String: Int] = [:]
    /// A reason for the pod as a whole, before any node was looked at.
    var overall: String?
    var rejectedBy: RejectedBy = []
    /// Slots where taking pods away might help.
    var resolvable: [Int] = []

    mutating func add(_ reason: String) { reasons[reason, default: 0] += 1 }

    /// `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.`
    var message: String {
        if total == 0 { return "no nodes available to schedule pods" }
        let text = overall ?? reasons.map { "\($0.value) \($0.key)" }.sorted().joined(separator: ", ")
        return "0/\(total) nodes are available: \(text)."
    }
}

extension SchedulerCore {
    /// Puts a pod that found no node back, after looking whether others can make room.
    /// - Returns: nil when there is nothing to say yet, because room is being made without taking pods away.
    func reject(_ entry: SchedulingQueue.Entry, now: Instant) -> Decision? {
        let pod = entry.pod
        let diagnosis = diagnose(pod)
        if askForOffers(pod, diagnosis) {
            // Offers come back at once, and their release wakes the pod; should it not, it says why after its back-off.
            queue.markFailed(entry, now: now)
            return nil
        }
        queue.markUnschedulable(entry, by: diagnosis.rejectedBy, now: now)
        guard diagnosis.total > 0 else { return .unschedulable(pod, message: diagnosis.message) }
        switch preempt(pod, diagnosis) {
        case .victims(let victims, let slot):
            let node = table.names[slot]
            nominate(pod, node)
            return .preempt(pod, node: node, victims: victims, message: diagnosis.message)
        case .none(let why):
            return .unschedulable(pod, message: "\(diagnosis.message) preemption: \(why)")
        }
    }

    /// Asks every node for its reason.
    func diagnose(_ pod: PodView) -> Diagnosis {
        var diagnosis = Diagnosis(total: table.presentCount)
        guard diagnosis.total > 0 else {
            diagnosis.rejectedBy = .noNodes
            return diagnosis
        }
        let needs: VolumeNeeds
        switch volumeNeeds(of: pod) {
        case .blocked(let why):
            diagnosis.overall = why
            // A pod that leaves can free a claim that only one may use.
            diagnosis.rejectedBy = [.volumes, .fit]
            return diagnosis
        case .needs(let found): needs = found
        }
        let rules = PodRules(pod, self, matching: terms.matching(pod))
        for slot in table.rows.indices {
            guard let node = table.views[slot] else { continue }
            diagnose(pod, slot, node, rules, needs, into: &diagnosis)
        }
        // Nothing speaks against a node any more: whatever happens next is worth another try.
        if diagnosis.rejectedBy.isEmpty { diagnosis.rejectedBy = .node }
        return diagnosis
    }

    /// The first filter that rejects the node, in kube-scheduler's order of plugins.
    private func diagnose(
        _ pod: PodView, _ slot: Int, _ node: NodeView, _ rules: PodRules, _ needs: VolumeNeeds,
        into diagnosis: inout Diagnosis
    ) {
        let rejection = NodeFilters.rejection(pod.template, node)
        if rejection.contains(.unschedulable) {
            diagnosis.add("node(s) were unschedulable")
            diagnosis.rejectedBy.insert(.nodeUnschedulable)
        } else if rejection.contains(.taint), let taint = NodeFilters.untoleratedTaint(pod.template, node) {
            diagnosis.add("node(s) had untolerated taint {\(taint.key): \(taint.value)}")
            diagnosis.rejectedBy.insert(.taints)
        } else if rejection.contains(.affinity) {
            diagnosis.add("node(s) didn't match Pod's node affinity/selector")
            diagnosis.rejectedBy.insert(.nodeAffinity)
        } else if rejection.contains(.constraint) {
            diagnosis.add(MarathonConstraint.reason)
            diagnosis.rejectedBy.insert(.nodeAffinity)
        } else if case let problems = NodeFit.problems(pod.template, table, slot, excluding: pod.uid),
            !problems.isEmpty
        {
            for problem in problems {
                diagnosis.add(problem.reason)
                diagnosis.rejectedBy.insert(problem.rejectedBy)
            }
            if problems.allSatisfy({ !exceedsNode(pod, slot, $0) }) { diagnosis.resolvable.append(slot) }
        } else if let problem = volumePlan(needs, slot).problem {
            diagnosis.add(problem.reason)
            diagnosis.rejectedBy.insert(.volumes)
        } else if let rejection = rules.rejection(slot, table) {
            diagnosis.add(rejection.reason)
            diagnosis.rejectedBy.insert(rejection.rejectedBy)
            if rejection.isResolvable { diagnosis.resolvable.append(slot) }
        }
    }

    /// Asks for the offers of a node back when the pod would fit there without them.
    /// - Returns: true when that was done for the first time.
    private func askForOffers(_ pod: PodView, _ diagnosis: Diagnosis) -> Bool {
        var best: (slot: Int, free: Int64)?
        for slot in diagnosis.resolvable where table.extras[slot].hasOffers && isFeasibleWithoutOffers(pod, slot) {
            let row = table.rows[slot]
            let free: Int64 = row.allocatableCPU - row.usedCPU + table.extras[slot].offered.milliCPU
            if let best, best.free >= free { continue }
            best = (slot, free)
        }
        guard let slot = best?.slot else { return false }
        // First the claim on what becomes free, so that it is not offered again.
        let isFirst = !reclaiming.contains(pod.uid)
        if nominations[pod.uid] != slot { nominate(pod, table.names[slot]) }
        reclaiming.insert(pod.uid)
        guard ledger.requestReclaim(node: table.names[slot], resources: pod.template.requests) else {
            denominate(pod.uid)
            return false
        }
        return isFirst
    }

    private func isFeasibleWithoutOffers(_ pod: PodView, _ slot: Int) -> Bool {
        guard NodeFit.problems(pod.template, table, slot, excluding: pod.uid, isOffered: false).isEmpty,
            case .needs(let needs) = volumeNeeds(of: pod), matchesVolumes(needs, slot)
        else { return false }
        return PodRules(pod, self, matching: terms.matching(pod)).rejection(slot, table) == nil
    }

    /// True when even the empty node has not enough.
    private func exceedsNode(_ pod: PodView, _ slot: Int, _ problem: NodeFit.Problem) -> Bool {
        guard case .insufficient(let name) = problem else { return false }
        return pod.template.requests[name] > table.extras[slot].allocatable[name]
    }
}
