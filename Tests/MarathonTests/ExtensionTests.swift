import ClusterClient
import JSON
import MesosModel
import ObjectModel
import Testing

@testable import Marathon

@Suite struct ExtensionTests {
    @Test func aCanaryStopsAtItsStep() async throws {
        try await TestMarathon.run { test in
            try await test.call(
                "POST", "/v2/apps",
                [
                    "id": "/web", "cmd": "run", "cpus": .double(0.1), "instances": 4,
                    "canary": ["steps": [1, 2], "pauseSeconds": 3600],
                ])
            try await test.settled("/web", 4)
            let before = try await test.app("/web")["version"].string
            try await test.call("PUT", "/v2/apps/web", ["cmd": "run better"])
            @Sendable func tally() async throws -> [Int] {
                let tasks = try await test.app("/web")["tasks"].elements.filter { $0["state"] == "TASK_RUNNING" }
                let old = tasks.count { $0["version"].string == before }
                return [old, tasks.count - old]
            }
            try await test.eventually("one new instance", { try await tally() }) { $0 == [3, 1] }
            try await Task.sleep(for: .milliseconds(300))
            #expect(try await tally() == [3, 1])
            let deployment = try await test.app("/web")["deployments"][0]["id"].string ?? ""
            #expect(try await test.call("DELETE", "/v2/deployments/\(deployment)").status == 200)
            try await test.settled("/web", 4)
            #expect(try await tally() == [4, 0])
        }
    }

    @Test func aDeploymentThatIsNotDoneByItsDeadlineGoesBack() async throws {
        try await TestMarathon.run { test in
            try await test.call(
                "POST", "/v2/apps",
                ["id": "/web", "cmd": "run", "cpus": .double(0.1), "instances": 1])
            try await test.settled("/web", 1)
            let before = try await test.app("/web")["version"].string
            #expect(
                try await test.call("PUT", "/v2/apps/web", ["cmd": "stuck", "deploymentDeadlineSeconds": 1]).status
                    == 200)
            try await test.eventually("the way back", { try await test.app("/web") }) { app in
                app["version"].string == before && app["deployments"].elements.isEmpty
            }
            try await test.settled("/web", 1)
            #expect(try await test.app("/web")["cmd"] == "run")
        }
    }

    @Test func instancesHaveThePriorityOfTheirClass() async throws {
        try await TestMarathon.run { test in
            try await test.client.create(
                GroupVersionResource(group: "scheduling.k8s.io", version: "v1", resource: "priorityclasses"),
                [
                    "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": ["name": "high"],
                    "value": 1000,
                ])
            try await test.call(
                "POST", "/v2/apps", ["id": "/vip", "cmd": "run", "cpus": .double(0.1), "priorityClassName": "high"])
            try await test.settled("/vip", 1)
            let pod = try #require(try await test.client.list(.pods).items.first)
            #expect(pod.tree["spec"]["priority"].int == 1000)
        }
    }

    @Test func autoscalingFollowsTheUseWithinItsLimits() {
        var spec = RunSpec(
            kind: .app,
            json: [
                "id": "/web", "cpus": 2, "mem": 100, "instances": 4,
                "autoscaling": [
                    "minInstances": 2, "maxInstances": 10, "targetCpuPercent": 50, "targetMemPercent": 80,
                ],
            ])
        func wanted(cpu: Double, mem: Double) -> Int {
            Autoscaler.instances(spec, cpu: cpu, memory: mem * 1_048_576, running: 4)
        }
        #expect(wanted(cpu: 1, mem: 10) == 4)
        // Within a tenth of the target nothing moves.
        #expect(wanted(cpu: 1.09, mem: 10) == 4)
        #expect(wanted(cpu: 1.5, mem: 10) == 6)
        // What needs more decides.
        #expect(wanted(cpu: 1, mem: 160) == 8)
        #expect(wanted(cpu: 100, mem: 10) == 10)
        #expect(wanted(cpu: 0.01, mem: 1) == 2)
        spec.json["autoscaling"] = ["maxInstances": 3, "targetCpuPercent": 50]
        #expect(wanted(cpu: 1, mem: 1000) == 3)
    }
}
