import JSON
import MesosModel
import ObjectModel

/// Makes the pods of tasks, task groups and custom executors.
struct PodMaker {
    let framework: FrameworkRecord
    let agentID: String
    let node: String
    let role: String
    let settings: Master.Configuration

    /// A pod that is about to be created.
    struct Made: Sendable {
        var key: ObjectKey
        var tree: JSON
    }

    /// One container of a pod.
    private struct Part {
        var name: String
        var command: JSON
        var container: JSON
        var resources: JSON
        var limits: JSON
        var healthCheck: JSON
        /// Identifies it in its environment.
        var executorID: String
        var extraMemory: Int64
    }

    // MARK: The three kinds

    /// The pod of a command task.
    func commandTask(_ task: JSON) -> Made {
        let id = task["task_id"]["value"].string ?? ""
        let part = Part(
            name: MesosNames.taskContainer, command: task["command"], container: task["container"],
            resources: task["resources"], limits: task["limits"], healthCheck: task["health_check"], executorID: id,
            extraMemory: 32 << 20)
        var pod = pod(
            named: MesosNames.podName(taskID: id, frameworkID: framework.id), [part], kill: [task["kill_policy"]],
            shared: task["container"])
        pod.tree["metadata"]["labels"][MesosNames.taskLabel] = .string(MesosNames.labelValue(id))
        pod.tree["metadata"]["annotations"][MesosNames.taskAnnotation] = .string(task.description)
        assignPorts(task["resources"].elements, &pod.tree)
        if let nanoseconds = task["max_completion_time"]["nanoseconds"].int {
            pod.tree["spec"]["activeDeadlineSeconds"] = JSON(max((nanoseconds + 999_999_999) / 1_000_000_000, 1))
        }
        return pod
    }

    /// The pod of a task group on the default executor: one container for each task.
    func group(_ tasks: [JSON], executor: JSON) -> Made {
        let ids = tasks.map { $0["task_id"]["value"].string ?? "" }
        let executorID = executor["executor_id"]["value"].string ?? ""
        var parts: [Part] = []
        for (task, name) in zip(tasks, MesosNames.containerNames(ofTasks: ids)) {
            parts.append(
                Part(
                    name: name, command: task["command"], container: task["container"], resources: task["resources"],
                    limits: task["limits"], healthCheck: task["health_check"], executorID: executorID,
                    extraMemory: 0))
        }
        var pod = pod(
            named: MesosNames.podName(groupOf: ids, frameworkID: framework.id), parts,
            kill: tasks.map { $0["kill_policy"] }, shared: executor["container"])
        // The default executor's own share is the pod's, as nobody runs for it.
        let requests = Self.requests(executor["resources"])
        if !requests.members.isEmpty, let first = parts.first {
            pod.tree["spec"]["containers"][0]["resources"]["requests"] = Self.sum(
                Self.requests(first.resources), requests)
        }
        pod.tree["metadata"]["labels"][MesosNames.executorLabel] = .string(MesosNames.labelValue(executorID))
        if let first = ids.first {
            pod.tree["metadata"]["labels"][MesosNames.taskLabel] = .string(MesosNames.labelValue(first))
        }
        let group: JSON = ["executor": executor, "tasks": .array(tasks)]
        pod.tree["metadata"]["annotations"][MesosNames.taskGroupAnnotation] = .string(group.description)
        assignPorts(tasks.flatMap(\.["resources"].elements) + executor["resources"].elements, &pod.tree)
        return pod
    }

