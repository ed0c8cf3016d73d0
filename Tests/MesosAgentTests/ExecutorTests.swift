import JSON
import MesosModel
import ObjectModel
import Testing

/// The executor API from both sides.
@Suite struct ExecutorTests {
    @Test(
        "A task's life: launch, updates with acknowledgements, messages both ways, kill",
        arguments: [
            MesosFormat.json, .protobuf,
        ])
    func life(_ format: MesosFormat) async throws {
        try await TestAgent.run { test in
            try await test.makeExecutor()
            try await test.makeTask("t1")
            var executor: TestExecutor?
            try await eventually { (try await test.get("/state")?["frameworks"].elements.count ?? 0) == 1 }
            executor = try await TestExecutor.subscribe(test, format)
            let e = try #require(executor)
            let subscribed = try await e.expect("SUBSCRIBED")
            #expect(subscribed["executor_info"]["executor_id"]["value"] == "e1")
            #expect(subscribed["executor_info"]["framework_id"]["value"] == "m-0000")
            #expect(subscribed["framework_info"]["id"]["value"] == "m-0000")
            #expect(subscribed["agent_info"]["id"]["value"] == "m-S0")
            #expect(try await e.expect("LAUNCH")["task"]["task_id"]["value"] == "t1")

            try await e.update("t1", "TASK_RUNNING", number: 1)
            let stored = try await test.status("t1")
            #expect(stored["state"] == "TASK_RUNNING")
            #expect(stored["updates"][0]["uuid"].string == TestExecutor.uuid(1))
            #expect(stored["updates"][0]["agent_id"]["value"] == "m-S0")
            // The same update again changes nothing.
            try await e.update("t1", "TASK_RUNNING", number: 1)
            #expect(try await test.status("t1")["updates"].elements.count == 1)
            try await test.acknowledge("t1")
            #expect(try await e.expect("ACKNOWLEDGED")["uuid"].string == TestExecutor.uuid(1))

            try await e.post("MESSAGE", ["message": ["data": .string(Base64.encode(Array("up".utf8)))]])
            try await eventually { test.messages.received == ["m-0000 m-S0 e1 up"] }
            try await test.agent.send(
                message: Array("down".utf8), frameworkID: "m-0000", agentID: "m-S0", executorID: "e1")
            #expect(try await e.expect("MESSAGE")["data"].string == Base64.encode(Array("down".utf8)))
            try await e.post("HEARTBEAT")

            try await test.requestKill("t1")
            #expect(try await e.expect("KILL")["task_id"]["value"] == "t1")
            try await e.update("t1", "TASK_KILLED", number: 2)
            // What comes after the end is not kept, and forgotten by the executor.
            try await e.update("t1", "TASK_RUNNING", number: 3)
            #expect(try await e.expect("ACKNOWLEDGED")["uuid"].string == TestExecutor.uuid(3))
            #expect(try await test.status("t1")["state"] == "TASK_KILLED")
            try await test.client.delete(MesosNames.tasks, test.key("t1"))
            #expect(try await e.expect("ACKNOWLEDGED")["uuid"].string == TestExecutor.uuid(2))
        }
    }

    @Test("An executor that comes back is told what it missed, and nothing twice")
    func resubscription() async throws {
        try await TestAgent.run { test in
            try await test.makeExecutor()
            for id in ["t1", "t2", "t3"] { try await test.makeTask(id) }
            try await eventually { (try await test.get("/state")?["frameworks"].elements.count ?? 0) == 1 }
            let first = try await TestExecutor.subscribe(test)
            _ = try await first.expect("SUBSCRIBED")
            for _ in 1...3 { _ = try await first.expect("LAUNCH") }
            try await first.update("t1", "TASK_RUNNING", number: 1)

            // t1's update was acknowledged while nobody listened; t1 has another that never arrived. t3 was never received.
            try await test.acknowledge("t1")
            let second = try await TestExecutor.subscribe(
                test, tasks: [["name": "t2", "task_id": ["value": "t2"], "agent_id": ["value": "m-S0"]]],
                updates: [
                    TestExecutor.status("t1", "TASK_RUNNING", number: 1),
                    TestExecutor.status("t1", "TASK_FINISHED", number: 2),
                ])
            _ = try await second.expect("SUBSCRIBED")
            #expect(try await second.expect("ACKNOWLEDGED")["uuid"].string == TestExecutor.uuid(1))
            #expect(try await second.expect("LAUNCH")["task"]["task_id"]["value"] == "t3")
            try await eventually { try await test.status("t1")["state"] == "TASK_FINISHED" }
            try await test.acknowledge("t1")
            #expect(try await second.expect("ACKNOWLEDGED")["uuid"].string == TestExecutor.uuid(2))
            // The old stream hears that it was replaced, and ends.
            var last: JSON?
            while let event = try await first.next() { last = event }
            #expect(last?["type"] == "ERROR")
        }
    }

