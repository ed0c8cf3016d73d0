import Ledger
import ObjectModel

extension SchedulerCore {
    /// Tries up to `limit` waiting pods and commits what was found in one transaction.
    func schedule(limit: Int, now: Instant) -> [Decision] {
        tidy()
        refreshFromLedger()
        var decisions: [Decision] = gatedToReport.map { .gated($0) }
        gatedToReport = []
        var chosen: [(entry: SchedulingQueue.Entry, slot: Int)] = []
        var tried = 0
        while tried < limit, let entry = queue.pop(now: now) {
            tried += 1
            let pod = entry.pod
            if let slot = choose(pod) {
                table.charge(slot, pod.template, sign: 1)
                placed[pod.uid] = Placed(pod: pod, slot: slot, isAssumed: true, attempts: entry.attempts)
                settle(pod, slot, sign: 1)
                denominate(pod.uid)
                chosen.append((entry, slot))
            } else {
                decisions.append(reject(entry, now: now))
            }
        }
        let results = ledger.commit(
            chosen.map { $0.entry.pod.claim(on: table.names[$0.slot], isBound: false) })
        for ((entry, slot), result) in zip(chosen, results) {
            if result.isCommitted {
                decisions.append(.bind(entry.pod, node: table.names[slot]))
                continue
            }
            // Somebody else was faster on this node: what the ledger says is looked at again in the next pass.
            placed[entry.pod.uid] = nil
            settle(entry.pod, slot, sign: -1)
            table.charge(slot, entry.pod.template, sign: -1)
            queue.putBack(entry)
        }
        return decisions
    }

    // MARK: One pod

    /// The node for a pod, nil when there is none.
    private func choose(_ pod: PodView) -> Int? {
        let volumeNodes: [[NodeSelectorTerm]]
        switch volumeTerms(of: pod) {
        case .blocked: return nil
        case .nodes(let terms): volumeNodes = terms
        }
        let template = pod.template
        if let slot = nominations[pod.uid], table.rows[slot].isPresent, isFeasible(pod, slot, volumeNodes) {
            return slot
        }
        if let names = template.pinnedNodes {
            // Daemon pods: a class of their own per node would evaluate the whole cluster for each.
            return names.lazy.compactMap { self.table.slots[$0] }.first { isFeasible(pod, $0, volumeNodes) }
        }
        let kept = podClass(template)
        let matching = terms.matching(pod)
        let isRelated = matching.contains { !terms[$0].requiredAnti.isEmpty || !terms[$0].preference.isEmpty }
        if template.isNodeLocal, !isRelated, volumeNodes.isEmpty { return kept.best() }
        return choose(pod, kept, PodRules(pod, self, matching: matching), volumeNodes)
    }

    /// The scan for pods that depend on other pods: every node that fits by itself is checked against the rules.
    private func choose(
        _ pod: PodView, _ kept: PodClass, _ rules: PodRules, _ volumeNodes: [[NodeSelectorTerm]]
    ) -> Int? {
        if rules.isSimple, volumeNodes.isEmpty {
            var best: UInt64 = 0
            for (slot, key) in kept.keys.enumerated() where key > best {
                if rules.rejection(slot, table) == nil { best = key }
            }
            return best == 0 ? nil : PodClass.slot(best)
        }
        var candidates: [PodRules.Candidate] = []
        for (slot, key) in kept.keys.enumerated() where key != 0 {
            guard rules.rejection(slot, table) == nil, matchesVolumes(volumeNodes, slot) else { continue }
            candidates.append(rules.candidate(slot, key: key, table))
        }
        return rules.best(candidates)
    }

    /// Everything about one node in full; for the few that are asked about by name.
    func isFeasible(_ pod: PodView, _ slot: Int, _ volumeNodes: [[NodeSelectorTerm]]) -> Bool {
        guard let node = table.views[slot], NodeFilters.rejection(pod.template, node).isEmpty,
            NodeFit.problems(pod.template, table.extras[slot], excluding: pod.uid).isEmpty,
            matchesVolumes(volumeNodes, slot)
        else { return false }
        let matching = terms.matching(pod)
        if pod.template.isNodeLocal, matching.allSatisfy({ terms[$0].requiredAnti.isEmpty }) { return true }
        return PodRules(pod, self, matching: matching).rejection(slot, table) == nil
    }

    // MARK: Volumes

    enum VolumeAnswer {
        case nodes([[NodeSelectorTerm]])
        /// No node can do; kube-scheduler's words.
        case blocked(String)
    }

    /// VolumeBinding: every claim must exist and be bound, and bound volumes say which nodes reach them.
    func volumeTerms(of pod: PodView) -> VolumeAnswer {
        var terms: [[NodeSelectorTerm]] = []
        for name in pod.template.volumeClaims {
            guard let claim = claims[ObjectKey(namespace: pod.key.namespace, name: name)] else {
                return .blocked("persistentvolumeclaim \"\(name)\" not found")
            }
            if claim.isLost {
                return .blocked(
                    "persistentvolumeclaim \"\(name)\" bound to non-existent persistentvolume \"\(claim.volumeName)\"")
            }
            if claim.isTerminating { return .blocked("persistentvolumeclaim \"\(name)\" is being deleted") }
            if claim.volumeName.isEmpty { return .blocked("pod has unbound immediate PersistentVolumeClaims") }
            if let nodes = volumes[claim.volumeName]?.nodes { terms.append(nodes) }
        }
        return .nodes(terms)
    }

    func matchesVolumes(_ terms: [[NodeSelectorTerm]], _ slot: Int) -> Bool {
        if terms.isEmpty { return true }
        guard let node = table.views[slot] else { return false }
        return terms.allSatisfy { alternatives in alternatives.contains { $0.matches(node) } }
    }
}
