import ObjectModel

/// Which pods go first when there are too many.
enum PodRanking {
    /// The facts the order is made from.
    struct Candidate: Sendable {
        var uid: String
        var isAssigned: Bool
        var phaseRank: Int
        var isReady: Bool
        var deletionCost: Int
        /// Ready pods of the same family on its node.
        var siblingsOnNode: Int
        var readySince: Timestamp?
        var restarts: Int
        var created: Timestamp
    }

    /// True when `left` is to be deleted before `right`: not yet on a node, not running, not ready, cheaper, with more
    /// siblings on its node, ready for a shorter time, restarted more often, younger. Times are compared by their order
    /// of magnitude, so that pods of one rollout are told apart by chance (their uid) and not by seconds.
    static func isDeletedFirst(_ left: Candidate, _ right: Candidate, now: Timestamp) -> Bool {
        if left.isAssigned != right.isAssigned { return !left.isAssigned }
        if left.phaseRank != right.phaseRank { return left.phaseRank < right.phaseRank }
        if left.isReady != right.isReady { return !left.isReady }
        if left.deletionCost != right.deletionCost { return left.deletionCost < right.deletionCost }
        if left.siblingsOnNode != right.siblingsOnNode { return left.siblingsOnNode > right.siblingsOnNode }
        if left.isReady, left.readySince != right.readySince {
            guard let a = left.readySince else { return true }
            guard let b = right.readySince else { return false }
            if magnitude(now, a) != magnitude(now, b) { return magnitude(now, a) < magnitude(now, b) }
        }
        if left.restarts != right.restarts { return left.restarts > right.restarts }
        if magnitude(now, left.created) != magnitude(now, right.created) {
            return magnitude(now, left.created) < magnitude(now, right.created)
        }
        return left.uid < right.uid
    }

    /// The `count` pods to delete.
    /// - Parameter related: all active pods of the family (of every replica set of the deployment), for spreading.
    static func choose(_ count: Int, of pods: [PodView], related: [PodView], now: Timestamp) -> [PodView] {
        guard count < pods.count else { return pods }
        var perNode: [String: Int] = [:]
        for pod in related where pod.isReady && !pod.nodeName.isEmpty { perNode[pod.nodeName, default: 0] += 1 }
        let ranked = pods.map { pod in
            (
                pod,
                Candidate(
                    uid: pod.uid, isAssigned: !pod.nodeName.isEmpty, phaseRank: pod.phase.rank, isReady: pod.isReady,
                    deletionCost: pod.deletionCost, siblingsOnNode: perNode[pod.nodeName] ?? 0,
                    readySince: pod.readyTransition, restarts: pod.restartCount, created: pod.created)
            )
        }
        return ranked.sorted { isDeletedFirst($0.1, $1.1, now: now) }.prefix(count).map(\.0)
    }

    /// Binary order of magnitude of an age in seconds.
    private static func magnitude(_ now: Timestamp, _ then: Timestamp) -> Int {
        let age = max(now.seconds - then.seconds, 0)
        return Int64.bitWidth - age.leadingZeroBitCount
    }
}
