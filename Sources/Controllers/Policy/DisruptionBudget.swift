import JSON
import ObjectModel

/// The arithmetic of pod disruption budgets. Pure.
struct DisruptionBudget: Sendable, Hashable {
    var expected: Int
    var healthy: Int
    var desired: Int

    /// - Parameters:
    ///   - pods: pods the budget selects.
    ///   - scale: the replicas that their owners want in all; asked only for percentages and `maxUnavailable`.
    init(spec: JSON, pods: Int, healthy: Int, scale: () throws -> Int) rethrows {
        self.healthy = healthy
        if let unavailable = IntOrPercent(spec["maxUnavailable"]) {
            expected = try scale()
            desired = max(expected - unavailable.value(of: expected, roundingUp: true), 0)
        } else if let available = IntOrPercent(spec["minAvailable"]) {
            if case .percent = available { expected = try scale() } else { expected = pods }
            desired = available.value(of: expected, roundingUp: true)
        } else {
            expected = pods
            desired = 0
        }
    }

    /// How many pods may be evicted now.
    var allowed: Int { expected > 0 ? max(healthy - desired, 0) : 0 }
}
