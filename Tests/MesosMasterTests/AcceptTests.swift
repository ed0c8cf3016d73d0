import JSON
import Ledger
import MesosModel
import ObjectModel
import Testing

@testable import MesosMaster

@Suite("Operations on offers")
struct AcceptTests {
    @Test("A task takes its part of the offer; the rest is offered again when the filter ends")
    func launch() throws {
        var test = TestState()
        let id = test.subscribe()
        let offer = try #require(test.offers(to: id).first)
        let launches = test.state.accept(
            id, [Make.id(offer)], [Make.launch([Make.task("t1"), Make.task("t2", cpus: 0.5)])],
            filters: ["refuse_seconds": 3])
        #expect(launches.count == 2)
        #expect(launches[0].pod?.tree["spec"]["nodeName"].string == "n0")
        // Claimed from the moment of the answer, before any pod is seen.
        #expect(test.ledger.node("n0")?.used.milliCPU == 1500 && test.ledger.node("n0")?.offered.milliCPU == 0)
        #expect(test.offers(to: id).isEmpty)
        test.pass(4)
        #expect(test.offers(to: id).first.map { Make.resources($0).cpus } == 2.5)
        test.run(launches[0])
        #expect(test.ledger.node("n0")?.used.milliCPU == 4000, "the pod's claim takes the place of the launch's")
    }

    @Test("Accepting twice loses the tasks of the second time only")
    func twice() throws {
        var test = TestState()
        let id = test.subscribe(capabilities: ["PARTITION_AWARE"])
        let other = test.subscribe(roles: ["o"])
        let offer = try #require((test.offers(to: id) + test.offers(to: other)).first)
        let owner = offer["framework_id"]["value"].string ?? ""
        #expect(test.state.accept(owner, [Make.id(offer)], [Make.launch([Make.task("t1")])], filters: [:]).count == 1)
        #expect(test.state.accept(owner, [Make.id(offer)], [Make.launch([Make.task("t2")])], filters: [:]).isEmpty)
        let status = try #require(test.updates(of: owner).last)
        #expect(status["task_id"]["value"].string == "t2" && status["reason"].string == "REASON_INVALID_OFFERS")
        #expect(test.state.tasks.count == 1)
        // Offers of somebody else are no good, and stay whole.
        test.pass(10)
        let mine = (test.offers(to: owner) + test.offers(to: owner == id ? other : id))
        let next = try #require(mine.first)
        let thief = next["framework_id"]["value"].string == id ? other : id
        #expect(test.state.accept(thief, [Make.id(next)], [Make.launch([Make.task("t3")])], filters: [:]).isEmpty)
        #expect(test.state.offers[Make.id(next)] != nil)
        #expect(test.updates(of: thief).last?["message"].string?.contains("invalid framework") == true)
    }

