import ClusterClient
import JSON
import Logging
import ObjectModel
import Synchronization

/// Removes pods that no node agent will remove: of nodes that are gone, terminating ones that never got a node, on
/// nodes marked out of service, and finished ones when there are too many.
struct PodGarbageController: Controller {
    private static let period: Duration = .seconds(20)
    /// How long a node must be missing before its pods are removed.
    private static let quarantine: Duration = .seconds(40)

    private let context: ControllerContext
    private let logger: Logger

    init(_ context: ControllerContext) {
        self.context = context
        logger = context.logger(for: "pod-garbage-collector-controller")
    }

    func run() async {
        await context.informers.pods.waitUntilSynced()
        await context.informers.nodes.waitUntilSynced()
        var missing: [String: ContinuousClock.Instant] = [:]
        while !Task.isCancelled {
            let pods = context.informers.pods.all
            await removeOfLostNodes(pods, &missing)
            await remove(pods.filter { $0.isTerminating && $0.nodeName.isEmpty && !$0.isFinished }, isForced: false)
            await remove(outOfService(pods), isForced: true)
            let finished = pods.filter { $0.isFinished && !$0.isTerminating }
            let excess = finished.count - context.configuration.terminatedPodThreshold
            if excess > 0 {
                await remove(
                    Array(finished.sorted { ($0.created, $0.uid) < ($1.created, $1.uid) }.prefix(excess)),
                    isForced: false)
            }
            try? await Task.sleep(for: Self.period)
        }
    }

    private func removeOfLostNodes(_ pods: [PodView], _ missing: inout [String: ContinuousClock.Instant]) async {
        let now = ContinuousClock.now
        let names = Set(pods.map(\.nodeName)).filter { name in
            !name.isEmpty && context.informers.nodes[ObjectKey(name: name)] == nil
        }
        missing = missing.filter { names.contains($0.key) }
        for name in names where missing[name] == nil { missing[name] = now }
        for (name, since) in missing where since + Self.quarantine <= now {
            // The cache may lag behind a node that has just come.
            let found: Object?? = try? await context.client.find(.nodes, ObjectKey(name: name))
            guard case .some(.none) = found else { continue }
            await remove(pods.filter { $0.nodeName == name }, isForced: true)
        }
    }

    private func outOfService(_ pods: [PodView]) -> [PodView] {
        let nodes = context.informers.nodes.all.filter { node in
            let tree = node.tree
            return tree["spec"]["taints"].elements.contains { $0["key"].string == "node.kubernetes.io/out-of-service" }
                && !Conditions(tree["status"]["conditions"]).isTrue("Ready")
        }
        guard !nodes.isEmpty else { return [] }
        let names = Set(nodes.map(\.name))
        return pods.filter { $0.isTerminating && names.contains($0.nodeName) }
    }

    /// - Parameter isForced: the pod's node is gone: it is marked Failed first, so that its owner counts it right.
    private func remove(_ pods: [PodView], isForced: Bool) async {
        try? await forEachConcurrently(pods) { [context, logger] pod in
            do {
                if isForced, !pod.isFinished { try await Self.fail(pod, context.client) }
                try await context.client.deleteExactly(.pods, pod.key, uid: pod.uid, gracePeriodSeconds: 0)
            } catch {
                logger.warning("a pod could not be removed", metadata: ["pod": "\(pod.key)", "error": "\(error)"])
            }
        }
    }

    private static func fail(_ pod: PodView, _ client: ClusterClient) async throws {
        try await client.modify(.pods, pod.key, subresource: "status") { tree in
            guard tree["metadata"]["uid"].string == pod.uid else { return false }
            tree["status"]["phase"] = "Failed"
            var conditions = Conditions(tree["status"]["conditions"])
            conditions.set(
                "DisruptionTarget", "True", reason: "DeletionByPodGC", message: "PodGC: node no longer exists",
                now: .now)
            tree["status"].setMember("conditions", conditions.json)
            return true
        }
    }
}
