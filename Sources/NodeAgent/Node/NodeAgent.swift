public import ClusterClient
public import ContainerRuntime
public import JSON
public import Logging
import ObjectModel
public import ServiceLifecycle
import Synchronization

/// The node's side of the cluster: registers the machine as a Node, runs the pods bound to it through a `Runtime`, and
/// answers the API server's questions about them (`NodeGateway`).
///
/// Restarting it harms nothing: what runs is found again by its labels and taken over. The life of a pod is told in
/// `PodWorker`, decisions are made in `PodActions` and `PodStatusBuilder`, both pure.
public final class NodeAgent: Service {
    /// What the agent must know about its node and cluster.
    public struct Configuration: Sendable {
        public var nodeName: String
        /// The node's address, as other nodes reach it.
        public var nodeIP: String
        /// The pod network of this node, for example `10.42.0.0/24`.
        public var podCIDR: String
        /// Holds `pods/UID` and `logs/NS_NAME_UID`; must be absolute.
        public var dataDirectory: String
        /// Short and unique per cluster on a machine: prefix of cgroups, label of containers.
        public var clusterID: String
        /// Address of the cluster's DNS service; empty when there is none.
        public var clusterDNS: String
        public var clusterDomain: String
        public var maxPods: Int
        /// What the node says it is (`nodeInfo.kubeletVersion`).
        public var version: String
        /// More labels for the Node.
        public var labels: [String: String]
        /// What is kept free before pods are evicted.
        public var evictionThresholds = EvictionThresholds.standard
        /// Reads the manifests of static pods in `manifests` below the data directory.
        public var parseManifest: @Sendable (String) throws -> JSON = { try JSON.parse($0) }

        public init(
            nodeName: String, nodeIP: String, podCIDR: String, dataDirectory: String, clusterID: String,
            clusterDNS: String, clusterDomain: String = "cluster.local", maxPods: Int = 110,
            version: String = "v1.36.2", labels: [String: String] = [:]
        ) {
            self.nodeName = nodeName
            self.nodeIP = nodeIP
            self.podCIDR = podCIDR
            self.dataDirectory = dataDirectory
            self.clusterID = clusterID
            self.clusterDNS = clusterDNS
            self.clusterDomain = clusterDomain
            self.maxPods = maxPods
            self.version = version
            self.labels = labels
        }
    }

    let configuration: Configuration
    let context: AgentContext
    let pods: Informer<Pod>
    let podSet: PodSet
    let usage: UsageSampler
    private let nodeStatus: NodeStatus
    private let provisioner: LocalProvisioner
    let evictions: EvictionManager
    private let dirty: DirtyKeys
    private let logger: Logger

    /// - Parameter client: its component should be `kubelet`, the source that users know from events.
    public init(configuration: Configuration, client: ClusterClient, runtime: any Runtime, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        let facts = HostFacts.read()
        let cache = ObjectCache(client: client, logger: logger)
        context = AgentContext(
            configuration: configuration, client: client, runtime: runtime, images: ImageManager(runtime: runtime),
            cache: cache,
            volumes: VolumeManager(
                podsDirectory: configuration.dataDirectory + "/pods", client: client, cache: cache, logger: logger),
            cgroups: CgroupManager(prefix: "/apus-\(configuration.clusterID)", logger: logger),
            prober: Prober(runtime: runtime, version: configuration.version),
            fetcher: Fetcher(
                cacheDirectory: ProcessLayout(dataDirectory: configuration.dataDirectory).root + "/.cache",
                logger: logger),
            recorder: EventRecorder(client: client, host: configuration.nodeName, logger: logger),
            services: Informer(.services, client: client, logger: logger) { ServiceView($0) },
            logs: LogFiles(root: configuration.dataDirectory + "/logs"), facts: facts,
            resolver: ResolverConfiguration(Files.text("/etc/resolv.conf") ?? ""), logger: logger,
            sandboxGate: StartGate(width: max(facts.cpus * 2, 4)))
        var options = ListOptions()
        options.fieldSelector = FieldSelector([
            .init(field: "spec.nodeName", value: configuration.nodeName, isEqual: true)
        ])
        pods = Informer(.pods, client: client, options: options, logger: logger) { Pod($0) }
        let dirty = DirtyKeys()
        self.dirty = dirty
        pods.subscribe { event in
            switch event {
            case .added(let pod), .modified(_, let pod): dirty.add(pod.key)
            case .deleted(let pod): dirty.add(pod.key)
            }
        }
        podSet = PodSet(context: context)
        usage = UsageSampler(context: context)
        nodeStatus = NodeStatus(context: context)
        provisioner = LocalProvisioner(context: context)
        evictions = EvictionManager(context: context, pods: podSet, usage: usage)
    }

