import JSON
import ObjectModel
import Schema
import Testing

@Suite struct TableTests {
    private let now = Timestamp("2026-01-02T00:00:00Z") ?? Timestamp(seconds: 0)

    private func cells(_ text: String, _ resource: GroupVersionResource) throws -> [JSON] {
        let table = Catalog.builtin.table(
            of: [Object(try json(text))], resource: resource, includeObject: "None", includeColumns: true,
            metadata: [:],
            now: now)
        let cells = table["rows"][0]["cells"].elements
        #expect(cells.count == table["columnDefinitions"].elements.count)
        return cells
    }

    /// Status, spec additions, metadata additions → Ready, Status, Restarts.
    @Test(arguments: [
        (#"{"phase":"Pending"}"#, "", "", ["0/2", "Pending", "0"]),
        (
            #"""
            {"phase":"Running","conditions":[{"type":"Ready","status":"True"}],"containerStatuses":[
            {"name":"a","ready":true,"state":{"running":{}},"restartCount":1,
            "lastState":{"terminated":{"finishedAt":"2026-01-01T23:55:00Z"}}},
            {"name":"b","ready":true,"state":{"running":{}},"restartCount":2}]}
            """#, "", "", ["2/2", "Running", "3 (5m ago)"]
        ),
        (
            #"""
            {"phase":"Running","containerStatuses":[{"ready":false,"restartCount":4,
            "state":{"waiting":{"reason":"CrashLoopBackOff"}}},{"ready":true,"state":{"running":{}}}]}
            """#, "", "", ["1/2", "CrashLoopBackOff", "4"]
        ),
        (
            #"""
            {"phase":"Running","conditions":[{"type":"Ready","status":"False"}],"containerStatuses":[
            {"state":{"terminated":{"exitCode":0,"reason":"Completed"}}},{"ready":true,"state":{"running":{}}}]}
            """#, "", "", ["1/2", "NotReady", "0"]
        ),
        (
            #"{"phase":"Failed","containerStatuses":[{"state":{"terminated":{"exitCode":3}}},{"state":{"terminated":{"exitCode":0,"signal":9}}}]}"#,
            "", "", ["0/2", "ExitCode:3", "0"]
        ),
        (
            #"""
            {"phase":"Pending","initContainerStatuses":[{"name":"i","restartCount":0,"state":{"terminated":{"exitCode":0}}},
            {"name":"j","restartCount":2,"state":{"waiting":{"reason":"PodInitializing"}}}]}
            """#, #","initContainers":[{"name":"i"},{"name":"j"}]"#, "", ["0/2", "Init:1/2", "2"]
        ),
        (
            #"{"phase":"Pending","initContainerStatuses":[{"name":"i","state":{"terminated":{"exitCode":1,"reason":"Error"}}}]}"#,
            #","initContainers":[{"name":"i"}]"#, "", ["0/2", "Init:Error", "0"]
        ),
        (
            #"""
            {"phase":"Running","initContainerStatuses":[{"name":"s","ready":true,"started":true,"restartCount":1,
            "state":{"running":{}}}],"containerStatuses":[{"ready":true,"state":{"running":{}}},
            {"ready":true,"state":{"running":{}}}]}
            """#, #","initContainers":[{"name":"s","restartPolicy":"Always"}]"#, "", ["3/3", "Running", "1"]
        ),
        (#"{"phase":"Running"}"#, "", #","deletionTimestamp":"2026-01-01T00:00:00Z""#, ["0/2", "Terminating", "0"]),
        (#"{"phase":"Succeeded"}"#, "", #","deletionTimestamp":"2026-01-01T00:00:00Z""#, ["0/2", "Succeeded", "0"]),
        (#"{"phase":"Failed","reason":"Evicted"}"#, "", "", ["0/2", "Evicted", "0"]),
        (
            #"{"phase":"Pending","conditions":[{"type":"PodScheduled","reason":"SchedulingGated"}]}"#, "", "",
            ["0/2", "SchedulingGated", "0"]
        ),
    ])
    func pods(_ status: String, _ spec: String, _ metadata: String, _ expected: [String]) throws {
        let found = try cells(
            #"""
            {"metadata":{"name":"p","creationTimestamp":"2026-01-01T23:50:00Z"\#(metadata)},
            "spec":{"containers":[{"name":"a"},{"name":"b"}]\#(spec)},"status":\#(status)}
            """#, .pods)
        #expect(found[0] == "p")
        #expect(found[1...3].map { $0.string ?? "" } == expected)
        #expect(found[4] == "10m")
        #expect(found[5...8].allSatisfy { $0 == "<none>" })
    }

    @Test(arguments: [
        ("2026-01-02T00:00:00Z", "0s"), ("2026-01-01T23:58:01Z", "119s"), ("2026-01-01T23:58:00Z", "2m"),
        ("2026-01-01T23:56:40Z", "3m20s"), ("2026-01-01T22:00:00Z", "120m"), ("2026-01-01T20:30:00Z", "3h30m"),
        ("2026-01-01T12:00:00Z", "12h"), ("2025-12-29T20:00:00Z", "3d4h"), ("2025-11-23T00:00:00Z", "40d"),
        ("2022-12-29T00:00:00Z", "3y5d"), ("2010-01-02T00:00:00Z", "16y"), ("2026-01-02T00:00:05Z", "<invalid>"),
    ])
    func ages(_ created: String, _ expected: String) throws {
        let found = try cells(
            #"{"metadata":{"name":"n","creationTimestamp":"\#(created)"},"status":{"phase":"Active"}}"#, .namespaces)
        #expect(found.map { $0.string ?? "" } == ["n", "Active", expected])
    }

    @Test func servicesNodesAndDeployments() throws {
        let service = try cells(
            #"""
            {"metadata":{"name":"s"},"spec":{"type":"NodePort","clusterIP":"10.0.0.1","selector":{"b":"2","a":"1"},
            "ports":[{"port":80,"nodePort":30080,"protocol":"TCP"},{"port":53,"protocol":"UDP"}]}}
            """#, .services)
        #expect(service == ["s", "NodePort", "10.0.0.1", "<none>", "80:30080/TCP,53/UDP", "<unknown>", "a=1,b=2"])
        let node = try cells(
            #"""
            {"metadata":{"name":"w","labels":{"node-role.kubernetes.io/worker":"","node-role.kubernetes.io/edge":""}},
            "spec":{"unschedulable":true},"status":{"conditions":[{"type":"Ready","status":"True"}],
            "addresses":[{"type":"InternalIP","address":"10.1.1.1"}],
            "nodeInfo":{"kubeletVersion":"v1.36.0","kernelVersion":"6.1","architecture":"amd64","osImage":"Debian",
            "containerRuntimeVersion":"containerd://2.0"}}}
            """#, .nodes)
        #expect(
            node == [
                "w", "Ready,SchedulingDisabled", "edge,worker", "<unknown>", "v1.36.0", "10.1.1.1", "<none>", "Debian",
                "6.1 (amd64)", "containerd://2.0",
            ])
        let deployment = try cells(
            #"""
            {"metadata":{"name":"d"},"spec":{"replicas":3,"selector":{"matchLabels":{"a":"b"}},
            "template":{"spec":{"containers":[{"name":"x","image":"i:1"},{"name":"y","image":"j"}]}}},
            "status":{"readyReplicas":2,"updatedReplicas":3}}
            """#, .deployments)
        #expect(deployment == ["d", "2/3", 3, 0, "<unknown>", "x,y", "i:1,j", "a=b"])
    }

    @Test func everyKindFillsItsColumns() throws {
        for definition in Catalog.builtin.resources where definition.hasVerb("list") {
            let found = try cells(#"{"metadata":{"name":"x"}}"#, definition.resource)
            #expect(found.first == "x" || definition.resource.resource == "events", "\(definition.resource)")
            #expect(found.count >= 2)
        }
    }

    @Test func rowsCarryWhatWasAskedFor() throws {
        let object = Object(
            try json(#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"status":{"phase":"Failed"}}"#))
        func table(_ include: String) -> JSON {
            Catalog.builtin.table(
                of: [object], resource: .pods, includeObject: include, includeColumns: false,
                metadata: ["resourceVersion": "7"], now: now)
        }
        #expect(table("None")["rows"][0]["object"].isNull)
        #expect(table("Object")["rows"][0]["object"]["kind"] == "Pod")
        #expect(table("Metadata")["rows"][0]["object"]["kind"] == "PartialObjectMetadata")
        #expect(table("Metadata")["rows"][0]["conditions"][0]["reason"] == "Failed")
        #expect(table("Metadata")["columnDefinitions"] == [])
        #expect(table("Metadata")["metadata"]["resourceVersion"] == "7")
    }
}
