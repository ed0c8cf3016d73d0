import NIOCore
import NIOWebSocket

/// Answers pings, drops pongs and takes part in the closing handshake, so that what follows sees data frames only.
final class WebSocketControlHandler: ChannelDuplexHandler {
    typealias InboundIn = WebSocketFrame
    typealias InboundOut = WebSocketFrame
    typealias OutboundIn = WebSocketFrame
    typealias OutboundOut = WebSocketFrame

    private var isCloseSent = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        switch frame.opcode {
        case .ping:
            // A client that pings without reading would make us hoard pongs: it gets none until it reads.
            guard context.channel.isWritable, !isCloseSent else { return }
            let pong = WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData)
            context.writeAndFlush(wrapOutboundOut(pong), promise: nil)
        case .pong:
            break
        case .connectionClose:
            if isCloseSent {
                context.close(promise: nil)
            } else {
                isCloseSent = true
                let code = frame.unmaskedData.readableBytesView.prefix(2)
                let echo = WebSocketFrame(fin: true, opcode: .connectionClose, data: ByteBuffer(bytes: code))
                let channel = context.channel
                context.writeAndFlush(wrapOutboundOut(echo)).whenComplete { _ in channel.close(promise: nil) }
            }
        case .binary, .text, .continuation:
            context.fireChannelRead(data)
        default:
            context.fireErrorCaught(StreamingError("WebSocket frame with a reserved opcode"))
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if unwrapOutboundIn(data).opcode == .connectionClose { isCloseSent = true }
        context.write(data, promise: promise)
    }
}

/// Turns WebSocket data messages into a byte stream and back: message boundaries mean nothing.
final class WebSocketByteTunnel: ChannelDuplexHandler {
    typealias InboundIn = WebSocketFrame
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = WebSocketFrame

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.fireChannelRead(wrapInboundOut(unwrapInboundIn(data).unmaskedData))
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let frame = WebSocketFrame(fin: true, opcode: .binary, data: unwrapOutboundIn(data))
        context.write(wrapOutboundOut(frame), promise: promise)
    }
}

/// Closes the channel when an `IdleStateHandler` before it says that nothing moved.
final class CloseWhenIdle: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent {
            context.close(promise: nil)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }
}
