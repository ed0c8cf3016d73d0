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
        // A reservation changes whose a part is, not how much there is: what was refused of it stays refused.
        if hasOtherFacts || agents.total[place].scalarQuantities != total.scalarQuantities
            || agents.total[place].ports != total.ports
        {
            for filter in agents.filters[place] { agents.filtered.set(filter.client, place, false) }
            agents.filters[place] = []
        }
        setTotal(place, total)
        agentChanged(place)
    }

    /// Forgets an agent and what is used on it.
    public mutating func removeAgent(_ id: String) {
        guard let place = agents.places[id] else { return }
        let uses = agents.uses[place]
        for use in uses {
            charge(use.client, use.resources, -1)
            tree.clients[use.client].agents -= 1
        }
        totals.withheld &-= names.split(agents.withheld[place]).unreserved
        setTotal(place, Resources())
        agents.remove(place)
        for use in uses { dropIfUnused(use.client) }
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

    // MARK: Use

    /// What a framework has on an agent in a role.
    public struct Use: Sendable {
        public var frameworkID: String
        public var role: String
        /// Allocated to nobody.
        public var resources: Resources

        public init(frameworkID: String, role: String, resources: Resources) {
            self.frameworkID = frameworkID
            self.role = role
            self.resources = resources
        }
    }

    /// Says what everyone has on an agent, offers included: what is not named is free. A framework may have something in
    /// roles that it did not register with (pods of Kubernetes are in as many roles as there are namespaces).
    /// - Parameter withheld: what is taken and is no known framework's.
    public mutating func setUses(on id: String, _ uses: [Use], withheld: Resources = Resources()) {
        guard let place = agents.places[id] else { return }
        let old = agents.uses[place]
        var new: [AgentTable.Use] = []
        for use in uses where !use.resources.isEmpty {
            guard let client = client(use.frameworkID, use.role) else { continue }
            if let index = new.firstIndex(where: { $0.client == client }) {
                new[index].resources += use.resources
            } else {
                new.append(AgentTable.Use(client: client, resources: use.resources))
            }
        }
        var isChanged = agents.withheld[place] != withheld
        var isReleased = isChanged
        for use in old {
            let now = new.first { $0.client == use.client }
            if now?.resources == use.resources { continue }
            charge(use.client, use.resources, -1)
            if let now {
                charge(now.client, now.resources, 1)
            } else {
                tree.clients[use.client].agents -= 1
                dropIfUnused(use.client)
            }
            isChanged = true
            isReleased = true
        }
        for use in new where !old.contains(where: { $0.client == use.client }) {
            charge(use.client, use.resources, 1)
            tree.clients[use.client].agents += 1
            isChanged = true
        }
        guard isChanged else { return }
        agents.uses[place] = new
        totals.withheld &-= names.split(agents.withheld[place]).unreserved
        totals.withheld &+= names.split(withheld).unreserved
        agents.withheld[place] = withheld
        agentChanged(place)
        if isReleased { quotaMayAllowMore() }
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
            tree.clients[client].agents -= 1
        } else {
            charge(client, after, 1)
            agents.uses[place][index].resources = after
        }
        if let refuseSeconds, refuseSeconds > 0 { filter(client, place, plain, seconds: refuseSeconds, now: now) }
        agentChanged(place)
        quotaMayAllowMore()
        if after.isEmpty { dropIfUnused(client) }
    }

    /// Does not offer these resources of an agent, or less, to a framework in a role for a time.
    /// - Parameter now: seconds of the owner's clock, the same as in `allocate`.
    public mutating func refuse(
        frameworkID: String, role: String, agentID: String, _ resources: Resources, seconds: Double, now: Double
    ) {
        guard let place = agents.places[agentID], let framework = frameworkPlaces[frameworkID],
            let client = frameworks[framework]?.clients.first(where: { tree.clients[$0].role == role })
        else { return }
        filter(client, place, resources.unallocated, seconds: seconds, now: now)
    }

    private mutating func filter(
        _ client: Int, _ place: Int, _ resources: Resources, seconds: Double, now: Double
    ) {
        let expiry = now + max(seconds, options.interval)
        // A filter that says no more than the new one is not needed; of many the oldest go.
        agents.filters[place].removeAll {
            $0.client == client && $0.expiry <= expiry && resources.contains($0.resources)
        }
        let own = agents.filters[place].indices.filter { agents.filters[place][$0].client == client }
        if own.count >= Self.maximumFilters { agents.filters[place].remove(at: own[0]) }
        agents.filters[place].append(AgentTable.Filter(client: client, resources: resources, expiry: expiry))
        agents.filtered.set(client, place, true)
        filterTimes.insert(expiry, agent: place)
        if filterTimes.isCrowded {
            filterTimes.rebuild(agents.indices.flatMap { agent in agents.filters[agent].map { ($0.expiry, agent) } })
        }
    }
    /// Filters that one client may have on one agent.
    private static let maximumFilters = 16

    /// Filters of a role that are in force.
    public func filterCount(role: String) -> Int {
        agents.filters.reduce(0) { $0 + $1.count { tree.clients[$0.client].role == role } }
    }

    /// Filters that are in force, by role; roles without any are not named.
    public var filterCounts: [String: Int] {
        var counts: [Int: Int] = [:]
        for filters in agents.filters {
            for filter in filters { counts[filter.client, default: 0] += 1 }
        }
        return counts.reduce(into: [:]) { $0[tree.clients[$1.key].role, default: 0] += $1.value }
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
            tree.prune(place)
        }
    }

    /// Computes anew what is left on an agent, and looks at it in the next cycle.
    mutating func agentChanged(_ place: Int) {
        var rest = agents.total[place] - agents.withheld[place]
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
        for place in heldBack {
            agents.isHeldBack[place] = false
            markDirty(place)
        }
        heldBack = []
    }
}

extension Resources {
    var hasShared: Bool { entries.contains { $0.resource.isShared } }
}
