import JSON
import Ledger
import MesosModel
import ObjectModel

/// What frameworks do with offers.
extension MasterState {
    /// The resources of accepted offers while the operations of one ACCEPT go through them.
    struct Pool {
        var framework: FrameworkRecord
        var agent: AgentRecord
        var role: String
        /// What is left, without allocation.
        var left: Resources
        /// Volumes that were resized: the operations that follow cannot use them yet.
        var resized = Resources()
        /// Claims that take the place of the offers'.
        var claims: [Claim] = []
        var launches: [Launch] = []
        /// Users that the framework's principal may not use, with the reason each.
        var refusals: [String: String] = [:]

        /// Why what a task or a group names may not be used.
        func refusal(of info: JSON) -> String? {
            if refusals.isEmpty { return nil }
            return SchedulerAccess.users(of: info).compactMap { refusals[$0] }.first
        }
    }

    // MARK: Decline

    mutating func decline(_ framework: String, _ offerIDs: [String], filters: JSON) {
        for id in offerIDs {
            guard let offer = offers[id], offer.frameworkID == framework else {
                count("dropped_messages")
                continue
            }
            countOffers("declined", 1, of: framework)
            refuse(offer.resources.unallocated, framework, offer.role, offer.agentID, filters)
            withdraw(id)
        }
    }

    private mutating func refuse(
        _ resources: Resources, _ framework: String, _ role: String, _ agent: String, _ filters: JSON
    ) {
        guard !resources.isEmpty, let seconds = MesosFilters.refuseSeconds(filters) else { return }
        allocator.refuse(
            frameworkID: framework, role: role, agentID: agent, resources, seconds: seconds, now: clock)
    }

    mutating func revive(_ framework: String, roles: Set<String>) {
        if roles.isEmpty {
            frameworks[framework]?.suppressedRoles = []
        } else {
            frameworks[framework]?.suppressedRoles.subtract(roles)
        }
        allocator.revive(framework, roles: Array(roles))
        effects += [.framework(framework), .allocate]
    }

    mutating func suppress(_ framework: String, roles: Set<String>) {
        guard let record = frameworks[framework] else { return }
        frameworks[framework]?.suppressedRoles.formUnion(roles.isEmpty ? Set(record.roles) : roles)
        allocator.suppress(framework, roles: Array(roles))
        effects.append(.framework(framework))
    }

    // MARK: Accept

    /// Runs the operations of an ACCEPT in their order on the offers' resources; what is left is declined.
    /// - Returns: what is to be created.
    mutating func accept(
        _ framework: String, _ offerIDs: [String], _ operations: [JSON], filters: JSON, refusals: [String: String] = [:]
    ) -> [Launch] {
        guard let record = frameworks[framework] else { return [] }
        if let problem = problem(with: offerIDs, of: framework) {
            for id in offerIDs where offers[id]?.frameworkID == framework { withdraw(id) }
            drop(operations, of: record, problem)
            return []
        }
        guard let first = offers[offerIDs[0]], let agent = agents[first.agentID] else { return [] }
        countOffers("accepted", offerIDs.count, of: framework)
        var pool = Pool(
            framework: record, agent: agent, role: first.role,
            left: offerIDs.reduce(into: Resources()) { $0 += (offers[$1]?.resources.unallocated ?? Resources()) })
        pool.refusals = refusals
        for id in offerIDs { forgetOffer(id) }
        for operation in operations {
            let type = operation["type"].string ?? "UNKNOWN"
            frameworks[framework]?.counts["operations/" + type, default: 0] += 1
            switch type {
            case "LAUNCH", "LAUNCH_GROUP":
                if operation["id"].object != nil {
                    refuseTasks(of: operation, in: framework, "The `id` field cannot be set on \(type) operations")
                } else if type == "LAUNCH" {
                    launch(operation["launch"]["task_infos"].elements, &pool)
                } else {
                    launchGroup(operation["launch_group"], &pool)
                }
            default: apply(operation, &pool)
            }
        }
        // One step: the offers' share becomes that of the pods to come and of what is reserved; the rest is free.
        var given = offerIDs.flatMap(Self.claims(ofOffer:))
        if let changed = agents[agent.id], !changed.reserved.isEmpty || !agent.reserved.isEmpty {
            given += reservationIDs(of: agent)
            pool.claims += reservationClaims(of: changed)
            if !changed.reserved.isEmpty { reservedNodes.insert(agent.node.name) }
        }
        ledger.exchange(given, for: pool.claims)
        refuse(pool.left + pool.resized, framework, pool.role, agent.id, filters)
        effects.append(.allocate)
        return pool.launches
    }

    private func problem(with offerIDs: [String], of framework: String) -> String? {
        guard !offerIDs.isEmpty else { return "No offers specified" }
        var seen: Set<String> = []
        var common: (agent: String, role: String)?
        for id in offerIDs {
            guard seen.insert(id).inserted else { return "Duplicate offer \(id) in offer list" }
            guard let offer = offers[id] else { return "Offer \(id) is no longer valid" }
            guard offer.frameworkID == framework else { return "Offer \(id) has invalid framework" }
            if let common, common.agent != offer.agentID {
                return "Aggregated offers must belong to one single agent"
            }
            if let common, common.role != offer.role {
                return "Aggregated offers must be allocated to the same role"
            }
            common = (offer.agentID, offer.role)
            if offer.isBoundByQuota, ledger.isAboveLimit(offer.role) {
                return "Offer \(id) is beyond the quota of its role"
            }
            guard let agent = agents[offer.agentID], agent.isReachable else {
                return "Agent of offer \(id) is not there"
            }
        }
        return nil
    }

    /// Says that nothing came of operations whose offers were no good.
    private mutating func drop(_ operations: [JSON], of framework: FrameworkRecord, _ problem: String) {
        for operation in operations {
            for task in Self.tasks(of: operation) {
                guard let id = task["task_id"]["value"].string else { continue }
                refuseTask(
                    id, task, of: framework.id, "TASK_DROPPED", "REASON_INVALID_OFFERS",
                    "Task launched with invalid offers: \(problem)")
            }
            refuse(operation, of: framework.id, "Operation attempted with invalid offers: \(problem)")
        }
    }

    private static func tasks(of operation: JSON) -> [JSON] {
        operation["launch"]["task_infos"].elements + operation["launch_group"]["task_group"]["tasks"].elements
    }

    /// Tells a framework that none of an operation's tasks is launched.
    private mutating func refuseTasks(of operation: JSON, in framework: String, _ message: String) {
        let reason = operation["type"] == "LAUNCH" ? "REASON_TASK_INVALID" : "REASON_TASK_GROUP_INVALID"
        for task in Self.tasks(of: operation) {
            refuseTask(task["task_id"]["value"].string ?? "", task, of: framework, "TASK_ERROR", reason, message)
        }
    }

    /// Tells a framework that a task is not launched.
    mutating func refuseTask(
        _ id: String, _ task: JSON, of framework: String, _ state: String, _ reason: String, _ message: String
    ) {
        frameworks[framework]?.terminalCounts[state, default: 0] += 1
        var status: JSON = [
            "task_id": Message.id(id), "state": .string(state), "source": "SOURCE_MASTER", "reason": .string(reason),
            "message": .string(message), "timestamp": Message.double(seconds),
        ]
        status.setMember("agent_id", task["agent_id"])
        countEnd(shown(status, to: framework))
        tell(status, of: TaskKey(framework, id))
    }
}
