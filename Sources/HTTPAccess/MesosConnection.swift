public import NIOCore
import NIOHTTP1
import NIOPosix

/// A plain HTTP/1.1 connection to a window of Mesos, as lean as `HTTPConnection`: calls are sent one after another, and a
/// subscription's answer is cut into its records.
public final class MesosConnection: Sendable {
    private let channel: any Channel
    private let host: String

    private init(channel: any Channel, host: String) {
        self.channel = channel
        self.host = host
    }

    /// Connects; at most 5 s.
    public static func open(host: String, port: Int) async throws -> MesosConnection {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .connectTimeout(.seconds(5))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(CallHandler())
                }
            }
            .connect(host: host, port: port).get()
        return MesosConnection(channel: channel, host: "\(host):\(port)")
    }

    /// Posts a call; the future is completed on the connection's event loop.
    public func call(_ path: String, _ body: [UInt8], streamID: String) -> EventLoopFuture<HTTPAnswer> {
        let promise = channel.eventLoop.makePromise(of: HTTPAnswer.self)
        let call = CallHandler.Call(
            head: head(path, body, streamID: streamID), body: ByteBuffer(bytes: body), answer: promise)
        channel.writeAndFlush(call).cascadeFailure(to: promise)
        return promise.futureResult
    }

    /// Posts a call whose answer has no end; this connection can do nothing else then.
    /// - Parameter take: gets each record, on the connection's event loop.
    /// - Returns: the answer's status and its `Mesos-Stream-Id`.
    public func subscribe(
        _ path: String, _ body: [UInt8], take: @escaping @Sendable (ByteBuffer) -> Void
    ) async throws -> (status: Int, streamID: String) {
        let promise = channel.eventLoop.makePromise(of: HTTPResponseHead.self)
        let call = CallHandler.Call(
            head: head(path, body, streamID: nil), body: ByteBuffer(bytes: body), opened: promise, take: take)
        channel.writeAndFlush(call).cascadeFailure(to: promise)
        let answer = try await promise.futureResult.get()
        return (Int(answer.status.code), answer.headers.first(name: "Mesos-Stream-Id") ?? "")
    }

    private func head(_ path: String, _ body: [UInt8], streamID: String?) -> HTTPRequestHead {
        var head = HTTPRequestHead(version: .http1_1, method: .POST, uri: path)
        head.headers.add(name: "host", value: host)
        head.headers.add(name: "accept", value: "application/json")
        head.headers.add(name: "content-type", value: "application/json")
        head.headers.add(name: "content-length", value: String(body.count))
        if let streamID { head.headers.add(name: "mesos-stream-id", value: streamID) }
        return head
    }

    public func close() async {
        try? await channel.close()
    }
}

/// Writes calls, gives each its answer in order, and cuts the body of a subscription.
private final class CallHandler: ChannelDuplexHandler {
    struct Call: Sendable {
        var head: HTTPRequestHead
        var body: ByteBuffer
        var answer: EventLoopPromise<HTTPAnswer>?
        var opened: EventLoopPromise<HTTPResponseHead>?
        var take: (@Sendable (ByteBuffer) -> Void)?
    }
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundIn = Call
    typealias OutboundOut = HTTPClientRequestPart

    private var waiting: CircularBuffer<Call> = []
    private var answer = HTTPAnswer(status: 0, body: ByteBuffer())
    private var rest = ByteBuffer()

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let call = unwrapOutboundIn(data)
        waiting.append(call)
        context.write(wrapOutboundOut(.head(call.head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(call.body))), promise: nil)
        context.write(wrapOutboundOut(.end(nil)), promise: promise)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            answer = HTTPAnswer(status: Int(head.status.code), body: ByteBuffer())
            waiting.first?.opened?.succeed(head)
        case .body(var part):
            if let take = waiting.first?.take {
                rest.writeBuffer(&part)
                while let record = Self.record(&rest) { take(record) }
                rest.discardReadBytes()
            } else {
                answer.body.writeBuffer(&part)
            }
        case .end:
            waiting.popFirst()?.answer?.succeed(answer)
        }
    }

    /// One record, `LENGTH\n` and as many bytes; nil when it is not whole yet.
    private static func record(_ buffer: inout ByteBuffer) -> ByteBuffer? {
        let view = buffer.readableBytesView
        guard let end = view.firstIndex(of: 0x0A), let length = Int(String(decoding: view[..<end], as: UTF8.self))
        else {
            return nil
        }
        let head = end - view.startIndex + 1
        guard buffer.readableBytes >= head + length else { return nil }
        buffer.moveReaderIndex(forwardBy: head)
        return buffer.readSlice(length: length)
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(ChannelError.eof)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(error)
        context.close(promise: nil)
    }

    private func fail(_ error: any Error) {
        while let call = waiting.popFirst() {
            call.answer?.fail(error)
            call.opened?.fail(error)
        }
    }
}
