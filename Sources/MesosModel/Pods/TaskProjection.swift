public import JSON
import ObjectModel

/// What Mesos says of a pod: each task's state, computed from the pod object alone.
///
/// One rule for all windows, so that a status can be said again after a restart and is the same, its uuid too.
public struct TaskProjection: Sendable {
    /// TaskInfo of the task; for pods of Kubernetes, one that is made up from the pod.
    public var info: JSON
    public var taskID: String
    public var name: String
    /// The container that runs it; empty for a whole pod of Kubernetes.
    public var container: String
    /// Nil for pods of Kubernetes and Marathon.
    public var frameworkID: String?
    /// The executor's id; that of a command task is the task's.
    public var executorID: String
    /// True when the executor is one that the system makes up for a command task.
    public var isCommandTask: Bool
    public var agentID: String?
    public var role: String
    /// The newest state.
    public var state: TaskState
    /// The states that the task went through, the newest last. A framework must be told those that it was not told, in
    /// this order: a task that was started is never terminal before it was TASK_RUNNING.
    public var passed: [TaskState]

    private var facts: ContainerFacts
    private var pod: PodFacts

    /// Names of task states in the order of their enum.
    public enum TaskState: String, Sendable, Hashable, CaseIterable {
        case staging = "TASK_STAGING"
        case starting = "TASK_STARTING"
        case running = "TASK_RUNNING"
        case killing = "TASK_KILLING"
        case finished = "TASK_FINISHED"
        case failed = "TASK_FAILED"
        case killed = "TASK_KILLED"
        case error = "TASK_ERROR"
        case lost = "TASK_LOST"
        case dropped = "TASK_DROPPED"
        case unreachable = "TASK_UNREACHABLE"
        case gone = "TASK_GONE"
        case goneByOperator = "TASK_GONE_BY_OPERATOR"
        case unknown = "TASK_UNKNOWN"

        /// True for states that no other follows.
        public var isTerminal: Bool {
            switch self {
            case .finished, .failed, .killed, .error, .lost, .dropped, .gone, .goneByOperator: true
            default: false
            }
        }
        /// The state as a framework without PARTITION_AWARE is told it.
        public var withoutPartitions: TaskState {
            switch self {
            case .dropped, .unreachable, .gone, .goneByOperator, .unknown: .lost
            default: self
            }
        }
    }

    /// The tasks of a pod: one of a command task, one for each member of a group, none for a custom executor's pod (its
    /// tasks are objects of their own), one for any other pod.
    /// - Parameter isNodeLost: true when the pod's node is not heard of.
    public static func tasks(of pod: JSON, isNodeLost: Bool = false) -> [TaskProjection] {
        let facts = PodFacts(pod, isNodeLost: isNodeLost)
        let annotations = pod["metadata"]["annotations"]
        if annotations[MesosNames.executorAnnotation].string != nil { return [] }
        if let text = annotations[MesosNames.taskGroupAnnotation].string, let group = try? JSON.parse(text) {
            let executor = group["executor"]["executor_id"]["value"].string ?? ""
            let tasks = group["tasks"].elements
            let ids = tasks.map { $0["task_id"]["value"].string ?? "" }
            let names = MesosNames.containerNames(ofTasks: ids)
            return zip(tasks, names).map { task, name in
                TaskProjection(
                    AssignedPorts.resolve(task: task, annotations), container: name, executorID: executor, pod: facts)
            }
        }
        if let text = annotations[MesosNames.taskAnnotation].string, let task = try? JSON.parse(text) {
            return [
                TaskProjection(
                    AssignedPorts.resolve(task: task, annotations), container: MesosNames.taskContainer,
                    executorID: nil, pod: facts)
            ]
        }
        return [TaskProjection(facts.inventedTask, container: "", executorID: nil, pod: facts)]
    }

    private init(_ info: JSON, container: String, executorID: String?, pod: PodFacts) {
        self.info = info
        self.container = container
        self.pod = pod
        taskID = info["task_id"]["value"].string ?? ""
        name = info["name"].string ?? ""
        frameworkID = pod.labels[MesosNames.frameworkLabel]
        isCommandTask = executorID == nil
        self.executorID = executorID ?? taskID
        agentID = pod.annotations[MesosNames.agentAnnotation] ?? info["agent_id"]["value"].string
        role =
            pod.annotations[MesosNames.roleAnnotation]
            ?? MesosNames.role(ofNamespace: pod.namespace)
        facts = container.isEmpty ? pod.wholePod : pod.container(container)
        state = .staging
        passed = []
        state = judged(facts).state
        passed = way(to: state)
    }

    private func way(to state: TaskState) -> [TaskState] {
        switch state {
        case .staging: return [.staging]
        case .starting: return [.starting]
        case .running: return [.starting, .running]
        case .killing: return facts.hasStarted ? [.starting, .running, .killing] : [.killing]
        case .unreachable: return facts.hasStarted ? [.starting, .running, .unreachable] : [.unreachable]
        default: return facts.hasStarted ? [.starting, .running, state] : [state]
        }
    }

