import JSON
import ObjectModel
import Testing

@testable import Controllers

@Suite struct RolloutPlanTests {
    typealias Set = RolloutPlan.Set

    private func set(_ name: String, _ size: Int, available: Int? = nil, at: Int64 = 0, max: Int? = nil) -> Set {
        Set(name: name, size: size, available: available ?? size, created: Timestamp(seconds: at), maxReplicas: max)
    }

    @Test(
        "Surge rounds up, unavailable down, and one pod may go when both are zero",
        arguments: [
            (10, "25%" as JSON, "25%" as JSON, 3, 2), (1, "25%", "25%", 1, 0), (3, 0, "0%", 0, 1), (5, 1, 0, 1, 0),
            (2, "0%", "25%", 0, 1), (4, "50%", "100%", 2, 4), (2, 0, 5, 0, 2),
            (100, "9223372036854775807%", "9223372036854775807%", 2_147_483_647, 100),
        ])
    func bounds(replicas: Int, surge: JSON, unavailable: JSON, wantSurge: Int, wantUnavailable: Int) {
        let plan = RolloutPlan(spec: [
            "replicas": JSON(replicas),
            "strategy": [
                "type": "RollingUpdate", "rollingUpdate": ["maxSurge": surge, "maxUnavailable": unavailable],
            ],
        ])
        #expect(plan.maxSurge == wantSurge)
        #expect(plan.maxUnavailable == wantUnavailable)
    }

    @Test(
        "The new set grows up to the ceiling",
        arguments: [
            // replicas, surge, current, total -> size
            (10, 0, 0, 10, 0), (10, 2, 0, 10, 2), (10, 4, 0, 10, 4), (10, 2, 9, 11, 10), (10, 5, 4, 15, 4),
            (10, 0, 4, 8, 6), (10, 2, 12, 12, 10), (0, 0, 4, 4, 0),
        ])
    func newSize(replicas: Int, surge: Int, current: Int, total: Int, want: Int) {
        let plan = RolloutPlan(replicas: replicas, maxSurge: surge, maxUnavailable: 0)
        #expect(plan.newSetSize(current: current, total: total) == want)
    }

    @Test("Old sets give way only as new pods become available")
    func oldGiveWay() {
        let plan = RolloutPlan(replicas: 10, maxSurge: 2, maxUnavailable: 0)
        // Nothing of the new one is available: nothing may go.
        #expect(plan.oldSetSizes(new: set("new", 2, available: 0), old: [set("old", 10)]) == [:])
        #expect(plan.oldSetSizes(new: set("new", 2), old: [set("old", 10)]) == ["old": 8])
        let loose = RolloutPlan(replicas: 10, maxSurge: 0, maxUnavailable: 2)
        #expect(loose.oldSetSizes(new: set("new", 0), old: [set("old", 10)]) == ["old": 8])
        #expect(loose.oldSetSizes(new: set("new", 2, available: 0), old: [set("old", 8)]) == [:])
    }

