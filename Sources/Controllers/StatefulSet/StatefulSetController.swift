import ClusterClient
import JSON
import ObjectModel

/// Keeps the numbered pods and claims of stateful sets. Names are fixed, so no cache lag can make one twice; a pass
/// waits until the caches show what the one before wrote, so that none is deleted or counted twice either.
struct StatefulSetController: Controller {
    private static let component = "statefulset-controller"
    private static let podNameLabel = "statefulset.kubernetes.io/pod-name"
    private static let indexLabel = "apps.kubernetes.io/pod-index"

    private let context: ControllerContext
    private let loop: ReconcileLoop
    private let history: RevisionHistory
    private let retention: ClaimRetention
    private let writes = OwnWrites()
    /// Of the sets themselves: a new pod must not get a revision that was current in an old picture.
    private let statuses = OwnWrites()

    init(_ context: ControllerContext) {
        self.context = context
        history = RevisionHistory(client: context.client, informers: context.informers)
        retention = ClaimRetention(client: context.client, informers: context.informers)
        let informers = context.informers
        let loop = ReconcileLoop(
            workers: 4, logger: context.logger(for: Self.component),
            prepare: {
                await informers.statefulSets.waitUntilSynced()
                await informers.controllerRevisions.waitUntilSynced()
                await informers.claims.waitUntilSynced()
                await informers.pods.waitUntilSynced()
            },
            resync: { informers.statefulSets.keys })
        self.loop = loop
        informers.statefulSets.subscribe { event in
            if let set = event.versions.new ?? event.versions.old { loop.queue.add(set.key) }
        }
        informers.pods.subscribe { event in
            guard let pod = event.versions.new ?? event.versions.old else { return }
            if let owner = pod.controller {
                guard owner.kind == "StatefulSet" else { return }
                loop.queue.add(ObjectKey(namespace: pod.namespace, name: owner.name))
            } else if let dash = pod.name.lastIndex(of: "-"), Int(pod.name[pod.name.index(after: dash)...]) != nil {
                loop.queue.add(ObjectKey(namespace: pod.namespace, name: String(pod.name[..<dash])))
            }
        }
    }

    func run() async {
        await loop.run { try await reconcile($0) }
    }

    static func ordinal(of pod: String, in set: String) -> Int? {
        guard pod.hasPrefix(set + "-") else { return nil }
        return Int(pod.dropFirst(set.utf8.count + 1))
    }

    private func reconcile(_ key: ObjectKey) async throws {
        guard let set = context.informers.statefulSets[key] else {
            writes.forget(key)
            return statuses.forget(key)
        }
        guard !set.metadata.isTerminating, writes.isVisible(for: key, in: context.informers.pods),
            statuses.isVisible(for: key, at: context.informers.statefulSets.revision)
        else { return }
        let tree = set.tree
        let spec = tree["spec"]
        let status = tree["status"]
        let selector = try LabelSelector(labelSelector: spec["selector"]) ?? LabelSelector()
        guard !selector.isEmpty else { return }
        let pods = try await claim(set, selector)
        let (revisions, update) = try await history.sync(
            set, template: spec["template"], collisionCount: status["collisionCount"].int)
        let known = status["currentRevision"].string ?? ""
        let current = revisions.first { $0.name == known } ?? update
        let now = Timestamp.now
        let minReady = spec["minReadySeconds"].int ?? 0
        let plan = Self.plan(spec, current: current.name, update: update.name)
        let views = pods.mapValues { pod in
            StatefulPlan.Pod(
                isReady: pod.phase == .running && pod.isReady,
                isAvailable: pod.isAvailable(minReadySeconds: minReady, now: now), isTerminating: pod.isTerminating,
                isFinished: pod.isFinished, revision: pod.labels[RevisionHistory.hashLabel] ?? "")
        }
        for action in plan.actions(views) {
            switch action {
            case .create(let ordinal, let revision):
                let template = RevisionHistory.template(in: revision == current.name ? current : update)
                try await create(ordinal, set, spec, template, revision: revision)
            case .delete(let ordinal):
                guard let pod = pods[ordinal] else { continue }
                if !plan.wanted.contains(ordinal) { try await retention.scaleDown(pod, set) }
                try await remove(pod, set)
            }
        }
        for pod in pods.values { try await retention.followPolicy(pod, set) }
        try await writeStatus(set, views, plan, status)
        try await history.trim(
            revisions, live: Set(views.values.map(\.revision)).union([current.name, update.name]),
            limit: spec["revisionHistoryLimit"].int ?? 10)
        if let wait = ReplicaSetStatus.nextAvailability(of: Array(pods.values), minReadySeconds: minReady, now: now) {
            loop.queue.add(key, after: wait + .milliseconds(50))
        }
    }

    private static func plan(_ spec: JSON, current: String, update: String) -> StatefulPlan {
        var plan = StatefulPlan(
            replicas: spec["replicas"].int ?? 1, currentRevision: current, updateRevision: update)
        plan.start = spec["ordinals"]["start"].int ?? 0
        plan.isParallel = spec["podManagementPolicy"].string == "Parallel"
        plan.updatesOnDelete = spec["updateStrategy"]["type"].string == "OnDelete"
        plan.partition = spec["updateStrategy"]["rollingUpdate"]["partition"].int ?? 0
        return plan
    }

