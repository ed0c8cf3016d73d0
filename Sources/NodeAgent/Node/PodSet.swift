import ClusterClient
import ContainerRuntime
import JSON
import Logging
import ObjectModel

/// The pods of this node and their workers.
actor PodSet {
    private struct Member {
        var worker: PodWorker
        var pod: Pod
        var task: Task<Void, Never>
        var isRejected: Bool
        /// Its object is deleted; what is left of it on the node is being removed.
        var isGone = false
    }
    private let context: AgentContext
    private var members: [String: Member] = [:]
    private var uidByKey: [ObjectKey: String] = [:]
    private var hasBegun = false
    /// Orphans being removed.
    private var leaving: Set<String> = []

    init(context: AgentContext) {
        self.context = context
    }

    // MARK: From the API

    /// Starts with everything that is bound to the node; those that ran before come first and keep their resources.
    func begin(_ pods: [Pod]) async {
        let ordered = pods.sorted { left, right in
            let (a, b) = (left.status["startTime"].string ?? "~", right.status["startTime"].string ?? "~")
            return a == b ? left.key < right.key : a < b
        }
        for pod in ordered { await apply(pod.key, pod) }
        hasBegun = true
        await removeOrphans()
    }

    /// A pod as it is now; nil when it is gone.
    func apply(_ key: ObjectKey, _ pod: Pod?) async {
        if let uid = uidByKey[key], uid != pod?.uid {
            uidByKey[key] = nil
            members[uid]?.isGone = true
            if let member = members[uid] { await member.worker.vanish() }
        }
        guard let pod else { return }
        uidByKey[key] = pod.uid
        if members[pod.uid] != nil {
            members[pod.uid]?.pod = pod
            if pod.isFinished { context.allocations.withLock { $0[pod.uid] = nil } }
            await members[pod.uid]?.worker.update(pod)
            return
        }
        let rejection = await admit(pod)
        // Another call may have come first while the node was asked.
        guard members[pod.uid] == nil else { return }
        let worker = PodWorker(pod: pod, context: context, rejection: rejection)
        if let rejection { context.event(pod, .warning, rejection.reason, rejection.message) }
        let task = Task {
            await worker.run()
            self.left(pod.uid)
        }
        members[pod.uid] = Member(worker: worker, pod: pod, task: task, isRejected: rejection != nil)
        if rejection == nil, !pod.isFinished {
            let allocation = Allocation(pod.spec)
            context.allocations.withLock { $0[pod.uid] = allocation }
        }
        updateBurstableWeight()
    }

    private func left(_ uid: String) {
        members[uid] = nil
        context.allocations.withLock { $0[uid] = nil }
        updateBurstableWeight()
    }

    private func admit(_ pod: Pod) async -> WaitingReason? {
        guard pod.status["startTime"].string == nil, !pod.isTerminating, !pod.isFinished else { return nil }
        let node = try? await context.client.find(.nodes, ObjectKey(name: context.configuration.nodeName))
        // Nothing can be checked against a node that is not there yet.
        guard let node else { return nil }
        if let reason = context.pressure.withLock({ $0 }).rejection(of: pod) { return reason }
        // A pod that was deleted gave back what it had: the scheduler may have given it to this one.
        let others = members.values.filter {
            !$0.isRejected && !$0.isGone && !$0.pod.isFinished && $0.pod.uid != pod.uid
        }.map(\.pod)
        return PodAdmission.check(
            pod,
            node: PodAdmission.Node(
                labels: node.metadata.labels, name: node.name,
                allocatable: ResourceRequirements.quantities(node.tree["status"]["allocatable"])),
            others: others)
    }

    private func updateBurstableWeight() {
        let request = members.values.reduce(0) { sum, member in
            guard !member.pod.isFinished, QualityOfService(member.pod.spec) == .burstable else { return sum }
            return sum.addingSaturated(PodResources(member.pod.spec).requestMilliCPU)
        }
        guard request != burstableRequest else { return }
        burstableRequest = request
        let cgroups = context.cgroups
        Task { await cgroups.setBurstable(requestMilliCPU: request) }
    }
    private var burstableRequest = -1

    // MARK: From the runtime

    func runtimeChanged(_ uid: String) async {
        await members[uid]?.worker.runtimeChanged()
    }
    func lookAgain() async {
        for member in members.values { await member.worker.runtimeChanged() }
    }
    func observe(_ containers: [ContainerSummary], _ sandboxes: [SandboxSummary]?) async {
        var states: [String: [String: ContainerState]] = [:]
        for container in containers {
            guard let uid = container.labels[RuntimeLabel.podUID] else { continue }
            states[uid, default: [:]][container.id] = container.state
        }
        var ready: [String: Bool] = [:]
        for sandbox in sandboxes ?? [] {
            guard let uid = sandbox.labels[RuntimeLabel.podUID] else { continue }
            ready[uid] = (ready[uid] ?? false) || sandbox.isReady
        }
        for (uid, member) in members {
            await member.worker.observe(
                containers: states[uid] ?? [:], sandboxReady: sandboxes == nil ? nil : ready[uid] ?? false)
        }
    }

    // MARK: Chores

    func prune() async {
        for member in members.values { await member.worker.prune() }
    }
    /// Contents of volumes and tokens are looked after now and then, changed or not.
    func refreshVolumes() async {
        for member in members.values { await member.worker.refreshVolumes() }
    }
    func rotateLogs() async {
        for member in members.values { await member.worker.rotateLogs() }
    }

    /// Takes away what belongs to no pod of this node: containers, sandboxes, directories, cgroups.
    func removeOrphans() async {
        guard hasBegun else { return }
        let labels = [ContainerConfigBuilder.clusterLabel: context.configuration.clusterID]
        guard let containers = try? await context.runtime.containers(labels: labels),
            let sandboxes = try? await context.runtime.sandboxes(labels: labels)
        else { return }
        var uids = Set(containers.compactMap { $0.labels[RuntimeLabel.podUID] })
        uids.formUnion(sandboxes.map(\.uid))
        uids.formUnion(await context.cgroups.podUIDs())
        let directory = context.volumes.podsDirectory
        uids.formUnion((try? await blocking { Files.names(in: directory) }) ?? [])
        for uid in uids where members[uid] == nil && !leaving.contains(uid) {
            leaving.insert(uid)
            let own = containers.filter { $0.labels[RuntimeLabel.podUID] == uid }
            let boxes = sandboxes.filter { $0.uid == uid }
            Task {
                await self.remove(uid, own, boxes)
                self.leaving.remove(uid)
            }
        }
    }

    private func remove(_ uid: String, _ containers: [ContainerSummary], _ sandboxes: [SandboxSummary]) async {
        context.logger.info(
            "removing what a pod that is gone left", metadata: ["uid": "\(uid)", "containers": "\(containers.count)"])
        let runtime = context.runtime
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for container in containers {
                    group.addTask {
                        let grace = container.annotations[RuntimeLabel.gracePeriod].flatMap { Int($0) } ?? 30
                        if container.state == .running {
                            try await runtime.stopContainer(container.id, grace: .seconds(max(grace, 2)))
                        }
                        try await runtime.removeContainer(container.id)
                    }
                }
                try await group.waitForAll()
            }
            for sandbox in sandboxes {
                try await runtime.stopSandbox(sandbox.id)
                try await runtime.removeSandbox(sandbox.id)
            }
            await context.cgroups.removePod(uid)
            try await context.volumes.tearDown(uid: uid, everything: true)
            if let sandbox = sandboxes.first {
                let logs = "\(context.logs.root)/\(sandbox.namespace)_\(sandbox.name)_\(uid)"
                try await blocking { try Files.removeTree(logs) }
            }
        } catch {
            context.logger.warning("an orphan cannot be removed yet", metadata: ["uid": "\(uid)", "error": "\(error)"])
        }
    }

    // MARK: Asking

    /// The worker of a pod by its names; the uid may be left out.
    func worker(namespace: String, name: String, uid: String) -> PodWorker? {
        if let member = members[uid] { return member.worker }
        guard uid.isEmpty, let known = uidByKey[ObjectKey(namespace: namespace, name: name)] else { return nil }
        return members[known]?.worker
    }
    /// Takes a pod away because of what it, or the node, ran out of.
    func evict(_ uid: String, _ message: String) async {
        await members[uid]?.worker.evict(message)
    }
    /// All pods that are not finished.
    var active: [Pod] { members.values.map(\.pod).filter { !$0.isFinished } }

    func shutDown() async {
        for member in members.values {
            member.task.cancel()
            member.worker.wake.yield()
        }
        for member in members.values { await member.task.value }
    }
}
