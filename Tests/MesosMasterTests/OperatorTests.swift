import APIMachinery
import AsyncHTTPClient
import ClusterClient
import JSON
import Ledger
import Logging
import MesosModel
import NIOCore
import ObjectModel
import ServiceLifecycle
import Store
import Synchronization
import Testing

@testable import HTTPWindow
@testable import MesosMaster

/// A master with one agent, a framework with two tasks, and a pod of Kubernetes's own.
private func picture() throws -> MasterState {
    let configuration = Master.Configuration(
        address: "10.0.0.1", port: 5050, hostname: "n1", version: "1.12.0", agentPort: 5051, volumesDirectory: "/v")
    var state = MasterState(masterID: "m", configuration: configuration, ledger: Ledger())
    let node = MasterNode(
        Object([
            "apiVersion": "v1", "kind": "Node",
            "metadata": ["name": "n1", "labels": ["attribute.mesos.apus.dev/rack": "r7"]],
            "status": [
                "allocatable": ["cpu": "4", "memory": "4Gi"],
                "addresses": [["type": "InternalIP", "address": "10.0.0.1"]],
                "conditions": [["type": "Ready", "status": "True"]],
            ],
        ]))
    var agent = AgentRecord(id: "m-S0", node: node, registeredTime: 100)
    agent.total = try Resources(trees: [
        ["name": "cpus", "type": "SCALAR", "scalar": ["value": 3]],
        [
            "name": "cpus", "type": "SCALAR", "scalar": ["value": 1],
            "reservations": [["type": "DYNAMIC", "role": "ads", "principal": "ops"]],
        ],
        ["name": "mem", "type": "SCALAR", "scalar": ["value": 4096]],
        ["name": "ports", "type": "RANGES", "ranges": ["range": [["begin": 31000, "end": 32000]]]],
    ])
    agent.reserved = agent.total.filter { !$0.reservations.isEmpty }
    state.agents["m-S0"] = agent
    state.agentOfNode["n1"] = "m-S0"
    state.frameworks["m-0000"] = FrameworkRecord(
        id: "m-0000", info: ["name": "try", "user": "root", "role": "ads"], principal: "ops", registeredTime: 50)
    for (name, status) in [("t1", "TASK_RUNNING"), ("t2", "TASK_FINISHED")] {
        let key = TaskKey("m-0000", name)
        var task = TaskRecord(
            key: key,
            info: [
                "name": .string(name), "command": ["value": "true", "user": "nobody"],
                "labels": ["labels": [["key": "a", "value": "b"]]],
            ], agentID: "m-S0", node: "n1", role: "ads", pod: ObjectKey(namespace: "ads", name: name), executorID: "",
            resources: Resources(scalars: ["cpus": 0.5, "mem": 32]), startSeconds: name == "t1" ? 10 : 20)
        task.state = status
        task.statuses = [
            [
                "task_id": ["value": .string(name)], "state": .string(status), "timestamp": Message.double(11.5),
                "healthy": true,
            ]
        ]
        state.tasks[key] = task
        state.frameworks["m-0000"]?.tasks.insert(name)
    }
    let pod = MasterPod(
        Object([
            "apiVersion": "v1", "kind": "Pod",
            "metadata": ["name": "plain", "namespace": "default", "uid": "u", "labels": ["app": "x"]],
            "spec": [
                "nodeName": "n1",
                "containers": [["name": "c", "resources": ["requests": ["cpu": "250m", "memory": "64Mi"]]]],
            ],
            "status": ["phase": "Running", "podIPs": [["ip": "10.244.0.9"]]],
        ]))
    state.otherPods[pod.key] = pod
    state.roles["ads"] = RoleObject(
        Object([
            "apiVersion": "mesos.apus.dev/v1", "kind": "Role", "metadata": ["name": "ads"],
            "spec": [
                "role": "ads", "weight": Message.double(2.5),
                "quota": ["guarantees": ["cpus": ["value": 1]], "limits": ["cpus": ["value": 2]]],
            ],
        ]))
    return state
}

/// A state that stands still, for what only reads.
private struct Still: OperatorBackend {
    let state: MasterState
    let events: OperatorEvents
    var access = WindowAccess.open
    let client: ClusterClient
    func snapshot() async -> MasterState { state }
    func operate(_ operation: JSON, onAgent id: String, principal: String?) async throws {}
    func teardown(_ framework: String) async -> Bool { framework == "m-0000" }
}

