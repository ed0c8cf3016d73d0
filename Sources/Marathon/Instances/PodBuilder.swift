import JSON
import MesosModel
import ObjectModel

/// Makes the Kubernetes pod of an instance.
struct PodBuilder {
    let frameworkID: String
    /// The group's role is that of its members.
    var enforcesRole = false

    /// A new instance with ids of its own.
    func pod(_ spec: RunSpec) -> JSON { pod(spec, at: Place(uuid: NameGenerator.uuid())) }

    func pod(_ spec: RunSpec, at place: Place) -> JSON {
        var pod = spec.kind == .app ? app(spec, place) : group(spec, place)
        let volumes = spec.localVolumes(uuid: place.uuid)
        if !volumes.isEmpty { annotate(&pod, MarathonNames.volumesAnnotation, .array(volumes)) }
        return pod
    }

    static func instanceID(_ spec: RunSpec, uuid: String) -> String { "\(spec.id.underscored).instance-\(uuid)" }

    // MARK: Apps

    /// A terminal is also read from, by whoever attaches to it.
    static func giveTerminal(_ container: inout JSON) {
        container["tty"] = true
        container["stdin"] = true
    }

    private func app(_ spec: RunSpec, _ place: Place) -> JSON {
        let json = spec.json
        let uuid = place.uuid
        let taskID = "\(Self.instanceID(spec, uuid: uuid))._app.\(place.attempt)"
        var container: JSON = ["name": .string(MesosNames.taskContainer)]
        let isProcess = spec.image == nil
        container["image"] = .string(spec.image ?? MesosNames.hostImage)
        if spec.container["docker"]["forcePullImage"].bool == true { container["imagePullPolicy"] = "Always" }
        Self.command(&container, shell: json["cmd"].string, arguments: json["args"].array, isProcess: isProcess)
        container["env"] = appEnvironment(spec, taskID: taskID).json
        container["resources"] = Self.resources(
            json, limits: json["resourceLimits"], headroom: 32)
        if let index = spec.probedCheck, let probe = appProbe(spec, spec.healthChecks[index]) {
            container["readinessProbe"] = probe
        }
        if json["tty"].bool == true { Self.giveTerminal(&container) }
        if spec.container["docker"]["privileged"].bool == true { container["securityContext"] = ["privileged": true] }
        if !isProcess { Self.setUser(&container, json["user"].string) }
        Self.confine(&container, json["container"]["linuxInfo"]["seccomp"])
        var volumes: [JSON] = []
        var mounts: [JSON] = []
        Self.sandbox(isProcess: isProcess, &volumes, &mounts)
        for (index, volume) in spec.container["volumes"].elements.enumerated() {
            mount(volume, index, spec, uuid, &volumes, &mounts)
        }
        if !mounts.isEmpty { container["volumeMounts"] = .array(mounts) }
        var pod = frame(spec, uuid: uuid, taskIDs: [taskID], grace: json["taskKillGracePeriodSeconds"].double)
        pod["spec"]["containers"] = [container]
        if !volumes.isEmpty { pod["spec"]["volumes"] = .array(volumes) }
        if isProcess { pod["spec"]["runtimeClassName"] = .string(MesosNames.processRuntimeClass) }
        let gates = spec.gatedChecks
        if !gates.isEmpty {
            pod["spec"]["readinessGates"] = .array(
                gates.map { ["conditionType": .string(MarathonNames.gate($0))] })
        }
        if let secret = spec.container["docker"]["pullConfig"]["secret"].string,
            let source = json["secrets"][secret]["source"].string
        {
            pod["spec"]["imagePullSecrets"] = [["name": .string(TaskEnvironment.secret(source).name)]]
        }
        pod["metadata"]["labels"][MesosNames.taskLabel] = .string(MesosNames.labelValue(taskID))
        annotate(&pod, MesosNames.taskAnnotation, taskInfo(spec, taskID: taskID))
        annotate(&pod, MarathonNames.tasksAnnotation, [MesosNames.taskContainer: .string(taskID)])
        let uris = json["fetch"].elements.map(Self.uri)
        if !uris.isEmpty { annotate(&pod, MesosNames.urisAnnotation, [MesosNames.taskContainer: .array(uris)]) }
        if isProcess, let user = json["user"].string {
            annotate(&pod, MesosNames.optionsAnnotation, [MesosNames.taskContainer: ["user": .string(user)]])
        }
        let requests = appPorts(spec)
        if !requests.isEmpty { annotate(&pod, MesosNames.portRequestAnnotation, .array(requests)) }
        if !isProcess { Self.share(&pod, json["container"]["linuxInfo"]["ipcInfo"]) }
        spec.dockerParameters.apply(to: &pod)
        return pod
    }

