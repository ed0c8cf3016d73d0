import APIMachinery
import AsyncHTTPClient
import ClusterClient
import HTTPWindow
import JSON
import Logging
import MesosAgent
import MesosModel
import NIOCore
import ObjectModel
import Store
import Streaming
import Synchronization
import Testing

/// The real agent window on the real API over a memory store; the test plays the master, the node and the executors.
struct TestAgent: Sendable {
    let client: ClusterClient
    let agent: MesosAgent
    let url: String
    let messages: Messages
    let data: String

    static let executorPod = ObjectKey(namespace: "default", name: "e1-pod")

    static func run(
        data: String = "/nonexistent", _ configure: (inout ExecutorTimeouts) -> Void = { _ in },
        _ body: @escaping @Sendable (TestAgent) async throws -> Void
    ) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let machinery = try Machinery(store: MemoryStore(), logger: logger)
        try await machinery.start()
        let client = ClusterClient(transport: LocalTransport(machinery: machinery), component: "test")
        try await prepare(client)
        var configuration = MesosAgent.Configuration(
            nodeName: "n1", address: "127.0.0.1", port: 5051, dataDirectory: data)
        configure(&configuration.timeouts)
        let agent = MesosAgent(configuration, client: client, node: NoPrograms(), usage: { [] }, logger: logger)
        let messages = Messages()
        agent.connect(messages)
        let window = Window(.init(name: "agent", port: 0), logger: logger) { try await agent.handle($0) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await agent.run() }
            group.addTask { try await window.run() }
            group.addTask {
                while window.port == nil { try await Task.sleep(for: .milliseconds(2)) }
                let test = TestAgent(
                    client: client, agent: agent, url: "http://127.0.0.1:\(window.port ?? 0)", messages: messages,
                    data: data)
                try await eventually { try await test.get("/state")?["id"].string == "m-S0" }
                try await body(test)
            }
            defer { group.cancelAll() }
            try await group.next()
        }
        await machinery.stop()
    }

    private static func prepare(_ client: ClusterClient) async throws {
        for (kind, plural, scope) in [
            ("Framework", "frameworks", "Cluster"), ("Task", "tasks", "Namespaced"), ("Agent", "agents", "Cluster"),
        ] {
            try await client.create(
                .init(group: "apiextensions.k8s.io", version: "v1", resource: "customresourcedefinitions"),
                [
                    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                    "metadata": ["name": .string("\(plural).mesos.apus.dev")],
                    "spec": [
                        "group": "mesos.apus.dev", "scope": .string(scope),
                        "names": [
                            "kind": .string(kind), "plural": .string(plural),
                            "singular": .string(kind.lowercased()), "listKind": .string(kind + "List"),
                        ],
                        "versions": [
                            [
                                "name": "v1", "served": true, "storage": true,
                                "schema": [
                                    "openAPIV3Schema": [
                                        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                                    ]
                                ],
                            ]
                        ],
                    ],
                ])
        }
        _ = try? await client.create(
            .serviceAccounts,
            ["apiVersion": "v1", "kind": "ServiceAccount", "metadata": ["name": "default", "namespace": "default"]])
        try await eventually {
            _ = try await client.create(
                MesosNames.agents,
                [
                    "apiVersion": "mesos.apus.dev/v1", "kind": "Agent", "metadata": ["name": "n1"],
                    "spec": ["id": "m-S0", "state": "active"],
                ])
            return true
        }
        try await client.create(
            MesosNames.frameworks,
            [
                "apiVersion": "mesos.apus.dev/v1", "kind": "Framework", "metadata": ["name": "m-0000"],
                "spec": ["info": ["user": "root", "name": "test", "checkpoint": true]], "status": ["completed": false],
            ])
    }

    // MARK: The master and the node

    /// Makes the pod of executor `e1`, running unless told otherwise.
    func makeExecutor(grace: Int? = nil, phase: String = "Running") async throws {
        var info: JSON = ["executor_id": ["value": "e1"], "command": ["value": "true"]]
        if let grace { info["shutdown_grace_period"] = ["nanoseconds": JSON(grace)] }
        try await client.create(
            .pods,
            [
                "apiVersion": "v1", "kind": "Pod",
                "metadata": [
                    "name": .string(Self.executorPod.name), "namespace": "default",
                    "labels": [MesosNames.frameworkLabel: "m-0000"],
                    "annotations": [
                        MesosNames.executorAnnotation: .string(info.description), MesosNames.agentAnnotation: "m-S0",
                    ],
                ],
                "spec": [
                    "nodeName": "n1", "restartPolicy": "Never", "automountServiceAccountToken": false,
                    "containers": [["name": "executor", "image": "host"]],
                ],
            ])
        try await setStatus(phase, ["running": ["startedAt": .string(Timestamp.now.rfc3339)]])
    }
    func setStatus(_ phase: String, _ state: JSON) async throws {
        try await client.modify(.pods, Self.executorPod, subresource: "status") { tree in
            tree["status"]["phase"] = .string(phase)
            tree["status"]["containerStatuses"] = [
                [
                    "name": "executor", "image": "host", "imageID": "", "ready": false, "restartCount": 0,
                    "state": state,
                ]
            ]
            return true
        }
    }
    /// - Parameter group: the ids of all tasks of its group.
    func makeTask(_ id: String, group: [String] = []) async throws {
        try await client.create(
            MesosNames.tasks,
            [
                "apiVersion": "mesos.apus.dev/v1", "kind": "Task",
                "metadata": [
                    "name": .string(MesosNames.podName(taskID: id, frameworkID: "m-0000")), "namespace": "default",
                ],
                "spec": [
                    "frameworkID": "m-0000", "executorID": "e1", "agentID": "m-S0", "node": "n1",
                    "pod": .string(Self.executorPod.name), "group": JSON(group),
                    "info": [
                        "name": .string(id), "task_id": ["value": .string(id)], "agent_id": ["value": "m-S0"],
                    ],
                ],
                "status": ["updates": [], "state": "TASK_STAGING"],
            ])
    }
    func key(_ id: String) -> ObjectKey {
        ObjectKey(namespace: "default", name: MesosNames.podName(taskID: id, frameworkID: "m-0000"))
    }
    func status(_ id: String) async throws -> JSON {
        try await client.find(MesosNames.tasks, key(id))?.tree["status"] ?? .null
    }
    /// What the master does with the framework's acknowledgement of the oldest update.
    func acknowledge(_ id: String) async throws {
        try await client.modify(MesosNames.tasks, key(id)) { tree in
            var updates = tree["status"]["updates"].elements
            guard !updates.isEmpty else { return false }
            tree["status"]["acknowledged"] = updates.removeFirst()["uuid"]
            tree["status"]["updates"] = .array(updates)
            return true
        }
    }
    func requestKill(_ id: String) async throws {
        try await client.modify(MesosNames.tasks, key(id)) { tree in
            tree["status"]["killRequested"] = true
            return true
        }
    }

    // MARK: HTTP

    func get(_ path: String) async throws -> JSON? {
        let response = try await HTTPClient.shared.execute(HTTPClientRequest(url: url + path), timeout: .seconds(120))
        let body = try await response.body.collect(upTo: 8 << 20)
        guard response.status.code == 200 else { return nil }
        return try JSON.parse(body.readableBytesView)
    }
    func code(_ path: String) async throws -> UInt {
        try await HTTPClient.shared.execute(HTTPClientRequest(url: url + path), timeout: .seconds(120)).status.code
    }
    /// Posts and gives the status code and the text of the answer.
    @discardableResult
    func post(_ path: String, _ body: [UInt8], type: String? = "application/json") async throws -> (UInt, String) {
        var request = HTTPClientRequest(url: url + path)
        request.method = .POST
        if let type { request.headers.add(name: "Content-Type", value: type) }
        request.body = .bytes(body)
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(120))
        return (response.status.code, String(buffer: try await response.body.collect(upTo: 8 << 20)))
    }
}

