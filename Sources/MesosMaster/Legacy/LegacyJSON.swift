import JSON
import MesosModel

/// The old JSON shapes: `slave_id` for `agent_id`, resources as one object of sums.
struct LegacyJSON: Sendable {
    let reads: OperatorReads
    var view: MasterView { reads.view }
    var state: MasterState { reads.state }

    init(_ reads: OperatorReads) { self.reads = reads }

    private static func labels(_ labels: JSON) -> JSON { .array(labels["labels"].elements) }

    // MARK: Agents

    func agent(_ agent: AgentRecord, isFull: Bool) -> JSON {
        let total = agent.total.json.elements
        let used = view.usedOfAgent[agent.id]?.trees ?? []
        let offered = view.offered(of: agent)
        let port = state.configuration.agentPort
        let reserved = LegacyResources.byRole(total)
        let unreserved = total.filter { LegacyResources.owner($0) == nil }
        var json: JSON = [
            "id": .string(agent.id), "hostname": .string(agent.hostname), "port": JSON(port),
            "attributes": MesosAttributes.legacyJSON(agent.node.attributes),
            "pid": .string("slave(1)@\(agent.node.address):\(port)"),
            "registered_time": Message.double(agent.registeredTime), "resources": LegacyResources.json(total),
            "used_resources": LegacyResources.json(used), "offered_resources": LegacyResources.json(offered),
            "reserved_resources": .object(
                .init(uniqueKeysWithValues: reserved.map { ($0.role, LegacyResources.json($0.resources)) })),
            "unreserved_resources": LegacyResources.json(unreserved), "active": .bool(agent.isActive),
            "deactivated": .bool(agent.isDeactivated), "version": .string(state.configuration.version),
            "capabilities": JSON(OperatorReads.agentCapabilities),
        ]
        json.setMember("domain", agent.node.domain)
        json.setMember("reregistered_time", agent.reregisteredTime.map(Message.double))
        json.setMember("drain_info", OperatorReads.drainInfo(agent))
        if isFull {
            json["reserved_resources_full"] = .object(
                .init(
                    uniqueKeysWithValues: reserved.map {
                        ($0.role, .array($0.resources.map(LegacyResources.inBothForms)))
                    }))
            json["unreserved_resources_full"] = .array(unreserved.map(LegacyResources.inBothForms))
            json["used_resources_full"] = .array(used.map(LegacyResources.inBothForms))
            json["offered_resources_full"] = .array(offered.map(LegacyResources.inBothForms))
        }
        return json
    }

    // MARK: Frameworks

    /// Everything of a framework but its tasks.
    func framework(_ framework: MasterView.Framework) -> JSON {
        let record = framework.record
        let info = record.info
        let used = framework.allocated.trees + view.executors(of: record.id).flatMap { $0.resources.json.elements }
        let offered = view.offered(to: framework)
        var json: JSON = [
            "id": .string(record.id), "name": .string(record.name), "used_resources": LegacyResources.json(used),
            "offered_resources": LegacyResources.json(offered), "resources": LegacyResources.json(used + offered),
            "capabilities": JSON(record.capabilities.sorted()), "hostname": .string(info["hostname"].string ?? ""),
            "webui_url": .string(info["webui_url"].string ?? ""), "active": .bool(framework.isActive),
            "connected": .bool(framework.isConnected), "recovered": .bool(record.isRecovered),
            "user": .string(info["user"].string ?? ""), "failover_timeout": Message.double(record.failoverTimeout),
            "checkpoint": .bool(info["checkpoint"].bool ?? false),
            "registered_time": Message.double(record.registeredTime),
            "unregistered_time": Message.double(record.unregisteredTime ?? 0),
        ]
        json.setMember("reregistered_time", record.reregisteredTime.map(Message.double))
        json.setMember("principal", record.principal.map(JSON.string))
        if record.isMultiRole {
            json["roles"] = JSON(framework.roles)
        } else {
            json["role"] = .string(record.roles.first ?? "*")
        }
        if !info["labels"]["labels"].elements.isEmpty { json["labels"] = Self.labels(info["labels"]) }
        json.setMember("offer_constraints", record.offerConstraints)
        json["offers"] = .array(record.offers.sorted().compactMap { state.offers[$0] }.map(offer))
        json["executors"] = .array(view.executors(of: record.id).map(executor))
        return json
    }

    private func offer(_ offer: OfferRecord) -> JSON {
        [
            "id": .string(offer.id), "framework_id": .string(offer.frameworkID), "slave_id": .string(offer.agentID),
            "allocation_info": ["role": .string(offer.role)],
            "resources": LegacyResources.json(offer.resources.json.elements),
        ]
    }

