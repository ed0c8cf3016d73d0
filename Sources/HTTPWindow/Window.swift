import Compression
import HTTPTypes
import HummingbirdCore
public import Logging
import NIOCore
import NIOPosix
import ObjectModel
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
        /// Paths that are served without credentials, as they stand: a login, for example.
        public var openPaths: Set<String> = []
        /// Whether somebody else's listening on the port is no reason to end: the window is left out then.
        public var isOptional = false
        /// More connections than this wait until others close.
        public var maximumConnections = 16_384

        public init(name: String, address: String = "127.0.0.1", port: Int, credentials: WindowCredentials? = nil) {
            self.name = name
            self.address = address
            self.port = port
            self.credentials = credentials
        }

        /// Refuses what would let other machines in without a secret.
        /// - Throws: `WindowError` with a sentence for whoever starts the server.
        public func validate() throws {
            let isLoopback = address == "localhost" || IPAddress(address)?.isLoopback == true
            guard isLoopback || credentials != nil else {
                throw WindowError(
                    403,
                    """
                    --windows-address is \(address), which other machines can reach: give --credentials FILE with the \
                    principals that may come in, or leave the windows on 127.0.0.1
                    """)
            }
        }
    }

    public let configuration: Configuration
    private let handler: Handler
    private let logger: Logger
    private let bound = Mutex<Int?>(nil)
    private let leftOut = Atomic<Bool>(false)

    public init(_ configuration: Configuration, logger: Logger, handler: @escaping Handler) {
        self.configuration = configuration
        self.handler = handler
        self.logger = logger
    }

    /// The port that it listens on, once it does.
    public var port: Int? { bound.withLock { $0 } }

    /// Whether it does not listen because its port was taken and it is optional.
    public var isLeftOut: Bool { leftOut.load(ordering: .relaxed) }

    /// - Throws: `WindowError` for an open address without credentials, `WindowPortInUse` unless it is optional.
    public func run() async throws {
        try configuration.validate()
        let server = Server(
            childChannelSetup: HTTP1Channel(
                responder: { [self] request, writer, channel in try await respond(request, writer, channel) },
                configuration: .init(additionalChannelHandlers: [CloseWatcher()], idleTimeout: .seconds(300))),
            configuration: ServerConfiguration(
                address: .hostname(configuration.address, port: configuration.port), serverName: nil, backlog: 1024,
                availableConnectionsDelegate: MaximumAvailableConnections(
                    configuration.maximumConnections, logger: quiet)),
            onServerRunning: { [self] channel in
                bound.withLock { $0 = channel.localAddress?.port }
            },
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: quiet)
        do {
            try await server.run()
        } catch let error as IOError where error.errnoCode == 98 {
            let problem = WindowPortInUse(
                name: configuration.name, address: configuration.address, port: configuration.port)
            guard configuration.isOptional else { throw problem }
            leftOut.store(true, ordering: .relaxed)
            logger.warning("\(configuration.name) is not served: port \(configuration.port) is in use")
            try? await gracefulShutdown()
        }
    }

    /// The library reports every broken connection as an error; clients may come and go as they like.
    private var quiet: Logger {
        var logger = logger
        logger.logLevel = .critical
        return logger
    }

    private func respond(_ request: Request, _ writer: consuming ResponseWriter, _ channel: any Channel) async throws {
        let reader = BodyReader(
            request.body,
            declaredLength: request.headers[.contentLength].flatMap { Int($0) }
                ?? (request.headers[.transferEncoding] == nil ? 0 : nil))
        let target = Self.path(of: request.head.path ?? "/")
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let raw = parts.first ?? "/"
        var principal: String?
        if let credentials = configuration.credentials {
            principal = credentials.principal(authorization: request.headers[.authorization])
            if principal == nil && !configuration.openPaths.contains(String(raw)) {
                let refusal = WindowResponse(
                    401, headers: [("WWW-Authenticate", "Basic realm=\"\(credentials.realm)\"")],
                    text: "this window needs a principal and its secret")
                return try await send(refusal, to: request, reader, writer, channel)
            }
        }
        // Clients that ask whether to go on wait a second or more for this.
        if request.headers[.expect]?.lowercased() == "100-continue", (reader.declaredLength ?? 0) <= Self.taken {
            try await writer.writeInformationalHead(HTTPResponse(status: .continue))
        }
        let remote = channel.remoteAddress.map { "\($0.ipAddress ?? "unknown"):\($0.port ?? 0)" } ?? "unknown"
        let response = await answer(
            WindowRequest(
                method: request.method.rawValue, path: PercentCoding.decode(raw), rawPath: String(raw),
                query: parts.count > 1 ? PercentCoding.parameters(parts[1]) : [], remoteAddress: remote,
                principal: principal, authority: request.head.authority ?? "", fields: request.headers, reader: reader))
        try await send(response, to: request, reader, writer, channel)
    }

    /// Bytes of a body that are read when no handler wants them.
    private static let taken = 64 << 20

    /// Path and query of a request's target, which proxies send with scheme and host.
    private static func path(of target: String) -> Substring {
        guard !target.hasPrefix("/"), let scheme = target.firstRange(of: "://") else { return target[...] }
        let rest = target[scheme.upperBound...]
        return rest.firstIndex(of: "/").map { rest[$0...] } ?? "/"
    }

    /// What the window answers to a request, without its connection: for windows that pass requests on.
    public func answer(_ request: WindowRequest) async -> WindowResponse {
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
}

/// Another program listens on a window's port.
public struct WindowPortInUse: Error, CustomStringConvertible {
    /// Of the window.
    public var name: String
    public var address: String
    public var port: Int
    public var description: String {
        "the port \(port) of the \(name) window on \(address) is in use by another program"
    }
}