    @Test("A group is given as a whole once all of it is there; one that is killed before takes the others along")
    func groups() async throws {
        try await TestAgent.run { test in
            try await test.makeExecutor()
            try await eventually { (try await test.get("/state")?["frameworks"].elements.count ?? 0) == 1 }
            let executor = try await TestExecutor.subscribe(test)
            _ = try await executor.expect("SUBSCRIBED")
            try await test.makeTask("t1", group: ["t1", "t2"])
            try await test.makeTask("alone")
            #expect(try await executor.expect("LAUNCH")["task"]["task_id"]["value"] == "alone")
            try await test.makeTask("t2", group: ["t1", "t2"])
            let tasks = try await executor.expect("LAUNCH_GROUP")["task_group"]["tasks"].elements
            #expect(tasks.map { $0["task_id"]["value"].string } == ["t1", "t2"])

            try await test.makeTask("t3", group: ["t3", "t4"])
            try await test.requestKill("t3")
            try await test.makeTask("t4", group: ["t3", "t4"])
            for id in ["t3", "t4"] {
                try await eventually { try await test.status(id)["state"] == "TASK_KILLED" }
            }
            // What was given once is not given again, and what comes back unknown is.
            let again = try await TestExecutor.subscribe(
                test, tasks: [["name": "t1", "task_id": ["value": "t1"], "agent_id": ["value": "m-S0"]]])
            _ = try await again.expect("SUBSCRIBED")
            var launched: Set<String> = []
            for _ in 1...2 {
                let event = try await again.next() ?? .null
                let tasks = event["launch_group"]["task_group"]["tasks"].elements + [event["launch"]["task"]]
                launched.formUnion(tasks.compactMap { $0["task_id"]["value"].string })
            }
            #expect(launched == ["alone", "t2"])
        }
    }

    @Test("Tasks end with their executor, and its pod goes when nobody waits for them")
    func death() async throws {
        try await TestAgent.run { test in
            try await test.makeExecutor()
            try await test.makeTask("t1")
            try await test.setStatus("Failed", ["terminated": ["exitCode": 7, "startedAt": "2026-01-01T00:00:00Z"]])
            try await eventually { try await test.status("t1")["state"] == "TASK_FAILED" }
            let status = try await test.status("t1")["updates"][0]
            #expect(status["reason"] == "REASON_EXECUTOR_TERMINATED")
            #expect(status["message"] == "Executor exited with status 7")
            #expect(status["source"] == "SOURCE_AGENT")
            #expect(try await test.client.find(.pods, TestAgent.executorPod) != nil)
            try await test.acknowledge("t1")
            try await eventually { try await test.client.find(.pods, TestAgent.executorPod) == nil }
        }
    }

    @Test("An executor that never registers is ended")
    func registration() async throws {
        try await TestAgent.run { timeouts in
            timeouts.registration = .milliseconds(1)
            timeouts.reregistration = .milliseconds(1)
        } _: { test in
            try await test.makeTask("t1")
            try await test.makeExecutor()
            try await eventually { try await test.status("t1")["state"] == "TASK_FAILED" }
            #expect(try await test.status("t1")["updates"][0]["reason"] == "REASON_EXECUTOR_REGISTRATION_TIMEOUT")
            try await eventually {
                try await test.client.find(.pods, TestAgent.executorPod)?.metadata.isTerminating ?? true
            }
        }
    }

    @Test("A task without its executor's pod is lost; one that was killed before its launch was killed")
    func withoutExecutor() async throws {
        try await TestAgent.run {
            $0.missingPod = .milliseconds(1)
        } _: { test in
            try await test.makeTask("t1")
            try await eventually { try await test.status("t1")["state"] == "TASK_LOST" }
        }
        try await TestAgent.run { test in
            try await test.makeExecutor(phase: "Pending")
            try await test.setStatus("Pending", ["waiting": ["reason": "ContainerCreating"]])
            try await test.makeTask("t1")
            try await test.requestKill("t1")
            try await eventually { try await test.status("t1")["state"] == "TASK_KILLED" }
            #expect(try await test.status("t1")["updates"][0]["reason"] == "REASON_TASK_KILLED_DURING_LAUNCH")
        }
    }

    @Test("When its framework goes an executor is told to end, and ended after its grace period")
    func shutdown() async throws {
        try await TestAgent.run { test in
            try await test.makeExecutor(grace: 50_000_000)
            try await eventually { (try await test.get("/state")?["frameworks"].elements.count ?? 0) == 1 }
            let executor = try await TestExecutor.subscribe(test)
            _ = try await executor.expect("SUBSCRIBED")
            try await test.client.patch(
                MesosNames.frameworks, ObjectKey(name: "m-0000"), .merge, ["status": ["completed": true]])
            _ = try await executor.expect("SHUTDOWN")
            try await eventually {
                try await test.client.find(.pods, TestAgent.executorPod)?.metadata.isTerminating ?? true
            }
        }
    }

