public import JSON
import ObjectModel

/// Makes the pods that run Mesos tasks and executors.
///
/// A pod says everything that its node needs: commands, environment, resources, volumes, probes, and in annotations what
/// Kubernetes has no field for.
public struct PodBuilder: Sendable {
    /// Where the pod goes and for whom.
    public struct Place: Sendable {
        /// Nil lets the scheduler choose.
        public var node: String?
        public var agentID: String
        /// `ip:port` of the agent window, for executors.
        public var agentEndpoint: String
        /// FrameworkInfo.
        public var framework: JSON
        public var frameworkID: String
        public var role: String
        /// Whether the pod waits for its terminal status to be acknowledged.
        public var hasStatusFinalizer = true
        /// A secret that the executor authenticates with; nil where that is not asked for.
        public var executorToken: String?
        /// The node's folder of persistent volumes.
        public var volumesFolder = "/var/lib/apus/mesos/volumes"

        /// A place for pods of a framework.
        public init(
            node: String?, agentID: String, agentEndpoint: String = "127.0.0.1:5051", framework: JSON,
            frameworkID: String, role: String
        ) {
            self.node = node
            self.agentID = agentID
            self.agentEndpoint = agentEndpoint
            self.framework = framework
            self.frameworkID = frameworkID
            self.role = role
        }
    }

    /// Memory that Mesos adds for the executor of a command task, in MiB.
    public static let executorMemory = 32

    let place: Place
    var pod: JSON = ["apiVersion": "v1", "kind": "Pod"]
    var labels: [String: String] = [:]
    var annotations: [String: String] = [:]
    var containers: [JSON] = []
    var volumes: [JSON] = []
    var uris = JSONObject()
    var options = JSONObject()
    var checks = JSONObject()
    /// Persistent volumes, which the node gives to the user of the container.
    var volumeOwners = JSONObject()
    var isHostNetwork = true
    var hasImages: Bool?
    var hostname: String?
    var sharesProcesses = false
    var gracePeriod = 3
    var deadline: Int?
    var assignedPorts: [UInt64] = []

    private init(_ place: Place) {
        self.place = place
        labels[MesosNames.frameworkLabel] = MesosNames.labelValue(place.frameworkID)
        annotations[MesosNames.agentAnnotation] = place.agentID
        annotations[MesosNames.roleAnnotation] = place.role
    }

    // MARK: Pods

    /// The pod of a command task.
    /// - Parameter task: TaskInfo with a `command` (or a container whose image has one).
    /// - Throws: `MesosError` for what cannot be run here.
    public static func pod(task: JSON, place: Place) throws(MesosError) -> JSON {
        var builder = PodBuilder(place)
        let id = task["task_id"]["value"].string ?? ""
        builder.labels[MesosNames.taskLabel] = MesosNames.labelValue(id)
        builder.annotations[MesosNames.taskAnnotation] = task.description
        builder.gracePeriod = Self.seconds(task["kill_policy"]["grace_period"]) ?? 3
        builder.deadline = Self.seconds(task["max_completion_time"])
        let resources = try Resources(trees: task["resources"].elements)
        try builder.addContainer(
            MesosNames.taskContainer, command: task["command"], container: task["container"],
            environment: builder.identity(executorID: id), resources: resources, addedMemory: executorMemory,
            limits: task["limits"], task: task)
        return builder.finished(name: MesosNames.podName(taskID: id, frameworkID: place.frameworkID))
    }

