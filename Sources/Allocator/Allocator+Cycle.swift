import MesosModel

extension Allocator {
    private enum Stage {
        case guarantees, fairShare
    }

    /// Runs a cycle and says what to offer. What it says counts as allocated until it is recovered.
    /// - Parameter now: seconds of the owner's clock; ends filters.
    public mutating func allocate(now: Double) -> [Offer] {
        endFilters(now)
        var candidates = takeCandidates()
        guard !candidates.isEmpty, tree.nodes[0].wanting > 0 else { return [] }
        tree.setPool(totals.pool, counts: countedMask)
        tree.sort()
        var offers: [Offer] = []
        /// Offers of the first stage, which the second may add to.
        var known: [Int: [Int]] = [:]
        if requiredHeadroom.hasAny {
            candidates.shuffle(using: &random)
            for agent in candidates where requiredHeadroom.hasAny {
                let first = offers.count
                visit(agent, .guarantees, &offers)
                if offers.count > first { known[agent] = Array(first..<offers.count) }
            }
        }
        candidates.shuffle(using: &random)
        for agent in candidates {
            let first = offers.count
            visit(agent, .fairShare, &offers)
            if let earlier = known[agent] { Self.merge(&offers, from: first, into: earlier) }
        }
        return offers
    }

    /// One offer for each framework, role and agent.
    private static func merge(_ offers: inout [Offer], from first: Int, into earlier: [Int]) {
        for index in (first..<offers.count).reversed() {
            let same = earlier.first {
                offers[$0].frameworkID == offers[index].frameworkID && offers[$0].role == offers[index].role
            }
            if let same {
                offers[same].resources += offers[index].resources
                offers.remove(at: index)
            }
        }
    }

    private mutating func endFilters(_ now: Double) {
        while let agent = filterTimes.removeFirst(until: now) {
            let ended = agents.filters[agent].filter { $0.expiry <= now }
            guard !ended.isEmpty else { continue }
            agents.filters[agent].removeAll { $0.expiry <= now }
            for filter in ended where !agents.filters[agent].contains(where: { $0.client == filter.client }) {
                agents.filtered.set(filter.client, agent, false)
            }
            markDirty(agent)
        }
    }

    private mutating func takeCandidates() -> [Int] {
        var candidates = dirty
        if isAllDirty { candidates = Array(agents.indices) }
        for agent in dirty { agents.isDirty[agent] = false }
        dirty = []
        isAllDirty = false
        candidates.removeAll { !agents.isActive[$0] || agents.available[$0].isEmpty }
        return candidates
    }

    /// Goes through roles and frameworks in their order until the agent has nothing left.
    private mutating func visit(_ agent: Int, _ stage: Stage, _ offers: inout [Offer]) {
        guard !agents.available[agent].isEmpty else { return }
        let first = offers.count
        var served: [Int] = []
        _ = serve(0, agent, stage, &offers, &served)
        // Shares moved; the order for this agent was that of before.
        if offers.count > first { for client in served { tree.reorder(client) } }
    }

    /// True when the agent has nothing left.
    private mutating func serve(
        _ place: Int, _ agent: Int, _ stage: Stage, _ offers: inout [Offer], _ served: inout [Int]
    ) -> Bool {
        let isLeaf = tree.nodes[place].isLeaf
        for index in 0..<tree.nodes[place].members.count {
            let member = tree.nodes[place].members[index]
            if isLeaf {
                guard tree.clients[member].isWanting, give(agent, to: member, stage, &offers) else { continue }
                served.append(member)
            } else {
                guard tree.nodes[member].wanting > 0, serve(member, agent, stage, &offers, &served) else { continue }
                return true
            }
            if !agents.free[agent].hasAny && agents.isPlain[agent] || agents.available[agent].isEmpty { return true }
        }
        return false
    }

