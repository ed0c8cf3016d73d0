import JSON
import MesosModel

/// What the operator API reads, as trees of `mesos.v1.master.Response`.
struct OperatorReads: Sendable {
    let view: MasterView
    var state: MasterState { view.state }

    init(_ state: MasterState) {
        view = MasterView(state)
    }

    static func time(_ seconds: Double) -> JSON { ["nanoseconds": JSON(Int(bounded: seconds * 1e9))] }

    // MARK: Agents

    /// An agent without what others hold of it.
    static func bare(_ agent: AgentRecord, _ configuration: Master.Configuration) -> JSON {
        var json: JSON = [
            "agent_info": agent.info(port: configuration.agentPort), "active": .bool(agent.isActive),
            "deactivated": .bool(agent.isDeactivated), "version": .string(configuration.version),
            "pid": .string("slave(1)@\(agent.node.address):\(configuration.agentPort)"),
            "registered_time": time(agent.registeredTime),
            "total_resources": agent.total.forOperators,
            "capabilities": .array(Self.agentCapabilities.map { ["type": .string($0)] }),
        ]
        json.setMember("reregistered_time", agent.reregisteredTime.map(time))
        json.setMember("drain_info", drainInfo(agent))
        return json
    }
    static let agentCapabilities = [
        "MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT", "RESIZE_VOLUME", "AGENT_OPERATION_FEEDBACK",
        "AGENT_DRAINING", "TASK_RESOURCE_LIMITS",
    ]

    static func drainInfo(_ agent: AgentRecord) -> JSON {
        guard agent.state == "draining" || agent.state == "drained" else { return .null }
        var config: JSON = ["mark_gone": .bool(agent.drain["markGone"].bool ?? false)]
        if let grace = agent.drain["maxGracePeriodSeconds"].double {
            config["max_grace_period"] = ["nanoseconds": JSON(Int(bounded: grace * 1e9))]
        }
        return ["state": agent.state == "draining" ? "DRAINING" : "DRAINED", "config": config]
    }

    func agent(_ agent: AgentRecord) -> JSON {
        var json = Self.bare(agent, state.configuration)
        json["allocated_resources"] = (view.usedOfAgent[agent.id] ?? Resources()).forOperators
        json["offered_resources"] = .array(view.offered(of: agent).map(LegacyResources.inBothForms))
        return json
    }

    var agents: JSON { ["agents": .array(view.agents.map(agent))] }

    // MARK: Frameworks

    static func bare(_ framework: FrameworkRecord) -> JSON {
        var json: JSON = [
            "framework_info": framework.info, "active": .bool(framework.isActive),
            "connected": .bool(framework.isConnected), "recovered": .bool(framework.isRecovered),
            "registered_time": time(framework.registeredTime),
        ]
        json.setMember("reregistered_time", framework.reregisteredTime.map(time))
        json.setMember("unregistered_time", framework.unregisteredTime.map(time))
        json.setMember("offer_constraints", framework.offerConstraints)
        return json
    }

    func framework(_ framework: MasterView.Framework) -> JSON {
        var json = Self.bare(framework.record)
        if framework.isOfCluster { json["framework_info"]["roles"] = JSON(framework.roles) }
        json["active"] = .bool(framework.isActive)
        json["connected"] = .bool(framework.isConnected)
        json["offers"] = .array(framework.record.offers.sorted().compactMap { state.offers[$0]?.json })
        let asked = framework.record.inverseOffers.sorted().compactMap { state.inverseOffers[$0] }
        if !asked.isEmpty { json["inverse_offers"] = .array(asked.map(state.json(of:))) }
        json["allocated_resources"] = framework.allocated.forOperators
        json["offered_resources"] = .array(view.offered(to: framework).map(LegacyResources.inBothForms))
        return json
    }

    var frameworks: JSON {
        [
            "frameworks": .array(view.frameworks.map(framework)),
            "completed_frameworks": .array(view.completedFrameworks.map(framework)),
        ]
    }

    var executors: JSON {
        [
            "executors": .array(
                view.frameworks.flatMap { view.executors(of: $0.record.id) }.map {
                    ["executor_info": $0.info, "agent_id": Message.id($0.key.agentID)]
                })
        ]
    }

    // MARK: Tasks

    static let taskLists: [(name: String, path: any KeyPath<MasterView.Framework, [MasterView.Task]> & Sendable)] = [
        ("tasks", \.tasks), ("unreachable_tasks", \.unreachable), ("completed_tasks", \.completed),
    ]

