import Allocator
import JSON
import Ledger
import MesosModel

/// What the allocator is told, and what becomes of its answers.
///
/// The ledger says how much of a node is free, the allocator who gets it. Before each cycle it is told everything anew of
/// the agents where something changed, so that no account can drift: what tasks, executors and offers of each framework
/// hold, what pods of Kubernetes and Marathon hold in the roles of their namespaces, and the rest that is not free.
extension MasterState {
    /// Names that no framework can have: those whose pods come without offers.
    static let kubernetes = "/kubernetes"
    static let marathon = "/marathon"

    static func makeAllocator(_ configuration: Master.Configuration) -> Allocator {
        var options = Allocator.Options()
        options.region = configuration.region
        var allocator = Allocator(options: options)
        var cluster = Allocator.Framework(roles: [])
        cluster.isActive = false
        for name in [kubernetes, marathon] { allocator.setFramework(name, cluster) }
        return allocator
    }

    /// Seconds on the clock of the filters.
    var clock: Double {
        let (seconds, attoseconds) = (now - origin).components
        return Double(seconds) + Double(attoseconds) / 1e18
    }

    // MARK: Frameworks and roles

    /// Tells the allocator of a framework as it is now.
    mutating func refreshFramework(_ id: String) {
        guard let framework = frameworks[id] else { return allocator.removeFramework(id) }
        var known = Allocator.Framework(roles: framework.roles)
        known.suppressedRoles = framework.suppressedRoles
        known.capabilities = framework.capabilities
        known.isActive = framework.isActive
        known.constraints = try? OfferConstraints(framework.offerConstraints)
        for (role, filter) in framework.info["offer_filters"].members {
            guard filter["min_allocatable_resources"].object != nil else { continue }
            known.minimum[role] = filter["min_allocatable_resources"]["quantities"].elements.map {
                Self.quantities($0["quantities"])
            }
        }
        allocator.setFramework(id, known)
    }

    /// Thousandths by name, of `{cpus: {value: 1}}` or `{cpus: 1}`.
    static func quantities(_ tree: JSON) -> Allocator.Quantities {
        var result: Allocator.Quantities = [:]
        for (name, amount) in tree.members {
            if let value = amount["value"].double ?? amount.double { result[name] = MesosResource.thousandths(value) }
        }
        return result
    }

    /// Why offer constraints cannot be; nil when they can.
    static func problem(withConstraints constraints: JSON, info: JSON) -> String? {
        let roles = MesosRoles.roles(
            isMultiRole: info["capabilities"].elements.contains { $0["type"].string == "MULTI_ROLE" },
            role: info["role"].string, roles: info["roles"].elements.compactMap(\.string))
        do {
            _ = try OfferConstraints(constraints, roles: roles)
            return nil
        } catch {
            return "Invalid offer constraints: \(error)"
        }
    }

    /// A role's object as it is now; nil: it does not exist. Offers made by other rules are taken back.
    mutating func set(role object: RoleObject?, named role: String) {
        let old = roles.removeValue(forKey: role)
        roles[role] = object
        let weight = object?.weight ?? 1
        if weight != old?.weight ?? 1 {
            allocator.setWeight(weight, of: role)
            for id in offers.keys { rescind(id) }
        }
        if object?.quota ?? .null != old?.quota ?? .null {
            let quota = object?.quota ?? .null
            let guarantees = Self.quantities(quota["guarantees"])
            do {
                try allocator.setQuota(of: role, guarantees: guarantees, limits: Self.quantities(quota["limits"]))
            } catch {
                // Only kubectl gets such a quota in: none is in force.
                count("invalid_quotas")
                try? allocator.setQuota(of: role, guarantees: [:], limits: [:])
            }
            if !guarantees.isEmpty {
                for offer in offers.values where MesosRoles.top(of: offer.role) != role { rescind(offer.id) }
            }
            nextReview = now
        }
        effects.append(.allocate)
    }

    /// A namespace is for this role; nil: for that of its own name.
    mutating func set(role: String?, ofNamespace namespace: String) {
        guard roleOfNamespace[namespace] != role else { return }
        roleOfNamespace[namespace] = role
        for pod in otherPods.values where pod.key.namespace == namespace { markStale(node: pod.node) }
    }

    // MARK: Agents

    /// What is known of use on the agent of a node has to be counted again.
    mutating func markStale(node: String) {
        if let id = agentOfNode[node] { staleAgents.insert(id) }
    }

    /// Tells the allocator what has changed since it was last told.
    mutating func takeStock() {
        for slot in ledger.update(&ledgerView) {
            if let node = ledgerView.nodes[slot] { markStale(node: node.name) }
        }
        let stale = staleAgents
        staleAgents = []
        for id in stale { takeStock(of: id) }
    }

    private mutating func takeStock(of id: String) {
        guard let agent = agents[id] else { return }
        if !agent.offers.isEmpty, let node = ledger.node(agent.node.name) {
            let free = node.free
            if free.milliCPU < 0 || free.memory < 0 || free.ephemeralStorage < 0 {
                for offer in agent.offers { rescind(offer) }
            }
        }
        allocator.setAgent(id, total: agent.total, facts: agent.facts)
        allocator.setAgent(id, isActive: agent.isOfferable && paused[id] == nil)
        let uses = tally(agent)
        let left = uses.reduce(agent.total) { $0 - $1.resources }
        let free = free(on: agent) + idleReservations(of: agent)
        allocator.setUses(on: id, uses, withheld: left - free)
    }