    /// Offers a client what it may have of an agent; false when that is nothing, or not enough, or not wanted.
    private mutating func give(_ agent: Int, to client: Int, _ stage: Stage, _ offers: inout [Offer]) -> Bool {
        if agents.denied[client, agent] { return false }
        if agents.hasGPUs[agent], options.filtersGPUs, !tree.clients[client].hasGPUs { return false }
        if agents.isRemote[agent], !tree.clients[client].isRegionAware { return false }
        guard let budget = budget(of: client, stage) else { return false }
        let free = agents.free[agent]
        let isBounded = any(budget .< free)
        if isBounded, stage == .fairShare, !agents.isHeldBack[agent] {
            agents.isHeldBack[agent] = true
            heldBack.append(agent)
        }
        let cut: Cut
        if !isBounded, agents.isPlain[agent] {
            cut = Cut(resources: agents.available[agent], unreserved: free)
        } else {
            cut = self.cut(agent, for: client, stage, budget)
        }
        if cut.resources.isEmpty { return false }
        if stage == .guarantees {
            let quota = quotas[tree.nodes[tree.nodes[tree.clients[client].leaf].top].quota]
            let progress = cut.unreserved.replacing(with: 0, where: quota.guarantee .== 0)
            if !progress.hasAny { return false }
        }
        guard isEnough(cut.unreserved &+ cut.reserved &+ cut.revocable, for: client) else { return false }
        if agents.filtered[client, agent],
            agents.filters[agent].contains(where: { $0.client == client && $0.resources.contains(cut.resources) })
        {
            return false
        }
        record(cut, agent, client, isWhole: !isBounded && agents.isPlain[agent])
        let framework = tree.clients[client]
        offers.append(
            Offer(
                frameworkID: framework.name, role: framework.role, agentID: agents.ids[agent], resources: cut.resources)
        )
        return true
    }

    private func isEnough(_ amounts: Amounts, for client: Int) -> Bool {
        if tree.clients[client].minimum.isEmpty { return true }
        for least in tree.clients[client].minimum where all(amounts .>= least) { return true }
        return false
    }

    /// How much a client may be given of what nobody reserved; nil when the stage is not for it.
    private func budget(of client: Int, _ stage: Stage) -> Amounts? {
        if quotas.isEmpty { return .unbounded }
        let top = tree.nodes[tree.clients[client].leaf].top
        let required = requiredHeadroom
        // Where nothing is guaranteed there is nothing to keep free.
        let surplus = Amounts.unbounded.replacing(with: (totals.headroom &- required).positive, where: required .> 0)
        guard tree.nodes[top].quota >= 0 else { return stage == .fairShare ? surplus : nil }
        let quota = quotas[tree.nodes[top].quota]
        let allowed = (quota.limit &- tree.nodes[top].held).positive.least(surplus)
        if stage == .fairShare { return allowed }
        let missing = (quota.guarantee &- tree.nodes[top].held).positive
        guard missing.hasAny else { return nil }
        return allowed.replacing(with: missing, where: quota.guarantee .> 0)
    }

    private struct Cut {
        var resources = Resources()
        var unreserved = Amounts()
        var reserved = Amounts()
        var revocable = Amounts()
    }

    private mutating func cut(_ agent: Int, for client: Int, _ stage: Stage, _ budget: Amounts) -> Cut {
        var result = Cut()
        var left = budget
        let role = tree.clients[client].role
        for entry in agents.available[agent].entries {
            var resource = entry.resource
            if resource.isShared, !tree.clients[client].takesShared { continue }
            if resource.isRevocable, !tree.clients[client].takesRevocable || stage == .guarantees { continue }
            if let owner = resource.reservationRole {
                guard MesosRoles.mayUse(role, reservation: owner) else { continue }
            }
            if case .scalar(let value) = resource.amount, let place = names.place(of: resource.name) {
                if resource.isRevocable {
                    result.revocable[place] += value
                } else if !resource.reservations.isEmpty {
                    result.reserved[place] += value
                } else {
                    var part = min(value, left[place])
                    if part < value, resource.disk != nil { part = 0 }
                    guard part > 0 else { continue }
                    left[place] -= part
                    result.unreserved[place] += part
                    resource.amount = .scalar(part)
                }
            }
            // One copy of a shared volume is enough.
            result.resources.add(resource)
        }
        return result
    }

    private mutating func record(_ cut: Cut, _ agent: Int, _ client: Int, isWhole: Bool) {
        charge(client, unreserved: cut.unreserved, reserved: cut.reserved, countsAsTurn: true)
        if let index = agents.uses[agent].firstIndex(where: { $0.client == client }) {
            agents.uses[agent][index].resources += cut.resources
        } else {
            agents.uses[agent].append(AgentTable.Use(client: client, resources: cut.resources))
            tree.clients[client].agents += 1
        }
        if isWhole {
            agents.available[agent] = Resources()
            agents.free[agent] = Amounts()
            return
        }
        agents.available[agent] -= cut.resources.hasShared ? cut.resources.filter { !$0.isShared } : cut.resources
        agents.free[agent] &-= cut.unreserved
    }
}