    private func executor(_ executor: ExecutorRecord) -> JSON {
        var json: JSON = [
            "executor_id": .string(executor.key.executorID), "name": .string(executor.info["name"].string ?? ""),
            "framework_id": .string(executor.key.frameworkID), "slave_id": .string(executor.key.agentID),
            "source": .string(executor.info["source"].string ?? ""),
            "type": .string(executor.isDefault ? "DEFAULT" : "CUSTOM"),
            "resources": LegacyResources.json(executor.resources.json.elements),
        ]
        if executor.info["command"].object != nil { json["command"] = command(executor.info["command"]) }
        json.setMember("container", executor.info["container"])
        if !executor.info["labels"]["labels"].elements.isEmpty { json["labels"] = Self.labels(executor.info["labels"]) }
        return json
    }

    private func command(_ command: JSON) -> JSON {
        [
            "shell": .bool(command["shell"].bool ?? true), "value": .string(command["value"].string ?? ""),
            "argv": .array(command["arguments"].elements), "uris": .array(command["uris"].elements),
            "environment": command["environment"]["variables"].isNull
                ? [:] : ["variables": command["environment"]["variables"]],
        ]
    }

    // MARK: Tasks

    func task(_ task: MasterView.Task) -> JSON {
        let full = task.json
        var json: JSON = [
            "id": .string(task.id), "name": full["name"], "framework_id": .string(task.frameworkID),
            "executor_id": .string(full["executor_id"]["value"].string ?? ""), "slave_id": .string(task.agentID),
            "state": .string(task.state), "resources": LegacyResources.json(full["resources"].elements),
            "role": .string(task.role),
            "statuses": .array(full["statuses"].elements.map(status)),
        ]
        json.setMember("user", full["user"])
        if !full["labels"]["labels"].elements.isEmpty { json["labels"] = Self.labels(full["labels"]) }
        if !full["limits"].members.isEmpty {
            json["limits"] = .object(full["limits"].members.mapValues { $0["value"] })
        }
        for name in ["discovery", "container", "health_check"] { json.setMember(name, full[name]) }
        return json
    }

    private func status(_ status: JSON) -> JSON {
        var json: JSON = ["state": status["state"], "timestamp": status["timestamp"]]
        if !status["labels"]["labels"].elements.isEmpty { json["labels"] = Self.labels(status["labels"]) }
        json.setMember("container_status", status["container_status"])
        json.setMember("healthy", status["healthy"])
        return json
    }

    // MARK: The head of /state

    var head: JSON {
        let master = state.masterInfo
        let time = Message.double(state.startTime)
        var json: JSON = version
        json["start_time"] = time
        json["elected_time"] = time
        json["id"] = master["id"]
        json["pid"] = master["pid"]
        json["hostname"] = master["hostname"]
        json["capabilities"] = .array(master["capabilities"].elements.map { $0["type"] })
        json["activated_slaves"] = JSON(view.agents.count { $0.isActive && !$0.isDeactivated })
        json["deactivated_slaves"] = JSON(view.agents.count { $0.isActive && $0.isDeactivated })
        json["unreachable_slaves"] = JSON(view.agents.count { !$0.isReachable })
        json["leader"] = master["pid"]
        json["leader_info"] = [
            "id": master["id"], "pid": master["pid"], "port": master["port"], "hostname": master["hostname"],
        ]
        json["cluster"] = "apus"
        json["flags"] = flags
        return json
    }

    var flags: JSON {
        .object(.init(uniqueKeysWithValues: reads.flags.map { ($0.name, .string($0.value)) }))
    }

    var version: JSON { ["version": .string(state.configuration.version), "build_user": "apus"] }

    // MARK: Roles

    func role(_ name: String) -> JSON {
        let record = reads.role(named: name)
        let users = view.frameworks.filter { $0.roles.contains(name) }
        let allocated = view.allocated(toRole: name).trees
        let offered = state.offers.values.filter { $0.role == name }.flatMap { $0.resources.json.elements }
        let reserved = view.agents.flatMap { $0.reserved.json.elements.filter { LegacyResources.owner($0) == name } }
        func amounts(_ quota: JSON) -> JSON {
            .object(quota.members.mapValues { $0["value"].isNull ? $0 : $0["value"] })
        }
        let consumed = QuotaRules(reads).consumed(by: name)
        return [
            "name": .string(name), "weight": Message.double(record?.weight ?? 1),
            "quota": [
                "role": .string(name), "guarantee": amounts(record?.quota["guarantees"] ?? .null),
                "limit": amounts(record?.quota["limits"] ?? .null),
                "consumed": .object(
                    .init(
                        uniqueKeysWithValues: consumed.sorted { $0.key < $1.key }.map {
                            ($0.key, Message.double($0.value))
                        })),
            ],
            "resources": LegacyResources.json(allocated + offered), "allocated": LegacyResources.json(allocated),
            "offered": LegacyResources.json(offered),
            "reserved": LegacyResources.json(reserved), "frameworks": JSON(users.map(\.record.id)),
        ]
    }
}
