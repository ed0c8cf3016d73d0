import ClusterClient
import JSON
import ObjectModel

/// Keeps one pod of a DaemonSet on every node it belongs on.
struct DaemonSetController: Controller {
    private static let component = "daemonset-controller"
    private static let burst = 250

    private let context: ControllerContext
    private let loop: ReconcileLoop
    private let writes = OwnWrites()
    private let control: PodControl
    private let history: RevisionHistory

    init(_ context: ControllerContext) {
        self.context = context
        control = PodControl(client: context.client, recorder: context.recorder, component: Self.component)
        history = RevisionHistory(client: context.client, informers: context.informers)
        let informers = context.informers
        let loop = ReconcileLoop(
            workers: 2, logger: context.logger(for: Self.component),
            prepare: {
                await informers.daemonSets.waitUntilSynced()
                await informers.controllerRevisions.waitUntilSynced()
                await informers.nodes.waitUntilSynced()
                await informers.pods.waitUntilSynced()
            },
            resync: { informers.daemonSets.keys })
        self.loop = loop
        informers.daemonSets.subscribe { event in
            if let set = event.versions.new ?? event.versions.old { loop.queue.add(set.key) }
        }
        informers.pods.subscribe { event in
            guard let pod = event.versions.new ?? event.versions.old else { return }
            if let owner = pod.controller {
                if owner.kind == "DaemonSet" { loop.queue.add(ObjectKey(namespace: pod.namespace, name: owner.name)) }
            } else if !pod.isTerminating, event.versions.old?.labels != pod.labels {
                for key in informers.daemonSetsByNamespace.keys(of: pod.namespace) { loop.queue.add(key) }
            }
        }
        informers.nodes.subscribe { event in
            let (old, new) = event.versions
            let isSame =
                old?.metadata.labels == new?.metadata.labels
                && old?.tree["spec"]["taints"] == new?.tree["spec"]["taints"]
            if old == nil || new == nil || !isSame { for key in informers.daemonSets.keys { loop.queue.add(key) } }
        }
    }

    func run() async {
        await loop.run { try await reconcile($0) }
    }

    private func reconcile(_ key: ObjectKey) async throws {
        guard let set = context.informers.daemonSets[key] else {
            writes.forget(key)
            return
        }
        guard !set.metadata.isTerminating, writes.isVisible(for: key, in: context.informers.pods) else { return }
        let tree = set.tree
        let spec = tree["spec"]
        let selector = try LabelSelector(labelSelector: spec["selector"]) ?? LabelSelector()
        guard !selector.isEmpty else { return }
        let pods = try await claim(set, selector)
        let (revisions, update) = try await history.sync(
            set, template: spec["template"], collisionCount: tree["status"]["collisionCount"].int)
        let hash = RevisionHistory.hash(of: update) ?? update.name
        let byNode = Dictionary(grouping: pods, by: DaemonPlacement.target)
        let now = Timestamp.now
        let minReady = spec["minReadySeconds"].int ?? 0

        var desired: Set<String> = []
        var create: [String] = []
        var delete: [PodView] = []
        var counts = Counts()
        for node in context.informers.nodes.all.sorted(by: { $0.name < $1.name }) {
            let verdict = DaemonPlacement.verdict(podSpec: spec["template"]["spec"], node: node)
            let here = (byNode[node.name] ?? []).sorted { ($0.created, $0.name) < ($1.created, $1.name) }
            let finished = here.filter { $0.isFinished && !$0.isTerminating }
            let living = here.filter { !$0.isFinished }
            if verdict.shouldRun {
                desired.insert(node.name)
                delete += finished
                if here.isEmpty { create.append(node.name) }
                let same = Dictionary(grouping: living.filter { !$0.isTerminating }) {
                    $0.labels[RevisionHistory.hashLabel] == hash
                }
                for group in same.values { delete += group.dropFirst() }
            } else if !verdict.shouldStay {
                delete += living.filter { !$0.isTerminating }
            }
            counts.note(living, isDesired: verdict.shouldRun, hash: hash, minReady: minReady, now: now)
        }
        // Pods for nodes that are gone and were never bound would wait for ever.
        for (name, orphans) in byNode where context.informers.nodes[ObjectKey(name: name)] == nil {
            delete += orphans.filter { !$0.isTerminating }
        }
        if spec["updateStrategy"]["type"].string != "OnDelete", create.isEmpty, delete.isEmpty {
            let step = rollout(spec, desired.count).step(
                desired.reduce(into: [:]) { nodes, name in
                    nodes[name] = (byNode[name] ?? []).filter { !$0.isFinished }.map { pod in
                        DaemonRollout.Pod(
                            name: pod.name, isNew: pod.labels[RevisionHistory.hashLabel] == hash,
                            isAvailable: pod.isAvailable(minReadySeconds: minReady, now: now),
                            isTerminating: pod.isTerminating)
                    }
                })
            let names = Set(step.delete)
            delete = pods.filter { names.contains($0.name) }
            create = step.surge
        }
        try await write(set, spec["template"], hash: hash, create: create, delete: delete)
        try await writeStatus(set, tree["status"], counts)
        try await history.trim(revisions, live: [update.name], limit: spec["revisionHistoryLimit"].int ?? 10)
        if let wait = ReplicaSetStatus.nextAvailability(of: pods, minReadySeconds: minReady, now: now) {
            loop.queue.add(key, after: wait + .milliseconds(50))
        }
    }

