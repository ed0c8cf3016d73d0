import JSON
import ObjectModel

/// The arithmetic of rollouts: how many replicas each replica set should have next. Pure: numbers in, numbers out.
struct RolloutPlan: Sendable, Hashable {
    var replicas: Int
    var isRecreate: Bool
    /// Pods above `replicas` a rolling update may use.
    var maxSurge: Int
    /// Pods below `replicas` a rolling update may leave available.
    var maxUnavailable: Int

    /// One replica set as the arithmetic sees it.
    struct Set: Sendable, Hashable {
        var name: String
        /// `spec.replicas`
        var size: Int
        var available: Int
        var created: Timestamp
        /// `deployment.kubernetes.io/max-replicas`, replicas plus surge when it was last scaled.
        var maxReplicas: Int?

        init(name: String, size: Int, available: Int, created: Timestamp, maxReplicas: Int? = nil) {
            self.name = name
            self.size = size
            self.available = available
            self.created = created
            self.maxReplicas = maxReplicas
        }
    }

    init(replicas: Int, maxSurge: Int, maxUnavailable: Int, isRecreate: Bool = false) {
        self.replicas = replicas
        self.maxSurge = isRecreate ? 0 : maxSurge
        self.maxUnavailable = isRecreate ? 0 : maxUnavailable
        self.isRecreate = isRecreate
    }

    /// From `spec` of a deployment: surge is rounded up, unavailable down, and when both come to 0 one pod may be
    /// unavailable, else nothing could ever move.
    init(spec: JSON) {
        let replicas = spec["replicas"].int ?? 1
        let rolling = spec["strategy"]["rollingUpdate"]
        let isRecreate = spec["strategy"]["type"].string == "Recreate"
        let surge = (IntOrPercent(rolling["maxSurge"]) ?? .percent(25)).value(of: replicas, roundingUp: true)
        var unavailable = (IntOrPercent(rolling["maxUnavailable"]) ?? .percent(25))
            .value(of: replicas, roundingUp: false)
        if surge == 0 && unavailable == 0 { unavailable = 1 }
        self.init(
            replicas: replicas, maxSurge: surge, maxUnavailable: min(unavailable, replicas), isRecreate: isRecreate)
    }

    /// Replicas plus surge.
    var ceiling: Int { replicas + maxSurge }

    /// The next size of the new replica set.
    /// - Parameter total: sizes of all replica sets, the new one included.
    func newSetSize(current: Int, total: Int) -> Int {
        if isRecreate || current >= replicas { return replicas }
        guard total < ceiling else { return current }
        return current + min(ceiling - total, replicas - current)
    }

    /// The next sizes of old replica sets that change, by name: first those of pods that are not available anyway
    /// (oldest set first), then as many available ones as the minimum allows.
    func oldSetSizes(new: Set?, old: [Set]) -> [String: Int] {
        var old = old.filter { $0.size > 0 }.sorted { ($0.created, $0.name) < ($1.created, $1.name) }
        guard !old.isEmpty else { return [:] }
        var changes: [String: Int] = [:]
        let minimum = replicas - maxUnavailable
        let total = old.reduce(new?.size ?? 0) { $0 + $1.size }
        let newUnavailable = new.map { max($0.size - $0.available, 0) } ?? 0
        var budget = total - minimum - newUnavailable
        guard budget > 0 else { return [:] }
        for index in old.indices where budget > 0 {
            let step = min(budget, max(old[index].size - old[index].available, 0))
            guard step > 0 else { continue }
            old[index].size -= step
            budget -= step
            changes[old[index].name] = old[index].size
        }
        let available = old.reduce(new?.available ?? 0) { $0 + $1.available }
        var spare = available - minimum
        for index in old.indices where spare > 0 {
            let step = min(spare, old[index].size)
            guard step > 0 else { continue }
            old[index].size -= step
            spare -= step
            changes[old[index].name] = old[index].size
        }
        return changes
    }

    /// The next sizes of all active replica sets when the deployment is scaled in the middle of a rollout: each gets
    /// its share of the change, the biggest one what rounding leaves.
    /// - Parameter statusReplicas: what stands for `maxReplicas` of a set that was never annotated.
    func proportionalSizes(of sets: [Set], statusReplicas: Int) -> [String: Int] {
        let target = replicas > 0 ? ceiling : 0
        let total = sets.reduce(0) { $0 + $1.size }
        let change = target - total
        // Growth favours the newer of equals, shrinking takes from the older.
        let ordered = sets.sorted { left, right in
            if left.size != right.size { return left.size > right.size }
            if left.created != right.created {
                return change > 0 ? left.created > right.created : left.created < right.created
            }
            return left.name < right.name
        }
        var sizes: [String: Int] = [:]
        var given = 0
        for set in ordered {
            let share = change == 0 ? 0 : self.share(of: set, change: change, given: given, statusReplicas)
            sizes[set.name] = set.size + share
            given += share
        }
        if change != 0, let first = ordered.first {
            sizes[first.name] = max((sizes[first.name] ?? 0) + change - given, 0)
        }
        return sizes
    }

    private func share(of set: Set, change: Int, given: Int, _ statusReplicas: Int) -> Int {
        let allowed = change - given
        guard set.size != 0, allowed != 0 else { return 0 }
        let fraction: Int
        if replicas == 0 {
            fraction = -set.size
        } else {
            let before = set.maxReplicas.flatMap { $0 > 0 ? $0 : nil } ?? statusReplicas
            guard before > 0 else { return 0 }
            let scaled = (Double(set.size) * Double(ceiling) / Double(before)).rounded()
            fraction = Int(scaled) - set.size
        }
        return change > 0 ? min(fraction, allowed) : max(fraction, allowed)
    }
}
