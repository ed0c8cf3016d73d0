import NIOCore

/// Answers a server's HTTP/2 PINGs and hides them from what follows.
///
/// gRPC servers written in Go measure the connection with a PING for nearly every request. NIOHTTP2 takes more than 200
/// in 30 seconds for an attack and closes the connection, with all calls that are under way; gRPC Swift offers no way to
/// change that limit. This handler stands before it, in the plain bytes of the connection.
final class HTTP2PingFilter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let headerLength = 9
    private static let pingType: UInt8 = 6
    private static let acknowledged: UInt8 = 1

    /// Bytes of a frame whose header, or whose PING payload, is not complete.
    private var pending = ByteBuffer()
    /// What is still to come of a frame that passes.
    private var passing = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var input = unwrapInboundIn(data)
        if pending.readableBytes > 0 {
            pending.writeBuffer(&input)
            input = pending
            pending = ByteBuffer()
        }
        var output = context.channel.allocator.buffer(capacity: input.readableBytes)
        var hasAnswered = false
        while input.readableBytes > 0 {
            if passing > 0 {
                let count = min(passing, input.readableBytes)
                guard var slice = input.readSlice(length: count) else { break }
                output.writeBuffer(&slice)
                passing -= count
                continue
            }
            let start = input.readerIndex
            guard input.readableBytes >= Self.headerLength,
                let high = input.getInteger(at: start, as: UInt16.self),
                let low = input.getInteger(at: start + 2, as: UInt8.self),
                let type = input.getInteger(at: start + 3, as: UInt8.self),
                let flags = input.getInteger(at: start + 4, as: UInt8.self)
            else {
                pending = input
                break
            }
            let length = Int(high) << 8 | Int(low)
            guard type == Self.pingType, flags & Self.acknowledged == 0, length == 8 else {
                passing = Self.headerLength + length
                continue
            }
            guard var frame = input.readSlice(length: Self.headerLength + length) else {
                pending = input
                break
            }
            frame.setInteger(Self.acknowledged, at: frame.readerIndex + 4)
            // We write between whole frames: what comes after us writes each of its frames in one go on this loop.
            context.write(wrapOutboundOut(frame), promise: nil)
            hasAnswered = true
        }
        if hasAnswered { context.flush() }
        if output.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(output)) }
    }
}
