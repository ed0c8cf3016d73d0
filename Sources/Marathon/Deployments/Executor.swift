import ClusterClient
import JSON
import Logging
import MesosModel
import ObjectModel
import Synchronization

/// Makes what runs what is defined: one pass for an app or pod at a time, from what is seen and nothing else.
///
/// A pass looks at the instances, at the definition, and at the deployment that holds it; starts and kills what the
/// current step asks for, and comes back when something changed. Deployments advance when every action of their step is
/// done.
final class Executor: Sendable {
    struct Memory {
        /// The revision that the copy of instances must have reached before the next pass.
        var written: Revision = 0
        /// Killed instances that may still look alive.
        var killed: Set<String> = []
    }
    struct Done: Hashable {
        var deployment: String
        var step: Int
        var id: PathID
    }

    let state: MarathonState
    let client: ClusterClient
    let changes: Changes
    let backoff: Backoff
    let readiness: ReadinessKeeper
    let residency: Residency
    let health: HealthKeeper
    let bus: EventBus
    let logger: Logger
    let frameworkID: @Sendable () -> String
    let specs = WorkQueue<PathID>()
    let deployments = WorkQueue<String>()
    private let adoptions = WorkQueue<Adoption>()
    let memories = Mutex<[PathID: Memory]>([:])
    let done = Mutex<Set<Done>>([])

    private struct Adoption: Hashable, Sendable {
        var key: ObjectKey
        var kind: RunSpec.Kind
    }

    init(
        state: MarathonState, client: ClusterClient, changes: Changes, bus: EventBus, logger: Logger,
        frameworkID: @escaping @Sendable () -> String
    ) {
        self.state = state
        self.client = client
        self.changes = changes
        self.bus = bus
        self.logger = logger
        self.frameworkID = frameworkID
        backoff = Backoff()
        health = HealthKeeper(client: client)
        residency = Residency(state: state, client: client)
        let specs = specs
        readiness = ReadinessKeeper(logger: logger) { specs.add($0) }
        subscribe()
    }

    // MARK: What makes it look

    private func subscribe() {
        let events = InstanceEvents(bus: bus, state: state)
        let (specs, deployments, adoptions) = (specs, deployments, adoptions)
        @Sendable func heard(_ kind: RunSpec.Kind, _ event: InformerEvent<StoredSpec>) {
            switch event {
            case .added(let stored), .modified(_, let stored):
                if stored.isAdopted {
                    specs.add(stored.spec.id)
                } else {
                    adoptions.add(Adoption(key: stored.object.key, kind: kind))
                }
            case .deleted(let stored): specs.add(stored.spec.id)
            }
        }
        state.apps.subscribe { heard(.app, $0) }
        state.pods.subscribe { heard(.pod, $0) }
        state.deployments.subscribe { event in
            switch event {
            case .added(let deployment), .modified(_, let deployment), .deleted(let deployment):
                deployments.add(deployment.id)
                for id in deployment.affected { specs.add(id) }
            }
        }
        state.instances.subscribe { [weak self] event in
            events.heard(event)
            switch event {
            case .added(let instance):
                specs.add(instance.spec)
                self?.check(instance)
            case .deleted(let instance):
                specs.add(instance.spec)
                self?.health.forget(instance)
            case .modified(let old, let new):
                specs.add(new.spec)
                self?.check(new)
                if new.isTerminal, !old.isTerminal, new.killReason == nil, !new.isTerminating, !new.isLaunchGivenUp {
                    self?.failed(new)
                }
            }
        }
        state.nodes.subscribe { [weak self] event in
            guard let self else { return }
            if case .modified(let old, let new) = event, old.lostSince == new.lostSince,
                old.isSchedulable == new.isSchedulable
            {
                return
            }
            for spec in self.state.specs(under: .root) { specs.add(spec.id) }
        }
    }