    @Test("A task that breaks a rule is TASK_ERROR with the rule, and takes nothing")
    func rules() throws {
        var test = TestState()
        let id = test.subscribe()
        func changed(_ change: (inout JSON) -> Void) -> JSON {
            var task = Make.task("bad")
            change(&task)
            return task
        }
        let cases: [(JSON, String)] = [
            (changed { $0["task_id"] = Message.id("a/b") }, "Task ID"),
            (changed { $0["task_id"] = Message.id("") }, "Task ID"),
            (changed { $0["agent_id"] = Message.id("S9") }, "invalid agent"),
            (changed { $0["resources"] = [] }, "no resources"),
            (changed { $0["resources"] = [Make.scalar("cpus", -1)] }, "invalid resources"),
            (changed { $0["resources"] = [Make.scalar("cpus", 99)] }, "more than available"),
            (changed { $0["resources"] = [Make.scalar("cpus", 1, reservedFor: "r")] }, "more than available"),
            (changed { $0["resources"][0]["allocation_info"] = ["role": "x"] }, "allocated to role 'x'"),
            (changed { $0.removeMember("command") }, "CommandInfo or ExecutorInfo"),
            (changed { $0["executor"] = ["executor_id": Message.id("e")] }, "CommandInfo or ExecutorInfo"),
            (changed { $0["command"] = [:] }, "must have a value"),
            (changed { $0["kill_policy"] = ["grace_period": ["nanoseconds": -1]] }, "grace_period"),
            (changed { $0["max_completion_time"] = ["nanoseconds": -1] }, "max_completion_time"),
            (changed { $0["limits"] = ["cpus": ["value": Message.double(0.1)]] }, "limit"),
            (changed { $0["limits"] = ["disk": ["value": 1]] }, "Only cpus and mem"),
            (changed { $0["limits"] = ["mem": ["value": 1], "cpus": ["value": "Infinity"]] }, "memory limit"),
            (changed { $0["container"] = ["type": "DOCKER"] }, "DockerInfo"),
            (changed { $0["health_check"] = ["command": ["value": "true"]] }, "HealthCheck must specify 'type'"),
            (
                changed { $0["health_check"] = ["type": "HTTP", "http": ["port": 1, "path": "x"]] },
                "must start with '/'"
            ),
            (changed { $0["check"] = ["type": "COMMAND", "command": ["command": [:]]] }, "'shell command'"),
            (changed { $0["check"] = ["type": "TCP", "tcp": ["port": 1], "timeout_seconds": -1] }, "non-negative"),
            (changed { $0["container"]["volumes"] = [["source": ["type": "HOST_PATH"]]] }, "'source.host_path'"),
            (changed { $0["command"]["environment"] = ["variables": [["name": "A"]]] }, "must have a value set"),
            (changed { $0["data"] = .string(String(repeating: "A", count: 300_000)) }, "bytes"),
            (
                changed { $0["command"]["environment"] = ["variables": [["name": "A=B", "value": "x"]]] },
                "no valid name"
            ),
        ]
        for (task, reason) in cases {
            let offer = try #require(test.offers(to: id).first, "\(reason)")
            let launches = test.state.accept(
                id, [Make.id(offer)], [Make.launch([task])], filters: ["refuse_seconds": 0])
            #expect(launches.isEmpty, "\(reason)")
            let status = test.updates(of: id).last ?? .null
            #expect(status["state"].string == "TASK_ERROR" && status["reason"].string == "REASON_TASK_INVALID")
            #expect(status["message"].string?.contains(reason) == true, "\(status["message"]) lacks \(reason)")
            // Nothing to acknowledge: the master keeps nothing of it.
            #expect(status["uuid"].isNull)
        }
        #expect(test.state.tasks.isEmpty)
        let offer = try #require(test.offers(to: id).first)
        let twice = [Make.task("same"), Make.task("same")]
        #expect(test.state.accept(id, [Make.id(offer)], [Make.launch(twice)], filters: [:]).count == 1)
        #expect(test.updates(of: id).last?["message"].string?.contains("duplicate") == true)
    }

