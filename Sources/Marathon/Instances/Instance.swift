import JSON
import MesosModel
import ObjectModel

/// Names that Marathon gives its pods besides those that the windows share.
enum MarathonNames {
    /// Annotation of pods: the id of the app or pod, which labels may not hold in full.
    static let specAnnotation = "marathon.apus.dev/id"
    /// Annotation of pods, and of stored definitions: the version.
    static let versionAnnotation = "marathon.apus.dev/version"
    /// Annotation of stored definitions: what Marathon wrote; another content is somebody else's change.
    static let digestAnnotation = "marathon.apus.dev/digest"
    /// Annotation of stored definitions: why somebody's change was not taken.
    static let problemAnnotation = "marathon.apus.dev/problem"
    /// Annotation of pods: `app` or `pod`.
    static let kindAnnotation = "marathon.apus.dev/kind"
    /// Annotation of pods: the placement constraints, as apps write them.
    static let constraintsAnnotation = "marathon.apus.dev/constraints"
    /// Annotation of pods: the role of the app.
    static let rolesAnnotation = "marathon.apus.dev/accepted-resource-roles"
    /// Annotation of the pods of Marathon's pods: names of the tasks, by container.
    static let tasksAnnotation = "marathon.apus.dev/tasks"
    /// Annotation of pods: `localVolumes` of their tasks.
    static let volumesAnnotation = "marathon.apus.dev/volumes"
    /// A ConfigMap in `kube-system` whose keys are further names of the pod network.
    static let networks = "virtual-networks"
    /// Annotation of pods that cannot start: why.
    static let failureAnnotation = "marathon.apus.dev/launch-failure"
    /// Annotation of claims: how often their instance was started.
    static let attemptAnnotation = "marathon.apus.dev/attempt"
    /// Condition of pods: what the health check at a place says, when Marathon runs it itself.
    static func gate(_ index: Int) -> String { gatePrefix + String(index) }
    static let gatePrefix = "marathon.apus.dev/health-"
    /// The frameworkID annotation.
    static let frameworkLabel = MesosNames.frameworkLabel
}

/// One instance of an app or pod, read from its Kubernetes pod.
final class Instance: Sendable {
    /// One container of it, as a Mesos task.
    struct Task: Sendable, Hashable {
        var id: String
        var container: String
        var state: String
        var message: String
        var startedAt: Timestamp?
        var finishedAt: Timestamp?
        var exitCode: Int?
        var containerID: String
        var isReady: Bool

        var isTerminal: Bool { Instance.terminal.contains(state) }
    }
    static let terminal: Set<String> = [
        "TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_LOST", "TASK_ERROR", "TASK_DROPPED", "TASK_GONE",
    ]

    let object: Object
    let spec: PathID
    let kind: RunSpec.Kind
    /// `web.instance-<uuid>`.
    let id: String
    let version: String
    let role: String
    let frameworkID: String
    let node: String
    let host: String
    let podIP: String
    let agentID: String
    /// Host ports in the order of the app's ports; an unmapped one is left out.
    let ports: [Int]
    let tasks: [Task]
    let isTerminating: Bool
    /// Why Marathon killed it; nil: it did not.
    let killReason: String?
    /// Why it cannot start; nil: nothing is known to hinder it.
    let launchFailure: String?
    /// The failure is noted on the pod, which ends for it.
    let isLaunchGivenUp: Bool
    let stagedAt: Timestamp
    /// When it was bound to a node.
    let readySince: Timestamp?
    let isReady: Bool
    /// What the scheduler said last, while it has no node.
    let pendingReason: String?
    let hasHealthChecks: Bool
    /// Places of the health checks that Marathon runs itself.
    let gates: [Int]
    /// What those checks said, and since when.
    let verdicts: [Int: (isAlive: Bool, since: Timestamp)]
    /// What the node's own check says, when there are others beside it.
    let probeVerdict: (isAlive: Bool, since: Timestamp)?
    /// Its persistent volumes, as tasks show them.
    let localVolumes: [JSON]
    /// The last part of its id: what its volumes are found by.
    let uuid: String

