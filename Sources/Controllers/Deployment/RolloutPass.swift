import ClusterClient
import JSON
import ObjectModel

/// One pass over one deployment: decides by `RolloutPlan`, writes the difference, ends with the status. Used by one
/// task.
final class RolloutPass {
    let view: DeploymentView
    let context: ControllerContext
    let writes: OwnWrites
    let now = Timestamp.now
    /// The newest version of the deployment that this pass knows.
    var object: Object
    var conditions: Conditions
    /// Oldest first.
    var oldSets: [ReplicaSetView]
    var newSet: ReplicaSetView?
    /// When to look again although nothing changes.
    private(set) var nextCheck: Duration?

    init(view: DeploymentView, sets: [ReplicaSetView], context: ControllerContext, writes: OwnWrites) {
        self.view = view
        self.context = context
        self.writes = writes
        object = view.object
        conditions = Conditions(view.object.tree["status"]["conditions"])
        newSet = sets.first { $0.templateFingerprint == view.templateFingerprint }
        let newUID = newSet?.uid
        oldSets = sets.filter { $0.uid != newUID }
    }

    var plan: RolloutPlan { view.plan }
    var allSets: [ReplicaSetView] { oldSets + [newSet].compactMap(\.self) }

    func run() async throws {
        if view.object.metadata.isTerminating { return try await writeStatus(tracksProgress: false) }
        notePause()
        if view.isPaused || isScaling {
            try await adoptNewSet()
            try await scale()
            if view.isPaused { try await removeOldSets() }
            return try await writeStatus(tracksProgress: false)
        }
        if plan.isRecreate { try await recreate() } else { try await roll() }
        try await writeStatus(tracksProgress: true)
    }

    // MARK: Strategies

    private func roll() async throws {
        guard try await ensureNewSet(), let newSet else { return }
        let size = plan.newSetSize(current: newSet.replicas, total: allSets.reduce(0) { $0 + $1.replicas })
        if try await resize(newSet, to: size) { return }
        let changes = plan.oldSetSizes(new: newSet.planned, old: oldSets.map(\.planned))
        if !changes.isEmpty {
            for set in oldSets { if let size = changes[set.name] { try await resize(set, to: size) } }
            return
        }
        if isComplete { try await removeOldSets() }
    }

    private func recreate() async throws {
        try await adoptNewSet()
        var scaled = false
        for set in oldSets where set.replicas > 0 { scaled = try await resize(set, to: 0) || scaled }
        if scaled || oldPodsRun { return }
        guard try await ensureNewSet(), let newSet else { return }
        if try await resize(newSet, to: plan.replicas) { return }
        if isComplete { try await removeOldSets() }
    }

    /// A pod of an old template that has not ended; Recreate never runs two templates at a time.
    private var oldPodsRun: Bool {
        oldSets.contains { set in
            set.status.replicas > 0 || context.informers.podsByController[set.uid].contains { !$0.isFinished }
        }
    }

    // MARK: Scaling

    /// The number of replicas was changed since the sets were last scaled.
    private var isScaling: Bool {
        allSets.contains { $0.replicas > 0 && $0.desiredReplicas != nil && $0.desiredReplicas != plan.replicas }
    }

    private func scale() async throws {
        let active = allSets.filter { $0.replicas > 0 }
        if active.count <= 1 {
            guard let only = active.first ?? newSet ?? oldSets.last else { return }
            try await resize(only, to: plan.replicas)
            return
        }
        if let newSet, newSet.desiredReplicas == plan.replicas, newSet.replicas == plan.replicas,
            newSet.status.available == plan.replicas
        {
            for set in oldSets where set.replicas > 0 { try await resize(set, to: 0) }
            return
        }
        guard !plan.isRecreate else { return }
        let sizes = plan.proportionalSizes(
            of: active.map(\.planned), statusReplicas: object.tree["status"]["replicas"].int ?? 0)
        for set in active { if let size = sizes[set.name] { try await resize(set, to: size) } }
    }

