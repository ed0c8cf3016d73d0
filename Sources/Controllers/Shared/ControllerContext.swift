import ClusterClient
import Logging
import ObjectModel

/// What every controller gets.
struct ControllerContext: Sendable {
    let client: ClusterClient
    let informers: SharedInformers
    let recorder: EventRecorder
    let configuration: ControllerConfiguration
    let logger: Logger

    /// A logger that says which controller speaks.
    func logger(for controller: String) -> Logger {
        var logger = logger
        logger[metadataKey: "controller"] = "\(controller)"
        return logger
    }
}

/// One control loop. `init` subscribes to informers; `run` works until the task is cancelled.
protocol Controller: Sendable {
    func run() async
}

/// The shared reconcile loop: keys come from informer events, each is handled by one worker at a time, failures come
/// back with growing delays, and every key is looked at again now and then in case an event was missed.
struct ReconcileLoop: Sendable {
    let queue = WorkQueue<ObjectKey>()
    private let workers: Int
    private let logger: Logger
    /// Waits for the caches that the handler reads.
    private let prepare: @Sendable () async -> Void
    private let resync: @Sendable () -> [ObjectKey]

    init(
        workers: Int = 4, logger: Logger, prepare: @escaping @Sendable () async -> Void,
        resync: @escaping @Sendable () -> [ObjectKey] = { [] }
    ) {
        self.workers = workers
        self.logger = logger
        self.prepare = prepare
        self.resync = resync
    }

    func run(
        resyncEvery period: Duration = .seconds(600), _ handle: @escaping @Sendable (ObjectKey) async throws -> Void
    )
        async
    {
        await prepare()
        let metrics = QueueMetrics.shared
        let name = logger[metadataKey: "controller"].map { "\($0)" } ?? "unnamed"
        metrics.register(name) { [weak queue = self.queue] in queue?.count ?? 0 }
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await self.queue.run(workers: self.workers) { key in
                    let started = ContinuousClock.now
                    metrics.started(name)
                    do {
                        try await handle(key)
                        metrics.ended(name, after: .now - started, isRetried: false)
                    } catch {
                        metrics.ended(name, after: .now - started, isRetried: true)
                        self.report(error, key)
                        throw error
                    }
                }
            }
            group.addTask {
                while (try? await Task.sleep(for: period)) != nil {
                    for key in self.resync() { self.queue.add(key) }
                }
            }
        }
    }

    /// Conflicts and races with deletion are everyday life of optimistic concurrency; the rest deserves attention.
    private func report(_ error: any Error, _ key: ObjectKey) {
        switch error {
        case is CancellationError: break
        case let error as StatusError
        where error.reason == .conflict || error.reason == .notFound || error.reason == .alreadyExists:
            logger.debug("reconciling again", metadata: ["object": "\(key)", "error": "\(error)"])
        default:
            logger.warning("reconciling failed", metadata: ["object": "\(key)", "error": "\(error)"])
        }
    }
}

extension StatusError {
    /// The namespace is going away; nothing can be created in it, and nothing needs to be.
    var isNamespaceTerminating: Bool {
        code == 403 && causes.contains { $0.reason == "NamespaceTerminating" }
    }
}
