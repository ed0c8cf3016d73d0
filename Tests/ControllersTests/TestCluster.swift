import APIMachinery
import ClusterClient
import Controllers
import JSON
import Logging
import ObjectModel
import Store
import Testing

/// The real API over a memory store, the real controllers, and a stand-in for scheduler and node agent: pods are put
/// on node `n1` and run at once, unless their image says otherwise (`broken`), and end at once when deleted.
struct TestCluster: Sendable {
    let client: ClusterClient

    /// - Parameter behind: a resource whose copies in the controllers are behind, by how long.
    static func run(
        nodes: Bool = true, behind: (resource: GroupVersionResource, by: Duration)? = nil,
        _ configure: (inout ControllerConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (TestCluster) async throws -> Void
    ) async throws {
        let logger = quietLogger
        let machinery = try Machinery(store: MemoryStore(), logger: logger)
        try await machinery.start()
        let transport = LocalTransport(machinery: machinery)
        let cluster = TestCluster(client: ClusterClient(transport: transport, component: "test"))
        var configuration = ControllerConfiguration(caCertificatePEM: "PEM")
        configure(&configuration)
        let seen: any ClusterTransport =
            behind.map { LateTransport(base: transport, late: $0.resource, by: $0.by) } ?? transport
        let manager = ControllerManager(
            client: ClusterClient(transport: seen, component: "kube-controller-manager"),
            configuration: configuration, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await manager.run() }
            if nodes { group.addTask { await cluster.actAsNode(logger) } }
            group.addTask {
                let account = ObjectKey(namespace: "default", name: "default")
                try await cluster.eventually(
                    "the default account",
                    {
                        try await cluster.client.find(.serviceAccounts, account) != nil
                    }
                ) { $0 }
                try await body(cluster)
            }
            // The body ends first; the others run until they are cancelled.
            try await group.next()
            group.cancelAll()
        }
        await machinery.stop()
    }

    private static var quietLogger: Logger {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }

    // MARK: Node

    private func actAsNode(_ logger: Logger) async {
        let queue = WorkQueue<ObjectKey>()
        let pods = Informer(.pods, client: client, logger: logger) { $0 }
        pods.subscribe { event in
            if case .added(let pod) = event { queue.add(pod.key) }
            if case .modified(_, let pod) = event { queue.add(pod.key) }
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await pods.run() }
            group.addTask {
                await queue.run(workers: 2) { key in
                    guard let pod = pods[key] else { return }
                    try await step(pod)
                }
            }
        }
    }

    private func step(_ pod: Object) async throws {
        let tree = pod.tree
        if pod.metadata.isTerminating {
            try await client.delete(
                .pods, pod.key, options: DeleteOptions(gracePeriodSeconds: 0, uid: pod.uid))
        } else if tree["spec"]["nodeName"].string ?? "" == "" {
            _ = try await client.transport.post(
                .pods, pod.key, subresource: "binding",
                [
                    "apiVersion": "v1", "kind": "Binding", "metadata": ["name": .string(pod.name)],
                    "target": ["kind": "Node", "name": "n1"],
                ])
        } else if tree["status"]["phase"].string == "Pending",
            tree["spec"]["containers"][0]["image"].string != "broken"
        {
            let ip = "10.1.\(Int.random(in: 0...255)).\(Int.random(in: 1...254))"
            try await client.modify(.pods, pod.key, subresource: "status") { tree in
                tree["status"]["phase"] = "Running"
                tree["status"]["podIP"] = .string(ip)
                tree["status"]["podIPs"] = [["ip": .string(ip)]]
                tree["status"]["conditions"] = [
                    ["type": "Ready", "status": "True", "lastTransitionTime": .string(Timestamp.now.rfc3339)]
                ]
                return true
            }
        }
    }

    /// Ends a pod as if its program did.
    func finish(_ key: ObjectKey, phase: String = "Succeeded", exitCode: Int = 0) async throws {
        try await client.modify(.pods, key, subresource: "status") { tree in
            tree["status"]["phase"] = .string(phase)
            tree["status"]["containerStatuses"] = [
                [
                    "name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                    "state": ["terminated": ["exitCode": JSON(exitCode)]],
                ]
            ]
            return true
        }
    }

    // MARK: Asking

    func find(_ resource: GroupVersionResource, _ name: String) async throws -> JSON? {
        try await client.find(resource, ObjectKey(namespace: "default", name: name))?.tree
    }

    func list(_ resource: GroupVersionResource, namespace: String = "default") async throws -> [Object] {
        try await client.list(resource, namespace: namespace).items
    }

    /// Waits for a condition on the state; says what was last seen when it does not come.
    func eventually<Value: Sendable>(
        _ what: String, seconds: Int = 120, _ read: @Sendable () async throws -> Value,
        until isGood: @Sendable (Value) -> Bool, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let end = ContinuousClock.now + .seconds(seconds)
        var last: Value?
        while ContinuousClock.now < end {
            let value = try await read()
            if isGood(value) { return }
            last = value
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("\(what) did not come; last: \(last.map { "\($0)" } ?? "nothing")", sourceLocation: sourceLocation)
        throw CancellationError()
    }

    // MARK: Making

    static func deployment(
        _ name: String, replicas: Int = 3, image: String = "i:1", strategy: JSON = .null, minReadySeconds: Int = 0
    ) -> JSON {
        var spec: JSON = [
            "replicas": JSON(replicas), "selector": ["matchLabels": ["app": .string(name)]],
            "template": template(name, image: image),
        ]
        if !strategy.isNull { spec["strategy"] = strategy }
        return [
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": ["name": .string(name), "namespace": "default"], "spec": spec,
        ]
    }

    static func template(_ app: String, image: String = "i:1", restartPolicy: String = "Always") -> JSON {
        [
            "metadata": ["labels": ["app": .string(app)]],
            "spec": [
                "containers": [
                    ["name": "c", "image": .string(image), "ports": [["name": "http", "containerPort": 8080]]]
                ],
                "restartPolicy": .string(restartPolicy),
            ],
        ]
    }

    static func pod(_ name: String, labels: [String: String] = [:], owners: [JSON] = []) -> JSON {
        [
            "apiVersion": "v1", "kind": "Pod",
            "metadata": [
                "name": .string(name), "namespace": "default", "labels": JSON(labels),
                "ownerReferences": .array(owners),
            ],
            "spec": ["containers": [["name": "c", "image": "i:1"]]],
        ]
    }

    static func configMap(_ name: String, owners: [OwnerReference] = []) -> JSON {
        [
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": [
                "name": .string(name), "namespace": "default", "ownerReferences": .array(owners.map(\.json)),
            ],
        ]
    }
}
