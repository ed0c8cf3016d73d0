import ClusterClient
import JSON
import ObjectModel

/// Keeps the number of pods of a ReplicaSet, or of a ReplicationController: the two differ in name and selector only.
///
/// One pass: claim pods (adopt matching orphans, release those that no longer match), create or delete the difference,
/// write the status. It acts only when the pod cache shows everything it did before (`OwnWrites`).
struct ReplicaSetController: Controller {
    /// At most so many pods are made or removed in one pass.
    static let burst = 500

    private let context: ControllerContext
    private let resource: GroupVersionResource
    private let kind: GroupVersionKind
    private let sets: Informer<ReplicaSetView>
    private let setsByNamespace: InformerIndex<ReplicaSetView, String>
    private let loop: ReconcileLoop
    private let writes = OwnWrites()
    private let control: PodControl

    init(replicaSets context: ControllerContext) {
        self.init(
            context, .replicaSets, .replicaSet, context.informers.replicaSets, context.informers.replicaSetsByNamespace,
            component: "replicaset-controller")
    }

    init(replicationControllers context: ControllerContext) {
        self.init(
            context, .replicationControllers, .replicationController, context.informers.replicationControllers,
            context.informers.replicationControllersByNamespace, component: "replication-controller")
    }

    private init(
        _ context: ControllerContext, _ resource: GroupVersionResource, _ kind: GroupVersionKind,
        _ sets: Informer<ReplicaSetView>, _ byNamespace: InformerIndex<ReplicaSetView, String>, component: String
    ) {
        self.context = context
        self.resource = resource
        self.kind = kind
        self.sets = sets
        setsByNamespace = byNamespace
        control = PodControl(client: context.client, recorder: context.recorder, component: component)
        let pods = context.informers.pods
        let loop = ReconcileLoop(
            workers: 8, logger: context.logger(for: component),
            prepare: {
                await sets.waitUntilSynced()
                await pods.waitUntilSynced()
            },
            resync: { sets.keys })
        self.loop = loop
        sets.subscribe { loop.queue.add(($0.versions.new ?? $0.versions.old).map(\.key) ?? ObjectKey(name: "")) }
        pods.subscribe { event in
            let (old, new) = event.versions
            for pod in [old, new].compactMap(\.self) {
                if let owner = pod.controller {
                    guard owner.kind == kind.kind else { continue }
                    loop.queue.add(ObjectKey(namespace: pod.namespace, name: owner.name))
                } else if !pod.isTerminating {
                    for set in byNamespace[pod.namespace] where set.selects(pod.labels) { loop.queue.add(set.key) }
                }
            }
            // Its availability follows readiness by minReadySeconds; the pass computes when to look again.
        }
    }

    func run() async {
        await loop.run { try await reconcile($0) }
    }

    private func reconcile(_ key: ObjectKey) async throws {
        guard let set = sets[key] else {
            writes.forget(key)
            return
        }
        guard writes.isVisible(for: key, in: context.informers.pods) else { return }
        let owned = try await claim(set)
        let active = owned.filter(\.isActive)
        let terminating = owned.count { $0.isTerminating && !$0.isFinished }
        var problem: (reason: String, error: any Error)?
        if !set.isTerminating { problem = await balance(set, active) }

        let now = Timestamp.now
        let tree = set.object.tree
        let failure = problem.map { problem in
            (reason: problem.reason, message: (problem.error as? StatusError)?.message ?? "\(problem.error)")
        }
        let status = ReplicaSetStatus.compute(
            of: set, old: tree["status"], templateLabels: tree["spec"]["template"]["metadata"]["labels"].stringMap,
            active: active, terminating: terminating, failure: failure, now: now)
        try await context.client.writeStatus(resource, set.object, status)
        if let problem { throw problem.error }
        if let wait = ReplicaSetStatus.nextAvailability(of: active, minReadySeconds: set.minReadySeconds, now: now) {
            loop.queue.add(key, after: wait + .milliseconds(50))
        }
    }

    /// The pods that belong to the set after adopting and releasing.
    private func claim(_ set: ReplicaSetView) async throws -> [PodView] {
        let claims = Claims(client: context.client, ownerResource: resource, owner: set.object)
        var owned: [PodView] = []
        for pod in context.informers.podsByController[set.uid] {
            if set.selects(pod.labels) || set.isTerminating || pod.isTerminating {
                owned.append(pod)
            } else {
                try await claims.release(.pods, pod.key, uid: pod.uid)
            }
        }
        guard !set.isTerminating else { return owned }
        for pod in context.informers.orphanPodsByNamespace[set.object.namespace]
        where pod.isActive && set.selects(pod.labels) {
            if try await claims.adopt(.pods, pod.key, uid: pod.uid) { owned.append(pod) }
        }
        return owned
    }

    /// Creates or deletes the difference.
    private func balance(_ set: ReplicaSetView, _ active: [PodView]) async -> (reason: String, error: any Error)? {
        let difference = active.count - set.replicas
        if difference < 0 {
            let pod = PodControl.pod(from: set.object.tree["spec"]["template"], owner: set.object)
            let (_, error) = await slowStart(min(-difference, Self.burst)) { [control, writes] _ in
                writes.wrote(try await control.create(pod, for: set.object), for: set.key)
            }
            if let error = error as? StatusError, error.isNamespaceTerminating { return nil }
            return error.map { ("FailedCreate", $0) }
        }
        if difference > 0 {
            let chosen = PodRanking.choose(
                min(difference, Self.burst), of: active, related: family(of: set, active), now: .now)
            do {
                try await forEachConcurrently(chosen) { [control, writes] pod in
                    try await control.delete(pod, for: set.object)
                    writes.deleted(pod.key, uid: pod.uid, for: set.key)
                }
            } catch {
                return ("FailedDelete", error)
            }
        }
        return nil
    }

    /// Active pods of all replica sets of the same deployment: a rollout scales the old one down where the new one
    /// already runs.
    private func family(of set: ReplicaSetView, _ active: [PodView]) -> [PodView] {
        guard let owner = set.object.metadata.controller else { return active }
        let siblings = context.informers.replicaSetsByController[owner.uid]
        return siblings.flatMap { context.informers.podsByController[$0.uid] }.filter(\.isActive)
    }
}
