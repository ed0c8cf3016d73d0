import ClusterClient
import JSON
import ObjectModel

/// Keeps the status of pod disruption budgets, which the eviction API decides by.
struct DisruptionController: Controller {
    private static let component = "controllermanager"
    /// An eviction that was allowed but whose pod is still there after so long did not happen.
    private static let patience: Duration = .seconds(120)

    private let context: ControllerContext
    private let loop: ReconcileLoop

    init(_ context: ControllerContext) {
        self.context = context
        let informers = context.informers
        let loop = ReconcileLoop(
            workers: 2, logger: context.logger(for: "disruption-controller"),
            prepare: {
                await informers.budgets.waitUntilSynced()
                await informers.pods.waitUntilSynced()
                await informers.replicaSets.waitUntilSynced()
                await informers.deployments.waitUntilSynced()
                await informers.statefulSets.waitUntilSynced()
                await informers.replicationControllers.waitUntilSynced()
            },
            resync: { informers.budgets.keys })
        self.loop = loop
        informers.budgets.subscribe { event in
            if let budget = event.versions.new { loop.queue.add(budget.key) }
        }
        informers.pods.subscribe { event in
            let (old, new) = event.versions
            guard let pod = new ?? old else { return }
            if let old, let new, old.isReady == new.isReady, old.isTerminating == new.isTerminating,
                old.labels == new.labels, old.isFinished == new.isFinished
            {
                return
            }
            for budget in informers.budgetsByNamespace[pod.namespace] { loop.queue.add(budget.key) }
        }
        @Sendable func scaled(_ namespace: String) {
            for key in informers.budgetsByNamespace.keys(of: namespace) { loop.queue.add(key) }
        }
        informers.deployments.subscribe { event in
            if let new = event.versions.new, event.versions.old?.plan.replicas != new.plan.replicas {
                scaled(new.object.namespace)
            }
        }
        informers.statefulSets.subscribe { event in
            if let new = event.versions.new, event.versions.old?.metadata.generation != new.metadata.generation {
                scaled(new.namespace)
            }
        }
    }

    func run() async {
        await loop.run { try await reconcile($0) }
    }

    private func reconcile(_ key: ObjectKey) async throws {
        guard let object = context.informers.budgets[key], !object.metadata.isTerminating else { return }
        let tree = object.tree
        let spec = tree["spec"]
        var status = tree["status"]
        let now = Timestamp.now
        // No selector selects nothing, an empty one everything.
        let selector = try LabelSelector(labelSelector: spec["selector"])
        let pods = context.informers.podsByNamespace[key.namespace].filter { pod in
            !pod.isFinished && (selector?.matches(pod.labels) ?? false)
        }
        let (disrupted, next) = Self.pending(status["disruptedPods"], pods, now: now)
        let healthy = pods.count { $0.isReady && !$0.isTerminating && disrupted[$0.name] == nil }
        var conditions = Conditions(status["conditions"])
        do {
            let budget = try DisruptionBudget(spec: spec, pods: pods.count, healthy: healthy) { try scale(of: pods) }
            status["currentHealthy"] = JSON(budget.healthy)
            status["desiredHealthy"] = JSON(budget.desired)
            status["expectedPods"] = JSON(budget.expected)
            status["disruptionsAllowed"] = JSON(budget.allowed)
            conditions.set(
                "DisruptionAllowed", budget.allowed > 0 ? "True" : "False",
                reason: budget.allowed > 0 ? "SufficientPods" : "InsufficientPods", message: "", now: now,
                observedGeneration: object.metadata.generation)
        } catch let error as UnknownScale {
            // Without knowing how many there should be, none may go.
            status["disruptionsAllowed"] = 0
            conditions.set(
                "DisruptionAllowed", "False", reason: "SyncFailed", message: error.description, now: now,
                observedGeneration: object.metadata.generation)
            context.recorder.record(
                EventRecorder.Reference(object), .warning, reason: "CalculateExpectedPodCountFailed",
                message: "Failed to calculate the number of expected pods: \(error)", component: Self.component)
        }
        status.setMember("disruptedPods", disrupted.isEmpty ? nil : JSON(disrupted))
        status["observedGeneration"] = JSON(object.metadata.generation)
        status.setMember("conditions", conditions.json)
        try await context.client.writeStatus(.podDisruptionBudgets, object, status)
        if let next { loop.queue.add(key, after: next - now + .milliseconds(100)) }
    }

    /// Evictions whose pods are still on their way out, and when the first of them is given up.
    static func pending(_ disrupted: JSON, _ pods: [PodView], now: Timestamp) -> (
        entries: [String: String], next: Timestamp?
    ) {
        var entries: [String: String] = [:]
        var next: Timestamp?
        for (name, time) in disrupted.stringMap {
            guard let since = Timestamp(time), pods.contains(where: { $0.name == name && !$0.isTerminating }) else {
                continue
            }
            let due = since + patience
            if due < now { continue }
            entries[name] = time
            next = min(next ?? due, due)
        }
        return (entries, next)
    }

    private struct UnknownScale: Error, CustomStringConvertible {
        let description: String
    }

    /// Replicas wanted by the owners of the pods, each owner once; pods nobody controls do not count.
    private func scale(of pods: [PodView]) throws -> Int {
        var scales: [String: Int] = [:]
        let informers = context.informers
        for pod in pods {
            guard let owner = pod.controller, scales[owner.uid] == nil else { continue }
            let key = ObjectKey(namespace: pod.namespace, name: owner.name)
            switch owner.kind {
            case "ReplicaSet":
                guard let set = informers.replicaSets[key] else { continue }
                if let upper = set.object.metadata.controller, upper.kind == "Deployment",
                    let deployment = informers.deployments[ObjectKey(namespace: pod.namespace, name: upper.name)]
                {
                    scales[upper.uid] = deployment.plan.replicas
                } else {
                    scales[owner.uid] = set.replicas
                }
            case "ReplicationController":
                if let controller = informers.replicationControllers[key] { scales[owner.uid] = controller.replicas }
            case "StatefulSet":
                if let set = informers.statefulSets[key] { scales[owner.uid] = set.tree["spec"]["replicas"].int ?? 1 }
            default:
                throw UnknownScale(
                    description:
                        "\(owner.apiVersion) \(owner.kind) \"\(owner.name)\" does not implement the scale subresource")
            }
        }
        return scales.values.reduce(0, +)
    }
}
