import NIOCore
import NIOHTTP1
import NIOHTTP2

/// What turns a request into an answer. It must answer through the exchange; what it leaves unanswered becomes a 500.
protocol RequestService: Sendable {
    /// The answer to a request that needs no waiting and little time; nil for all others, which go to `handle`.
    func answerAtOnce(_ request: Request) -> Response?
    func handle(_ request: Request, _ exchange: Exchange) async
}

/// Settings of a `RequestHandler`, in NIO's units.
struct RequestHandlerLimits: Sendable {
    var bodyBytes: Int
    var headTimeout: TimeAmount
    var bodyTimeout: TimeAmount
    var idleTimeout: TimeAmount
    var stallTimeout: TimeAmount
}

/// Collects one request at a time, starts a task for it, and writes what the task answers with back-pressure.
///
/// Used for an HTTP/1.1 connection (behind NIO's pipelining handler, which holds back the next request) and for each
/// HTTP/2 stream. Everything here runs on the channel's event loop; tasks reach it through `Exchange`.
final class RequestHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    enum Phase {
        /// For a request head.
        case waiting
        /// Reading the body.
        case receiving
        /// The request is whole and a task answers it.
        case responding
        /// Answered before the request ended; the rest is thrown away.
        case discarding
        /// Not HTTP any more.
        case upgraded
        case closed
    }

    let connection: Connection
    private let connections: Connections
    private let service: any RequestService
    private let limits: RequestHandlerLimits
    private let isHTTP2: Bool

    private(set) var phase = Phase.waiting
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()
    private var reservedBytes = 0
    private var context: ChannelHandlerContext?
    private var task: Task<Void, Never>?
    /// Answering delivers the next pipelined request; only the first is answered within the other's call.
    private var isAnsweringAtOnce = false

    // The answer of the current request.
    private(set) var serial: UInt64 = 0
    private var isHeadSent = false
    private var isKeptAlive = true
    private var isHeadOnly = false
    /// The answer came before the request's end: read on for a moment, or the client would see a reset instead of it.
    private var isEarly = false
    private var version = HTTPVersion.http1_1
    private var waiter: CheckedContinuation<Void, any Error>?
    private var isWaitAbandoned = false
    private var stallTimer: Scheduled<Void>?

    // When the client has to have done something by, and when the answer has to be there. Both change with every
    // request, so one timer serves both: it rests until the earliest of the times that it knew, then looks again.
    private var clientDeadline = NIODeadline.distantFuture
    private var answerDeadline = NIODeadline.distantFuture
    private var isAnswerTimeoutError = false
    private var timer: Scheduled<Void>?
    private var timerDeadline = NIODeadline.distantFuture

    init(
        connection: Connection, connections: Connections, service: any RequestService, limits: RequestHandlerLimits,
        isHTTP2: Bool
    ) {
        self.connection = connection
        self.connections = connections
        self.service = service
        self.limits = limits
        self.isHTTP2 = isHTTP2
    }

    // MARK: Reading

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        expect(within: limits.headTimeout)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), phase) {
        case (.head(let head), .waiting): received(head, context)
        case (.body(let part), .receiving): received(part, context)
        case (.end, .receiving): receivedEnd(context)
        case (.end, .discarding): finishDiscarding(context)
        default: break
        }
    }

    private func received(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        serial &+= 1
        self.head = head
        isHeadSent = false
        isHeadOnly = head.method == .HEAD
        // The decoder takes what comes behind a wish to upgrade for the other protocol: there is no next request.
        isKeptAlive = head.isKeepAlive && (isHTTP2 || !head.headers.contains(name: "upgrade"))
        isEarly = false
        version = head.version.major == 1 ? head.version : .http1_1
        phase = .receiving
        expect(within: limits.bodyTimeout)
        if let length = head.headers.first(name: "content-length").flatMap({ Int($0) }), length > limits.bodyBytes {
            reject(.payloadTooLarge, context)
        } else if !isHTTP2, head.headers.first(name: "expect")?.lowercased() == "100-continue" {
            context.writeAndFlush(
                wrapOutboundOut(.head(HTTPResponseHead(version: head.version, status: .continue))), promise: nil)
        }
    }

    private func received(_ part: ByteBuffer, _ context: ChannelHandlerContext) {
        guard body.readableBytes + part.readableBytes <= limits.bodyBytes else {
            return reject(.payloadTooLarge, context)
        }
        guard connections.reserveBody(part.readableBytes) else { return reject(.tooManyRequests, context) }
        reservedBytes += part.readableBytes
        if body.readableBytes == 0 {
            body = part
        } else {
            body.writeImmutableBuffer(part)
        }
    }

    private func receivedEnd(_ context: ChannelHandlerContext) {
        guard let head else { return }
        phase = .responding
        expect(within: nil)
        let request = Request(head: head, body: body, connection: connection)
        self.head = nil
        body = ByteBuffer()
        if !isAnsweringAtOnce, let response = service.answerAtOnce(request) {
            isAnsweringAtOnce = true
            respond(serial, response)
            isAnsweringAtOnce = false
            return
        }
        let exchange = Exchange(
            handler: NIOLoopBound(self, eventLoop: context.eventLoop), eventLoop: context.eventLoop,
            executor: connection.executor, serial: serial, isHTTP2: isHTTP2)
        let service = self.service
        let executor = request.isHeavy ? nil : connection.executor
        task = Task(executorPreference: executor) {
            await service.handle(request, exchange)
            exchange.complete()
        }
    }

    /// Answers a request that is not whole, and throws the rest of it away.
    private func reject(_ status: HTTPResponseStatus, _ context: ChannelHandlerContext) {
        isKeptAlive = false
        isEarly = true
        phase = .responding
        respond(serial, Response(error: TransportError.status(for: status)))
        expect(within: .seconds(2))
    }

    private func finishDiscarding(_ context: ChannelHandlerContext) {
        phase = .closed
        context.close(promise: nil)
    }

    // MARK: Writing. Calls for another request than the current one come too late and do nothing.

    private func isCurrent(_ serial: UInt64) -> Bool { serial == self.serial && phase == .responding }

    func respond(_ serial: UInt64, _ response: Response) {
        guard isCurrent(serial), !isHeadSent else { return }
        start(serial, response, length: response.body.readableBytes)
        if !isHeadOnly, response.body.readableBytes > 0 {
            context?.write(wrapOutboundOut(.body(.byteBuffer(response.body))), promise: nil)
        }
        end(serial)
    }

    /// Sends the head; without a length the body is chunked.
    func start(_ serial: UInt64, _ response: Response, length: Int?) {
        guard isCurrent(serial), !isHeadSent, let context else { return }
        isHeadSent = true
        var head = HTTPResponseHead(version: version, status: response.status, headers: response.headers)
        if let length, response.status.mayHaveBody {
            head.headers.add(name: "Content-Length", value: String(length))
        }
        if connections.isDraining { isKeptAlive = false }
        if !isKeptAlive, !isHTTP2 { head.headers.add(name: "Connection", value: "close") }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if length == nil { context.flush() }
    }

    enum WriteOutcome {
        case accepted
        /// Accepted, but wait for room before the next one.
        case full
        case closed
    }

    func write(_ serial: UInt64, _ buffer: ByteBuffer) -> WriteOutcome {
        guard isCurrent(serial), isHeadSent, let context, context.channel.isActive else { return .closed }
        if isHeadOnly { return .accepted }
        context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(buffer))), promise: nil)
        return context.channel.isWritable ? .accepted : .full
    }

    /// Where a body goes past the encoder of HTTP/1.1, as chunks that have their frame already; nil when the body of this
    /// answer is not sent in chunks.
    func chunks(_ serial: UInt64) -> ChannelHandlerContext? {
        guard isCurrent(serial), isHeadSent, !isHeadOnly, !isHTTP2, version == .http1_1 else { return nil }
        return try? context?.pipeline.syncOperations.context(handlerType: HTTPResponseEncoder.self)
    }

    /// Writes a whole chunk with its frame.
    func write(_ serial: UInt64, chunk: ByteBuffer, below encoder: ChannelHandlerContext) -> WriteOutcome {
        guard isCurrent(serial), let context, context.channel.isActive else { return .closed }
        encoder.writeAndFlush(NIOAny(chunk), promise: nil)
        return context.channel.isWritable ? .accepted : .full
    }

    func waitForRoom(_ serial: UInt64, isImpatient: Bool, _ continuation: CheckedContinuation<Void, any Error>) {
        guard isCurrent(serial), let context, !isWaitAbandoned else {
            return continuation.resume(throwing: ConnectionClosed())
        }
        if context.channel.isWritable { return continuation.resume() }
        waiter = continuation
        guard isImpatient else { return }
        let channel = context.channel
        stallTimer = context.eventLoop.scheduleTask(in: limits.stallTimeout) { channel.close(promise: nil) }
    }

    func abandonWait(_ serial: UInt64) {
        guard isCurrent(serial) else { return }
        isWaitAbandoned = true
        resumeWaiter(throwing: CancellationError())
    }

    func end(_ serial: UInt64) {
        guard isCurrent(serial), isHeadSent, let context else { return }
        cleanUpAnswer()
        let isLast = !isKeptAlive && !isHTTP2
        phase = isLast || isHTTP2 ? .discarding : .waiting
        // For the next request, or until the client has read this answer.
        expect(within: limits.idleTimeout)
        // This may deliver the next pipelined request before it returns.
        let written = context.writeAndFlush(wrapOutboundOut(.end(nil)))
        if isLast, !isEarly {
            let channel = context.channel
            written.whenComplete { _ in channel.close(promise: nil) }
        }
    }

    /// The task returned: whatever it left open is closed.
    func complete(_ serial: UInt64) {
        guard isCurrent(serial) else { return }
        if isHeadSent {
            // A body that ended too early must not look whole.
            abort()
        } else {
            respond(serial, Response(error: .internalError("the request was not answered")))
        }
    }

    func abort() {
        cleanUpAnswer()
        phase = .closed
        context?.close(promise: nil)
    }

    /// Ends a request that takes too long.
    func setTimeout(_ serial: UInt64, _ amount: TimeAmount, isError: Bool) {
        guard isCurrent(serial) else { return }
        answerDeadline = .now() + amount
        isAnswerTimeoutError = isError
        armTimer()
    }

    private func timedOut() {
        task?.cancel()
        guard isAnswerTimeoutError else { return }
        if isHeadSent {
            abort()
        } else {
            respond(serial, Response(error: .timeout("request did not complete within the allotted timeout")))
        }
    }

    func cancel(_ serial: UInt64) {
        guard isCurrent(serial) || phase == .upgraded else { return }
        task?.cancel()
    }

    private func cleanUpAnswer() {
        answerDeadline = .distantFuture
        isWaitAbandoned = false
        resumeWaiter(throwing: ConnectionClosed())
        connections.releaseBody(reservedBytes)
        reservedBytes = 0
        task = nil
    }

    private func resumeWaiter(throwing error: (any Error)?) {
        stallTimer?.cancel()
        stallTimer = nil
        guard let waiter else { return }
        self.waiter = nil
        if let error { waiter.resume(throwing: error) } else { waiter.resume() }
    }

    // MARK: Upgrade

    /// Answers 101, takes HTTP out of the pipeline, and lets the new protocol in before any of its bytes is read.
    func upgrade<Upgraded>(
        _ serial: UInt64, _ headers: HTTPHeaders, install: (any Channel) throws -> Upgraded
    ) throws -> Upgraded {
        guard isCurrent(serial), !isHeadSent, !isHTTP2, let context, context.channel.isActive else {
            throw ConnectionClosed()
        }
        let channel = context.channel
        let pipeline = channel.pipeline.syncOperations
        let head = HTTPResponseHead(version: .http1_1, status: .switchingProtocols, headers: headers)
        context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
        answerDeadline = .distantFuture
        connections.releaseBody(reservedBytes)
        reservedBytes = 0
        phase = .upgraded
        let encoder = try pipeline.handler(type: HTTPResponseEncoder.self)
        let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
        let pipelining = try pipeline.handler(type: HTTPServerPipelineHandler.self)
        _ = pipeline.removeHandler(encoder)
        _ = pipeline.removeHandler(pipelining)
        _ = pipeline.removeHandler(self)
        let upgraded = try install(channel)
        // Removing the decoder hands over the bytes that came behind the request. Readers act when a read is complete,
        // and TLS in front would swallow that event, so it starts behind it.
        let front = NIOLoopBound(
            try pipeline.context(handlerType: ConnectionHandler.self), eventLoop: channel.eventLoop)
        pipeline.removeHandler(decoder).whenComplete { _ in front.value.fireChannelReadComplete() }
        return upgraded
    }

    // MARK: Events

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { resumeWaiter(throwing: nil) }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        let task = self.task
        phase = .closed
        cleanUpAnswer()
        timer?.cancel()
        task?.cancel()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? HTTPParserError, phase == .waiting || phase == .receiving, !isHTTP2 {
            if phase == .waiting {
                serial &+= 1
                isHeadSent = false
            }
            isKeptAlive = false
            phase = .responding
            let isOverflow = error == .headerOverflow
            respond(
                serial,
                Response(
                    status: isOverflow ? .requestHeaderFieldsTooLarge : .badRequest,
                    text: isOverflow ? "431 Request Header Fields Too Large\n" : "400 Bad Request\n"))
            return
        }
        phase = .closed
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // A client that closed its sending side still gets the answer of a whole request, and nothing else.
        if let event = event as? ChannelEvent, event == .inputClosed, phase == .waiting || phase == .receiving {
            context.close(promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// Closes the connection unless the client did its part in time.
    private func expect(within amount: TimeAmount?) {
        clientDeadline = amount.map { .now() + $0 } ?? .distantFuture
        armTimer()
    }

    /// Makes the timer end early enough for both deadlines. One that ends too early does no harm.
    private func armTimer() {
        let deadline = min(clientDeadline, answerDeadline)
        guard deadline < timerDeadline, let context else { return }
        timer?.cancel()
        timerDeadline = deadline
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(deadline: deadline) { bound.value.checkDeadlines() }
    }

    private func checkDeadlines() {
        timer = nil
        timerDeadline = .distantFuture
        guard phase != .closed, phase != .upgraded else { return }
        let now = NIODeadline.now()
        if clientDeadline <= now { return abort() }
        if answerDeadline <= now, phase == .responding {
            answerDeadline = .distantFuture
            timedOut()
        }
        armTimer()
    }
}

/// The client is gone.
struct ConnectionClosed: Error {}
