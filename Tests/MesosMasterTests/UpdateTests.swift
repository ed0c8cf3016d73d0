import JSON
import MesosModel
import ObjectModel
import Testing

@testable import MesosMaster

@Suite("Statuses")
struct UpdateTests {
    private func launched(_ test: inout TestState, _ id: String, _ task: String = "t") throws -> MasterState.Launch {
        let offer = try #require(test.offers(to: id).first)
        let launches = test.state.accept(
            id, [Make.id(offer)], [Make.launch([Make.task(task)])], filters: ["refuse_seconds": 0])
        return try #require(launches.first)
    }

    @Test("Each status waits for the acknowledgement of the one before, and comes again until then")
    func acknowledgement() throws {
        var test = TestState()
        let id = test.subscribe()
        let launch = try launched(&test, id)
        test.run(launch)
        test.end(launch, status: 3)
        var updates = test.updates(of: id)
        let first = try #require(updates.first)
        #expect(updates.count == 1)
        test.pass(9)
        test.state.resend()
        #expect(test.updates(of: id).isEmpty)
        test.pass(2)
        test.state.resend()
        #expect(test.updates(of: id).map { $0["uuid"] } == [first["uuid"]])
        // Then after twice as long.
        test.pass(11)
        test.state.resend()
        #expect(test.updates(of: id).isEmpty)
        test.state.acknowledge(id, task: "t", uuid: "AAAA")
        #expect(test.updates(of: id).isEmpty)
        var seen = [first["state"].string]
        var head = first
        for _ in 0..<4 where test.state.tasks[TaskKey(id, "t")] != nil {
            test.state.acknowledge(id, task: "t", uuid: head["uuid"].string ?? "")
            updates = test.updates(of: id)
            guard let next = updates.first else { break }
            seen.append(next["state"].string)
            head = next
        }
        #expect(seen.last == "TASK_FAILED" && seen.contains("TASK_RUNNING"))
        #expect(head["message"].string?.contains("status 3") == true)
        #expect(test.state.tasks.isEmpty && test.state.pods.values.allSatisfy { $0.isReleased })
        #expect(test.state.unacknowledged.isEmpty)
    }

