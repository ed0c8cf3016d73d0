import ClusterClient
import JSON
import ObjectModel
import Synchronization

/// Scales workloads by what their pods use. Every 15 s, and at once when an autoscaler changes.
///
/// Earlier recommendations and scale events are kept in memory only: after a restart the current number counts as the
/// first recommendation, so nothing is scaled down sooner than it would have been.
struct AutoscalingController: Controller {
    static let component = "horizontal-pod-autoscaler"
    static let period: Duration = .seconds(15)

    private struct History {
        var recommendations: [ScalingLimits.Recommendation] = []
        var events: [ScalingLimits.Event] = []
    }
    private final class Memory: Sendable {
        let histories = Mutex<[ObjectKey: History]>([:])
    }

    private let context: ControllerContext
    private let loop: ReconcileLoop
    private let memory = Memory()

    init(_ context: ControllerContext) {
        self.context = context
        let informers = context.informers
        let loop = ReconcileLoop(
            workers: 2, logger: context.logger(for: Self.component),
            prepare: {
                await informers.autoscalers.waitUntilSynced()
                await informers.pods.waitUntilSynced()
            },
            resync: { informers.autoscalers.keys })
        self.loop = loop
        informers.autoscalers.subscribe { event in
            switch event {
            case .added(let scaler): loop.queue.add(scaler.key)
            case .modified(let old, let new):
                if old.tree["spec"] != new.tree["spec"] { loop.queue.add(new.key) }
            case .deleted(let scaler): loop.queue.add(scaler.key)
            }
        }
    }

    func run() async {
        await loop.run(resyncEvery: Self.period) { try await reconcile($0) }
    }

    private func reconcile(_ key: ObjectKey) async throws {
        guard let scaler = context.informers.autoscalers[key], !scaler.metadata.isTerminating else {
            memory.histories.withLock { _ = $0.removeValue(forKey: key) }
            return
        }
        var pass = AutoscalingPass(scaler: scaler, context: context)
        let target: AutoscalingPass.Target
        do {
            target = try await pass.target()
        } catch {
            pass.condition(
                "AbleToScale", false, "FailedGetScale",
                "the HPA controller was unable to get the target's current scale: \(error)")
            pass.record(.warning, "FailedGetScale", "\(error)")
            return try await pass.writeStatus(current: nil, desired: nil)
        }
        pass.condition(
            "AbleToScale", true, "SucceededGetScale",
            "the HPA controller was able to get the target's current scale")
        var history = memory.histories.withLock { $0[key] } ?? History()
        if history.recommendations.isEmpty {
            history.recommendations = [.init(at: pass.now, replicas: target.replicas)]
        }
        guard let wanted = await pass.decide(target, history.recommendations, history.events) else {
            memory.histories.withLock { $0[key] = history }
            return try await pass.writeStatus(current: target.replicas, desired: target.replicas)
        }
        if let proposed = wanted.recommendation {
            history.recommendations.append(.init(at: pass.now, replicas: proposed))
        }
        if wanted.replicas != target.replicas {
            try await pass.scale(target, to: wanted.replicas, reason: wanted.reason)
            history.events.append(.init(at: pass.now, change: wanted.replicas - target.replicas))
        } else if !wanted.isStabilized {
            pass.condition("AbleToScale", true, "ReadyForNewScale", "recommended size matches current size")
        }
        let horizon = ScalingLimits(scaler.tree["spec"]).memory
        history.recommendations.removeAll { $0.at + horizon < pass.now }
        history.events.removeAll { $0.at + horizon < pass.now }
        memory.histories.withLock { $0[key] = history }
        try await pass.writeStatus(current: target.replicas, desired: wanted.replicas)
    }
}
