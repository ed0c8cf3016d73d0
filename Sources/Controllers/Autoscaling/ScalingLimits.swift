import JSON
import ObjectModel

/// How fast a target may be scaled: `behavior` of an autoscaler, with Kubernetes's defaults. Pure.
struct ScalingLimits {
    struct Event: Sendable {
        var at: Timestamp
        /// Replicas added; negative: removed.
        var change: Int
    }
    struct Recommendation: Sendable {
        var at: Timestamp
        var replicas: Int
    }
    struct Decision: Sendable, Equatable {
        var replicas: Int
        var able: (reason: String, message: String)?
        var limited: (reason: String, message: String)?

        static func == (left: Decision, right: Decision) -> Bool {
            left.replicas == right.replicas && left.able?.reason == right.able?.reason
                && left.limited?.reason == right.limited?.reason
        }
    }
    private struct Policy {
        var isPercent: Bool
        var value: Int
        var period: Int
    }
    private struct Rules {
        var window: Int
        var select: String
        var policies: [Policy]
        var tolerance: Double

        init(_ json: JSON, window: Int, policies: [Policy]) {
            self.window = json["stabilizationWindowSeconds"].int ?? window
            select = json["selectPolicy"].string ?? "Max"
            let given = json["policies"].elements.map {
                Policy(
                    isPercent: $0["type"].string == "Percent", value: $0["value"].int ?? 0,
                    period: $0["periodSeconds"].int ?? 15)
            }
            self.policies = given.isEmpty ? policies : given
            tolerance = Quantity(json["tolerance"])?.doubleValue ?? 0.1
        }
    }
    private let minimum: Int
    private let maximum: Int
    private let up: Rules
    private let down: Rules

    init(_ spec: JSON) {
        minimum = spec["minReplicas"].int ?? 1
        maximum = spec["maxReplicas"].int ?? 1
        up = Rules(
            spec["behavior"]["scaleUp"], window: 0,
            policies: [
                Policy(isPercent: true, value: 100, period: 15), Policy(isPercent: false, value: 4, period: 15),
            ])
        down = Rules(
            spec["behavior"]["scaleDown"], window: 300,
            policies: [Policy(isPercent: true, value: 100, period: 15)])
    }

    var tolerance: ReplicaEstimate.Tolerance { .init(up: up.tolerance, down: down.tolerance) }
    /// How long events and recommendations matter.
    var memory: Duration {
        .seconds(max(up.window, down.window, (up.policies + down.policies).map(\.period).max() ?? 0))
    }

    /// The number to scale to, when the metrics ask for `desired`.
    /// - Parameter recommendations: earlier answers of the metrics, before any limit.
    func decide(
        current: Int, desired: Int, recommendations: [Recommendation], events: [Event], now: Timestamp
    ) -> Decision {
        var decision = Decision(replicas: stabilize(current, desired, recommendations, now))
        if decision.replicas != desired {
            decision.able =
                decision.replicas > desired
                ? (
                    "ScaleDownStabilized",
                    "recent recommendations were higher than current one, applying the highest recent recommendation"
                )
                : (
                    "ScaleUpStabilized",
                    "recent recommendations were lower than current one, applying the lowest recent recommendation"
                )
        }
        let wanted = decision.replicas
        if wanted > current {
            let limit = max(upLimit(current, events, now), current)
            if wanted > min(maximum, limit) {
                decision.replicas = min(maximum, limit)
                decision.limited =
                    maximum > limit
                    ? ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
                    : ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
            }
        } else if wanted < current {
            let limit = min(downLimit(current, events, now), current)
            if wanted < max(minimum, limit) {
                decision.replicas = max(minimum, limit)
                decision.limited =
                    minimum < limit
                    ? ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
                    : ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
            }
        }
        return decision
    }

    private func stabilize(_ current: Int, _ desired: Int, _ old: [Recommendation], _ now: Timestamp) -> Int {
        func recent(_ window: Int) -> [Int] { old.filter { $0.at > now + .seconds(-window) }.map(\.replicas) }
        let least = min(desired, recent(up.window).min() ?? desired)
        let most = max(desired, recent(down.window).max() ?? desired)
        var result = current
        if result < least { result = least }
        if result > most { result = most }
        return result
    }

    /// Replicas at the begin of a policy's period.
    private func base(_ current: Int, _ period: Int, _ events: [Event], _ now: Timestamp) -> Int {
        current - events.filter { $0.at > now + .seconds(-period) }.reduce(0) { $0 + $1.change }
    }

    private func upLimit(_ current: Int, _ events: [Event], _ now: Timestamp) -> Int {
        if up.select == "Disabled" { return current }
        let limits = up.policies.map { policy in
            let base = base(current, policy.period, events, now)
            return policy.isPercent
                ? base.multipliedSaturated(by: policy.value.addingSaturated(100)).addingSaturated(99) / 100
                : base.addingSaturated(policy.value)
        }
        return (up.select == "Min" ? limits.min() : limits.max()) ?? current
    }

    private func downLimit(_ current: Int, _ events: [Event], _ now: Timestamp) -> Int {
        if down.select == "Disabled" { return current }
        let limits = down.policies.map { policy in
            let base = base(current, policy.period, events, now)
            return policy.isPercent
                ? base.multipliedSaturated(by: 100 - policy.value) / 100 : base.subtractingSaturated(policy.value)
        }
        return (down.select == "Min" ? limits.max() : limits.min()) ?? current
    }
}
