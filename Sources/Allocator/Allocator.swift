public import MesosModel

/// Decides who is offered what: weighted hierarchical dominant resource fairness with quotas.
///
/// A value without clock, locks or I/O: facts in, offers out. What is offered counts as allocated until it is recovered.
/// Resources go in and come out allocated to nobody; the owner writes `allocation_info`.
///
/// A cycle visits only agents where something changed that may make an offer possible: resources came free, a filter
/// ended, a framework came or revived (then all agents). Frameworks and agents live in flat arrays; ids are looked up at
/// the border alone.
public struct Allocator: Sendable {
    /// Amounts of resources by name, in thousandths.
    public typealias Quantities = [String: Int64]

    /// What holds for the whole cluster.
    public struct Options: Sendable {
        /// An offer has at least the amounts of one of these.
        public var minimum: [Quantities] = [["cpus": 10], ["mem": 32_000]]
        /// Scarce resources that have no part in shares.
        public var excludedNames: Set<String> = []
        /// Hides agents with GPUs from frameworks without GPU_RESOURCES.
        public var filtersGPUs = true
        /// Seconds between cycles: a filter lasts at least as long.
        public var interval = 1.0
        /// The master's region; agents of other regions go to REGION_AWARE frameworks only.
        public var region: String?

        /// The original's defaults.
        public init() {}
    }

    /// What is known of a framework.
    public struct Framework: Sendable {
        public var roles: [String]
        public var suppressedRoles: Set<String> = []
        /// Names such as `GPU_RESOURCES`.
        public var capabilities: Set<String> = []
        /// Instead of the cluster's minimum, by role; an empty list is no minimum.
        public var minimum: [String: [Quantities]] = [:]
        public var constraints: OfferConstraints?
        public var isActive = true

        /// A framework of roles.
        public init(roles: [String]) {
            self.roles = roles
        }
    }

    /// What is offered.
    public struct Offer: Sendable {
        public var frameworkID: String
        public var role: String
        public var agentID: String
        /// Allocated to nobody; some may be reserved.
        public var resources: Resources
    }

    struct FrameworkState: Sendable {
        var id: String
        var info: Framework
        var clients: [Int]
    }

    public let options: Options
    var names = ResourceNames()
    var tree = RoleTree()
    var frameworks: [FrameworkState?] = []
    var frameworkPlaces: [String: Int] = [:]
    var freeFrameworks: [Int] = []
    var agents = AgentTable()
    var quotas: [Quota] = []
    var totals = Totals()
    var filterTimes = FilterTimes()
    var dirty: [Int] = []
    /// Agents where a quota or the headroom held something back.
    var heldBack: [Int] = []
    var random: Xorshift
    /// Every agent is a candidate in the next cycle.
    var isAllDirty = false
    private var minimum: [Amounts] = []

    /// Nothing known yet.
    /// - Parameter seed: of the order in which agents are visited.
    public init(options: Options = Options(), seed: UInt64 = 0x9E37_79B9_7F4A_7C15) {
        self.options = options
        random = Xorshift(seed)
        minimum = options.minimum.map { names.amounts($0) }
    }

    // MARK: Frameworks

    /// Adds a framework or changes what is known of one. Filters of roles that it keeps stay.
    public mutating func setFramework(_ id: String, _ info: Framework) {
        let place: Int
        var old: [Int] = []
        if let known = frameworkPlaces[id] {
            place = known
            old = frameworks[known]?.clients ?? []
        } else if let free = freeFrameworks.popLast() {
            place = free
        } else {
            place = frameworks.count
            frameworks.append(nil)
        }
        frameworkPlaces[id] = place
        var clients: [Int] = []
        for role in info.roles where !clients.contains(where: { tree.clients[$0].role == role }) {
            if let index = old.firstIndex(where: { tree.clients[$0].role == role }) {
                clients.append(old.remove(at: index))
            } else {
                clients.append(tree.addClient(framework: place, name: id, role: role))
            }
        }
        // Tasks of a role that it left stay and are charged to that role.
        for client in old where tree.clients[client].agents > 0 { clients.append(client) }
        for client in old where !clients.contains(client) { drop(client) }
        frameworks[place] = FrameworkState(id: id, info: info, clients: clients)
        refresh(place)
        isAllDirty = true
    }

    /// Forgets a framework; what it had is free.
    public mutating func removeFramework(_ id: String) {
        guard let place = frameworkPlaces.removeValue(forKey: id), let state = frameworks[place] else { return }
        let clients = Set(state.clients)
        let hasUses = clients.contains { tree.clients[$0].agents > 0 }
        for agent in agents.indices
        where hasUses && agents.uses[agent].contains(where: { clients.contains($0.client) }) {
            for use in agents.uses[agent] where clients.contains(use.client) {
                charge(use.client, use.resources, -1)
            }
            agents.uses[agent].removeAll { clients.contains($0.client) }
            agentChanged(agent)
        }
        for client in state.clients { drop(client) }
        frameworks[place] = nil
        freeFrameworks.append(place)
        if hasUses { quotaMayAllowMore() }
    }

    /// Stops or resumes all offers to a framework; its filters are gone when it resumes.
    public mutating func setFramework(_ id: String, isActive: Bool) {
        guard let place = frameworkPlaces[id], let state = frameworks[place], state.info.isActive != isActive else {
            return
        }
        frameworks[place]?.info.isActive = isActive
        for client in state.clients { clearFilters(client) }
        refresh(place)
        if isActive { isAllDirty = true }
    }