/// Waits until something is so; at most 20 seconds.
func eventually(
    sourceLocation: SourceLocation = #_sourceLocation, _ isSo: @Sendable () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + .seconds(120)
    var last: (any Error)?
    while ContinuousClock.now < end {
        do {
            if try await isSo() { return }
        } catch {
            last = error
        }
        try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record("it did not come about: \(last.map { "\($0)" } ?? "")", sourceLocation: sourceLocation)
    throw CancellationError()
}

/// Messages that executors sent to their frameworks.
final class Messages: MasterGateway {
    private let all = Mutex<[String]>([])
    var received: [String] { all.withLock { $0 } }
    func executorMessage(frameworkID: String, agentID: String, executorID: String, data: [UInt8]) async {
        all.withLock { $0.append("\(frameworkID) \(agentID) \(executorID) \(String(decoding: data, as: UTF8.self))") }
    }
}

/// A node whose containers nobody can look into.
private struct NoPrograms: NodeGateway {
    private struct Absent: Error {}
    func logs(_ container: ContainerReference, options: LogOptions) async throws
        -> AsyncThrowingStream<[UInt8], any Error>
    { throw Absent() }
    func exec(_ container: ContainerReference, _ options: ExecOptions) async throws -> any ProcessSession {
        throw Absent()
    }
    func attach(_ container: ContainerReference, _ options: ExecOptions) async throws -> any ProcessSession {
        throw Absent()
    }
    func connect(_ pod: PodReference, port: Int) async throws -> any ByteConnection { throw Absent() }
    func nodeUsage() async throws -> JSON { throw Absent() }
    func podUsage() async throws -> [JSON] { throw Absent() }
}
