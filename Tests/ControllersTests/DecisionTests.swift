import ClusterClient
import JSON
import ObjectModel
import Testing

@testable import Controllers

@Suite struct PodRankingTests {
    private static let now = Timestamp(seconds: 100_000)

    private static func candidate(_ uid: String, _ change: (inout PodRanking.Candidate) -> Void = { _ in })
        -> PodRanking.Candidate
    {
        var candidate = PodRanking.Candidate(
            uid: uid, isAssigned: true, phaseRank: 2, isReady: true, deletionCost: 0, siblingsOnNode: 1,
            readySince: Timestamp(seconds: 90_000), restarts: 0, created: Timestamp(seconds: 80_000))
        change(&candidate)
        return candidate
    }

    @Test("Pods are deleted in the documented order, whatever order they come in")
    func order() {
        let expected = [
            Self.candidate("1 unassigned") { $0.isAssigned = false },
            Self.candidate("2 pending") { $0.phaseRank = 0 },
            Self.candidate("3 unknown") { $0.phaseRank = 1 },
            Self.candidate("4 unready") { $0.isReady = false },
            Self.candidate("5 cheap") { $0.deletionCost = -5 },
            Self.candidate("6 crowded") { $0.siblingsOnNode = 3 },
            Self.candidate("7 just ready") { $0.readySince = Timestamp(seconds: 99_990) },
            Self.candidate("8 restarted") { $0.restarts = 4 },
            Self.candidate("9 young") { $0.created = Timestamp(seconds: 99_000) },
            Self.candidate("a"), Self.candidate("b"),
            Self.candidate("c dear") { $0.deletionCost = 7 },
        ]
        for _ in 0..<5 {
            let sorted = expected.shuffled().sorted { PodRanking.isDeletedFirst($0, $1, now: Self.now) }
            #expect(sorted.map(\.uid) == expected.map(\.uid))
        }
    }
}

@Suite struct CollectionTests {
    private func owner(_ uid: String) -> OwnerReference {
        OwnerReference(apiVersion: "v1", kind: "ConfigMap", name: uid, uid: uid)
    }

    @Test("What becomes of a dependent follows from its owners")
    func decisions() {
        func decide(
            _ states: [CollectionDecision.OwnerState], finalizers: [String] = [], dependents: Bool = false
        ) -> CollectionDecision {
            CollectionDecision.decide(
                owners: states.enumerated().map { (owner("\($0.offset)"), $0.element) }, finalizers: finalizers,
                hasDependents: dependents)
        }
        #expect(decide([]) == .keep)
        #expect(decide([.exists]) == .keep)
        #expect(decide([.exists, .absent]) == .dropOwners(["1"]))
        #expect(decide([.waitsForDependents, .exists]) == .dropOwners(["0"]))
        #expect(decide([.absent]) == .delete(.background))
        #expect(decide([.absent, .absent], finalizers: ["orphan"]) == .delete(.orphan))
        #expect(decide([.waitsForDependents], dependents: true) == .delete(.foreground))
        #expect(decide([.waitsForDependents]) == .delete(.background))
    }

    @Test("The graph follows references that come, change and go")
    func graph() {
        var graph = OwnerGraph()
        let pod = ObjectIdentity(resource: .pods, key: ObjectKey(namespace: "a", name: "p"))
        graph.change(pod, old: [], new: [owner("x")])
        #expect(graph.dependents(of: "x").map(\.identity) == [pod])
        var loose = owner("x")
        loose.blockOwnerDeletion = false
        graph.change(pod, old: [owner("x")], new: [loose, owner("y")])
        #expect(graph.dependents(of: "x").map(\.blocksOwnerDeletion) == [false])
        graph.change(pod, old: [loose, owner("y")], new: [])
        #expect(graph.isEmpty)
    }
}

@Suite struct NodeDecisionTests {
    @Test("Eviction waits for the shortest toleration that applies")
    func eviction() {
        let start = Timestamp(seconds: 1000)
        let taint = Taint(NodeTaints.notReady, .noExecute, timeAdded: start)
        func decide(_ tolerations: [JSON], since: Int64 = 0) -> EvictionDecision {
            EvictionDecision.decide(taints: [taint], tolerations: tolerations, since: Timestamp(seconds: since))
        }
        let key = JSON.string(NodeTaints.notReady)
        #expect(decide([]) == .leave(at: start))
        #expect(decide([["operator": "Exists"]]) == .stay)
        #expect(decide([["key": key, "operator": "Exists", "effect": "NoSchedule"]]) == .leave(at: start))
        let timed: JSON = ["key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300]
        #expect(decide([timed]) == .leave(at: Timestamp(seconds: 1300)))
        #expect(
            decide([timed, ["operator": "Exists", "tolerationSeconds": 10]]) == .leave(at: Timestamp(seconds: 1010)))
        #expect(decide([timed], since: 2000) == .leave(at: Timestamp(seconds: 2300)))
    }

    @Test("Taints follow conditions and leave foreign ones alone")
    func taints() {
        let foreign: JSON = ["key": "dedicated", "value": "db", "effect": "NoSchedule"]
        var node: JSON = [
            "spec": ["taints": [foreign, ["key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"]]],
            "status": [
                "conditions": [["type": "Ready", "status": "True"], ["type": "DiskPressure", "status": "True"]]
            ],
        ]
        func keys(_ evicts: Bool?) -> [String] {
            NodeTaints.desired(node, evicts: evicts, now: .now).map { "\($0.key):\($0.effect.rawValue)" }
        }
        #expect(keys(nil) == ["dedicated:NoSchedule", "node.kubernetes.io/disk-pressure:NoSchedule"])
        node["status"]["conditions"] = [["type": "Ready", "status": "Unknown"]]
        #expect(keys(nil) == ["dedicated:NoSchedule", "node.kubernetes.io/unreachable:NoSchedule"])
        #expect(keys(true).last == "node.kubernetes.io/unreachable:NoExecute")
        node["spec"]["unschedulable"] = true
        #expect(keys(false).contains("node.kubernetes.io/unschedulable:NoSchedule"))
    }

