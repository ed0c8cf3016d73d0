import Logging
import NIOCore
import NIOSSL
import NIOTLS

/// Stands right behind TLS: counts the connection, bounds the handshake, and closes on TLS errors.
final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let connections: Connections
    private let handshakeTimeout: TimeAmount
    private let logger: Logger
    private var handshake: Scheduled<Void>?
    private var isCounted = false

    init(connections: Connections, handshakeTimeout: TimeAmount, logger: Logger) {
        self.connections = connections
        self.handshakeTimeout = handshakeTimeout
        self.logger = logger
    }

    func channelActive(context: ChannelHandlerContext) {
        guard connections.add(context.channel) else {
            context.close(promise: nil)
            return
        }
        isCounted = true
        let channel = context.channel
        handshake = context.eventLoop.scheduleTask(in: handshakeTimeout) { channel.close(promise: nil) }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        handshake?.cancel()
        if isCounted { connections.remove(context.channel) }
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? TLSUserEvent, case .handshakeCompleted = event { handshake?.cancel() }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is NIOSSLError || error is BoringSSLError {
            logger.debug(
                "TLS failed", metadata: ["error": "\(error)", "peer": "\(context.remoteAddress?.description ?? "")"])
            context.close(promise: nil)
        } else {
            context.fireErrorCaught(error)
        }
    }
}

/// Last handler of an HTTP/2 connection: an error that reaches it is one of the whole connection.
final class CloseOnError: ChannelInboundHandler {
    typealias InboundIn = Any

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
