import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import ObjectModel

/// What goes to and comes from a program behind a proxy.
enum ProxyPart: Sendable {
    case request(HTTPRequestHead)
    case response(HTTPResponseHead)
    case body(ByteBuffer)
    case end
    /// Bytes of another protocol, after a 101.
    case raw(ByteBuffer)
}

/// One HTTP/1.1 connection for one request, to a program in a pod or behind a service.
enum ProxyConnection {
    typealias Channel = NIOAsyncChannel<ProxyPart, ProxyPart>

    /// - Parameter isTLS: speak TLS and believe any certificate: pods have no names that an authority could vouch for.
    /// - Throws: `StatusError` 503 when nobody answers.
    static func open(_ host: String, _ port: Int, isTLS: Bool) async throws -> Channel {
        do {
            var tls: NIOSSLContext?
            if isTLS {
                var configuration = TLSConfiguration.makeClientConfiguration()
                configuration.certificateVerification = .none
                tls = try NIOSSLContext(configuration: configuration)
            }
            let context = tls
            return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(.seconds(10))
                .connect(host: host, port: port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        if let context {
                            try pipeline.addHandler(NIOSSLClientHandler(context: context, serverHostname: nil))
                        }
                        try pipeline.addHandlers([
                            HTTPRequestEncoder(),
                            ByteToMessageHandler(HTTPResponseDecoder(leftOverBytesStrategy: .forwardBytes)),
                            ProxyCodec(),
                        ])
                        return try Channel(wrappingChannelSynchronously: channel)
                    }
                }
        } catch {
            throw StatusError.serviceUnavailable("error trying to reach service: \(host) port \(port): \(error)")
        }
    }
}

/// Between `ProxyPart` and NIO's HTTP parts; makes room for `RawCodec` when the other side changes the protocol.
private final class ProxyCodec: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias InboundOut = ProxyPart
    typealias OutboundIn = ProxyPart
    typealias OutboundOut = HTTPClientRequestPart

    private var isUpgrading = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            isUpgrading = head.status == .switchingProtocols
            context.fireChannelRead(wrapInboundOut(.response(head)))
        case .body(let buffer): context.fireChannelRead(wrapInboundOut(.body(buffer)))
        case .end where isUpgrading: becomeRaw(context)
        case .end: context.fireChannelRead(wrapInboundOut(.end))
        }
    }

    private func becomeRaw(_ context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        do {
            let encoder = try pipeline.handler(type: HTTPRequestEncoder.self)
            let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPResponseDecoder>.self)
            try pipeline.addHandler(RawCodec(), position: .after(self))
            _ = pipeline.removeHandler(encoder)
            _ = pipeline.removeHandler(self)
            _ = pipeline.removeHandler(decoder)
        } catch {
            context.close(promise: nil)
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .request(let head): context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .body(let buffer): context.write(wrapOutboundOut(.body(.byteBuffer(buffer))), promise: promise)
        case .end: context.write(wrapOutboundOut(.end(nil)), promise: promise)
        case .response, .raw: promise?.fail(ConnectionClosed())
        }
    }
}

private final class RawCodec: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ProxyPart
    typealias OutboundIn = ProxyPart
    typealias OutboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.fireChannelRead(wrapInboundOut(.raw(unwrapInboundIn(data))))
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .raw(let buffer) = unwrapOutboundIn(data) else {
            promise?.fail(ConnectionClosed())
            return
        }
        context.write(wrapOutboundOut(buffer), promise: promise)
    }
}