    public func run() async throws {
        try await cancelWhenGracefulShutdown {
            try await self.work()
        }
        await context.prober.shutDown()
        await context.fetcher.shutDown()
    }

    private func work() async throws {
        let (pods, logs) = (context.volumes.podsDirectory, context.logs.root)
        try await blocking {
            try Files.makeDirectories(pods)
            try Files.makeDirectories(logs, mode: 0o755)
        }
        await context.cgroups.prepare(
            allocatableMilliCPU: context.allocatableMilliCPU, allocatableMemory: context.allocatableMemory)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await self.context.recorder.run() }
            group.addTask { try? await self.context.services.run() }
            group.addTask { await self.nodeStatus.run() }
            group.addTask { await self.runPods() }
            group.addTask { await self.watchRuntime() }
            group.addTask { await self.relist() }
            group.addTask { await self.housekeeping() }
            group.addTask { await self.usage.run() }
            group.addTask { await self.provisioner.run() }
            group.addTask { await self.evictions.run() }
            group.addTask { await StaticPods(context: self.context, pods: self.pods).run() }
            await group.waitForAll()
        }
        await podSet.shutDown()
    }

    // MARK: Pods

    private func runPods() async {
        await context.services.waitUntilSynced()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await self.pods.run() }
            group.addTask {
                await self.pods.waitUntilSynced()
                await self.podSet.begin(self.pods.all)
                for await _ in self.dirty.signal {
                    let keys = self.dirty.take()
                    // Those that are gone first: what they had may be another's by now.
                    for key in keys where self.pods[key] == nil { await self.podSet.apply(key, nil) }
                    for key in keys where self.pods[key] != nil { await self.podSet.apply(key, self.pods[key]) }
                }
            }
            await group.waitForAll()
        }
    }

    /// Passes the runtime's hints on to the pods they are about.
    private func watchRuntime() async {
        while !Task.isCancelled {
            do {
                for try await event in context.runtime.events() {
                    if event.podUID.isEmpty {
                        await podSet.lookAgain()
                    } else {
                        await podSet.runtimeChanged(event.podUID)
                    }
                }
            } catch {
                logger.debug("the runtime's events ended", metadata: ["error": "\(error)"])
            }
            await podSet.lookAgain()
            try? await Task.sleep(for: .seconds(1))
        }
    }

    /// The safety net below the events: one list of containers now and then, sandboxes less often.
    private func relist() async {
        var round = 0
        let labels = [ContainerConfigBuilder.clusterLabel: configuration.clusterID]
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(2))
            round += 1
            do {
                let containers = try await context.runtime.containers(labels: labels)
                let sandboxes = round % 3 == 0 ? try await context.runtime.sandboxes(labels: labels) : nil
                await podSet.observe(containers, sandboxes)
            } catch {
                logger.debug("the runtime cannot be listed", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Slow chores: log rotation, dead containers, orphans.
    private func housekeeping() async {
        var round = 0
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(10))
            if Task.isCancelled { return }
            await podSet.prune()
            await podSet.rotateLogs()
            await podSet.removeOrphans()
            round += 1
            if round % 6 == 0 { await podSet.refreshVolumes() }
        }
    }
}

/// Keys of pods that changed, each once, with a signal that coalesces.
final class DirtyKeys: Sendable {
    private let keys = Mutex<Set<ObjectKey>>([])
    let signal: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        (signal, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }
    func add(_ key: ObjectKey) {
        keys.withLock { _ = $0.insert(key) }
        continuation.yield()
    }
    func take() -> Set<ObjectKey> {
        keys.withLock { keys in
            defer { keys = [] }
            return keys
        }
    }
}
