import JSON
import MesosModel
import ObjectModel
import Testing

@testable import MesosMaster

/// What the master does with news that come late: it knows more than the copies that it reads.
@Suite("Copies that are behind")
struct StaleCopyTests {
    private func reserve(_ cpus: Double) -> JSON {
        ["type": "RESERVE", "reserve": ["resources": [Make.scalar("cpus", cpus, reservedFor: "r")]]]
    }

    private func agent(_ reserved: JSON, at revision: Int) -> AgentObject {
        AgentObject(
            Object([
                "apiVersion": "mesos.apus.dev/v1", "kind": "Agent",
                "metadata": ["name": "n0", "resourceVersion": .string(String(revision))],
                "spec": ["id": "S0", "state": "active", "reserved": reserved, "volumes": []],
            ]))
    }

    @Test("An agent's object of before does not take back what was reserved since")
    func reservations() throws {
        var test = TestState()
        try test.state.operate(reserve(1), onAgent: "S0", principal: nil)
        let first = try #require(test.state.object(ofAgent: "n0"))["spec"]["reserved"]
        test.state.stored(agent: "n0", changes: 1, at: 5)
        try test.state.operate(reserve(2), onAgent: "S0", principal: nil)
        let both = try #require(test.state.object(ofAgent: "n0"))["spec"]["reserved"]
        #expect(first != both)
        // What was written first is seen when more is reserved already, and again when that is stored.
        test.state.set(agentObject: agent(first, at: 5), named: "n0")
        #expect(test.state.object(ofAgent: "n0")?["spec"]["reserved"] == both)
        test.state.stored(agent: "n0", changes: 2, at: 7)
        test.state.set(agentObject: agent(first, at: 6), named: "n0")
        #expect(test.state.object(ofAgent: "n0")?["spec"]["reserved"] == both)
        // Once its own is seen, what others write counts.
        test.state.set(agentObject: agent(both, at: 7), named: "n0")
        test.state.set(agentObject: agent(first, at: 8), named: "n0")
        #expect(test.state.object(ofAgent: "n0")?["spec"]["reserved"] == first)
    }

    @Test("The end of an earlier task's pod is not the end of a task of the same id")
    func pods() throws {
        var test = TestState()
        let id = test.subscribe()
        func launch() throws -> MasterState.Launch {
            let offer = try #require(test.offers(to: id).first)
            let launches = test.state.accept(
                id, [Make.id(offer)], [Make.launch([Make.task("t")])], filters: ["refuse_seconds": 0])
            return try #require(launches.first)
        }
        func show(_ launch: MasterState.Launch, _ uid: String, _ state: JSON, phase: String, held: Bool) {
            var tree = launch.pod?.tree ?? .null
            tree["metadata"]["uid"] = .string(uid)
            if !held { tree["metadata"].removeMember("finalizers") }
            tree["status"]["phase"] = .string(phase)
            tree["status"]["containerStatuses"] = .array(
                tree["spec"]["containers"].elements.map { ["name": $0["name"], "state": state] })
            test.state.set(pod: MasterPod(Object(tree)), at: launch.pod?.key ?? ObjectKey(name: ""))
        }
        let times: JSON = ["startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z", "exitCode": 0]
        let first = try launch()
        test.state.launched(first, uid: "1")
        show(first, "1", ["terminated": times], phase: "Succeeded", held: true)
        // Each status is told when the one before was acknowledged.
        for _ in 0..<5 {
            guard let status = test.updates(of: id).last else { break }
            test.state.acknowledge(id, task: "t", uuid: status["uuid"].string ?? "")
        }
        #expect(test.state.tasks.isEmpty)
        let second = try launch()
        #expect(second.pod?.key == first.pod?.key)
        // Heard late: before the new pod is stored, and after.
        show(first, "1", ["terminated": times], phase: "Succeeded", held: true)
        test.state.launched(second, uid: "2")
        show(first, "1", ["terminated": times], phase: "Succeeded", held: false)
        #expect(test.updates(of: id).isEmpty)
        show(second, "2", ["running": ["startedAt": "2026-01-01T00:00:02Z"]], phase: "Running", held: true)
        #expect(
            test.updates(of: id).last.map { ["TASK_STARTING", "TASK_RUNNING"].contains($0["state"].string) } == true)
    }
}
