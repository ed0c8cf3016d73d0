public import HTTPAccess
import JSON
import NIOCore
import Synchronization

/// What every load needs: the server, its process, connections, and a namespace of its own.
public struct LoadRig: Sendable {
    public var access: ClusterAccess
    /// Namespace that is made for the load and deleted afterwards.
    public var namespace: String
    /// Connections, each with one request under way.
    public var clients: Int
    /// Processes of the server on this machine, whose CPU time is measured; none to leave that out.
    public var serverProcesses: [Int]
    /// Told now and then what is being done; several times a second at most.
    public var progress: @Sendable (String) -> Void

    public init(
        access: ClusterAccess, namespace: String, clients: Int, serverProcesses: [Int] = [],
        progress: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.access = access
        self.namespace = namespace
        self.clients = clients
        self.serverProcesses = serverProcesses
        self.progress = progress
    }

    /// Runs a load in the namespace, which exists meanwhile.
    func inNamespace(_ body: (_ control: HTTPConnection, _ channels: [LoadChannel]) async throws -> Void) async throws {
        let tls = try HTTPConnection.context(access)
        let control = try await HTTPConnection.open(access, tls: tls)
        var channels: [LoadChannel] = []
        for _ in 0..<clients { channels.append(try await LoadChannel.open(access, tls: tls)) }
        try await control.require("POST", "/api/v1/namespaces", Self.namespaceObject(namespace))
        do {
            try await body(control, channels)
        } catch {
            try? await deleteNamespace(tls)
            throw error
        }
        try await deleteNamespace(tls)
        for channel in channels { await channel.close() }
        await control.close()
    }

    /// On a connection of its own: servers close one that was idle for the length of a load.
    private func deleteNamespace(_ tls: HTTPConnection.TLSContext) async throws {
        let connection = try await HTTPConnection.open(access, tls: tls)
        _ = try await connection.send("DELETE", "/api/v1/namespaces/\(namespace)").get()
        await connection.close()
    }

    private static func namespaceObject(_ name: String) -> String {
        #"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"\#(name)"}}"#
    }

    /// Sends `total` requests over the connections as fast as they are answered.
    /// - Parameters:
    ///   - rate: requests a second; nil for as many as are answered.
    ///   - write: writes request number *i* into the buffer.
    func phase(
        _ name: String, _ channels: [LoadChannel], total: Int, rate: Int? = nil,
        write: @escaping @Sendable (Int, inout ByteBuffer) -> Void
    ) async throws -> Measurement {
        let run = PhaseRun(name: name, total: total, progress: progress, write: write)
        let clock = ContinuousClock()
        let before = ProcessorTime.seconds(of: serverProcesses)
        let start = clock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for channel in channels {
                group.addTask {
                    guard let rate else { return try await channel.run(run) }
                    // One request at a time, each when it is due.
                    while let due = run.reserve() {
                        try await Task.sleep(until: start + .seconds(1) * due / rate)
                        try await channel.run(run.single(due))
                    }
                }
            }
            try await group.waitForAll()
        }
        var measurement = run.measurement
        measurement.elapsed = clock.now - start
        if let before, let after = ProcessorTime.seconds(of: serverProcesses) {
            measurement.serverSeconds = after - before
        }
        return measurement
    }
}

/// The requests of one phase, handed to whichever connection asks next.
private final class PhaseRun: LoadConnection.Source {
    private struct State {
        var next = 0
        var measurement: Measurement
    }
    private let total: Int
    private let write: @Sendable (Int, inout ByteBuffer) -> Void
    private let progress: @Sendable (String) -> Void
    private let state: Mutex<State>

    init(
        name: String, total: Int, progress: @escaping @Sendable (String) -> Void,
        write: @escaping @Sendable (Int, inout ByteBuffer) -> Void
    ) {
        self.total = total
        self.write = write
        self.progress = progress
        state = Mutex(State(measurement: Measurement(name: name)))
    }