    /// The pod of a framework's own executor.
    func executor(_ executor: JSON) -> Made {
        let id = executor["executor_id"]["value"].string ?? ""
        let part = Part(
            name: MesosNames.executorContainer, command: executor["command"], container: executor["container"],
            resources: executor["resources"], limits: .null, healthCheck: .null, executorID: id, extraMemory: 0)
        var pod = pod(
            named: MesosNames.podName(executorID: id, frameworkID: framework.id, agentID: agentID), [part],
            kill: [
                executor["shutdown_grace_period"].isNull ? .null : ["grace_period": executor["shutdown_grace_period"]]
            ],
            shared: executor["container"])
        pod.tree["metadata"]["labels"][MesosNames.executorLabel] = .string(MesosNames.labelValue(id))
        pod.tree["metadata"]["annotations"][MesosNames.executorAnnotation] = .string(executor.description)
        assignPorts(executor["resources"].elements, &pod.tree)
        // Its tasks are charged to it while they run: what it may use grows with them.
        pod.tree["spec"]["containers"][0]["resources"].removeMember("limits")
        return pod
    }

    // MARK: The pod

    private func pod(named name: String, _ parts: [Part], kill: [JSON], shared: JSON) -> Made {
        let namespace = MesosNames.namespace(ofRole: role)
        let isProcess = parts.allSatisfy { Self.image($0.container) == nil } && Self.image(shared) == nil
        var uris: JSON = [:]
        var options: JSON = [:]
        var volumes: [JSON] = []
        let containers = parts.map { part -> JSON in
            if !part.command["uris"].elements.isEmpty { uris[part.name] = part.command["uris"] }
            let more = processOptions(part)
            if !more.members.isEmpty { options[part.name] = more }
            return container(part, isProcess: isProcess, shared: shared, &volumes)
        }
        if !isProcess { volumes.append(["name": .string(MesosNames.sandboxVolume), "emptyDir": [:]]) }
        var annotations: JSON = [
            MesosNames.agentAnnotation: .string(agentID), MesosNames.roleAnnotation: .string(role),
        ]
        if !uris.members.isEmpty { annotations[MesosNames.urisAnnotation] = .string(uris.description) }
        if !options.members.isEmpty { annotations[MesosNames.optionsAnnotation] = .string(options.description) }
        let grace = kill.compactMap { $0["grace_period"]["nanoseconds"].int }.max() ?? 3_000_000_000
        let usesPodNetwork = ([shared] + parts.map(\.container)).contains(where: Self.wantsOwnNetwork)
        var spec: JSON = [
            "nodeName": .string(node), "restartPolicy": "Never",
            "terminationGracePeriodSeconds": JSON(max((grace + 999_999_999) / 1_000_000_000, 0)),
            "automountServiceAccountToken": false, "enableServiceLinks": false, "containers": .array(containers),
        ]
        if !usesPodNetwork {
            spec["hostNetwork"] = true
            spec["dnsPolicy"] = "Default"
        }
        if isProcess { spec["runtimeClassName"] = .string(MesosNames.processRuntimeClass) }
        if !volumes.isEmpty { spec["volumes"] = .array(volumes) }
        let tree: JSON = [
            "apiVersion": "v1", "kind": "Pod",
            "metadata": [
                "name": .string(name), "namespace": .string(namespace),
                "labels": [MesosNames.frameworkLabel: .string(framework.id)], "annotations": annotations,
                "finalizers": [.string(MesosNames.statusFinalizer)],
            ],
            "spec": spec,
        ]
        return Made(key: ObjectKey(namespace: namespace, name: name), tree: tree)
    }

