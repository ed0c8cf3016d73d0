import NIOCore

/// The client's end of an exec or attach session over SPDY/3.1 (`v4.channel.k8s.io`).
final class SPDYProcessSession: ProcessSession {
    private struct Streams: Sendable {
        var error: SPDYStream
        var input: SPDYStream?
        var output: SPDYStream?
        var errorOutput: SPDYStream?
        var resize: SPDYStream?
    }

    private let streams: Streams
    private let task: Task<Void, Never>
    private let ended: OnceValue<ProcessExit>
    private let pieces: BoundedQueue<ProcessOutput>

    private init(
        _ streams: Streams, _ task: Task<Void, Never>, _ ended: OnceValue<ProcessExit>,
        _ pieces: BoundedQueue<ProcessOutput>
    ) {
        self.streams = streams
        self.task = task
        self.ended = ended
        self.pieces = pieces
    }

    deinit { task.cancel() }

    /// Opens the streams; the session then runs by itself until it ends or is closed.
    static func start(_ channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>, options: ExecOptions) async throws
        -> SPDYProcessSession
    {
        let opened = OnceValue<Result<Streams, any Error>>()
        let ended = OnceValue<ProcessExit>()
        let pieces = BoundedQueue<ProcessOutput>(limit: StreamLimits.bufferedBytes)
        // Owned by the session: `close` and `deinit` cancel it.
        let task = Task {
            let connection = SPDYConnection(role: .client)
            do {
                try await connection.run(channel) {
                    let streams = try await open(connection, options)
                    opened.set(.success(streams))
                    try await collect(streams, ended, pieces)
                }
                opened.set(.failure(StreamingError("the connection was closed")))
                ended.set(.failed("the connection to the runtime was lost"))
                pieces.finish()
            } catch {
                opened.set(.failure(error))
                ended.set(.failed("the connection to the runtime was lost: \(error)"))
                pieces.finish()
            }
        }
        return try await withTaskCancellationHandler {
            do {
                return SPDYProcessSession(try await opened.get().get(), task, ended, pieces)
            } catch {
                task.cancel()
                throw error
            }
        } onCancel: {
            task.cancel()
        }
    }

    private static func open(_ connection: SPDYConnection, _ options: ExecOptions) async throws -> Streams {
        // The order of Kubernetes' own clients.
        var streams = Streams(error: try await connection.open(["streamType": "error"]))
        if options.stdin { streams.input = try await connection.open(["streamType": "stdin"]) }
        if options.stdout { streams.output = try await connection.open(["streamType": "stdout"]) }
        if options.stderr, !options.tty { streams.errorOutput = try await connection.open(["streamType": "stderr"]) }
        if options.tty { streams.resize = try await connection.open(["streamType": "resize"]) }
        return streams
    }

    /// Gathers output until both streams end, and the status. Servers reset streams instead of closing them when they
    /// are done, so a reset after the status is an end like another.
    private static func collect(
        _ streams: Streams, _ ended: OnceValue<ProcessExit>, _ pieces: BoundedQueue<ProcessOutput>
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while let bytes = try? await streams.output?.incoming.next() {
                    await pieces.send(.standardOutput(bytes), cost: bytes.count)
                }
            }
            group.addTask {
                while let bytes = try? await streams.errorOutput?.incoming.next() {
                    await pieces.send(.standardError(bytes), cost: bytes.count)
                }
            }
            var status: [UInt8] = []
            do {
                while let bytes = try await streams.error.incoming.next() {
                    guard status.count < 64 * 1024 else { break }
                    status += bytes
                }
            } catch {
                if status.isEmpty { throw error }
            }
            try await group.waitForAll()
            ended.set(ExitStatus.parse(status))
            pieces.finish()
        }
    }

    var output: AsyncThrowingStream<ProcessOutput, any Error> { pieces.stream }

    func write(_ bytes: [UInt8]) async throws {
        guard let input = streams.input else { throw StreamingError("the session has no standard input") }
        try await input.write(bytes)
    }

    func closeInput() async throws { try await streams.input?.finish() }

    func resize(width: UInt16, height: UInt16) async throws {
        try await streams.resize?.write(TerminalSize(width: width, height: height).encoded)
    }

    func exit() async throws -> ProcessExit { try await ended.get() }

    func close() async {
        pieces.abandon()
        task.cancel()
    }
}
