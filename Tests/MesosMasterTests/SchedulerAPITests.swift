import ClusterClient
import JSON
import MesosModel
import ObjectModel
import Testing

@testable import MesosMaster

@Suite("The scheduler API over HTTP")
struct SchedulerAPITests {
    @Test("From SUBSCRIBE to the end of a task", arguments: [MesosFormat.json, .protobuf])
    func life(_ format: MesosFormat) async throws {
        try await TestMaster.run { test in
            var framework = try await test.subscribe(format)
            let offer = try await framework.next("OFFERS")["offers"]["offers"][0]
            #expect(try Resources(offer["resources"]).cpus == 8)
            let task = Make.task("t1", agent: offer["agent_id"]["value"].string ?? "")
            let accept: JSON = [
                "offer_ids": [offer["id"]], "operations": [Make.launch([task])],
                "filters": ["refuse_seconds": Message.double(0.5)],
            ]
            #expect(try await framework.call("ACCEPT", accept).status == 202)
            // 202 says that the pod is stored.
            let key = ObjectKey(
                namespace: "r", name: MesosNames.podName(taskID: "t1", frameworkID: framework.id))
            let pod = try #require(try await test.client.find(.pods, key))
            #expect(pod.tree["spec"]["nodeName"].string == "n1")
            // The rest comes again when the filter is over.
            let rest = try await framework.next("OFFERS")["offers"]["offers"][0]
            #expect(try Resources(rest["resources"]).cpus == 7)
            try await test.client.modify(.pods, key, subresource: "status") { tree in
                tree["status"]["phase"] = "Running"
                tree["status"]["containerStatuses"] = [
                    [
                        "name": "task", "image": "host", "imageID": "", "ready": true, "restartCount": 0,
                        "state": ["running": ["startedAt": "2026-01-01T00:00:00Z"]],
                    ]
                ]
                return true
            }
            var status = try await framework.next("UPDATE")["update"]["status"]
            while status["state"].string != "TASK_RUNNING" {
                try await framework.acknowledge(status)
                status = try await framework.next("UPDATE")["update"]["status"]
            }
            try await framework.acknowledge(status)
            #expect(try await framework.call("RECONCILE", ["tasks": [["task_id": ["value": "none"]]]]).status == 202)
            #expect(try await framework.next("UPDATE")["update"]["status"]["state"].string == "TASK_UNKNOWN")
            #expect(try await framework.call("TEARDOWN").status == 202)
            #expect(try await framework.isAtEnd())
            let object = try await test.client.find(MesosNames.frameworks, ObjectKey(name: framework.id))
            #expect(object?.tree["status"]["completed"].bool == true)
        }
    }

    @Test("A second connection takes over: the first hears ERROR and ends, and its stream id is no good any more")
    func failover() async throws {
        try await TestMaster.run { test in
            var first = try await test.subscribe()
            let second = try await test.subscribe(.protobuf, id: first.id)
            #expect(second.id == first.id && second.streamID != first.streamID)
            #expect(try await first.next("ERROR")["error"]["message"].string == "Framework failed over")
            #expect(try await first.isAtEnd())
            let refused = try await second.call("REVIVE", stream: first.streamID)
            #expect(refused.status == 400 && refused.text.contains("didn't match the stream ID"))
            #expect(try await second.call("REVIVE").status == 202)
            #expect(test.master.snapshot().frameworks.count == 1)
        }
    }

    @Test("Frameworks that connect and vanish leave bounded traces")
    func vanish() async throws {
        try await TestMaster.run { test in
            for _ in 0..<20 {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<10 { group.addTask { _ = try await test.subscribe(timeout: 0) } }
                    try await group.waitForAll()
                }
            }
            for _ in 0..<2000 where !test.master.snapshot().frameworks.isEmpty {
                try await Task.sleep(for: .milliseconds(5))
            }
            let state = test.master.snapshot()
            #expect(state.frameworks.isEmpty && state.offers.isEmpty)
            #expect(state.completedFrameworks.count == MasterState.maximumCompletedFrameworks)
            var stored = 0
            for _ in 0..<2000 {
                stored = try await test.client.list(MesosNames.frameworks).items.count
                if stored <= MasterState.maximumCompletedFrameworks { break }
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(stored <= MasterState.maximumCompletedFrameworks)
            var last = try await test.subscribe()
            #expect(try await !last.next("OFFERS")["offers"]["offers"].elements.isEmpty)
        }
    }

