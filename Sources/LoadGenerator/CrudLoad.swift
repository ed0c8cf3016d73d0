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
    /// Processes of the server on this machine, whose CPU time is measured; none to leave that out.
    public var serverProcesses: [Int]

    public init(
        access: ClusterAccess, namespace: String, clients: Int, requests: Int, size: Int, serverProcesses: [Int] = []
    ) {
        self.access = access
        self.namespace = namespace
        self.clients = clients
        self.requests = requests
        self.size = size
        self.serverProcesses = serverProcesses
    }

    /// Runs the four phases; objects are removed at the end.
    /// - Parameter report: called after each phase.
    public func run(report: @Sendable (Measurement) -> Void) async throws {
        let tls = try HTTPConnection.context(access)
        let control = try await HTTPConnection.open(access, tls: tls)
        var channels: [LoadChannel] = []
        for _ in 0..<clients { channels.append(try await LoadChannel.open(access, tls: tls)) }
        let setup = #"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"\#(namespace)"}}"#
        _ = try await control.send("POST", "/api/v1/namespaces", body: ByteBuffer(string: setup)).get()

        let collection = "/api/v1/namespaces/\(namespace)/configmaps"
        let value = String(repeating: "x", count: size)
        @Sendable func body(_ index: Int, _ text: String) -> String {
            #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"load-\#(index)"},"#
                + #""data":{"value":"\#(text)"}}"#
        }
        let head = RequestHead(access)
        let phases: [(String, @Sendable (Int, inout ByteBuffer) -> Void)] = [
            ("create", { head.write("POST", collection, body: body($0, value), into: &$1) }),
            ("get", { head.write("GET", "\(collection)/load-\($0)", into: &$1) }),
            ("update", { head.write("PUT", "\(collection)/load-\($0)", body: body($0, value + "y"), into: &$1) }),
            ("delete", { head.write("DELETE", "\(collection)/load-\($0)", into: &$1) }),
        ]
        for (name, write) in phases { report(try await phase(name, channels, write)) }
        _ = try await control.send("DELETE", "/api/v1/namespaces/\(namespace)").get()
        for channel in channels { await channel.close() }
        await control.close()
    }

    private func phase(
        _ name: String, _ channels: [LoadChannel], _ write: @escaping @Sendable (Int, inout ByteBuffer) -> Void
    ) async throws -> Measurement {
        let run = PhaseRun(total: requests, write: write)
        let clock = ContinuousClock()
        let processorBefore = ProcessorTime.seconds(of: serverProcesses)
        let start = clock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for channel in channels { group.addTask { try await channel.run(run) } }
            try await group.waitForAll()
        }
        let elapsed = clock.now - start
        var measurement = Measurement(name: name, failures: run.failures, elapsed: elapsed, latencies: run.latencies)
        if let processorBefore, let after = ProcessorTime.seconds(of: serverProcesses) {
            measurement.serverSeconds = after - processorBefore
        }
        return measurement
    }
}

/// The requests of one phase, handed to whichever connection asks next.
private final class PhaseRun: LoadConnection.Source {
    private struct State {
        var next = 0
        var failures = 0
        var latencies: [Double] = []
    }
    private let total: Int
    private let write: @Sendable (Int, inout ByteBuffer) -> Void
    private let state: Mutex<State>

    init(total: Int, write: @escaping @Sendable (Int, inout ByteBuffer) -> Void) {
        self.total = total
        self.write = write
        var state = State()
        state.latencies.reserveCapacity(total)
        self.state = Mutex(state)
    }

    var failures: Int { state.withLock { $0.failures } }
    /// Seconds.
    var latencies: [Double] { state.withLock { $0.latencies } }

    func next(into buffer: inout ByteBuffer) -> Bool {
        let index: Int? = state.withLock { state in
            guard state.next < total else { return nil }
            defer { state.next += 1 }
            return state.next
        }
        guard let index else { return false }
        write(index, &buffer)
        return true
    }

    func answered(status: Int, after nanoseconds: Int64) {
        state.withLock { state in
            state.latencies.append(Double(nanoseconds) / 1e9)
            if status >= 300 { state.failures += 1 }
        }
    }
}

/// What every request starts with, made once.
private struct RequestHead: Sendable {
    private let headers: String

    init(_ access: ClusterAccess) {
        let token = access.token.map { "Authorization: Bearer \($0)\r\n" } ?? ""
        headers =
            " HTTP/1.1\r\nHost: \(access.host):\(access.port)\r\nAccept: application/json\r\nUser-Agent: apus\r\n"
            + token
    }

    func write(_ method: StaticString, _ path: String, body: String? = nil, into buffer: inout ByteBuffer) {
        buffer.writeStaticString(method)
        buffer.writeStaticString(" ")
        buffer.writeString(path)
        buffer.writeString(headers)
        if let body {
            buffer.writeString("Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n")
            buffer.writeString(body)
        } else {
            buffer.writeStaticString("\r\n")
        }
    }
}
