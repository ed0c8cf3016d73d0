public import APIMachinery
public import Logging
import NIOCore
import NIOPosix
public import ServiceLifecycle
import Synchronization

/// The Kubernetes API over HTTPS.
///
/// The life of a request: `Listener` speaks TLS and HTTP/2 or HTTP/1.1; `RequestHandler` gathers one request and starts
/// a task on the connection's own event loop, so that the common case changes no thread; `Dispatcher` finds out who asks
/// (`Credentials`), whether they may (`Authorizer`), and routes by `RequestInfo` to the resource verbs, discovery,
/// OpenAPI, health, metrics, or a pod's node; the verbs call `APIBackend`, and the answer goes back through `Exchange`,
/// which holds a writer back while the client does not read. Objects are sent as the bytes they are stored with.
///
/// Bounded everywhere: see `APIServerConfiguration.Limits`.
public final class APIServer: Service {
    private enum Binding {
        case idle
        case waiting([UInt64: CheckedContinuation<Int, any Error>])
        case bound(Int)
        case failed(any Error)
    }
    private struct State {
        var binding = Binding.idle
        var next: UInt64 = 0
    }
    private let configuration: APIServerConfiguration
    private let listener: Listener
    private let connections: Connections
    private let logger: Logger
    private let state = Mutex(State())

    /// Makes the server; nothing listens before `run()`.
    ///
    /// - Parameters:
    ///   - backend: the verbs.
    ///   - nodes: ways to the nodes, for logs, exec, attach, port-forward and usage.
    public init(
        configuration: APIServerConfiguration, backend: any APIBackend, authenticator: any Authenticator,
        authorizer: any Authorizer, nodes: any NodeDirectory, logger: Logger
    ) {
        self.configuration = configuration
        self.logger = logger
        let group = MultiThreadedEventLoopGroup.singleton
        connections = Connections(
            maximum: min(configuration.limits.connections, Connections.descriptorRoom),
            maximumBodyBytes: configuration.limits.allBodiesBytes)
        let dispatcher = Dispatcher(
            configuration: configuration, backend: backend, authenticator: authenticator, authorizer: authorizer,
            nodes: nodes, connections: connections, logger: logger)
        listener = Listener(
            configuration: configuration, group: group, executors: LoopExecutors(group), connections: connections,
            authenticator: authenticator, service: dispatcher, logger: logger)
    }

    /// Serves until graceful shutdown: then stops accepting, ends watches and streams, lets requests finish, and
    /// returns. Cancellation closes everything at once.
    ///
    /// - Throws: `APIServerError` when it cannot listen.
    public func run() async throws {
        let channel: any Channel
        do {
            channel = try await listener.bind()
        } catch {
            settle(.failed(error))
            throw error
        }
        let port = channel.localAddress?.port ?? configuration.port
        logger.info("API server listens", metadata: ["address": "\(configuration.bindAddress)", "port": "\(port)"])
        settle(.bound(port))
        do {
            try await gracefulShutdown()
        } catch {
            // Cancelled: no time to be polite.
            channel.close(promise: nil)
            connections.drain()
            connections.closeAll()
            throw error
        }
        try? await channel.close()
        await drain()
    }

    /// The port it listens on, as soon as it does.
    ///
    /// - Throws: why it does not.
    public var listeningPort: Int {
        get async throws {
            try await withCheckedThrowingContinuation { continuation in
                let known: Result<Int, any Error>? = state.withLock { state in
                    switch state.binding {
                    case .bound(let port): return .success(port)
                    case .failed(let error): return .failure(error)
                    case .idle: state.binding = .waiting([0: continuation])
                    case .waiting(var waiters):
                        state.next += 1
                        waiters[state.next] = continuation
                        state.binding = .waiting(waiters)
                    }
                    return nil
                }
                if let known { continuation.resume(with: known) }
            }
        }
    }

    private func settle(_ binding: Binding) {
        let waiters = state.withLock { state in
            let old = state.binding
            state.binding = binding
            if case .waiting(let waiters) = old { return Array(waiters.values) }
            return []
        }
        for waiter in waiters {
            switch binding {
            case .bound(let port): waiter.resume(returning: port)
            case .failed(let error): waiter.resume(throwing: error)
            case .idle, .waiting: waiter.resume(throwing: CancellationError())
            }
        }
    }

    private func drain() async {
        connections.drain()
        let deadline = ContinuousClock.now + configuration.limits.drainTimeout
        while connections.count > 0, ContinuousClock.now < deadline {
            guard (try? await Task.sleep(for: .milliseconds(20))) != nil else { break }
        }
        if connections.count > 0 {
            logger.info("closing connections that did not finish", metadata: ["count": "\(connections.count)"])
            connections.closeAll()
        }
    }
}
