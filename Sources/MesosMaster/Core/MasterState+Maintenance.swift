import JSON
import MesosModel

/// Machines that are to be taken down, and what frameworks say to it.
extension MasterState {
    /// The schedule as it is now.
    mutating func set(maintenance schedule: JSON) {
        guard maintenance != schedule else { return }
        maintenance = schedule
        for id in inverseOffers.keys { withdrawInverse(id, tell: true) }
        inverseAnswers = [:]
        for agent in agents.values {
            guard !unavailability(of: agent).isNull else { continue }
            // Offers say when their agent goes; those that are out do not.
            for offer in agent.offers { rescind(offer) }
        }
        askForResources()
        effects.append(.allocate)
    }

    /// When an agent's machine is taken down; null when it is not.
    func unavailability(of agent: AgentRecord) -> JSON {
        for window in maintenance["windows"].elements {
            for machine in window["machine_ids"].elements {
                let hostname = machine["hostname"].string ?? ""
                let address = machine["ip"].string ?? ""
                if hostname.isEmpty && address.isEmpty { continue }
                if hostname.isEmpty || hostname.lowercased() == agent.hostname.lowercased(),
                    address.isEmpty || address == agent.node.address
                {
                    return window["unavailability"]
                }
            }
        }
        return .null
    }

    /// Sends inverse offers to frameworks that use what will be gone.
    mutating func askForResources() {
        for agent in agents.values {
            let unavailability = unavailability(of: agent)
            if unavailability.isNull { continue }
            let asked = Set(agent.inverseOffers.compactMap { inverseOffers[$0]?.frameworkID })
            // Whoever has answered is asked again when the time is over that it gave.
            let answered = Set((inverseAnswers[agent.id] ?? []).filter { $0.untilSeconds > seconds }.map(\.frameworkID))
            for framework in Set(agent.tasks.map(\.frameworkID)).subtracting(asked).subtracting(answered) {
                guard frameworks[framework]?.isActive == true else { continue }
                let id = newOfferID()
                let record = InverseOfferRecord(
                    id: id, frameworkID: framework, agentID: agent.id, unavailability: unavailability)
                inverseOffers[id] = record
                agents[agent.id]?.inverseOffers.insert(id)
                frameworks[framework]?.inverseOffers.insert(id)
                send(
                    Message.event("INVERSE_OFFERS", "inverse_offers", ["inverse_offers": [json(of: record)]]),
                    to: framework)
            }
        }
    }

    /// InverseOffer.
    func json(of offer: InverseOfferRecord) -> JSON {
        var json: JSON = [
            "id": Message.id(offer.id), "framework_id": Message.id(offer.frameworkID),
            "agent_id": Message.id(offer.agentID), "unavailability": offer.unavailability,
        ]
        json.setMember("url", agents[offer.agentID].map(url(of:)))
        return json
    }

    /// Notes a framework's answer.
    mutating func answerInverse(_ framework: String, _ ids: [String], accepts: Bool, filters: JSON) {
        for id in ids {
            guard let offer = inverseOffers[id], offer.frameworkID == framework else {
                count("dropped_messages")
                continue
            }
            withdrawInverse(id, tell: false)
            var answers = (inverseAnswers[offer.agentID] ?? []).filter { $0.frameworkID != framework }
            answers.append(
                InverseOfferAnswer(
                    frameworkID: framework, status: accepts ? "ACCEPT" : "DECLINE", seconds: seconds,
                    untilSeconds: seconds + (MesosFilters.refuseSeconds(filters) ?? 0)))
            inverseAnswers[offer.agentID] = answers
        }
    }

    private mutating func withdrawInverse(_ id: String, tell: Bool) {
        guard let offer = inverseOffers.removeValue(forKey: id) else { return }
        agents[offer.agentID]?.inverseOffers.remove(id)
        frameworks[offer.frameworkID]?.inverseOffers.remove(id)
        if tell {
            send(
                Message.event(
                    "RESCIND_INVERSE_OFFER", "rescind_inverse_offer", ["inverse_offer_id": Message.id(id)]),
                to: offer.frameworkID)
        }
    }

    mutating func withdrawInverseOffers(of framework: String) {
        for id in frameworks[framework]?.inverseOffers ?? [] { withdrawInverse(id, tell: false) }
    }
    mutating func withdrawInverseOffers(ofAgent agent: String) {
        for id in agents[agent]?.inverseOffers ?? [] { withdrawInverse(id, tell: true) }
    }
}
