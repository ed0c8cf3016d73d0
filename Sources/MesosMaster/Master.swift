public import ClusterClient
public import HTTPWindow
public import JSON
public import Ledger
public import Logging
public import MesosModel
import ObjectModel
public import ServiceLifecycle
import Synchronization

/// The Mesos master: frameworks, offers and tasks on the nodes that Kubernetes uses.
///
/// One value (`MasterState`) behind a lock decides; informers tell it what the store holds, requests what frameworks want,
/// and what it leaves to be done is written by workers, level-triggered. Nothing is kept elsewhere than in the store: a
/// kill at any line loses nothing that a framework was told.
public final class Master: Service, MasterGateway {
    /// What the master is told when it is made.
    public struct Configuration: Sendable {
        /// Where it is reached.
        public var address: String
        public var port: Int
        public var hostname: String
        /// Dotted numbers.
        public var version: String
        /// Port of the agents' window.
        public var agentPort: Int
        /// Folder of persistent volumes on every node.
        public var volumesDirectory: String
        /// The region that counts as near; nil: all do.
        public var region: String?
        /// Who may do what.
        public var access = WindowAccess.open
        /// Those of the agents' windows, by which executors get tokens; nil when everybody is let in.
        public var credentials: WindowCredentials?

        public init(
            address: String, port: Int, hostname: String, version: String, agentPort: Int, volumesDirectory: String,
            region: String? = nil
        ) {
            self.address = address
            self.port = port
            self.hostname = hostname
            self.version = version
            self.agentPort = agentPort
            self.volumesDirectory = volumesDirectory
            self.region = region
        }

        func volumePath(role: String, id: String) -> String { "\(volumesDirectory)/roles/\(role)/\(id)" }
    }

    public let configuration: Configuration
    /// The paths of the window; add to it before it is served.
    public let routes = Routes()
    let client: ClusterClient
    let ledger: Ledger
    let logger: Logger
    let state: Mutex<MasterState>
    let writes = WorkQueue<Write>()
    let launches: LaunchQueue
    private let inbox = MasterInbox()
    /// Since when a cycle of the allocator is wished for.
    private let allocationWish = Mutex<ContinuousClock.Instant?>(nil)
    private let observers = Mutex<(next: Int, handlers: [Int: @Sendable (MasterEvent) -> Void])>((0, [:]))
    private let agents = Mutex<(any AgentGateway)?>(nil)
    private let (calls, callQueue) = AsyncStream.makeStream(
        of: MasterState.Effect.self, bufferingPolicy: .bufferingOldest(10_000))

    private let frameworkInformer: Informer<FrameworkObject>
    private let nodeInformer: Informer<MasterNode>
    private let agentInformer: Informer<AgentObject>
    private let roleInformer: Informer<RoleObject>
    private let maintenanceInformer: Informer<JSON>
    private let namespaceInformer: Informer<NamespaceRole>
    private let podInformer: Informer<MasterPod>
    private let taskInformer: Informer<TaskObject>

    struct NamespaceRole: Sendable {
        var name: String
        var role: String?
    }

    /// - Parameter ledger: what the scheduler uses, too.
    public init(configuration: Configuration, client: ClusterClient, ledger: Ledger, logger: Logger) {
        self.configuration = configuration
        self.client = client
        self.ledger = ledger
        self.logger = logger
        state = Mutex(MasterState(masterID: FrameworkIDs.uuid().text, configuration: configuration, ledger: ledger))
        launches = LaunchQueue(client: client, logger: logger)
        frameworkInformer = Informer(MesosNames.frameworks, client: client, logger: logger) { FrameworkObject($0) }
        nodeInformer = Informer(.nodes, client: client, logger: logger) { MasterNode($0) }
        agentInformer = Informer(MesosNames.agents, client: client, logger: logger) { AgentObject($0) }
        roleInformer = Informer(MesosNames.roles, client: client, logger: logger) { RoleObject($0) }
        maintenanceInformer = Informer(MesosNames.maintenances, client: client, logger: logger) { $0.tree["spec"] }
        namespaceInformer = Informer(.namespaces, client: client, logger: logger) {
            NamespaceRole(
                name: $0.name, role: $0.tree["metadata"]["annotations"][MesosNames.roleAnnotation].string)
        }
        podInformer = Informer(.pods, client: client, logger: logger) { MasterPod($0) }
        taskInformer = Informer(MesosNames.tasks, client: client, logger: logger) { TaskObject($0) }
        subscribe()
        let api = SchedulerAPI(master: self)
        routes.add("/api/v1/scheduler") { try await api.answer($0) }
        MasterOperators.serve(self)
    }

