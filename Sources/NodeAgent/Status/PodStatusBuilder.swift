import ContainerRuntime
import JSON
import ObjectModel

/// Why a container is not running yet.
struct WaitingReason: Sendable, Hashable {
    var reason: String
    var message: String
}

/// Builds `status` of a pod from what is known about it. Pure.
struct PodStatusBuilder: Sendable {
    var pod: Pod
    var runtime: PodRuntime
    var addresses: PodAddresses
    var startTime: Timestamp
    /// By container name.
    var waiting: [String: WaitingReason] = [:]
    /// Ids of running containers that count as started.
    var started: Set<String> = []
    /// Ids of running containers whose readiness probe succeeds.
    var ready: Set<String> = []
    /// Termination messages by container id.
    var terminationMessages: [String: String] = [:]
    /// The agent ended the pod by itself: phase Failed with this reason and message.
    var failure: WaitingReason?
    /// All containers were stopped for good.
    var isStopped = false
    /// More conditions that the agent sets: evictions, resizes.
    var moreConditions: [JSON] = []

    // MARK: The whole

    func build() -> JSON {
        let phase = phase()
        let conditions = conditions(phase)
        var status: JSON = ["observedGeneration": JSON(pod.object.metadata.generation), "phase": .string(phase)]
        if pod.object.metadata.generation == 0 { status.removeMember("observedGeneration") }
        status["conditions"] = .array(conditions + moreConditions)
        if let failure {
            status["reason"] = .string(failure.reason)
            status["message"] = .string(failure.message)
        } else if pod.isFinished {
            // Told before a restart of the agent.
            for member in ["reason", "message"] where !pod.status[member].isNull {
                status[member] = pod.status[member]
            }
        }
        if let first = addresses.host.first {
            status["hostIP"] = .string(first)
            status["hostIPs"] = .array(addresses.host.map { ["ip": .string($0)] })
        }
        if let first = addresses.pod.first {
            status["podIP"] = .string(first)
            status["podIPs"] = .array(addresses.pod.map { ["ip": .string($0)] })
        }
        status["startTime"] = .string(startTime.rfc3339)
        status["qosClass"] = .string(QualityOfService(pod.spec).rawValue)
        func list(_ member: String, _ containers: [ContainerSpec]) {
            if !containers.isEmpty { status[member] = .array(containers.map(containerStatus)) }
        }
        list("initContainerStatuses", pod.spec.initContainers)
        list("containerStatuses", pod.spec.containers)
        list("ephemeralContainerStatuses", pod.spec.ephemeralContainers)
        return status
    }

    // MARK: Containers

    private func isStarted(_ container: ContainerSpec, _ record: ContainerRecord) -> Bool {
        record.isRunning && started.contains(record.id)
    }
    private func isReady(_ container: ContainerSpec) -> Bool {
        guard let record = runtime.latest(container.name) else { return false }
        if container.kind == .initial { return record.isExited && record.exitCode == 0 }
        guard isStarted(container, record) else { return false }
        return container.readiness == nil || ready.contains(record.id)
    }

    func containerStatus(_ container: ContainerSpec) -> JSON {
        let record = runtime.latest(container.name)
        let old = oldStatus(container)
        var status: JSON = ["name": .string(container.name)]
        var state: JSON
        var last: JSON = [:]
        let reason = waiting[container.name]
        if let record, record.isRunning {
            state = ["running": ["startedAt": .string(Self.time(record.startedAt))]]
        } else if let record, record.isExited {
            state = terminated(record)
            if let reason, !isStopped {
                last = state
                state = ["waiting": Self.json(reason)]
            }
        } else if let record, record.state == .unknown || isStopped {
            state = lost(record.id)
        } else if isStopped || pod.isFinished, record == nil, let id = old["containerID"].string, !id.isEmpty {
            state = old["state"]["terminated"].isNull ? lost(id) : old["state"]
        } else {
            let initial = pod.spec.initContainers.isEmpty ? "ContainerCreating" : "PodInitializing"
            state = ["waiting": Self.json(reason ?? WaitingReason(reason: initial, message: ""))]
        }
        if last.members.isEmpty {
            if let record, let previous = runtime.previous(record) {
                last = terminated(previous)
            } else if let count = record?.attempt, count > 0, old["restartCount"].int == count {
                last = old["lastState"]
            } else if record == nil, !old["lastState"].isNull {
                last = old["lastState"]
            }
        }
        status["state"] = state
        status["lastState"] = last.isNull ? [:] : last
        status["ready"] = .bool(isReady(container))
        status["restartCount"] = JSON(record?.attempt ?? old["restartCount"].int ?? 0)
        status["image"] = .string(record.map(\.image).flatMap { $0.isEmpty ? nil : $0 } ?? container.image)
        status["imageID"] = .string(record?.imageReference ?? "")
        if let record, record.state != .created {
            status["containerID"] = .string(Self.containerID(record.id))
        } else if record == nil, let id = old["containerID"].string, isStopped || pod.isFinished {
            status["containerID"] = .string(id)
            status["imageID"] = .string(old["imageID"].string ?? "")
        }
        if container.kind != .ephemeral {
            status["started"] = .bool(record.map { isStarted(container, $0) } ?? false)
            addResources(container, to: &status)
        }
        return status
    }