    /// The pod of a task group on the default executor; container i is task i.
    /// - Parameter chargesExecutor: adds the executor's own resources; false when it runs already for another group.
    public static func pod(
        executor: JSON, group tasks: [JSON], place: Place, chargesExecutor: Bool = true
    ) throws(MesosError) -> JSON {
        var builder = PodBuilder(place)
        let ids = tasks.map { $0["task_id"]["value"].string ?? "" }
        let executorID = executor["executor_id"]["value"].string ?? ""
        builder.labels[MesosNames.executorLabel] = MesosNames.labelValue(executorID)
        if let first = ids.first { builder.labels[MesosNames.taskLabel] = MesosNames.labelValue(first) }
        let group: JSON = ["executor": executor, "tasks": .array(tasks)]
        builder.annotations[MesosNames.taskGroupAnnotation] = group.description
        builder.gracePeriod = tasks.map { Self.seconds($0["kill_policy"]["grace_period"]) ?? 3 }.max() ?? 3
        if !executor["container"]["network_infos"].elements.isEmpty { builder.isHostNetwork = false }
        let own = try Resources(trees: executor["resources"].elements)
        for (index, (task, name)) in zip(tasks, MesosNames.containerNames(ofTasks: ids)).enumerated() {
            var resources = try Resources(trees: task["resources"].elements)
            // A pod has no share of its own: the first container carries the executor's.
            if index == 0, chargesExecutor { resources += own }
            try builder.addContainer(
                name, command: task["command"], container: task["container"],
                environment: builder.identity(executorID: executorID)
                    + [Self.field("MESOS_CONTAINER_IP", "status.podIP")],
                resources: resources, addedMemory: 0, limits: task["limits"], task: task)
        }
        return builder.finished(name: MesosNames.podName(groupOf: ids, frameworkID: place.frameworkID))
    }

