import ClusterClient
import JSON
import ObjectModel

/// Deletes pods from nodes with NoExecute taints when their tolerations run out.
struct TaintEvictionController: Controller {
    private static let component = "taint-eviction-controller"

    private let context: ControllerContext
    private let loop: ReconcileLoop

    init(_ context: ControllerContext) {
        self.context = context
        let informers = context.informers
        let loop = ReconcileLoop(
            workers: 8, logger: context.logger(for: Self.component),
            prepare: {
                await informers.nodes.waitUntilSynced()
                await informers.pods.waitUntilSynced()
            },
            resync: { Self.podsOfTaintedNodes(informers) })
        self.loop = loop
        informers.nodes.subscribe { event in
            guard let node = event.versions.new else { return }
            let before = event.versions.old.map(Self.evictions) ?? []
            if Self.evictions(node) == before { return }
            for key in informers.podsByNode.keys(of: node.name) { loop.queue.add(key) }
        }
        informers.pods.subscribe { event in
            guard let pod = event.versions.new, !pod.nodeName.isEmpty, event.versions.old?.nodeName != pod.nodeName,
                let node = informers.nodes[ObjectKey(name: pod.nodeName)], !Self.evictions(node).isEmpty
            else { return }
            loop.queue.add(pod.key)
        }
    }

    func run() async {
        await context.informers.nodes.waitUntilSynced()
        await context.informers.pods.waitUntilSynced()
        // Pods that were heard of before their node.
        for key in Self.podsOfTaintedNodes(context.informers) { loop.queue.add(key) }
        await loop.run { try await reconcile($0) }
    }

    private static func podsOfTaintedNodes(_ informers: SharedInformers) -> [ObjectKey] {
        informers.nodes.all.filter { !evictions($0).isEmpty }.flatMap { informers.podsByNode.keys(of: $0.name) }
    }

    private static func evictions(_ node: Object) -> [Taint] {
        node.tree["spec"]["taints"].elements.compactMap(Taint.init).filter { $0.effect == .noExecute }
    }

    private func reconcile(_ key: ObjectKey) async throws {
        guard let pod = context.informers.pods[key], !pod.isTerminating, !pod.isFinished, !pod.nodeName.isEmpty,
            let node = context.informers.nodes[ObjectKey(name: pod.nodeName)]
        else { return }
        let tree = pod.object.tree
        let decision = EvictionDecision.decide(
            taints: Self.evictions(node), tolerations: tree["spec"]["tolerations"].elements,
            since: tree["status"]["startTime"].string.flatMap { Timestamp($0) } ?? pod.created)
        guard case .leave(let due) = decision else { return }
        let now = Timestamp.now
        if due > now {
            loop.queue.add(key, after: due - now)
            return
        }
        context.recorder.record(
            EventRecorder.Reference(pod.object), .normal, reason: "TaintManagerEviction",
            message: "Marking for deletion Pod \(key)", component: Self.component)
        try await context.client.modify(.pods, key, subresource: "status") { tree in
            guard tree["metadata"]["uid"].string == pod.uid else { return false }
            var conditions = Conditions(tree["status"]["conditions"])
            if conditions.isTrue("DisruptionTarget") { return false }
            conditions.set(
                "DisruptionTarget", "True", reason: "DeletionByTaintManager",
                message: "Taint manager: deleting due to NoExecute taint", now: now)
            tree["status"].setMember("conditions", conditions.json)
            return true
        }
        try await context.client.deleteExactly(.pods, key, uid: pod.uid)
    }
}