    /// Host ports that the scheduler shall choose or keep.
    private func appPorts(_ spec: RunSpec) -> [JSON] {
        spec.ports.enumerated().compactMap { index, port in
            var request: JSON = ["name": .string("port-\(index)"), "protocol": port["protocol"]]
            if spec.isHostNetwork {
                request["port"] = spec.json["requirePorts"].bool == true ? port["port"] : 0
            } else {
                // Container networks have host ports only where they are asked for.
                guard let hostPort = port["hostPort"].int else { return nil }
                request["port"] = JSON(hostPort)
                request["containerPort"] = port["containerPort"]
            }
            return request
        }
    }

    /// The places of a port among the assigned ones; nil: it has no host port.
    static func assignedIndexes(_ spec: RunSpec) -> [Int?] {
        var next = 0
        return spec.ports.map { port in
            guard spec.isHostNetwork || !port["hostPort"].isNull else { return nil }
            next += 1
            return next - 1
        }
    }

    private func appEnvironment(_ spec: RunSpec, taskID: String) -> TaskEnvironment {
        var environment = TaskEnvironment()
        let json = spec.json
        environment.set("MESOS_TASK_ID", taskID)
        if spec.image != nil {
            environment.set("MESOS_SANDBOX", MesosNames.sandboxPath)
            environment.set("MESOS_DIRECTORY", MesosNames.sandboxPath)
        }
        environment.describe(spec, enforcesRole: enforcesRole)
        if let image = spec.image { environment.set("MARATHON_APP_DOCKER_IMAGE", image) }
        for key in ["cpus", "mem", "disk", "gpus"] {
            environment.set("MARATHON_APP_RESOURCE_" + key.uppercased(), String(format(json[key].double ?? 0)))
        }
        environment.set("HOST", field: "status.hostIP")
        let indexes = Self.assignedIndexes(spec)
        for (index, port) in spec.ports.enumerated() {
            let number = port[spec.isHostNetwork ? "port" : "containerPort"].int ?? 0
            var names = ["PORT\(index)"]
            if index == 0 { names.append("PORT") }
            if number > 0 { names.append("PORT_\(number)") }
            if let name = port["name"].string { names.append("PORT_" + TaskEnvironment.upperName(name)) }
            for name in names {
                if let assigned = indexes[index] {
                    environment.set(
                        name, field: "metadata.annotations['\(MesosNames.assignedPortAnnotation(assigned))']")
                } else {
                    environment.set(name, String(number))
                }
            }
        }
        if indexes.contains(where: { $0 != nil }) {
            environment.set("PORTS", field: "metadata.annotations['\(MesosNames.assignedPortsAnnotation)']")
        }
        environment.add(json["env"], secrets: json["secrets"])
        return environment
    }

    func format(_ value: Double) -> String { value.description }