    var operations: JSON {
        [
            "operations": .array(
                state.operations.values.map { operation in
                    var json: JSON = [
                        "agent_id": Message.id(operation.agentID), "info": operation.info,
                        "latest_status": operation.status, "statuses": [operation.status],
                    ]
                    json.setMember("framework_id", operation.frameworkID.map(Message.id))
                    json.setMember("uuid", operation.status["uuid"])
                    return json
                })
        ]
    }

    // MARK: Roles

    func role(named name: String) -> RoleObject? { state.roles.values.first { $0.role == name } }

    var roles: JSON {
        [
            "roles": .array(
                view.roleNames.map { name in
                    let users = view.frameworks.filter { $0.roles.contains(name) }
                    return [
                        "name": .string(name), "weight": Message.double(role(named: name)?.weight ?? 1),
                        "frameworks": .array(users.map { Message.id($0.record.id) }),
                        "resources": view.allocated(toRole: name).json,
                    ]
                })
        ]
    }

    var weights: JSON {
        [
            "weight_infos": .array(
                state.roles.values.filter(\.hasWeight).sorted { $0.role < $1.role }.map {
                    ["role": .string($0.role), "weight": Message.double($0.weight)]
                })
        ]
    }

    /// Quotas in both forms: the old one has one amount that is guarantee and limit.
    var quota: JSON {
        let roles = state.roles.values.filter { !$0.quota.members.isEmpty }.sorted { $0.role < $1.role }
        func scalars(_ amounts: JSON) -> JSON {
            .object(amounts.members.mapValues { ["value": $0["value"].isNull ? $0 : $0["value"]] })
        }
        return [
            "status": [
                "configs": .array(
                    roles.map { role in
                        var config: JSON = ["role": .string(role.role)]
                        for name in ["guarantees", "limits"] where !role.quota[name].members.isEmpty {
                            config[name] = scalars(role.quota[name])
                        }
                        return config
                    }),
                "infos": .array(
                    roles.map { role in
                        [
                            "role": .string(role.role),
                            "guarantee": .array(
                                scalars(role.quota["guarantees"]).members.map { name, amount in
                                    ["name": .string(name), "type": "SCALAR", "scalar": amount]
                                }),
                        ]
                    }),
            ]
        ]
    }

    // MARK: Maintenance

    var schedule: JSON { ["windows": .array(state.maintenance["windows"].elements)] }
    var down: [JSON] { state.maintenance["down"].elements }

    var maintenanceStatus: JSON {
        let draining = schedule["windows"].elements.flatMap { $0["machine_ids"].elements }
            .filter { machine in !down.contains { Machine.same($0, machine) } }
        return [
            "draining_machines": .array(
                draining.map { machine in
                    let answers = view.agents.filter { Machine.isMachine(machine, of: $0) }
                        .flatMap { state.inverseAnswers[$0.id] ?? [] }
                    return [
                        "id": machine,
                        "statuses": .array(
                            answers.map {
                                [
                                    "status": .string($0.status), "framework_id": Message.id($0.frameworkID),
                                    "timestamp": Self.time($0.seconds),
                                ]
                            }),
                    ]
                }),
            "down_machines": .array(down),
        ]
    }

    // MARK: The master itself

    var master: JSON {
        [
            "master_info": state.masterInfo, "start_time": Message.double(state.startTime),
            "elected_time": Message.double(state.startTime),
        ]
    }

    /// What the window was started with, in Mesos's own names.
    var flags: [(name: String, value: String)] {
        [
            ("allocation_interval", "1secs"), ("allocator", "hierarchical"), ("hostname", state.configuration.hostname),
            ("ip", state.configuration.address), ("port", "\(state.configuration.port)"),
            ("role_sorter", "drf"), ("framework_sorter", "drf"), ("cluster", "apus"), ("registry", "apus"),
        ].sorted { $0.0 < $1.0 }
    }
}

/// Machines of a maintenance schedule.
enum Machine {
    private static func name(_ machine: JSON) -> String { (machine["hostname"].string ?? "").lowercased() }
    private static func address(_ machine: JSON) -> String { machine["ip"].string ?? "" }

    /// Machines are the same when everything that both say is.
    static func same(_ left: JSON, _ right: JSON) -> Bool {
        name(left) == name(right) && address(left) == address(right)
    }

    static func isMachine(_ machine: JSON, of agent: AgentRecord) -> Bool {
        let (host, ip) = (name(machine), address(machine))
        return (host.isEmpty || host == agent.hostname.lowercased()) && (ip.isEmpty || ip == agent.node.address)
            && !(host.isEmpty && ip.isEmpty)
    }
}
