import JSON
import ObjectModel
import Testing

@testable import Controllers

@Suite struct AutoscalingTests {
    private static let now = Timestamp(seconds: 1_000_000)

    private static func pods(_ count: Int, request: Int? = 100, phase: PodView.Phase = .running) -> [ReplicaEstimate
        .Pod]
    {
        (0..<count).map {
            ReplicaEstimate.Pod(
                name: "p\($0)", phase: phase, readyTransition: Timestamp(seconds: 1000),
                started: Timestamp(seconds: 900), request: request, lacking: "c")
        }
    }
    private static func samples(_ values: Int...) -> [String: ReplicaEstimate.Sample] {
        Dictionary(
            uniqueKeysWithValues: values.enumerated().map {
                ("p\($0.offset)", ReplicaEstimate.Sample(value: $0.element, at: now, window: .seconds(15)))
            })
    }

    @Test("Replicas by use")
    func replicas() throws {
        let cpu = ReplicaEstimate(resource: "cpu")
        func estimate(_ pods: [ReplicaEstimate.Pod], _ samples: [String: ReplicaEstimate.Sample]) throws -> Int {
            try cpu.replicas(current: 3, pods: pods, samples: samples, utilization: 50, now: Self.now).replicas
        }
        #expect(try estimate(Self.pods(3), Self.samples(100, 100, 100)) == 6)
        #expect(try estimate(Self.pods(3), Self.samples(10, 10, 10)) == 1)
        // Within a tenth of the target.
        #expect(try estimate(Self.pods(3), Self.samples(54, 54, 54)) == 3)
        // The missing one is taken as idle on the way up, as fully used on the way down.
        #expect(try estimate(Self.pods(3), Self.samples(100, 100)) == 4)
        #expect(try estimate(Self.pods(3), Self.samples(10, 10)) == 3)
        // One that starts does not drive the number up.
        var starting = Self.pods(3)
        starting[2].isReady = false
        starting[2].started = Timestamp(seconds: 999_990)
        starting[2].readyTransition = Timestamp(seconds: 999_995)
        #expect(try estimate(starting, Self.samples(100, 100, 1000)) == 4)
        #expect(
            try cpu.replicas(
                current: 2, pods: Self.pods(2), samples: Self.samples(300, 300), averageValue: 200, now: Self.now)
                == ReplicaEstimate.Result(replicas: 3, utilization: nil, average: 300))
        #expect(throws: ReplicaEstimate.Failure(description: "missing request for cpu in container c of Pod p0")) {
            try estimate(Self.pods(1, request: nil), Self.samples(1))
        }
        #expect(throws: ReplicaEstimate.Failure.self) { try estimate(Self.pods(3, phase: .pending), Self.samples(1)) }
    }

    @Test("Scaling stays within speed, window and bounds")
    func limits() {
        func decide(
            _ behavior: JSON = .null, current: Int, desired: Int, old: [Int] = [], events: [(Int64, Int)] = [],
            maximum: Int = 100
        ) -> (Int, String?, String?) {
            var spec: JSON = ["minReplicas": 2, "maxReplicas": JSON(maximum)]
            if !behavior.isNull { spec["behavior"] = behavior }
            let decision = ScalingLimits(spec).decide(
                current: current, desired: desired,
                recommendations: old.map { .init(at: Self.now + .seconds(-20), replicas: $0) },
                events: events.map { .init(at: Self.now + .seconds(-$0.0), change: $0.1) }, now: Self.now)
            return (decision.replicas, decision.able?.reason, decision.limited?.reason)
        }
        #expect(decide(current: 2, desired: 5) == (5, nil, nil))
        // Four more or twice as many in 15 s, whatever is more.
        #expect(decide(current: 2, desired: 50) == (6, nil, "ScaleUpLimit"))
        #expect(decide(current: 10, desired: 50) == (20, nil, "ScaleUpLimit"))
        #expect(decide(current: 20, desired: 50, events: [(5, 10)]) == (20, nil, "ScaleUpLimit"))
        #expect(decide(current: 10, desired: 50, maximum: 12) == (12, nil, "TooManyReplicas"))
        #expect(decide(current: 10, desired: 3, old: [10, 4]) == (10, "ScaleDownStabilized", nil))
        #expect(decide(current: 10, desired: 1, old: []) == (2, nil, "TooFewReplicas"))
        let slow: JSON = [
            "scaleDown": [
                "stabilizationWindowSeconds": 0, "policies": [["type": "Pods", "value": 1, "periodSeconds": 60]],
            ],
            "scaleUp": ["selectPolicy": "Disabled"],
        ]
        #expect(decide(slow, current: 10, desired: 3, old: [10]) == (9, nil, "ScaleDownLimit"))
        #expect(decide(slow, current: 9, desired: 3, events: [(30, -1)]) == (9, nil, "ScaleDownLimit"))
        #expect(decide(slow, current: 3, desired: 9) == (3, nil, "ScaleUpLimit"))
    }
}