    private func container(_ part: Part, isProcess: Bool, shared: JSON, _ volumes: inout [JSON]) -> JSON {
        var container: JSON = [
            "name": .string(part.name),
            "image": .string(Self.image(part.container) ?? Self.image(shared) ?? MesosNames.hostImage),
        ]
        let command = part.command
        if command["shell"].bool ?? true, let value = command["value"].string {
            container["command"] = ["/bin/sh", "-c", .string(Self.escaped(value))]
        } else {
            let arguments = command["arguments"].elements.compactMap(\.string).map(Self.escaped)
            if let value = command["value"].string {
                container["command"] = JSON([Self.escaped(value)])
                if arguments.count > 1 { container["args"] = JSON(Array(arguments.dropFirst())) }
            } else if !arguments.isEmpty {
                container["args"] = JSON(arguments)
            }
        }
        container["env"] = .array(environment(part, isProcess: isProcess))
        container["resources"] = Self.resources(part)
        var mounts: [JSON] = []
        if !isProcess {
            container["workingDir"] = .string(MesosNames.sandboxPath)
            mounts.append(
                [
                    "name": .string(MesosNames.sandboxVolume), "mountPath": .string(MesosNames.sandboxPath),
                    "subPath": .string(part.name),
                ])
        }
        mounts += self.mounts(part, isProcess: isProcess, shared: shared, &volumes)
        if !mounts.isEmpty { container["volumeMounts"] = .array(mounts) }
        if let probe = Self.probe(part.healthCheck) {
            container["livenessProbe"] = probe
            var readiness = probe
            readiness["failureThreshold"] = 1
            container["readinessProbe"] = readiness
        }
        var security: JSON = [:]
        if part.container["docker"]["privileged"].bool == true { security["privileged"] = true }
        let added = part.container["linux_info"]["effective_capabilities"]["capabilities"].elements.compactMap(\.string)
        if !added.isEmpty { security["capabilities"] = ["drop": ["ALL"], "add": JSON(added)] }
        if !isProcess, let user = command["user"].string.flatMap({ Int($0) }) { security["runAsUser"] = JSON(user) }
        if !security.members.isEmpty { container["securityContext"] = security }
        if part.container["tty_info"].object != nil { container["tty"] = true }
        return container
    }

    private func environment(_ part: Part, isProcess: Bool) -> [JSON] {
        var variables: [(String, String)] = [
            ("MESOS_FRAMEWORK_ID", framework.id), ("MESOS_EXECUTOR_ID", part.executorID),
            ("MESOS_SLAVE_ID", agentID), ("MESOS_AGENT_ID", agentID),
            ("MESOS_SLAVE_PID", "slave(1)@\(settings.address):\(settings.agentPort)"),
            ("MESOS_AGENT_ENDPOINT", "\(settings.address):\(settings.agentPort)"),
            ("MESOS_CHECKPOINT", framework.info["checkpoint"].bool == true ? "1" : "0"),
            ("MESOS_HTTP_COMMAND_EXECUTOR", "0"), ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "5secs"),
            ("MESOS_ALLOCATION_ROLE", role), ("LIBPROCESS_IP", settings.address), ("LIBPROCESS_PORT", "0"),
        ]
        if framework.info["checkpoint"].bool == true {
            variables += [("MESOS_RECOVERY_TIMEOUT", "15mins"), ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs")]
        }
        if !isProcess {
            variables += [("MESOS_SANDBOX", MesosNames.sandboxPath), ("MESOS_DIRECTORY", MesosNames.sandboxPath)]
        }
        for variable in part.command["environment"]["variables"].elements {
            guard let name = variable["name"].string else { continue }
            var value = variable["value"].string ?? ""
            if let data = variable["secret"]["value"]["data"].string, let bytes = Base64.decode(data.utf8) {
                value = String(decoding: bytes, as: UTF8.self)
            }
            variables.removeAll { $0.0 == name }
            variables.append((name, value))
        }
        return variables.map { ["name": .string($0.0), "value": .string(Self.escaped($0.1))] }
    }

    private func processOptions(_ part: Part) -> JSON {
        var options: JSON = [:]
        let rlimits = part.container["rlimit_info"]["rlimits"].elements
        if !rlimits.isEmpty { options["rlimits"] = .array(rlimits) }
        if let user = part.command["user"].string ?? framework.info["user"].string, !user.isEmpty, user != "root" {
            options["user"] = .string(user)
        }
        return options
    }

    // MARK: Volumes