    private func addResources(_ container: ContainerSpec, to status: inout JSON) {
        if !container.resources.requests.isEmpty {
            status["allocatedResources"] = ResourceRequirements.json(container.resources.requests)
        }
        if !container.resources.isEmpty {
            var resources: JSON = [:]
            if !container.resources.limits.isEmpty {
                resources["limits"] = ResourceRequirements.json(container.resources.limits)
            }
            if !container.resources.requests.isEmpty {
                resources["requests"] = ResourceRequirements.json(container.resources.requests)
            }
            status["resources"] = resources
        }
        guard !container.volumeMounts.isEmpty else { return }
        status["volumeMounts"] = .array(
            container.volumeMounts.map { mount in
                var item: JSON = ["name": mount["name"], "mountPath": mount["mountPath"]]
                if mount["readOnly"].bool == true {
                    item["readOnly"] = true
                    item["recursiveReadOnly"] = "Disabled"
                }
                return item
            })
    }

    private func oldStatus(_ container: ContainerSpec) -> JSON {
        let member =
            switch container.kind {
            case .initial, .sidecar: "initContainerStatuses"
            case .regular: "containerStatuses"
            case .ephemeral: "ephemeralContainerStatuses"
            }
        return pod.status[member].elements.first { $0["name"].string == container.name } ?? .null
    }

    private func terminated(_ record: ContainerRecord) -> JSON {
        var body: JSON = [
            "exitCode": JSON(record.exitCode),
            "reason": .string(record.reason.isEmpty ? (record.exitCode == 0 ? "Completed" : "Error") : record.reason),
        ]
        let message = terminationMessages[record.id].flatMap { $0.isEmpty ? nil : $0 } ?? record.message
        if !message.isEmpty { body["message"] = .string(message) }
        body["startedAt"] = record.startedAt > 0 ? .string(Self.time(record.startedAt)) : .null
        body["finishedAt"] = record.finishedAt > 0 ? .string(Self.time(record.finishedAt)) : .null
        body["containerID"] = .string(Self.containerID(record.id))
        return ["terminated": body]
    }
    private func lost(_ id: String) -> JSON {
        [
            "terminated": [
                "exitCode": 137, "reason": "ContainerStatusUnknown",
                "message": "The container could not be located when the pod was terminated",
                "startedAt": nil, "finishedAt": nil,
                "containerID": .string(Self.containerID(id)),
            ]
        ]
    }
    static func containerID(_ id: String) -> String {
        if id.contains("://") { return id }
        return (id.hasPrefix(ProcessRuntime.idPrefix) ? "process://" : "containerd://") + id
    }
    static func time(_ nanoseconds: Int64) -> String {
        Timestamp(microseconds: nanoseconds / 1000).rfc3339
    }
    private static func json(_ reason: WaitingReason) -> JSON {
        var body: JSON = ["reason": .string(reason.reason)]
        if !reason.message.isEmpty { body["message"] = .string(reason.message) }
        return body
    }

    // MARK: Phase

