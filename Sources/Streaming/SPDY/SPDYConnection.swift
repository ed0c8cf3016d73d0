import NIOCore
import Synchronization

/// A SPDY/3.1 connection over an upgraded channel.
///
/// SPDY's flow control windows are not used by any party of this protocol family, so back-pressure is that of the
/// connection: while the reader of one stream is behind by more than its buffer, nothing is read.
final class SPDYConnection: Sendable {
    private struct State {
        var machine: SPDYStateMachine
        var streams: [UInt32: SPDYStream] = [:]
        var isClosed = false
    }

    private let state: Mutex<State>
    private let outgoing = BoundedQueue<SPDYFrame>(limit: StreamLimits.bufferedBytes)
    private let end = OnceValue<Void>()
    /// Streams that the peer opened, in order; ends with the connection.
    let accepted = BoundedQueue<SPDYStream>(limit: StreamLimits.maximumStreams)

    init(role: SPDYRole) {
        state = Mutex(State(machine: SPDYStateMachine(role: role, maximumStreams: StreamLimits.maximumStreams)))
    }

    /// Drives the connection while `body` runs, then sends what is still queued and closes the channel.
    func run(
        _ channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>, _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        try await channel.executeThenClose { inbound, _ in
            try await run(inbound, ChannelWriter(channel.channel), body)
        }
    }

    private func run(
        _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>, _ outbound: ChannelWriter<ByteBuffer>,
        _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        let writer = OnceValue<Void>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer {
                group.cancelAll()
                close(StreamingError("the connection was closed"))
            }
            group.addTask {
                do {
                    try await self.read(inbound)
                    self.close(StreamingError("the peer closed the connection"))
                } catch {
                    self.close(error)
                }
            }
            group.addTask {
                defer { writer.set(()) }
                do {
                    try await self.write(outbound)
                } catch {
                    self.close(error)
                }
            }
            let main = Task { try await body() }
            let result = await withTaskCancellationHandler {
                await main.result
            } onCancel: {
                main.cancel()
            }
            outgoing.finish()
            try? await Timeout.run(.seconds(5)) { try await writer.get() }
            try result.get()
        }
    }

    /// Opens a stream; the peer's reply is not awaited.
    func open(_ headers: SPDYHeaders) async throws -> SPDYStream {
        let stream = try state.withLock { state in
            guard !state.isClosed else { throw StreamingError("the connection is closed") }
            let stream = SPDYStream(id: try state.machine.open(), headers: headers, connection: self)
            state.streams[stream.id] = stream
            return stream
        }
        try await send(.synStream(id: stream.id, headers: headers, isFinal: false))
        return stream
    }

    fileprivate func send(_ frame: SPDYFrame) async throws {
        guard await outgoing.send(frame, cost: frame.cost) else {
            try Task.checkCancellation()
            throw StreamingError("the connection is closed")
        }
    }

    fileprivate func closeLocally(_ id: UInt32) async throws {
        state.withLock { state in
            state.machine.closedLocally(id)
        }
        try await send(.data(id: id, [], isFinal: true))
    }

    fileprivate func abort(_ id: UInt32) {
        let isOpen = state.withLock { state in
            state.streams[id] = nil
            return state.machine.abortedLocally(id)
        }
        if isOpen { outgoing.offer(.reset(id: id, status: SPDYFrame.ResetStatus.cancel), always: true) }
    }

    // MARK: - Loops

    private func read(_ inbound: NIOAsyncChannelInboundStream<ByteBuffer>) async throws {
        var decoder = SPDYDecoder()
        for try await buffer in inbound {
            for frame in try decoder.decode(buffer) { try await handle(frame) }
        }
    }

    private func handle(_ frame: SPDYFrame) async throws {
        let actions = try state.withLock { state in try state.machine.receive(frame) }
        for action in actions {
            switch action {
            case .accept(let id, let headers, let isFinal):
                let stream = SPDYStream(id: id, headers: headers, connection: self)
                if isFinal { stream.incoming.finish() } else { state.withLock { $0.streams[id] = stream } }
                await accepted.send(stream)
            case .deliver(let id, let bytes):
                guard let stream = state.withLock({ $0.streams[id] }) else { continue }
                await stream.incoming.send(bytes, cost: bytes.count)
            case .remoteClosed(let id):
                state.withLock { $0.streams.removeValue(forKey: id) }?.incoming.finish()
            case .aborted(let id, let status):
                let stream = state.withLock { $0.streams.removeValue(forKey: id) }
                stream?.incoming.finish(throwing: SPDYStreamReset(status: status))
            case .send(let frame):
                // Answers to what the peer sends: one that does not read its answers loses them.
                outgoing.offer(frame, cost: frame.cost)
            case .goAway:
                accepted.finish()
            }
        }
    }

    private func write(_ outbound: ChannelWriter<ByteBuffer>) async throws {
        let encoder = SPDYEncoder()
        while let frame = try await outgoing.next() {
            var buffer = ByteBuffer()
            encoder.encode(frame, into: &buffer)
            try await outbound.write(buffer)
        }
    }

    /// Waits until the peer closed the connection, or it was lost.
    func ended() async throws { try await end.get() }

    private func close(_ reason: any Error) {
        defer { end.set(()) }
        let streams = state.withLock { state in
            state.isClosed = true
            defer { state.streams = [:] }
            return Array(state.streams.values)
        }
        for stream in streams { stream.incoming.finish(throwing: reason) }
        accepted.finish()
        outgoing.finish()
    }
}

