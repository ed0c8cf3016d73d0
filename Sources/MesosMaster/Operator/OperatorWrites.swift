import ClusterClient
import HTTPWindow
import JSON
import MesosModel
import ObjectModel

/// What operators change: objects in the store that the master follows.
struct OperatorWrites: Sendable {
    let backend: any OperatorBackend
    let principal: String?

    /// - Throws: `WindowError` 403.
    func require(_ verb: String, _ resource: String, name: String = "") async throws {
        try await backend.access.require(principal, .init(verb, resource, name: name))
    }

    /// Performs a call.
    /// - Returns: the status of the answer; nil for a call that is not known.
    /// - Throws: `WindowError`, `MesosError` (a call that is not valid).
    func perform(_ name: String, _ call: JSON) async throws -> Int? {
        let member = name.lowercased()
        if Self.withMember.contains(name), call[member].object == nil {
            throw WindowError(400, "Failed to validate master::Call: Expecting '\(member)' to be present")
        }
        switch name {
        case "TEARDOWN":
            try await teardown(call["teardown"]["framework_id"]["value"].string ?? "")
        case "UPDATE_WEIGHTS": try await setWeights(call["update_weights"]["weight_infos"].elements)
        case "UPDATE_QUOTA":
            let update = call["update_quota"]
            try await setQuotas(update["quota_configs"].elements, isForced: update["force"].bool ?? false)
        case "SET_QUOTA":
            let request = call["set_quota"]["quota_request"]
            try await setQuota(request)
        case "REMOVE_QUOTA": try await removeQuota(call["remove_quota"]["role"].string ?? "")
        case "UPDATE_MAINTENANCE_SCHEDULE":
            try await setSchedule(call["update_maintenance_schedule"]["schedule"])
        case "START_MAINTENANCE": try await takeDown(call["start_maintenance"]["machines"].elements)
        case "STOP_MAINTENANCE": try await bringUp(call["stop_maintenance"]["machines"].elements)
        case "DRAIN_AGENT":
            let drain = call["drain_agent"]
            let most = try Self.seconds(drain["max_grace_period"])
            try await setAgent(drain["agent_id"]["value"].string ?? "", state: "draining") { spec in
                var wish: JSON = ["markGone": .bool(drain["mark_gone"].bool ?? false)]
                if let most { wish["maxGracePeriodSeconds"] = Message.double(most) }
                spec["drain"] = wish
            }
        case "DEACTIVATE_AGENT":
            try await setAgent(call["deactivate_agent"]["agent_id"]["value"].string ?? "", state: "deactivated")
        case "REACTIVATE_AGENT":
            try await setAgent(call["reactivate_agent"]["agent_id"]["value"].string ?? "", state: "active") {
                $0.removeMember("drain")
            }
        case "MARK_AGENT_GONE":
            try await setAgent(call["mark_agent_gone"]["agent_id"]["value"].string ?? "", state: "gone")
        case "RESERVE_RESOURCES":
            let body = call["reserve_resources"]
            return try await operate(body, ["type": "RESERVE", "reserve": body])
        case "UNRESERVE_RESOURCES":
            let body = call["unreserve_resources"]
            return try await operate(body, ["type": "UNRESERVE", "unreserve": body])
        case "CREATE_VOLUMES":
            let body = call["create_volumes"]
            return try await operate(body, ["type": "CREATE", "create": body])
        case "DESTROY_VOLUMES":
            let body = call["destroy_volumes"]
            return try await operate(body, ["type": "DESTROY", "destroy": body])
        case "GROW_VOLUME":
            let body = call["grow_volume"]
            return try await operate(body, ["type": "GROW_VOLUME", "grow_volume": body])
        case "SHRINK_VOLUME":
            let body = call["shrink_volume"]
            return try await operate(body, ["type": "SHRINK_VOLUME", "shrink_volume": body])
        default: return nil
        }
        return 200
    }