    private func mounts(_ part: Part, isProcess: Bool, shared: JSON, _ volumes: inout [JSON]) -> [JSON] {
        var mounts: [JSON] = []
        func inside(_ path: String) -> String { path.hasPrefix("/") ? path : MesosNames.sandboxPath + "/" + path }
        func add(_ path: String, _ source: JSON, readOnly: Bool) {
            let name = "volume-\(volumes.count)"
            var volume = source
            volume["name"] = .string(name)
            volumes.append(volume)
            var mount: JSON = ["name": .string(name), "mountPath": .string(inside(path))]
            if readOnly { mount["readOnly"] = true }
            mounts.append(mount)
        }
        for volume in part.container["volumes"].elements {
            guard let path = volume["container_path"].string else { continue }
            let readOnly = volume["mode"].string == "RO"
            if let host = volume["host_path"].string, host.hasPrefix("/") {
                add(path, ["hostPath": ["path": .string(host)]], readOnly: readOnly)
            } else {
                add(path, ["emptyDir": [:]], readOnly: readOnly)
            }
        }
        for resource in part.resources.elements {
            guard let id = resource["disk"]["persistence"]["id"].string,
                let path = resource["disk"]["volume"]["container_path"].string
            else { continue }
            let directory = settings.volumePath(role: Self.owner(of: resource), id: id)
            add(
                path, ["hostPath": ["path": .string(directory), "type": "DirectoryOrCreate"]],
                readOnly: resource["disk"]["volume"]["mode"].string == "RO")
        }
        return mounts
    }

    /// The role that a volume belongs to.
    private static func owner(of resource: JSON) -> String {
        resource["reservations"].elements.last?["role"].string ?? resource["role"].string ?? "*"
    }

    // MARK: Resources

    /// Sums of scalars by name, in thousandths.
    static func scalars(_ resources: [JSON]) -> [String: Int64] {
        var sums: [String: Int64] = [:]
        for resource in resources {
            guard let name = resource["name"].string, let value = resource["scalar"]["value"].double else { continue }
            sums[name, default: 0] += Int64((value * 1000).rounded())
        }
        return sums
    }

    /// Requests of a container in Kubernetes's words.
    private static func requests(_ resources: JSON) -> JSON {
        let sums = scalars(resources.elements)
        var requests: JSON = [:]
        if let cpus = sums["cpus"], cpus > 0 { requests["cpu"] = .string("\(cpus)m") }
        if let mem = sums["mem"], mem > 0 { requests["memory"] = .string(bytes(mem)) }
        if let disk = sums["disk"], disk > 0 { requests["ephemeral-storage"] = .string(bytes(disk)) }
        if let gpus = sums["gpus"], gpus >= 1000 { requests["nvidia.com/gpu"] = .string("\(gpus / 1000)") }
        return requests
    }

    /// Thousandths of MiB as a quantity of bytes.
    private static func bytes(_ thousandths: Int64) -> String {
        thousandths % 1000 == 0 ? "\(thousandths / 1000)Mi" : "\(thousandths * 1_048_576 / 1000)"
    }

    private static func sum(_ left: JSON, _ right: JSON) -> JSON {
        var sum = left
        for (name, value) in right.members {
            guard let add = Quantity(value) else { continue }
            let old = Quantity(left[name]) ?? .zero
            sum[name] = .string((old + add).canonical)
        }
        return sum
    }

    private static func resources(_ part: Part) -> JSON {
        let requests = requests(part.resources)
        let sums = scalars(part.resources.elements)
        var limits: JSON = [:]
        if let limit = part.limits["mem"]["value"].double {
            if limit.isFinite { limits["memory"] = .string("\(Int64(limit * 1_048_576) + part.extraMemory)") }
        } else if part.limits["mem"]["value"].string == nil, let mem = sums["mem"], mem > 0 {
            limits["memory"] = .string("\(mem * 1_048_576 / 1000 + part.extraMemory)")
        }
        if let limit = part.limits["cpus"]["value"].double, limit.isFinite {
            limits["cpu"] = .string("\(Int64((limit * 1000).rounded()))m")
        }
        if let gpu = requests["nvidia.com/gpu"].string { limits["nvidia.com/gpu"] = .string(gpu) }
        var result: JSON = [:]
        if !requests.members.isEmpty { result["requests"] = requests }
        if !limits.members.isEmpty { result["limits"] = limits }
        return result
    }

