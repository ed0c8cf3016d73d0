import Allocator
import JSON
import Ledger
import MesosModel

/// Offers: made of what is free, taken back when it is needed elsewhere.
extension MasterState {
    /// Ports of a node that Mesos gives out.
    static let portRange = 31_000...32_000
    /// An offer that nobody answers is taken back after this time, at once when others wait for offers.
    static let offerTimeout = Duration.seconds(300)
    static let contestedOfferTimeout = Duration.seconds(30)

    // MARK: What there is

    /// Everything a node has, as Mesos counts.
    func total(of agent: AgentRecord) -> Resources {
        let node = agent.node.allocatable
        var total = Resources.unreserved(of: node)
        total += Resources.ports([Self.portRange])
        // Reserved parts are of the whole, not beside it.
        let reserved = agent.reserved
        total = total.minus(amountsOf: reserved)
        total += reserved
        return total
    }

    /// What a node has free for everybody; empty when no pod could be added.
    func free(on agent: AgentRecord) -> Resources {
        guard let node = ledger.node(agent.node.name), node.isRegistered, node.free.pods > 0 else { return Resources() }
        var free = Resources.unreserved(of: node.free)
        let ports = node.freePorts(in: Self.portRange)
        if !ports.isEmpty { free += Resources.ports(ports) }
        return free
    }

    // MARK: Making offers

    /// Claims what the allocator gives to a framework.
    /// - Returns: nil when somebody else has taken it since.
    mutating func makeOffer(_ offer: Allocator.Offer) -> OfferRecord? {
        guard let agent = agents[offer.agentID], let framework = frameworks[offer.frameworkID], framework.isActive
        else {
            return nil
        }
        let id = newOfferID()
        let (node, resources) = (agent.node.name, offer.resources)
        let allocated = resources.allocated(to: offer.role)
        let record = OfferRecord(
            id: id, frameworkID: framework.id, agentID: agent.id, role: offer.role, resources: allocated,
            json: json(ofOffer: id, allocated, framework, offer.role, agent), madeAt: now)
        // What nobody reserved has to be free still.
        let free = resources.unreserved
        let claim = Claim(
            .offer(id: id), node: node, resources: free.vector, portRanges: free.portRanges, role: offer.role)
        let reserved = resources.reservedPart
        if !reserved.isEmpty, !idleReservations(of: agent).contains(reserved) { return nil }
        guard ledger.commit([claim])[0].isCommitted else { return nil }
        offers[id] = record
        agents[agent.id]?.offers.insert(id)
        frameworks[framework.id]?.offers.insert(id)
        if !reserved.isEmpty {
            // A part of the reservation's claim becomes the offer's in one step.
            let part = Claim(
                Self.reservedClaim(ofOffer: id), node: node, resources: reserved.withoutVolumes.vector,
                portRanges: reserved.portRanges, role: offer.role)
            ledger.exchange(
                reservationIDs(of: agent), for: [part] + (agents[agent.id].map(reservationClaims(of:)) ?? []))
        }
        return record
    }

    private func json(
        ofOffer id: String, _ resources: Resources, _ framework: FrameworkRecord, _ role: String, _ agent: AgentRecord
    ) -> JSON {
        var offer: JSON = [
            "id": Message.id(id), "framework_id": Message.id(framework.id), "agent_id": Message.id(agent.id),
            "hostname": .string(agent.hostname),
            "url": url(of: agent),
            "resources": resources.json(for: framework), "allocation_info": ["role": .string(role)],
        ]
        let attributes = agent.node.attributes
        if !attributes.isEmpty { offer["attributes"] = .array(attributes) }
        offer.setMember("domain", agent.node.domain)
        let own = agent.executors.filter { $0.frameworkID == framework.id }
        if !own.isEmpty { offer["executor_ids"] = .array(own.map(\.executorID).sorted().map(Message.id)) }
        offer.setMember("unavailability", unavailability(of: agent))
        return offer
    }

