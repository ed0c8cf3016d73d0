public import Logging
import NIOCore
import NIOWebSocket

/// Sends bytes one way over a WebSocket: what browsers use to read logs.
///
/// Speaks `binary.k8s.io` and `base64.binary.k8s.io`: each message is a piece of the bytes, what the client sends means
/// nothing.
public struct ByteStreamServer: Sendable {
    let logger: Logger

    public init(logger: Logger) {
        self.logger = logger
    }

    /// Serves the connection until the bytes end, the client went away or the task is cancelled; then the channel is
    /// closed.
    /// - Parameter pieces: an error in it ends the connection, as there is no place for one in these protocols.
    public func run(_ channel: UpgradedChannel, _ pieces: AsyncThrowingStream<[UInt8], any Error>) async {
        do {
            guard case .frames(let frames) = channel.carrier, case .webSocket(let subprotocol) = channel.upgrade else {
                throw StreamingError("byte streams are carried by WebSocket messages only")
            }
            try await serve(frames, isBase64: subprotocol == StreamNegotiation.base64ByteStream, pieces)
        } catch {
            logger.debug("byte stream connection ended early", metadata: ["error": "\(error)"])
        }
        try? await channel.channel.close()
    }

    private func serve(
        _ channel: NIOAsyncChannel<WebSocketFrame, WebSocketFrame>, isBase64: Bool,
        _ pieces: AsyncThrowingStream<[UInt8], any Error>
    ) async throws {
        let outbound = ChannelWriter<WebSocketFrame>(channel.channel)
        @Sendable func send(_ bytes: ArraySlice<UInt8>) async throws {
            let data = isBase64 ? ByteBuffer(bytes: Base64.encode(bytes)) : ByteBuffer(bytes: bytes)
            try await outbound.write(WebSocketFrame(fin: true, opcode: isBase64 ? .text : .binary, data: data))
        }
        let ended = OnceValue<Void>()
        try await channel.executeThenClose { inbound, _ in
            try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask {
                    defer { ended.set(()) }
                    for try await _ in inbound {}
                    return true
                }
                group.addTask {
                    // Clients wait for a first message before they believe in the connection.
                    try await send([])
                    for try await piece in pieces {
                        var rest = piece[...]
                        while !rest.isEmpty {
                            try await send(rest.prefix(StreamLimits.chunkBytes))
                            rest = rest.dropFirst(StreamLimits.chunkBytes)
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