    private func tally(_ agent: AgentRecord) -> [Allocator.Use] {
        var tally = UseTally()
        for key in agent.tasks {
            guard let task = tasks[key], !task.isTerminal else { continue }
            tally.add(task.resources, key.frameworkID, task.role)
        }
        for key in agent.executors {
            guard let executor = executors[key] else { continue }
            tally.add(executor.resources, key.frameworkID, executor.role)
        }
        for id in agents[agent.id]?.offers ?? [] {
            guard let offer = offers[id] else { continue }
            tally.add(offer.resources, offer.frameworkID, offer.role)
        }
        if ledger.hasQuotas || !agent.reserved.isEmpty {
            countExactly(agent, &tally)
            return tally.uses
        }
        for key in otherPodsOfNode[agent.node.name] ?? [] {
            guard let pod = otherPods[key], !pod.isFinished else { continue }
            tally.add(
                Resources.unreserved(of: pod.requests), pod.marathonApp.isEmpty ? Self.kubernetes : Self.marathon,
                role(ofNamespace: key.namespace))
        }
        return tally.uses
    }

    /// Counts pods as the ledger does, by whose numbers offers are refused, and what they use of reservations as reserved.
    private func countExactly(_ agent: AgentRecord, _ tally: inout UseTally) {
        let claims = Dictionary(
            ledger.claims(on: agent.node.name).map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        var drawn = drawnReservations(of: agent, unheldReservations(of: agent)).resources
        for key in (otherPodsOfNode[agent.node.name] ?? []).sorted() {
            guard let pod = otherPods[key], !pod.isFinished else { continue }
            let claim = claims[.pod(uid: pod.uid)]
            var amounts = Resources.amounts(of: claim?.resources ?? pod.requests)
            let (framework, role) = (
                pod.marathonApp.isEmpty ? Self.kubernetes : Self.marathon, role(ofNamespace: key.namespace)
            )
            for index in drawn.indices where claim?.reserveUse != ReserveUse.none {
                guard let owner = drawn[index].reservationRole, MesosRoles.mayUse(role, reservation: owner),
                    case .scalar(let value) = drawn[index].amount, let wanted = amounts[drawn[index].name]
                else { continue }
                let part = min(value, wanted)
                guard part > 0 else { continue }
                amounts[drawn[index].name] = wanted - part
                drawn[index].amount = .scalar(value - part)
                var resource = drawn[index]
                resource.amount = .scalar(part)
                tally.add(Resources([resource]), framework, role)
            }
            let rest = amounts.filter { $0.value > 0 }.map { MesosResource($0.key, .scalar($0.value)) }
            tally.add(Resources(rest), framework, role)
        }
    }

    // MARK: Cycles

    /// Offers what is free to those who may have it.
    mutating func allocate() {
        // Without frameworks nobody counts.
        guard isRecovered, ledger.isSynced, !frameworks.isEmpty else { return }
        if now >= nextReview {
            nextReview = now + .seconds(1)
            review()
        }
        let start = ContinuousClock.now
        defer { allocationTimes.add(start.duration(to: .now)) }
        takeStock()
        var made: [String: [JSON]] = [:]
        for offer in allocator.allocate(now: clock) {
            if let record = makeOffer(offer) {
                made[offer.frameworkID, default: []].append(record.json)
            } else {
                // Somebody was faster; the next cycle knows.
                staleAgents.insert(offer.agentID)
            }
        }
        for (framework, list) in made {
            countOffers("sent", list.count, of: framework)
            send(Message.event("OFFERS", "offers", ["offers": .array(list)]), to: framework)
        }
    }

    /// What has its time, or holds more than it may.
    private mutating func review() {
        for (id, end) in paused where end <= now {
            paused[id] = nil
            staleAgents.insert(id)
        }
        takeBackOverdue()
        takeStock()
        for role in allocator.rolesAboveLimit {
            let own = offers.values.filter { MesosRoles.top(of: $0.role) == role }.sorted { $0.madeAt > $1.madeAt }
            for offer in own {
                rescind(offer.id)
                takeStock()
                if !allocator.rolesAboveLimit.contains(role) { break }
            }
        }
    }
}

/// Sums of resources by who has them.
private struct UseTally {
    private struct Sum {
        var frameworkID: String
        var role: String
        var scalars: [String: Int64] = [:]
        var others = Resources()
    }
    private var sums: [Sum] = []

    mutating func add(_ resources: Resources, _ frameworkID: String, _ role: String) {
        let index: Int
        if let known = sums.firstIndex(where: { $0.frameworkID == frameworkID && $0.role == role }) {
            index = known
        } else {
            index = sums.count
            sums.append(Sum(frameworkID: frameworkID, role: role))
        }
        for var resource in resources.resources {
            // Nearly everything is a plain scalar, and there may be a thousand of them.
            if case .scalar(let value) = resource.amount, resource.reservations.isEmpty, resource.disk == nil,
                !resource.isRevocable, !resource.isShared, resource.providerID == nil
            {
                sums[index].scalars[resource.name, default: 0] += value
            } else {
                resource.allocationRole = nil
                sums[index].others.add(resource)
            }
        }
    }

    var uses: [Allocator.Use] {
        sums.map { sum in
            var resources = sum.others
            for (name, value) in sum.scalars { resources.add(MesosResource(name, .scalar(value))) }
            return Allocator.Use(frameworkID: sum.frameworkID, role: sum.role, resources: resources)
        }
    }
}
