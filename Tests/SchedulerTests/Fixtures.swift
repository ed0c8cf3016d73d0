import JSON
import Ledger
import ObjectModel

@testable import Scheduler

/// A node with everything valid; change what the test is about.
func node(
    _ name: String, cpu: String = "4", memory: String = "8Gi", pods: Int = 110, labels: [String: String] = [:],
    taints: JSON = [], unschedulable: Bool = false, extended: [String: String] = [:], images: JSON = []
) -> NodeView {
    var allocatable: JSON = ["cpu": .string(cpu), "memory": .string(memory), "pods": .string(String(pods))]
    for (key, value) in extended { allocatable[key] = .string(value) }
    var all = labels
    all["kubernetes.io/hostname"] = name
    return NodeView(
        Object([
            "apiVersion": "v1", "kind": "Node",
            "metadata": ["name": .string(name), "uid": .string("node-\(name)"), "labels": JSON(all)],
            "spec": ["taints": taints, "unschedulable": .bool(unschedulable)],
            "status": ["allocatable": allocatable, "images": images],
        ]))
}

/// A pod with everything valid; `spec` is merged over the default.
func pod(
    _ name: String, cpu: String? = nil, memory: String? = nil, labels: [String: String] = [:], node: String = "",
    namespace: String = "default", priority: Int = 0, owner: String = "", spec: JSON = [:], status: JSON = [:],
    deleting: Bool = false, annotations: [String: String] = [:]
) -> PodView {
    var requests: JSON = [:]
    if let cpu { requests["cpu"] = .string(cpu) }
    if let memory { requests["memory"] = .string(memory) }
    var tree: JSON = [
        "containers": [["name": "c", "image": "nginx", "resources": ["requests": requests]]],
        "schedulerName": "default-scheduler", "priority": JSON(priority),
    ]
    if !node.isEmpty { tree["nodeName"] = .string(node) }
    tree = tree.mergePatched(with: spec)
    var metadata: JSON = [
        "namespace": .string(namespace), "name": .string(name), "uid": .string("uid-\(name)"), "labels": JSON(labels),
        "resourceVersion": "1",
    ]
    if !annotations.isEmpty { metadata["annotations"] = JSON(annotations) }
    if deleting { metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z" }
    if !owner.isEmpty {
        metadata["ownerReferences"] = [["kind": "ReplicaSet", "name": "rs", "uid": .string(owner), "controller": true]]
    }
    return PodView(Object(["apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": tree, "status": status]))
}

/// A core and a clock that only the test moves.
final class Bench {
    let ledger = Ledger()
    let core: SchedulerCore
    var now = ContinuousClock.now

    init(_ nodes: [NodeView] = []) {
        core = SchedulerCore(ledger: ledger, seed: 7)
        for node in nodes { core.set(node.name, node: node, now: now) }
    }

    func set(_ pods: PodView...) {
        for pod in pods { core.set(pod.key, pod: pod, now: now) }
    }
    func delete(_ name: String, namespace: String = "default") {
        core.set(ObjectKey(namespace: namespace, name: name), pod: nil, now: now)
    }
    func schedule() -> [SchedulerCore.Decision] { core.schedule(limit: 1000, now: now) }

    /// Pod name to node, for those that were bound.
    func bound(_ decisions: [SchedulerCore.Decision]) -> [String: String] {
        var result: [String: String] = [:]
        for case .bind(let pod, let node, _) in decisions { result[pod.key.name] = node }
        return result
    }
    /// Pod name to message, for those that were not.
    func messages(_ decisions: [SchedulerCore.Decision]) -> [String: String] {
        var result: [String: String] = [:]
        for decision in decisions {
            switch decision {
            case .unschedulable(let pod, let message), .preempt(let pod, _, _, let message):
                result[pod.key.name] = message
            default: break
            }
        }
        return result
    }
    /// Schedules one pod: the node, or nil.
    func place(_ pod: PodView) -> String? {
        set(pod)
        return bound(schedule())[pod.key.name]
    }
}