    @Test("Pods that are not available anyway go first, oldest set first")
    func unhealthyFirst() {
        let plan = RolloutPlan(replicas: 10, maxSurge: 0, maxUnavailable: 2)
        let old = [set("b", 5, available: 5, at: 2), set("a", 5, available: 2, at: 1)]
        // Budget 2: both taken from the broken ones of `a`; nothing available is spare.
        #expect(plan.oldSetSizes(new: nil, old: old) == ["a": 3])
        let stuck = RolloutPlan(replicas: 5, maxSurge: 1, maxUnavailable: 0)
        #expect(
            stuck.oldSetSizes(
                new: set("c", 1, available: 0), old: [set("bad", 1, available: 0, at: 2), set("good", 5)])
                == ["bad": 0])
    }

    @Test(
        "Scaling in the middle of a rollout is shared by size",
        arguments: [
            // replicas, surge, sizes (newest first), max-replicas before -> sizes
            (10, 0, [5], 5, [10]), (20, 0, [5, 5], 10, [10, 10]), (5, 0, [5, 5], 10, [3, 2]),
            (6, 0, [3, 2, 2], 7, [2, 2, 2]), (10, 2, [5, 3], 8, [8, 4]), (0, 0, [5, 3], 8, [0, 0]),
            (10, 5, [10, 2], 12, [13, 2]),
        ])
    func proportional(replicas: Int, surge: Int, sizes: [Int], before: Int, want: [Int]) {
        let plan = RolloutPlan(replicas: replicas, maxSurge: surge, maxUnavailable: 0)
        let sets = sizes.enumerated().map { set("s\($0.offset)", $0.element, at: Int64(100 - $0.offset), max: before) }
        let result = plan.proportionalSizes(of: sets, statusReplicas: 0)
        #expect(result.values.reduce(0, +) == (replicas == 0 ? 0 : replicas + surge))
        // Which of equals gets the rounding is decided by age; the multiset is what the arithmetic promises.
        #expect(result.values.sorted() == want.sorted())
    }

    @Test("A complete rollout says so, a stuck one times out, a moving one does not")
    func progress() {
        let plan = RolloutPlan(replicas: 2, maxSurge: 1, maxUnavailable: 0)
        let start = Timestamp(seconds: 1000)
        var conditions = Conditions(.null)
        conditions.set(
            "Progressing", "True", reason: "NewReplicaSetCreated", message: "", now: start, tracksUpdates: true)
        var counts = DeploymentCounts()
        counts.replicas = 3
        counts.updated = 1
        counts.available = 2
        counts.observedGeneration = 1
        func update(old: DeploymentCounts, _ now: Int64) {
            DeploymentConditions.update(
                &conditions, old: old, new: counts, plan: plan, generation: 1, progressDeadlineSeconds: 60, name: "web",
                newSet: "web-abc", failure: nil, now: Timestamp(seconds: now))
        }
        update(old: DeploymentCounts(), 1030)
        #expect(conditions["Progressing"]?["reason"].string == "ReplicaSetUpdated")
        #expect(conditions["Progressing"]?["lastTransitionTime"].string == start.rfc3339)
        update(old: counts, 1080)
        #expect(conditions["Progressing"]?["reason"].string == "ReplicaSetUpdated")
        update(old: counts, 1091)
        #expect(conditions["Progressing"]?["reason"].string == "ProgressDeadlineExceeded")
        #expect(conditions["Progressing"]?["status"].string == "False")
        let stuck = counts
        counts.replicas = 2
        counts.updated = 2
        update(old: stuck, 1100)
        #expect(conditions["Progressing"]?["reason"].string == "NewReplicaSetAvailable")
        #expect(conditions["Progressing"]?["message"].string == "ReplicaSet \"web-abc\" has successfully progressed.")
        #expect(conditions["Available"]?["message"].string == "Deployment has minimum availability.")
    }

    @Test("The template hash ignores member order and the hash label, and nothing else")
    func hash() {
        let template: JSON = ["metadata": ["labels": ["a": "b"]], "spec": ["x": 1, "y": [1, 2]]]
        let same: JSON = [
            "spec": ["y": [1, 2], "x": 1], "metadata": ["labels": ["pod-template-hash": "q", "a": "b"]],
        ]
        let other: JSON = ["metadata": ["labels": ["a": "b"]], "spec": ["x": 1, "y": [12]]]
        #expect(TemplateHash.fingerprint(template) == TemplateHash.fingerprint(same))
        #expect(TemplateHash.fingerprint(template) != TemplateHash.fingerprint(other))
        let name = TemplateHash.name(of: template, collisionCount: nil)
        #expect(name != TemplateHash.name(of: template, collisionCount: 1))
        #expect(name.allSatisfy("bcdfghjklmnpqrstvwxz2456789".contains))
    }
}
