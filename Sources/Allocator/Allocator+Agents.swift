public import MesosModel

extension Allocator {
    // MARK: Agents

    /// Adds an agent or changes what it has. Filters on it end when something changed.
    /// - Parameter total: all that may be given there, reservations included, allocated to nobody; less what runs
    ///   there for somebody whom the allocator does not know.
    public mutating func setAgent(_ id: String, total: Resources, facts: OfferConstraints.Agent) {
        let isNew = agents.places[id] == nil
        let place = agents.add(id)
        let hasOtherFacts =
            isNew || agents.facts[place].hostname != facts.hostname
            || agents.facts[place].attributes != facts.attributes
            || agents.facts[place].region != facts.region || agents.facts[place].zone != facts.zone
        guard hasOtherFacts || agents.total[place] != total else { return }
        if hasOtherFacts {
            agents.facts[place] = facts
            agents.isRemote[place] = options.region != nil && facts.region != nil && facts.region != options.region
            for state in frameworks.compactMap({ $0 }) {
                if let constraints = state.info.constraints { judge(place, state, constraints) }
            }
        }
        for filter in agents.filters[place] { agents.filtered.set(filter.client, place, false) }
        agents.filters[place] = []
        setTotal(place, total)
        agentChanged(place)
    }

    /// Forgets an agent and what is used on it.
    public mutating func removeAgent(_ id: String) {
        guard let place = agents.places[id] else { return }
        for use in agents.uses[place] { charge(use.client, use.resources, -1) }
        setTotal(place, Resources())
        agents.remove(place)
        quotaMayAllowMore()
    }

    /// Stops (maintenance, draining, disconnection) or resumes offers of an agent.
    public mutating func setAgent(_ id: String, isActive: Bool) {
        guard let place = agents.places[id], agents.isActive[place] != isActive else { return }
        agents.isActive[place] = isActive
        if isActive { markDirty(place) }
    }

    /// What could be offered on an agent now.
    public func available(on id: String) -> Resources {
        agents.places[id].map { agents.available[$0] } ?? Resources()
    }
    /// Everything of an agent.
    public func total(of id: String) -> Resources {
        agents.places[id].map { agents.total[$0] } ?? Resources()
    }
    /// What a framework has on an agent in a role, offers included.
    public func use(frameworkID: String, role: String, agentID: String) -> Resources {
        guard let place = agents.places[agentID], let framework = frameworkPlaces[frameworkID] else {
            return Resources()
        }
        return agents.uses[place].first {
            tree.clients[$0.client].framework == framework && tree.clients[$0.client].role == role
        }?.resources ?? Resources()
    }
    /// True when more is used on an agent than there is: somebody must give back.
    public func isOvercommitted(_ id: String) -> Bool {
        guard let place = agents.places[id] else { return false }
        return !agents.total[place].contains(agents.uses[place].reduce(into: Resources()) { $0 += $1.resources })
    }

    // MARK: Use

    /// Sets what a framework has on an agent in a role, for those whose use is seen and not offered (pods of Kubernetes).
    public mutating func setUse(frameworkID: String, role: String, agentID: String, _ resources: Resources) {
        guard let place = agents.places[agentID], let client = client(frameworkID, role) else { return }
        let index = agents.uses[place].firstIndex { $0.client == client }
        if let index {
            if agents.uses[place][index].resources == resources { return }
            charge(client, agents.uses[place][index].resources, -1)
            agents.uses[place].remove(at: index)
        }
        if !resources.isEmpty {
            charge(client, resources, 1)
            agents.uses[place].append(AgentTable.Use(client: client, resources: resources))
        }
        agentChanged(place)
        quotaMayAllowMore()
    }

    /// Adds to what a framework has on an agent: tasks found after a restart.
    public mutating func addUse(frameworkID: String, role: String, agentID: String, _ resources: Resources) {
        let sum = use(frameworkID: frameworkID, role: role, agentID: agentID) + resources.unallocated
        setUse(frameworkID: frameworkID, role: role, agentID: agentID, sum)
    }

    /// Takes back what was offered or used: a declined or rescinded offer, a task that ended.
    /// - Parameter refuseSeconds: how long the framework does not want the same or less of this agent; nil for no filter.
    /// - Parameter now: seconds of the owner's clock, the same as in `allocate`.
    public mutating func recover(
        frameworkID: String, role: String, agentID: String, _ resources: Resources, refuseSeconds: Double? = nil,
        now: Double = 0
    ) {
        guard let place = agents.places[agentID], let framework = frameworkPlaces[frameworkID] else { return }
        let plain = resources.unallocated
        guard
            let index = agents.uses[place].firstIndex(where: {
                tree.clients[$0.client].framework == framework && tree.clients[$0.client].role == role
            })
        else { return }
        let client = agents.uses[place][index].client
        let before = agents.uses[place][index].resources
        let after = before - plain
        charge(client, before, -1)
        if after.isEmpty {
            agents.uses[place].remove(at: index)
        } else {
            charge(client, after, 1)
            agents.uses[place][index].resources = after
        }
        if let refuseSeconds, refuseSeconds > 0 {
            let expiry = now + max(refuseSeconds, options.interval)
            agents.filters[place].append(AgentTable.Filter(client: client, resources: plain, expiry: expiry))
            agents.filtered.set(client, place, true)
            filterTimes.insert(expiry, agent: place)
        }
        agentChanged(place)
        quotaMayAllowMore()
    }

