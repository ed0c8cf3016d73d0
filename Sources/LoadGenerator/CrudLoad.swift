public import HTTPAccess
import NIOCore
import Synchronization

/// Creates, reads, updates and deletes config maps over many connections at once: what an API server costs per request.
public struct CrudLoad: Sendable {
    public var access: ClusterAccess
    public var namespace: String
    /// Connections, each with one request under way.
    public var clients: Int
    /// Requests per phase.
    public var requests: Int
    /// Bytes of data in each config map.
    public var size: Int

    public init(access: ClusterAccess, namespace: String, clients: Int, requests: Int, size: Int) {
        self.access = access
        self.namespace = namespace
        self.clients = clients
        self.requests = requests
        self.size = size
    }

    /// Runs the four phases; objects are removed at the end.
    /// - Parameter report: called after each phase.
    public func run(report: @Sendable (Measurement) -> Void) async throws {
        let tls = try HTTPConnection.context(access)
        var connections: [HTTPConnection] = []
        for _ in 0..<clients { connections.append(try await HTTPConnection.open(access, tls: tls)) }
        let setup = #"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"\#(namespace)"}}"#
        _ = try await connections[0].send("POST", "/api/v1/namespaces", body: ByteBuffer(string: setup)).get()

        let collection = "/api/v1/namespaces/\(namespace)/configmaps"
        let value = String(repeating: "x", count: size)
        let body: @Sendable (Int, String) -> ByteBuffer = { index, text in
            ByteBuffer(
                string: #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"load-\#(index)"},"#
                    + #""data":{"value":"\#(text)"}}"#)
        }
        report(try await phase("create", connections) { ("POST", collection, body($0, value)) })
        report(try await phase("get", connections) { ("GET", "\(collection)/load-\($0)", nil) })
        report(
            try await phase("update", connections) { ("PUT", "\(collection)/load-\($0)", body($0, value + "y")) })
        report(try await phase("delete", connections) { ("DELETE", "\(collection)/load-\($0)", nil) })
        _ = try await connections[0].send("DELETE", "/api/v1/namespaces/\(namespace)").get()
        for connection in connections { await connection.close() }
    }

    /// Shared by the connections of a phase.
    private final class Counters: Sendable {
        let next = Atomic<Int>(0)
        let failures = Atomic<Int>(0)
    }

    private typealias Request = (method: String, path: String, body: ByteBuffer?)

    private func phase(
        _ name: String, _ connections: [HTTPConnection], _ request: @escaping @Sendable (Int) -> Request
    ) async throws -> Measurement {
        let counters = Counters()
        let total = requests
        let clock = ContinuousClock()
        let start = clock.now
        let latencies = try await withThrowingTaskGroup(of: [Double].self) { group in
            for connection in connections {
                group.addTask {
                    var own: [Double] = []
                    own.reserveCapacity(total / connections.count + 1)
                    while true {
                        let index = counters.next.add(1, ordering: .relaxed).oldValue
                        if index >= total { return own }
                        let (method, path, body) = request(index)
                        let sent = clock.now
                        let answer = try await connection.send(method, path, body: body).get()
                        own.append((clock.now - sent).inSeconds)
                        if answer.status >= 300 { counters.failures.add(1, ordering: .relaxed) }
                    }
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        return Measurement(
            name: name, failures: counters.failures.load(ordering: .relaxed), elapsed: clock.now - start,
            latencies: latencies)
    }
}