    @Test("Calls that are none get 4xx with a reason, and harm nobody")
    func malformed() async throws {
        try await TestMaster.run { test in
            var framework = try await test.subscribe()
            let id = framework.id
            func call(_ text: String, _ type: String? = "application/json", stream: String? = nil) async throws -> Int {
                try await test.send(Array(text.utf8), type: type, stream: stream ?? framework.streamID).status
            }
            let own = #""framework_id":{"value":"\#(id)"}"#
            #expect(try await call(#"{"type":"REVIVE",\#(own)}"#, nil) == 400)
            #expect(try await call(#"{"type":"REVIVE",\#(own)}"#, "text/plain") == 415)
            #expect(try await call(#"{"type":"REVIVE",\#(own)}"#, stream: "x") == 400)
            for text in [
                "", "{", "[]", "null", "\"x\"", "{}", #"{"type":1}"#, #"{"type":"NO_SUCH",\#(own)}"#,
                #"{"type":"ACCEPT",\#(own)}"#, #"{"type":"DECLINE",\#(own),"decline":[]}"#,
                #"{"type":"KILL",\#(own),"kill":{"task_id":"t"}}"#, #"{"type":"REVIVE"}"#,
                #"{"type":"ACKNOWLEDGE",\#(own),"acknowledge":{"uuid":"***"}}"#,
                #"{"type":"REVIVE","framework_id":{"value":"other"}}"#,
                #"{"type":"ACKNOWLEDGE",\#(own),"acknowledge":{"task_id":{"value":"t"},"agent_id":{"value":"a"},"uuid":"AA=="}}"#,
                #"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"u","name":"n"}}}"#,
                String(repeating: "[", count: 100_000),
            ] {
                let status = try await call(text)
                #expect((400..<500).contains(status) || status == 501, "\(text.prefix(100)): \(status)")
            }
            #expect(try await call("\u{0}\u{1}\u{2}", "application/x-protobuf") == 400)
            #expect(try await test.announce(SchedulerAPI.maximumBytes + 1, stream: framework.streamID) == 413)
            // It still works.
            #expect(try await framework.call("REVIVE").status == 202)
            #expect(try await !framework.next("OFFERS")["offers"]["offers"].elements.isEmpty)
        }
    }

    @Test(
        "Calls with random changes are answered, never with a failure of the server",
        arguments: [MesosFormat.json, .protobuf])
    func fuzz(_ format: MesosFormat) async throws {
        try await TestMaster.run { test in
            var framework = try await test.subscribe(format)
            let offer = try await framework.next("OFFERS")["offers"]["offers"][0]
            var random = SeededGenerator(format == .json ? 11 : 12)
            let accept: JSON = [
                "type": "ACCEPT", "framework_id": ["value": .string(framework.id)],
                "accept": [
                    "offer_ids": [offer["id"]],
                    "operations": [
                        Make.launch([Make.task("t", agent: offer["agent_id"]["value"].string ?? "")]),
                        ["type": "RESERVE", "reserve": ["resources": [Make.scalar("cpus", 1, reservedFor: "r")]]],
                    ], "filters": ["refuse_seconds": 1],
                ],
            ]
            let good = try MesosCodec.encode(accept, as: "mesos.v1.scheduler.Call", format: format)
            for _ in 0..<300 {
                var bytes = good
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    let place = Int.random(in: 0..<bytes.count, using: &random)
                    switch Int.random(in: 0..<4, using: &random) {
                    case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                    case 1: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
                    case 2: bytes.remove(at: place)
                    default: bytes.removeSubrange(place...)
                    }
                    if bytes.isEmpty { break }
                }
                let status = try await test.send(bytes, type: format.contentType, stream: framework.streamID).status
                #expect(status < 500 || status == 501)
            }
            #expect(try await framework.call("REVIVE").status == 202)
        }
    }
}

extension Subscription {
    func acknowledge(_ status: JSON) async throws {
        guard status["uuid"].string != nil else { return }
        try await call(
            "ACKNOWLEDGE",
            ["agent_id": status["agent_id"], "task_id": status["task_id"], "uuid": status["uuid"]])
    }
}
