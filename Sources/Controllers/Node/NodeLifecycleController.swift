import ClusterClient
import JSON
import Logging
import ObjectModel

/// Notices nodes that fell silent, keeps the taints that follow their conditions, and marks their pods.
///
/// Silence is measured on this process's clock from the last time a heartbeat (lease or status) was seen to change: the
/// nodes' clocks do not matter, and a restart of this process gives every node a whole grace period.
struct NodeLifecycleController: Controller {
    private static let component = "node-controller"

    private struct Heartbeat {
        var token: String
        var at: ContinuousClock.Instant
        var wasReady: Bool
    }

    private let context: ControllerContext
    private let logger: Logger
    private let loop: ReconcileLoop

    init(_ context: ControllerContext) {
        self.context = context
        logger = context.logger(for: "node-lifecycle-controller")
        let informers = context.informers
        let loop = ReconcileLoop(
            workers: 4, logger: logger,
            prepare: { await informers.nodes.waitUntilSynced() }, resync: { informers.nodes.keys })
        self.loop = loop
        informers.nodes.subscribe { event in
            if let node = event.versions.new { loop.queue.add(node.key) }
        }
    }

    func run() async {
        await withTaskGroup(of: Void.self) { group in
            // Taints that follow conditions at once: a node that becomes ready takes pods a moment later.
            group.addTask {
                await loop.run { key in
                    guard let node = context.informers.nodes[key], !node.metadata.isTerminating else { return }
                    try await writeTaints(node, evicts: nil)
                }
            }
            group.addTask { await watchHeartbeats() }
        }
    }

    private func watchHeartbeats() async {
        await context.informers.nodes.waitUntilSynced()
        await context.informers.leases.waitUntilSynced()
        await context.informers.pods.waitUntilSynced()
        var heartbeats: [String: Heartbeat] = [:]
        var pace = EvictionPace()
        while !Task.isCancelled {
            let nodes = context.informers.nodes.all.sorted { $0.name < $1.name }
            let names = Set(nodes.map(\.name))
            heartbeats = heartbeats.filter { names.contains($0.key) }
            for node in nodes { await check(node, &heartbeats) }
            await taint(nodes, &pace)
            try? await Task.sleep(for: context.configuration.nodeMonitorPeriod)
        }
    }

    // MARK: Silence

    private func check(_ node: Object, _ heartbeats: inout [String: Heartbeat]) async {
        let conditions = Conditions(node.tree["status"]["conditions"])
        let ready = conditions["Ready"]
        let lease = context.informers.leases[ObjectKey(namespace: "kube-node-lease", name: node.name)]
        let renewed = lease?.tree["spec"]["renewTime"].string ?? ""
        // Our own Unknown keeps the node's last heartbeat time, so it is not taken for a sign of life.
        let token = "\(node.uid)|\(renewed)|\(ready?["lastHeartbeatTime"].string ?? "")"
        let isReady = ready?["status"].string == "True"
        var heartbeat = heartbeats[node.name] ?? Heartbeat(token: token, at: .now, wasReady: isReady)
        if heartbeats[node.name] == nil { noteNew(node) }
        if heartbeat.token != token {
            heartbeat.token = token
            heartbeat.at = .now
        }
        let configuration = context.configuration
        let grace = ready == nil ? configuration.nodeStartupGracePeriod : configuration.nodeMonitorGracePeriod
        let isSilent = heartbeat.at + grace < .now
        if isSilent, ready?["status"].string != "Unknown" { await markUnknown(node) }
        if heartbeat.wasReady && (!isReady || isSilent) {
            context.recorder.record(
                EventRecorder.Reference(node), .normal, reason: "NodeNotReady",
                message: "Node \(node.name) status is now: NodeNotReady", component: Self.component)
        }
        // A silent node cannot say that its pods are unreachable.
        if isSilent || (heartbeat.wasReady && !isReady) { await markPodsNotReady(node) }
        heartbeat.wasReady = isReady && !isSilent
        heartbeats[node.name] = heartbeat
    }

    private func noteNew(_ node: Object) {
        context.recorder.record(
            EventRecorder.Reference(node), .normal, reason: "RegisteredNode",
            message: "Node \(node.name) event: Registered Node \(node.name) in Controller", component: Self.component)
    }

    private func markUnknown(_ node: Object) async {
        logger.warning("a node is silent", metadata: ["node": "\(node.name)"])
        await attempt("a silent node could not be marked", node.name) {
            try await context.client.modify(.nodes, node.key, subresource: "status") { tree in
                guard tree["metadata"]["uid"].string == node.uid else { return false }
                tree["status"] = Self.silenced(tree["status"], created: node.metadata.creationTimestamp, now: .now)
                return true
            }
        }
    }