    /// What it is of, as far as it tells by itself.
    var definition: RunSpec { RunSpec(kind: kind, json: ["id": .string(spec.text), "role": .string(role)]) }
    var key: ObjectKey { object.key }
    var uid: String { object.uid }
    var isBound: Bool { !node.isEmpty }
    var isTerminal: Bool { tasks.allSatisfy(\.isTerminal) || isFinished }
    private let isFinished: Bool
    var isActive: Bool { !isTerminal && !isTerminating }
    var isRunning: Bool { !isTerminal && !isTerminating && tasks.allSatisfy { $0.state == "TASK_RUNNING" } }
    /// Alive by its checks; nil: it has none, or they said nothing yet.
    var isHealthy: Bool? { hasHealthChecks ? (isRunning ? isReady : false) : nil }
    var startedAt: Timestamp? { tasks.compactMap(\.startedAt).max() }

    init(_ object: Object) {
        self.object = object
        let tree = object.tree
        let annotations = tree["metadata"]["annotations"]
        let status = tree["status"]
        spec = PathID(annotations[MarathonNames.specAnnotation].string ?? "")
        kind = annotations[MarathonNames.kindAnnotation].string.flatMap(RunSpec.Kind.init) ?? .app
        id =
            tree["metadata"]["labels"][MesosNames.marathonInstanceLabel].string.map { [spec] in
                "\(spec.underscored).instance-\($0)"
            } ?? object.name
        uuid = tree["metadata"]["labels"][MesosNames.marathonInstanceLabel].string ?? ""
        localVolumes =
            annotations[MarathonNames.volumesAnnotation].string.flatMap { try? JSON.parse($0.utf8) }?.elements ?? []
        version = annotations[MarathonNames.versionAnnotation].string ?? ""
        role = annotations[MesosNames.roleAnnotation].string ?? "*"
        frameworkID = tree["metadata"]["labels"][MesosNames.frameworkLabel].string ?? ""
        node = tree["spec"]["nodeName"].string ?? ""
        podIP = status["podIP"].string ?? ""
        let hostIP = status["hostIP"].string ?? ""
        host = hostIP.isEmpty ? node : hostIP
        agentID = annotations[MesosNames.agentAnnotation].string ?? node
        ports = (annotations[MesosNames.assignedPortsAnnotation].string ?? "").split(separator: ",").compactMap {
            Int($0)
        }
        isTerminating = object.metadata.isTerminating
        killReason = annotations[MesosNames.killAnnotation].string
        let failure = annotations[MarathonNames.failureAnnotation].string
        launchFailure = failure ?? Self.launchFailure(status)
        isLaunchGivenUp = failure != nil
        stagedAt = object.metadata.creationTimestamp ?? .now
        let phase = status["phase"].string ?? "Pending"
        isFinished = phase == "Succeeded" || phase == "Failed"
        let conditions = status["conditions"].elements
        let ready = conditions.first { $0["type"].string == "Ready" }
        isReady = ready?["status"].string == "True"
        readySince = ready?["lastTransitionTime"].string.flatMap { Timestamp($0) }
        func place(_ type: JSON) -> Int? {
            guard let type = type.string, type.hasPrefix(MarathonNames.gatePrefix) else { return nil }
            return Int(type.dropFirst(MarathonNames.gatePrefix.count))
        }
        func verdict(_ condition: JSON) -> (isAlive: Bool, since: Timestamp) {
            (
                condition["status"].string == "True",
                condition["lastTransitionTime"].string.flatMap { Timestamp($0) } ?? .now
            )
        }
        gates = tree["spec"]["readinessGates"].elements.compactMap { place($0["conditionType"]) }
        var verdicts: [Int: (isAlive: Bool, since: Timestamp)] = [:]
        if !gates.isEmpty {
            for condition in conditions {
                if let index = place(condition["type"]) { verdicts[index] = verdict(condition) }
            }
        }
        self.verdicts = verdicts
        probeVerdict =
            gates.isEmpty ? nil : conditions.first { $0["type"].string == "ContainersReady" }.map(verdict)
        let scheduled = conditions.first { $0["type"].string == "PodScheduled" }
        pendingReason = scheduled?["status"].string == "False" ? scheduled?["message"].string : nil
        hasHealthChecks = tree["spec"]["containers"].elements.contains { !$0["readinessProbe"].isNull }
        tasks = Self.tasks(tree, status, [isTerminating, isFinished], node: node)
    }

