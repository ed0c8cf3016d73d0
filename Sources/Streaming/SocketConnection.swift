import NIOCore
import NIOPosix

/// A TCP or Unix connection as a `ByteConnection`, with half-close in both directions.
public final class SocketConnection: ByteConnection {
    private let incoming = BoundedQueue<[UInt8]>(limit: StreamLimits.bufferedBytes)
    private let outgoing = BoundedQueue<[UInt8]>(limit: StreamLimits.bufferedBytes)
    /// All that was to be sent is sent, or never will be.
    private let written = OnceValue<Void>()
    private let channel: any Channel

    /// Takes ownership of a connected stream socket.
    public static func adopting(descriptor: CInt) async throws -> SocketConnection {
        let bootstrap = ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup).channelOption(
            .allowRemoteHalfClosure, value: true)
        let channel = try await bootstrap.withConnectedSocket(descriptor) { channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                    wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
            }
        }
        return SocketConnection(channel)
    }

    private init(_ channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>) {
        self.channel = channel.channel
        let incoming = incoming
        let outgoing = outgoing
        let written = written
        // The task lives as long as the connection: both directions end, or `close` closes the channel.
        Task {
            do {
                try await channel.executeThenClose { inbound, _ in
                    let outbound = ChannelWriter<ByteBuffer>(channel.channel)
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask {
                            for try await buffer in inbound {
                                await incoming.send(Array(buffer.readableBytesView), cost: buffer.readableBytes)
                            }
                            incoming.finish()
                        }
                        group.addTask {
                            while let bytes = try await outgoing.next() {
                                try await outbound.write(ByteBuffer(bytes: bytes))
                            }
                            written.set(())
                            try await outbound.finish()
                        }
                        try await group.waitForAll()
                    }
                }
                incoming.finish()
            } catch {
                incoming.finish(throwing: error)
            }
            outgoing.abandon()
            written.set(())
        }
    }

    deinit { channel.close(promise: nil) }

    public var input: AsyncThrowingStream<[UInt8], any Error> { incoming.stream }

    public func write(_ bytes: [UInt8]) async throws {
        guard await outgoing.send(bytes, cost: bytes.count) else {
            try Task.checkCancellation()
            throw StreamingError("the connection is closed")
        }
    }

    public func closeOutput() async throws { outgoing.finish() }

    /// What was written before is sent first, to a peer that takes it in two seconds.
    public func close() async {
        incoming.abandon()
        outgoing.finish()
        _ = try? await Timeout.run(.seconds(2)) { [written] in try await written.get() }
        try? await channel.close()
    }
}