private struct Asked {
    let client: HTTPClient
    let port: Int

    func get(_ path: String) async throws -> (status: Int, body: [UInt8]) {
        try await answer(HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)"))
    }
    func json(_ path: String) async throws -> JSON {
        let (status, body) = try await get(path)
        #expect(status == 200, "\(path): \(String(decoding: body, as: UTF8.self))")
        return try JSON.parse(body)
    }
    func call(_ tree: JSON, _ format: MesosFormat = .json) async throws -> (status: Int, body: [UInt8]) {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/master/api/v1/")
        request.method = .POST
        request.headers.add(name: "Content-Type", value: format.contentType)
        request.headers.add(name: "Accept", value: format.contentType)
        request.body = .bytes(
            ByteBuffer(bytes: try MesosCodec.encode(tree, as: "mesos.v1.master.Call", format: format)))
        return try await answer(request)
    }
    func read(_ type: String, _ format: MesosFormat = .json) async throws -> JSON {
        let (status, body) = try await call(["type": .string(type)], format)
        #expect(status == 200, "\(type): \(String(decoding: body, as: UTF8.self))")
        return try MesosCodec.decode(body, as: "mesos.v1.master.Response", format: format)[type.lowercased()]
    }
    private func answer(_ request: HTTPClientRequest) async throws -> (status: Int, body: [UInt8]) {
        let response = try await client.execute(request, timeout: .seconds(20))
        return (Int(response.status.code), Array(try await response.body.collect(upTo: 64 << 20).readableBytesView))
    }
}