    func phase() -> String {
        if pod.isFinished { return pod.phase }
        if failure != nil { return "Failed" }
        let policy = pod.spec.restartPolicy
        let isInitialized = pod.spec.containers.contains { runtime.latest($0.name) != nil }
        var pending = false
        for container in pod.spec.initContainers where !isInitialized {
            let record = runtime.latest(container.name)
            if container.kind == .sidecar {
                if record.map({ !isStarted(container, $0) }) ?? true { pending = true }
                continue
            }
            guard let record, record.isExited else {
                pending = true
                continue
            }
            if record.exitCode != 0 {
                if !container.restarts(afterExitCode: record.exitCode, podPolicy: policy) { return "Failed" }
                pending = true
            }
        }
        var (running, stopped, succeeded, unborn, restarting) = (0, 0, 0, 0, 0)
        for container in pod.spec.containers {
            guard let record = runtime.latest(container.name), record.state != .created else {
                unborn += 1
                continue
            }
            if record.isRunning || record.state == .unknown {
                running += 1
            } else {
                stopped += 1
                if record.exitCode == 0 { succeeded += 1 }
                if container.restarts(afterExitCode: record.exitCode, podPolicy: policy) { restarting += 1 }
            }
        }
        if isStopped { return unborn == 0 && stopped == succeeded && stopped > 0 ? "Succeeded" : "Failed" }
        if pending || unborn > 0 { return "Pending" }
        if running > 0 || restarting > 0 { return "Running" }
        let hasLiveSidecar = pod.spec.initContainers.contains {
            $0.kind == .sidecar && runtime.latest($0.name)?.isRunning == true
        }
        if hasLiveSidecar { return "Running" }
        return stopped == succeeded ? "Succeeded" : "Failed"
    }

    // MARK: Conditions

    private func conditions(_ phase: String) -> [JSON] {
        let hasSandbox = runtime.sandbox?.isReady == true && (pod.spec.hostNetwork || !addresses.pod.isEmpty)
        return [
            condition("PodReadyToStartContainers", hasSandbox && phase != "Succeeded" && phase != "Failed"),
            initialized(phase),
            ready(phase),
            containersReady(phase),
            condition("PodScheduled", true),
        ]
    }

    private func condition(_ type: String, _ value: Bool, reason: String = "", message: String = "") -> JSON {
        var result: JSON = ["type": .string(type), "status": value ? "True" : "False"]
        if pod.object.metadata.generation > 0 {
            result["observedGeneration"] = JSON(pod.object.metadata.generation)
        }
        if !reason.isEmpty { result["reason"] = .string(reason) }
        if !message.isEmpty { result["message"] = .string(message) }
        return result
    }

    private func initialized(_ phase: String) -> JSON {
        let isPast = pod.spec.containers.contains { runtime.latest($0.name) != nil }
        let incomplete = pod.spec.initContainers.filter { container in
            guard let record = runtime.latest(container.name) else { return !isPast }
            if container.kind == .sidecar { return !isPast && !isStarted(container, record) }
            return !(record.isExited && record.exitCode == 0)
        }
        if phase == "Succeeded" { return condition("Initialized", true, reason: "PodCompleted") }
        guard !incomplete.isEmpty else { return condition("Initialized", true) }
        return condition(
            "Initialized", false, reason: "ContainersNotInitialized",
            message: "containers with incomplete status: [\(incomplete.map(\.name).joined(separator: " "))]")
    }

    private func containersReady(_ phase: String, type: String = "ContainersReady") -> JSON {
        if phase == "Succeeded" { return condition(type, false, reason: "PodCompleted") }
        if phase == "Failed" { return condition(type, false, reason: "PodFailed") }
        let relevant = pod.spec.initContainers.filter { $0.kind == .sidecar } + pod.spec.containers
        let unready = relevant.filter { !isReady($0) }
        guard !unready.isEmpty else { return condition(type, true) }
        return condition(
            type, false, reason: "ContainersNotReady",
            message: "containers with unready status: [\(unready.map(\.name).joined(separator: " "))]")
    }

    private func ready(_ phase: String) -> JSON {
        let containers = containersReady(phase, type: "Ready")
        guard containers["status"].string == "True" else { return containers }
        let missing = pod.spec.readinessGates.compactMap { gate -> String? in
            let found = pod.status["conditions"].elements.first { $0["type"].string == gate }
            guard let found else { return "corresponding condition of pod readiness gate \"\(gate)\" does not exist." }
            return found["status"].string == "True"
                ? nil
                : "the status of pod readiness gate \"\(gate)\" is not \"True\", but \(found["status"].string ?? "")"
        }
        guard !missing.isEmpty else { return containers }
        return condition(
            "Ready", false, reason: "ReadinessGatesNotReady",
            message: missing.count == 1 ? missing[0] : "[\(missing.joined(separator: ", "))]")
    }
}