    /// The set's pods by ordinal, after adopting matching ones nobody controls and releasing those that match no more.
    private func claim(_ set: Object, _ selector: LabelSelector) async throws -> [Int: PodView] {
        let claims = Claims(client: context.client, ownerResource: .statefulSets, owner: set)
        var pods: [Int: PodView] = [:]
        for pod in context.informers.podsByController[set.uid] {
            guard let ordinal = Self.ordinal(of: pod.name, in: set.name), selector.matches(pod.labels) else {
                if !pod.isTerminating { try await claims.release(.pods, pod.key, uid: pod.uid) }
                continue
            }
            pods[ordinal] = pod
        }
        for pod in context.informers.orphanPodsByNamespace[set.namespace] where !pod.isTerminating {
            guard let ordinal = Self.ordinal(of: pod.name, in: set.name), selector.matches(pod.labels) else { continue }
            if try await claims.adopt(.pods, pod.key, uid: pod.uid) { pods[ordinal] = pod }
        }
        return pods
    }

    // MARK: Pods and claims

    private func create(_ ordinal: Int, _ set: Object, _ spec: JSON, _ template: JSON, revision: String) async throws {
        let name = "\(set.name)-\(ordinal)"
        var pod = PodControl.pod(from: template, owner: set)
        pod["metadata"].removeMember("generateName")
        pod["metadata"]["name"] = .string(name)
        pod["metadata"]["labels"][Self.podNameLabel] = .string(name)
        pod["metadata"]["labels"][Self.indexLabel] = .string(String(ordinal))
        pod["metadata"]["labels"][RevisionHistory.hashLabel] = .string(revision)
        pod["spec"]["hostname"] = .string(name)
        if let service = spec["serviceName"].string, !service.isEmpty { pod["spec"]["subdomain"] = .string(service) }
        var volumes = pod["spec"]["volumes"].elements
        for claim in spec["volumeClaimTemplates"].elements {
            guard let volume = claim["metadata"]["name"].string else { continue }
            let claimName = "\(volume)-\(name)"
            try await ensureClaim(claimName, claim, set, spec)
            volumes.removeAll { $0["name"].string == volume }
            volumes.append(["name": .string(volume), "persistentVolumeClaim": ["claimName": .string(claimName)]])
        }
        if !volumes.isEmpty { pod["spec"]["volumes"] = .array(volumes) }
        do {
            writes.wrote(try await context.client.create(.pods, pod), for: set.key)
            record(set, .normal, "SuccessfulCreate", "create Pod \(name) in StatefulSet \(set.name) successful")
        } catch let error as StatusError {
            // Another pod, or ours that the cache does not show yet: its event brings the next pass.
            if error.reason == .alreadyExists || error.isNamespaceTerminating { return }
            record(
                set, .warning, "FailedCreate",
                "create Pod \(name) in StatefulSet \(set.name) failed error: \(error.message)")
            throw error
        }
    }

    private func ensureClaim(_ name: String, _ template: JSON, _ set: Object, _ spec: JSON) async throws {
        let key = ObjectKey(namespace: set.namespace, name: name)
        // Live: one that goes with a pod that was removed a moment ago must not be taken for one that stays.
        if let known = try await context.client.find(.persistentVolumeClaims, key) {
            if known.metadata.isTerminating {
                throw StatusError.internalError("pvc \(name) is being deleted")
            }
            return try await retention.keep(known)
        }
        var claim = template
        claim["apiVersion"] = "v1"
        claim["kind"] = "PersistentVolumeClaim"
        claim.removeMember("status")
        claim["metadata"]["name"] = .string(name)
        claim["metadata"]["namespace"] = .string(set.namespace)
        for (label, value) in spec["selector"]["matchLabels"].members { claim["metadata"]["labels"][label] = value }
        if spec["persistentVolumeClaimRetentionPolicy"]["whenDeleted"].string == "Delete" {
            claim["metadata"]["ownerReferences"] = [OwnerReference(controller: set).json]
        }
        do {
            try await context.client.create(.persistentVolumeClaims, claim)
        } catch let error as StatusError where error.reason == .alreadyExists {
            return
        }
    }

    private func remove(_ pod: PodView, _ set: Object) async throws {
        try await context.client.deleteExactly(.pods, pod.key, uid: pod.uid)
        writes.deleted(pod.key, uid: pod.uid, for: set.key)
        record(set, .normal, "SuccessfulDelete", "delete Pod \(pod.name) in StatefulSet \(set.name) successful")
    }

    private func record(_ set: Object, _ kind: EventRecorder.Kind, _ reason: String, _ message: String) {
        context.recorder.record(
            EventRecorder.Reference(set), kind, reason: reason, message: message, component: Self.component)
    }

    // MARK: Status

    private func writeStatus(_ set: Object, _ pods: [Int: StatefulPlan.Pod], _ plan: StatefulPlan, _ old: JSON)
        async throws
    {
        let living = pods.values.filter { !$0.isTerminating }
        var status = old
        let ready = living.count(where: \.isReady)
        let updated = living.count { $0.revision == plan.updateRevision }
        status["observedGeneration"] = JSON(set.metadata.generation)
        status["replicas"] = JSON(pods.count)
        status.setCount("readyReplicas", ready)
        status["availableReplicas"] = JSON(living.count(where: \.isAvailable))
        status.setCount("updatedReplicas", updated)
        status["updateRevision"] = .string(plan.updateRevision)
        let isRolledOut =
            updated == plan.replicas && ready == plan.replicas && pods.count == plan.replicas && !plan.updatesOnDelete
        let current = isRolledOut ? plan.updateRevision : plan.currentRevision
        status["currentRevision"] = .string(current)
        status.setCount("currentReplicas", living.count { $0.revision == current })
        if status["collisionCount"].isNull { status["collisionCount"] = 0 }
        statuses.wrote(try await context.client.writeStatus(.statefulSets, set, status), for: set.key)
    }
}