    private func subscribe() {
        let inbox = inbox
        nodeInformer.subscribe { event in
            let (view, isGone) = event.newest
            inbox.put { $0.nodes[view.name] = .some(isGone ? nil : view) }
        }
        agentInformer.subscribe { event in
            let (view, isGone) = event.newest
            inbox.put { $0.agents[view.node] = .some(isGone ? nil : view) }
        }
        frameworkInformer.subscribe { event in
            guard case .added(let view) = event, view.isOfCluster else { return }
            inbox.put { $0.frameworks[view.id] = view }
        }
        roleInformer.subscribe { event in
            let (view, isGone) = event.newest
            inbox.put { $0.roles[view.role] = .some(isGone ? nil : view) }
        }
        maintenanceInformer.subscribe { event in
            let (view, isGone) = event.newest
            inbox.put { $0.maintenance = isGone ? [:] : view }
        }
        namespaceInformer.subscribe { event in
            let (view, isGone) = event.newest
            inbox.put { $0.namespaces[view.name] = .some(isGone ? nil : view.role) }
        }
        podInformer.subscribe { event in
            let (view, isGone) = event.newest
            inbox.put { $0.pods[view.key] = (view, isGone) }
        }
        taskInformer.subscribe { event in
            let (view, isGone) = event.newest
            inbox.put { $0.tasks[view.key] = .some(isGone ? nil : view) }
        }
        ledger.onChange(of: [.node, .podGone, .shareReleased]) { [weak self] _ in self?.requestAllocation() }
        ledger.onReclaim { [weak self] node, amount in
            self?.transact { $0.reclaim(node: node, amount) }
        }
        ledger.onQuotaStrain { [weak self] in self?.transact { $0.relieveQuotas() } }
        ledger.expectReservations()
    }

    // MARK: For others

    /// Everything it knows, at one moment.
    public func snapshot() -> MasterState { state.withLock { $0 } }

    /// True once everything in the store has been read.
    public var isRecovered: Bool { state.withLock { $0.isRecovered } }

    /// Calls the handler with every change from now on; it must be quick.
    /// - Returns: what ends it.
    public func observe(_ handler: @escaping @Sendable (MasterEvent) -> Void) -> @Sendable () -> Void {
        let id = observers.withLock { observers in
            observers.next += 1
            observers.handlers[observers.next] = handler
            return observers.next
        }
        return { [weak self] in self?.observers.withLock { _ = $0.handlers.removeValue(forKey: id) } }
    }

    /// Names who reaches executors.
    public func connect(_ agent: any AgentGateway) { agents.withLock { $0 = agent } }

    /// Answers a request to the window.
    public func answer(_ request: WindowRequest) async throws -> WindowResponse { try await routes.answer(request) }

    public func executorMessage(frameworkID: String, agentID: String, executorID: String, data: [UInt8]) async {
        transact { state in
            state.count("messages_executor_to_framework")
            state.send(
                Message.event(
                    "MESSAGE", "message",
                    [
                        "agent_id": Message.id(agentID), "executor_id": Message.id(executorID),
                        "data": .string(Base64.encode(data)),
                    ]), to: frameworkID)
        }
    }

    // MARK: Of operators

    /// Ends a framework for good.
    /// - Returns: false when there is none of that id.
    public func teardown(frameworkID: String) async -> Bool {
        let isKnown = transact { state in
            guard state.frameworks[frameworkID] != nil else { return false }
            state.removeFramework(frameworkID, reason: "Framework was torn down")
            return true
        }
        if isKnown { try? await write(.framework(frameworkID)) }
        return isKnown
    }

