public import ClusterClient
public import HTTPWindow
import JSON
public import Logging
import MesosModel
import ObjectModel
public import ServiceLifecycle
import Synchronization

/// Marathon: keeps apps and pods running, and answers `/v2`.
///
/// Definitions, their versions and deployments are objects in the store, instances are pods; everything here is a copy
/// that a restart makes anew.
public final class Marathon: Service {
    /// How the window is reached, and what it says of itself.
    public struct Configuration: Sendable {
        /// Address and port that it listens on.
        public var address: String
        public var port: Int
        /// The name that other programs find this machine by.
        public var hostname: String
        /// `HOST:PORT` of the Mesos master.
        public var master: String
        /// The version of Marathon whose API this is.
        public var version: String
        /// The port of the same machine whose page shows apps to browsers; nil when there is none.
        public var pagePort: Int?

        public init(
            address: String = "127.0.0.1", port: Int = 8080, hostname: String = "localhost",
            master: String = "127.0.0.1:5050", version: String = "1.11.24", pagePort: Int? = nil
        ) {
            self.address = address
            self.port = port
            self.hostname = hostname
            self.master = master
            self.version = version
            self.pagePort = pagePort
        }
    }

    private let state: MarathonState
    private let executor: Executor
    private let bus = EventBus()
    private let api: MarathonAPI
    private let client: ClusterClient
    private let logger: Logger
    private let clock: VersionClock
    private let framework: FrameworkRecord

    /// - Parameters:
    ///   - access: who may do what in the window.
    ///   - client: writes under the name `marathon`; its `metrics.k8s.io` says what instances use.
    public init(configuration: Configuration, access: WindowAccess = .open, client: ClusterClient, logger: Logger) {
        self.client = client
        self.logger = logger
        let clock = VersionClock()
        self.clock = clock
        let state = MarathonState(client: client, logger: logger)
        self.state = state
        let framework = FrameworkRecord(client: client, hostname: configuration.hostname, port: configuration.port)
        self.framework = framework
        let changes = Changes(state: state, client: client, bus: bus, clock: clock, logger: logger)
        executor = Executor(state: state, client: client, changes: changes, bus: bus, logger: logger) { framework.id }
        let info = AppInfo(state: state, readiness: executor.readiness)
        api = MarathonAPI(
            configuration: configuration, state: state, changes: changes, executor: executor, bus: bus, logger: logger,
            info: info, cache: AppCache(info), access: access
        ) { framework.id }
        // Versions of today must come after those that are stored.
        state.versions.subscribe { event in if case .added(let stored) = event { clock.saw(stored.version) } }
    }

    /// Answers a request to the window.
    public func answer(_ request: WindowRequest) async -> WindowResponse { await api.answer(request) }

    public func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                for service in self.state.services { group.addTask { try? await service.run() } }
                group.addTask {
                    await self.framework.ensure(self.logger)
                    await self.executor.run()
                }
                group.addTask {
                    await Autoscaler(
                        state: self.state, changes: self.executor.changes, client: self.client, logger: self.logger
                    ).run()
                }
                group.addTask {
                    while (try? await Task.sleep(for: .seconds(15))) != nil { self.bus.beat() }
                }
            }
            self.bus.closeAll()
        }
    }
}

/// Marathon's framework in the Mesos window: an object whose name is the framework's id.
final class FrameworkRecord: Sendable {
    private static let label = MesosNames.clusterFrameworkLabel
    private let client: ClusterClient
    private let hostname: String
    private let port: Int
    private let known = Mutex("")

    init(client: ClusterClient, hostname: String, port: Int) {
        self.client = client
        self.hostname = hostname
        self.port = port
    }

    var id: String { known.withLock { $0 } }

    /// Finds the record or makes it; tries until it succeeds.
    func ensure(_ logger: Logger) async {
        var delay = 50
        while !Task.isCancelled {
            do {
                try await find()
                return
            } catch {
                logger.debug("Marathon's framework cannot be recorded yet", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: .milliseconds(delay))
            delay = min(delay * 2, 5000)
        }
    }

    private func find() async throws {
        let options = ListOptions(labelSelector: LabelSelector(matching: [Self.label: "true"]))
        if let first = try await client.list(MesosNames.frameworks, options: options).items.first {
            known.withLock { $0 = first.name }
            return
        }
        let id = "\(NameGenerator.uuid())-0000"
        let now = Double(Timestamp.now.microseconds) / 1_000_000
        try await client.create(
            MesosNames.frameworks,
            [
                "apiVersion": "mesos.apus.dev/v1", "kind": "Framework",
                "metadata": ["name": .string(id), "labels": [Self.label: "true"]],
                "spec": [
                    "info": [
                        "user": "root", "name": "marathon", "id": ["value": .string(id)],
                        "failover_timeout": 3_153_600_000,
                        "checkpoint": true, "roles": ["*"], "hostname": .string(hostname),
                        "webui_url": .string("http://\(hostname):\(port)"),
                        "capabilities": [
                            ["type": "PARTITION_AWARE"], ["type": "REGION_AWARE"], ["type": "MULTI_ROLE"],
                            ["type": "TASK_KILLING_STATE"],
                        ],
                    ]
                ],
                "status": ["registeredTime": .double(now), "reregisteredTime": .double(now), "completed": false],
            ])
        known.withLock { $0 = id }
    }
}