    private func appProbe(_ spec: RunSpec, _ check: JSON) -> JSON? {
        var probe = Self.timing(check)
        let word = check["protocol"].string ?? "HTTP"
        if word == "COMMAND" {
            probe["exec"] = ["command": ["/bin/sh", "-c", check["command"]["value"]]]
            return probe
        }
        var port: JSON
        if let fixed = check["port"].int {
            port = JSON(fixed)
        } else {
            let index = check["portIndex"].int ?? 0
            guard spec.ports.indices.contains(index) else { return nil }
            port = .string("port-\(index)")
            // In a network of its own the pod is asked at its own port.
            if !spec.isHostNetwork, let number = spec.ports[index]["containerPort"].int, number > 0 {
                port = JSON(number)
            }
        }
        Self.connect(&probe, word, path: check["path"].string, port: port)
        return probe
    }

    static func connect(_ probe: inout JSON, _ word: String, path: String?, port: JSON) {
        if word.hasSuffix("TCP") {
            probe["tcpSocket"] = ["port": port]
        } else {
            probe["httpGet"] = [
                "path": .string(path ?? "/"), "port": port, "scheme": word.hasSuffix("HTTPS") ? "HTTPS" : "HTTP",
            ]
        }
    }

    /// One success or failure changes what is said of an instance; how many failures kill it, Marathon counts itself.
    /// A delay that nobody asked for is none: a success then counts as soon as it comes.
    static func timing(_ check: JSON) -> JSON {
        [
            "initialDelaySeconds": JSON(check["delaySeconds"].int ?? 0),
            "periodSeconds": JSON(max(1, check["intervalSeconds"].int ?? 60)),
            "timeoutSeconds": JSON(max(1, check["timeoutSeconds"].int ?? 20)), "failureThreshold": 1,
            "successThreshold": 1,
        ]
    }

    // MARK: Parts

    static func command(_ container: inout JSON, shell: String?, arguments: [JSON]?, isProcess: Bool) {
        func literal(_ words: [JSON]) -> JSON {
            .array(words.map { .string(MesosModel.PodBuilder.literal($0.string ?? "")) })
        }
        if let shell {
            container["command"] = ["/bin/sh", "-c", .string(MesosModel.PodBuilder.literal(shell))]
        } else if let arguments, !arguments.isEmpty {
            // Images have an entry point that takes them; programs of the host are their own first word.
            container[isProcess ? "command" : "args"] = literal(arguments)
        }
        // An image's own program starts where the image says.
        if shell != nil, !isProcess { container["workingDir"] = .string(MesosNames.sandboxPath) }
    }

    static func resources(_ json: JSON, limits: JSON, headroom: Int) -> JSON {
        let cpu = Int(bounded: ((json["cpus"].double ?? 0) * 1000).rounded())
        let memory = json["mem"].double ?? 0
        var requests: JSON = [
            "cpu": .string("\(max(cpu, 1))m"), "memory": .string("\(Int(bounded: (memory * 1024).rounded()))Ki"),
        ]
        if let disk = json["disk"].double, disk > 0 {
            requests["ephemeral-storage"] = .string("\(Int(bounded: disk.rounded(.up)))Mi")
        }
        var most: JSON = .object([:])
        if limits["mem"].string != "unlimited" {
            let mem = max(limits["mem"].double ?? memory, memory)
            if mem > 0 { most["memory"] = .string("\(Int(bounded: (mem * 1024).rounded()) + headroom * 1024)Ki") }
        }
        if let cpus = limits["cpus"].double { most["cpu"] = .string("\(Int(bounded: (cpus * 1000).rounded()))m") }
        return most.members.isEmpty ? ["requests": requests] : ["requests": requests, "limits": most]
    }

    static func sandbox(isProcess: Bool, _ volumes: inout [JSON], _ mounts: inout [JSON]) {
        guard !isProcess else { return }
        volumes.append(["name": .string(MesosNames.sandboxVolume), "emptyDir": .object([:])])
        mounts.append(["name": .string(MesosNames.sandboxVolume), "mountPath": .string(MesosNames.sandboxPath)])
    }

    static func inSandbox(_ path: String) -> String {
        path.hasPrefix("/") ? path : "\(MesosNames.sandboxPath)/\(path)"
    }

