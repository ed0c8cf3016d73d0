public import JSON
import MesosModel

/// The template of the pods of a run: a plain program, or a container when there is an image.
public struct JobPod {
    /// A volume of the pod that its container sees.
    public struct Mount {
        /// The volume as a pod names it, without its name.
        public var source: JSON
        /// Below the sandbox when it is relative.
        public var path: String
        public var isReadOnly: Bool
        public var subPath: String?

        public init(_ source: JSON, at path: String, isReadOnly: Bool = false, subPath: String? = nil) {
            self.source = source
            self.path = path
            self.isReadOnly = isReadOnly
            self.subPath = subPath
        }
    }

    public var image: String?
    public var pullsAlways = false
    public var isPrivileged = false
    public var isOnHostNetwork = true
    public var command: [String] = []
    public var arguments: [String] = []
    public var environment: JobEnvironment
    public var cpus = 0.0
    /// MiB.
    public var memory = 0.0
    /// MiB.
    public var disk = 0.0
    public var mounts: [Mount] = []
    /// Seconds between asking a program to end and ending it.
    public var gracePeriod = 3
    public var user: String?
    /// `[attribute, operator, value]` in Marathon's words.
    public var constraints: [JSON] = []
    /// What is fetched, as Mesos's CommandInfo.URI.
    public var uris: [JSON] = []

    public init(image: String?) {
        self.image = image
        environment = JobEnvironment()
        environment.setField("HOST", "status.hostIP")
        guard image != nil else { return }
        environment.set("MESOS_SANDBOX", MesosNames.sandboxPath)
        environment.set("MESOS_DIRECTORY", MesosNames.sandboxPath)
    }

    /// - Parameter annotations: beside those that follow from what is asked for here.
    public func template(labels: JSON, annotations: JSON) -> JSON {
        var body: JSON = [
            "restartPolicy": "Never", "terminationGracePeriodSeconds": JSON(max(0, gracePeriod)),
            "automountServiceAccountToken": false, "enableServiceLinks": false,
        ]
        if image == nil { body["runtimeClassName"] = .string(MesosNames.processRuntimeClass) }
        if isOnHostNetwork { body["hostNetwork"] = true }
        var container = container
        let (volumes, mounts) = volumes
        if !mounts.isEmpty { container["volumeMounts"] = .array(mounts) }
        if !volumes.isEmpty { body["volumes"] = .array(volumes) }
        body["containers"] = [container]

        var annotations = annotations
        annotations[MesosNames.roleAnnotation] = "*"
        func annotate(_ name: String, _ value: JSON) { annotations[name] = .string(value.description) }
        if !constraints.isEmpty { annotate(JobNames.constraintsAnnotation, .array(constraints)) }
        if !uris.isEmpty { annotate(MesosNames.urisAnnotation, [MesosNames.taskContainer: .array(uris)]) }
        if let user, userNumber == nil {
            annotate(MesosNames.optionsAnnotation, [MesosNames.taskContainer: ["user": .string(user)]])
        }
        return ["metadata": ["labels": labels, "annotations": annotations], "spec": body]
    }

    private var userNumber: Int? { user.flatMap { $0 == "root" ? 0 : Int($0) } }

    private var container: JSON {
        var container: JSON = [
            "name": .string(MesosNames.taskContainer), "image": .string(image ?? MesosNames.hostImage),
            "env": .array(environment.entries), "resources": resources,
        ]
        if pullsAlways { container["imagePullPolicy"] = "Always" }
        if isPrivileged { container["securityContext"]["privileged"] = true }
        if let userNumber { container["securityContext"]["runAsUser"] = JSON(userNumber) }
        func words(_ texts: [String]) -> JSON { .array(texts.map { .string(PodBuilder.literal($0)) }) }
        if !command.isEmpty {
            container["command"] = words(command)
            if image != nil { container["workingDir"] = .string(MesosNames.sandboxPath) }
        }
        if !arguments.isEmpty { container["args"] = words(arguments) }
        return container
    }

    private var resources: JSON {
        let kibibytes = Int(bounded: (memory * 1024).rounded())
        var requests: JSON = [
            "cpu": .string("\(max(1, Int(bounded: (cpus * 1000).rounded())))m"), "memory": .string("\(kibibytes)Ki"),
        ]
        if disk > 0 { requests["ephemeral-storage"] = .string("\(Int(bounded: disk.rounded(.up)))Mi") }
        let most = kibibytes + PodBuilder.executorMemory * 1024
        return ["requests": requests, "limits": ["memory": .string("\(most)Ki")]]
    }

    private var volumes: (volumes: [JSON], mounts: [JSON]) {
        var volumes: [JSON] = []
        var mounted: [JSON] = []
        if image != nil {
            volumes.append(["name": .string(MesosNames.sandboxVolume), "emptyDir": .object([:])])
            mounted.append(["name": .string(MesosNames.sandboxVolume), "mountPath": .string(MesosNames.sandboxPath)])
        }
        for (index, mount) in mounts.enumerated() {
            let name = JSON.string("volume-\(index)")
            var volume = mount.source
            volume["name"] = name
            volumes.append(volume)
            let path = mount.path.hasPrefix("/") ? mount.path : "\(MesosNames.sandboxPath)/\(mount.path)"
            var entry: JSON = ["name": name, "mountPath": .string(path)]
            if mount.isReadOnly { entry["readOnly"] = true }
            if let subPath = mount.subPath { entry["subPath"] = .string(subPath) }
            mounted.append(entry)
        }
        return (volumes, mounted)
    }
}

/// Variables of a container; a later one takes the place of an earlier one of its name.
public struct JobEnvironment {
    private(set) var entries: [JSON] = []

    /// The text itself, whatever Kubernetes would read into it.
    public mutating func set(_ name: String, _ text: String) { setReference(name, PodBuilder.literal(text)) }
    /// A text in which `$(NAME)` is another variable.
    public mutating func setReference(_ name: String, _ text: String) {
        put(["name": .string(name), "value": .string(text)])
    }
    /// A field of the pod.
    public mutating func setField(_ name: String, _ path: String) {
        put(["name": .string(name), "valueFrom": ["fieldRef": ["fieldPath": .string(path)]]])
    }
    /// A key of a Secret.
    public mutating func setSecret(_ name: String, _ secret: String, key: String) {
        put(["name": .string(name), "valueFrom": ["secretKeyRef": ["name": .string(secret), "key": .string(key)]]])
    }

    private mutating func put(_ entry: JSON) {
        entries.removeAll { $0["name"] == entry["name"] }
        entries.append(entry)
    }
}
