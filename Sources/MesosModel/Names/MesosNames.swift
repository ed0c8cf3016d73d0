import Crypto
public import ObjectModel

/// Names that the windows agree on: labels and annotations of pods, kinds of their objects, and the safe forms of ids.
public enum MesosNames {
    /// Type of a pod's condition that tells the newest result of a task's check; the container's name follows.
    public static let checkCondition = "check.mesos.apus.dev/"
    /// Condition type, a container's name follows: `True` when the failures of its health check end it.
    public static let unhealthyCondition = "unhealthy.mesos.apus.dev/"

    // MARK: Labels of pods

    /// Label: the framework whose task a pod is.
    public static let frameworkLabel = "mesos.apus.dev/framework-id"
    /// Label: the task's id in label-safe form.
    public static let taskLabel = "mesos.apus.dev/task-id"
    /// Label: the executor's id in label-safe form, when there is an executor.
    public static let executorLabel = "mesos.apus.dev/executor-id"
    /// Label: Marathon's app in `labelValue(ofApp:)` form.
    public static let marathonAppLabel = "marathon.apus.dev/app"
    /// Label: Marathon's instance id.
    public static let marathonInstanceLabel = "marathon.apus.dev/instance"
    /// Label of the framework's object of Marathon, which runs in the cluster itself and never subscribes.
    public static let clusterFrameworkLabel = "marathon.apus.dev/framework"
    /// Label of pods and what makes them: Metronome's job, safe for a label.
    public static let metronomeJobLabel = "metronome.apus.dev/job"

    // MARK: Annotations of pods

    /// Annotation of the same: the job's id itself.
    public static let metronomeJobAnnotation = "metronome.apus.dev/id"

    /// Annotation: TaskInfo JSON of a command task.
    public static let taskAnnotation = "mesos.apus.dev/task"
    /// Annotation: `{executor, tasks}` of a task group; container i is task i.
    public static let taskGroupAnnotation = "mesos.apus.dev/task-group"
    /// Annotation: ExecutorInfo JSON of a custom executor's pod.
    public static let executorAnnotation = "mesos.apus.dev/executor"
    /// Annotation: the agent's id.
    public static let agentAnnotation = "mesos.apus.dev/agent-id"
    /// Annotation of pods and namespaces: the role, as frameworks write it.
    public static let roleAnnotation = "mesos.apus.dev/role"
    /// Annotation: why the framework, the master or an operator asked for the kill; absent when somebody deleted the pod.
    public static let killAnnotation = "mesos.apus.dev/kill"
    /// What that annotation says when the framework did.
    public static let frameworkKill = "The framework asked for it"
    /// Annotation: URIs to fetch, by container.
    public static let urisAnnotation = "mesos.apus.dev/uris"
    /// Annotation: what Kubernetes has no field for (rlimits, user), by container.
    public static let optionsAnnotation = "process.apus.dev/options"
    /// The reason for killing a group of which one task has had its time: that one fails, the others are killed.
    public static func overdueKill(taskID: String) -> String {
        "REASON_MAX_COMPLETION_TIME_REACHED: Task '\(taskID)' of the group exceeded its max_completion_time"
    }
    /// Annotation of a pod: folders of the node that belong to the user of the container which mounts them:
    /// `{"/folder": "own"}`, or `shared` for those whose owner stays while another pod has them.
    public static let volumeOwnersAnnotation = "mesos.apus.dev/volume-owners"
    /// Annotation: ports that are asked for.
    public static let portRequestAnnotation = "ports.apus.dev/request"
    /// Annotation: host ports that are assigned, with commas between.
    public static let assignedPortsAnnotation = "ports.apus.dev/assigned"
    /// Finalizer of the master's pods: removed when the terminal status is acknowledged or the framework is gone.
    public static let statusFinalizer = "mesos.apus.dev/status"
    /// Prefix of node labels that are Mesos attributes.
    public static let attributePrefix = "attribute.mesos.apus.dev/"