/// One two-way stream of a SPDY connection.
final class SPDYStream: Sendable {
    let id: UInt32
    let headers: SPDYHeaders
    private let connection: SPDYConnection
    /// What the peer sends; ends when it closes its side, fails when the stream or the connection is lost.
    let incoming = BoundedQueue<[UInt8]>(limit: StreamLimits.bufferedBytes)

    fileprivate init(id: UInt32, headers: SPDYHeaders, connection: SPDYConnection) {
        self.id = id
        self.headers = headers
        self.connection = connection
    }

    /// Accepts a stream of the peer.
    func reply() async throws {
        try await connection.send(.synReply(id: id, headers: SPDYHeaders(), isFinal: false))
    }

    /// Returns when the bytes are taken and the connection is not too far behind.
    func write(_ bytes: [UInt8]) async throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(StreamLimits.chunkBytes)
            rest = rest.dropFirst(piece.count)
            try await connection.send(.data(id: id, Array(piece), isFinal: false))
        }
    }

    /// Closes our sending side.
    func finish() async throws { try await connection.closeLocally(id) }

    /// Gives up both directions.
    func abort() {
        incoming.abandon()
        connection.abort(id)
    }

    /// Reads to the end. More than `limit` bytes are dropped.
    func readAll(limit: Int) async throws -> [UInt8] {
        var out: [UInt8] = []
        while let bytes = try await incoming.next() { out += bytes.prefix(max(0, limit - out.count)) }
        return out
    }
}

/// The peer gave up one stream; the connection goes on.
struct SPDYStreamReset: Error, Sendable, Hashable, CustomStringConvertible {
    /// `SPDYFrame.ResetStatus`.
    let status: UInt32

    var description: String { "the peer gave up the stream (status \(status))" }
}

/// Time limits on waiting.
enum Timeout {
    /// Runs a job and cancels it when it takes longer; then throws `StreamingError`.
    static func run<Result: Sendable>(
        _ limit: Duration, _ job: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Result.self) { group in
            group.addTask(operation: job)
            group.addTask {
                try await Task.sleep(for: limit)
                throw StreamingError("it took longer than \(limit)")
            }
            defer { group.cancelAll() }
            guard let result = try await group.next() else { throw CancellationError() }
            return result
        }
    }
}