    func mount(
        _ volume: JSON, _ index: Int, _ spec: RunSpec, _ uuid: String, _ volumes: inout [JSON], _ mounts: inout [JSON]
    ) {
        let name = "volume-\(index)"
        var source: JSON = ["name": .string(name)]
        if let path = volume["hostPath"].string {
            source["hostPath"] = ["path": .string(path)]
        } else if !volume["persistent"].isNull {
            source["persistentVolumeClaim"] = ["claimName": .string(PersistentVolume.claimName(uuid: uuid, index))]
        } else if let secret = volume["secret"].string, let text = spec.json["secrets"][secret]["source"].string {
            let (object, key) = TaskEnvironment.secret(text)
            source["secret"] = ["secretName": .string(object), "items": [["key": .string(key), "path": "value"]]]
        } else {
            return
        }
        volumes.append(source)
        var mount: JSON = [
            "name": .string(name), "mountPath": .string(Self.inSandbox(volume["containerPath"].string ?? "")),
        ]
        if volume["mode"].string == "RO" { mount["readOnly"] = true }
        // A secret is one file, at the path itself.
        if !volume["secret"].isNull { mount["subPath"] = "value" }
        mounts.append(mount)
    }

    static func uri(_ fetch: JSON) -> JSON {
        var uri: JSON = [
            "value": fetch["uri"], "extract": .bool(fetch["extract"].bool ?? true),
            "executable": .bool(fetch["executable"].bool ?? false), "cache": .bool(fetch["cache"].bool ?? false),
        ]
        uri.setMember("output_file", fetch["destPath"])
        return uri
    }

    func annotate(_ pod: inout JSON, _ name: String, _ value: JSON) {
        pod["metadata"]["annotations"][name] = .string(value.description)
    }

    /// What pods of apps and of pods share.
    func frame(_ spec: RunSpec, uuid: String, taskIDs: [String], grace: Double?) -> JSON {
        var annotations: JSON = [
            MarathonNames.specAnnotation: .string(spec.id.text), MarathonNames.versionAnnotation: .string(spec.version),
            MarathonNames.kindAnnotation: .string(spec.kind.rawValue), MesosNames.roleAnnotation: .string(spec.role),
        ]
        if !spec.constraints.isEmpty {
            annotations[MarathonNames.constraintsAnnotation] = .string(JSON.array(spec.constraints).description)
        }
        if !spec.acceptedRoles.isEmpty {
            annotations[MarathonNames.rolesAnnotation] = .string(JSON(spec.acceptedRoles).description)
        }
        // The strategy for unreachable instances decides, not the taints of their nodes.
        let tolerations: JSON = .array(
            ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].map {
                ["key": .string($0), "operator": "Exists", "effect": "NoExecute"]
            })
        var body: JSON = [
            "restartPolicy": "Never", "terminationGracePeriodSeconds": JSON(Int(bounded: (grace ?? 3).rounded(.up))),
            "automountServiceAccountToken": false, "enableServiceLinks": false, "tolerations": tolerations,
        ]
        if spec.isHostNetwork { body["hostNetwork"] = true }
        if let priority = spec.json["priorityClassName"].string { body["priorityClassName"] = .string(priority) }
        return [
            "apiVersion": "v1", "kind": "Pod",
            "metadata": [
                "name": .string(MesosNames.podName(taskID: taskIDs.first ?? uuid, frameworkID: frameworkID)),
                "namespace": .string(MesosNames.namespace(ofRole: spec.role)),
                "labels": [
                    MesosNames.frameworkLabel: .string(MesosNames.labelValue(frameworkID)),
                    MesosNames.marathonAppLabel: .string(MesosNames.labelValue(ofApp: spec.id.text)),
                    MesosNames.marathonInstanceLabel: .string(uuid),
                ],
                "annotations": annotations,
            ],
            "spec": body,
        ]
    }
}