    @Test("Reserve, create, destroy and unreserve change what is offered, and say what became of them")
    func reservations() throws {
        var test = TestState()
        let id = test.subscribe(principal: "me")
        let other = test.subscribe(roles: ["other"])
        test.state.suppress(other, roles: [])
        var offer = try #require(test.offers(to: id).first)
        func reserved(_ name: String, _ value: Double) -> JSON {
            var resource = Make.scalar(name, value)
            resource["reservations"] = [["type": "DYNAMIC", "role": "r", "principal": "me"]]
            return resource
        }
        var volume = Make.volume("v", role: "r", mb: 512)
        volume["reservations"] = [["type": "DYNAMIC", "role": "r", "principal": "me"]]
        volume["disk"]["persistence"]["principal"] = "me"
        func accept(_ operations: [JSON], _ test: inout TestState) {
            _ = test.state.accept(id, [Make.id(offer)], operations, filters: ["refuse_seconds": 0])
        }
        accept(
            [
                [
                    "type": "RESERVE", "id": Message.id("op1"),
                    "reserve": ["resources": [reserved("cpus", 2), reserved("disk", 512)]],
                ],
                ["type": "CREATE", "id": Message.id("op2"), "create": ["volumes": [volume]]],
                ["type": "RESERVE", "id": Message.id("op3"), "reserve": ["resources": [reserved("cpus", 99)]]],
            ], &test)
        let feedback = test.events("UPDATE_OPERATION_STATUS", of: id).map { $0["status"] }
        #expect(
            feedback.compactMap { $0["state"].string } == [
                "OPERATION_FINISHED", "OPERATION_FINISHED", "OPERATION_ERROR",
            ])
        let agent = try #require(test.state.agents["S0"])
        #expect(agent.reserved.reserved(for: "r").cpus == 2 && agent.volumes.disk == 512)
        // Kept in the agent's object, and out of everybody else's reach.
        let object = try #require(test.state.object(ofAgent: "n0"))
        #expect(object["spec"]["volumes"].elements.count == 1)
        test.state.suppress(id, roles: [])
        test.state.revive(other, roles: [])
        let rest = try #require(test.offers(to: other).first)
        #expect(Make.resources(rest).cpus == 2 && Make.resources(rest).reserved().isEmpty)
        test.state.decline(other, [Make.id(rest)], filters: ["refuse_seconds": 1000])
        test.state.revive(id, roles: [])
        offer = try #require(test.offers(to: id).first)
        #expect(Make.resources(offer).reserved(for: "r").persistentVolumes.disk == 512)
        #expect(Make.resources(offer).cpus == 4)
        // An end that is not acknowledged comes again; one that is does not.
        let uuid = feedback[0]["uuid"]["value"].string ?? ""
        test.state.acknowledgeOperation(id, operationID: "op1", uuid: uuid)
        test.pass(11)
        test.state.resend()
        #expect(
            Set(
                test.events("UPDATE_OPERATION_STATUS", of: id).compactMap {
                    $0["status"]["operation_id"]["value"].string
                })
                == ["op2"])
        // A task on the volume, and nothing of it can be taken away meanwhile.
        var task = Make.task("t")
        task["resources"] = [Make.scalar("mem", 64), reserved("cpus", 1), volume]
        let launches = test.state.accept(
            id, [Make.id(offer)], [Make.launch([task])], filters: ["refuse_seconds": 0])
        #expect(launches.count == 1, "\(test.updates(of: id))")
        offer = try #require(test.offers(to: id).first)
        #expect(Make.resources(offer).reserved(for: "r").cpus == 1)
        accept(
            [["type": "DESTROY", "id": Message.id("op4"), "destroy": ["volumes": [volume]]]], &test)
        #expect(test.events("UPDATE_OPERATION_STATUS", of: id).last?["status"]["state"].string == "OPERATION_ERROR")
        if let launch = launches.first {
            test.run(launch)
            test.end(launch)
        }
        for status in test.updates(of: id) {
            test.state.acknowledge(id, task: "t", uuid: status["uuid"].string ?? "")
        }
        for status in test.updates(of: id) {
            test.state.acknowledge(id, task: "t", uuid: status["uuid"].string ?? "")
        }
        offer = try #require(test.offers(to: id).first)
        accept(
            [
                ["type": "DESTROY", "destroy": ["volumes": [volume]]],
                [
                    "type": "UNRESERVE", "id": Message.id("op5"),
                    "unreserve": ["resources": [reserved("cpus", 2), reserved("disk", 512)]],
                ],
            ], &test)
        #expect(test.events("UPDATE_OPERATION_STATUS", of: id).last?["status"]["state"].string == "OPERATION_FINISHED")
        #expect(test.state.agents["S0"]?.reserved.isEmpty == true)
        #expect(test.ledger.claim(.reservation(id: "agent n0")) == nil)
    }

    @Test("What the master refuses is told and kept nowhere: operations, users, ids on launches")
    func refused() throws {
        var test = TestState()
        let id = test.subscribe(principal: "me")
        let bad: JSON = [
            "type": "RESERVE", "id": Message.id("op"),
            "reserve": ["resources": [Make.scalar("cpus", 99, reservedFor: "r")]],
        ]
        var launch = Make.launch([Make.task("named")])
        launch["id"] = Message.id("op")
        var task = Make.task("foreign")
        task["command"]["user"] = "root"
        let offer = try #require(test.offers(to: id).first)
        let launches = test.state.accept(
            id, [Make.id(offer)], [bad, launch, Make.launch([task, Make.task("good")])], filters: [:],
            refusals: ["root": "not root"])
        #expect(launches.flatMap(\.tasks).map(\.taskID) == ["good"])
        #expect(test.updates(of: id).map { $0["reason"] } == ["REASON_TASK_INVALID", "REASON_TASK_UNAUTHORIZED"])
        _ = test.state.accept(id, [Make.id(offer)], [bad], filters: [:])
        let statuses = test.events("UPDATE_OPERATION_STATUS", of: id).map { $0["status"] }
        #expect(statuses.map { $0["state"] } == ["OPERATION_ERROR", "OPERATION_ERROR"])
        #expect(statuses.allSatisfy { $0["uuid"].isNull } && test.state.operations.isEmpty)
    }

    @Test("A task group is one pod with its executor's share; one bad task refuses all")
    func group() throws {
        var test = TestState()
        let id = test.subscribe()
        let executor: JSON = [
            "type": "DEFAULT", "executor_id": Message.id("e"), "framework_id": Message.id(id),
            "resources": [Make.scalar("cpus", 0.1), Make.scalar("mem", 32)],
        ]
        func group(_ tasks: [JSON]) -> JSON {
            [
                "type": "LAUNCH_GROUP",
                "launch_group": ["executor": executor, "task_group": ["tasks": .array(tasks)]],
            ]
        }
        var offer = try #require(test.offers(to: id).first)
        var bad = Make.task("b")
        bad["container"] = ["type": "DOCKER", "docker": ["image": "x"]]
        #expect(
            test.state.accept(
                id, [Make.id(offer)], [group([Make.task("a"), bad])], filters: ["refuse_seconds": 0]
            ).isEmpty)
        #expect(
            test.updates(of: id).compactMap { $0["reason"].string } == [
                "REASON_TASK_GROUP_INVALID", "REASON_TASK_GROUP_INVALID",
            ])
        offer = try #require(test.offers(to: id).first)
        let launches = test.state.accept(
            id, [Make.id(offer)], [group([Make.task("a"), Make.task("b")])], filters: ["refuse_seconds": 0])
        #expect(launches.count == 1)
        #expect(launches.first?.pod?.tree["spec"]["containers"].elements.count == 2)
        #expect(test.state.executors.count == 1)
        let next = try #require(test.offers(to: id).first)
        #expect(Make.resources(next).cpus == 1.9)
        #expect(next["executor_ids"][0]["value"].string == "e")
    }

    @Test("Five thousand tasks in one ACCEPT are five thousand pods within the offer")
    func many() throws {
        var test = TestState(cpu: 64, memoryGi: 256)
        let id = test.subscribe()
        let offer = try #require(test.offers(to: id).first)
        let tasks = (0..<5000).map { Make.task("t\($0)", cpus: 0.01, mem: 16) }
        let launches = test.state.accept(id, [Make.id(offer)], [Make.launch(tasks)], filters: ["refuse_seconds": 0])
        #expect(launches.count == 5000 && test.state.tasks.count == 5000)
        #expect(test.ledger.node("n0")?.used.milliCPU == 50_000)
        #expect(test.offers(to: id).first.map { Make.resources($0).cpus } == 14)
    }
}