    /// Applies an operation (RESERVE, UNRESERVE, CREATE, DESTROY, GROW_VOLUME, SHRINK_VOLUME) to an agent, and returns when it
    /// is stored.
    /// - Throws: `MesosError` when it is not valid or conflicts with what is in use.
    public func operate(_ operation: JSON, onAgent id: String, principal: String?) async throws {
        let node = try transact { state in
            try state.operate(operation, onAgent: id, principal: principal)
            return state.agents[id]?.node.name ?? ""
        }
        try await write(.agent(node))
    }

    // MARK: Changes

    /// Changes the state and has done what follows from it.
    @discardableResult
    func transact<Result: Sendable>(_ body: (inout MasterState) throws -> sending Result) rethrows -> Result {
        let (result, effects) = try state.withLock { state -> (Result, [MasterState.Effect]) in
            state.now = .now
            state.seconds = Double(Timestamp.now.microseconds) / 1e6
            let result = try body(&state)
            defer { state.effects = [] }
            return (result, state.effects)
        }
        perform(effects)
        return result
    }

    private func perform(_ effects: [MasterState.Effect]) {
        for effect in effects {
            switch effect {
            case .framework(let id): writes.add(.framework(id))
            case .agent(let node): writes.add(.agent(node))
            case .pod(let key): writes.add(.pod(key))
            case .task(let key): writes.add(.task(key))
            case .allocate: requestAllocation()
            case .message, .shutdown: callQueue.yield(effect)
            case .observe(let event):
                for handler in observers.withLock({ Array($0.handlers.values) }) { handler(event) }
            }
        }
    }

    private func requestAllocation() {
        allocationWish.withLock { $0 = $0 ?? .now }
        // Every time: a poke that came before the loop began to wait may have been taken with what the inbox held.
        inbox.poke()
    }

    // MARK: Running

    public func run() async throws {
        do {
            try await cancelWhenGracefulShutdown { try await self.serve() }
        } catch is CancellationError {
            // The shutdown that was asked for.
        }
        writes.close()
        for framework in snapshot().frameworks.values { framework.stream?.cut() }
    }

