import APIMachinery
import AsyncHTTPClient
import ClusterClient
import HTTPWindow
import JSON
import Logging
import Marathon
import MesosModel
import NIOCore
import ObjectModel
import Store
import Testing

/// The real API over a memory store with Marathon's kinds, Marathon with its window, and a stand-in for scheduler and
/// node: pods are bound to `n1` with ports, run at once, and end at once when deleted. A program that holds `broken`
/// fails at once; one that holds `stuck` is never placed.
struct TestMarathon: Sendable {
    let client: ClusterClient
    let window: Window
    let http: HTTPClient

    static func run(_ body: @escaping @Sendable (TestMarathon) async throws -> Void) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .warning
        let machinery = try Machinery(store: MemoryStore(), logger: logger)
        try await machinery.start()
        let transport = LocalTransport(machinery: machinery)
        let client = ClusterClient(transport: transport, component: "marathon")
        let quiet = logger
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await machinery.run() }
            try await makeKinds(client)
            try await client.create(
                .nodes,
                [
                    "apiVersion": "v1", "kind": "Node", "metadata": ["name": "n1"],
                    "status": ["conditions": [["type": "Ready", "status": "True"]]],
                ])
            _ = try? await client.create(
                GroupVersionResource(group: "node.k8s.io", version: "v1", resource: "runtimeclasses"),
                [
                    "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass",
                    "metadata": ["name": .string(MesosNames.processRuntimeClass)], "handler": "process",
                ])
            let marathon = Marathon(configuration: .init(), client: client, logger: quiet)
            let window = Window(.init(name: "Marathon", port: 0), logger: quiet) { await marathon.answer($0) }
            let test = TestMarathon(client: client, window: window, http: HTTPClient.shared)
            group.addTask { try await marathon.run() }
            group.addTask { try await window.run() }
            group.addTask { await test.actAsNode(quiet) }
            group.addTask {
                let account = ObjectKey(namespace: "default", name: "default")
                if try await client.find(.serviceAccounts, account) == nil {
                    _ = try? await client.create(
                        .serviceAccounts,
                        [
                            "apiVersion": "v1", "kind": "ServiceAccount",
                            "metadata": ["name": "default", "namespace": "default"],
                        ])
                }
                while window.port == nil { try await Task.sleep(for: .milliseconds(5)) }
                try await body(test)
            }
            defer { group.cancelAll() }
            try await group.next()
        }
        await machinery.stop()
    }

    private static func makeKinds(_ client: ClusterClient) async throws {
        let definitions = GroupVersionResource(
            group: "apiextensions.k8s.io", version: "v1", resource: "customresourcedefinitions")
        let kinds: [(String, String, String, String)] = [
            ("mesos.apus.dev", "frameworks", "Framework", "Cluster"),
            ("mesos.apus.dev", "agents", "Agent", "Cluster"),
            ("marathon.apus.dev", "marathonapps", "MarathonApp", "Namespaced"),
            ("marathon.apus.dev", "marathonpods", "MarathonPod", "Namespaced"),
            ("marathon.apus.dev", "marathongroups", "MarathonGroup", "Namespaced"),
            ("marathon.apus.dev", "marathondeployments", "MarathonDeployment", "Namespaced"),
        ]
        for (group, plural, kind, scope) in kinds {
            let free: JSON = ["type": "object", "x-kubernetes-preserve-unknown-fields": true]
            try await client.create(
                definitions,
                [
                    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                    "metadata": ["name": .string("\(plural).\(group)")],
                    "spec": [
                        "group": .string(group), "scope": .string(scope),
                        "names": [
                            "plural": .string(plural), "singular": .string(kind.lowercased()), "kind": .string(kind),
                            "listKind": .string(kind + "List"),
                        ],
                        "versions": [
                            ["name": "v1", "served": true, "storage": true, "schema": ["openAPIV3Schema": free]]
                        ],
                    ],
                ])
        }
        for (group, plural, _, _) in kinds {
            let resource = GroupVersionResource(group: group, version: "v1", resource: plural)
            for _ in 0..<2000 {
                if (try? await client.list(resource)) != nil { break }
                try await Task.sleep(for: .milliseconds(5))
            }
        }
    }

    // MARK: Scheduler and node

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
                await queue.run(workers: 4) { key in
                    guard let pod = pods[key] else { return }
                    try await step(pod)
                }
            }
        }
    }

    private func step(_ pod: Object) async throws {
        let tree = pod.tree
        let program = tree["spec"]["containers"].description
        if pod.metadata.isTerminating {
            try await client.delete(.pods, pod.key, options: DeleteOptions(gracePeriodSeconds: 0, uid: pod.uid))
        } else if tree["spec"]["nodeName"].string ?? "" == "" {
            if program.contains("stuck") { return }
            let asked = tree["metadata"]["annotations"][MesosNames.portRequestAnnotation].string ?? "[]"
            let count = (try JSON.parse(asked.utf8)).elements.count
            let ports = (0..<count).map { _ in Int.random(in: 31000...32000) }
            var annotations: JSON = [
                MesosNames.assignedPortsAnnotation: .string(ports.map(String.init).joined(separator: ","))
            ]
            for (index, port) in ports.enumerated() {
                annotations[MesosNames.assignedPortAnnotation(index)] = .string(String(port))
            }
            _ = try await client.transport.post(
                .pods, pod.key, subresource: "binding",
                [
                    "apiVersion": "v1", "kind": "Binding",
                    "metadata": ["name": .string(pod.name), "annotations": annotations],
                    "target": ["kind": "Node", "name": "n1"],
                ])
        } else if tree["status"]["phase"].string ?? "Pending" == "Pending" {
            let fails = program.contains("broken")
            try await client.modify(.pods, pod.key, subresource: "status") { tree in
                if program.contains("unknown-image") {
                    let waiting: JSON = ["waiting": ["reason": "ErrImagePull", "message": "no such image"]]
                    let isOver = !tree["spec"]["activeDeadlineSeconds"].isNull
                    if !isOver, !tree["status"]["containerStatuses"].isNull { return false }
                    tree["status"]["phase"] = isOver ? "Failed" : "Pending"
                    tree["status"]["containerStatuses"] = [
                        [
                            "name": "task", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                            "state": waiting,
                        ]
                    ]
                    return true
                }
                let now = JSON.string(Timestamp.now.rfc3339)
                let end: JSON = ["terminated": ["exitCode": 9, "startedAt": now, "finishedAt": now]]
                let state: JSON = fails ? end : ["running": ["startedAt": now]]
                tree["status"]["phase"] = fails ? "Failed" : "Running"
                tree["status"]["hostIP"] = "127.0.0.1"
                tree["status"]["conditions"] = [
                    ["type": "Ready", "status": fails ? "False" : "True", "lastTransitionTime": now]
                ]
                tree["status"]["containerStatuses"] = .array(
                    tree["spec"]["containers"].elements.map { container in
                        [
                            "name": container["name"], "image": container["image"], "imageID": "",
                            "ready": .bool(!fails),
                            "restartCount": 0, "state": state,
                        ]
                    })
                return true
            }
        }
    }

    // MARK: Asking

    struct Answer: Sendable, CustomStringConvertible {
        var status: Int
        var json: JSON
        var description: String { "\(status) \(json)" }
    }

    @discardableResult
    func call(_ method: String, _ path: String, _ body: JSON = .null, accept: String = "application/json") async throws
        -> Answer
    {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(window.port ?? 0)\(path)")
        request.method = .init(rawValue: method)
        request.headers.add(name: "Accept", value: accept)
        if !body.isNull { request.body = .bytes(body.encoded()) }
        let response = try await http.execute(request, timeout: .seconds(120))
        let bytes = try await response.body.collect(upTo: 64 << 20)
        return Answer(
            status: Int(response.status.code), json: (try? JSON.parse(bytes.readableBytesView)) ?? .null)
    }

    func app(_ id: String) async throws -> JSON { try await call("GET", "/v2/apps\(id)").json["app"] }

    /// Waits for a condition; says what was last seen when it does not come.
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

    /// Waits until an app has so many running instances and no deployment.
    func settled(_ id: String, _ count: Int, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await eventually(
            "\(count) of \(id)", { try await app(id) },
            until: {
                $0["tasksRunning"].int == count && $0["deployments"].elements.isEmpty && $0["tasksStaged"].int == 0
            },
            sourceLocation: sourceLocation)
    }
}