    @Test("Reconciliation answers for known tasks, unknown ones, and those of agents that are gone")
    func reconciliation() throws {
        var test = TestState()
        let id = test.subscribe(capabilities: ["PARTITION_AWARE"])
        let launch = try launched(&test, id)
        test.run(launch)
        _ = test.updates(of: id)
        test.state.reconcile(id, [])
        let all = test.updates(of: id)
        #expect(all.count == 1 && all[0]["reason"].string == "REASON_RECONCILIATION" && all[0]["uuid"].isNull)
        test.state.goneAgents["S7"] = 1
        test.state.reconcile(id, [("t", nil), ("x", nil), ("y", "S0"), ("z", "S7"), ("w", "S8")])
        #expect(
            test.updates(of: id).compactMap { $0["state"].string } == [
                all[0]["state"].string ?? "", "TASK_UNKNOWN", "TASK_GONE", "TASK_GONE_BY_OPERATOR", "TASK_UNKNOWN",
            ])
        // Who does not know these states hears that the task is lost.
        let old = test.subscribe(roles: ["o"])
        test.state.reconcile(old, [("x", nil)])
        #expect(test.updates(of: old).map { $0["state"].string } == ["TASK_LOST"])
    }

    @Test("A framework that comes back elsewhere: the old connection hears an error, tasks stay, offers are made anew")
    func failover() throws {
        var test = TestState()
        let id = test.subscribe()
        let launch = try launched(&test, id)
        let out = test.offers(to: id)
        #expect(out.count == 1)
        test.run(launch)
        _ = test.updates(of: id)
        let old = try #require(test.stream(of: id))
        #expect(test.subscribe(id: id) == id)
        let (events, isClosed) = old.take(atMost: .max)
        #expect(isClosed && events.last?["type"].string == "ERROR")
        #expect(events.last?["error"]["message"].string == "Framework failed over")
        // The end of the old connection does not disconnect the new one.
        test.state.disconnected(id, streamID: old.id)
        #expect(test.state.frameworks[id]?.isConnected == true)
        #expect(test.events("SUBSCRIBED", of: id).count == 1)
        #expect(test.updates(of: id).count == 1, "what was not acknowledged comes on the new connection")
        let anew = test.offers(to: id)
        #expect(anew.count == 1 && Make.id(anew[0]) != Make.id(out[0]))
        #expect(test.state.tasks.count == 1)
    }

    @Test("A framework that never reads is cut off, and its offers go to others")
    func deaf() throws {
        var test = TestState()
        let id = test.subscribe(maximum: 100)
        let other = test.subscribe(roles: ["o"])
        #expect(test.offers(to: id).count + test.offers(to: other).count == 1)
        for _ in 0..<200 { test.state.send(Message.event("HEARTBEAT"), to: id) }
        #expect(test.state.frameworks[id]?.isConnected == false)
        #expect(test.stream(of: id)?.count == 0 && test.stream(of: id)?.isClosed == true)
        #expect(test.state.offers.values.allSatisfy { $0.frameworkID == other })
        _ = test.offers(to: other)
        #expect(test.state.offers.count == 1)
        test.pass(101)
        test.state.expireFrameworks()
        #expect(test.state.frameworks[id] == nil && test.state.completedFrameworks[id] != nil)
    }

    @Test("A node that is lost makes tasks unreachable, and known again when it returns")
    func partition() throws {
        var test = TestState()
        let id = test.subscribe(capabilities: ["PARTITION_AWARE"])
        let launch = try launched(&test, id)
        test.run(launch)
        for status in test.updates(of: id) { test.state.acknowledge(id, task: "t", uuid: status["uuid"].string ?? "") }
        _ = test.updates(of: id)
        let node = try #require(test.state.nodes["n0"])
        let lost = MasterNode(Object(["metadata": ["name": "n0"], "status": ["conditions": []]]))
        #expect(test.offers(to: id).count == 1)
        test.state.set(node: lost, named: "n0")
        #expect(test.updates(of: id).last?["state"].string == "TASK_UNREACHABLE")
        #expect(test.state.offers.isEmpty && test.offers(to: id).isEmpty)
        test.state.set(node: node, named: "n0")
        #expect(test.updates(of: id).last?["state"].string == "TASK_RUNNING")
        #expect(test.offers(to: id).count == 1)
    }

    @Test("Draining gives no task more time than it asked for, and says why")
    func draining() throws {
        for (most, grace) in [(60.0, nil), (1.0, 1), (1e30, nil)] as [(Double, Int?)] {
            var test = TestState()
            let id = test.subscribe()
            let offer = try #require(test.offers(to: id).first)
            let launches = test.state.accept(id, [Make.id(offer)], [Make.launch([Make.task("t")])], filters: [:])
            let pod = try #require(launches.first?.pod?.key)
            let spec: JSON = [
                "id": "S0", "state": "draining", "reserved": [], "volumes": [],
                "drain": ["maxGracePeriodSeconds": Message.double(most)],
            ]
            test.state.set(
                agentObject: AgentObject(
                    Object([
                        "apiVersion": "mesos.apus.dev/v1", "kind": "Agent", "metadata": ["name": "n0"], "spec": spec,
                    ])), named: "n0")
            let kill = try #require(test.state.pods[pod]?.kill)
            #expect(kill.grace == grace && kill.reason.hasPrefix("REASON_AGENT_DRAINING"))
            #expect(test.state.object(ofAgent: "n0")?["spec"]["state"] == "draining")
            let task = try #require(test.state.tasks[TaskKey(id, "t")])
            test.state.effects = []
            test.state.forget(task)
            // Its end is written without anything else happening.
            let isWritten = test.state.effects.contains { if case .agent("n0") = $0 { true } else { false } }
            #expect(isWritten && test.state.object(ofAgent: "n0")?["spec"]["state"] == "drained")
        }
    }
}