    /// Writes the host ports that the framework took from its offer.
    private func assignPorts(_ resources: [JSON], _ tree: inout JSON) {
        let ports = Self.ports(resources)
        guard !ports.isEmpty else { return }
        tree["metadata"]["annotations"][MesosNames.assignedPortsAnnotation] = .string(
            ports.map(String.init).joined(separator: ","))
        for (index, port) in ports.enumerated().prefix(64) {
            tree["metadata"]["annotations"][MesosNames.assignedPortAnnotation(index)] = .string(String(port))
        }
    }

    /// The single ports of port resources, at most as many as a node has.
    static func ports(_ resources: [JSON]) -> [Int] {
        var ports: [Int] = []
        for resource in resources where resource["name"].string == "ports" {
            for range in resource["ranges"]["range"].elements {
                guard let begin = range["begin"].int, let end = range["end"].int, begin <= end, end <= 65535, begin >= 0
                else { continue }
                ports += begin...end
            }
        }
        return ports
    }

    // MARK: Containers

    /// The image of a ContainerInfo; nil when its program is the host's.
    static func image(_ container: JSON) -> String? {
        container["docker"]["image"].string ?? container["mesos"]["image"]["docker"]["name"].string
    }

    /// True when a container asks for a network of its own.
    private static func wantsOwnNetwork(_ container: JSON) -> Bool {
        let network = container["docker"]["network"].string
        if network == "BRIDGE" || network == "USER" { return true }
        return container["network_infos"].elements.contains { $0["name"].string != nil }
    }

    /// A health check as a probe; nil for none that can be made.
    private static func probe(_ check: JSON) -> JSON? {
        guard check.object != nil else { return nil }
        func seconds(_ name: String, _ standard: Double) -> Int {
            max(Int((check[name].double ?? standard).rounded(.up)), 1)
        }
        var probe: JSON = [
            "periodSeconds": JSON(seconds("interval_seconds", 10)),
            "timeoutSeconds": JSON(seconds("timeout_seconds", 20)),
            "failureThreshold": JSON(max(check["consecutive_failures"].int ?? 3, 1)),
            "initialDelaySeconds": JSON(
                Int(max(check["delay_seconds"].double ?? 15, check["grace_period_seconds"].double ?? 10))),
        ]
        switch check["type"].string ?? (check["command"].object != nil ? "COMMAND" : "HTTP") {
        case "COMMAND":
            let command = check["command"]
            guard let value = command["value"].string else { return nil }
            probe["exec"] = [
                "command": command["shell"].bool ?? true
                    ? ["/bin/sh", "-c", .string(value)]
                    : JSON([value] + command["arguments"].elements.compactMap(\.string).dropFirst())
            ]
        case "HTTP":
            guard let port = check["http"]["port"].int else { return nil }
            probe["httpGet"] = [
                "port": JSON(port), "path": .string(check["http"]["path"].string ?? "/"),
                "scheme": .string((check["http"]["scheme"].string ?? "http").uppercased()), "host": "127.0.0.1",
            ]
        case "TCP":
            guard let port = check["tcp"]["port"].int else { return nil }
            probe["tcpSocket"] = ["port": JSON(port), "host": "127.0.0.1"]
        default: return nil
        }
        return probe
    }

    /// Kubernetes replaces `$(NAME)` in commands and values, and reads `$$` as `$`.
    private static func escaped(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "$")) else { return text }
        return text.split(separator: "$", omittingEmptySubsequences: false).joined(separator: "$$")
    }
}
