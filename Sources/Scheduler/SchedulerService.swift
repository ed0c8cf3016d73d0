public import ClusterClient
import JSON
public import Ledger
public import Logging
import MesosModel
import ObjectModel
public import ServiceLifecycle
import Synchronization

/// The scheduler: watches pods and nodes, asks `SchedulerCore` where pods go, and writes the answers.
///
/// One task owns the core. Informers put what changed into an inbox (one entry per object, so it is bounded by the
/// cluster) and poke the task; it drains the inbox, lets the core try a batch of pods, and hands bindings to workers that
/// write them concurrently, so that the store commits many at once. Binding failures come back through the inbox. All of
/// it is rebuilt from the API at start: a kill at any line leaves pods either bound or still waiting.
public final class SchedulerService: Service {
    let client: ClusterClient
    private let ledger: Ledger
    let volumeBindings = VolumeBindings()
    private let logger: Logger
    private let schedulerName: String
    private let recorder: EventRecorder
    let inbox = Inbox()
    let pods: Informer<PodView>
    private let nodes: Informer<NodeView>
    private let namespaces: Informer<NamespaceView>
    let claims: Informer<ClaimView>
    private let volumes: Informer<VolumeView>
    private let storageClasses: Informer<StorageClassView>
    private let budgets: Informer<BudgetView>
    private let roles: Informer<RoleView>?

    /// Pods tried per pass, and writes that may be under way at once.
    private static let batch = 256
    private static let writers = 64
    private static let maximumPendingWrites = 4096
    /// How long the first decision waits for who knows what is reserved.
    private static let reservationsWait = Duration.seconds(5)

    /// - Parameters:
    ///   - client: its component is the source of events: `default-scheduler`.
    ///   - ledger: the cell state shared with other deciders.
    ///   - heedsRoles: whether there are Mesos roles: their quotas hold for pods, and nothing is decided before those and
    ///     what is reserved are known.
    ///   - schedulerName: pods that name another scheduler are left alone; none means this one.
    public init(
        client: ClusterClient, ledger: Ledger = Ledger(), heedsRoles: Bool = false,
        schedulerName: String = "default-scheduler", logger: Logger
    ) {
        self.client = client
        self.ledger = ledger
        self.schedulerName = schedulerName
        self.logger = logger
        recorder = EventRecorder(client: client, logger: logger)
        pods = Informer(.pods, client: client, logger: logger) { PodView($0) }
        nodes = Informer(.nodes, client: client, logger: logger) { NodeView($0) }
        namespaces = Informer(.namespaces, client: client, logger: logger) { NamespaceView($0) }
        claims = Informer(.persistentVolumeClaims, client: client, logger: logger) { ClaimView($0) }
        volumes = Informer(.persistentVolumes, client: client, logger: logger) { VolumeView($0) }
        storageClasses = Informer(
            GroupVersionResource(group: "storage.k8s.io", version: "v1", resource: "storageclasses"), client: client,
            logger: logger
        ) { StorageClassView($0) }
        budgets = Informer(
            GroupVersionResource(group: "policy", version: "v1", resource: "poddisruptionbudgets"), client: client,
            logger: logger
        ) { BudgetView($0) }
        roles = heedsRoles ? Informer(MesosNames.roles, client: client, logger: logger) { RoleView($0) } : nil
        subscribe()
    }

    private func subscribe() {
        let inbox = inbox
        pods.subscribe { inbox.put($0, \.pods) { $0.key } }
        nodes.subscribe { inbox.put($0, \.nodes) { $0.name } }
        namespaces.subscribe { inbox.put($0, \.namespaces) { $0.name } }
        claims.subscribe { inbox.put($0, \.claims) { $0.key } }
        volumes.subscribe { inbox.put($0, \.volumes) { $0.name } }
        storageClasses.subscribe { inbox.put($0, \.classes) { $0.name } }
        budgets.subscribe { inbox.put($0, \.budgets) { $0.key } }
        roles?.subscribe { inbox.put($0, \.roles) { $0.name } }
        ledger.onChange(of: .shareReleased) { inbox.released(on: $0.map(\.node)) }
    }