private func serve(_ state: MasterState, _ use: (Asked) async throws -> Void) async throws {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let machinery = try Machinery(store: MemoryStore(), logger: logger)
    let backend = Still(
        state: state, events: OperatorEvents(configuration: state.configuration),
        client: ClusterClient(transport: LocalTransport(machinery: machinery), component: "mesos-master"))
    let routes = Routes()
    let api = OperatorAPI(backend: backend)
    routes.add("/api/v1") { try await api.answer($0) }
    LegacyAPI(backend: backend).register(routes)
    let window = Window(.init(name: "Test", port: 0), logger: logger) { try await routes.answer($0) }
    let group = ServiceGroup(configuration: .init(services: [window], logger: logger))
    let client = HTTPClient(eventLoopGroupProvider: .singleton)
    do {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            while window.port == nil { try await Task.sleep(for: .milliseconds(5)) }
            do {
                try await use(Asked(client: client, port: window.port ?? 0))
            } catch {
                Issue.record(error)
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    } catch {
        Issue.record(error)
    }
    try await client.shutdown()
}

@Suite("What operators read")
struct OperatorTests {
    @Test("/state shows agents, frameworks and Kubernetes's pods in the old shapes, by every spelling of its path")
    func state() async throws {
        try await serve(picture()) { ask in
            let state = try await ask.json("/state")
            for path in ["/master/state", "/state.json", "/master/state.json", "/master/state/"] {
                let same = try await ask.json(path)
                #expect(same["id"] == state["id"])
            }
            #expect(state["leader"].string == "master@10.0.0.1:5050")
            let agent = state["slaves"][0]
            #expect(agent["resources"]["cpus"].double == 4 && agent["resources"]["ports"].string == "[31000-32000]")
            #expect(agent["used_resources"]["cpus"].double == 0.75 && agent["used_resources"]["disk"].double == 0)
            #expect(agent["reserved_resources"]["ads"]["cpus"].double == 1)
            #expect(agent["unreserved_resources"]["cpus"].double == 3)
            #expect(agent["attributes"]["rack"].string == "r7")
            let own = try #require(state["frameworks"].elements.first { $0["name"].string == "try" })
            #expect(own["role"].string == "ads" && own["principal"].string == "ops" && own["active"].bool == false)
            let task = own["tasks"][0]
            #expect(task["id"].string == "t1" && task["slave_id"].string == "m-S0" && task["executor_id"].string == "")
            #expect(task["labels"] == [["key": "a", "value": "b"]] && task["user"].string == "nobody")
            #expect(task["statuses"][0]["timestamp"].double == 11.5)
            #expect(own["completed_tasks"][0]["state"].string == "TASK_FINISHED")
            let kubernetes = try #require(state["frameworks"].elements.first { $0["name"].string == "kubernetes" })
            let pod = kubernetes["tasks"][0]
            #expect(pod["name"].string == "plain" && pod["resources"]["cpus"].double == 0.25)
            #expect(
                pod["statuses"][0]["container_status"]["network_infos"][0]["ip_addresses"][0]["ip_address"].string
                    == "10.244.0.9")
        }
    }

    @Test("/tasks comes in pages, newest first unless asked for otherwise")
    func tasks() async throws {
        try await serve(picture()) { ask in
            func ids(_ query: String) async throws -> [String] {
                try await ask.json("/tasks\(query)")["tasks"].elements.compactMap { $0["id"].string }
            }
            let newest = try await ids("?framework_id=m-0000")
            #expect(newest == ["t2", "t1"])
            let oldest = try await ids("?framework_id=m-0000&order=asc&limit=-1")
            #expect(oldest == ["t1", "t2"])
            let page = try await ids("?framework_id=m-0000&limit=1&offset=1")
            #expect(page == ["t1"])
            let one = try await ids("?task_id=t2")
            #expect(one == ["t2"])
            let refused = try await ask.get("/tasks?limit=x")
            #expect(refused.status == 400)
        }
    }

    @Test("The other documents answer, wrapped in a function for pages that ask so")
    func documents() async throws {
        try await serve(picture()) { ask in
            let summary = try await ask.json("/state-summary")
            #expect(summary["slaves"][0]["TASK_RUNNING"].int == 2)
            #expect(summary["frameworks"].elements.contains { $0["TASK_FINISHED"].int == 1 })
            let roles = try await ask.json("/roles")["roles"].elements
            let ads = try #require(roles.first { $0["name"].string == "ads" })
            #expect(ads["weight"].double == 2.5 && ads["quota"]["limit"]["cpus"].double == 2)
            #expect(ads["quota"]["consumed"]["cpus"].double == 1.5)
            #expect(try await ask.json("/weights") == [["role": "ads", "weight": Message.double(2.5)]])
            #expect(try await ask.json("/frameworks?framework_id=none")["frameworks"] == [])
            #expect(try await ask.json("/slaves?slave_id=m-S0")["slaves"].elements.count == 1)
            let metrics = try await ask.json("/metrics/snapshot")
            #expect(metrics["master/tasks_running"].double == 2 && metrics["master/cpus_total"].double == 4)
            for path in [
                "/version", "/flags", "/maintenance/schedule", "/maintenance/status", "/quota", "/system/stats.json",
            ] {
                _ = try await ask.json(path)
            }
            #expect(try await ask.get("/health").status == 200)
            let script = try await ask.get("/version?jsonp=show")
            #expect(String(decoding: script.body, as: UTF8.self).hasPrefix("show({"))
            let evil = try await ask.get("/version?jsonp=%3Cscript%3E")
            #expect(String(decoding: evil.body, as: UTF8.self).hasPrefix("{"))
            #expect(try await ask.get("/nothing").status == 404)
        }
    }

    @Test("The operator API says the same in JSON and protobuf")
    func operatorAPI() async throws {
        try await serve(picture()) { ask in
            for type in [
                "GET_HEALTH", "GET_FLAGS", "GET_VERSION", "GET_METRICS", "GET_LOGGING_LEVEL", "GET_STATE", "GET_AGENTS",
                "GET_FRAMEWORKS", "GET_EXECUTORS", "GET_OPERATIONS", "GET_TASKS", "GET_ROLES", "GET_WEIGHTS",
                "GET_MASTER",
                "GET_MAINTENANCE_STATUS", "GET_MAINTENANCE_SCHEDULE", "GET_QUOTA",
            ] {
                _ = try await ask.read(type)
                _ = try await ask.read(type, .protobuf)
            }
            let tasks = try await ask.read("GET_TASKS", .protobuf)
            #expect(tasks["tasks"].elements.compactMap { $0["task_id"]["value"].string } == ["plain.default", "t1"])
            #expect(try await ask.read("GET_TASKS")["tasks"] == tasks["tasks"])
            let quota = try await ask.read("GET_QUOTA")["status"]["configs"][0]
            #expect(quota["limits"]["cpus"]["value"].double == 2)
            #expect(try await ask.get("/api/v1").status == 405)
            #expect(try await ask.call(["type": "READ_FILE", "read_file": ["path": "/x", "offset": 0]]).status == 404)
        }
    }

    @Test("Documents with many tasks come whole in both forms, sum what tasks use, and are written in small pieces")
    func manyTasks() async throws {
        var state = try picture()
        let known = try #require(state.tasks[TaskKey("m-0000", "t1")])
        for number in 0..<1000 {
            let key = TaskKey("m-0000", "many-\(number)")
            var task = TaskRecord(
                key: key, info: known.info, agentID: known.agentID, node: known.node, role: known.role, pod: known.pod,
                executorID: "", resources: known.resources, startSeconds: Double(100 + number))
            task.state = number % 2 == 0 ? "TASK_RUNNING" : "TASK_FINISHED"
            task.statuses = known.statuses
            state.tasks[key] = task
        }
        try await serve(state) { ask in
            let tasks = try await ask.read("GET_TASKS")
            #expect(tasks["tasks"].elements.count == 502 && tasks["completed_tasks"].elements.count == 501)
            #expect(tasks["tasks"].elements.last?["task_id"]["value"].string == "many-998")
            #expect(try await ask.read("GET_TASKS", .protobuf) == tasks)
            let whole = try await ask.read("GET_STATE")
            #expect(whole["get_tasks"] == tasks)
            let binary = try await ask.read("GET_STATE", .protobuf)
            #expect(binary["get_tasks"] == tasks && binary["get_agents"] == whole["get_agents"])
            // One amount for all tasks of the agent, beside the pod of Kubernetes's, which is another role's.
            let used = whole["get_agents"]["agents"][0]["allocated_resources"].elements
            #expect(used.count <= 4)
            let cpus = used.filter { $0["name"] == "cpus" }.reduce(0) { $0 + ($1["scalar"]["value"].double ?? 0) }
            #expect(cpus == 250.75)
        }
        let pieces = Mutex<[Int]>([])
        let reads = OperatorReads(state)
        let writer = WindowWriter { buffer in pieces.withLock { $0.append(buffer.readableBytes) } }
        var out = JSONOutput(writer)
        try await LegacyLists.state(LegacyJSON(reads), &out)
        try await out.finish()
        #expect(pieces.withLock { $0.count > 3 && ($0.max() ?? 0) < 128 << 10 })
    }

    @Test("Quotas that are above the cluster or below what is used are refused unless forced")
    func quotas() throws {
        let rules = QuotaRules(OperatorReads(try picture()))
        func isRefused(_ config: JSON, isForced: Bool = false) -> Bool {
            do {
                try rules.check([config], isForced: isForced)
                return false
            } catch { return true }
        }
        #expect(!isRefused(["role": "new", "guarantees": ["cpus": ["value": 2]]]))
        #expect(isRefused(["role": "new", "guarantees": ["cpus": ["value": 4]]]))
        #expect(!isRefused(["role": "new", "guarantees": ["cpus": ["value": 4]]], isForced: true))
        #expect(isRefused(["role": "ads", "limits": ["cpus": ["value": 1]]]))
        #expect(isRefused(["role": "a/b", "limits": ["cpus": ["value": 1]]], isForced: true))
        #expect(
            isRefused(
                ["role": "a", "guarantees": ["cpus": ["value": 2]], "limits": ["cpus": ["value": 1]]], isForced: true))
        #expect(isRefused(["role": "a", "limits": ["cpus": ["value": -1]]], isForced: true))
    }

    @Test("A watcher hears what happened while the state was written to it")
    func events() throws {
        let state = try picture()
        let events = OperatorEvents(configuration: state.configuration)
        let stream = FrameworkStream(id: "s", format: .json, message: "mesos.v1.master.Event")
        let id = events.add(stream)
        events.publish(.agentRemoved(id: "m-S0"))
        #expect(stream.count == 0)
        #expect(events.start(id) && stream.count == 1)
        for framework in state.frameworks.values { events.publish(.frameworkAdded(framework)) }
        #expect(stream.count == 2)
        events.remove(id)
        #expect(events.count == 0)
    }
}
