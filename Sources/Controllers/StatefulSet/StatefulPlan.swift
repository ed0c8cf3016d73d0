/// What a StatefulSet does next. Pure.
struct StatefulPlan: Sendable {
    struct Pod: Sendable, Hashable {
        var isReady: Bool
        /// Ready for minReadySeconds.
        var isAvailable: Bool
        var isTerminating: Bool
        /// Succeeded or Failed: it is replaced.
        var isFinished: Bool
        var revision: String
    }
    enum Action: Sendable, Hashable {
        case create(ordinal: Int, revision: String)
        case delete(ordinal: Int)
    }
    /// First ordinal.
    var start = 0
    var replicas: Int
    /// All at once instead of one after the other.
    var isParallel = false
    /// Ordinals below it stay at the current revision.
    var partition = 0
    var updatesOnDelete = false
    var currentRevision: String
    var updateRevision: String

    /// The revision that a new pod of an ordinal gets.
    func revision(of ordinal: Int) -> String {
        !updatesOnDelete && ordinal < start + partition ? currentRevision : updateRevision
    }

    /// The ordinals that should exist.
    var wanted: Range<Int> { start..<(start + replicas) }

    /// So many at once: a number of replicas that no cluster holds is made in bursts, each after the news of the last.
    private static let burst = 500

    /// - Parameter pods: by ordinal.
    func actions(_ pods: [Int: Pod]) -> [Action] {
        var actions: [Action] = []
        let wanted = self.wanted
        for ordinal in wanted {
            if actions.count >= Self.burst { return actions }
            guard let pod = pods[ordinal] else {
                actions.append(.create(ordinal: ordinal, revision: revision(of: ordinal)))
                if isParallel { continue }
                return actions
            }
            if pod.isFinished && !pod.isTerminating {
                actions.append(.delete(ordinal: ordinal))
                if isParallel { continue }
                return actions
            }
            // In order: the next waits until this one is up.
            if !isParallel && (pod.isTerminating || !pod.isReady || !pod.isAvailable) {
                // A pod that never comes up must not keep a fixed template from reaching it.
                return actions + updates(pods, wanted)
            }
        }
        let condemned = pods.keys.filter { !wanted.contains($0) }.sorted(by: >)
        // In order: one that is down stops those above it from going, as its data may be needed to bring it up.
        let firstDown = pods.filter { $1.isTerminating || !$1.isReady || !$1.isAvailable }.keys.min()
        for ordinal in condemned {
            guard let pod = pods[ordinal] else { continue }
            if pod.isTerminating {
                if isParallel { continue }
                return actions
            }
            if !isParallel, !pod.isReady || !pod.isAvailable, ordinal != firstDown { return actions }
            actions.append(.delete(ordinal: ordinal))
            if !isParallel { return actions }
        }
        return actions.isEmpty ? updates(pods, wanted) : actions
    }

    /// From the highest ordinal down, one at a time, each when the one before is up again.
    private func updates(_ pods: [Int: Pod], _ wanted: Range<Int>) -> [Action] {
        guard !updatesOnDelete, wanted.upperBound > start + partition else { return [] }
        for ordinal in wanted.reversed() where ordinal >= start + partition {
            guard let pod = pods[ordinal] else { return [] }
            if pod.isTerminating { return [] }
            if pod.revision != updateRevision { return [.delete(ordinal: ordinal)] }
            if !pod.isReady || !pod.isAvailable { return [] }
        }
        return []
    }
}
