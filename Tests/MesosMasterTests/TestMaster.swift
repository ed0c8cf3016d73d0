import APIMachinery
import AsyncHTTPClient
import ClusterClient
import HTTPWindow
import JSON
import Ledger
import Logging
import MesosMaster
import MesosModel
import NIOCore
import ObjectModel
import Store
import Testing

/// The real API over a memory store with the window's kinds, one node `n1` with 8 CPUs, and a master that is asked over
/// HTTP.
struct TestMaster: Sendable {
    let client: ClusterClient
    let master: Master
    let window: Window
    let http = HTTPClient.shared

    static func run(_ body: @escaping @Sendable (TestMaster) async throws -> Void) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .error
        let quiet = logger
        let machinery = try Machinery(store: MemoryStore(), logger: logger)
        try await machinery.start()
        let client = ClusterClient(transport: LocalTransport(machinery: machinery), component: "mesos-master")
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await machinery.run() }
            try await makeKinds(client)
            try await makeNode(client)
            let ledger = Ledger()
            ledger.setNode("n1", allocatable: ResourceVector(allocatable))
            ledger.markSynced()
            let master = Master(
                configuration: .init(
                    address: "127.0.0.1", port: 5050, hostname: "localhost", version: "1.12.0", agentPort: 5051,
                    volumesDirectory: "/v"), client: client, ledger: ledger, logger: quiet)
            let window = Window(.init(name: "Mesos", port: 0), logger: quiet) { try await master.answer($0) }
            group.addTask { try await master.run() }
            group.addTask { try await window.run() }
            group.addTask {
                let test = TestMaster(client: client, master: master, window: window)
                for _ in 0..<4000 where window.port == nil || master.snapshot().agents.isEmpty {
                    try await Task.sleep(for: .milliseconds(5))
                }
                try await body(test)
            }
            defer { group.cancelAll() }
            try await group.next()
        }
        await machinery.stop()
    }

    private static let allocatable: JSON = [
        "cpu": "8", "memory": "8Gi", "ephemeral-storage": "10Gi", "pods": "1000",
    ]

    private static func makeNode(_ client: ClusterClient) async throws {
        try await client.create(.nodes, ["apiVersion": "v1", "kind": "Node", "metadata": ["name": "n1"]])
        try await client.modify(.nodes, ObjectKey(name: "n1"), subresource: "status") { tree in
            tree["status"] = [
                "allocatable": allocatable, "capacity": allocatable,
                "conditions": [["type": "Ready", "status": "True"]],
                "addresses": [["type": "InternalIP", "address": "127.0.0.1"]],
            ]
            return true
        }
        for name in ["default", "r"] {
            let key = ObjectKey(name: name)
            if try await client.find(.namespaces, key) == nil {
                try await client.create(
                    .namespaces, ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string(name)]])
            }
            let account = ObjectKey(namespace: name, name: "default")
            if try await client.find(.serviceAccounts, account) == nil {
                try await client.create(
                    .serviceAccounts,
                    [
                        "apiVersion": "v1", "kind": "ServiceAccount",
                        "metadata": ["name": "default", "namespace": .string(name)],
                    ])
            }
        }
        _ = try? await client.create(
            GroupVersionResource(group: "node.k8s.io", version: "v1", resource: "runtimeclasses"),
            [
                "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass",
                "metadata": ["name": .string(MesosNames.processRuntimeClass)], "handler": "process",
            ])
    }

    private static func makeKinds(_ client: ClusterClient) async throws {
        let definitions = GroupVersionResource(
            group: "apiextensions.k8s.io", version: "v1", resource: "customresourcedefinitions")
        let kinds: [(plural: String, kind: String, scope: String)] = [
            ("frameworks", "Framework", "Cluster"), ("tasks", "Task", "Namespaced"), ("roles", "Role", "Cluster"),
            ("agents", "Agent", "Cluster"), ("maintenances", "Maintenance", "Cluster"),
        ]
        for entry in kinds {
            let free: JSON = ["type": "object", "x-kubernetes-preserve-unknown-fields": true]
            try await client.create(
                definitions,
                [
                    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                    "metadata": ["name": .string("\(entry.plural).mesos.apus.dev")],
                    "spec": [
                        "group": "mesos.apus.dev", "scope": .string(entry.scope),
                        "names": [
                            "plural": .string(entry.plural), "singular": .string(entry.kind.lowercased()),
                            "kind": .string(entry.kind), "listKind": .string(entry.kind + "List"),
                        ],
                        "versions": [
                            ["name": "v1", "served": true, "storage": true, "schema": ["openAPIV3Schema": free]]
                        ],
                    ],
                ])
        }
        for entry in kinds {
            let resource = GroupVersionResource(group: "mesos.apus.dev", version: "v1", resource: entry.plural)
            for _ in 0..<2000 {
                if (try? await client.list(resource)) != nil { break }
                try await Task.sleep(for: .milliseconds(5))
            }
        }
    }

    // MARK: Frameworks

    var url: String { "http://127.0.0.1:\(window.port ?? 0)/api/v1/scheduler" }

    /// Sends bytes as a call.
    func send(_ bytes: [UInt8], type: String? = "application/json", stream: String? = nil) async throws -> (
        status: Int, text: String
    ) {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        if let type { request.headers.add(name: "Content-Type", value: type) }
        if let stream { request.headers.add(name: "Mesos-Stream-Id", value: stream) }
        request.body = .bytes(bytes)
        let response = try await http.execute(request, timeout: .seconds(30))
        // A fuzzed call may be a subscription: its answer has no end.
        guard response.headers.first(name: "Mesos-Stream-Id") == nil else { return (200, "") }
        let body = try await response.body.collect(upTo: 1 << 20)
        return (Int(response.status.code), String(buffer: body))
    }

    /// Says how long a call is going to be, and sends nothing of it: what the server answers to the length alone. (A client
    /// that still sends when the server ends the connection may miss the answer.)
    func announce(_ length: Int, stream: String) async throws -> Int {
        let (body, sender) = AsyncStream<ByteBuffer>.makeStream()
        defer { sender.finish() }
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.headers.add(name: "Mesos-Stream-Id", value: stream)
        request.body = .stream(body, length: .known(Int64(length)))
        return Int(try await http.execute(request, timeout: .seconds(120)).status.code)
    }

    func subscribe(_ format: MesosFormat = .json, id: String? = nil, timeout: Int = 100) async throws -> Subscription {
        var info: JSON = [
            "name": "test", "user": "root", "roles": ["r"], "failover_timeout": JSON(timeout),
            "capabilities": [["type": "MULTI_ROLE"], ["type": "PARTITION_AWARE"]],
        ]
        var call: JSON = ["type": "SUBSCRIBE"]
        if let id {
            info["id"] = ["value": .string(id)]
            call["framework_id"] = ["value": .string(id)]
        }
        call["subscribe"] = ["framework_info": info]
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: format.contentType)
        request.headers.add(name: "Accept", value: format.contentType)
        request.body = .bytes(
            ByteBuffer(bytes: try MesosCodec.encode(call, as: "mesos.v1.scheduler.Call", format: format)))
        let response = try await http.execute(request, timeout: .seconds(60))
        #expect(response.status == .ok)
        var subscription = Subscription(
            test: self, format: format, streamID: response.headers.first(name: "Mesos-Stream-Id") ?? "",
            chunks: response.body.makeAsyncIterator())
        let subscribed = try await subscription.next("SUBSCRIBED")
        subscription.id = subscribed["subscribed"]["framework_id"]["value"].string ?? ""
        return subscription
    }
}

