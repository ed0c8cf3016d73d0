import JSON
import MesosModel
import ObjectModel

/// Makes the Kubernetes pod of an instance.
struct PodBuilder {
    let frameworkID: String
    /// The group's role is that of its members.
    var enforcesRole = false

    /// A new instance with ids of its own.
    func pod(_ spec: RunSpec) -> JSON { pod(spec, uuid: NameGenerator.uuid()) }

    func pod(_ spec: RunSpec, uuid: String) -> JSON {
        spec.kind == .app ? app(spec, uuid: uuid) : group(spec, uuid: uuid)
    }

    static func instanceID(_ spec: RunSpec, uuid: String) -> String { "\(spec.id.underscored).instance-\(uuid)" }

    // MARK: Apps

    private func app(_ spec: RunSpec, uuid: String) -> JSON {
        let json = spec.json
        let taskID = "\(Self.instanceID(spec, uuid: uuid))._app.1"
        var container: JSON = ["name": .string(MesosNames.taskContainer)]
        let isProcess = spec.image == nil
        container["image"] = .string(spec.image ?? MesosNames.hostImage)
        if spec.container["docker"]["forcePullImage"].bool == true { container["imagePullPolicy"] = "Always" }
        Self.command(&container, shell: json["cmd"].string, arguments: json["args"].array, isProcess: isProcess)
        container["env"] = appEnvironment(spec, taskID: taskID).json
        container["resources"] = Self.resources(
            json, limits: json["resourceLimits"], headroom: 32)
        if let check = spec.healthChecks.first, let probe = appProbe(spec, check) {
            container["readinessProbe"] = probe
        }
        if json["tty"].bool == true { container["tty"] = true }
        if spec.container["docker"]["privileged"].bool == true { container["securityContext"] = ["privileged": true] }
        var volumes: [JSON] = []
        var mounts: [JSON] = []
        Self.sandbox(isProcess: isProcess, &volumes, &mounts)
        for (index, volume) in spec.container["volumes"].elements.enumerated() {
            mount(volume, index, spec, &volumes, &mounts)
        }
        if !mounts.isEmpty { container["volumeMounts"] = .array(mounts) }
        var pod = frame(spec, uuid: uuid, taskIDs: [taskID], grace: json["taskKillGracePeriodSeconds"].double)
        pod["spec"]["containers"] = [container]
        if !volumes.isEmpty { pod["spec"]["volumes"] = .array(volumes) }
        if isProcess { pod["spec"]["runtimeClassName"] = .string(MesosNames.processRuntimeClass) }
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
        if let user = json["user"].string {
            annotate(&pod, MesosNames.optionsAnnotation, [MesosNames.taskContainer: ["user": .string(user)]])
        }
        let requests = appPorts(spec)
        if !requests.isEmpty { annotate(&pod, MesosNames.portRequestAnnotation, .array(requests)) }
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
    private static func assignedIndexes(_ spec: RunSpec) -> [Int?] {
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

    private func format(_ value: Double) -> String { value.description }

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

    private static func connect(_ probe: inout JSON, _ word: String, path: String?, port: JSON) {
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
    private static func timing(_ check: JSON) -> JSON {
        [
            "initialDelaySeconds": JSON(check["delaySeconds"].int ?? 0),
            "periodSeconds": JSON(max(1, check["intervalSeconds"].int ?? 60)),
            "timeoutSeconds": JSON(max(1, check["timeoutSeconds"].int ?? 20)), "failureThreshold": 1,
            "successThreshold": 1,
        ]
    }

    // MARK: Parts

    private static func command(_ container: inout JSON, shell: String?, arguments: [JSON]?, isProcess: Bool) {
        func literal(_ words: [JSON]) -> JSON {
            .array(words.map { .string(TaskEnvironment.literal($0.string ?? "")) })
        }
        if let shell {
            container["command"] = ["/bin/sh", "-c", .string(TaskEnvironment.literal(shell))]
        } else if let arguments, !arguments.isEmpty {
            // Images have an entry point that takes them; programs of the host are their own first word.
            container[isProcess ? "command" : "args"] = literal(arguments)
        }
        // An image's own program starts where the image says.
        if shell != nil, !isProcess { container["workingDir"] = .string(MesosNames.sandboxPath) }
    }

    static func resources(_ json: JSON, limits: JSON, headroom: Int) -> JSON {
        let cpu = Int(((json["cpus"].double ?? 0) * 1000).rounded())
        let memory = json["mem"].double ?? 0
        var requests: JSON = [
            "cpu": .string("\(max(cpu, 1))m"), "memory": .string("\(Int((memory * 1024).rounded()))Ki"),
        ]
        if let disk = json["disk"].double, disk > 0 {
            requests["ephemeral-storage"] = .string("\(Int(disk.rounded(.up)))Mi")
        }
        var most: JSON = .object([:])
        if limits["mem"].string != "unlimited" {
            let mem = max(limits["mem"].double ?? memory, memory)
            if mem > 0 { most["memory"] = .string("\(Int((mem * 1024).rounded()) + headroom * 1024)Ki") }
        }
        if let cpus = limits["cpus"].double { most["cpu"] = .string("\(Int((cpus * 1000).rounded()))m") }
        return most.members.isEmpty ? ["requests": requests] : ["requests": requests, "limits": most]
    }

    private static func sandbox(isProcess: Bool, _ volumes: inout [JSON], _ mounts: inout [JSON]) {
        guard !isProcess else { return }
        volumes.append(["name": .string(MesosNames.sandboxVolume), "emptyDir": .object([:])])
        mounts.append(["name": .string(MesosNames.sandboxVolume), "mountPath": .string(MesosNames.sandboxPath)])
    }

    private static func inSandbox(_ path: String) -> String {
        path.hasPrefix("/") ? path : "\(MesosNames.sandboxPath)/\(path)"
    }

    private func mount(_ volume: JSON, _ index: Int, _ spec: RunSpec, _ volumes: inout [JSON], _ mounts: inout [JSON]) {
        let name = "volume-\(index)"
        var source: JSON = ["name": .string(name)]
        if let path = volume["hostPath"].string {
            source["hostPath"] = ["path": .string(path)]
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

    private static func uri(_ fetch: JSON) -> JSON {
        var uri: JSON = [
            "value": fetch["uri"], "extract": .bool(fetch["extract"].bool ?? true),
            "executable": .bool(fetch["executable"].bool ?? false), "cache": .bool(fetch["cache"].bool ?? false),
        ]
        uri.setMember("output_file", fetch["destPath"])
        return uri
    }

    private func annotate(_ pod: inout JSON, _ name: String, _ value: JSON) {
        pod["metadata"]["annotations"][name] = .string(value.description)
    }

    /// What pods of apps and of pods share.
    private func frame(_ spec: RunSpec, uuid: String, taskIDs: [String], grace: Double?) -> JSON {
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
            "restartPolicy": "Never", "terminationGracePeriodSeconds": JSON(Int((grace ?? 3).rounded(.up))),
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

    // MARK: Pods

    private func group(_ spec: RunSpec, uuid: String) -> JSON {
        let containers = spec.json["containers"].elements
        let instance = Self.instanceID(spec, uuid: uuid)
        let taskIDs = containers.map { "\(instance).\($0["name"].string ?? "").1" }
        let names = containers.map { MesosNames.dnsSafe($0["name"].string ?? "") }
        var volumes: [JSON] = []
        var sources: [String: String] = [:]
        for (index, volume) in spec.json["volumes"].elements.enumerated() {
            let name = "volume-\(index)"
            sources[volume["name"].string ?? ""] = name
            if let path = volume["host"].string {
                volumes.append(["name": .string(name), "hostPath": ["path": .string(path)]])
            } else if let secret = volume["secret"].string, let text = spec.json["secrets"][secret]["source"].string {
                let (object, key) = TaskEnvironment.secret(text)
                volumes.append([
                    "name": .string(name),
                    "secret": ["secretName": .string(object), "items": [["key": .string(key), "path": "value"]]],
                ])
            } else {
                volumes.append(["name": .string(name), "emptyDir": .object([:])])
            }
        }
        let isProcess = containers.allSatisfy { $0["image"].isNull }
        var graces: [Double] = []
        var uris: JSON = .object([:])
        var options: JSON = .object([:])
        var ports: [JSON] = []
        var made: [JSON] = []
        let endpoints = Self.endpoints(spec)
        for (index, definition) in containers.enumerated() {
            let name = names[index]
            var container: JSON = [
                "name": .string(name), "image": .string(definition["image"]["id"].string ?? MesosNames.hostImage),
            ]
            if definition["image"]["forcePull"].bool == true { container["imagePullPolicy"] = "Always" }
            let command = definition["exec"]["command"]
            Self.command(
                &container, shell: command["shell"].string, arguments: command["argv"].array,
                isProcess: definition["image"].isNull || definition["exec"]["overrideEntrypoint"].bool == true)
            container["env"] = environment(spec, definition, taskID: taskIDs[index], instance: instance, endpoints).json
            container["resources"] = Self.resources(
                definition["resources"], limits: definition["resourceLimits"], headroom: 0)
            if let probe = podProbe(spec, definition["healthCheck"], endpoints) { container["readinessProbe"] = probe }
            var mounts: [JSON] = []
            if !isProcess {
                let sandbox = "\(MesosNames.sandboxVolume)-\(index)"
                volumes.append(["name": .string(sandbox), "emptyDir": .object([:])])
                mounts.append(["name": .string(sandbox), "mountPath": .string(MesosNames.sandboxPath)])
            }
            for mount in definition["volumeMounts"].elements {
                guard let source = sources[mount["name"].string ?? ""] else { continue }
                var entry: JSON = [
                    "name": .string(source), "mountPath": .string(Self.inSandbox(mount["mountPath"].string ?? "")),
                ]
                if mount["readOnly"].bool == true { entry["readOnly"] = true }
                mounts.append(entry)
            }
            if !mounts.isEmpty { container["volumeMounts"] = .array(mounts) }
            if definition["tty"].bool == true { container["tty"] = true }
            graces.append(definition["lifecycle"]["killGracePeriodSeconds"].double ?? 3)
            let fetches = definition["artifacts"].elements.map(Self.uri)
            if !fetches.isEmpty { uris[name] = .array(fetches) }
            if let user = definition["user"].string ?? spec.json["user"].string {
                options[name] = ["user": .string(user)]
            }
            made.append(container)
        }
        for endpoint in endpoints where endpoint.assigned != nil {
            var request: JSON = [
                "name": .string("port-\(ports.count)"), "protocol": .string(endpoint.protocols),
                "port": JSON(endpoint.hostPort ?? 0),
            ]
            if let port = endpoint.containerPort { request["containerPort"] = JSON(port) }
            ports.append(request)
        }
        var pod = frame(spec, uuid: uuid, taskIDs: taskIDs, grace: graces.max())
        pod["spec"]["containers"] = .array(made)
        if !volumes.isEmpty { pod["spec"]["volumes"] = .array(volumes) }
        if isProcess { pod["spec"]["runtimeClassName"] = .string(MesosNames.processRuntimeClass) }
        if !ports.isEmpty { annotate(&pod, MesosNames.portRequestAnnotation, .array(ports)) }
        if !uris.members.isEmpty { annotate(&pod, MesosNames.urisAnnotation, uris) }
        if !options.members.isEmpty { annotate(&pod, MesosNames.optionsAnnotation, options) }
        var tasks: JSON = .object([:])
        for (index, name) in names.enumerated() { tasks[name] = .string(taskIDs[index]) }
        annotate(&pod, MarathonNames.tasksAnnotation, tasks)
        annotate(&pod, MesosNames.taskGroupAnnotation, taskGroup(spec, instance: instance, taskIDs: taskIDs))
        return pod
    }

    /// A port of a pod's container.
    struct Endpoint {
        var container: String
        var name: String
        var protocols: String
        var containerPort: Int?
        var hostPort: Int?
        /// Its place among the assigned host ports; nil: it has none.
        var assigned: Int?
        var labels: JSON
    }

    /// Endpoints in the order in which their host ports are asked for.
    static func endpoints(_ spec: RunSpec) -> [Endpoint] {
        var found: [Endpoint] = []
        var next = 0
        for container in spec.json["containers"].elements {
            for endpoint in container["endpoints"].elements {
                let hasHostPort = spec.isHostNetwork || !endpoint["hostPort"].isNull
                found.append(
                    Endpoint(
                        container: container["name"].string ?? "", name: endpoint["name"].string ?? "",
                        protocols: endpoint["protocol"].elements.compactMap(\.string).joined(separator: ","),
                        containerPort: endpoint["containerPort"].int, hostPort: endpoint["hostPort"].int,
                        assigned: hasHostPort ? next : nil, labels: endpoint["labels"]))
                if hasHostPort { next += 1 }
            }
        }
        return found
    }

    private func environment(
        _ spec: RunSpec, _ container: JSON, taskID: String, instance: String, _ endpoints: [Endpoint]
    ) -> TaskEnvironment {
        var environment = TaskEnvironment()
        environment.add(spec.json["environment"], secrets: spec.json["secrets"])
        environment.add(container["environment"], secrets: spec.json["secrets"])
        environment.set("MESOS_TASK_ID", taskID)
        environment.set("MESOS_EXECUTOR_ID", instance)
        if !container["image"].isNull {
            environment.set("MESOS_SANDBOX", MesosNames.sandboxPath)
            environment.set("MESOS_DIRECTORY", MesosNames.sandboxPath)
        }
        environment.set("MARATHON_CONTAINER_ID", container["name"].string ?? "")
        for key in ["cpus", "mem", "disk", "gpus"] {
            environment.set(
                "MARATHON_CONTAINER_RESOURCE_" + key.uppercased(), format(container["resources"][key].double ?? 0))
        }
        environment.describe(spec, enforcesRole: enforcesRole)
        environment.set("HOST", field: "status.hostIP")
        for endpoint in endpoints {
            let name = TaskEnvironment.upperName(endpoint.name)
            if let index = endpoint.assigned {
                let field = "metadata.annotations['\(MesosNames.assignedPortAnnotation(index))']"
                environment.set("EP_HOST_\(name)", field: field)
                if spec.isHostNetwork { environment.set("ENDPOINT_\(name)", field: field) }
            }
            if let port = endpoint.containerPort {
                environment.set("EP_CONTAINER_\(name)", String(port))
                environment.set("ENDPOINT_\(name)", String(port))
            }
        }
        return environment
    }

    private func podProbe(_ spec: RunSpec, _ check: JSON, _ endpoints: [Endpoint]) -> JSON? {
        guard !check.isNull else { return nil }
        var probe = Self.timing(check)
        let command = check["exec"]["command"]
        if !command.isNull {
            probe["exec"] = [
                "command": command["shell"].string.map { ["/bin/sh", "-c", .string($0)] } ?? command["argv"]
            ]
            return probe
        }
        let http = check["http"]
        let name = http["endpoint"].string ?? check["tcp"]["endpoint"].string ?? ""
        guard let endpoint = endpoints.first(where: { $0.name == name }) else { return nil }
        let port: JSON
        if let number = endpoint.containerPort, number > 0 {
            port = JSON(number)
        } else {
            port = .string("port-\(endpoint.assigned ?? 0)")
        }
        let word = http.isNull ? "TCP" : http["scheme"].string ?? "HTTP"
        Self.connect(&probe, word, path: http["path"].string, port: port)
        return probe
    }
}