    @Test("Evictions slow down in a sick zone and stop when everything seems down")
    func pace() {
        #expect(EvictionPace.state(ready: 0, notReady: 1) == .allDown)
        #expect(EvictionPace.state(ready: 2, notReady: 3) == .mostlyDown)
        #expect(EvictionPace.state(ready: 1, notReady: 2) == .normal)
        #expect(EvictionPace.rate(of: .allDown, size: 1, all: [.allDown]) == nil)
        #expect(EvictionPace.rate(of: .allDown, size: 1, all: [.allDown, .normal]) == 0.1)
        #expect(EvictionPace.rate(of: .mostlyDown, size: 50, all: [.mostlyDown]) == 0)
        #expect(EvictionPace.rate(of: .mostlyDown, size: 51, all: [.mostlyDown]) == 0.01)
        var pace = EvictionPace()
        let now = ContinuousClock.now
        var granted: [Bool] = []
        for second in [0, 9, 11, 12] {
            granted.append(pace.take(zone: "z", rate: 0.1, now: now + .seconds(second)))
        }
        #expect(granted == [true, false, true, false])
    }

    @Test("A range is divided in order")
    func pool() throws {
        let pool = try #require(AddressPool("10.64.3.0/22", maskSize: 24))
        #expect((0..<pool.count).map { pool[$0] } == ["10.64.0.0/24", "10.64.1.0/24", "10.64.2.0/24", "10.64.3.0/24"])
        #expect(AddressPool("10.64.0.0/28", maskSize: 24) == nil)
        #expect(AddressPool("fd00::/16", maskSize: 24) == nil)
    }

    @Test("No two nodes are given the same range, and that of a node that went is given again")
    func ranges() throws {
        let pool = try #require(AddressPool("10.64.0.0/22", maskSize: 24))
        var ranges = NodeRanges()
        ranges.see("10.64.1.0/24", of: "old")
        #expect(ranges.give("a", from: pool) == "10.64.0.0/24")
        #expect(ranges.give("b", from: pool) == "10.64.2.0/24")
        #expect(ranges.give("a", from: pool) == "10.64.0.0/24", "asked again before it is seen")
        ranges.see("10.64.0.0/24", of: "a")
        ranges.see("10.64.1.0/24", of: "twin")
        #expect(ranges.give("c", from: pool) == "10.64.3.0/24")
        #expect(ranges.give("d", from: pool) == nil)
        ranges.forget("old")
        #expect(ranges.give("d", from: pool) == nil, "another node has it, too")
        ranges.forget("twin")
        ranges.withdraw("b")
        #expect(ranges.give("d", from: pool) == "10.64.1.0/24")
        #expect(ranges.give("e", from: pool) == "10.64.2.0/24")
        #expect(ranges.isSeen("a") && !ranges.isSeen("c"))
    }
}

@Suite struct ReplicaFailureTests {
    @Test("A failure that is told with another pod's name changes nothing, so that no write overtakes the back-off")
    func staysAsItIs() throws {
        let tree: JSON = [
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": ["name": "web", "namespace": "default"],
            "spec": ["replicas": 1, "selector": ["matchLabels": ["a": "b"]]],
        ]
        let set = try ReplicaSetView(Object(tree))
        func status(_ old: JSON, _ pod: String, _ second: Int64) -> JSON {
            ReplicaSetStatus.compute(
                of: set, old: old, templateLabels: [:], active: [], terminating: 0,
                failure: (reason: "FailedCreate", message: "pods \"\(pod)\" is forbidden"),
                now: Timestamp(seconds: second))
        }
        let first = status([:], "web-1", 100)
        #expect(Conditions(first["conditions"]).isTrue("ReplicaFailure"))
        #expect(status(first, "web-2", 200) == first)
    }
}

@Suite struct RequestStateTests {
    private static func state(_ type: String?, certificate: Bool = false) -> RequestState {
        var request: JSON = ["status": [:]]
        if let type {
            request["status"]["conditions"] = [
                ["type": .string(type), "status": "True", "lastUpdateTime": "1970-01-02T00:00:00Z"]
            ]
        }
        if certificate { request["status"]["certificate"] = "eA==" }
        return RequestState(request)
    }

    @Test("Certificate requests are kept an hour after their verdict, a day without one")
    func age() {
        let day = Timestamp(seconds: 86400)
        for state in [
            Self.state("Approved"), Self.state("Denied"), Self.state("Failed"),
            Self.state("Approved", certificate: true),
        ] {
            #expect(!state.isOver(created: day, now: day + .seconds(3600)))
            #expect(state.isOver(created: day, now: day + .seconds(3601)))
        }
        #expect(!Self.state(nil).isOver(created: day, now: day + .seconds(86400)))
        #expect(Self.state(nil).isOver(created: day, now: day + .seconds(86401)))
        #expect(Self.state("Approved").isApproved && !Self.state("Approved").isSettled)
        #expect(Self.state("Denied").isSettled && Self.state("Approved", certificate: true).isSettled)
    }
}
