public import NIOCore
import NIOWebSocket

/// What a connection speaks after the HTTP 101 answer.
public enum StreamUpgrade: Sendable, Hashable {
    /// WebSocket (RFC 6455) with this subprotocol, as `StreamNegotiation` picked it; empty for none.
    case webSocket(subprotocol: String)
    /// SPDY/3.1 with this value of `X-Stream-Protocol-Version`; empty for none.
    case spdy(subprotocol: String)
}

/// A connection after its HTTP upgrade, ready for `RemoteCommandServer` or `PortForwardServer`.
///
/// Make it on the channel's event loop at the moment when the HTTP handlers are gone and before any later byte is read,
/// that is inside the upgrader's pipeline hook. Nothing is read until one of the servers runs it.
public struct UpgradedChannel: Sendable {
    enum Carrier: Sendable {
        case frames(NIOAsyncChannel<WebSocketFrame, WebSocketFrame>)
        case bytes(NIOAsyncChannel<ByteBuffer, ByteBuffer>)
    }
    let carrier: Carrier
    let upgrade: StreamUpgrade
    /// The connection itself, for example to close it when the server shuts down.
    public let channel: any Channel

    /// Installs the framing on a channel whose pipeline ends in plain bytes (`ByteBuffer`).
    ///
    /// - Throws: when the channel is closed already.
    /// - Precondition: runs on the channel's event loop.
    public init(synchronously channel: any Channel, _ upgrade: StreamUpgrade) throws {
        channel.eventLoop.preconditionInEventLoop()
        self.channel = channel
        self.upgrade = upgrade
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(IdleStateHandler(allTimeout: StreamLimits.idleTimeout))
        try pipeline.addHandler(CloseWhenIdle())
        switch upgrade {
        case .spdy:
            carrier = .bytes(try NIOAsyncChannel(wrappingChannelSynchronously: channel))
        case .webSocket(let subprotocol):
            try pipeline.addHandler(WebSocketFrameEncoder())
            try pipeline.addHandler(
                ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: StreamLimits.maximumMessageBytes)))
            try pipeline.addHandler(WebSocketControlHandler())
            if subprotocol == StreamNegotiation.tunnelledPortForward {
                try pipeline.addHandler(WebSocketByteTunnel())
                carrier = .bytes(try NIOAsyncChannel(wrappingChannelSynchronously: channel))
            } else {
                try pipeline.addHandler(
                    NIOWebSocketFrameAggregator(
                        minNonFinalFragmentSize: 1, maxAccumulatedFrameCount: 4096,
                        maxAccumulatedFrameSize: StreamLimits.maximumMessageBytes))
                carrier = .frames(try NIOAsyncChannel(wrappingChannelSynchronously: channel))
            }
        }
    }
}

/// Bounds of every streaming connection.
enum StreamLimits {
    /// Connections on which nothing moves for this long are closed (Kubernetes: 4 h).
    static let idleTimeout = TimeAmount.hours(4)
    /// Largest WebSocket message taken.
    static let maximumMessageBytes = 1 << 22
    /// Bytes that wait for one slow reader before its sender is held back.
    static let bufferedBytes = 1 << 18
    /// Largest piece written at once, so that one stream does not hold up the others.
    static let chunkBytes = 32 * 1024
    /// Open streams of one SPDY connection.
    static let maximumStreams = 1024
    /// Time in which the second stream of a pair, or all streams of a command, must be opened.
    static let streamCreationTimeout = Duration.seconds(30)
}