    /// Calls that say something beside their type: the member named after the call must be there.
    private static let withMember: Set = [
        "TEARDOWN", "UPDATE_WEIGHTS", "UPDATE_QUOTA", "SET_QUOTA", "REMOVE_QUOTA", "UPDATE_MAINTENANCE_SCHEDULE",
        "START_MAINTENANCE", "STOP_MAINTENANCE", "DRAIN_AGENT", "DEACTIVATE_AGENT", "REACTIVATE_AGENT",
        "MARK_AGENT_GONE", "RESERVE_RESOURCES", "UNRESERVE_RESOURCES", "CREATE_VOLUMES", "DESTROY_VOLUMES",
        "GROW_VOLUME", "SHRINK_VOLUME",
    ]

    // MARK: Frameworks

    func teardown(_ id: String) async throws {
        guard !id.isEmpty else {
            throw WindowError(400, "Missing 'frameworkId' query parameter in the request body")
        }
        try await require("delete", "frameworks", name: id)
        if let own = await backend.snapshot().frameworks[id], own.isOfCluster {
            throw WindowError(
                409, "Framework \(id) (\(own.name)) runs in the cluster itself and cannot be torn down: delete its apps"
            )
        }
        guard await backend.teardown(id) else { throw WindowError(400, "No framework found with specified ID") }
    }

    // MARK: Resources

    /// - Returns: 202.
    func operate(_ body: JSON, _ operation: JSON) async throws -> Int {
        let agent = body["agent_id"]["value"].string ?? ""
        try await require("update", "agents")
        do {
            try await backend.operate(operation, onAgent: agent, principal: principal)
        } catch let error as MesosError where error.message.hasPrefix("Insufficient resources") {
            throw WindowError(409, error.message)
        }
        return 202
    }

    // MARK: Agents

    /// Seconds of a `google.protobuf.Duration`: `10s`, or its two members.
    static func seconds(_ duration: JSON) throws -> Double? {
        if duration.isNull { return nil }
        let seconds: Double? =
            if let text = duration.string {
                text.hasSuffix("s") ? Double(text.dropLast()) : nil
            } else if duration.object != nil {
                (duration["seconds"].double ?? 0) + (duration["nanos"].double ?? 0) / 1e9
            } else { nil }
        // Mesos counts nanoseconds in 64 bits: 292 years.
        guard let seconds, seconds >= 0, seconds <= 9.2e9 else {
            throw WindowError(400, "Invalid duration: \(duration)")
        }
        return seconds
    }

    /// - Parameter isOfMaintenance: true when its machine is taken down or brought up.
    func setAgent(
        _ id: String, state new: String, isOfMaintenance: Bool = false,
        _ change: @escaping @Sendable (inout JSON) -> Void = { _ in }
    ) async throws {
        try await require("update", "agents")
        let state = await backend.snapshot()
        guard let agent = state.agents[id] else {
            if new == "gone" {
                if state.goneAgents[id] != nil { return }
                throw WindowError(404, "Agent '\(id)' not found")
            }
            throw WindowError(400, new == "active" ? "Agent is not deactivated" : "Unknown agent")
        }
        if new == "active", !isOfMaintenance {
            if agent.state == "active" { throw WindowError(400, "Agent is not deactivated") }
            if agent.state == "draining" { throw WindowError(400, "Agent is still in the DRAINING state") }
        }
        if new == "draining", !isOfMaintenance {
            let scheduled = state.maintenance["windows"].elements.flatMap { $0["machine_ids"].elements }
            if let machine = scheduled.first(where: { Machine.isMachine($0, of: agent) }) {
                throw WindowError(
                    400, "Agent \(id) is part of a maintenance schedule under Machine \(machine)")
            }
        }
        if agent.state == "draining" || agent.state == "drained", new == "draining" || new == "deactivated" { return }
        let stored = try await backend.client.modify(MesosNames.agents, ObjectKey(name: agent.node.name)) { tree in
            tree["spec"]["state"] = .string(new)
            change(&tree["spec"])
            return true
        }
        guard stored != nil else { throw WindowError(503, "The agent '\(id)' is not registered yet") }
        await backend.settle { seen in
            new == "gone" ? seen.agents[id] == nil : seen.agents[id].map { $0.state != agent.state } ?? true
        }
    }

    // MARK: Roles