    /// Where an agent's window is.
    func url(of agent: AgentRecord) -> JSON {
        [
            "scheme": "http",
            "address": [
                "hostname": .string(agent.hostname), "ip": .string(agent.node.address),
                "port": JSON(configuration.agentPort),
            ],
            "path": "/slave(1)",
        ]
    }

    // MARK: Taking offers back

    /// Takes an offer out; its share stays claimed for the caller to hand on.
    mutating func forgetOffer(_ id: String) {
        guard let offer = offers.removeValue(forKey: id) else { return }
        agents[offer.agentID]?.offers.remove(id)
        staleAgents.insert(offer.agentID)
        frameworks[offer.frameworkID]?.offers.remove(id)
    }

    /// Takes an offer back without a word.
    mutating func withdraw(_ id: String) {
        guard let offer = offers[id] else { return }
        forgetOffer(id)
        if let agent = agents[offer.agentID], !agent.reserved.isEmpty {
            ledger.exchange(
                Self.claims(ofOffer: id) + reservationIDs(of: agent), for: reservationClaims(of: agent))
        } else {
            ledger.exchange(Self.claims(ofOffer: id), for: [])
        }
        effects.append(.allocate)
    }

    /// Takes an offer back and says so.
    mutating func rescind(_ id: String) {
        guard let offer = offers[id] else { return }
        withdraw(id)
        countOffers("rescinded", 1, of: offer.frameworkID)
        send(Message.event("RESCIND", "rescind", ["offer_id": Message.id(id)]), to: offer.frameworkID)
    }

    /// Counts what became of a framework's offers, for metrics.
    mutating func countOffers(_ what: String, _ number: Int, of framework: String) {
        frameworks[framework]?.counts["offers/" + what, default: 0] += number
    }

    mutating func withdrawOffers(of framework: String, tell: Bool) {
        for id in frameworks[framework]?.offers ?? [] {
            if tell { rescind(id) } else { withdraw(id) }
        }
    }

    /// Gives room on a node back to those who need it: as few offers as will do.
    mutating func reclaim(node: String, _ amount: ResourceVector) {
        guard let agent = agent(onNode: node) else { return }
        for id in agent.offers.sorted(by: { (offers[$0]?.madeAt ?? now) < (offers[$1]?.madeAt ?? now) }) {
            guard let state = ledger.node(node) else { return }
            if amount.insufficient(allocatable: state.allocatable, used: state.used).isEmpty { break }
            rescind(id)
        }
        // What was taken back is for whoever asked, not for the next offer.
        paused[agent.id] = now + .seconds(1)
        staleAgents.insert(agent.id)
    }

    /// Takes back the newest offers that are beyond a limit, or that are made of what guarantees need: pods took the rest.
    mutating func relieveQuotas() {
        let newest = offers.values.filter(\.isBoundByQuota).sorted { $0.madeAt > $1.madeAt }
        for role in ledger.quotas().rolesAboveLimit {
            for offer in newest where MesosRoles.top(of: offer.role) == role {
                guard ledger.isAboveLimit(role) else { break }
                rescind(offer.id)
            }
        }
        let rules = ledger.quotas().rules
        for offer in newest where rules[MesosRoles.top(of: offer.role)]?.guarantees.isZero != false {
            guard ledger.quotas().isShort else { break }
            rescind(offer.id)
        }
    }

    /// Takes back offers that are too old.
    mutating func takeBackOverdue() {
        let waiting = frameworks.values.filter { framework in
            framework.isActive && framework.offers.isEmpty
                && framework.roles.contains { !framework.suppressedRoles.contains($0) }
        }
        for offer in offers.values {
            let age = now - offer.madeAt
            let isContested = waiting.contains { $0.id != offer.frameworkID }
            if age > Self.offerTimeout || isContested && age > Self.contestedOfferTimeout {
                allocator.refuse(
                    frameworkID: offer.frameworkID, role: offer.role, agentID: offer.agentID, offer.resources,
                    seconds: 10, now: clock)
                rescind(offer.id)
            }
        }
    }
}