    // MARK: Judging

    private struct Verdict {
        var state: TaskState
        var message: String?
        var reason: String?
        var source = "SOURCE_EXECUTOR"
    }

    private func judged(_ facts: ContainerFacts) -> Verdict {
        switch facts.phase {
        case .terminated: return ended(facts)
        case _ where pod.isNodeLost:
            return Verdict(
                state: .unreachable, message: "Agent is unreachable", reason: "REASON_AGENT_REMOVED",
                source: "SOURCE_MASTER")
        case .failed(let message):
            if pod.isKilled(before: nil) { return killed(facts) }
            return Verdict(
                state: .failed, message: message, reason: "REASON_CONTAINER_LAUNCH_FAILED", source: "SOURCE_AGENT")
        case .waiting: return pod.isDeleted ? Verdict(state: .killing) : Verdict(state: .staging)
        case .created: return pod.isDeleted ? Verdict(state: .killing) : Verdict(state: .starting)
        case .running: return pod.isDeleted ? Verdict(state: .killing) : Verdict(state: .running)
        }
    }

    private func ended(_ facts: ContainerFacts) -> Verdict {
        // Who ended by itself before anybody asked has its own end.
        if pod.isKilled(before: facts.finished) { return killed(facts) }
        switch facts.reason {
        case "OOMKilled":
            return Verdict(
                state: .failed, message: "Memory limit exceeded", reason: "REASON_CONTAINER_LIMITATION_MEMORY",
                source: "SOURCE_AGENT")
        case "FetchFailed", "StartError", "ContainerCannotRun", "CreateContainerError", "RunContainerError":
            return Verdict(
                state: .failed, message: facts.message ?? "Failed to launch container: \(facts.reason ?? "")",
                reason: "REASON_CONTAINER_LAUNCH_FAILED", source: "SOURCE_AGENT")
        default: break
        }
        if pod.reason == "DeadlineExceeded", !pod.isBeforeDeadline(facts.finished) {
            return Verdict(
                state: .failed, message: "Task exceeded its max_completion_time",
                reason: "REASON_MAX_COMPLETION_TIME_REACHED")
        }
        if pod.reason == "Evicted" {
            let text = pod.message ?? "Pod was evicted"
            return Verdict(
                state: .failed, message: text, reason: Self.reason(ofEviction: text), source: "SOURCE_AGENT")
        }
        if pod.isUnhealthy(container) { return Verdict(state: .killed, message: facts.endText) }
        if facts.exitCode == 0 { return Verdict(state: .finished, message: "Command exited with status 0") }
        return Verdict(
            state: .failed, message: facts.endText, reason: "REASON_COMMAND_EXECUTOR_FAILED")
    }

    /// The reason of a task's end when the node evicted its pod, by the node's words: more disk than it may, or the
    /// node's own need.
    public static func reason(ofEviction message: String) -> String {
        let signs = ["local storage usage exceeds", "local ephemeral storage limit", "EmptyDir volume"]
        return signs.contains(where: message.contains)
            ? "REASON_CONTAINER_LIMITATION_DISK" : "REASON_CONTAINER_LIMITATION"
    }

    private func killed(_ facts: ContainerFacts) -> Verdict {
        guard let text = pod.annotations[MesosNames.killAnnotation] else {
            return Verdict(state: .killed, message: "Pod was deleted", source: "SOURCE_AGENT")
        }
        // The annotation may begin with a reason's name, and goes on with text for people.
        let first = text.prefix { $0 != " " && $0 != ":" }
        guard first.hasPrefix("REASON_") else {
            // Of what it asked for itself a framework is told how it went.
            let isPlain = text.isEmpty || text == MesosNames.frameworkKill && facts.hasStarted
            return Verdict(state: .killed, message: isPlain ? facts.endText : text)
        }
        if first == "REASON_MAX_COMPLETION_TIME_REACHED", !isCommandTask,
            text != MesosNames.overdueKill(taskID: taskID)
        {
            return Verdict(state: .killed, message: "A task of the group exceeded its max_completion_time")
        }
        let rest = text.dropFirst(first.count).drop { $0 == ":" || $0 == " " }
        return Verdict(
            state: first == "REASON_MAX_COMPLETION_TIME_REACHED" ? .failed : .killed,
            message: rest.isEmpty ? facts.endText : String(rest), reason: String(first),
            source: first == "REASON_FRAMEWORK_REMOVED" ? "SOURCE_MASTER" : "SOURCE_EXECUTOR")
    }

    // MARK: Status

    /// TaskStatus of the newest state.
    public var status: JSON { status(of: state) }

