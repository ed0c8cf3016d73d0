public import NIOCore

/// One connection of a load run: sends the next request the moment the last was answered, on its event loop alone, and
/// looks at no more of an answer than where it ends. The client runs on the machine that it measures, so what it costs
/// is missing from the server.
public final class LoadConnection: ChannelInboundHandler {
    public typealias InboundIn = ByteBuffer
    public typealias OutboundOut = ByteBuffer

    /// Where requests come from. Called on event loops, by many connections at once.
    public protocol Source: AnyObject, Sendable {
        /// Writes the next request, head and body; false when there is none left.
        func next(into buffer: inout ByteBuffer) -> Bool
        /// Takes the status of an answer and the bytes of its body; it was whole so many nanoseconds after its request.
        func answered(status: Int, size: Int, after nanoseconds: Int64)
    }

    private var source: (any Source)?
    private var done: EventLoopPromise<Void>?
    private var sent = NIODeadline.now()
    private var request = ByteBuffer()
    /// What came of the head of the answer that is being read.
    private var answer = ByteBuffer()
    /// What is known of that answer; nil before its head is whole.
    private var body: AnswerBody?

    init() {}

    /// Sends requests until the source has no more; the future fails when the connection does.
    func run(_ source: any Source, context: ChannelHandlerContext) -> EventLoopFuture<Void> {
        let promise = context.eventLoop.makePromise(of: Void.self)
        self.source = source
        done = promise
        send(context)
        return promise.futureResult
    }

    private func send(_ context: ChannelHandlerContext) {
        request.clear()
        guard let source, source.next(into: &request) else { return finish(nil) }
        sent = .now()
        context.writeAndFlush(wrapOutboundOut(request), promise: nil)
    }

    private func finish(_ error: (any Error)?) {
        guard let done else { return }
        self.done = nil
        source = nil
        if let error { done.fail(error) } else { done.succeed() }
    }

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var part = unwrapInboundIn(data)
        if body == nil {
            answer.writeBuffer(&part)
            body = AnswerBody(&answer)
            part = answer
        }
        guard body?.take(part.readableBytesView) == true, let body else { return }
        source?.answered(status: body.status, size: body.size, after: (NIODeadline.now() - sent).nanoseconds)
        self.body = nil
        answer.clear()
        send(context)
    }

    public func channelInactive(context: ChannelHandlerContext) {
        finish(ChannelError.eof)
        context.fireChannelInactive()
    }

    public func errorCaught(context: ChannelHandlerContext, error: any Error) {
        finish(error)
        context.close(promise: nil)
    }
}

/// An answer as far as its end must be found: bodies are counted, not kept.
private struct AnswerBody {
    var status: Int
    /// Bytes of the body that have come, with the marks of its chunks.
    var size = 0
    /// Nil for a chunked body.
    private var length: Int?
    /// The last bytes that have come.
    private var tail: [UInt8] = []

    private static let lastChunk: [UInt8] = [0x30, 0x0D, 0x0A, 0x0D, 0x0A]

    private static let lengthName = Array("content-length:".utf8)

    /// Takes a whole head off the buffer; nil when more has to come.
    init?(_ buffer: inout ByteBuffer) {
        let parsed = buffer.withUnsafeReadableBytes { bytes -> (size: Int, status: Int, length: Int?)? in
            guard let end = Self.headEnd(bytes), end >= 16 else { return nil }
            var status = 0
            for index in 9..<12 { status = status * 10 + Int(bytes[index] &- 48) }
            var length: Int?
            var line = 0
            while line < end {
                if let value = Self.contentLength(bytes, from: line, to: end) { length = value }
                while line < end, bytes[line] != 0x0A { line += 1 }
                line += 1
            }
            return (end, status, length)
        }
        guard let parsed else { return nil }
        buffer.moveReaderIndex(forwardBy: parsed.size)
        status = parsed.status
        length = parsed.length
    }

    /// Takes more of the body; true when it is whole. With one request under way a chunked body ends where the bytes do,
    /// and ends in the empty chunk.
    mutating func take(_ part: ByteBufferView) -> Bool {
        size += part.count
        if let length { return size >= length }
        tail = (part.count >= 5 ? [] : tail) + part.suffix(5)
        tail = Array(tail.suffix(5))
        return tail == Self.lastChunk
    }

    /// The index behind the empty line.
    private static func headEnd(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var index = 3
        while index < bytes.count {
            if bytes[index] == 0x0A, bytes[index - 1] == 0x0D, bytes[index - 2] == 0x0A { return index + 1 }
            index += 1
        }
        return nil
    }

    private static func contentLength(_ bytes: UnsafeRawBufferPointer, from line: Int, to end: Int) -> Int? {
        guard line + lengthName.count < end else { return nil }
        for (offset, byte) in lengthName.enumerated() where bytes[line + offset] | 0x20 != byte | 0x20 { return nil }
        var value = 0
        for index in (line + lengthName.count)..<end {
            switch bytes[index] {
            case 0x30...0x39: value = value * 10 + Int(bytes[index] - 48)
            case 0x0D: return value
            default: break
            }
        }
        return value
    }
}

/// A connection that carries load, usable from any task.
public struct LoadChannel: Sendable {
    private let channel: any Channel
    private let handler: NIOLoopBound<LoadConnection>

    /// Connects and shakes hands; at most 5 s.
    public static func open(_ access: ClusterAccess, tls: HTTPConnection.TLSContext) async throws -> LoadChannel {
        let channel = try await HTTPConnection.connect(access, tls: tls) { channel in
            try channel.pipeline.syncOperations.addHandler(LoadConnection())
        }
        let handler = try await channel.eventLoop.submit {
            NIOLoopBound(
                try channel.pipeline.syncOperations.handler(type: LoadConnection.self), eventLoop: channel.eventLoop)
        }.get()
        return LoadChannel(channel: channel, handler: handler)
    }

    /// Sends requests until the source has no more.
    public func run(_ source: any LoadConnection.Source) async throws {
        let (channel, handler) = (self.channel, self.handler)
        try await channel.eventLoop.flatSubmit {
            do {
                let context = try channel.pipeline.syncOperations.context(handlerType: LoadConnection.self)
                return handler.value.run(source, context: context)
            } catch {
                return channel.eventLoop.makeFailedFuture(error)
            }
        }.get()
    }

    public func close() async {
        try? await channel.close()
    }
}
