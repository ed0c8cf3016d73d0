public import Logging
public import NIOCore
import NIOWebSocket
import ObjectModel

/// Sends one way over a WebSocket: what browsers use to read logs and to watch. What the client sends means nothing.
public struct ByteStreamServer: Sendable {
    let logger: Logger

    public init(logger: Logger) {
        self.logger = logger
    }

    /// One message of a WebSocket.
    public enum Message: Sendable {
        case text(ByteBuffer)
        case binary(ByteBuffer)
    }

    /// Sends bytes until they end, the client went away or the task is cancelled; then the channel is closed.
    ///
    /// Speaks `binary.k8s.io` and `base64.binary.k8s.io`: each message is a piece of the bytes.
    /// - Parameter pieces: an error in it ends the connection, as there is no place for one in these protocols.
    public func run(_ channel: UpgradedChannel, _ pieces: AsyncThrowingStream<[UInt8], any Error>) async {
        let isBase64 = channel.upgrade == .webSocket(subprotocol: StreamNegotiation.base64ByteStream)
        await run(channel) { send in
            @Sendable func pass(_ piece: ArraySlice<UInt8>) async throws {
                try await send(
                    isBase64 ? .text(ByteBuffer(string: Base64.encode(piece))) : .binary(ByteBuffer(bytes: piece)))
            }
            // Clients wait for a first message before they believe in the connection.
            try await pass([])
            for try await piece in pieces {
                var rest = piece[...]
                while !rest.isEmpty {
                    try await pass(rest.prefix(StreamLimits.chunkBytes))
                    rest = rest.dropFirst(StreamLimits.chunkBytes)
                }
            }
        }
    }

    /// Sends what `produce` sends until it returns or throws, the client went away or the task is cancelled; then the
    /// channel is closed.
    /// - Parameter produce: is cancelled when the client goes away. Its sends wait for slow clients.
    public func run(
        _ channel: UpgradedChannel,
        _ produce: @escaping @Sendable (_ send: @escaping @Sendable (Message) async throws -> Void) async throws -> Void
    ) async {
        do {
            guard case .frames(let frames) = channel.carrier else {
                throw StreamingError("messages are carried by a WebSocket only")
            }
            try await serve(frames, produce)
        } catch {
            logger.debug("one-way connection ended early", metadata: ["error": "\(error)"])
        }
        try? await channel.channel.close()
    }

    private func serve(
        _ channel: NIOAsyncChannel<WebSocketFrame, WebSocketFrame>,
        _ produce: @escaping @Sendable (@escaping @Sendable (Message) async throws -> Void) async throws -> Void
    ) async throws {
        let outbound = ChannelWriter<WebSocketFrame>(channel.channel)
        let ended = OnceValue<Void>()
        try await channel.executeThenClose { inbound, _ in
            try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask {
                    defer { ended.set(()) }
                    for try await _ in inbound {}
                    return true
                }
                group.addTask {
                    try await produce { message in
                        switch message {
                        case .text(let data):
                            try await outbound.write(WebSocketFrame(fin: true, opcode: .text, data: data))
                        case .binary(let data):
                            try await outbound.write(WebSocketFrame(fin: true, opcode: .binary, data: data))
                        }
                    }
                    var code = ByteBuffer()
                    code.write(webSocketErrorCode: .normalClosure)
                    try await outbound.write(WebSocketFrame(fin: true, opcode: .connectionClose, data: code))
                    return false
                }
                defer { group.cancelAll() }
                guard try await group.next() == false else { return }
                // Closing at once could throw away what is still on its way: the client closes first.
                _ = try? await Timeout.run(.seconds(5)) { try await ended.get() }
            }
        }
    }
}