    /// TaskStatus of a state in `passed`; its uuid depends on pod, task, state and health alone.
    public func status(of state: TaskState) -> JSON {
        let verdict = state == self.state ? judged(facts) : Verdict(state: state)
        var status: JSON = ["task_id": ["value": .string(taskID)], "state": .string(state.rawValue)]
        status.setMember("message", verdict.message.map(JSON.string))
        status["source"] = .string(verdict.source)
        status.setMember("reason", verdict.reason.map(JSON.string))
        if let agentID { status["agent_id"] = ["value": .string(agentID)] }
        status["executor_id"] = ["value": .string(executorID)]
        status.setMember("timestamp", timestamp(of: state).map { .number(JSONNumber(text: $0.description)) })
        if state == .running || state == .killing {
            status.setMember("healthy", healthy.map(JSON.bool))
            status.setMember("check_status", checkStatus)
            if state == .running, healthy != nil {
                status["reason"] = "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED"
            } else if state == .running, checkResult != nil {
                status["reason"] = "REASON_TASK_CHECK_STATUS_UPDATED"
            }
        } else if state == .killed, pod.isUnhealthy(container) {
            status["healthy"] = false
        }
        if verdict.reason == "REASON_CONTAINER_LIMITATION_MEMORY" {
            status["limitation"] = ["resources": .array(info["resources"].elements.filter { $0["name"] == "mem" })]
        }
        if verdict.reason == "REASON_CONTAINER_LIMITATION_DISK" {
            status["limitation"] = ["resources": .array(info["resources"].elements.filter { $0["name"] == "disk" })]
        }
        if state == .unreachable {
            status["unreachable_time"] = ["nanoseconds": .integer(Int64(bounded: (timestamp(of: state) ?? 0) * 1e9))]
        }
        status.setMember("labels", info["labels"])
        status["container_status"] = containerStatus
        status["uuid"] = .string(Base64.encode(uuid(of: state)))
        return status
    }

    /// The sixteen bytes that acknowledge a state.
    public func uuid(of state: TaskState) -> [UInt8] {
        let health = state == .running ? healthy.map { $0 ? "healthy" : "unhealthy" } ?? "" : ""
        var parts = [pod.uid, taskID, state.rawValue, health]
        if state == .running, let result = checkResult { parts.append("\(result.isSuccess) \(result.code ?? -1)") }
        return MesosNames.uuidBytes(parts)
    }

    /// The result of the task's health check; nil without one, or before its first result.
    public var healthy: Bool? {
        guard !info["health_check"].isNull, facts.phase == .running else { return nil }
        if pod.isUnhealthy(container) { return false }
        return facts.isReady ? true : facts.isPastStartup ? false : nil
    }

    /// The newest result of the task's check; nil without one, and before its first result.
    private var checkResult: (isSuccess: Bool, code: Int?)? {
        guard !info["check"].isNull, facts.phase == .running else { return nil }
        return pod.check(container)
    }

    private var checkStatus: JSON? {
        guard let type = info["check"]["type"].string, facts.phase == .running else { return nil }
        var result: JSON = ["type": .string(type)]
        // Without a result, as before the first and after one that took too long, the message is there and empty.
        switch type {
        case "COMMAND":
            result["command"] = [:]
            if let code = checkResult?.code { result["command"]["exit_code"] = JSON(code) }
        case "HTTP":
            result["http"] = [:]
            if let code = checkResult?.code { result["http"]["status_code"] = JSON(code) }
        case "TCP":
            result["tcp"] = [:]
            if let found = checkResult { result["tcp"]["succeeded"] = .bool(found.isSuccess) }
        default: return nil
        }
        return result
    }

    /// Seconds since 1970 at which the task came into a state, as far as the pod says.
    public func timestamp(of state: TaskState) -> Double? {
        let text: String? =
            switch state {
            case .staging: pod.created
            case .starting, .running: facts.started ?? pod.created
            case .killing: pod.deletionRequested ?? pod.deleted
            default: facts.finished ?? pod.deleted ?? facts.started ?? pod.created
            }
        return text.flatMap { Timestamp($0) }.map { Double($0.microseconds) / 1e6 }
    }

    /// The ContainerStatus message: a stable container id and the pod's addresses.
    public var containerStatus: JSON {
        var id: JSON = ["value": .string(containerID)]
        if !isCommandTask { id["parent"] = ["value": .string(pod.uid)] }
        var status: JSON = ["container_id": id]
        if !pod.addresses.isEmpty {
            let addresses = pod.addresses.map { address -> JSON in
                ["protocol": address.contains(":") ? "IPv6" : "IPv4", "ip_address": .string(address)]
            }
            status["network_infos"] = [["ip_addresses": .array(addresses)]]
        }
        return status
    }

    /// The container's id as Mesos knows it: the pod's uid for a command task, one made from it for a member of a group.
    public var containerID: String {
        isCommandTask ? pod.uid : MesosNames.uuid(of: pod.uid, container)
    }
}
