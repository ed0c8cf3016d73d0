import JSON
import MesosModel
import ObjectModel

/// A running task as DNS sees it.
struct MesosTaskView: Sendable, Equatable {
    /// A port of the task's discovery information, or an assigned host port.
    struct Port: Sendable, Equatable {
        /// Nil when the port has none; a DNS label otherwise.
        var name: String?
        /// `tcp` or `udp`.
        var transport: String
        var number: UInt16
        /// True when the number is one of the agent's; false when it is the container's own.
        var isOfAgent: Bool
        /// Virtual addresses that balance over this port: `/name:port`, `name:port` or `ADDRESS:PORT`.
        var vips: [String] = []
    }
    /// DNS label.
    var label: String
    /// The name that the framework gave.
    var name: String
    var taskID: String
    var ports: [Port]
    /// True when the framework said itself what to publish.
    var hasDiscovery: Bool
}

/// What Mesos names read of a pod: its running tasks. Pods that do not run have none.
struct MesosPodView: Sendable, Equatable {
    /// Whose tasks they are.
    enum Framework: Sendable, Hashable {
        case id(String)
        case marathon
        case kubernetes
    }
    var key: ObjectKey
    var node: String
    var agentID: String?
    var framework: Framework
    /// Addresses of the container; the agent's when it shares its network.
    var containerAddresses: [String]
    var agentAddress: String
    var usesAgentNetwork: Bool
    var tasks: [MesosTaskView]

    init(_ object: Object) {
        let tree = object.tree
        let status = tree["status"]
        let labels = object.metadata.labels
        let annotations = object.tree["metadata"]["annotations"].stringMap
        key = object.key
        node = tree["spec"]["nodeName"].string ?? ""
        agentID = annotations[MesosNames.agentAnnotation]
        agentAddress = status["hostIP"].string ?? ""
        usesAgentNetwork = tree["spec"]["hostNetwork"].bool ?? false
        containerAddresses = []
        tasks = []
        let app = labels[MesosNames.marathonAppLabel]
        if let id = labels[MesosNames.frameworkLabel], app == nil {
            framework = .id(id)
        } else {
            framework = app == nil ? .kubernetes : .marathon
        }
        guard status["phase"].string == "Running", object.metadata.deletionTimestamp == nil, !agentAddress.isEmpty
        else { return }
        let addresses = status["podIPs"].elements.compactMap { $0["ip"].string }
        containerAddresses = usesAgentNetwork || addresses.isEmpty ? [agentAddress] : addresses
        tasks = Self.tasks(of: object, app: app, framework: framework, usesAgentNetwork: usesAgentNetwork)
    }

    private static func tasks(
        of object: Object, app: String?, framework: Framework, usesAgentNetwork: Bool
    ) -> [MesosTaskView] {
        let annotations = object.tree["metadata"]["annotations"].stringMap
        func parse(_ annotation: String) -> JSON? { annotations[annotation].flatMap { try? JSON.parse($0) } }
        // The numbers of ports that were asked for are known since the pod was placed, not since it was defined.
        func view(of info: JSON) -> MesosTaskView? {
            var info = info
            info["discovery"] = AssignedPorts.resolve(info["discovery"], object.tree["metadata"]["annotations"])
            return task(info, fallbackID: object.metadata.uid, usesAgentNetwork: usesAgentNetwork)
        }
        if let info = parse(MesosNames.taskAnnotation) {
            guard var task = view(of: info) else { return [] }
            // A task that publishes nothing has the ports that its pod asked for.
            if !task.hasDiscovery {
                let assigned = requestedPorts(object, usesAgentNetwork: usesAgentNetwork)
                if !assigned.isEmpty { (task.ports, task.hasDiscovery) = (assigned, true) }
            }
            return [task]
        }
        if let group = parse(MesosNames.taskGroupAnnotation) {
            return group["tasks"].elements.compactMap { view(of: $0) }
        }
        if let executor = parse(MesosNames.executorAnnotation) {
            // The tasks of a custom executor are objects of their own; its discovery information names the executor.
            guard executor["discovery"]["name"].string != nil else { return [] }
            return [
                view(of: [
                    "task_id": ["value": executor["executor_id"]["value"]], "discovery": executor["discovery"],
                ])
            ].compactMap { $0 }
        }
        let ports = requestedPorts(object, usesAgentNetwork: usesAgentNetwork)
        // /a/b is `b.a`, as Marathon names its tasks.
        let name = app.map { $0.split(separator: ".").reversed().joined(separator: ".") } ?? object.name
        let id = object.metadata.labels[MesosNames.marathonInstanceLabel] ?? object.metadata.uid
        return [Self.view(name, id, ports)].compactMap { $0 }
    }