    public func run() async throws {
        try await cancelWhenGracefulShutdown {
            try await withThrowingDiscardingTaskGroup { group in
                let informers: [any Service] = [
                    self.pods, self.nodes, self.namespaces, self.claims, self.volumes, self.storageClasses,
                    self.budgets, self.recorder,
                ]
                for informer in informers { group.addTask { try await informer.run() } }
                if let roles = self.roles { group.addTask { try await roles.run() } }
                let writes = WriteQueue()
                group.addTask { await self.write(writes) }
                group.addTask { await self.bindVolumes() }
                group.addTask { try await self.loop(writes) }
            }
        }
    }

    // MARK: The pass

    private func loop(_ writes: WriteQueue) async throws {
        await pods.waitUntilSynced()
        await nodes.waitUntilSynced()
        await namespaces.waitUntilSynced()
        await claims.waitUntilSynced()
        await volumes.waitUntilSynced()
        await storageClasses.waitUntilSynced()
        await roles?.waitUntilSynced()
        await ledger.waitForReservations(atMost: Self.reservationsWait)
        let core = SchedulerCore(ledger: ledger, schedulerName: schedulerName)
        let clock = ContinuousClock()
        while !Task.isCancelled {
            inbox.drain(into: core, now: clock.now)
            ledger.markSynced()
            core.queue.flush(now: clock.now)
            for decision in core.schedule(limit: Self.batch, now: clock.now) { writes.add(decision) }
            if writes.count > Self.maximumPendingWrites {
                // The API is slower than we are: deciding further ahead would only make old decisions.
                try await Task.sleep(for: .milliseconds(5))
                continue
            }
            if core.queue.activeCount > 0 {
                await Task.yield()
                continue
            }
            await inbox.wait(until: core.queue.nextWake())
        }
    }

    // MARK: Writing

    /// Writes decisions, so many at a time.
    private func write(_ writes: WriteQueue) async {
        await withTaskGroup(of: Void.self) { group in
            var running = 0
            for await decision in writes.stream {
                if running >= Self.writers {
                    await group.next()
                    running -= 1
                }
                running += 1
                group.addTask { await self.perform(decision, writes) }
            }
        }
    }

    private func perform(_ decision: SchedulerCore.Decision, _ writes: WriteQueue) async {
        defer { writes.done() }
        switch decision {
        case .bind(let pod, let node, let ports): await bind(pod, node, ports)
        case .bindVolumes(let pod, let node, let ports, let plan): volumeBindings.add(pod, node, ports, plan)
        case .unschedulable(let pod, let message):
            record(pod, .warning, "FailedScheduling", message)
            await setCondition(pod, reason: "Unschedulable", message: message, nominatedNode: nil)
        case .gated(let pod):
            await setCondition(
                pod, reason: "SchedulingGated", message: "Scheduling is blocked due to non-empty scheduling gates",
                nominatedNode: nil)
        case .preempt(let pod, let node, let victims, let message):
            record(pod, .warning, "FailedScheduling", message)
            await setCondition(pod, reason: "Unschedulable", message: message, nominatedNode: node)
            for victim in victims { await evict(victim, for: pod, node) }
        }
    }

