public import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// One answer of the server.
public struct HTTPAnswer: Sendable {
    public var status: Int
    public var body: ByteBuffer
}

/// One HTTP/1.1 connection with TLS to an API server; requests are sent one after another. As lean as possible, because
/// the load generator runs on the machine that it measures.
public final class HTTPConnection: Sendable {
    private let channel: any Channel
    private let authorization: String?
    private let host: String

    private init(channel: any Channel, authorization: String?, host: String) {
        self.channel = channel
        self.authorization = authorization
        self.host = host
    }

    /// The TLS settings of an access, to be shared by its connections.
    public static func context(_ access: ClusterAccess) throws -> TLSContext {
        var tls = TLSConfiguration.makeClientConfiguration()
        if access.authorityPEM.isEmpty {
            tls.certificateVerification = .none
        } else {
            tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(access.authorityPEM))
        }
        if !access.certificatePEM.isEmpty {
            tls.certificateChain = try NIOSSLCertificate.fromPEMBytes(access.certificatePEM).map { .certificate($0) }
            tls.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: access.keyPEM, format: .pem))
        }
        tls.applicationProtocols = ["http/1.1"]
        return TLSContext(context: try NIOSSLContext(configuration: tls))
    }

    /// Opaque TLS settings.
    public struct TLSContext: Sendable {
        let context: NIOSSLContext
    }

    /// Connects and shakes hands; at most 5 s.
    public static func open(_ access: ClusterAccess, tls: TLSContext) async throws -> HTTPConnection {
        let channel = try await connect(access, tls: tls) { channel in
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHTTPClientHandlers()
            try pipeline.addHandler(AnswerCollector())
        }
        return HTTPConnection(
            channel: channel, authorization: access.token.map { "Bearer \($0)" },
            host: "\(access.host):\(access.port)")
    }

    /// Connects with TLS; `configure` adds what speaks behind it.
    static func connect(
        _ access: ClusterAccess, tls: TLSContext, configure: @escaping @Sendable (any Channel) throws -> Void
    ) async throws -> any Channel {
        let isAddress = (try? SocketAddress(ipAddress: access.host, port: 0)) != nil
        return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .connectTimeout(.seconds(5))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if !access.isPlain {
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: tls.context, serverHostname: isAddress ? nil : access.host))
                    }
                    try configure(channel)
                }
            }
            .connect(host: access.host, port: access.port).get()
    }

    /// Sends a request; the future is completed on the connection's event loop.
    public func send(
        _ method: String, _ path: String, body: ByteBuffer? = nil, contentType: String = "application/json"
    )
        -> EventLoopFuture<HTTPAnswer>
    {
        var head = HTTPRequestHead(version: .http1_1, method: HTTPMethod(rawValue: method), uri: path)
        head.headers.add(name: "host", value: host)
        head.headers.add(name: "accept", value: "application/json")
        head.headers.add(name: "user-agent", value: "apus")
        if let authorization { head.headers.add(name: "authorization", value: authorization) }
        if let body {
            head.headers.add(name: "content-type", value: contentType)
            head.headers.add(name: "content-length", value: String(body.readableBytes))
        }
        let promise = channel.eventLoop.makePromise(of: HTTPAnswer.self)
        channel.writeAndFlush(AnswerCollector.Request(head: head, body: body, promise: promise)).cascadeFailure(
            to: promise)
        return promise.futureResult
    }

    public func close() async {
        try? await channel.close()
    }
}

/// Writes requests and gives each its answer, in order.
private final class AnswerCollector: ChannelDuplexHandler {
    struct Request: Sendable {
        var head: HTTPRequestHead
        var body: ByteBuffer?
        var promise: EventLoopPromise<HTTPAnswer>
    }
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundIn = Request
    typealias OutboundOut = HTTPClientRequestPart

    private var waiting: CircularBuffer<EventLoopPromise<HTTPAnswer>> = []
    private var answer = HTTPAnswer(status: 0, body: ByteBuffer())

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let request = unwrapOutboundIn(data)
        waiting.append(request.promise)
        context.write(wrapOutboundOut(.head(request.head)), promise: nil)
        if let body = request.body { context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
        context.write(wrapOutboundOut(.end(nil)), promise: promise)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            answer = HTTPAnswer(status: Int(head.status.code), body: ByteBuffer())
        case .body(var part):
            if answer.body.readableBytes == 0 { answer.body = part } else { answer.body.writeBuffer(&part) }
        case .end:
            waiting.popFirst()?.succeed(answer)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        while let promise = waiting.popFirst() { promise.fail(ChannelError.eof) }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        while let promise = waiting.popFirst() { promise.fail(error) }
        context.close(promise: nil)
    }
}
