import ClusterClient
import JSON
import ObjectModel
import Testing

@testable import Controllers

@Suite struct OtherWorkloadTests {
    private static func pod(_ revision: String, ready: Bool = true, terminating: Bool = false, finished: Bool = false)
        -> StatefulPlan.Pod
    {
        StatefulPlan.Pod(
            isReady: ready, isAvailable: ready, isTerminating: terminating, isFinished: finished, revision: revision)
    }

    @Test("Stateful pods come, go and change one after the other")
    func statefulPlan() {
        var plan = StatefulPlan(replicas: 3, currentRevision: "a", updateRevision: "b")
        let (old, new) = (Self.pod("a"), Self.pod("b"))
        #expect(plan.actions([:]) == [.create(ordinal: 0, revision: "b")])
        #expect(plan.actions([0: Self.pod("b", ready: false)]) == [])
        #expect(plan.actions([0: Self.pod("b", finished: true)]) == [.delete(ordinal: 0)])
        #expect(plan.actions([0: new, 1: new, 2: new, 3: new, 4: new]) == [.delete(ordinal: 4)])
        #expect(plan.actions([0: old, 1: old, 2: old]) == [.delete(ordinal: 2)])
        #expect(plan.actions([0: old, 1: old, 2: Self.pod("b", ready: false)]) == [])
        #expect(plan.actions([0: old, 1: old, 2: new]) == [.delete(ordinal: 1)])
        // A pod of the broken template does not keep the mended one away.
        #expect(plan.actions([0: new, 1: new, 2: Self.pod("a", ready: false)]) == [.delete(ordinal: 2)])
        // One that is down stops those above it from going, and goes itself when it is the lowest such.
        let down = Self.pod("b", ready: false)
        plan.replicas = 0
        #expect(plan.actions([0: down, 1: down, 2: down]) == [])
        #expect(plan.actions([0: new, 1: new, 2: down]) == [.delete(ordinal: 2)])
        plan.replicas = 3
        plan.partition = 2
        #expect(plan.actions([0: old, 1: old, 2: new]) == [])
        #expect(plan.revision(of: 1) == "a")
        plan.isParallel = true
        #expect(plan.actions([:]).count == 3)
        // No list of billions.
        plan.replicas = Int(Int32.max)
        #expect(plan.actions([:]).count == 500)
    }

    @Test("Daemon pods of an old template go within the limits")
    func daemonRollout() {
        func pod(_ name: String, new: Bool = false, up: Bool = true) -> DaemonRollout.Pod {
            DaemonRollout.Pod(name: name, isNew: new, isAvailable: up, isTerminating: false)
        }
        let replacing = DaemonRollout(maxUnavailable: 1, maxSurge: 0)
        #expect(replacing.step(["a": [pod("1")], "b": [pod("2")]]).delete == ["1"])
        #expect(replacing.step(["a": [pod("1", new: true, up: false)], "b": [pod("2")]]).delete == [])
        #expect(replacing.step(["a": [pod("1", up: false)], "b": [pod("2")]]).delete == ["1"])
        let surging = DaemonRollout(maxUnavailable: 0, maxSurge: 1)
        #expect(surging.step(["a": [pod("1")], "b": [pod("2")]]).surge == ["a"])
        let both = [pod("1"), pod("3", new: true)]
        #expect(surging.step(["a": both, "b": [pod("2")]]).delete == ["1"])
    }

