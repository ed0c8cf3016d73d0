import NIOCore
import NIOWebSocket

/// The client of an exec or attach connection, whatever carries it.
protocol RemoteCommandPeer: Sendable {
    /// What the client types; ends when it closes its standard input or goes away.
    var standardInput: BoundedQueue<[UInt8]> { get }
    /// Sizes of its terminal; only the newest that nobody has read matters.
    var sizes: AsyncStream<TerminalSize> { get }
    /// Whether the final status is a `Status` object.
    var hasStatus: Bool { get }
    func write(_ output: ProcessOutput) async throws
    /// Sends the final status and ends the conversation politely.
    func finish(status: [UInt8]?) async throws
}

/// Channel messages in WebSocket frames.
final class WebSocketPeer: RemoteCommandPeer {
    let standardInput = BoundedQueue<[UInt8]>(limit: StreamLimits.bufferedBytes)
    let sizes: AsyncStream<TerminalSize>
    private let sizeSink: AsyncStream<TerminalSize>.Continuation
    private let codec: ChannelCodec
    private let outbound: ChannelWriter<WebSocketFrame>
    private let allocator: ByteBufferAllocator
    private let hasInput: Bool
    private let end = OnceValue<Void>()

    init(
        _ codec: ChannelCodec, _ outbound: ChannelWriter<WebSocketFrame>, _ allocator: ByteBufferAllocator,
        options: ExecOptions
    ) {
        self.codec = codec
        self.outbound = outbound
        self.allocator = allocator
        hasInput = options.stdin
        (sizes, sizeSink) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        if !hasInput { standardInput.finish() }
    }

    var hasStatus: Bool { codec.hasStatus }

    /// Reads until the client goes away.
    func read(_ inbound: NIOAsyncChannelInboundStream<WebSocketFrame>) async throws {
        defer {
            standardInput.finish()
            sizeSink.finish()
            end.set(())
        }
        for try await frame in inbound {
            switch try codec.decode(frame) {
            case .data(ChannelCodec.standardInput, let bytes) where hasInput && !bytes.isEmpty:
                await standardInput.send(bytes, cost: bytes.count)
            case .data(ChannelCodec.resize, let bytes):
                if let size = TerminalSize(bytes) { sizeSink.yield(size) }
            case .closed(ChannelCodec.standardInput):
                standardInput.finish()
            default:
                break
            }
        }
    }

    /// Waits until the client closed the connection.
    func drained() async throws { try await end.get() }

    /// Clients wait for a first message before they believe in the connection: an empty one on the first output channel.
    func greet(options: ExecOptions) async throws {
        let channel =
            if options.stdout {
                ChannelCodec.standardOutput
            } else if options.stderr, !options.tty {
                ChannelCodec.standardError
            } else {
                ChannelCodec.error
            }
        try await outbound.write(codec.encode(channel: channel, [], allocator))
    }

    func write(_ output: ProcessOutput) async throws {
        let (channel, bytes) =
            switch output {
            case .standardOutput(let bytes): (ChannelCodec.standardOutput, bytes)
            case .standardError(let bytes): (ChannelCodec.standardError, bytes)
            }
        var rest = bytes[...]
        while !rest.isEmpty {
            // Clients read with buffers of 32 KiB, the channel byte included.
            let piece = rest.prefix(StreamLimits.chunkBytes - 1)
            rest = rest.dropFirst(piece.count)
            try await outbound.write(codec.encode(channel: channel, piece, allocator))
        }
    }

    func finish(status: [UInt8]?) async throws {
        if let status { try await outbound.write(codec.encode(channel: ChannelCodec.error, status, allocator)) }
        var code = allocator.buffer(capacity: 2)
        code.write(webSocketErrorCode: .normalClosure)
        try await outbound.write(WebSocketFrame(fin: true, opcode: .connectionClose, data: code))
    }
}

/// One SPDY stream per channel.
final class SPDYPeer: RemoteCommandPeer {
    let standardInput: BoundedQueue<[UInt8]>
    let sizes: AsyncStream<TerminalSize>
    let hasStatus: Bool
    private let error: SPDYStream
    private let output: SPDYStream?
    private let errorOutput: SPDYStream?

    private init(_ streams: [String: SPDYStream], error: SPDYStream, hasStatus: Bool) {
        self.error = error
        self.hasStatus = hasStatus
        output = streams["stdout"]
        errorOutput = streams["stderr"]
        if let input = streams["stdin"] {
            standardInput = input.incoming
        } else {
            standardInput = BoundedQueue(limit: 1)
            standardInput.finish()
        }
        let resize = streams["resize"]
        sizes = AsyncStream {
            // Messages are JSON documents one after the other, each in its own frame.
            while let bytes = try? await resize?.incoming.next() {
                if let size = TerminalSize(bytes) { return size }
            }
            return nil
        }
    }

    /// Waits until the client has opened the streams that its query announced.
    static func accept(_ connection: SPDYConnection, version: String, options: ExecOptions) async throws -> SPDYPeer {
        let isOld = version.isEmpty || version == "channel.k8s.io" || version == "v2.channel.k8s.io"
        var wanted: Set<String> = ["error"]
        if options.stdin { wanted.insert("stdin") }
        if options.stdout { wanted.insert("stdout") }
        if options.stderr, !options.tty { wanted.insert("stderr") }
        if options.tty, !isOld { wanted.insert("resize") }
        let expected = wanted
        let streams = try await Timeout.run(StreamLimits.streamCreationTimeout) {
            var streams: [String: SPDYStream] = [:]
            while streams.count < expected.count, let stream = try await connection.accepted.next() {
                guard let type = stream.headers["streamtype"], expected.contains(type), streams[type] == nil else {
                    throw StreamingError("unexpected stream \(stream.headers["streamtype"] ?? "without streamType")")
                }
                try await stream.reply()
                streams[type] = stream
            }
            return streams
        }
        guard streams.count == expected.count, let error = streams["error"] else {
            throw StreamingError("the client left before it opened its streams")
        }
        return SPDYPeer(streams, error: error, hasStatus: version == "v4.channel.k8s.io")
    }

    func write(_ output: ProcessOutput) async throws {
        switch output {
        case .standardOutput(let bytes): try await self.output?.write(bytes)
        case .standardError(let bytes): try await errorOutput?.write(bytes)
        }
    }

    func finish(status: [UInt8]?) async throws {
        try await output?.finish()
        try await errorOutput?.finish()
        if let status { try await error.write(status) }
        try await error.finish()
    }
}