    /// Reasons to wait that no waiting ends.
    private static let hopeless: Set<String> = [
        "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError",
        "CreateContainerError", "RunContainerError",
    ]
    private static func launchFailure(_ status: JSON) -> String? {
        for entry in status["containerStatuses"].elements {
            let waiting = entry["state"]["waiting"]
            guard let reason = waiting["reason"].string, hopeless.contains(reason) else { continue }
            return "Failed to launch container: " + (waiting["message"].string ?? reason)
        }
        return nil
    }

    private static func tasks(_ tree: JSON, _ status: JSON, _ flags: [Bool], node: String) -> [Task] {
        let names = tree["metadata"]["annotations"][MarathonNames.tasksAnnotation].string.flatMap {
            try? JSON.parse($0.utf8)
        }
        var statuses: [String: JSON] = [:]
        for entry in status["containerStatuses"].elements { statuses[entry["name"].string ?? ""] = entry }
        return tree["spec"]["containers"].elements.map { container in
            let name = container["name"].string ?? ""
            let entry = statuses[name] ?? .null
            var task = Task(
                id: names?[name].string ?? name, container: name, state: "TASK_STAGING", message: "",
                startedAt: nil, finishedAt: nil, exitCode: nil, containerID: entry["containerID"].string ?? "",
                isReady: entry["ready"].bool ?? false)
            Self.fill(&task, entry["state"], status, isTerminating: flags[0], isFinished: flags[1])
            if let failure = tree["metadata"]["annotations"][MarathonNames.failureAnnotation].string, flags[1] {
                task.state = "TASK_FAILED"
                task.message = failure
            }
            return task
        }
    }

    private static func fill(
        _ task: inout Task, _ state: JSON, _ status: JSON, isTerminating: Bool, isFinished: Bool
    ) {
        if !state["running"].isNull {
            task.startedAt = state["running"]["startedAt"].string.flatMap { Timestamp($0) }
            task.state = isTerminating ? "TASK_KILLING" : "TASK_RUNNING"
        } else if !state["terminated"].isNull {
            let end = state["terminated"]
            task.startedAt = end["startedAt"].string.flatMap { Timestamp($0) }
            task.finishedAt = end["finishedAt"].string.flatMap { Timestamp($0) }
            let code = end["exitCode"].int ?? 0
            task.exitCode = code
            let reason = end["reason"].string ?? ""
            if isTerminating {
                task.state = "TASK_KILLED"
                task.message = "Command terminated with signal \(code > 128 ? Self.signal(code - 128) : "Terminated")"
            } else if reason == "OOMKilled" {
                task.state = "TASK_FAILED"
                task.message = "Memory limit exceeded: " + (end["message"].string ?? "the container was killed")
            } else if code == 0 {
                task.state = "TASK_FINISHED"
                task.message = "Command exited with status 0"
            } else {
                task.state = "TASK_FAILED"
                let text = end["message"].string ?? ""
                task.message =
                    code > 128 && code < 160
                    ? "Command terminated with signal \(Self.signal(code - 128))" : "Command exited with status \(code)"
                if reason == "FetchFailed" || reason.contains("Error") && !text.isEmpty && code == 128 {
                    task.message = text.isEmpty ? reason : text
                }
            }
        } else if isFinished {
            task.state = status["phase"].string == "Succeeded" ? "TASK_FINISHED" : "TASK_FAILED"
            task.message = [status["reason"].string, status["message"].string].compactMap(\.self).joined(
                separator: ": ")
            task.finishedAt = .now
        } else {
            let waiting = state["waiting"]["reason"].string ?? ""
            if isTerminating {
                task.state = "TASK_KILLING"
            } else if waiting == "ContainerCreating" || waiting.isEmpty {
                task.state = "TASK_STAGING"
            } else {
                task.state = "TASK_STARTING"
            }
            task.message = [state["waiting"]["reason"].string, state["waiting"]["message"].string].compactMap(\.self)
                .joined(separator: ": ")
        }
    }

    private static func signal(_ number: Int) -> String {
        switch number {
        case 1: "Hangup"
        case 2: "Interrupt"
        case 6: "Aborted"
        case 9: "Killed"
        case 11: "Segmentation fault"
        case 15: "Terminated"
        default: "\(number)"
        }
    }
}