    /// Stops offers for roles of a framework; for all of them when none are named.
    public mutating func suppress(_ id: String, roles: [String] = []) {
        guard let place = frameworkPlaces[id], let info = frameworks[place]?.info else { return }
        frameworks[place]?.info.suppressedRoles.formUnion(roles.isEmpty ? info.roles : roles)
        refresh(place)
    }

    /// Resumes offers for roles of a framework and removes their filters; for all of them when none are named.
    public mutating func revive(_ id: String, roles: [String] = []) {
        guard let place = frameworkPlaces[id], let state = frameworks[place] else { return }
        let revived = Set(roles.isEmpty ? state.info.roles : roles)
        frameworks[place]?.info.suppressedRoles.subtract(revived)
        for client in state.clients where revived.contains(tree.clients[client].role) { clearFilters(client) }
        refresh(place)
        isAllDirty = true
    }

    /// Forgets a framework's filters.
    public mutating func forgetFilters(of id: String) {
        guard let place = frameworkPlaces[id], let state = frameworks[place] else { return }
        for client in state.clients { clearFilters(client) }
    }

    /// Roles for which a framework gets no offers by its own wish.
    public func suppressedRoles(of id: String) -> Set<String> {
        frameworkPlaces[id].flatMap { frameworks[$0]?.info.suppressedRoles } ?? []
    }

    private mutating func refresh(_ place: Int) {
        guard let state = frameworks[place] else { return }
        for client in state.clients {
            let role = tree.clients[client].role
            let capabilities = state.info.capabilities
            tree.clients[client].hasGPUs = capabilities.contains("GPU_RESOURCES")
            tree.clients[client].isRegionAware = capabilities.contains("REGION_AWARE")
            tree.clients[client].takesRevocable = capabilities.contains("REVOCABLE_RESOURCES")
            tree.clients[client].takesShared = capabilities.contains("SHARED_RESOURCES")
            tree.clients[client].minimum = state.info.minimum[role].map { $0.map { names.amounts($0) } } ?? minimum
            let isWanting =
                state.info.isActive && state.info.roles.contains(role) && !state.info.suppressedRoles.contains(role)
            tree.setWanting(client, isWanting)
        }
        if let constraints = state.info.constraints, !constraints.isEmpty {
            for agent in agents.indices where agents.isKnown[agent] { judge(agent, state, constraints) }
        } else {
            for client in state.clients { agents.denied.clear(client) }
        }
    }

    /// Notes on which agents a framework's constraints let it be offered.
    mutating func judge(_ agent: Int, _ state: FrameworkState, _ constraints: OfferConstraints) {
        for client in state.clients {
            let allows = constraints.allows(agents.facts[agent], role: tree.clients[client].role)
            agents.denied.set(client, agent, !allows)
        }
    }

    private mutating func drop(_ client: Int) {
        clearFilters(client)
        agents.denied.clear(client)
        tree.removeClient(client)
    }

    /// Forgets a client that was only there for what it had.
    mutating func dropIfUnused(_ client: Int) {
        guard tree.clients[client].agents == 0, !tree.clients[client].isFree,
            let state = frameworks[tree.clients[client].framework],
            !state.info.roles.contains(tree.clients[client].role)
        else { return }
        let place = tree.clients[client].framework
        drop(client)
        frameworks[place]?.clients.removeAll { $0 == client }
    }

    mutating func clearFilters(_ client: Int) {
        guard agents.filtered.hasAny(client) else { return }
        for agent in agents.indices where agents.filtered[client, agent] {
            agents.filters[agent].removeAll { $0.client == client }
        }
        agents.filtered.clear(client)
    }

    /// The client of a framework in a role, made when the framework runs something in a role it does not have.
    mutating func client(_ frameworkID: String, _ role: String) -> Int? {
        guard let place = frameworkPlaces[frameworkID], let state = frameworks[place] else { return nil }
        if let known = state.clients.first(where: { tree.clients[$0].role == role }) { return known }
        let made = tree.addClient(framework: place, name: frameworkID, role: role)
        frameworks[place]?.clients.append(made)
        return made
    }

    // MARK: Roles

    /// Sets the weight of a role's exact path; 1 is what everyone has.
    public mutating func setWeight(_ weight: Double, of role: String) {
        tree.setWeight(max(weight, 1e-9), of: role)
    }

    /// The share that decides a role's turn: the largest part of the pool that it has of any resource, by its weight.
    public func share(of role: String) -> Double {
        tree.knownNode(of: role).map { tree.nodes[$0].share } ?? 0
    }

    /// Roles that are kept, and what is needed to keep them in order: bounded by those who have or want something.
    package var nodeCount: Int { tree.count }

    /// Thousandths that a role and those below it have, offers included.
    public func allocated(to role: String) -> Quantities {
        tree.knownNode(of: role).map { names.quantities(tree.nodes[$0].allocated) } ?? [:]
    }

    /// Which resources have a part in shares.
    var countedMask: SIMDMask<SIMD8<Int64>> {
        var mask = SIMDMask<SIMD8<Int64>>(repeating: true)
        for (index, name) in names.names.enumerated() where options.excludedNames.contains(name) { mask[index] = false }
        return mask
    }
}

/// A small generator for the order of visits; not for secrets.
struct Xorshift: RandomNumberGenerator, Sendable {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed == 0 ? 1 : seed }
    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