    /// The status of a node that does not report: what it said last is no longer known.
    static func silenced(_ status: JSON, created: Timestamp?, now: Timestamp) -> JSON {
        var conditions = Conditions(status["conditions"])
        for type in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
            if conditions[type] == nil {
                conditions.set(
                    type, "Unknown", reason: "NodeStatusNeverUpdated", message: "Kubelet never posted node status.",
                    now: now)
                conditions.edit(type) { $0["lastHeartbeatTime"] = .string((created ?? now).rfc3339) }
            } else {
                conditions.edit(type) { condition in
                    guard condition["status"].string != "Unknown" else { return }
                    condition["status"] = "Unknown"
                    condition["reason"] = "NodeStatusUnknown"
                    condition["message"] = "Kubelet stopped posting node status."
                    condition["lastTransitionTime"] = .string(now.rfc3339)
                }
            }
        }
        var status = status
        status.setMember("conditions", conditions.json)
        return status
    }

    private func markPodsNotReady(_ node: Object) async {
        let pods = context.informers.podsByNode[node.name].filter { $0.isReady && !$0.isFinished }
        await attempt("pods of a silent node could not be marked", node.name) {
            try await forEachConcurrently(pods) { [context] pod in
                try await context.client.modify(.pods, pod.key, subresource: "status") { tree in
                    var conditions = Conditions(tree["status"]["conditions"])
                    guard tree["metadata"]["uid"].string == pod.uid, conditions.isTrue("Ready") else { return false }
                    conditions.edit("Ready") { condition in
                        condition["status"] = "False"
                        condition["lastTransitionTime"] = .string(Timestamp.now.rfc3339)
                    }
                    tree["status"].setMember("conditions", conditions.json)
                    return true
                }
            }
        }
    }

    // MARK: Taints

    private func taint(_ nodes: [Object], _ pace: inout EvictionPace) async {
        var zones: [String: [(node: Object, isReady: Bool, isTainted: Bool)]] = [:]
        for node in nodes where !node.metadata.isTerminating {
            // The newest version: `check` may just have written it.
            let tree = (context.informers.nodes[node.key] ?? node).tree
            let isTainted = tree["spec"]["taints"].elements.compactMap(Taint.init).contains { taint in
                taint.effect == .noExecute && (taint.key == NodeTaints.notReady || taint.key == NodeTaints.unreachable)
            }
            let conditions = Conditions(tree["status"]["conditions"])
            // A node that has just come and not reported yet has no pods to evict; it must not use up the pace either.
            guard conditions["Ready"] != nil else { continue }
            let isReady = conditions.isTrue("Ready")
            let labels = node.metadata.labels
            let zone =
                (labels["topology.kubernetes.io/region"] ?? "") + ":" + (labels["topology.kubernetes.io/zone"] ?? "")
            zones[zone, default: []].append((node, isReady, isTainted))
        }
        let states = zones.mapValues { members in
            let ready = members.count(where: \.isReady)
            return EvictionPace.state(ready: ready, notReady: members.count - ready)
        }
        for (zone, members) in zones.sorted(by: { $0.key < $1.key }) {
            guard let state = states[zone] else { continue }
            let rate = EvictionPace.rate(of: state, size: members.count, all: Array(states.values))
            for member in members where !member.isReady {
                guard let rate else {
                    // Everything seems down: more likely it is us. Evict nothing.
                    if member.isTainted { await applyTaints(member.node, evicts: false) }
                    continue
                }
                if !member.isTainted, pace.take(zone: zone, rate: rate, now: .now) {
                    await applyTaints(member.node, evicts: true)
                }
            }
        }
    }

    private func applyTaints(_ node: Object, evicts: Bool) async {
        await attempt("taints could not be written", node.name) { try await writeTaints(node, evicts: evicts) }
    }

    private func writeTaints(_ node: Object, evicts: Bool?) async throws {
        let now = Timestamp.now
        // Cheap look at the cached version first.
        let cached = (context.informers.nodes[node.key] ?? node).tree
        if Self.taints(of: cached) == NodeTaints.desired(cached, evicts: evicts, now: now) { return }
        try await context.client.modify(.nodes, node.key) { tree in
            guard tree["metadata"]["uid"].string == node.uid else { return false }
            let desired = NodeTaints.desired(tree, evicts: evicts, now: now)
            guard Self.taints(of: tree) != desired else { return false }
            tree["spec"].setMember("taints", desired.isEmpty ? nil : .array(desired.map(\.json)))
            return true
        }
    }

    private static func taints(of node: JSON) -> [Taint] {
        node["spec"]["taints"].elements.compactMap(Taint.init)
    }

    /// Failures are logged; the next round tries again.
    private func attempt(_ failure: Logger.Message, _ node: String, _ body: () async throws -> Void) async {
        do {
            try await body()
        } catch {
            logger.warning(failure, metadata: ["node": "\(node)", "error": "\(error)"])
        }
    }
}
