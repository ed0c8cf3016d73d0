import GRPCCore
import GRPCNIOTransportHTTP2Posix
import JSON
public import Logging
import NIOCore
public import ServiceLifecycle
import WireCRI

/// Containers through the Container Runtime Interface v1: gRPC over the Unix socket of containerd (or of another
/// runtime that speaks it).
///
/// Calls may be made before `run()`; they wait for the connection up to their deadline. When the runtime goes away calls
/// fail with `unavailable`, and the connection comes back by itself (within a second) when the runtime does.
public final class CRIRuntime: Runtime, Service {
    typealias Transport = HTTP2ClientTransport.Posix

    /// Path of the runtime's socket.
    public let socketPath: String
    let logger: Logger
    let client: GRPCClient<Transport>
    let runtimeService: Runtime_V1_RuntimeService.Client<Transport>
    let imageService: Runtime_V1_ImageService.Client<Transport>
    let eventService: Containerd_Services_Events_V1_Events.Client<Transport>

    /// - Parameter socketPath: absolute path of the runtime's Unix socket; it need not exist yet.
    /// - Throws: only when the transport cannot be made at all.
    public init(socketPath: String, logger: Logger) throws {
        self.socketPath = socketPath
        self.logger = logger
        let transport = try Transport(
            // Containerd's HTTP/2 server rejects an authority that looks like a path.
            target: .unixDomainSocket(path: socketPath, authority: "localhost"),
            transportSecurity: .plaintext,
            config: .defaults { config in
                config.backoff.initial = .milliseconds(50)
                config.backoff.max = .seconds(1)
                config.backoff.multiplier = 1.6
                config.connection.maxIdleTime = nil
                config.channelDebuggingCallbacks.onCreateTCPConnection = { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(HTTP2PingFilter(), position: .first)
                    }
                }
            })
        client = GRPCClient(transport: transport)
        runtimeService = Runtime_V1_RuntimeService.Client(wrapping: client)
        imageService = Runtime_V1_ImageService.Client(wrapping: client)
        eventService = Containerd_Services_Events_V1_Events.Client(wrapping: client)
    }

    /// Keeps the connection until graceful shutdown or cancellation.
    public func run() async throws {
        try await withTaskCancellationOrGracefulShutdownHandler {
            do {
                try await client.runConnections()
            } catch {
                // The transport reports its own cancellation as an error.
                if !Task.isCancelled { throw error }
            }
        } onCancelOrGracefulShutdown: {
            self.client.beginGracefulShutdown()
        }
    }

    /// Runs one call with a deadline and tells its failure in our terms.
    func call<Result: Sendable>(
        _ operation: String, within timeout: Duration, _ body: (CallOptions) async throws -> Result
    ) async throws(RuntimeError) -> Result {
        var options = CallOptions.defaults
        options.timeout = timeout
        // Listings of a full node are larger than gRPC's default of 4 MiB.
        options.maxResponseMessageBytes = 64 << 20
        do {
            return try await body(options)
        } catch {
            throw RuntimeError(operation: operation, error)
        }
    }
}

extension RuntimeError {
    /// The runtime's failure in our terms.
    init(operation: String, _ error: any Error) {
        if let error = error as? RuntimeError {
            self = error
            return
        }
        guard let rpc = error as? RPCError else {
            let isLost = error is GRPCCore.RuntimeError
            self.init(isLost ? .unavailable : .other, operation: operation, "\(error)")
            return
        }
        let code: Code =
            switch rpc.code {
            case .notFound: .notFound
            case .alreadyExists: .alreadyExists
            case .unavailable: .unavailable
            case .deadlineExceeded: .timedOut
            case .invalidArgument, .outOfRange: .invalidArgument
            // containerd has no code for "the plugin has not finished starting".
            case .unknown where rpc.message.contains("server is not initialized yet"): .unavailable
            default: .other
            }
        self.init(code, operation: operation, rpc.message.isEmpty ? "\(rpc.code)" : rpc.message)
    }
}

/// Deadlines by the kind of call.
enum CallTimeout {
    /// Looks at the runtime's own memory.
    static let lookup = Duration.seconds(30)
    /// Starts or stops processes, mounts, networks.
    static let change = Duration.seconds(240)
    /// Layers from a slow registry.
    static let pull = Duration.seconds(3600)
}
