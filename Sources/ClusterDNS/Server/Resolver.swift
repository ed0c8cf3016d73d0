import Logging
import NIOCore
import NIOPosix

/// Passes questions that are not ours to the machine's own resolvers and their answers back, bytes unchanged.
struct Resolver: Sendable {
    /// Addresses of `nameserver` lines, first first.
    let servers: [SocketAddress]
    private let group: any EventLoopGroup

    /// - Parameter excluding: our own address, so that questions do not go round in circles.
    init(configuration text: String, excluding own: String, group: any EventLoopGroup) {
        self.group = group
        servers = Array(
            text.split(separator: "\n").compactMap { line -> SocketAddress? in
                let words = line.split(whereSeparator: \.isWhitespace)
                guard words.count >= 2, words[0] == "nameserver", words[1] != own else { return nil }
                return try? SocketAddress(ipAddress: String(words[1]), port: 53)
            }.prefix(3))
    }

    /// Asks the servers one after another by UDP (2 s each); nil when none answers.
    func resolve(_ query: [UInt8]) async -> [UInt8]? {
        for server in servers {
            if let answer = await ask(server, query) { return answer }
        }
        return nil
    }

    private func ask(_ server: SocketAddress, _ query: [UInt8]) async -> [UInt8]? {
        let loop = group.next()
        let promise = loop.makePromise(of: [UInt8]?.self)
        let timeout = loop.scheduleTask(in: .seconds(2)) { promise.succeed(nil) }
        let id = Array(query.prefix(2))
        let bootstrap = DatagramBootstrap(group: loop).channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(
                    AnswerHandler { address, bytes in
                        if address == server && bytes.starts(with: id) { promise.succeed(bytes) }
                    })
            }
        }
        let any = server.protocol == .inet6 ? "::" : "0.0.0.0"
        do {
            let channel = try await bootstrap.bind(host: any, port: 0).get()
            channel.writeAndFlush(
                AddressedEnvelope(remoteAddress: server, data: ByteBuffer(bytes: query)), promise: nil)
            let answer = try await promise.futureResult.get()
            timeout.cancel()
            channel.close(promise: nil)
            return answer
        } catch {
            timeout.cancel()
            promise.succeed(nil)
            return nil
        }
    }
}

/// Hands each datagram to a closure.
private final class AnswerHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    private let receive: @Sendable (SocketAddress, [UInt8]) -> Void

    init(_ receive: @escaping @Sendable (SocketAddress, [UInt8]) -> Void) {
        self.receive = receive
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        receive(envelope.remoteAddress, Array(envelope.data.readableBytesView))
    }
}
