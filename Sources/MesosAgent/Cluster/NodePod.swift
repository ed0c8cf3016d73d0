import JSON
import MesosModel
import ObjectModel

/// A pod of this node, as far as the agent window looks at it.
struct NodePod: Sendable {
    /// What a pod is to Mesos.
    enum Role: Sendable {
        /// One container, `TaskInfo`.
        case task(JSON)
        /// A container for each task.
        case group(executor: JSON, tasks: [JSON])
        /// A custom executor, `ExecutorInfo`.
        case executor(JSON)
        /// Made by somebody else.
        case other
    }

    let object: Object
    let role: Role
    let frameworkID: String?
    let marathonInstance: String?
    let phase: String
    let containers: [NodeContainer]
    let usesProcessRuntime: Bool
    let hasSandboxVolume: Bool
    /// Why the framework, the master or an operator had it killed.
    let kill: String?
    /// The id under which it was asked of the containers API; nil for all others.
    let containerPath: ContainerPath?
    /// When the executor must have ended, in seconds since 1970.
    let shutdownDeadline: Double?
    /// True for one that does not exist any more; only its files are left.
    var isPast = false

    init(_ object: Object) {
        let tree = object.tree
        let (spec, status) = (tree["spec"], tree["status"])
        let annotations = tree["metadata"]["annotations"]
        self.object = object
        func parsed(_ name: String) -> JSON? {
            annotations[name].string.flatMap { try? JSON.parse($0) }
        }
        if let info = parsed(MesosNames.taskAnnotation) {
            role = .task(info)
        } else if let group = parsed(MesosNames.taskGroupAnnotation) {
            role = .group(executor: group["executor"], tasks: group["tasks"].elements)
        } else if let executor = parsed(MesosNames.executorAnnotation) {
            role = .executor(executor)
        } else if let job = annotations[MesosNames.metronomeJobAnnotation].string {
            // A run of Metronome's is shown as the task that the master shows.
            role = .task([
                "name": .string(job), "task_id": ["value": .string("\(object.name).\(object.namespace)")],
            ])
        } else {
            role = .other
        }
        let labels = object.metadata.labels
        marathonInstance = labels[MesosNames.marathonInstanceLabel]
        frameworkID =
            labels[MesosNames.frameworkLabel]
            ?? (labels[MesosNames.metronomeJobLabel] == nil ? nil : Self.metronomeFramework)
            ?? (labels[MesosNames.marathonAppLabel] == nil ? nil : Self.marathonFramework)
        phase = status["phase"].string ?? "Pending"
        let statuses = status["containerStatuses"].elements
        containers = spec["containers"].elements.map { container in
            let name = container["name"].string ?? ""
            return NodeContainer(name: name, status: statuses.first { $0["name"].string == name } ?? .null)
        }
        usesProcessRuntime = spec["runtimeClassName"].string == MesosNames.processRuntimeClass
        hasSandboxVolume = spec["volumes"].elements.contains { $0["name"].string == MesosNames.sandboxVolume }
        kill = annotations[MesosNames.killAnnotation].string
        containerPath =
            labels[MesosNames.containerLabel] == nil
            ? nil : parsed(MesosNames.containerAnnotation).flatMap { ContainerPath($0) }
        shutdownDeadline = annotations[Self.shutdownAnnotation].string.flatMap { Double($0) }
    }

    /// The id of the framework that Marathon's tasks belong to.
    private static let marathonFramework = "marathon"
    /// The same of Metronome's.
    private static let metronomeFramework = "metronome"

    /// Annotation: by when an executor that was told to end must have done so, in seconds since 1970.
    static let shutdownAnnotation = "mesos.apus.dev/shutdown"

    /// The executor that it is, or whose tasks it has; nil for other pods.
    var executorKey: ExecutorKey? {
        guard let frameworkID, let executorID else { return nil }
        return ExecutorKey(framework: frameworkID, executor: executorID)
    }

    var key: ObjectKey { object.key }
    var uid: String { object.uid }
    var isTerminating: Bool { object.metadata.isTerminating }
    var annotations: JSON { object.tree["metadata"]["annotations"] }
    /// Its programs have ended and will not start again.
    var isEnded: Bool { phase == "Succeeded" || phase == "Failed" || isPast }
    var executorInfo: JSON? { if case .executor(let info) = role { info } else { nil } }
    /// The executor's id as clients name it: a command task is its own executor's.
    var executorID: String? {
        switch role {
        case .task(let info): info["task_id"]["value"].string
        case .group(let executor, _): executor["executor_id"]["value"].string
        case .executor(let info): info["executor_id"]["value"].string
        case .other: marathonInstance
        }
    }
    var usesHostNetwork: Bool {
        object.tree["spec"]["hostNetwork"].bool ?? false && annotations[MesosNames.networkOfAnnotation].isNull
    }
    func container(named name: String) -> NodeContainer? { containers.first { $0.name == name } }
}

/// One container of a pod and what became of it.
struct NodeContainer: Sendable {
    let name: String
    /// The entry of `status.containerStatuses`, or null.
    let status: JSON

    var isRunning: Bool { !status["state"]["running"].isNull }
    /// Why it waits; nil while it does not.
    var waiting: (reason: String, message: String)? {
        let wait = status["state"]["waiting"]
        guard !wait.isNull else { return nil }
        return (wait["reason"].string ?? "", wait["message"].string ?? "")
    }
    var startedAt: Timestamp? {
        (status["state"]["running"]["startedAt"].string ?? status["state"]["terminated"]["startedAt"].string)
            .flatMap { Timestamp($0) }
    }
    /// How it ended; nil while it has not.
    var terminated: (exitCode: Int, reason: String, message: String)? {
        let end = status["state"]["terminated"]
        guard !end.isNull else { return nil }
        return (end["exitCode"].int ?? 0, end["reason"].string ?? "", end["message"].string ?? "")
    }
}