    @Test("A job's end follows from its indexes, rules and limits")
    func jobOutcome() {
        func outcome(
            _ spec: JSON, completed: Set<Int> = [], givenUp: Set<Int> = [], failed: Int = 0, restarts: Int = 0
        ) -> String {
            let base: JSON = ["completions": 4, "parallelism": 4, "completionMode": "Indexed", "backoffLimit": 2]
            let job = JobView(Object(["metadata": ["name": "j"], "spec": base.mergePatched(with: spec)]))
            let outcome = JobPlan.outcome(
                of: job, succeeded: completed.count, failed: failed, active: 1, restarts: restarts,
                completed: completed, givenUp: givenUp, policyFailure: nil, now: .now)
            switch outcome {
            case .running: return ""
            case .complete(let reason, _), .failed(let reason, _): return reason
            }
        }
        #expect(outcome([:], completed: [0, 1, 2]) == "")
        #expect(outcome([:], completed: [0, 1, 2, 3]) == "CompletionsReached")
        #expect(outcome([:], failed: 3) == "BackoffLimitExceeded")
        #expect(outcome(["template": ["spec": ["restartPolicy": "OnFailure"]]], restarts: 2) == "BackoffLimitExceeded")
        let perIndex: JSON = ["backoffLimitPerIndex": 0, "maxFailedIndexes": 1]
        #expect(outcome(perIndex, completed: [0], givenUp: [1]) == "")
        #expect(outcome(perIndex, completed: [0, 2, 3], givenUp: [1]) == "FailedIndexes")
        #expect(outcome(perIndex, givenUp: [1, 2]) == "MaxFailedIndexesExceeded")
        let rules: JSON = [
            "successPolicy": [
                "rules": [["succeededIndexes": "0,1"], ["succeededIndexes": "1-3", "succeededCount": 1]]
            ]
        ]
        #expect(outcome(rules, completed: [0]) == "")
        #expect(outcome(rules, completed: [0, 1]) == "SuccessPolicy")
        #expect(outcome(rules, completed: [3]) == "SuccessPolicy")
    }

    @Test("Index lists are read and written in short form")
    func indexes() {
        #expect(JobPlan.text([0, 2, 3, 4, 7, 8]) == "0,2-4,7,8")
        #expect(JobPlan.indexes("0,2-4") == [0, 2, 3, 4])
        #expect(JobPlan.indexes("5-3,x") == [])
        #expect(JobPlan.backoff(failures: 1) == .seconds(10))
        #expect(JobPlan.backoff(failures: 20) == .seconds(600))
    }

    private static let budgets: [(JSON, Int, Int, Int)] = [
        (["minAvailable": 2], 3, 3, 1), (["minAvailable": "50%"], 5, 5, 2), (["maxUnavailable": 1], 4, 4, 1),
        (["maxUnavailable": "25%"], 5, 5, 2), (["maxUnavailable": 0], 5, 5, 0), (["minAvailable": 2], 3, 1, 0),
    ]

    @Test("Budgets round up", arguments: budgets)
    func budget(spec: JSON, pods: Int, healthy: Int, allowed: Int) {
        #expect(DisruptionBudget(spec: spec, pods: pods, healthy: healthy) { pods }.allowed == allowed)
    }

    @Test("A stateful set runs in order, updates and shrinks")
    func statefulSet() async throws {
        try await TestCluster.run { cluster in
            let key = ObjectKey(namespace: "default", name: "db")
            try await cluster.client.create(
                .statefulSets,
                [
                    "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": ["name": "db", "namespace": "default"],
                    "spec": [
                        "replicas": 3, "serviceName": "db", "selector": ["matchLabels": ["app": "db"]],
                        "template": TestCluster.template("db"),
                    ],
                ])
            try await cluster.eventually("three ready", { try await cluster.find(.statefulSets, "db") }) {
                $0?["status"]["readyReplicas"].int == 3
            }
            #expect(try await cluster.list(.pods).map(\.name).sorted() == ["db-0", "db-1", "db-2"])
            let image: JSON = ["containers": [["name": "c", "image": "i:2"]]]
            try await cluster.client.patch(
                .statefulSets, key, .strategicMerge, ["spec": ["template": ["spec": image]]])
            try await cluster.eventually("all updated", { try await cluster.find(.statefulSets, "db")?["status"] }) {
                $0?["updatedReplicas"].int == 3 && $0?["currentRevision"] == $0?["updateRevision"]
                    && $0?["observedGeneration"].int == 2
            }
            try await cluster.client.patch(.statefulSets, key, .merge, ["spec": ["replicas": 1]])
            try await cluster.eventually("the first left", { try await cluster.list(.pods).map(\.name) }) {
                $0 == ["db-0"]
            }
        }
    }

