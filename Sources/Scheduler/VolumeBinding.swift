import ClusterClient
import JSON
import ObjectModel

/// Pods whose claims must get their volumes before they can be bound. They wait here for whoever makes the volumes, so
/// that plain bindings do not wait behind them.
final class VolumeBindings: Sendable {
    struct Item: Sendable {
        var pod: PodView
        var node: String
        var ports: [Int]
        var plan: VolumePlan
    }
    let stream: AsyncStream<Item>
    private let continuation: AsyncStream<Item>.Continuation

    init() {
        // One entry per pod that the core has assumed: bounded by the pods that fit the cluster.
        (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .unbounded)
    }
    func add(_ pod: PodView, _ node: String, _ ports: [Int], _ plan: VolumePlan) {
        continuation.yield(Item(pod: pod, node: node, ports: ports, plan: plan))
    }
}

extension SchedulerService {
    /// How long a pod waits for its volumes before it is scheduled anew.
    private static var patience: Duration { .seconds(600) }

    struct VolumeBindingError: Error, CustomStringConvertible {
        let description: String
    }

    /// Serves `volumeBindings` until the task is cancelled.
    func bindVolumes() async {
        await withDiscardingTaskGroup { group in
            for await item in volumeBindings.stream {
                group.addTask { await self.bindVolumes(item) }
            }
        }
    }

    private func bindVolumes(_ item: VolumeBindings.Item) async {
        do {
            for (claim, volume) in item.plan.sorted(by: { $0.key < $1.key }) {
                try await prepare(claim, volume: volume, node: item.node)
            }
            try await waitUntilBound(item)
            await bind(item.pod, item.node, item.ports)
        } catch {
            if Task.isCancelled { return }
            if pods[item.pod.key]?.uid == item.pod.uid {
                record(item.pod, .warning, "FailedScheduling", "running PreBind plugin \"VolumeBinding\": \(error)")
            }
            inbox.bindingFailed(item.pod)
        }
    }

    /// Reserves the chosen volume for the claim, or says on which node one is to be made.
    private func prepare(_ key: ObjectKey, volume: String?, node: String) async throws {
        guard let claim = claims[key] else {
            throw VolumeBindingError(description: "persistentvolumeclaim \"\(key.name)\" not found")
        }
        if !claim.volumeName.isEmpty { return }
        guard let volume else {
            try await client.modify(.persistentVolumeClaims, key) { tree in
                guard tree["metadata"]["uid"].string == claim.uid,
                    tree["metadata"]["annotations"]["volume.kubernetes.io/selected-node"].string != node
                else { return false }
                tree["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = .string(node)
                return true
            }
            return
        }
        let reserved = try await client.modify(.persistentVolumes, ObjectKey(name: volume)) { tree in
            guard tree["spec"]["claimRef"].isNull else { return false }
            tree["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"] = "yes"
            tree["spec"]["claimRef"] = [
                "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": .string(key.namespace),
                "name": .string(key.name), "uid": .string(claim.uid),
            ]
            return true
        }
        let reference = reserved?.tree["spec"]["claimRef"] ?? .null
        guard reference["namespace"].string == key.namespace, reference["name"].string == key.name else {
            throw VolumeBindingError(description: "volume \"\(volume)\" already bound to a different claim.")
        }
    }

    private func waitUntilBound(_ item: VolumeBindings.Item) async throws {
        let end = ContinuousClock.now + Self.patience
        var pause = Duration.milliseconds(10)
        while true {
            let views = item.plan.keys.map { ($0, claims[$0]) }
            if views.allSatisfy({ $0.1?.volumeName.isEmpty == false }) { return }
            for (key, view) in views {
                guard let view else {
                    throw VolumeBindingError(description: "persistentvolumeclaim \"\(key.name)\" not found")
                }
                if view.isTerminating {
                    throw VolumeBindingError(description: "persistentvolumeclaim \"\(key.name)\" is being deleted")
                }
            }
            guard let pod = pods[item.pod.key], pod.uid == item.pod.uid, !pod.isTerminating else {
                throw VolumeBindingError(description: "the pod is gone")
            }
            guard ContinuousClock.now < end else {
                throw VolumeBindingError(description: "binding volumes: context deadline exceeded")
            }
            try await Task.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(200))
        }
    }
}