    /// Applies an offer operation to what a framework holds and to the agent's total.
    /// - Throws: `MesosError` when the framework does not hold what the operation consumes; nothing is changed then.
    public mutating func apply(
        _ effect: OperationEffect, frameworkID: String, role: String, agentID: String
    ) throws(MesosError) {
        guard let place = agents.places[agentID] else { throw MesosError(.invalid, "Agent \(agentID) is not known") }
        let plain = effect.unallocated
        var held = use(frameworkID: frameworkID, role: role, agentID: agentID)
        try held.apply(plain)
        var total = agents.total[place]
        try total.apply(plain)
        setTotal(place, total)
        setUse(frameworkID: frameworkID, role: role, agentID: agentID, held)
    }

    /// Applies an operator's operation to what nobody has on an agent.
    /// - Throws: `MesosError` when that is less than the operation consumes; nothing is changed then.
    public mutating func apply(_ effect: OperationEffect, agentID: String) throws(MesosError) {
        guard let place = agents.places[agentID] else { throw MesosError(.invalid, "Agent \(agentID) is not known") }
        let plain = effect.unallocated
        guard agents.available[place].contains(plain.consumed) else {
            throw MesosError(
                .invalid, "\(plain.consumed) is not available on the agent: \(agents.available[place]) is")
        }
        var total = agents.total[place]
        try total.apply(plain)
        setTotal(place, total)
        agentChanged(place)
        quotaMayAllowMore()
    }

    // MARK: Accounts

    /// Puts resources on (or with -1 off) a client's account.
    mutating func charge(_ client: Int, _ resources: Resources, _ sign: Int64) {
        let (unreserved, reserved) = names.split(resources)
        charge(client, unreserved: unreserved &* sign, reserved: reserved &* sign, countsAsTurn: false)
    }
    mutating func charge(_ client: Int, unreserved: Amounts, reserved: Amounts, countsAsTurn: Bool) {
        tree.charge(client, unreserved &+ reserved, countsAsTurn: countsAsTurn)
        tree.hold(unreserved, at: tree.nodes[tree.clients[client].leaf].top)
        totals.allocated &+= unreserved &+ reserved
        totals.allocatedReserved &+= reserved
    }

    private mutating func setTotal(_ place: Int, _ total: Resources) {
        count(agents.total[place], -1)
        count(total, 1)
        agents.total[place] = total
    }
    private mutating func count(_ total: Resources, _ sign: Int64) {
        let (unreserved, reserved) = names.split(total)
        totals.pool &+= (unreserved &+ reserved) &* sign
        totals.reserved &+= reserved &* sign
        for (role, resources) in total.reservations {
            let place = tree.node(of: role)
            let top = tree.nodes[place].top
            tree.hold(names.split(resources).reserved &* sign, at: top)
        }
    }

    /// Computes anew what is left on an agent, and looks at it in the next cycle.
    mutating func agentChanged(_ place: Int) {
        var rest = agents.total[place]
        for use in agents.uses[place] {
            // A shared volume is there for the next one, too.
            rest -= use.resources.hasShared ? use.resources.filter { !$0.isShared } : use.resources
        }
        agents.available[place] = rest
        agents.free[place] = names.split(rest).unreserved
        agents.isPlain[place] = rest.entries.allSatisfy {
            $0.resource.reservations.isEmpty && !$0.resource.isRevocable && !$0.resource.isShared
        }
        agents.hasGPUs[place] = agents.total[place].entries.contains { $0.resource.name == "gpus" }
        markDirty(place)
    }

    mutating func markDirty(_ place: Int) {
        guard !agents.isDirty[place] else { return }
        agents.isDirty[place] = true
        dirty.append(place)
    }

    /// Looks again at agents where a quota held something back, after anything that may allow more.
    mutating func quotaMayAllowMore() {
        guard !heldBack.isEmpty else { return }
        for place in heldBack { markDirty(place) }
        heldBack = []
    }
}

extension OperationEffect {
    /// The same about resources that are allocated to nobody.
    var unallocated: OperationEffect {
        var copy = self
        copy.consumed = consumed.unallocated
        copy.converted = converted.unallocated
        return copy
    }
}

extension Resources {
    var hasShared: Bool { entries.contains { $0.resource.isShared } }
}