    /// Annotation of the assigned port of an index.
    public static func assignedPortAnnotation(_ index: Int) -> String { "ports.apus.dev/\(index)" }

    /// Annotation: what probes cannot say of a Mesos task's checks, by container:
    /// `{"task": {"check": probe, "health": times}}`.
    public static let checksAnnotation = "mesos.apus.dev/checks"
    /// Label of pods that were asked of an agent's containers API: `standalone` or `nested`.
    public static let containerLabel = "mesos.apus.dev/container"
    /// Annotation of the same: ContainerID JSON.
    public static let containerAnnotation = "mesos.apus.dev/container-id"
    /// Annotation of pods of plain programs on the host's network: the uid of the pod whose network they use instead.
    public static let networkOfAnnotation = "mesos.apus.dev/network-of"

    // MARK: Kinds

    /// Group of the Mesos window's own objects.
    public static let group = "mesos.apus.dev"
    /// Group of Marathon's own objects.
    public static let marathonGroup = "marathon.apus.dev"
    public static let frameworks = GroupVersionResource(group: group, version: "v1", resource: "frameworks")
    public static let tasks = GroupVersionResource(group: group, version: "v1", resource: "tasks")
    public static let roles = GroupVersionResource(group: group, version: "v1", resource: "roles")
    public static let agents = GroupVersionResource(group: group, version: "v1", resource: "agents")
    public static let maintenances = GroupVersionResource(group: group, version: "v1", resource: "maintenances")
    public static let marathonApps = GroupVersionResource(group: marathonGroup, version: "v1", resource: "marathonapps")
    public static let marathonPods = GroupVersionResource(group: marathonGroup, version: "v1", resource: "marathonpods")
    public static let marathonGroups = GroupVersionResource(
        group: marathonGroup, version: "v1", resource: "marathongroups")
    public static let marathonDeployments = GroupVersionResource(
        group: marathonGroup, version: "v1", resource: "marathondeployments")

    // MARK: Runtime

    /// The runtime class of pods without an image.
    public static let processRuntimeClass = "process"
    /// The image name that means the host's own files.
    public static let hostImage = "host"
    /// Name of the sandbox's volume.
    public static let sandboxVolume = "mesos-sandbox"
    /// Where containers with an image see their sandbox.
    public static let sandboxPath = "/mnt/mesos/sandbox"
    /// The container of a command task.
    public static let taskContainer = "task"
    /// The container of a custom executor.
    public static let executorContainer = "executor"
    /// The container of a pod that was asked of an agent's containers API.
    public static let agentContainer = "container"

    // MARK: Safe forms

