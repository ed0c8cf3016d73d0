import JSON
import Ledger
import MesosModel

/// Operations on resources: reservations and persistent volumes.
extension MasterState {
    // MARK: Of frameworks

    /// Applies one operation of an ACCEPT to the resources of its offers.
    mutating func apply(_ operation: JSON, _ pool: inout Pool) {
        let id = operation["id"]["value"].string
        do {
            let change = try ResourceChange(
                operation, principal: pool.framework.principal, role: pool.role, framework: pool.framework,
                agent: agents[pool.agent.id] ?? pool.agent)
            if operation["type"] == "DESTROY" {
                try checkUse(of: change.taken, on: pool.agent.id, "DESTROY")
                rescindOffers(of: change.taken, on: pool.agent.id)
            }
            guard pool.left.contains(change.taken) else {
                throw MesosError(
                    .invalid, "\(change.taken.description) is not contained in the offered \(pool.left.description)")
            }
            pool.left -= change.taken
            if ["GROW_VOLUME", "SHRINK_VOLUME"].contains(operation["type"].string) {
                pool.resized += change.made
            } else {
                pool.left += change.made
            }
            convert(change, on: pool.agent.id)
            finish(operation, id: id, on: pool.agent.id, framework: pool.framework.id, change.made)
        } catch {
            refuse(operation, of: pool.framework.id, "\(error)")
        }
    }

    /// Says that nothing comes of an operation. That is the master's own word, which nobody acknowledges.
    mutating func refuse(_ operation: JSON, of framework: String, _ message: String) {
        let type = operation["type"].string ?? "UNKNOWN"
        if type == "LAUNCH" || type == "LAUNCH_GROUP" { return }
        count("operations_failed")
        countOperation(operation, "OPERATION_ERROR")
        guard let id = operation["id"]["value"].string else { return }
        let status: JSON = [
            "operation_id": Message.id(id), "state": "OPERATION_ERROR", "message": .string(message),
        ]
        send(
            Message.event("UPDATE_OPERATION_STATUS", "update_operation_status", ["status": status]), to: framework)
    }

    /// Changes what is reserved of an agent, and has it stored.
    private mutating func convert(_ change: ResourceChange, on id: String) {
        guard var agent = agents[id] else { return }
        agent.reserved -= change.taken.reservedPart
        agent.reserved += change.made.reservedPart
        agent.total = total(of: agent)
        agents[id] = agent
        staleAgents.insert(id)
        unseenReservations[agent.node.name, default: .init()].changes += 1
        unseenReservations[agent.node.name]?.shownAt = nil
        effects.append(.agent(node: agent.node.name))
    }

    private mutating func finish(
        _ operation: JSON, id: String?, on agent: String, framework: String, _ converted: Resources
    ) {
        countOperation(operation, "OPERATION_FINISHED")
        // Nobody asked to hear of it.
        guard let id else { return }
        let uuid = FrameworkIDs.uuid()
        var status: JSON = [
            "operation_id": Message.id(id), "state": "OPERATION_FINISHED", "uuid": ["value": .string(uuid.base64)],
            "agent_id": Message.id(agent),
        ]
        if !converted.isEmpty { status["converted_resources"] = converted.json }
        operations[uuid.text] = OperationRecord(
            uuid: uuid.text, frameworkID: framework, operationID: id, agentID: agent, info: operation, status: status)
        while operations.count > 10_000 { operations.removeFirst() }
        sendOperation(uuid.text)
    }

    /// Counts an operation that came to its end, for metrics.
    private mutating func countOperation(_ operation: JSON, _ state: String) {
        let end = state.dropFirst("OPERATION_".count).lowercased()
        let type = (operation["type"].string ?? "unknown").lowercased()
        for name in ["total", end, "\(type)/total", "\(type)/\(end)"] { count("operations/" + name) }
    }

    /// - Throws: `MesosError` when a task or an executor uses one of the volumes.
    private func checkUse(of volumes: Resources, on id: String, _ type: String) throws {
        guard let agent = agents[id] else { return }
        let used =
            agent.tasks.compactMap { tasks[$0] }.filter { !$0.isTerminal }.map(\.resources)
            + agent.executors.compactMap { executors[$0]?.resources }
        for resources in used.map(\.unallocated) {
            guard let volume = volumes.resources.first(where: { resources.contains($0) }) else { continue }
            throw MesosError(
                .invalid, "Invalid \(type) operation: Persistent volumes in use: \(Resources([volume]).description)")
        }
    }

    /// Takes volumes that go out of offers: nobody may be about to use them.
    private mutating func rescindOffers(of volumes: Resources, on id: String) {
        for offer in (agents[id]?.offers ?? []).sorted() {
            let offered = offers[offer]?.resources.unallocated ?? Resources()
            if volumes.resources.contains(where: { offered.contains($0) }) { rescind(offer) }
        }
    }

