import JSON
import ObjectModel

/// The parts of a pod that decide about its tasks.
struct PodFacts: Sendable {
    let uid: String
    let namespace: String
    let name: String
    let labels: [String: String]
    let annotations: [String: String]
    let created: String?
    /// When the pod's grace period ends.
    let deleted: String?
    /// When somebody asked for the deletion.
    let deletionRequested: String?
    let reason: String?
    let message: String?
    let addresses: [String]
    let isNodeLost: Bool
    private let phase: String?
    private let spec: JSON
    private let status: JSON

    init(_ pod: JSON, isNodeLost: Bool) {
        let metadata = pod["metadata"]
        uid = metadata["uid"].string ?? ""
        namespace = metadata["namespace"].string ?? ""
        name = metadata["name"].string ?? ""
        labels = metadata["labels"].stringMap
        annotations = metadata["annotations"].stringMap
        created = metadata["creationTimestamp"].string
        deleted = metadata["deletionTimestamp"].string
        let grace = metadata["deletionGracePeriodSeconds"].int ?? 0
        deletionRequested = deleted.flatMap { Timestamp($0) }.map {
            Timestamp(seconds: $0.seconds.subtractingSaturated(Int64(grace))).rfc3339
        }
        spec = pod["spec"]
        status = pod["status"]
        phase = status["phase"].string
        reason = status["reason"].string
        message = status["message"].string
        let many = status["podIPs"].elements.compactMap { $0["ip"].string }
        addresses = many.isEmpty ? status["podIP"].string.map { [$0] } ?? [] : many
        self.isNodeLost = isNodeLost || reason == "NodeLost"
    }

    var isDeleted: Bool { deleted != nil }

    /// True when somebody asked for the end, and before that time.
    func isKilled(before end: String?) -> Bool {
        guard let asked = deletionRequested ?? deleted else { return annotations[MesosNames.killAnnotation] != nil }
        guard let end, let finished = Timestamp(end), let request = Timestamp(asked) else { return true }
        // Both have whole seconds; within the same second the request counts as the cause.
        return finished.seconds >= request.seconds
    }

    /// True when a container had ended by itself when the pod's time was over.
    func isBeforeDeadline(_ end: String?) -> Bool {
        guard let end = end.flatMap({ Timestamp($0) }),
            let start = status["startTime"].string.flatMap({ Timestamp($0) }),
            let limit = spec["activeDeadlineSeconds"].int
        else { return false }
        return end.seconds < start.seconds.addingSaturated(Int64(limit))
    }

    /// The newest result of a container's check, with its exit code or HTTP status; nil before the first.
    func check(_ container: String) -> (isSuccess: Bool, code: Int?)? {
        let type = MesosNames.checkCondition + container
        guard let found = status["conditions"].elements.first(where: { $0["type"].string == type }) else { return nil }
        return (found["status"] == "True", found["message"].string.flatMap { Int($0) })
    }

    /// True when the failures of a container's health check end it, or have ended it.
    func isUnhealthy(_ container: String) -> Bool {
        let type = MesosNames.unhealthyCondition + container
        return status["conditions"].elements.contains { $0["type"].string == type && $0["status"] == "True" }
    }

    /// A container's facts by its name.
    func container(_ name: String) -> ContainerFacts {
        let entry = status["containerStatuses"].elements.first { $0["name"].string == name }
        guard let entry else { return withoutStatus }
        let facts = ContainerFacts(entry)
        // A node that refuses or evicts a pod leaves what it never began waiting.
        if phase == "Failed", facts.phase == .waiting || facts.phase == .created { return withoutStatus }
        return facts
    }

    private var withoutStatus: ContainerFacts {
        switch phase {
        case "Failed":
            // An init container (the fetcher's work) or the node refused it before it began.
            let stopped = status["initContainerStatuses"].elements.first {
                ($0["state"]["terminated"]["exitCode"].int ?? 0) != 0
            }
            let why =
                stopped?["state"]["terminated"]["message"].string ?? message ?? reason ?? "Failed to launch container"
            return ContainerFacts(phase: .failed(why))
        case "Succeeded":
            var facts = ContainerFacts(phase: .terminated)
            facts.hasStarted = true
            return facts
        default: return ContainerFacts(phase: .waiting)
        }
    }

    /// The pod as one task: failed when a container failed, finished when all finished, running when one runs.
    var wholePod: ContainerFacts {
        let all = status["containerStatuses"].elements.map { ContainerFacts($0) }
        guard let first = all.first else { return withoutStatus }
        let isEnding = phase == "Failed" || phase == "Succeeded"
        if isEnding || all.allSatisfy({ $0.phase == .terminated }) && spec["restartPolicy"].string != "Always" {
            var facts = all.first { $0.phase == .terminated && $0.exitCode != 0 } ?? first
            if facts.phase != .terminated {
                facts = ContainerFacts(phase: .terminated)
                facts.exitCode = phase == "Succeeded" ? 0 : 1
            }
            return facts
        }
        if let running = all.first(where: { $0.phase == .running }) { return running }
        // One that is started again and again is starting for Mesos.
        var facts = first
        if facts.phase == .terminated { facts.phase = .created }
        if case .failed = facts.phase { facts.phase = .waiting }
        return facts
    }

