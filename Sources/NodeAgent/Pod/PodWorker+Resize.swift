import ContainerRuntime
import JSON
import ObjectModel

/// What a pod holds of the node, for the question whether another may grow.
struct Allocation: Sendable, Hashable {
    var milliCPU: Int
    var memory: Int

    init(_ spec: PodSpec) {
        let resources = PodResources(spec)
        milliCPU = resources.requestMilliCPU
        memory = resources.requestMemory
    }
}

/// In-place resize (KEP-1287): what the spec asks for is *desired*, what the node granted is *allocated*. Containers are
/// started with, and the status tells, the allocated resources.
enum Resize {
    static let pending = "PodResizePending"
    static let inProgress = "PodResizeInProgress"
    static let resources = ["cpu", "memory"]

    /// What the API remembers as granted, for a pod that ran before the agent started.
    static func allocated(_ pod: Pod) -> [String: ResourceRequirements] {
        var result: [String: ResourceRequirements] = [:]
        for container in pod.spec.containers + pod.spec.initContainers where container.kind != .initial {
            let list = container.kind == .sidecar ? "initContainerStatuses" : "containerStatuses"
            let status = pod.status[list].elements.first { $0["name"].string == container.name } ?? .null
            result[container.name] =
                status["resources"].isNull ? container.resources : ResourceRequirements(status["resources"])
        }
        return result
    }

    static func differs(_ left: ResourceRequirements, _ right: ResourceRequirements) -> Bool {
        resources.contains { left.requests[$0] != right.requests[$0] || left.limits[$0] != right.limits[$0] }
    }

    /// Whether a change needs the container to start anew.
    static func needsRestart(
        _ container: ContainerSpec, from old: ResourceRequirements, to new: ResourceRequirements
    ) -> Bool {
        container.resizePolicy.contains { policy in
            guard policy["restartPolicy"].string == "RestartContainer", let name = policy["resourceName"].string else {
                return false
            }
            return old.requests[name] != new.requests[name] || old.limits[name] != new.limits[name]
        }
    }

    /// Why the node does not grant a pod's wish; nil when it does.
    /// - Parameters:
    ///   - others: what the other pods hold.
    ///   - node: what there is for pods.
    static func refusal(_ wish: Allocation, others: [Allocation], node: Allocation) -> WaitingReason? {
        let amounts: [(String, any KeyPath<Allocation, Int> & Sendable)] = [
            ("cpu", \.milliCPU), ("memory", \.memory),
        ]
        for (name, path) in amounts {
            if wish[keyPath: path] > node[keyPath: path] {
                return WaitingReason(
                    reason: "Infeasible",
                    message: "Node didn't have enough capacity: \(name), requested: \(wish[keyPath: path]), "
                        + "capacity: \(node[keyPath: path])")
            }
        }
        for (name, path) in amounts {
            let used = others.reduce(0) { $0.addingSaturated($1[keyPath: path]) }
            if wish[keyPath: path] > 0, used.addingSaturated(wish[keyPath: path]) > node[keyPath: path] {
                return WaitingReason(
                    reason: "Deferred",
                    message: "Node didn't have enough resource: \(name), requested: \(wish[keyPath: path]), "
                        + "used: \(used), capacity: \(node[keyPath: path])")
            }
        }
        return nil
    }
}

extension Allocation {
    init(milliCPU: Int, memory: Int) {
        self.milliCPU = milliCPU
        self.memory = memory
    }
}

extension PodWorker {
    /// The pod with the resources that it was granted.
    var allocatedPod: Pod {
        var result = pod
        for index in result.spec.containers.indices {
            if let granted = allocated[result.spec.containers[index].name] {
                result.spec.containers[index].resources = granted
            }
        }
        for index in result.spec.initContainers.indices {
            if let granted = allocated[result.spec.initContainers[index].name] {
                result.spec.initContainers[index].resources = granted
            }
        }
        return result
    }

    private var resized: [ContainerSpec] {
        (pod.spec.containers + pod.spec.initContainers).filter { container in
            allocated[container.name].map { Resize.differs($0, container.resources) } ?? false
        }
    }

    /// Grants what the spec asks for beyond, or below, what was granted before.
    func syncResize() {
        guard resizeTask == nil, starter == nil, ending == nil else { return }
        let changed = resized
        guard !changed.isEmpty else {
            setResize(nil, "", "")
            return
        }
        if let at = resizeRetryAt, at > .now {
            check(after: at - .now)
            return
        }
        let uid = uid
        let others = context.allocations.withLock { all in all.filter { $0.key != uid }.map(\.value) }
        let node = Allocation(milliCPU: context.allocatableMilliCPU, memory: context.allocatableMemory)
        let wish = Allocation(pod.spec)
        if let refusal = Resize.refusal(wish, others: others, node: node) {
            setResize(Resize.pending, refusal.reason, refusal.message)
            if refusal.reason == "Deferred" { check(after: .seconds(5)) }
            return
        }
        setResize(Resize.inProgress, "", "")
        context.allocations.withLock { $0[uid] = wish }
        resizeTask = Task {
            await self.applyResize(changed)
            self.resizeTask = nil
            self.wake.yield()
        }
    }

    private func applyResize(_ changed: [ContainerSpec]) async {
        let quality = QualityOfService(pod.spec)
        // The pod's own limits never stand below those of its containers on the way.
        let (old, new) = (PodResources(allocatedPod.spec), PodResources(pod.spec))
        await context.cgroups.makePod(uid, quality, old.maximum(new))
        let builder = context.configBuilder(pod)
        for container in changed {
            let before = allocated[container.name] ?? container.resources
            if let record = runtimeState.latest(container.name), record.isRunning {
                if Resize.needsRestart(container, from: before, to: container.resources) {
                    allocated[container.name] = container.resources
                    stop(ContainerKill(id: record.id, name: container.name, reason: .resized))
                    continue
                }
                do {
                    try await context.runtime.updateResources(record.id, builder.resources(container))
                } catch {
                    if Task.isCancelled { return }
                    setResize(Resize.inProgress, "Error", error.message)
                    resizeRetryAt = .now + .seconds(10)
                    check(after: .seconds(10))
                    return
                }
            }
            allocated[container.name] = container.resources
        }
        resizeRetryAt = nil
        await context.cgroups.makePod(uid, quality, PodResources(allocatedPod.spec))
    }

    /// At most one of the two conditions; nil: none.
    private func setResize(_ type: String?, _ reason: String, _ message: String) {
        moreConditions.removeAll { [Resize.pending, Resize.inProgress].contains($0["type"].string ?? "") }
        guard let type else { return }
        var condition: JSON = ["type": .string(type), "status": "True"]
        if pod.object.metadata.generation > 0 {
            condition["observedGeneration"] = JSON(pod.object.metadata.generation)
        }
        if !reason.isEmpty { condition["reason"] = .string(reason) }
        if !message.isEmpty { condition["message"] = .string(message) }
        moreConditions.append(condition)
    }
}
