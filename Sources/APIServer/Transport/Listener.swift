import Logging
import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOPosix
import NIOSSL
import NIOTLS
import Security
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// The listening socket and the pipeline of each connection: TLS, then HTTP/2 or HTTP/1.1 as the client chose.
struct Listener: Sendable {
    let configuration: APIServerConfiguration
    let group: any EventLoopGroup
    let executors: LoopExecutors
    let connections: Connections
    let authenticator: any Authenticator
    let service: any RequestService
    let logger: Logger

    /// - Throws: `APIServerError`.
    func bind() async throws -> any Channel {
        let context = try TLS.context(configuration)
        let verifier: ClientCertificateVerifier
        do {
            verifier = try ClientCertificateVerifier(authoritiesPEM: configuration.clientAuthorityPEM)
        } catch {
            throw APIServerError(.badCertificate, error.message)
        }
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 32 * 1024, high: 128 * 1024))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try configure(channel, context, verifier) }
            }
        do {
            return try await bootstrap.bind(host: configuration.bindAddress, port: configuration.port).get()
        } catch {
            throw describe(error)
        }
    }

    private func describe(_ error: any Error) -> APIServerError {
        let place = "\(configuration.bindAddress) port \(configuration.port)"
        guard let error = error as? IOError else {
            return APIServerError(.cannotBind, "cannot listen on \(place): \(error)")
        }
        switch error.errnoCode {
        case EADDRINUSE:
            return APIServerError(
                .portInUse,
                "\(place) is in use by another program; stop it (`ss -ltnp` shows it) or choose another port")
        case EACCES:
            return APIServerError(.cannotBind, "cannot listen on \(place): that needs root or CAP_NET_BIND_SERVICE")
        case EADDRNOTAVAIL:
            return APIServerError(
                .cannotBind, "cannot listen on \(place): no interface of this machine has that address")
        default:
            return APIServerError(
                .cannotBind, "cannot listen on \(place): \(String(cString: strerror(error.errnoCode)))")
        }
    }

    private func configure(
        _ channel: any Channel, _ context: NIOSSLContext, _ verifier: ClientCertificateVerifier
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        let shown = ShownCertificates()
        // Who shows a certificate of a stranger is told so by HTTP (401), not by a broken handshake.
        let handler = NIOSSLServerHandler(context: context) { chain, promise in
            shown.chain.withLock { $0 = chain }
            promise.succeed(.certificateVerified)
        }
        try pipeline.addHandler(handler)
        try pipeline.addHandler(
            ConnectionHandler(
                connections: connections, handshakeTimeout: TimeAmount(configuration.limits.handshakeTimeout),
                logger: logger))
        try pipeline.addHandler(
            ApplicationProtocolNegotiationHandler { result, channel in
                negotiated(result, channel, shown, verifier)
            })
    }

    private func negotiated(
        _ result: ALPNResult, _ channel: any Channel, _ shown: ShownCertificates, _ verifier: ClientCertificateVerifier
    ) -> EventLoopFuture<Void> {
        let leaf: [UInt8]
        let intermediates: [[UInt8]]
        do {
            guard let certificate = try channel.pipeline.syncOperations.nioSSL_peerCertificate() else {
                return channel.eventLoop.makeCompletedFuture { try serve(result, channel, user: nil) }
            }
            leaf = try certificate.toDERBytes()
            // A resumed session shows the leaf alone; its chain was seen before.
            intermediates = try shown.chain.withLock { $0 }.dropFirst().map { try $0.toDERBytes() }
        } catch {
            return channel.eventLoop.makeFailedFuture(error)
        }
        return channel.eventLoop.makeFutureWithTask {
            await verifier.isTrusted(leaf: leaf, intermediates: intermediates)
        }.flatMapThrowing { isTrusted in
            let user = isTrusted ? authenticator.user(certificate: leaf) : nil
            try serve(result, channel, user: user, isForeign: !isTrusted)
        }
    }

    private func serve(_ result: ALPNResult, _ channel: any Channel, user: UserInfo?, isForeign: Bool = false) throws {
        let connection = Connection(
            remoteAddress: channel.remoteAddress?.description ?? "", executor: executors[channel.eventLoop],
            certificateUser: user, hasForeignCertificate: isForeign)
        if case .negotiated("h2") = result {
            try configureHTTP2(channel, connection)
        } else {
            try configureHTTP1(channel, connection)
        }
    }

    private func configureHTTP1(_ channel: any Channel, _ connection: Connection) throws {
        let pipeline = channel.pipeline.syncOperations
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = configuration.limits.headerBytes
        limits.maxHeaderListSize = configuration.limits.headerBytes
        try pipeline.addHandler(HTTPResponseEncoder())
        try pipeline.addHandler(
            ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: limits)))
        try pipeline.addHandler(HTTPServerPipelineHandler())
        try pipeline.addHandler(requestHandler(connection, isHTTP2: false))
    }

    private func configureHTTP2(_ channel: any Channel, _ connection: Connection) throws {
        let limits = configuration.limits
        let manager = NIOHTTP2ServerConnectionManagementHandler(
            eventLoop: channel.eventLoop,
            configuration: .init(
                maxIdleTime: TimeAmount(limits.idleTimeout), maxAge: nil, maxGraceTime: TimeAmount(limits.drainTimeout),
                keepalive: .init(pingInterval: .seconds(30), ackTimeout: .seconds(20))))
        var settings = NIOHTTP2Handler.ConnectionConfiguration()
        settings.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: limits.concurrentStreams),
            HTTP2Setting(parameter: .maxHeaderListSize, value: limits.headerBytes),
            HTTP2Setting(parameter: .initialWindowSize, value: 256 * 1024),
        ]
        settings.targetWindowSize = 1 << 20
        // Informers end and start watches all the time, and each end is a reset.
        settings.controlFrameRateLimit.maximumCount = 2000
        var streams = NIOHTTP2Handler.StreamConfiguration()
        streams.targetWindowSize = 256 * 1024
        streams.outboundBufferSizeHighWatermark = 128 * 1024
        streams.outboundBufferSizeLowWatermark = 32 * 1024
        streams.streamResetFrameRateLimit.maximumCount = 2000
        streams.streamErrorRateLimit.maximumCount = 2000
        let handler = NIOHTTP2Handler(
            mode: .server, eventLoop: channel.eventLoop, connectionConfiguration: settings,
            streamConfiguration: streams,
            streamDelegate: manager.http2StreamDelegate
        ) { stream in
            stream.eventLoop.makeCompletedFuture {
                let pipeline = stream.pipeline.syncOperations
                try pipeline.addHandler(HTTP2FramePayloadToHTTP1ServerCodec())
                try pipeline.addHandler(requestHandler(connection, isHTTP2: true))
            }
        }
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(handler)
        try pipeline.addHandler(manager)
        try pipeline.addHandler(CloseOnError())
    }

    private func requestHandler(_ connection: Connection, isHTTP2: Bool) -> RequestHandler {
        let limits = configuration.limits
        return RequestHandler(
            connection: connection, connections: connections, service: service,
            limits: RequestHandlerLimits(
                bodyBytes: limits.bodyBytes, headTimeout: TimeAmount(limits.headTimeout),
                bodyTimeout: TimeAmount(limits.bodyTimeout), idleTimeout: TimeAmount(limits.idleTimeout),
                stallTimeout: TimeAmount(limits.stallTimeout)),
            isHTTP2: isHTTP2)
    }
}

/// The certificates that one client showed in its handshake, the leaf first.
private final class ShownCertificates: Sendable {
    let chain = Mutex<[NIOSSLCertificate]>([])
}

/// The server's TLS settings.
enum TLS {
    /// - Throws: `APIServerError` when certificate, key or authority cannot be read.
    static func context(_ configuration: APIServerConfiguration) throws -> NIOSSLContext {
        do {
            let chain = try NIOSSLCertificate.fromPEMBytes(Array(configuration.certificateChainPEM.utf8))
            let key = try NIOSSLPrivateKey(bytes: Array(configuration.privateKeyPEM.utf8), format: .pem)
            var tls = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
            tls.minimumTLSVersion = .tlsv12
            // For the client's goodbye, when we close.
            tls.shutdownTimeout = .seconds(1)
            tls.applicationProtocols = ["h2", "http/1.1"]
            // Asked for, and checked when shown (`Listener.negotiated`); requests without one authenticate by token or
            // stay anonymous.
            tls.certificateVerification = .optionalVerification
            return try NIOSSLContext(configuration: tls)
        } catch {
            throw APIServerError(
                .badCertificate, "the API server's certificate, key or client authority cannot be used: \(error)")
        }
    }
}