    private func rollout(_ spec: JSON, _ nodes: Int) -> DaemonRollout {
        let rolling = spec["updateStrategy"]["rollingUpdate"]
        let surge = (IntOrPercent(rolling["maxSurge"]) ?? .count(0)).value(of: nodes, roundingUp: true)
        let unavailable = (IntOrPercent(rolling["maxUnavailable"]) ?? .count(1)).value(of: nodes, roundingUp: true)
        return DaemonRollout(maxUnavailable: surge == 0 ? max(unavailable, 1) : unavailable, maxSurge: surge)
    }

    private func claim(_ set: Object, _ selector: LabelSelector) async throws -> [PodView] {
        let claims = Claims(client: context.client, ownerResource: .daemonSets, owner: set)
        var owned: [PodView] = []
        for pod in context.informers.podsByController[set.uid] {
            if selector.matches(pod.labels) || pod.isTerminating {
                owned.append(pod)
            } else {
                try await claims.release(.pods, pod.key, uid: pod.uid)
            }
        }
        for pod in context.informers.orphanPodsByNamespace[set.namespace]
        where !pod.isTerminating && selector.matches(pod.labels) {
            if try await claims.adopt(.pods, pod.key, uid: pod.uid) { owned.append(pod) }
        }
        return owned
    }

    private func write(_ set: Object, _ template: JSON, hash: String, create: [String], delete: [PodView]) async throws
    {
        let key = set.key
        let nodes = Array(create.prefix(Self.burst))
        let (_, failure) = await slowStart(nodes.count) { [control, writes] index in
            var pod = PodControl.pod(from: template, owner: set)
            pod["metadata"]["labels"][RevisionHistory.hashLabel] = .string(hash)
            DaemonPlacement.pin(&pod["spec"], to: nodes[index])
            writes.wrote(try await control.create(pod, for: set), for: key)
        }
        try await forEachConcurrently(Array(delete.prefix(Self.burst))) { [control, writes] pod in
            try await control.delete(pod, for: set)
            writes.deleted(pod.key, uid: pod.uid, for: key)
        }
        if let failure, (failure as? StatusError)?.isNamespaceTerminating != true { throw failure }
    }

    private struct Counts {
        var desired = 0
        var current = 0
        var misscheduled = 0
        var ready = 0
        var available = 0
        var updated = 0

        mutating func note(_ pods: [PodView], isDesired: Bool, hash: String, minReady: Int, now: Timestamp) {
            let bound = pods.filter { !$0.nodeName.isEmpty && !$0.isTerminating }
            guard isDesired else {
                if !bound.isEmpty { misscheduled += 1 }
                return
            }
            desired += 1
            if !bound.isEmpty { current += 1 }
            if bound.contains(where: \.isReady) { ready += 1 }
            if bound.contains(where: { $0.isAvailable(minReadySeconds: minReady, now: now) }) { available += 1 }
            if bound.contains(where: { $0.labels[RevisionHistory.hashLabel] == hash }) { updated += 1 }
        }
    }

    private func writeStatus(_ set: Object, _ old: JSON, _ counts: Counts) async throws {
        var status = old
        status["currentNumberScheduled"] = JSON(counts.current)
        status["numberMisscheduled"] = JSON(counts.misscheduled)
        status["desiredNumberScheduled"] = JSON(counts.desired)
        status["numberReady"] = JSON(counts.ready)
        status["observedGeneration"] = JSON(set.metadata.generation)
        status.setCount("updatedNumberScheduled", counts.updated)
        status.setCount("numberAvailable", counts.available)
        status.setCount("numberUnavailable", counts.desired - counts.available)
        try await context.client.writeStatus(.daemonSets, set, status)
    }
}