    /// The pod of a custom executor, which takes its tasks from the agent window.
    public static func pod(executor: JSON, place: Place) throws(MesosError) -> JSON {
        var builder = PodBuilder(place)
        let id = executor["executor_id"]["value"].string ?? ""
        builder.labels[MesosNames.executorLabel] = MesosNames.labelValue(id)
        builder.annotations[MesosNames.executorAnnotation] = executor.description
        builder.gracePeriod = Self.seconds(executor["shutdown_grace_period"]) ?? 5
        let isCheckpointing = place.framework["checkpoint"].bool ?? false
        let address = place.agentEndpoint
        var environment = builder.identity(executorID: id)
        environment += [
            Self.variable("MESOS_SLAVE_PID", "slave(1)@" + address), Self.variable("MESOS_AGENT_ENDPOINT", address),
            Self.variable("MESOS_HTTP_COMMAND_EXECUTOR", "0"),
            Self.variable("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "\(builder.gracePeriod)secs"),
            Self.variable("LIBPROCESS_PORT", "0"),
        ]
        if isCheckpointing {
            environment += [
                Self.variable("MESOS_RECOVERY_TIMEOUT", "15mins"),
                Self.variable("MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs"),
            ]
        }
        if let token = place.executorToken {
            environment.append(Self.variable("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", token))
        }
        let resources = try Resources(trees: executor["resources"].elements)
        try builder.addContainer(
            MesosNames.executorContainer, command: executor["command"], container: executor["container"],
            environment: environment, resources: resources, addedMemory: executorMemory, limits: .null, task: .null)
        builder.showVolumes()
        return builder.finished(
            name: MesosNames.podName(executorID: id, frameworkID: place.frameworkID, agentID: place.agentID))
    }

    /// The pod of a container that was asked of the agent and belongs to no task.
    /// - Parameters:
    ///   - call: the agent's `LAUNCH_CONTAINER`.
    ///   - id: what tells it apart on its agent.
    ///   - environment: entries of `env` before the call's own.
    /// - Throws: `MesosError` for what cannot be run here.
    public static func pod(
        container call: JSON, id: String, environment: [JSON], place: Place
    ) throws(MesosError) -> JSON {
        var builder = PodBuilder(place)
        builder.labels = [:]
        let resources = try Resources(trees: call["resources"].elements)
        try builder.addContainer(
            MesosNames.agentContainer, command: call["command"], container: call["container"],
            environment: environment, resources: resources, addedMemory: 0, limits: call["limits"], task: .null)
        return builder.finished(name: MesosNames.podName(taskID: id, frameworkID: place.agentID))
    }

    private func identity(executorID: String) -> [JSON] {
        [
            Self.variable("MESOS_FRAMEWORK_ID", place.frameworkID), Self.variable("MESOS_EXECUTOR_ID", executorID),
            Self.variable("MESOS_SLAVE_ID", place.agentID), Self.variable("MESOS_AGENT_ID", place.agentID),
            Self.variable("MESOS_ALLOCATION_ROLE", place.role),
            Self.variable("MESOS_CHECKPOINT", place.framework["checkpoint"].bool ?? false ? "1" : "0"),
        ]
    }

    private func finished(name: String) -> JSON {
        var metadata: JSON = [
            "name": .string(name), "namespace": .string(MesosNames.namespace(ofRole: place.role)),
            "labels": JSON(labels),
        ]
        if place.hasStatusFinalizer { metadata["finalizers"] = [.string(MesosNames.statusFinalizer)] }
        var annotations = annotations
        if !uris.isEmpty { annotations[MesosNames.urisAnnotation] = JSON.object(uris).description }
        if !options.isEmpty { annotations[MesosNames.optionsAnnotation] = JSON.object(options).description }
        if !checks.isEmpty { annotations[MesosNames.checksAnnotation] = JSON.object(checks).description }
        if !volumeOwners.isEmpty {
            annotations[MesosNames.volumeOwnersAnnotation] = JSON.object(volumeOwners).description
        }
        if !assignedPorts.isEmpty {
            annotations[MesosNames.assignedPortsAnnotation] = assignedPorts.map(String.init).joined(separator: ",")
            for (index, port) in assignedPorts.enumerated() {
                annotations[MesosNames.assignedPortAnnotation(index)] = String(port)
            }
        }
        metadata["annotations"] = JSON(annotations)
        var spec: JSON = [
            "restartPolicy": "Never", "terminationGracePeriodSeconds": JSON(gracePeriod),
            "automountServiceAccountToken": false, "enableServiceLinks": false, "containers": .array(containers),
        ]
        if let node = place.node { spec["nodeName"] = .string(node) }
        if isHostNetwork { spec["hostNetwork"] = true }
        if hasImages != true { spec["runtimeClassName"] = .string(MesosNames.processRuntimeClass) }
        if let deadline { spec["activeDeadlineSeconds"] = JSON(deadline) }
        if let hostname { spec["hostname"] = .string(hostname) }
        if sharesProcesses { spec["shareProcessNamespace"] = true }
        if !volumes.isEmpty { spec["volumes"] = .array(volumes) }
        var result = pod
        result["metadata"] = metadata
        result["spec"] = spec
        return result
    }

    // MARK: Small parts

    /// Whole seconds of a DurationInfo, rounded up; nil when there is none.
    static func seconds(_ duration: JSON) -> Int? {
        guard let nanoseconds = duration["nanoseconds"].int else { return nil }
        return max(0, nanoseconds / 1_000_000_000 + (nanoseconds % 1_000_000_000 > 0 ? 1 : 0))
    }

    static func variable(_ name: String, _ value: String) -> JSON {
        ["name": .string(name), "value": .string(Self.literal(value))]
    }
    static func field(_ name: String, _ path: String) -> JSON {
        ["name": .string(name), "valueFrom": ["fieldRef": ["fieldPath": .string(path)]]]
    }

    /// The text as Kubernetes must read it to leave it as it is: there `$(NAME)` is replaced and `$$` is one `$`.
    public static func literal(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "$")) else { return text }
        var out = ""
        let characters = Array(text.unicodeScalars)
        for (index, character) in characters.enumerated() {
            out.unicodeScalars.append(character)
            guard character == "$", index + 1 < characters.count else { continue }
            if characters[index + 1] == "$" || characters[index + 1] == "(" { out.append("$") }
        }
        return out
    }
}