    /// Writes a replica set's size and what the deployment looked like then.
    /// - Returns: true when the size changed.
    @discardableResult
    private func resize(_ set: ReplicaSetView, to size: Int) async throws -> Bool {
        let changes = set.replicas != size
        guard changes || set.desiredReplicas != plan.replicas || set.maxReplicas != plan.ceiling else { return false }
        var tree = set.object.tree
        tree["spec"]["replicas"] = JSON(size)
        tree["metadata"]["annotations"][DeploymentAnnotations.desiredReplicas] = .string(String(plan.replicas))
        tree["metadata"]["annotations"][DeploymentAnnotations.maxReplicas] = .string(String(plan.ceiling))
        let written = try await context.client.update(.replicaSets, tree)
        writes.wrote(written, for: view.key)
        try replace(set, with: written)
        if changes {
            let direction = size > set.replicas ? "up" : "down"
            record("Scaled \(direction) replica set \(set.name) from \(set.replicas) to \(size)")
        }
        return changes
    }

    func replace(_ set: ReplicaSetView, with object: Object) throws {
        let view = try ReplicaSetView(object)
        if newSet?.uid == set.uid { newSet = view }
        if let index = oldSets.firstIndex(where: { $0.uid == set.uid }) { oldSets[index] = view }
    }

    func record(_ message: String) {
        context.recorder.record(
            EventRecorder.Reference(view.object), .normal, reason: "ScalingReplicaSet", message: message,
            component: DeploymentController.component)
    }

    // MARK: Status

    private var counts: DeploymentCounts {
        DeploymentCounts(new: newSet, all: allSets, generation: view.object.metadata.generation)
    }

    private var isComplete: Bool {
        counts.isComplete(replicas: plan.replicas, generation: view.object.metadata.generation)
    }

    /// The deadline does not run while the rollout is paused, and starts anew when it goes on.
    private func notePause() {
        guard view.progressDeadlineSeconds != nil else { return }
        let reason = conditions["Progressing"]?["reason"].string
        if reason == "ProgressDeadlineExceeded" { return }
        if view.isPaused && reason != "DeploymentPaused" {
            conditions.set(
                "Progressing", "Unknown", reason: "DeploymentPaused", message: "Deployment is paused", now: now,
                tracksUpdates: true)
        } else if !view.isPaused && reason == "DeploymentPaused" {
            conditions.set(
                "Progressing", "Unknown", reason: "DeploymentResumed", message: "Deployment is resumed", now: now,
                tracksUpdates: true)
        }
    }

    private func writeStatus(tracksProgress: Bool) async throws {
        let generation = view.object.metadata.generation
        let new = counts
        let old = DeploymentCounts(object.tree["status"])
        let progressing = conditions["Progressing"]
        DeploymentConditions.update(
            &conditions, old: old, new: new, plan: plan, generation: generation,
            progressDeadlineSeconds: view.progressDeadlineSeconds, name: view.name, newSet: newSet?.name,
            failure: newSet?.failure ?? allSets.lazy.compactMap(\.failure).first, now: now)
        if !tracksProgress {
            if let progressing { conditions.restore(progressing) } else { conditions.remove("Progressing") }
        }
        try await putStatus { [conditions] status in
            new.write(to: &status)
            status.setMember("conditions", conditions.json)
        }
        nextCheck = DeploymentConditions.deadlineCheck(
            conditions["Progressing"], deadline: view.progressDeadlineSeconds, now: now)
    }

    /// Writes status fields. When somebody else wrote in between, they are written to the newest version, as long as it
    /// wants the same (same generation): a lost condition such as NewReplicaSetCreated would not come again.
    func putStatus(_ change: (inout JSON) -> Void) async throws {
        for attempt in 0... {
            var status = object.tree["status"]
            change(&status)
            do {
                object = try await context.client.writeStatus(.deployments, object, status)
                return
            } catch let error as StatusError where error.reason == .conflict && attempt < 5 {
                guard let live = try await context.client.find(.deployments, view.key), live.uid == view.uid,
                    live.metadata.generation == view.object.metadata.generation
                else { throw error }
                object = live
            }
        }
    }
}

extension ReplicaSetView {
    /// What the arithmetic needs.
    var planned: RolloutPlan.Set {
        RolloutPlan.Set(
            name: name, size: replicas, available: status.available, created: created, maxReplicas: maxReplicas)
    }
}

extension Conditions {
    /// Puts a condition back as it was.
    mutating func restore(_ condition: JSON) {
        guard let type = condition["type"].string else { return }
        if self[type] == nil { append(condition) } else { edit(type) { $0 = condition } }
    }
}