/// An open subscription.
struct Subscription {
    let test: TestMaster
    let format: MesosFormat
    let streamID: String
    var id = ""
    private var chunks: HTTPClientResponse.Body.AsyncIterator
    private var reader = RecordReader()
    private var waiting: [JSON] = []

    init(test: TestMaster, format: MesosFormat, streamID: String, chunks: HTTPClientResponse.Body.AsyncIterator) {
        self.test = test
        self.format = format
        self.streamID = streamID
        self.chunks = chunks
    }

    /// The next event of a type; those of others are passed over.
    mutating func next(_ type: String) async throws -> JSON {
        while true {
            while !waiting.isEmpty {
                let event = waiting.removeFirst()
                if event["type"].string == type { return event }
            }
            guard let chunk = try await chunks.next() else { throw Ended() }
            for record in try reader.read(chunk.readableBytesView) {
                waiting.append(try MesosCodec.decode(record, as: "mesos.v1.scheduler.Event", format: format))
            }
        }
    }

    /// True when nothing more comes.
    mutating func isAtEnd() async throws -> Bool {
        while let chunk = try await chunks.next() { _ = try reader.read(chunk.readableBytesView) }
        return true
    }

    struct Ended: Error {}

    @discardableResult
    func call(_ type: String, _ body: JSON = .null, stream: String? = nil) async throws -> (status: Int, text: String) {
        var call: JSON = ["type": .string(type), "framework_id": ["value": .string(id)]]
        if !body.isNull { call[type.lowercased()] = body }
        return try await test.send(
            try MesosCodec.encode(call, as: "mesos.v1.scheduler.Call", format: format), type: format.contentType,
            stream: stream ?? streamID)
    }
}
