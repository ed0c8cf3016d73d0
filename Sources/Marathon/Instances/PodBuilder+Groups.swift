import JSON
import MesosModel

/// The Kubernetes pod of an instance of a Marathon pod: one container for each of its own.
extension PodBuilder {
    func group(_ spec: RunSpec, _ place: Place) -> JSON {
        let uuid = place.uuid
        let containers = spec.json["containers"].elements
        let instance = Self.instanceID(spec, uuid: uuid)
        let taskIDs = containers.map { "\(instance).\($0["name"].string ?? "").\(place.attempt)" }
        let names = containers.map { MesosNames.dnsSafe($0["name"].string ?? "") }
        var volumes: [JSON] = []
        var sources: [String: String] = [:]
        for (index, volume) in spec.json["volumes"].elements.enumerated() {
            let name = "volume-\(index)"
            sources[volume["name"].string ?? ""] = name
            if let path = volume["host"].string {
                volumes.append(["name": .string(name), "hostPath": ["path": .string(path)]])
            } else if !volume["persistent"].isNull {
                let claim = PersistentVolume.claimName(uuid: uuid, index)
                volumes.append([
                    "name": .string(name), "persistentVolumeClaim": ["claimName": .string(claim)],
                ])
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
        var pulls: [JSON] = []
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
            if definition["tty"].bool == true { Self.giveTerminal(&container) }
            graces.append(definition["lifecycle"]["killGracePeriodSeconds"].double ?? 3)
            let fetches = definition["artifacts"].elements.map(Self.uri)
            if !fetches.isEmpty { uris[name] = .array(fetches) }
            let user = definition["user"].string ?? spec.json["user"].string
            if isProcess, let user { options[name] = ["user": .string(user)] }
            if !isProcess { Self.setUser(&container, user) }
            Self.confine(&container, definition["linuxInfo"]["seccomp"])
            if let secret = definition["image"]["pullConfig"]["secret"].string,
                let source = spec.json["secrets"][secret]["source"].string
            {
                let name = JSON.string(TaskEnvironment.secret(source).name)
                if !pulls.contains(["name": name]) { pulls.append(["name": name]) }
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
        if !pulls.isEmpty { pod["spec"]["imagePullSecrets"] = .array(pulls) }
        Self.confine(&pod["spec"], spec.json["linuxInfo"]["seccomp"])
        if !isProcess {
            Self.share(&pod, spec.json["linuxInfo"]["ipcInfo"])
            let hasOwn = !spec.json["linuxInfo"]["ipcInfo"]["shmSize"].isNull
            for (index, definition) in containers.enumerated() where !hasOwn {
                Self.share(&pod, definition["linuxInfo"]["ipcInfo"], container: index)
            }
        }
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