    /// Starts the health checks that are Marathon's own, or ends them.
    private func check(_ instance: Instance) {
        guard !instance.gates.isEmpty else { return }
        guard instance.isRunning else { return health.forget(instance) }
        let spec = state.version(instance.spec, instance.version)?.spec ?? state.spec(instance.spec)
        health.watch(instance, spec?.healthChecks ?? [])
    }

    func failed(_ instance: Instance) {
        guard let spec = state.spec(instance.spec), spec.isCurrent(instance.version) else { return }
        backoff.failed(spec)
    }

    /// Works until it is cancelled.
    func run() async {
        await state.waitUntilSynced()
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await self.specs.run(workers: 8) { id in try await self.guarded("\(id)") { try await self.pass(id) } }
            }
            group.addTask {
                await self.deployments.run(workers: 4) { id in try await self.guarded(id) { try await self.advance(id) }
                }
            }
            group.addTask {
                await self.adoptions.run(workers: 1) { item in
                    try await self.guarded("\(item.key)") { try await self.changes.adopt(item.key, kind: item.kind) }
                }
            }
            group.addTask { await self.readiness.run() }
            group.addTask { await self.health.run() }
            group.addTask { await HealthEvents(bus: self.bus, state: self.state).run() }
            group.addTask {
                while (try? await Task.sleep(for: .seconds(60))) != nil {
                    for spec in self.state.specs(under: .root) { self.specs.add(spec.id) }
                    for deployment in self.state.deployments.all { self.deployments.add(deployment.id) }
                }
            }
        }
    }

    private func guarded(_ what: String, _ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch {
            report(error, what)
            throw error
        }
    }

    /// Conflicts are everyday life of optimistic concurrency; the rest deserves attention.
    private func report(_ error: any Error, _ what: String) {
        switch error {
        case is CancellationError: break
        case let error as StatusError where error.reason == .conflict || error.reason == .notFound:
            logger.debug("coming back later", metadata: ["what": "\(what)", "error": "\(error)"])
        case let error as MarathonError where error.status == 409:
            logger.debug("waiting for a deployment", metadata: ["what": "\(what)", "error": "\(error)"])
        default:
            logger.warning("Marathon tries again later", metadata: ["what": "\(what)", "error": "\(error)"])
        }
    }

    // MARK: Apps and pods

    private func pass(_ id: PathID) async throws {
        let memory = memories.withLock { $0[id] ?? Memory() }
        guard state.instances.revision >= memory.written else { return specs.add(id, after: .milliseconds(5)) }
        let all = state.instances(of: id)
        memories.withLock { memories in
            if let known = memories[id] {
                let left = known.killed.intersection(all.map(\.uid))
                memories[id] = left.isEmpty && all.isEmpty ? nil : Memory(written: known.written, killed: left)
            }
        }
        let spec = state.spec(id)
        if let spec { backoff.retain(spec) }
        let view = try await look(id, spec, all, killed: memory.killed)
        let holders = state.deployments(of: id)
        if let deployment = holders.last {
            guard let action = deployment.currentActions.first(where: { $0.id == id }), deployment.isApplied else {
                return
            }
            if Self.isBehind(spec, deployment, id) { return specs.add(id, after: .milliseconds(5)) }
            if try await perform(action, of: deployment, spec, view) { finished(deployment, id) }
            return
        }
        if let stored = state.stored(id) {
            guard stored.isAdopted, let spec else { return }
            _ = try await scale(spec, view, to: target(spec), victims: [])
            try await sweep(id, all, keep: 3)
        } else if view.living.isEmpty {
            try await sweep(id, all, keep: 0)
        } else {
            try await changes.removed(id)
        }
    }

    /// Whether a deployment is seen sooner than the definition that it wrote: what runs would then be taken for what shall.
    private static func isBehind(_ spec: RunSpec?, _ deployment: Deployment, _ id: PathID) -> Bool {
        guard let target = deployment.targets[id]?.version else { return false }
        let before = deployment.originals[id]?.version
        return spec?.version == before && target != before
    }

    /// What a pass sees of the instances.
    struct View {
        /// Those that count: neither ended nor being killed.
        var active: [Instance] = []
        /// Being killed.
        var dying: [Instance] = []
        /// Running, alive by their checks and ready.
        var up: Set<String> = []
        var living: [Instance] { active + dying }

        func isUp(_ instance: Instance) -> Bool { up.contains(instance.uid) }
    }

    private func look(_ id: PathID, _ spec: RunSpec?, _ all: [Instance], killed: Set<String>) async throws -> View {
        var view = View()
        let now = Timestamp.now
        for instance in all where !instance.isTerminal {
            if instance.isTerminating || killed.contains(instance.uid) {
                view.dying.append(instance)
                continue
            }
            if let lost = instance.isBound ? state.nodes[ObjectKey(name: instance.node)]?.lostSince : nil {
                if try await isLost(instance, since: lost, spec, now: now) { continue }
            }
            if let failure = instance.launchFailure {
                if !instance.isLaunchGivenUp { try await giveUp(instance, failure) }
                view.dying.append(instance)
                continue
            }
            if let spec, let end = instance.unhealthyDeadline(spec) {
                if end.at <= now {
                    try await killUnhealthy(instance, reason: end.reason)
                    view.dying.append(instance)
                    continue
                }
                specs.add(id, after: end.at - now + .milliseconds(20))
            }
            view.active.append(instance)
            check(instance)
            if instance.isRunning, instance.isHealthy ?? true, isReady(instance, spec) { view.up.insert(instance.uid) }
        }
        return view
    }

    private func isReady(_ instance: Instance, _ spec: RunSpec?) -> Bool {
        guard let spec, !spec.readinessChecks.isEmpty, !state.deployments(of: spec.id).isEmpty,
            instance.version == spec.version
        else { return true }
        return readiness.isReady(instance, spec)
    }

    /// - Returns: true when the instance is to be replaced.
    private func isLost(_ instance: Instance, since: Timestamp, _ spec: RunSpec?, now: Timestamp) async throws -> Bool {
        guard let strategy = spec?.unreachable else { return false }
        let seconds = (now - since) / .seconds(1)
        if seconds >= strategy.expungeAfter {
            try await client.delete(
                .pods, instance.key, options: DeleteOptions(gracePeriodSeconds: 0, uid: instance.uid))
            return true
        }
        let next = seconds < strategy.inactiveAfter ? strategy.inactiveAfter : strategy.expungeAfter
        specs.add(instance.spec, after: .seconds(bounded: next - seconds + 0.1))
        return seconds >= strategy.inactiveAfter
    }

    func target(_ spec: RunSpec) -> Int {
        guard spec.isOnePerNode else { return spec.instances }
        return state.nodes.all.count { $0.isSchedulable }
    }

    // MARK: Actions

    /// - Returns: true when the action is done.
    private func perform(
        _ action: DeploymentAction, of deployment: Deployment, _ spec: RunSpec?, _ view: View
    ) async throws -> Bool {
        if isDone(deployment, action.id) { return true }
        switch action.verb {
        case .start: return true
        case .stop:
            try await kill(view.active, reason: "the app is removed")
            guard view.living.isEmpty else { return false }
            try await sweep(action.id, state.instances(of: action.id), keep: 0)
            try await residency.wipe(action.id)
            backoff.reset(action.id)
            readiness.forget(action.id)
            bus.publish("app_terminated_event", ["appId": .string(action.id.text)])
            return true
        case .scale:
            guard let spec else { return true }
            let before = deployment.originals[action.id].flatMap {
                state.version(action.id, $0.version)?.spec?.instances
            }
            return try await scale(
                spec, view, to: target(spec), victims: deployment.victims[action.id] ?? [],
                isDown: before.map { $0 > target(spec) } ?? false)
        case .restart:
            guard let spec else { return true }
            return try await restart(spec, view, deployment)
        }
    }

    /// Starts what is missing and kills what is too much.
    /// - Returns: true when as many run as shall.
    private func scale(
        _ spec: RunSpec, _ view: View, to target: Int, victims: [String], isDown: Bool = false
    ) async throws -> Bool {
        let missing = target - view.active.count
        if missing > 0 { try await launch(spec, missing) }
        if missing < 0 {
            let chosen = KillSelection.choose(-missing, of: view.active, spec: spec, victims: victims, isUp: view.isUp)
            try await kill(chosen, reason: "the app is scaled down")
        }
        // Those that stay when others go were there before: how they are holds nothing up.
        let isUp = isDown ? view.active.allSatisfy(\.isRunning) : view.active.allSatisfy(view.isUp)
        return missing == 0 && isUp && view.dying.isEmpty
    }

    /// Replaces old instances by new ones within the limits fixed when the step began.
    private func restart(_ spec: RunSpec, _ view: View, _ deployment: Deployment) async throws -> Bool {
        let target = target(spec)
        let isNew = { (instance: Instance) in spec.isCurrent(instance.version) }
        let old = view.active.filter { !isNew($0) }
        let new = view.active.filter(isNew)
        let dyingOld = view.dying.filter { !isNew($0) }
        guard let limits = deployment.restarts[spec.id] else {
            let arithmetic = RestartArithmetic(
                target: target, current: old.count, healthy: old.count(where: view.isUp),
                minimumHealthCapacity: spec.minimumHealthCapacity, maximumOverCapacity: spec.maximumOverCapacity,
                isResident: spec.isResident)
            let restart = Deployment.Restart(
                killNow: arithmetic.killNow, maximum: arithmetic.maximum, initialOld: old.count + dyingOld.count)
            try await client.modify(MesosNames.marathonDeployments, deployment.object.key) { tree in
                guard tree["status"]["restarts"][spec.id.text].isNull else { return false }
                tree["status"]["restarts"][spec.id.text] = restart.json
                return true
            }
            return false
        }
        let upNew = new.count(where: view.isUp)
        let mayBeKilled = limits.killNow + upNew - (limits.initialOld - old.count)
        let kills = old.isEmpty ? 0 : (upNew >= target ? old.count : min(max(mayBeKilled, 0), old.count))
        if kills > 0 {
            let chosen = KillSelection.choose(kills, of: old, spec: spec, victims: [], isUp: view.isUp)
            try await kill(chosen, reason: "the app is restarted")
        }
        if new.count > target {
            let chosen = KillSelection.choose(new.count - target, of: new, spec: spec, victims: [], isUp: view.isUp)
            try await kill(chosen, reason: "the app is scaled down")
        }
        // Those that are being killed hold their place until they are gone.
        let room = max(limits.maximum, 1) - old.count - dyingOld.count - new.count
        let wanted = min(
            target - new.count, room, canary(spec, deployment, upNew: upNew).subtractingSaturated(new.count))
        if wanted > 0 { try await launch(spec, wanted) }
        return old.isEmpty && dyingOld.isEmpty && new.count == target && upNew == target
    }

    /// How many new instances an update may have by now: the steps of a canary, each for a while.
    private func canary(_ spec: RunSpec, _ deployment: Deployment, upNew: Int) -> Int {
        let steps = spec.json["canary"]["steps"].elements.compactMap(\.int)
        // The way back is taken at once.
        guard !steps.isEmpty, spec.version == deployment.version else { return .max }
        let pause = spec.json["canary"]["pauseSeconds"].double ?? 60
        let elapsed = (Timestamp.now - deployment.startedAt) / .seconds(1)
        for (index, step) in steps.enumerated() where elapsed < Double(index + 1) * pause {
            specs.add(spec.id, after: .seconds(bounded: Double(index + 1) * pause - elapsed + 0.1))
            return step
        }
        return .max
    }
}