    var measurement: Measurement { state.withLock { $0.measurement } }

    /// The number of a request that nobody else sends.
    func reserve() -> Int? {
        state.withLock { state in
            guard state.next < total else { return nil }
            defer { state.next += 1 }
            return state.next
        }
    }

    /// A source of one reserved request.
    func single(_ index: Int) -> any LoadConnection.Source { SingleRequest(run: self, index: index) }

    func next(into buffer: inout ByteBuffer) -> Bool {
        guard let index = reserve() else { return false }
        send(index, into: &buffer)
        return true
    }

    fileprivate func send(_ index: Int, into buffer: inout ByteBuffer) {
        if index % max(total / 20, 1) == 0 {
            progress("\(state.withLock { $0.measurement.name }) \(index * 100 / total) %")
        }
        write(index, &buffer)
    }

    func answered(status: Int, size: Int, after nanoseconds: Int64) {
        state.withLock { state in
            state.measurement.record(nanoseconds: nanoseconds)
            state.measurement.bytes += size
            if status >= 300 { state.measurement.failures += 1 }
        }
    }
}

private final class SingleRequest: LoadConnection.Source {
    private let run: PhaseRun
    private let index: Int
    private let isSent = Atomic<Bool>(false)

    init(run: PhaseRun, index: Int) {
        self.run = run
        self.index = index
    }

    func next(into buffer: inout ByteBuffer) -> Bool {
        guard !isSent.exchange(true, ordering: .relaxed) else { return false }
        run.send(index, into: &buffer)
        return true
    }
    func answered(status: Int, size: Int, after nanoseconds: Int64) {
        run.answered(status: status, size: size, after: nanoseconds)
    }
}

/// A load that cannot go on.
public struct LoadProblem: Error, CustomStringConvertible {
    public var description: String

    init(_ description: String) {
        self.description = description
    }
}

extension HTTPConnection {
    /// Sends a request that must succeed.
    @discardableResult
    func require(_ method: String, _ path: String, _ body: String? = nil) async throws -> JSON {
        let answer = try await send(method, path, body: body.map { ByteBuffer(string: $0) }).get()
        let text = String(buffer: answer.body)
        guard answer.status < 300 else {
            let message = (try? JSON.parse(text))?["message"].string ?? text
            throw LoadProblem("\(method) \(path) answered \(answer.status): \(message)")
        }
        return (try? JSON.parse(text)) ?? .null
    }

    /// Makes the account that pods of a namespace run as, unless a controller was faster.
    func ensureAccount(_ namespace: String) async throws {
        let account = #"{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}"#
        let path = "/api/v1/namespaces/\(namespace)/serviceaccounts"
        let answer = try await send("POST", path, body: ByteBuffer(string: account)).get()
        guard answer.status < 300 || answer.status == 409 else {
            throw LoadProblem("the service account of the pods was refused: \(answer.status)")
        }
    }
}

/// What every request starts with, made once.
struct RequestHead: Sendable {
    private let headers: String

    init(_ access: ClusterAccess) {
        let token = access.token.map { "Authorization: Bearer \($0)\r\n" } ?? ""
        headers =
            " HTTP/1.1\r\nHost: \(access.host):\(access.port)\r\nAccept: application/json\r\nUser-Agent: apus\r\n"
            + token
    }

    func write(
        _ method: StaticString, _ path: String, body: String? = nil, type: StaticString = "application/json",
        into buffer: inout ByteBuffer
    ) {
        buffer.writeStaticString(method)
        buffer.writeStaticString(" ")
        buffer.writeString(path)
        buffer.writeString(headers)
        if let body {
            buffer.writeString("Content-Type: \(type)\r\nContent-Length: \(body.utf8.count)\r\n\r\n")
            buffer.writeString(body)
        } else {
            buffer.writeStaticString("\r\n")
        }
    }
}