    /// - Parameter ports: host ports that were chosen for the pod, announced by annotations.
    func bind(_ pod: PodView, _ node: String, _ ports: [Int]) async {
        var body: JSON = [
            "apiVersion": "v1", "kind": "Binding",
            "metadata": [
                "namespace": .string(pod.key.namespace), "name": .string(pod.key.name), "uid": .string(pod.uid),
            ],
            "target": ["apiVersion": "v1", "kind": "Node", "name": .string(node)],
        ]
        if !ports.isEmpty { body["metadata"]["annotations"] = PortRequest.annotations(ports) }
        do {
            try await client.transport.post(.pods, pod.key, subresource: "binding", body)
            record(pod, .normal, "Scheduled", "Successfully assigned \(pod.key) to \(node)")
        } catch {
            if Task.isCancelled { return }
            logger.warning(
                "a pod could not be bound; trying again",
                metadata: ["pod": "\(pod.key)", "node": "\(node)", "error": "\(error)"])
            if (error as? StatusError)?.reason != .notFound {
                record(pod, .warning, "FailedScheduling", "binding rejected: \(error)")
            }
            inbox.bindingFailed(pod)
        }
    }

    /// Writes PodScheduled=False unless it says so already.
    private func setCondition(_ pod: PodView, reason: String, message: String, nominatedNode: String?) async {
        for _ in 0..<3 {
            let current = pods[pod.key] ?? pod
            // A binding may have come between; it must not be followed by our "not scheduled".
            guard current.uid == pod.uid, current.nodeName.isEmpty else { return }
            let status = scheduledCondition(current, reason: reason, message: message, nominatedNode: nominatedNode)
            if status.members.isEmpty { return }
            if await patchStatus(current, status, onlyThisVersion: true) { return }
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    private func scheduledCondition(_ pod: PodView, reason: String, message: String, nominatedNode: String?) -> JSON {
        var status: JSON = [:]
        if pod.scheduledStatus != "False" || pod.scheduledReason != reason || pod.scheduledMessage != message {
            var condition: JSON = [
                "type": "PodScheduled", "status": "False", "reason": .string(reason), "message": .string(message),
            ]
            if pod.scheduledStatus != "False" { condition["lastTransitionTime"] = .string(Timestamp.now.rfc3339) }
            status["conditions"] = [condition]
        }
        if let nominatedNode, nominatedNode != pod.nominatedNode {
            status["nominatedNodeName"] = .string(nominatedNode)
        }
        return status
    }

    private func evict(_ victim: PodView, for pod: PodView, _ node: String) async {
        if !victim.isTerminating {
            _ = await patchStatus(
                victim,
                [
                    "conditions": [
                        [
                            "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                            "message": .string("\(schedulerName): preempting to accommodate a higher priority pod"),
                            "lastTransitionTime": .string(Timestamp.now.rfc3339),
                        ]
                    ]
                ], onlyThisVersion: false)
        }
        do {
            try await client.delete(.pods, victim.key, options: DeleteOptions(uid: victim.uid))
            record(victim, .normal, "Preempted", "Preempted by pod \(pod.uid) on node \(node)")
        } catch {
            logger.warning(
                "a victim of preemption could not be deleted",
                metadata: ["pod": "\(victim.key)", "error": "\(error)"])
        }
    }

    /// - Returns: false when the pod changed since, and another try makes sense.
    private func patchStatus(_ pod: PodView, _ status: JSON, onlyThisVersion: Bool) async -> Bool {
        // The uid makes the patch fail for a pod of the same name that came later.
        var metadata: JSON = ["uid": .string(pod.uid)]
        if onlyThisVersion { metadata["resourceVersion"] = .string(String(pod.revision)) }
        do {
            try await client.patch(
                .pods, pod.key, .strategicMerge, ["metadata": metadata, "status": status], subresource: "status")
            return true
        } catch let error as StatusError where error.reason == .conflict {
            return false
        } catch {
            logger.debug(
                "a pod's scheduling condition could not be written",
                metadata: ["pod": "\(pod.key)", "error": "\(error)"])
            return true
        }
    }

    func record(_ pod: PodView, _ kind: EventRecorder.Kind, _ reason: String, _ message: String) {
        recorder.record(
            EventRecorder.Reference(
                kind: GroupVersionKind(group: "", version: "v1", kind: "Pod"), key: pod.key, uid: pod.uid), kind,
            reason: reason, message: message)
    }
}
