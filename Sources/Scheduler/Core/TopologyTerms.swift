import ObjectModel

/// Counts, per node, of the pods that rules between pods are about.
///
/// Every distinct selection that a spread constraint or an affinity term uses is registered once; placing or removing a
/// pod changes the counts of the selections that match it. Which ones can match is found by namespace and by one label
/// pair, so that thousands of deployments with rules of their own do not slow each other down.
struct TopologyTerms {
    struct Term {
        var selection: PodSelection
        /// Matching pods per node slot; kept only once a pod that must be placed asks (`isCounted`).
        var matching: [Int32: Int32] = [:]
        var isCounted = false
        /// Pods per node slot that hold this selection as required anti-affinity.
        var requiredAnti: [Int32: Int32] = [:]
        /// Sum of weights per node slot with which placed pods prefer (or, negative, avoid) what matches.
        var preference: [Int32: Int32] = [:]
    }
    private struct Pair: Hashable {
        var key: String
        var value: String
    }
    private struct Bucket {
        var byPair: [Pair: [Int]] = [:]
        var rest: [Int] = []

        mutating func add(_ id: Int, _ selector: LabelSelector?) {
            if let exact = selector?.requirements.first(where: { $0.op == .in && $0.values.count == 1 }) {
                byPair[Pair(key: exact.key, value: exact.values[0]), default: []].append(id)
            } else {
                rest.append(id)
            }
        }
        func visit(_ labels: [String: String], _ body: (Int) -> Void) {
            for id in rest { body(id) }
            if byPair.isEmpty { return }
            for (key, value) in labels {
                guard let ids = byPair[Pair(key: key, value: value)] else { continue }
                for id in ids { body(id) }
            }
        }
    }

    private(set) var terms: [Term] = []
    private var ids: [PodSelection: Int] = [:]
    private var byNamespace: [String: Bucket] = [:]
    /// Terms with a namespace selector.
    private var wide = Bucket()
    /// Labels of namespaces, for namespace selectors.
    var namespaces: [String: [String: String]] = [:]

    subscript(id: Int) -> Term { terms[id] }
    var count: Int { terms.count }

    /// The number of a selection.
    mutating func register(_ selection: PodSelection) -> Int {
        if let id = ids[selection] { return id }
        let id = terms.count
        terms.append(Term(selection: selection))
        ids[selection] = id
        if selection.namespaceSelector != nil {
            wide.add(id, selection.selector)
        } else {
            for namespace in selection.namespaces {
                byNamespace[namespace, default: Bucket()].add(id, selection.selector)
            }
        }
        return id
    }

    /// The number of a selection whose matching pods are counted from now on.
    /// - Parameter placed: everything placed now, to count from.
    mutating func registerCounted(_ selection: PodSelection, placed: () -> [(pod: PodView, slot: Int)]) -> Int {
        let id = register(selection)
        guard !terms[id].isCounted else { return id }
        terms[id].isCounted = true
        for (pod, slot) in placed() where counts(terms[id].selection, pod) {
            terms[id].matching[Int32(slot), default: 0] += 1
        }
        return id
    }

    /// Registered terms whose selection matches a pod.
    func matching(_ pod: PodView) -> [Int] {
        if terms.isEmpty { return [] }
        var found: [Int] = []
        let labels = namespaces[pod.key.namespace]
        let check: (Int) -> Void = { id in
            let selection = terms[id].selection
            if selection.matches(namespace: pod.key.namespace, labels: pod.labels, namespaceLabels: labels) {
                found.append(id)
            }
        }
        byNamespace[pod.key.namespace]?.visit(pod.labels, check)
        wide.visit(pod.labels, check)
        return found
    }

    func counts(_ selection: PodSelection, _ pod: PodView) -> Bool {
        if pod.isTerminating, !selection.countsTerminating { return false }
        return selection.matches(
            namespace: pod.key.namespace, labels: pod.labels, namespaceLabels: namespaces[pod.key.namespace])
    }

    /// A pod came to a node (`sign` 1) or left it (-1).
    mutating func change(_ pod: PodView, slot: Int, sign: Int32) {
        let slot = Int32(slot)
        for id in matching(pod) where terms[id].isCounted {
            if pod.isTerminating, !terms[id].selection.countsTerminating { continue }
            terms[id].matching.add(sign, at: slot)
        }
        let template = pod.template
        if template.affinity.isEmpty && template.antiAffinity.isEmpty { return }
        for selection in template.antiAffinity.required {
            let id = register(selection)
            terms[id].requiredAnti.add(sign, at: slot)
        }
        // A placed pod's required affinity counts as a preference of weight 1 for the pods it wants near.
        for selection in template.affinity.required {
            let id = register(selection)
            terms[id].preference.add(sign, at: slot)
        }
        for preferred in template.affinity.preferred {
            let id = register(preferred.term)
            terms[id].preference.add(sign * Int32(clamping: min(preferred.weight, 100)), at: slot)
        }
        for preferred in template.antiAffinity.preferred {
            let id = register(preferred.term)
            terms[id].preference.add(-sign * Int32(clamping: min(preferred.weight, 100)), at: slot)
        }
    }
}

extension [Int32: Int32] {
    /// Adds, and forgets entries that become zero.
    fileprivate mutating func add(_ amount: Int32, at slot: Int32) {
        let sum = self[slot, default: 0] &+ amount
        self[slot] = sum == 0 ? nil : sum
    }
}