    @Test("A daemon set puts a pod on every node that tolerates it")
    func daemonSet() async throws {
        try await TestCluster.run { cluster in
            for name in ["n1", "n2"] {
                var node: JSON = ["apiVersion": "v1", "kind": "Node", "metadata": ["name": .string(name)]]
                if name == "n2" {
                    node["spec"]["taints"] = [["key": "dedicated", "value": "db", "effect": "NoSchedule"]]
                }
                try await cluster.client.create(.nodes, node)
                try await cluster.client.modify(.nodes, ObjectKey(name: name), subresource: "status") { tree in
                    tree["status"]["conditions"] = [["type": "Ready", "status": "True"]]
                    return true
                }
            }
            try await cluster.client.create(
                .daemonSets,
                [
                    "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": ["name": "log", "namespace": "default"],
                    "spec": ["selector": ["matchLabels": ["app": "log"]], "template": TestCluster.template("log")],
                ])
            try await cluster.eventually("one ready", { try await cluster.find(.daemonSets, "log")?["status"] }) {
                $0?["numberReady"].int == 1 && $0?["desiredNumberScheduled"].int == 1
            }
            #expect(try await cluster.list(.pods).count == 1)
            // kubectl and others find the revision of a template by its label and its bytes.
            let revision = try await cluster.list(.controllerRevisions).first
            #expect(revision?.metadata.labels["controller-revision-hash"]?.isEmpty == false)
            let members = revision?.tree["data"]["spec"]["template"].members.keys.map { $0 } ?? []
            #expect(members == members.sorted() && members.first == "$patch")
        }
    }

    @Test("An indexed job counts every pod once; a failing one stops at its limit")
    func jobs() async throws {
        try await TestCluster.run { cluster in
            func job(_ name: String, _ more: JSON) -> JSON {
                var spec: JSON = ["template": TestCluster.template(name, restartPolicy: "Never")]
                for (key, value) in more.members { spec[key] = value }
                return [
                    "apiVersion": "batch/v1", "kind": "Job",
                    "metadata": ["name": .string(name), "namespace": "default"],
                    "spec": spec,
                ]
            }
            try await cluster.client.create(
                .jobs, job("good", ["completions": 3, "parallelism": 2, "completionMode": "Indexed"]))
            try await cluster.client.create(.jobs, job("bad", ["backoffLimit": 0]))
            try await cluster.eventually(
                "the job complete",
                {
                    try await cluster.finishRunning()
                    return try await cluster.find(.jobs, "good")?["status"]
                }
            ) {
                $0?["succeeded"].int == 3 && $0?["completedIndexes"].string == "0-2"
                    && $0?["conditions"].elements.contains { $0["type"].string == "Complete" } == true
            }
            try await cluster.eventually(
                "the other failed",
                {
                    try await cluster.finishRunning()
                    return try await cluster.find(.jobs, "bad")?["status"]
                }
            ) {
                $0?["failed"].int == 1
                    && $0?["conditions"].elements.contains {
                        $0["type"].string == "Failed" && $0["reason"].string == "BackoffLimitExceeded"
                    }
                        == true
            }
            #expect(try await cluster.list(.pods).count { $0.name.hasPrefix("good-") } == 3)
        }
    }

    @Test("A job takes back a pod that lost its owner, and lets go of one that lost its labels")
    func jobClaims() async throws {
        try await TestCluster.run { cluster in
            try await cluster.client.create(
                .jobs,
                [
                    "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": "j", "namespace": "default"],
                    "spec": ["template": TestCluster.template("j", restartPolicy: "Never")],
                ])
            try await cluster.eventually("a pod", { try await cluster.list(.pods) }) { $0.count == 1 }
            guard let key = try await cluster.list(.pods).first?.key else { return }
            try await cluster.client.modify(.pods, key) { tree in
                tree["metadata"].removeMember("ownerReferences")
                tree["metadata"].removeMember("finalizers")
                return true
            }
            try await cluster.eventually("its owner back", { try await cluster.client.find(.pods, key) }) {
                $0?.metadata.controller?.name == "j" && $0?.metadata.finalizers.isEmpty == false
            }
            try await cluster.client.modify(.pods, key) { tree in
                tree["metadata"].removeMember("labels")
                return true
            }
            try await cluster.eventually("a free pod", { try await cluster.client.find(.pods, key) }) {
                $0 != nil && $0?.metadata.controller == nil && $0?.metadata.finalizers.isEmpty == true
            }
            try await cluster.eventually("another pod", { try await cluster.list(.pods) }) { $0.count == 2 }
        }
    }
}

extension TestCluster {
    /// Ends every running pod: those of `bad` badly.
    fileprivate func finishRunning() async throws {
        for pod in try await list(.pods) where pod.tree["status"]["phase"].string == "Running" {
            let isBad = pod.name.hasPrefix("bad")
            try await finish(pod.key, phase: isBad ? "Failed" : "Succeeded", exitCode: isBad ? 1 : 0)
        }
    }
}