    @Test("The default executor ends with its groups when its framework says so")
    func shutdownOfGroups() async throws {
        try await TestAgent.run { test in
            let tasks: JSON = [["name": "a", "task_id": ["value": "a"], "agent_id": ["value": "m-S0"]]]
            let group: JSON = ["executor": ["type": "DEFAULT", "executor_id": ["value": "d"]], "tasks": tasks]
            let keys = ["g1", "g2"].map { ObjectKey(namespace: "default", name: $0) }
            for key in keys {
                try await test.client.create(
                    .pods,
                    [
                        "apiVersion": "v1", "kind": "Pod",
                        "metadata": [
                            "name": .string(key.name), "namespace": "default",
                            "labels": [MesosNames.frameworkLabel: "m-0000"],
                            "annotations": [MesosNames.taskGroupAnnotation: .string(group.description)],
                            "finalizers": [.string(MesosNames.statusFinalizer)],
                        ],
                        "spec": [
                            "nodeName": "n1", "automountServiceAccountToken": false,
                            "containers": [["name": "a", "image": "host"]],
                        ],
                    ])
            }
            try await eventually {
                try await test.get("/state")?["frameworks"][0]["executors"].elements.count == keys.count
            }
            try await test.agent.shutdown(frameworkID: "m-0000", agentID: "m-S0", executorID: "d")
            for key in keys {
                let pod = try #require(try await test.client.find(.pods, key))
                #expect(pod.metadata.isTerminating)
                #expect(!pod.tree["metadata"]["annotations"][MesosNames.killAnnotation].isNull)
            }
        }
    }

    @Test("Calls that are wrong get an answer that says so")
    func refusals() async throws {
        try await TestAgent.run { test in
            let path = "/api/v1/executor"
            try await test.makeExecutor()
            try await eventually { (try await test.get("/state")?["frameworks"].elements.count ?? 0) == 1 }
            let heartbeat = try TestExecutor.call("HEARTBEAT", [:])
            #expect(try await test.post(path, heartbeat).0 == 403)
            #expect(try await test.post(path, heartbeat, type: nil).0 == 400)
            #expect(try await test.post(path, heartbeat, type: "text/plain").0 == 415)
            #expect(try await test.post(path, Array("{".utf8)).0 == 400)
            #expect(try await test.post(path, [0xFF, 0xFF], type: "application/x-protobuf").0 == 400)
            let stranger = Array(
                #"{"type":"SUBSCRIBE","framework_id":{"value":"x"},"executor_id":{"value":"e1"}}"#.utf8)
            #expect(try await test.post(path, stranger).0 == 400)
            let executor = try await TestExecutor.subscribe(test)
            _ = try await executor.expect("SUBSCRIBED")
            let bad = TestExecutor.status("t1", "TASK_RUNNING", number: 1).mergePatched(with: ["uuid": "AA=="])
            #expect(try await test.post(path, TestExecutor.call("UPDATE", ["update": ["status": bad]])).0 == 400)
        }
    }

    @Test("Thousands of updates that nobody acknowledges stay few, and keep the first and the newest")
    func manyUpdates() async throws {
        try await TestAgent.run { test in
            try await test.makeExecutor()
            try await test.makeTask("t1")
            try await eventually { (try await test.get("/state")?["frameworks"].elements.count ?? 0) == 1 }
            let executor = try await TestExecutor.subscribe(test)
            for number in 1...200 { try await executor.update("t1", "TASK_RUNNING", number: UInt8(number)) }
            try await executor.update("t1", "TASK_FINISHED", number: 201)
            let updates = try await test.status("t1")["updates"].elements
            #expect(updates.count == 64)
            #expect(updates.first?["uuid"].string == TestExecutor.uuid(1))
            #expect(updates.last?["state"] == "TASK_FINISHED")
        }
    }

    @Test("An executor that does not read loses its stream; the agent keeps a bounded amount for it")
    func neverReads() async throws {
        try await TestAgent.run { test in
            try await test.makeExecutor()
            try await eventually { (try await test.get("/state")?["frameworks"].elements.count ?? 0) == 1 }
            let executor = try await TestExecutor.subscribe(test)
            let megabyte = [UInt8](repeating: 65, count: 1 << 20)
            var sent = 0
            while sent < 500 {
                do {
                    try await test.agent.send(
                        message: megabyte, frameworkID: "m-0000", agentID: "m-S0", executorID: "e1")
                    sent += 1
                } catch { break }
            }
            #expect(sent < 100)
            // It comes back like any other.
            let again = try await TestExecutor.subscribe(test)
            _ = try await again.expect("SUBSCRIBED")
            _ = executor
        }
    }
}
