import JSON
import Testing

@testable import MesosModel

@Suite struct CodecTests {
    @Test("A call is the same through JSON and protobuf")
    func callRoundTrip() throws {
        let text = """
            {"framework_id":{"value":"f"},"type":"ACCEPT","accept":{"offer_ids":[{"value":"o1"}],"operations":[{"type":"LAUNCH",
            "launch":{"task_infos":[{"name":"t","task_id":{"value":"t1"},"agent_id":{"value":"a"},"data":"aGVsbG8=",
            "resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":0.1}},{"name":"ports","type":"RANGES","ranges":
            {"range":[{"begin":31000,"end":31001}]}}],"command":{"shell":true,"value":"true"},
            "limits":{"cpus":{"value":"Infinity"}}}]}}],"filters":{"refuse_seconds":1}}}
            """
        let call = "mesos.v1.scheduler.Call"
        let tree = try MesosCodec.decode(Array(text.utf8), as: call, format: .json)
        let wire = try MesosCodec.encode(tree, as: call, format: .protobuf)
        let back = try MesosCodec.decode(wire, as: call, format: .protobuf)
        #expect(back == tree)
        #expect(tree["accept"]["operations"][0]["launch"]["task_infos"][0]["limits"]["cpus"]["value"] == "Infinity")
    }

    @Test("Bytes on the wire are those that protobuf gives")
    func knownBytes() throws {
        let tree: JSON = ["type": "TEARDOWN", "framework_id": ["value": "abc"]]
        let wire = try MesosCodec.encode(tree, as: "mesos.v1.scheduler.Call", format: .protobuf)
        #expect(wire == [0x10, 2, 0x0A, 5, 0x0A, 3, 0x61, 0x62, 0x63])
    }

    @Test("JSON output has explicit defaults, but not deprecated ones, and doubles with a fraction")
    func defaults() throws {
        let tree: JSON = ["user": "u", "name": "n", "failover_timeout": 7]
        let json = try MesosCodec.encode(tree, as: "mesos.v1.FrameworkInfo", format: .json)
        #expect(
            String(decoding: json, as: UTF8.self)
                == #"{"user":"u","name":"n","failover_timeout":7.0,"checkpoint":false}"#)
        let filled = MesosCodec.withDefaults(
            ["uris": [["value": "u"]]], as: "mesos.v1.CommandInfo")
        #expect(filled["shell"] == true && filled["uris"][0]["extract"] == true)
    }

    @Test(
        "What is wrong is named with its path",
        arguments: [
            (#"{"type":"SUBSCRIBE","subscribe":{}}"#, "Missing required field: subscribe.framework_info"),
            (
                #"{"type":"ACCEPT","accept":{"offer_ids":[{"value":"a"},{}]}}"#,
                "Missing required field: accept.offer_ids[1].value"
            ),
            (#"{"framework_id":"x"}"#, "framework_id: expected an object, found a string"),
            (
                #"{"kill":{"task_id":{"value":"t"},"kill_policy":{"grace_period":{"nanoseconds":"x"}}}}"#,
                "kill.kill_policy.grace_period.nanoseconds: \"x\" is not an integer of that range"
            ),
            (#"{"acknowledge":{"uuid":"%"}}"#, "acknowledge.uuid: not base64"),
            (#"[]"#, "expected an object, found an array"),
        ])
    func problems(text: String, message: String) {
        #expect(throws: MesosError(.invalid, message)) {
            try MesosCodec.decode(Array(text.utf8), as: "mesos.v1.scheduler.Call", format: .json)
        }
    }

    @Test("Unknown members and nulls are dropped, unknown values of enums become UNKNOWN")
    func unknown() throws {
        let text = #"{"type":"DANCE","future":{"a":1},"framework_id":null}"#
        let tree = try MesosCodec.decode(Array(text.utf8), as: "mesos.v1.scheduler.Call", format: .json)
        #expect(tree == ["type": "UNKNOWN"])
    }

    @Test("DRAIN_AGENT's grace period is text in JSON and two numbers on the wire")
    func protobufDuration() throws {
        let tree: JSON = [
            "type": "DRAIN_AGENT", "drain_agent": ["agent_id": ["value": "a"], "max_grace_period": "1.500s"],
        ]
        let wire = try MesosCodec.encode(tree, as: "mesos.v1.master.Call", format: .protobuf)
        let back = try MesosCodec.decode(wire, as: "mesos.v1.master.Call", format: .protobuf)
        #expect(back["drain_agent"]["max_grace_period"] == "1.5s")
    }

    @Test("Singular messages that come twice are merged, packed numbers are read")
    func merging() throws {
        let first = try MesosCodec.encode(
            ["framework_id": ["value": "a"], "decline": ["offer_ids": [["value": "1"]]]],
            as: "mesos.v1.scheduler.Call", format: .protobuf)
        let second = try MesosCodec.encode(
            ["decline": ["offer_ids": [["value": "2"]], "filters": ["refuse_seconds": 3]]],
            as: "mesos.v1.scheduler.Call", format: .protobuf)
        let tree = try MesosCodec.decode(first + second, as: "mesos.v1.scheduler.Call", format: .protobuf)
        #expect(tree["decline"]["offer_ids"].elements.map { $0["value"].string } == ["1", "2"])
        #expect(tree["decline"]["filters"]["refuse_seconds"] == 3)
        // statuses (4) of HTTPCheckInfo, packed, and its port (1).
        let packed = try MesosCodec.decode(
            [0x22, 3, 0xC8, 0x01, 5, 0x08, 80], as: "mesos.v1.HealthCheck.HTTPCheckInfo", format: .protobuf)
        #expect(packed == ["statuses": [200, 5], "port": 80])
    }

    @Test("Nesting and sizes are bounded")
    func bounds() throws {
        var tree: JSON = ["value": "c"]
        for _ in 0..<150 { tree = ["value": "c", "parent": tree] }
        #expect(throws: MesosError.self) {
            try MesosCodec.encode(tree, as: "mesos.v1.ContainerID", format: .json)
        }
        #expect(throws: MesosError.self) {
            try MesosCodec.decode(tree.encoded(), as: "mesos.v1.ContainerID", format: .json)
        }
        var wire: [UInt8] = []
        for _ in 0..<40 { wire = [0x12, UInt8(wire.count)] + wire + [] }
        #expect(throws: MesosError.self) {
            try MesosCodec.decode(wire, as: "mesos.v1.ContainerID", format: .protobuf)
        }
        // Empty messages are two bytes each and many more in memory.
        let flood = Array(repeatElement([0x0A, 0] as [UInt8], count: 600).joined())
        let limits = try #require(MesosSchema.shared.place(of: "mesos.v1.RLimitInfo"))
        #expect(throws: CodecProblem.self) {
            try MesosProtobufReader.read(flood, limits, maximumValues: 500)
        }
        #expect(try MesosProtobufReader.read(flood, limits, maximumValues: 600)["rlimits"].elements.count == 600)
    }
}
