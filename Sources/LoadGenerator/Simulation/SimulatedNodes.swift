public import HTTPAccess
import JSON
import NIOCore
import ObjectModel

/// Nodes with nothing behind them that behave like nodes: they are ready, renew their leases, and say of every pod that is bound
/// to them what a node agent would, as fast as the server takes it.
///
/// Pods run and are ready at once. They end when they are deleted, or with success after `podLifetime`; of one that ended before
/// its turn came only the end is told, as nodes do. `start` makes the nodes,
/// `run` works until it is cancelled, `remove` takes the nodes away.
public final class SimulatedNodes: Sendable {
    /// What the nodes are like.
    public struct Settings: Sendable {
        public var access: ClusterAccess
        public var count: Int
        /// Nodes are named `PREFIX-0`, `PREFIX-1`, …
        public var prefix = "sim"
        /// Quantities of one node.
        public var cpu = "64"
        public var memory = "256Gi"
        public var disk = "1Ti"
        public var pods = 500
        /// Labels beside those of every node; `attribute.mesos.apus.dev/NAME` gives attributes.
        public var labels: [String: String] = [:]
        /// After this time a running pod succeeds; nil: it runs until it is deleted.
        public var podLifetime: Duration?
        /// Connections that tell the state of pods, each with one request under way.
        public var connections = 8
        /// Seconds between two renewals of a node's lease.
        public var renewal = 15

        public init(access: ClusterAccess, count: Int) {
            self.access = access
            self.count = count
        }
    }

    /// What was done for pods so far.
    public struct Counts: Sendable {
        /// Pods that were made to run.
        public var started = 0
        /// Pods that ended, by themselves or killed.
        public var ended = 0
        /// Pods whose deletion was completed.
        public var deleted = 0
        /// Pods that are not there any more.
        public var gone = 0
        /// Requests that failed for good.
        public var failures = 0
    }

    /// Every simulated node has this label, with the value `true`.
    public static let label = "apus.dev/simulated"

    private let settings: Settings
    private let nodes: [SimulatedNode]
    private let work: SimulatedWork
    private let tls: HTTPConnection.TLSContext

    public init(_ settings: Settings) throws {
        self.settings = settings
        nodes = (0..<settings.count).map { SimulatedNode(prefix: settings.prefix, index: $0) }
        work = SimulatedWork(nodes: nodes, access: settings.access, lifetime: settings.podLifetime)
        tls = try HTTPConnection.context(settings.access)
    }

    public var counts: Counts { work.counts }

    // MARK: Nodes

    /// Makes the nodes; those of an earlier run are taken over.
    public func start() async throws {
        try await spread { [settings] node, connection in
            let now = Timestamp.now
            try await Self.make(connection, "/api/v1/nodes", node.manifest(settings))
            try await Self.patch(
                connection, "/api/v1/nodes/\(node.name)/status", node.status(settings, now: now.rfc3339))
            try await Self.renew(connection, node, now)
        }
    }

    /// Deletes the nodes and their leases. What is bound to them is left to the cluster.
    public func remove() async throws {
        try await spread { node, connection in
            _ = try await connection.send("DELETE", "/api/v1/nodes/\(node.name)").get()
            _ = try await connection.send("DELETE", Self.leases + "/\(node.name)").get()
        }
    }

    private static let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"

    /// Does something for every node over some connections.
    private func spread(
        _ body: @escaping @Sendable (SimulatedNode, HTTPConnection) async throws -> Void
    ) async throws {
        let width = min(settings.connections, max(nodes.count, 1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for part in 0..<width {
                group.addTask { [nodes, settings, tls] in
                    let connection = try await HTTPConnection.open(settings.access, tls: tls)
                    do {
                        for index in stride(from: part, to: nodes.count, by: width) {
                            try await body(nodes[index], connection)
                        }
                    } catch {
                        await connection.close()
                        throw error
                    }
                    await connection.close()
                }
            }
            try await group.waitForAll()
        }
    }

    private static func make(_ connection: HTTPConnection, _ path: String, _ object: JSON) async throws {
        let answer = try await connection.send("POST", path, body: ByteBuffer(bytes: object.encoded())).get()
        guard answer.status < 300 || answer.status == 409 else {
            throw LoadProblem("POST \(path) answered \(answer.status): \(String(buffer: answer.body))")
        }
    }

    private static func patch(_ connection: HTTPConnection, _ path: String, _ patch: JSON) async throws {
        let answer = try await connection.send(
            "PATCH", path, body: ByteBuffer(bytes: patch.encoded()), contentType: "application/merge-patch+json"
        ).get()
        guard answer.status < 300 else {
            throw LoadProblem("PATCH \(path) answered \(answer.status): \(String(buffer: answer.body))")
        }
    }

    private static func renew(_ connection: HTTPConnection, _ node: SimulatedNode, _ now: Timestamp) async throws {
        let patch: JSON = ["spec": ["renewTime": .string(now.rfc3339Micro)]]
        let answer = try await connection.send(
            "PATCH", "\(leases)/\(node.name)", body: ByteBuffer(bytes: patch.encoded()),
            contentType: "application/merge-patch+json"
        ).get()
        if answer.status == 404 { try await make(connection, leases, node.lease(now: now.rfc3339Micro)) }
    }

    // MARK: Work

    /// Works until it is cancelled; a server that is away is waited for.
    public func run() async {
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<settings.connections {
                group.addTask { [work, settings, tls] in
                    await SimulatedWorker(work).run(settings.access, tls: tls)
                }
            }
            group.addTask { await self.watch() }
            group.addTask { await self.renewLeases() }
            if settings.podLifetime != nil {
                group.addTask { [work] in
                    while (try? await Task.sleep(for: .milliseconds(20))) != nil { work.endThoseDue() }
                }
            }
        }
    }

    private func watch() async {
        while !Task.isCancelled {
            let stream = try? await EventStream.open(
                settings.access, tls: tls,
                path: "/api/v1/pods?watch=true&resourceVersion=0&fieldSelector=spec.nodeName!%3D",
                take: { [work] in work.take($0) })
            if let stream {
                await withTaskCancellationHandler {
                    await stream.waitUntilClosed()
                } onCancel: {
                    Task { await stream.close() }
                }
            }
            guard (try? await Task.sleep(for: .milliseconds(200))) != nil else { return }
        }
    }

    /// Renews so many leases a second that each is renewed in time.
    private func renewLeases() async {
        var connection: HTTPConnection?
        var index = 0
        var owed = 0.0
        while (try? await Task.sleep(for: .milliseconds(250))) != nil {
            owed += Double(nodes.count) / Double(settings.renewal) / 4
            do {
                let open: HTTPConnection
                if let connection {
                    open = connection
                } else {
                    open = try await HTTPConnection.open(settings.access, tls: tls)
                }
                connection = open
                while owed >= 1 {
                    try await Self.renew(open, nodes[index % nodes.count], .now)
                    index += 1
                    owed -= 1
                }
            } catch {
                await connection?.close()
                connection = nil
                // All of them once the server is back, and no more than that.
                owed = min(owed, Double(nodes.count))
            }
        }
        await connection?.close()
    }
}
