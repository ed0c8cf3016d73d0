import Glibc
import NIOCore
import NIOPosix
import NIOWebSocket
import Synchronization

@testable import Streaming

/// A server on a loopback port; every connection starts in the state that an HTTP upgrade leaves behind.
struct LoopbackServer: Sendable {
    let listener: any Channel
    var port: Int { listener.localAddress?.port ?? 0 }

    static func start(
        _ upgrade: StreamUpgrade, _ serve: @escaping @Sendable (UpgradedChannel) async -> Void
    ) async throws -> LoopbackServer {
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let upgraded = try UpgradedChannel(synchronously: channel, upgrade)
                    Task { await serve(upgraded) }
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return LoopbackServer(listener: listener)
    }

    /// A real TCP server that sends everything back and closes when its client has closed.
    static func echo() async throws -> LoopbackServer {
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Echo()) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return LoopbackServer(listener: listener)
    }

    private final class Echo: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.writeAndFlush(data, promise: nil) }
        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case ChannelEvent.inputClosed = event { context.close(promise: nil) }
        }
    }

    func connectBytes() async throws -> NIOAsyncChannel<ByteBuffer, ByteBuffer> {
        try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel(wrappingChannelSynchronously: channel) }
            }
    }

    /// - Parameter isTunnel: the client's byte stream goes in masked binary messages.
    func connectTunnel() async throws -> NIOAsyncChannel<ByteBuffer, ByteBuffer> {
        try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try Self.addFraming(channel)
                    try channel.pipeline.syncOperations.addHandler(WebSocketByteTunnel())
                    return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
                }
            }
    }

    func connectFrames() async throws -> NIOAsyncChannel<WebSocketFrame, WebSocketFrame> {
        try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try Self.addFraming(channel)
                    return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
                }
            }
    }

    private static func addFraming(_ channel: any Channel) throws {
        try channel.pipeline.syncOperations.addHandler(WebSocketFrameEncoder())
        try channel.pipeline.syncOperations.addHandler(
            ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: 1 << 20)))
    }

    func stop() async { try? await listener.close() }
}

/// A program that sends its input back and ends with a code, like `cat; exit 5`.
final class CatSession: ProcessSession {
    let pieces = BoundedQueue<ProcessOutput>(limit: 64 * 1024)
    let code: Int
    let sizes = Mutex<[TerminalSize]>([])
    let closed = OnceValue<Void>()

    init(code: Int = 5) { self.code = code }

    var output: AsyncThrowingStream<ProcessOutput, any Error> { pieces.stream }
    func write(_ bytes: [UInt8]) async throws { await pieces.send(.standardOutput(bytes), cost: bytes.count) }
    func closeInput() async throws {
        await pieces.send(.standardError(Array("bye".utf8)), cost: 3)
        pieces.finish()
    }
    func resize(width: UInt16, height: UInt16) async throws {
        sizes.withLock { $0.append(TerminalSize(width: width, height: height)) }
    }
    func exit() async throws -> ProcessExit { .code(code) }
    func close() async {
        pieces.abandon()
        closed.set(())
    }
}

/// Bytes without a short period.
func noise(_ count: Int) -> [UInt8] {
    var random = SplitMix(seed: 3)
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
}