@Suite("Custom executors")
struct CustomExecutorTests {
    private func task(_ id: String, command: String = "run") -> JSON {
        var task = Make.task(id)
        task.removeMember("command")
        task["executor"] = [
            "type": "CUSTOM", "executor_id": Message.id("e"), "command": ["value": .string(command)],
            "resources": [Make.scalar("cpus", 0.5), Make.scalar("mem", 64)],
        ]
        return task
    }

    @Test("The executor is a pod that comes first, each task an object; all of it is counted once")
    func launch() throws {
        var test = TestState()
        let id = test.subscribe()
        var offer = try #require(test.offers(to: id).first)
        let launches = test.state.accept(
            id, [Make.id(offer)], [Make.launch([task("a"), task("b"), task("c", command: "other")])],
            filters: ["refuse_seconds": 0])
        #expect(launches.map { $0.pod != nil } == [true, false, false])
        #expect(launches.compactMap { $0.object?.tree["kind"].string } == ["Task", "Task"])
        #expect(test.updates(of: id).last?["message"].string?.contains("not compatible") == true)
        #expect(test.ledger.node("n0")?.used.milliCPU == 2500)
        offer = try #require(test.offers(to: id).first)
        #expect(Make.resources(offer).cpus == 1.5 && offer["executor_ids"].elements.count == 1)
        // What the executor says stands in the task's object until it is acknowledged.
        let object = try #require(launches[1].object)
        func seen(_ updates: JSON, _ state: String, _ test: inout TestState) {
            var tree = object.tree
            tree["status"] = ["state": .string(state), "updates": updates]
            test.state.set(taskObject: TaskObject(Object(tree)), at: object.key)
        }
        let running: JSON = [
            "task_id": Message.id("a"), "state": "TASK_RUNNING", "uuid": "AAAAAAAAAAAAAAAAAAAAAA==",
            "source": "SOURCE_EXECUTOR",
        ]
        var ended = running
        ended["state"] = "TASK_FINISHED"
        ended["uuid"] = "AQAAAAAAAAAAAAAAAAAAAA=="
        seen([running], "TASK_RUNNING", &test)
        seen([running, ended], "TASK_FINISHED", &test)
        #expect(test.updates(of: id).compactMap { $0["state"].string } == ["TASK_RUNNING"])
        test.state.acknowledge(id, task: "a", uuid: running["uuid"].string ?? "")
        #expect(test.updates(of: id).compactMap { $0["state"].string } == ["TASK_FINISHED"])
        // Free as soon as it ended, known until that is acknowledged.
        #expect(test.ledger.node("n0")?.used.milliCPU == 3000, "1.5 used and 1.5 offered")
        test.state.decline(id, [Make.id(offer)], filters: ["refuse_seconds": 0])
        #expect(test.offers(to: id).first.map { Make.resources($0).cpus } == 2.5)
        test.state.acknowledge(id, task: "a", uuid: ended["uuid"].string ?? "")
        #expect(test.state.tasks[TaskKey(id, "a")] == nil && test.state.tasks[TaskKey(id, "b")] != nil)
        // The same update again, as from a store that lags behind, is no news.
        seen([running, ended], "TASK_FINISHED", &test)
        #expect(test.updates(of: id).isEmpty && test.state.tasks[TaskKey(id, "a")] == nil)
        test.state.kill(id, task: "b", agentID: nil, policy: .null)
        #expect(test.state.tasks[TaskKey(id, "b")]?.isKillRequested == true)
    }
}
