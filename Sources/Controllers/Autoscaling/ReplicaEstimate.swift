import JSON
import ObjectModel

/// How many replicas a metric asks for. Pure.
struct ReplicaEstimate {
    /// What is known of a pod of the target.
    struct Pod: Sendable {
        var name: String
        var phase: PodView.Phase
        var isTerminating = false
        var isReady = true
        /// When readiness last changed, and when the pod began.
        var readyTransition: Timestamp?
        var started: Timestamp?
        /// Milli-units asked for by the containers that count; nil: one of them asks for nothing.
        var request: Int?
        /// The container that asks for nothing.
        var lacking = ""
    }
    /// Usage of a pod, in milli-units.
    struct Sample: Sendable {
        var value: Int
        var at: Timestamp
        var window: Duration
    }
    struct Result: Sendable, Equatable {
        var replicas: Int
        /// Percent of the requests; nil for targets in absolute values.
        var utilization: Int?
        /// Milli-units per pod.
        var average: Int
    }
    struct Failure: Error, Sendable, Equatable, CustomStringConvertible {
        let description: String
    }
    private var isCPU: Bool { resource == "cpu" }

    /// Relative difference that does not count.
    struct Tolerance: Sendable {
        var up = 0.1
        var down = 0.1
        func contains(_ ratio: Double) -> Bool { ratio >= 1 - down && ratio <= 1 + up }
    }

    /// `cpu` or `memory`.
    var resource: String
    var tolerance = Tolerance()

    init(resource: String) { self.resource = resource }

    /// CPU use of a pod that starts says nothing about its load.
    private static let cpuInitialization: Duration = .seconds(300)
    private static let readinessDelay: Duration = .seconds(30)

    /// - Parameters:
    ///   - utilization: wanted percent of the requests, or
    ///   - averageValue: wanted milli-units per pod.
    func replicas(
        current: Int, pods: [Pod], samples: [String: Sample], utilization: Int? = nil, averageValue: Int? = nil,
        now: Timestamp
    ) throws(Failure) -> Result {
        var values = samples.mapValues(\.value)
        var (ready, unready, missing): (Int, [Pod], [Pod]) = (0, [], [])
        for pod in pods {
            if pod.isTerminating || pod.phase == .failed {
                values[pod.name] = nil
            } else if pod.phase == .pending {
                unready.append(pod)
            } else if let sample = samples[pod.name] {
                if isCPU, isStarting(pod, sample, now) { unready.append(pod) } else { ready += 1 }
            } else {
                missing.append(pod)
            }
        }
        for pod in unready { values[pod.name] = nil }
        let requests = Dictionary(pods.map { ($0.name, $0.request ?? 0) }, uniquingKeysWith: { $1 })
        if utilization != nil {
            for pod in pods where pod.request == nil && !pod.isTerminating && pod.phase != .failed {
                throw Failure(
                    description: "missing request for \(resource) in container \(pod.lacking) of Pod \(pod.name)")
            }
        }
        if values.isEmpty {
            throw Failure(description: "did not receive metrics for targeted pods (pods might be unready)")
        }
        func measure() -> (ratio: Double, percent: Int?, average: Int) {
            let total = values.values.reduce(0) { $0.addingSaturated($1) }
            let average = total / max(values.count, 1)
            guard let utilization else {
                return (Double(total) / Double(values.count) / Double(max(averageValue ?? 1, 1)), nil, average)
            }
            let asked = values.keys.reduce(0) { $0.addingSaturated(requests[$1] ?? 0) }
            let percent = asked > 0 ? total.multipliedSaturated(by: 100) / asked : 0
            return (Double(percent) / Double(max(utilization, 1)), percent, average)
        }
        let first = measure()
        let countsUnready = !unready.isEmpty && first.ratio > 1
        func result(_ replicas: Int) -> Result {
            Result(replicas: replicas, utilization: first.percent, average: first.average)
        }
        if !countsUnready, missing.isEmpty {
            if tolerance.contains(first.ratio) { return result(current) }
            return result(Self.roundUp(first.ratio * Double(ready)))
        }
        // Pods nobody knows about are taken to be as the target on the way down, idle on the way up.
        for pod in missing {
            if first.ratio < 1 {
                values[pod.name] =
                    utilization.map { (requests[pod.name] ?? 0).multipliedSaturated(by: max(100, $0)) / 100 }
                    ?? averageValue ?? 0
            } else if first.ratio > 1 {
                values[pod.name] = 0
            }
        }
        if countsUnready { for pod in unready { values[pod.name] = 0 } }
        let second = measure().ratio
        if tolerance.contains(second) || (first.ratio < 1 && second > 1) || (first.ratio > 1 && second < 1) {
            return result(current)
        }
        let wanted = Self.roundUp(second * Double(values.count))
        if (second < 1 && wanted > current) || (second > 1 && wanted < current) { return result(current) }
        return result(wanted)
    }

    private func isStarting(_ pod: Pod, _ sample: Sample, _ now: Timestamp) -> Bool {
        guard let transition = pod.readyTransition, let started = pod.started else { return true }
        if started + Self.cpuInitialization > now {
            return !pod.isReady || sample.at < transition + sample.window
        }
        return !pod.isReady && started + Self.readinessDelay > transition
    }

    private static func roundUp(_ value: Double) -> Int {
        value >= 1e9 ? 1_000_000_000 : Int(bounded: value.rounded(.up))
    }
}