    // MARK: Of operators

    /// Applies an operator's operation to what an agent has free; offers that stand in the way are taken back.
    /// - Throws: `MesosError` when it is not valid, or conflicts with what is in use.
    mutating func operate(_ operation: JSON, onAgent id: String, principal: String?) throws {
        guard let agent = agents[id] else { throw MesosError(.invalid, "No agent found with specified ID") }
        let type = operation["type"].string ?? ""
        let change = try ResourceChange(operation, principal: principal, role: nil, framework: nil, agent: agent)
        if type == "DESTROY" {
            try checkUse(of: change.taken, on: id, type)
            rescindOffers(of: change.taken, on: id)
        }
        func available() -> Resources { free(on: agent) + idleReservations(of: agents[id] ?? agent) }
        for offer in agent.offers.sorted() {
            if available().contains(change.taken) { break }
            rescind(offer)
        }
        guard available().contains(change.taken) else {
            throw MesosError(.invalid, "Insufficient resources: \(change.taken.description) is not free on the agent")
        }
        convert(change, on: id)
        countOperation(operation, "OPERATION_FINISHED")
        refreshReservations(agent: id)
        effects.append(.allocate)
    }
}

/// What an operation makes of what, once the rules are kept that concern who does it where.
struct ResourceChange {
    var taken: Resources
    var made: Resources

    /// - Parameters:
    ///   - role: of the offers that it uses; nil for an operator's.
    ///   - framework: whose operation it is; nil for an operator's.
    init(
        _ operation: JSON, principal: String?, role: String?, framework: FrameworkRecord?, agent: AgentRecord
    ) throws {
        let type = operation["type"].string ?? "UNKNOWN"
        guard ["RESERVE", "UNRESERVE", "CREATE", "DESTROY", "GROW_VOLUME", "SHRINK_VOLUME"].contains(type) else {
            throw MesosError(.invalid, "Operation \(type) is not supported: no resource provider makes disks")
        }
        let effect = try OperationEffect(of: operation, role: role)
        let given = effect.consumed + effect.converted
        if role == nil, let allocated = given.resources.first(where: { $0.allocationRole != nil }) {
            throw MesosError(
                .invalid,
                "Invalid \(type) operation: \(Resources([allocated]).description) is allocated, but operators' operations "
                    + "are about resources that are not")
        }
        taken = effect.consumed.unallocated
        made = effect.converted.unallocated
        if taken.isEmpty { throw MesosError(.invalid, "The operation names no resources") }
        switch type {
        case "RESERVE": try Self.checkReservation(made, principal: principal, role: role)
        case "CREATE": try Self.checkVolumes(made, principal: principal, framework: framework, on: agent)
        case "UNRESERVE": break
        default:
            for volume in taken.persistentVolumes.resources where !agent.volumes.contains(volume) {
                throw MesosError(
                    .invalid,
                    "Invalid \(type) operation: Persistent volumes not found: \(Resources([volume]).description)")
            }
        }
    }

    private static func checkReservation(_ resources: Resources, principal: String?, role: String?) throws {
        for resource in resources.resources {
            guard let top = resource.reservations.last else { continue }
            if let role, top.role != role {
                throw MesosError(
                    .invalid,
                    "A reserve operation was attempted for a resource with role '\(top.role)', but the resource was "
                        + "allocated to role '\(role)'")
            }
            guard let principal, top.principal != principal else { continue }
            throw MesosError(
                .invalid,
                "A reserve operation was attempted by principal '\(principal)', but there is a reserved resource in the "
                    + "request with \(top.principal.map { "principal '\($0)'" } ?? "no principal set")")
        }
    }

    private static func checkVolumes(
        _ volumes: Resources, principal: String?, framework: FrameworkRecord?, on agent: AgentRecord
    ) throws {
        var known = Set(agent.volumes.resources.map(identity))
        for volume in volumes.resources {
            guard known.insert(identity(volume)).inserted else {
                throw MesosError(.invalid, "Persistence ID '\(volume.persistenceID ?? "")' already exists")
            }
            if volume.isShared, let framework, !framework.capabilities.contains("SHARED_RESOURCES") {
                throw MesosError(
                    .invalid,
                    "Create volume operation for '\(Resources([volume]).description)' has been attempted by framework "
                        + "'\(framework.id)' with no SHARED_RESOURCES capability")
            }
            let own = volume.disk?["persistence"]["principal"].string
            guard let principal, own != principal else { continue }
            throw MesosError(
                .invalid,
                "Create volume operation attempted by principal '\(principal)', but there is a volume in the operation "
                    + "with \(own.map { "principal '\($0)'" } ?? "no principal") set in 'disk.persistence'")
        }
    }

    private static func identity(_ volume: MesosResource) -> String {
        "\(volume.reservationRole ?? "*") \(volume.persistenceID ?? "")"
    }
}
