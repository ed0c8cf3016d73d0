public import ClusterClient
public import ContainerRuntime
public import HTTPWindow
import JSON
public import Logging
public import MesosModel
import ObjectModel
public import ServiceLifecycle
public import Streaming

/// The agent's window of a node (port 5051): the executor API, the operator and containers API, files, and the legacy
/// JSON endpoints.
///
/// It owns no state: tasks of custom executors are objects in the store, everything else is pods. Streams of executors and
/// sessions in containers end with the process; executors come back by themselves.
public final class MesosAgent: Service, AgentGateway {
    /// Paths at which executors prove who they are in their own way, whatever the window's credentials.
    public static let openPaths: Set<String> = [
        "/api/v1/executor", "/slave(1)/api/v1/executor", "/health", "/slave(1)/health", "/version",
    ]

    /// What the window is told when it is made.
    public struct Configuration: Sendable {
        public var nodeName: String
        /// Where executors and clients reach the window.
        public var address: String
        public var port: Int
        /// The node's data directory, under which sandboxes and volumes of pods are.
        public var dataDirectory: String
        /// The version of the API that is spoken: numbers with dots only, as clients take it apart.
        public var version = "1.12.0"
        public var timeouts = ExecutorTimeouts()
        /// Those of the window; nil when it lets everybody in.
        public var credentials: WindowCredentials?
        public init(nodeName: String, address: String, port: Int, dataDirectory: String) {
            self.nodeName = nodeName
            self.address = address
            self.port = port
            self.dataDirectory = dataDirectory
        }
    }

    let configuration: Configuration
    let caches: AgentCaches
    let facts: AgentFacts
    let sessions = ExecutorSessions()
    let reconciler: ExecutorReconciler
    let keeper: ContainerKeeper
    let volumes: VolumeFolders
    let executorCalls: ExecutorCalls
    let operatorCalls: OperatorCalls
    let legacy: LegacyEndpoints
    let files: FilesEndpoints
    let master = MasterLink()

    /// - Parameters:
    ///   - node: logs, exec and attach of this node's containers.
    ///   - engine: what else is asked of them; nil where there is no runtime.
    ///   - usage: what the running containers use.
    public init(
        _ configuration: Configuration, client: ClusterClient, node: any NodeGateway,
        engine: ContainerEngine? = nil, usage: @escaping @Sendable () async throws -> [ContainerStats], logger: Logger
    ) {
        self.configuration = configuration
        let began = Timestamp.now
        let caches = AgentCaches(
            node: configuration.nodeName, dataDirectory: configuration.dataDirectory, client: client, logger: logger)
        let facts = AgentFacts(caches: caches, configuration: configuration, began: began)
        let statuses = StatusStore(client: client) { facts.agentID }
        let paths = SandboxPaths(caches: caches, dataDirectory: configuration.dataDirectory)
        let taskVolumes = TaskVolumes(paths: paths, volumes: configuration.dataDirectory + "/mesos/volumes")
        volumes = VolumeFolders(root: configuration.dataDirectory + "/mesos/volumes", logger: logger)
        volumes.follow(caches.agents)
        let reconciler = ExecutorReconciler(
            caches: caches, sessions: sessions, statuses: statuses, volumes: taskVolumes, client: client,
            timeouts: configuration.timeouts, began: began, logger: logger)
        self.caches = caches
        self.facts = facts
        self.reconciler = reconciler
        executorCalls = ExecutorCalls(
            caches: caches, sessions: sessions, client: client, statuses: statuses, reconciler: reconciler,
            facts: facts, master: master, credentials: configuration.credentials,
            ownAddress: configuration.address, logger: logger)
        let sandboxes = SandboxFiles(paths: paths, node: node)
        let usage = ContainerUsage(
            read: usage, systemTimes: { [engine] uids in await engine?.systemTimes(uids) ?? [:] })
        let containers = ContainerCalls(caches: caches, facts: facts, client: client, node: node, engine: engine)
        operatorCalls = OperatorCalls(
            caches: caches, facts: facts, sessions: sessions, files: sandboxes, usage: usage, containers: containers)
        keeper = ContainerKeeper(calls: containers, logger: logger)
        legacy = LegacyEndpoints(caches: caches, facts: facts, sessions: sessions, paths: paths, usage: usage)
        files = FilesEndpoints(files: sandboxes, caches: caches)
        reconciler.subscribe()
    }

    /// Where messages of executors go; to be set before the window is served.
    public func connect(_ master: any MasterGateway) {
        self.master.connect(master)
    }

    /// Follows the cluster until it is told to stop. The window itself is served by whoever made it, with `handle`.
    public func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            await withTaskGroup(of: Void.self) { group in
                for service in caches.services { group.addTask { try? await service.run() } }
                group.addTask { await self.caches.past.run() }
                group.addTask { await self.volumes.run() }
                group.addTask { [self] in
                    while !caches.areSynced && !Task.isCancelled {
                        try? await Task.sleep(for: .milliseconds(10))
                    }
                    async let tidy: Void = keeper.run()
                    await reconciler.run()
                    await tidy
                }
            }
        }
        sessions.closeAll()
    }

    // MARK: From the master

    public func send(message data: [UInt8], frameworkID: String, agentID: String, executorID: String) async throws {
        let key = ExecutorKey(framework: frameworkID, executor: executorID)
        guard let pod = caches.executorPod(key), let session = sessions.session(pod.key, uid: pod.uid),
            session.send(ExecutorEvents.message(Base64.encode(data)))
        else { throw MesosError(.invalid, "\(key) is not connected") }
    }

    public func shutdown(frameworkID: String, agentID: String, executorID: String) async throws {
        let key = ExecutorKey(framework: frameworkID, executor: executorID)
        // Groups that were launched one after the other on one executor are pods of their own.
        for pod in caches.podsByExecutor[key] where !pod.isEnded && !pod.isTerminating {
            if pod.executorInfo != nil {
                try await reconciler.shutdown(pod)
            } else {
                try await reconciler.kill(pod)
            }
        }
    }
}