    private func serve() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            let informers: [any Service] = [
                self.frameworkInformer, self.nodeInformer, self.agentInformer, self.roleInformer,
                self.maintenanceInformer, self.namespaceInformer, self.podInformer, self.taskInformer,
            ]
            for informer in informers { group.addTask { try await informer.run() } }
            group.addTask { try await self.loop() }
            group.addTask { try await self.tick() }
            group.addTask { await self.launches.run { launch, result in self.launched(launch, result) } }
            group.addTask { await self.passOn() }
            group.addTask {
                await self.writes.run(workers: 32) { write in
                    do {
                        try await self.write(write)
                    } catch {
                        self.logger.warning(
                            "what the Mesos master has to write is tried again",
                            metadata: ["what": "\(write)", "error": "\(error)"])
                        throw error
                    }
                }
            }
        }
    }

    private func loop() async throws {
        await frameworkInformer.waitUntilSynced()
        await nodeInformer.waitUntilSynced()
        await agentInformer.waitUntilSynced()
        await roleInformer.waitUntilSynced()
        await maintenanceInformer.waitUntilSynced()
        await namespaceInformer.waitUntilSynced()
        await podInformer.waitUntilSynced()
        await taskInformer.waitUntilSynced()
        if Task.isCancelled { return }
        recover()
        let clock = ContinuousClock()
        var last = clock.now - .seconds(1)
        var took = Duration.zero
        while !Task.isCancelled {
            await inbox.wait()
            let contents = inbox.take()
            if !contents.isEmpty { transact { Self.apply(contents, to: &$0) } }
            guard let wish = allocationWish.withLock({ $0 }) else { continue }
            // Many small changes are one round, and rounds that take long are rarer.
            let due = last + max(.milliseconds(20), min(took * 10, .milliseconds(200)))
            if clock.now < due {
                TimerQueue.shared.schedule(at: due) { [weak self] in self?.inbox.poke() }
                continue
            }
            last = clock.now
            allocationWish.withLock { $0 = nil }
            transact { state in
                state.allocationLatencies.add(last - wish)
                state.allocate()
            }
            took = clock.now - last
        }
    }

    private func recover() {
        let frameworks = frameworkInformer.all.sorted {
            ($0.status["unregisteredTime"].double ?? 0) < ($1.status["unregisteredTime"].double ?? 0)
        }
        let contents = inbox.take()
        transact { state in
            for framework in frameworks { state.recover(framework) }
            state.fetchTime = (state.seconds - state.startTime) * 1000
            // Agents first without being judged, then what runs on them.
            state.isRecovered = true
            Self.apply(contents, to: &state)
        }
        ledger.markReservationsKnown()
    }

    private static func apply(_ contents: MasterInbox.Contents, to state: inout MasterState) {
        for framework in contents.frameworks.values { state.recover(framework) }
        for (name, role) in contents.namespaces {
            state.set(role: role, ofNamespace: name)
        }
        for (role, object) in contents.roles {
            state.set(role: object, named: role)
        }
        // An agent's id before its node, so that none is given twice.
        for (name, agent) in contents.agents { state.agentObjects[name] = agent }
        for (name, node) in contents.nodes { state.set(node: node, named: name) }
        for name in contents.agents.keys { state.set(agentObject: state.agentObjects[name], named: name) }
        if let maintenance = contents.maintenance { state.set(maintenance: maintenance) }
        for (key, change) in contents.pods {
            if change.isGone { state.set(gone: change.pod) } else { state.set(pod: change.pod, at: key) }
        }
        for (key, task) in contents.tasks { state.set(taskObject: task, at: key) }
    }

    /// What has its time: heartbeats, retries, timeouts.
    private func tick() async throws {
        var beats = 0
        while !Task.isCancelled {
            try await Task.sleep(for: .seconds(1))
            beats += 1
            let isBeat = beats % 15 == 0
            transact { state in
                guard state.isRecovered else { return }
                for framework in state.frameworks.values {
                    guard let stream = framework.stream else { continue }
                    if stream.cutIfStalled(state.now) || stream.isClosed {
                        state.disconnected(framework.id, streamID: stream.id)
                    } else if isBeat {
                        state.send(Message.event("HEARTBEAT"), to: framework.id)
                    }
                }
                state.expireFrameworks()
                state.endOverdueTasks()
                state.resend()
                state.settleLaunches()
                state.askForResources()
                state.effects.append(.allocate)
            }
        }
    }

    /// Gives the agents what is for executors.
    private func passOn() async {
        for await call in calls {
            guard let gateway = agents.withLock({ $0 }) else {
                if case .shutdown(let key) = call { killExecutor(key) }
                continue
            }
            do {
                switch call {
                case .message(let key, let data):
                    try await gateway.send(
                        message: data, frameworkID: key.frameworkID, agentID: key.agentID, executorID: key.executorID)
                case .shutdown(let key):
                    try await gateway.shutdown(
                        frameworkID: key.frameworkID, agentID: key.agentID, executorID: key.executorID)
                default: break
                }
            } catch {
                logger.debug("an executor did not get what it was sent", metadata: ["error": "\(error)"])
                if case .shutdown(let key) = call { killExecutor(key) }
            }
        }
    }

    private func killExecutor(_ key: ExecutorKey) {
        transact { state in
            guard let executor = state.executors[key] else { return }
            state.kill(pod: executor.pod, reason: "The framework shut its executor down", grace: nil)
        }
    }

    private func launched(_ launch: MasterState.Launch, _ result: Result<String, any Error>) {
        transact { state in
            switch result {
            case .success(let uid): state.launched(launch, uid: uid)
            case .failure(let error): state.failed(launch, message: "\(error)")
            }
        }
    }
}
