import Ledger
import ObjectModel

extension SchedulerCore {
    /// Tries up to `limit` waiting pods and commits what was found in one transaction.
    func schedule(limit: Int, now: Instant) -> [Decision] {
        tidy()
        refreshFromLedger()
        var decisions: [Decision] = gatedToReport.map { .gated($0) }
        gatedToReport = []
        var chosen: [(entry: SchedulingQueue.Entry, slot: Int, ports: [Int], volumes: VolumePlan)] = []
        var quotas = refreshQuotas(now: now)
        var tried = 0
        while tried < limit, let entry = queue.pop(now: now) {
            tried += 1
            let pod = entry.pod
            if let quotas, isHeldBack(entry, quotas, now: now, &decisions) { continue }
            if let (slot, volumes) = choose(pod), let ports = choosePorts(pod, slot) {
                table.charge(slot, pod.template, ports: ports, sign: 1)
                placed[pod.uid] = Placed(pod: pod, slot: slot, isAssumed: true, ports: ports, attempts: entry.attempts)
                settle(pod, slot, sign: 1)
                denominate(pod.uid, isCommitting: true)
                assume(volumes, for: pod, slot)
                quotas?.charge(role: table.role(ofNamespace: pod.key.namespace), pod.template.requests)
                chosen.append((entry, slot, ports, volumes))
            } else if let decision = reject(entry, now: now) {
                decisions.append(decision)
            }
        }
        let results = ledger.commit(
            chosen.map {
                let pod = $0.entry.pod
                return pod.assumedClaim(
                    on: table.names[$0.slot], ports: $0.ports, role: table.role(ofNamespace: pod.key.namespace))
            })
        for ((entry, slot, ports, volumes), result) in zip(chosen, results) {
            if result.isCommitted {
                let node = table.names[slot]
                decisions.append(
                    volumes.isEmpty
                        ? .bind(entry.pod, node: node, ports: ports)
                        : .bindVolumes(entry.pod, node: node, ports: ports, volumes))
                continue
            }
            // Somebody else was faster on this node: what the ledger says is looked at again in the next pass.
            placed[entry.pod.uid] = nil
            forgetVolumes(of: entry.pod.uid)
            settle(entry.pod, slot, sign: -1)
            if table.rows[slot].hasReserves, let node = ledger.node(table.names[slot]) {
                table.refresh(slot, from: node)
            } else {
                table.charge(slot, entry.pod.template, ports: ports, sign: -1)
            }
            ledger.remove(.nomination(uid: entry.pod.uid))
            if case .overQuota(let problem) = result {
                decisions.append(holdBack(entry, problem, now: now))
            } else {
                queue.putBack(entry)
            }
        }
        return decisions
    }

    // MARK: One pod

    /// The host ports of a pod on its node: one for each that it asks for, none for most pods.
    private func choosePorts(_ pod: PodView, _ slot: Int) -> [Int]? {
        guard !pod.template.portRequests.isEmpty else { return [] }
        var free = PortChoice(table.extras[slot].ports, table.extras[slot].portRanges)
        return free.choose(pod.template, start: Int(random.next() >> 33))
    }

    /// The node for a pod, with what its claims get there; nil when there is none.
    private func choose(_ pod: PodView) -> (slot: Int, volumes: VolumePlan)? {
        guard !pod.template.volumeClaims.isEmpty else { return choose(pod, VolumeNeeds()).map { ($0, [:]) } }
        guard case .needs(let needs) = volumeNeeds(of: pod), let slot = choose(pod, needs) else { return nil }
        return (slot, volumePlan(needs, slot).plan)
    }

    private func choose(_ pod: PodView, _ needs: VolumeNeeds) -> Int? {
        let template = pod.template
        if let slot = nominations[pod.uid], table.rows[slot].isPresent, isFeasible(pod, slot, needs) {
            return slot
        }
        if let names = template.pinnedNodes {
            // Daemon pods: a class of their own per node would evaluate the whole cluster for each.
            return names.lazy.compactMap { self.table.slots[$0] }.first { isFeasible(pod, $0, needs) }
        }
        let kept = podClass(template)
        let matching = terms.matching(pod)
        let isRelated = matching.contains { !terms[$0].requiredAnti.isEmpty || !terms[$0].preference.isEmpty }
        if template.isNodeLocal, !isRelated, needs.isEmpty { return kept.best() }
        return choose(pod, kept, PodRules(pod, self, matching: matching), needs)
    }

    /// The scan for pods that depend on other pods: every node that fits by itself is checked against the rules.
    private func choose(
        _ pod: PodView, _ kept: PodClass, _ rules: PodRules, _ needs: VolumeNeeds
    ) -> Int? {
        if rules.isSimple, needs.isEmpty {
            var best: UInt64 = 0
            for (slot, key) in kept.keys.enumerated() where key > best {
                if rules.rejection(slot, table) == nil { best = key }
            }
            return best == 0 ? nil : PodClass.slot(best)
        }
        var candidates: [PodRules.Candidate] = []
        for (slot, key) in kept.keys.enumerated() where key != 0 {
            guard rules.rejection(slot, table) == nil, matchesVolumes(needs, slot) else { continue }
            candidates.append(rules.candidate(slot, key: key, table))
        }
        return rules.best(candidates)
    }

    /// Everything about one node in full; for the few that are asked about by name.
    func isFeasible(_ pod: PodView, _ slot: Int, _ needs: VolumeNeeds) -> Bool {
        guard let node = table.views[slot], NodeFilters.rejection(pod.template, node).isEmpty,
            NodeFit.problems(pod.template, table, slot, excluding: pod.uid).isEmpty,
            matchesVolumes(needs, slot)
        else { return false }
        let matching = terms.matching(pod)
        if pod.template.isNodeLocal, matching.allSatisfy({ terms[$0].requiredAnti.isEmpty }) { return true }
        return PodRules(pod, self, matching: matching).rejection(slot, table) == nil
    }
}
