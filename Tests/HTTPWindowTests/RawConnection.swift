import NIOCore
import NIOPosix
import Synchronization

/// A TCP connection that says exactly the bytes it is given, and keeps what comes back.
final class RawConnection: Sendable {
    private struct State {
        var bytes: [UInt8] = []
        var isClosed = false
    }
    private final class Collector: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let state = Mutex(State())

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let buffer = unwrapInboundIn(data)
            state.withLock { $0.bytes.append(contentsOf: buffer.readableBytesView) }
        }
        func channelInactive(context: ChannelHandlerContext) {
            state.withLock { $0.isClosed = true }
        }
        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
    }

    private let channel: any Channel
    private let collector: Collector

    /// - Parameter reads: false leaves what comes in the sockets until `startReading`.
    init(port: Int, reads: Bool = true) async throws {
        let collector = Collector()
        self.collector = collector
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: reads)
            .channelInitializer { $0.pipeline.addHandler(collector) }
            .connect(host: "127.0.0.1", port: port).get()
    }

    func send(_ text: String) async throws { try await channel.writeAndFlush(ByteBuffer(string: text)) }
    func startReading() async throws { try await channel.setOption(.autoRead, value: true).get() }
    func close() async { try? await channel.close() }

    var isClosed: Bool { collector.state.withLock { $0.isClosed } }
    var text: String { String(decoding: collector.state.withLock { $0.bytes }, as: UTF8.self) }
    var count: Int { collector.state.withLock { $0.bytes.count } }
    /// What came so far, which is forgotten.
    func take() -> String {
        String(
            decoding: collector.state.withLock { state in
                defer { state.bytes = [] }
                return state.bytes
            }, as: UTF8.self)
    }
}

/// Waits until something is true, at most 10 s.
func eventually(_ condition: @Sendable () async -> Bool) async -> Bool {
    let end = ContinuousClock.now + .seconds(120)
    while ContinuousClock.now < end {
        if await condition() { return true }
        try? await Task.sleep(for: .milliseconds(5))
    }
    return false
}
