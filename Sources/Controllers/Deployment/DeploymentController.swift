import ClusterClient
import JSON
import Logging
import ObjectModel

/// Rolls deployments out over replica sets: one per template, found again by template, so that a rollback is a template
/// that was there before.
struct DeploymentController: Controller {
    static let component = "deployment-controller"

    private let context: ControllerContext
    private let loop: ReconcileLoop
    private let writes = OwnWrites()
    /// Of the deployments themselves: conditions must not go back to an old picture's.
    private let statuses = OwnWrites()

    init(_ context: ControllerContext) {
        self.context = context
        let informers = context.informers
        let loop = ReconcileLoop(
            workers: 8, logger: context.logger(for: Self.component),
            prepare: {
                await informers.deployments.waitUntilSynced()
                await informers.replicaSets.waitUntilSynced()
                await informers.pods.waitUntilSynced()
            },
            resync: { informers.deployments.keys })
        self.loop = loop
        informers.deployments.subscribe { event in
            if let view = event.versions.new ?? event.versions.old { loop.queue.add(view.key) }
        }
        informers.replicaSets.subscribe { event in
            for set in [event.versions.old, event.versions.new].compactMap(\.self) {
                if let owner = set.object.metadata.controller {
                    guard owner.kind == "Deployment" else { continue }
                    loop.queue.add(ObjectKey(namespace: set.object.namespace, name: owner.name))
                } else {
                    for view in informers.deploymentsByNamespace[set.object.namespace]
                    where view.selects(set.object.metadata.labels) {
                        loop.queue.add(view.key)
                    }
                }
            }
        }
        // Recreate waits for the last old pod to go.
        informers.pods.subscribe { event in
            guard let pod = event.versions.old, event.versions.new.map(\.isFinished) ?? true,
                let owner = pod.controller, owner.kind == "ReplicaSet",
                let set = informers.replicaSets[ObjectKey(namespace: pod.namespace, name: owner.name)],
                let deployment = set.object.metadata.controller, deployment.kind == "Deployment"
            else { return }
            let key = ObjectKey(namespace: pod.namespace, name: deployment.name)
            if informers.deployments[key]?.plan.isRecreate == true { loop.queue.add(key) }
        }
    }

    func run() async {
        await loop.run { try await reconcile($0) }
    }

    private func reconcile(_ key: ObjectKey) async throws {
        guard let view = context.informers.deployments[key] else {
            writes.forget(key)
            statuses.forget(key)
            return
        }
        if view.selector.isEmpty {
            context.recorder.record(
                EventRecorder.Reference(view.object), .warning, reason: "SelectingAll",
                message: "This deployment is selecting all pods. A non-empty selector is required.",
                component: Self.component)
            return
        }
        let informers = context.informers
        guard statuses.isVisible(for: key, at: informers.deployments.revision) else { return }
        guard
            writes.isVisible(
                for: key, at: informers.replicaSets.revision,
                remains: { key, uid in
                    informers.replicaSets[key].map { $0.uid == uid && !$0.isTerminating } ?? false
                })
        else { return }
        let sets = try await claim(view)
        let pass = RolloutPass(view: view, sets: sets, context: context, writes: writes)
        defer { statuses.wrote(pass.object, for: key) }
        try await pass.run()
        if let wait = pass.nextCheck { loop.queue.add(key, after: wait) }
    }

    /// The replica sets of the deployment after adopting and releasing.
    private func claim(_ view: DeploymentView) async throws -> [ReplicaSetView] {
        let claims = Claims(client: context.client, ownerResource: .deployments, owner: view.object)
        let isTerminating = view.object.metadata.isTerminating
        var owned: [ReplicaSetView] = []
        for set in context.informers.replicaSetsByController[view.uid] {
            if isTerminating || set.isTerminating || view.selects(set.object.metadata.labels) {
                owned.append(set)
            } else {
                try await claims.release(.replicaSets, set.key, uid: set.uid)
            }
        }
        guard !isTerminating else { return owned }
        for set in context.informers.replicaSetsByNamespace[view.object.namespace]
        where set.object.metadata.controller == nil && !set.isTerminating
            && view.selects(set.object.metadata.labels)
        {
            if try await claims.adopt(.replicaSets, set.key, uid: set.uid) { owned.append(set) }
        }
        return owned.sorted { ($0.created, $0.name) < ($1.created, $1.name) }
    }
}
