import HTTPTypes
import HummingbirdCore
public import Logging
import NIOCore
import NIOPosix
public import ServiceLifecycle
import Synchronization

/// A plain HTTP/1.1 server for one of the windows (Mesos master and agent, Marathon, Mesos DNS).
///
/// It listens on loopback unless told otherwise; beyond loopback it must be given credentials.
public final class Window: Service {
    /// What answers a request. A thrown `WindowError` becomes a plain-text answer with its status; handlers that promise
    /// other shapes of errors catch them themselves.
    public typealias Handler = @Sendable (WindowRequest) async throws -> WindowResponse

    /// Where and how a window listens.
    public struct Configuration: Sendable {
        /// For logs and errors: `Marathon`.
        public var name: String
        public var address: String
        /// 0 chooses a free one.
        public var port: Int
        /// Nil lets everybody in: for loopback only.
        public var credentials: WindowCredentials?
        public init(name: String, address: String = "127.0.0.1", port: Int, credentials: WindowCredentials? = nil) {
            self.name = name
            self.address = address
            self.port = port
            self.credentials = credentials
        }
    }

    public let configuration: Configuration
    private let handler: Handler
    private let logger: Logger
    private let bound = Mutex<Int?>(nil)

    public init(_ configuration: Configuration, logger: Logger, handler: @escaping Handler) {
        self.configuration = configuration
        self.handler = handler
        self.logger = logger
    }

    /// The port that it listens on, once it does.
    public var port: Int? { bound.withLock { $0 } }

    public func run() async throws {
        let server = Server(
            childChannelSetup: HTTP1Channel(
                responder: { [self] request, writer, channel in try await respond(request, writer, channel) },
                configuration: .init(idleTimeout: .seconds(300))),
            configuration: ServerConfiguration(
                address: .hostname(configuration.address, port: configuration.port), serverName: nil, backlog: 1024),
            onServerRunning: { [self] channel in
                bound.withLock { $0 = channel.localAddress?.port }
            },
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: quiet)
        try await server.run()
    }

    /// The library reports every broken connection as an error; clients may come and go as they like.
    private var quiet: Logger {
        var logger = logger
        logger.logLevel = .critical
        return logger
    }

    private func respond(_ request: Request, _ writer: consuming ResponseWriter, _ channel: any Channel) async throws {
        let principal = configuration.credentials?.principal(authorization: request.headers[.authorization])
        if let credentials = configuration.credentials, principal == nil {
            let refusal = WindowResponse(
                401, headers: [("WWW-Authenticate", "Basic realm=\"\(credentials.realm)\"")],
                text: "this window needs a principal and its secret")
            return try await send(refusal, to: request, writer)
        }
        let parts = (request.head.path ?? "/").split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let raw = parts.first ?? "/"
        let remote = channel.remoteAddress.map { "\($0.ipAddress ?? "unknown"):\($0.port ?? 0)" } ?? "unknown"
        func windowRequest(_ body: RequestBody) -> WindowRequest {
            WindowRequest(
                method: request.method.rawValue, path: PercentCoding.decode(raw), rawPath: String(raw),
                query: parts.count > 1 ? PercentCoding.parameters(parts[1]) : [], remoteAddress: remote,
                principal: principal, fields: request.headers, stream: body)
        }
        let response = await answer(windowRequest(request.body))
        try await send(response, to: request, writer)
    }

    private func answer(_ request: WindowRequest) async -> WindowResponse {
        do {
            return try await handler(request)
        } catch let error as WindowError {
            return WindowResponse(error.status, text: error.message)
        } catch is CancellationError {
            return WindowResponse(503, text: "the server is shutting down")
        } catch {
            logger.error("\(configuration.name): \(request.method) \(request.path): \(error)")
            return WindowResponse(500, text: "\(error)")
        }
    }

    private func send(_ response: WindowResponse, to request: Request, _ writer: consuming ResponseWriter) async throws
    {
        var fields = HTTPFields()
        for (name, value) in response.headers {
            if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
        }
        let isHead = request.method == .head
        switch response.body {
        case .bytes(let bytes):
            fields[.contentLength] = String(bytes.count)
            let head = HTTPResponse(status: .init(code: response.status), headerFields: fields)
            if isHead || bytes.isEmpty {
                try await writer.writeResponse(head)
            } else {
                try await writer.write(
                    response: head, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
            }
        case .stream(let stream):
            let head = HTTPResponse(status: .init(code: response.status), headerFields: fields)
            if isHead { return try await writer.writeResponse(head) }
            let body = try await writer.writeHead(head)
            let box = WriterBox(body)
            // The client closing its side ends the stream at once, not at the next write.
            try await request.body.consumeWithCancellationOnInboundClose { _ in
                try await stream(WindowWriter { try await box.write($0) })
            }
            try await box.finish()
        }
    }

    /// Serialises what a stream writes; the library's writer is a value that must not be copied about.
    private final class WriterBox: @unchecked Sendable {
        private var writer: any ResponseBodyWriter
        init(_ writer: any ResponseBodyWriter) { self.writer = writer }
        func write(_ buffer: ByteBuffer) async throws { try await writer.write(buffer) }
        func finish() async throws { try await writer.finish(nil) }
    }
}