    /// Lower case letters, digits and single `-`, not at the ends, at most so many characters; `x` when nothing is left.
    public static func dnsSafe(_ text: String, maximum: Int = 63) -> String {
        var out: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): out.append(byte)
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): out.append(byte + 32)
            default: if let last = out.last, last != UInt8(ascii: "-") { out.append(UInt8(ascii: "-")) }
            }
            if out.count >= maximum { break }
        }
        while out.last == UInt8(ascii: "-") { out.removeLast() }
        return out.isEmpty ? "x" : String(decoding: out, as: UTF8.self)
    }

    /// Five characters that tell texts apart.
    public static func hash(_ parts: String...) -> String {
        let alphabet = Array("bcdfghjklmnpqrstvwxz2456789".utf8)
        return String(decoding: digest(parts).prefix(5).map { alphabet[Int($0) % alphabet.count] }, as: UTF8.self)
    }

    /// Sixteen bytes that are the same for the same texts, in the form of a version 8 UUID.
    static func uuidBytes(_ parts: [String]) -> [UInt8] {
        var bytes = Array(digest(parts).prefix(16))
        bytes[6] = bytes[6] & 0x0F | 0x80
        bytes[8] = bytes[8] & 0x3F | 0x80
        return bytes
    }

    /// A UUID that is the same for the same texts.
    public static func uuid(of parts: String...) -> String { text(ofUUID: uuidBytes(parts)) }

    /// The same in the form of a random UUID (version 4), for clients that accept no other.
    public static func randomUUID(of parts: String...) -> String {
        var bytes = uuidBytes(parts)
        bytes[6] = bytes[6] & 0x0F | 0x40
        return text(ofUUID: bytes)
    }

    private static func text(ofUUID bytes: [UInt8]) -> String {
        let hex = bytes.map { byte in
            let text = String(byte, radix: 16)
            return text.utf8.count == 1 ? "0" + text : text
        }
        let groups = [hex[0..<4], hex[4..<6], hex[6..<8], hex[8..<10], hex[10..<16]]
        return groups.map { $0.joined() }.joined(separator: "-")
    }

    private static func digest(_ parts: [String]) -> [UInt8] {
        var hash = SHA256()
        for part in parts {
            // Lengths between the parts: ("ab", "c") is not ("a", "bc").
            hash.update(data: Array("\(part.utf8.count):".utf8))
            hash.update(data: Array(part.utf8))
        }
        return Array(hash.finalize())
    }

    /// The name of the pod of a task: its id made safe and five characters of a hash of both ids.
    public static func podName(taskID: String, frameworkID: String) -> String {
        dnsSafe(taskID, maximum: 57) + "-" + hash(taskID, frameworkID)
    }
    /// The name of the pod of a task group: that of its first task.
    public static func podName(groupOf taskIDs: [String], frameworkID: String) -> String {
        podName(taskID: taskIDs.first ?? "", frameworkID: frameworkID)
    }
    /// The name of the pod of a custom executor; one framework may use an executor id on several agents.
    public static func podName(executorID: String, frameworkID: String, agentID: String) -> String {
        dnsSafe(executorID, maximum: 57) + "-" + hash(executorID, frameworkID, agentID)
    }

    /// Names of a group's containers in the order of its tasks: safe forms of the task ids, each once.
    public static func containerNames(ofTasks taskIDs: [String]) -> [String] {
        var names: Set<String> = []
        return taskIDs.map { id in
            var name = dnsSafe(id)
            if !names.insert(name).inserted {
                name = dnsSafe(id, maximum: 57) + "-" + hash(id)
                names.insert(name)
            }
            return name
        }
    }

    /// A text as a label value: itself when it is one, else its safe characters and a hash.
    public static func labelValue(_ text: String) -> String {
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: false
            }
        }
        if Names.labelValueProblems(text).isEmpty { return text }
        var out = text.utf8.map { byte in
            isAlphanumeric(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") ? byte : UInt8(ascii: "-")
        }
        out = Array(out.drop { !isAlphanumeric($0) }.prefix(57))
        while let last = out.last, !isAlphanumeric(last) { out.removeLast() }
        return out.isEmpty ? hash(text) : String(decoding: out, as: UTF8.self) + "-" + hash(text)
    }

    /// Marathon's app, pod or group id as the name of its object: without the leading `/`, `/` as `.`; the root is `root`.
    public static func objectName(ofMarathonID id: String) -> String {
        let name = id.split(separator: "/").joined(separator: ".")
        return name.isEmpty ? "root" : name
    }
    /// Marathon's app id as the value of `marathonAppLabel`.
    public static func labelValue(ofApp id: String) -> String { labelValue(objectName(ofMarathonID: id)) }

    // MARK: Roles and namespaces

    /// The namespace of a role: `default` for `*`; a role that is a namespace's name is that namespace; another one has a
    /// namespace of its safe form and a hash, which carries `roleAnnotation`.
    public static func namespace(ofRole role: String) -> String {
        if role == "*" { return "default" }
        if role != "default", Names.dns1123LabelProblems(role).isEmpty { return role }
        return dnsSafe(role, maximum: 57) + "-" + hash(role)
    }
    /// The role of a namespace, by its annotations.
    public static func role(ofNamespace name: String, annotation: String? = nil) -> String {
        if let annotation, !annotation.isEmpty { return annotation }
        return name == "default" ? "*" : name
    }
    /// The name of a role's object.
    public static func objectName(ofRole role: String) -> String { namespace(ofRole: role) }
}