    private func setRole(_ role: String, _ change: @escaping @Sendable (inout JSON) -> Void) async throws {
        let key = ObjectKey(name: MesosNames.objectName(ofRole: role))
        for _ in 0..<5 {
            let known = try await backend.client.modify(MesosNames.roles, key) { tree in
                change(&tree["spec"])
                return true
            }
            if known != nil { return }
            var spec: JSON = ["role": .string(role)]
            change(&spec)
            do {
                try await backend.client.create(
                    MesosNames.roles,
                    [
                        "apiVersion": "mesos.apus.dev/v1", "kind": "Role", "metadata": ["name": .string(key.name)],
                        "spec": spec,
                    ])
                return
            } catch let error as StatusError where error.reason == .alreadyExists {
                continue
            }
        }
    }

    /// - Parameter infos: `{role, weight}` each.
    func setWeights(_ infos: [JSON]) async throws {
        for info in infos {
            let role = info["role"].string ?? ""
            if let problem = MesosRoles.problem(role) {
                throw WindowError(
                    400, "Failed to validate update weights request JSON: Invalid role '\(role)': \(problem)")
            }
            guard let weight = info["weight"].double, weight > 0, weight.isFinite else {
                throw WindowError(
                    400,
                    "Failed to validate update weights request JSON for role '\(role)': Invalid weight "
                        + "'\(info["weight"])': Weights must be positive")
            }
        }
        for info in infos {
            try await require("update", "roles", name: MesosNames.objectName(ofRole: info["role"].string ?? ""))
        }
        for info in infos {
            let weight = info["weight"]
            try await setRole(info["role"].string ?? "") { $0["weight"] = weight }
        }
        await backend.settle { state in
            infos.allSatisfy { info in
                state.roles.values.contains { $0.role == info["role"].string && $0.weight == info["weight"].double }
            }
        }
    }

    /// Sets the whole quota of each role; an empty one takes it away.
    func setQuotas(_ configs: [JSON], isForced: Bool) async throws {
        for config in configs {
            try await require("update", "roles", name: MesosNames.objectName(ofRole: config["role"].string ?? ""))
        }
        try QuotaRules(OperatorReads(await backend.snapshot())).check(configs, isForced: isForced)
        for config in configs {
            var quota: JSON = [:]
            for name in ["guarantees", "limits"] where !config[name].members.isEmpty { quota[name] = config[name] }
            let new = quota
            try await setRole(config["role"].string ?? "") { $0.setMember("quota", new.members.isEmpty ? nil : new) }
        }
        await backend.settle { state in
            configs.allSatisfy { config in
                let role = state.roles.values.first { $0.role == config["role"].string }
                return ["guarantees", "limits"].allSatisfy {
                    (role?.quota[$0] ?? .null).members.count == config[$0].members.count
                }
            }
        }
    }

    /// The old form: what is guaranteed is the limit, too.
    func setQuota(_ request: JSON) async throws {
        let role = request["role"].string ?? ""
        if await backend.snapshot().roles.values.contains(where: { $0.role == role && !$0.quota.members.isEmpty }) {
            throw WindowError(
                400, "Failed to validate set quota request: Cannot set quota for role '\(role)' which already has quota"
            )
        }
        var amounts: JSON = [:]
        for resource in request["guarantee"].elements {
            guard let name = resource["name"].string, resource["scalar"]["value"].double != nil else {
                throw WindowError(400, "Failed to validate set quota request: only scalar resources can be guaranteed")
            }
            amounts[name] = resource["scalar"]
        }
        guard !amounts.members.isEmpty else {
            throw WindowError(400, "Failed to validate set quota request: 'guarantee' is missing")
        }
        try await setQuotas(
            [["role": .string(role), "guarantees": amounts, "limits": amounts]],
            isForced: request["force"].bool ?? false)
    }

    func removeQuota(_ role: String) async throws {
        let state = await backend.snapshot()
        guard state.roles.values.contains(where: { $0.role == role && !$0.quota.members.isEmpty }) else {
            throw WindowError(400, "Failed to remove quota: Role '\(role)' has no quota set")
        }
        try await setQuotas([["role": .string(role)]], isForced: true)
    }
}