    /// A TaskInfo for a pod that no framework made.
    var inventedTask: JSON {
        var totals: [String: Int64] = [:]
        for container in spec["containers"].elements {
            let requests = container["resources"]["requests"]
            if let cpu = Quantity(requests["cpu"]) { totals["cpus", default: 0] += Int64(min(cpu.milliValue, 1 << 53)) }
            if let memory = Quantity(requests["memory"]) {
                totals["mem", default: 0] += Int64(min(memory.value, 1 << 53)) * 1000 / (1 << 20)
            }
        }
        let resources = ["cpus", "mem"].map { name -> JSON in
            [
                "name": .string(name), "type": "SCALAR",
                "scalar": ["value": MesosResource.json(thousandths: totals[name] ?? 0)],
            ]
        }
        let marathon = labels[MesosNames.marathonInstanceLabel]
        var task: JSON = [
            "name": .string(
                labels[MesosNames.marathonAppLabel] ?? annotations[MesosNames.metronomeJobAnnotation] ?? name),
            "task_id": ["value": .string(marathon ?? "\(name).\(namespace)")], "resources": .array(resources),
        ]
        if !labels.isEmpty {
            task["labels"] = [
                "labels": .array(
                    labels.keys.sorted().map { ["key": .string($0), "value": .string(labels[$0] ?? "")] })
            ]
        }
        return task
    }
}

/// The parts of a container's status that decide about its task.
struct ContainerFacts: Sendable {
    enum Phase: Sendable, Equatable {
        case waiting
        /// Made, not yet running.
        case created
        case running
        case terminated
        /// It will not be started.
        case failed(String)
    }
    var phase: Phase
    var hasStarted = false
    var isReady = false
    /// True when the start-up probe has passed, or there is none.
    var isPastStartup = false
    var started: String?
    var finished: String?
    var exitCode = 0
    var signal: Int?
    var reason: String?
    var message: String?

    init(phase: Phase) {
        self.phase = phase
    }

    /// Reasons to wait that no waiting ends.
    private static let hopeless: Set<String> = [
        "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError",
        "CreateContainerError", "RunContainerError", "FetchFailed",
    ]

    init(_ status: JSON) {
        let state = status["state"]
        isReady = status["ready"].bool ?? false
        isPastStartup = status["started"].bool ?? false
        if let terminated = state["terminated"].object {
            phase = .terminated
            exitCode = terminated["exitCode"]?.int ?? 0
            signal = terminated["signal"]?.int.flatMap { $0 > 0 ? $0 : nil }
            reason = terminated["reason"]?.string
            message = terminated["message"]?.string.flatMap { $0.isEmpty ? nil : $0 }
            started = terminated["startedAt"]?.string
            finished = terminated["finishedAt"]?.string
            let neverRan: Set<String> = ["FetchFailed", "StartError", "ContainerCannotRun", "CreateContainerError"]
            hasStarted = !neverRan.contains(reason ?? "") && started != nil
        } else if let running = state["running"].object {
            phase = .running
            started = running["startedAt"]?.string
            hasStarted = true
        } else {
            let why = state["waiting"]["reason"].string ?? ""
            if Self.hopeless.contains(why) {
                phase = .failed(state["waiting"]["message"].string ?? why)
            } else {
                phase = (status["containerID"].string ?? "").isEmpty ? .waiting : .created
            }
        }
    }

    /// How it ended, in the words of the command executor.
    var endText: String {
        if let number = signal ?? (exitCode > 128 && exitCode < 160 ? exitCode - 128 : nil) {
            return "Command terminated with signal \(Self.signalName(number))"
        }
        return "Command exited with status \(exitCode)"
    }

    /// The text of `strsignal`, as frameworks know it.
    private static func signalName(_ number: Int) -> String {
        switch number {
        case 1: "Hangup"
        case 2: "Interrupt"
        case 3: "Quit"
        case 4: "Illegal instruction"
        case 6: "Aborted"
        case 7: "Bus error"
        case 8: "Floating point exception"
        case 9: "Killed"
        case 10: "User defined signal 1"
        case 11: "Segmentation fault"
        case 12: "User defined signal 2"
        case 13: "Broken pipe"
        case 14: "Alarm clock"
        case 15: "Terminated"
        default: "\(number)"
        }
    }
}
