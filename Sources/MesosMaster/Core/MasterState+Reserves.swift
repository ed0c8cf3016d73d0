import Ledger
import MesosModel

/// What is reserved of nodes: kept out of everybody else's reach, and open to pods of the role.
///
/// A framework's part of a reservation is the claim of its offer or task. What no framework holds is a claim on which the
/// pods of the role draw, whichever window they come by; volumes and ports are for frameworks alone. Persistent volumes are
/// always claimed by the reservation itself: their files take room whoever uses them, and shared ones have many users.
extension MasterState {
    /// Reserved resources that no framework uses or is offered.
    func unheldReservations(of agent: AgentRecord) -> Resources {
        var idle = agent.reserved
        guard !idle.isEmpty else { return idle }
        for id in agent.offers {
            if let offer = offers[id] { idle -= offer.resources.unallocated.reservedPart.exclusive }
        }
        for key in agent.tasks {
            guard let task = tasks[key], !task.isTerminal else { continue }
            idle -= task.resources.unallocated.reservedPart.exclusive
        }
        for key in agent.executors {
            if let executor = executors[key] { idle -= executor.resources.unallocated.reservedPart.exclusive }
        }
        return idle
    }

    /// Reserved resources that nobody uses and nobody is offered.
    func idleReservations(of agent: AgentRecord) -> Resources {
        let unheld = unheldReservations(of: agent)
        return unheld.isEmpty ? unheld : unheld - drawnReservations(of: agent, unheld)
    }

    /// What pods that come without offers use of reservations.
    func drawnReservations(of agent: AgentRecord, _ unheld: Resources) -> Resources {
        var drawn = Resources()
        for reserve in ledger.node(agent.node.name)?.reserves ?? [] where reserve.idle != reserve.whole {
            var left = Resources.amounts(of: reserve.whole - reserve.idle)
            for var resource in unheld.resources where resource.isForPods && resource.reservationRole == reserve.role {
                guard case .scalar(let value) = resource.amount, let wanted = left[resource.name], wanted > 0 else {
                    continue
                }
                let part = min(value, wanted)
                left[resource.name] = wanted - part
                resource.amount = .scalar(part)
                drawn.add(resource)
            }
        }
        return drawn
    }

    // MARK: Claims

    /// What holds the reserved part of an offer.
    static func reservedClaim(ofOffer id: String) -> Claim.Owner { .reservation(id: "offer \(id)") }
    static func claims(ofOffer id: String) -> [Claim.ID] { [.offer(id: id), .reservation(id: "offer \(id)")] }

    /// The claims for what no framework holds of reservations.
    func reservationClaims(of agent: AgentRecord) -> [Claim] {
        var open: [String: Resources] = [:]
        var closed: [String: Resources] = [:]
        for resource in unheldReservations(of: agent).withoutVolumes.resources + agent.volumes.resources {
            let role = resource.reservationRole ?? "*"
            if resource.isForPods {
                open[role, default: Resources()].add(resource)
            } else {
                closed[role, default: Resources()].add(resource)
            }
        }
        let node = agent.node.name
        return open.map { role, resources in
            Claim(.reserve(id: "agent \(node) \(role)"), node: node, resources: resources.vector, role: role)
        }
            + closed.map { role, resources in
                Claim(
                    .reservation(id: "agent \(node) \(role)"), node: node, resources: resources.vector,
                    portRanges: resources.portRanges, role: role)
            }
    }

    /// The claims that are there now.
    func reservationIDs(of agent: AgentRecord) -> [Claim.ID] {
        let prefix = "agent \(agent.node.name) "
        return ledger.claims(on: agent.node.name).map(\.id).filter { id in
            switch id {
            case .reserve(let id), .reservation(let id): id.hasPrefix(prefix)
            default: false
            }
        }
    }

    /// Keeps what is reserved and not in use out of everybody else's reach.
    mutating func refreshReservations(agent id: String) {
        guard let agent = agents[id], !agent.reserved.isEmpty || reservedNodes.contains(agent.node.name) else { return }
        let claims = reservationClaims(of: agent)
        let old = Set(reservationIDs(of: agent))
        let gone = old.subtracting(claims.map(\.id))
        if !gone.isEmpty { ledger.exchange(Array(gone), for: []) }
        // Setting what is there already changes nothing.
        for claim in claims { ledger.set(claim) }
        if agent.reserved.isEmpty {
            reservedNodes.remove(agent.node.name)
        } else {
            reservedNodes.insert(agent.node.name)
        }
    }
}

extension MesosResource {
    /// True for what pods without offers may use of a reservation.
    fileprivate var isForPods: Bool {
        guard case .scalar = amount else { return false }
        return disk == nil && !isShared && !isRevocable && providerID == nil
    }
}

extension Resources {
    /// Thousandths by name, of what a pod holds; never less than that.
    static func amounts(of vector: ResourceVector) -> [String: Int64] {
        func mebibytes(_ bytes: Int64) -> Int64 { (max(bytes, 0) + 1_048_575) >> 20 * 1000 }
        return [
            "cpus": max(vector.milliCPU, 0), "mem": mebibytes(vector.memory),
            "disk": mebibytes(vector.ephemeralStorage),
            "gpus": max(vector["nvidia.com/gpu"], 0) * 1000,
        ].filter { $0.value > 0 }
    }
}