    private static func view(_ name: String, _ id: String, _ ports: [MesosTaskView.Port], isPublished: Bool = true)
        -> MesosTaskView?
    {
        let label = MesosLabels.task(name)
        guard !label.isEmpty else { return nil }
        return MesosTaskView(
            label: label, name: name, taskID: id, ports: ports, hasDiscovery: isPublished && !ports.isEmpty)
    }

    /// A TaskInfo.
    private static func task(_ info: JSON, fallbackID: String, usesAgentNetwork: Bool) -> MesosTaskView? {
        let discovery = info["discovery"]
        let id = info["task_id"]["value"].string ?? fallbackID
        let published = discoveryPorts(discovery, usesAgentNetwork: usesAgentNetwork)
        return view(
            discovery["name"].string ?? info["name"].string ?? id, id,
            published.isEmpty ? resourcePorts(info["resources"]) : published, isPublished: !published.isEmpty)
    }

    /// Ports of a DiscoveryInfo. One whose label says nothing of its network is the agent's where the task uses that.
    private static func discoveryPorts(_ discovery: JSON, usesAgentNetwork: Bool) -> [MesosTaskView.Port] {
        discovery["ports"]["ports"].elements.flatMap { port -> [MesosTaskView.Port] in
            guard let number = port["number"].int.flatMap({ UInt16(exactly: $0) }) else { return [] }
            var isOfAgent = usesAgentNetwork
            var vips: [String] = []
            for label in port["labels"]["labels"].elements {
                let key = label["key"].string ?? ""
                let value = label["value"].string ?? ""
                if key == "network-scope" { isOfAgent = value == "host" }
                if key.hasPrefix("VIP_") || key == "VIP" { vips.append(value) }
            }
            return transports(port["protocol"].string).map {
                MesosTaskView.Port(
                    name: label(port["name"].string), transport: $0, number: number, isOfAgent: isOfAgent, vips: vips)
            }
        }
    }

    /// Host ports among a task's resources.
    private static func resourcePorts(_ resources: JSON) -> [MesosTaskView.Port] {
        resources.elements.filter { $0["name"].string == "ports" }
            .flatMap { $0["ranges"]["range"].elements }
            .flatMap { range -> [MesosTaskView.Port] in
                guard let begin = range["begin"].int.flatMap({ UInt16(exactly: $0) }),
                    let end = range["end"].int.flatMap({ UInt16(exactly: $0) }), begin <= end
                else { return [] }
                // A task that holds thousands of ports means to serve on a few.
                return (begin...end).prefix(100).flatMap { number in
                    ["tcp", "udp"].map {
                        MesosTaskView.Port(name: nil, transport: $0, number: number, isOfAgent: true)
                    }
                }
            }
    }

    /// Ports that a pod asked for, with those that it was assigned.
    private static func requestedPorts(_ object: Object, usesAgentNetwork: Bool) -> [MesosTaskView.Port] {
        let annotations = object.tree["metadata"]["annotations"].stringMap
        guard let request = annotations[MesosNames.portRequestAnnotation].flatMap({ try? JSON.parse($0) }) else {
            return []
        }
        let assigned = AssignedPorts.numbers(object.tree["metadata"]["annotations"]).map { UInt16(exactly: $0) }
        return request.elements.enumerated().flatMap { index, entry -> [MesosTaskView.Port] in
            let host = index < assigned.count ? assigned[index] : nil
            let own = entry["containerPort"].int.flatMap { UInt16(exactly: $0) }.flatMap { $0 == 0 ? nil : $0 }
            guard let number = host ?? own else { return [] }
            let vips = entry["labels"].stringMap.filter { $0.key.hasPrefix("VIP_") }.map(\.value).sorted()
            return transports(entry["protocol"].string).map {
                MesosTaskView.Port(
                    name: label(entry["name"].string), transport: $0, number: number, isOfAgent: host != nil,
                    vips: vips)
            }
        }
    }

    private static func label(_ name: String?) -> String? {
        name.map { MesosLabels.task($0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// `udp,tcp` is both; nothing is tcp.
    private static func transports(_ text: String?) -> [String] {
        let list = (text ?? "tcp").lowercased().split(separator: ",").map { String($0.filter { $0 != " " }) }
            .filter { $0 == "tcp" || $0 == "udp" }
        return list.isEmpty ? ["tcp"] : list
    }
}

extension MesosPodView {
    /// The task of a custom executor, an object of its own; it lives where its executor does.
    init(taskObject object: Object) {
        let spec = object.tree["spec"]
        key = object.key
        node = spec["node"].string ?? ""
        agentID = spec["agentID"].string
        framework = .id(spec["frameworkID"].string ?? "")
        agentAddress = ""
        containerAddresses = []
        usesAgentNetwork = true
        let isRunning = object.tree["status"]["state"].string == "TASK_RUNNING"
        tasks =
            isRunning
            ? [Self.task(spec["info"], fallbackID: object.name, usesAgentNetwork: true)].compactMap { $0 } : []
    }
}
