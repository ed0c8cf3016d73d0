import MesosModel

/// Agents in flat arrays, addressed by their place.
struct AgentTable: Sendable {
    /// What one client has on an agent.
    struct Use: Sendable {
        var client: Int
        var resources: Resources
    }
    /// What one client does not want to be offered on an agent.
    struct Filter: Sendable {
        var client: Int
        var resources: Resources
        var expiry: Double
    }

    private(set) var ids: [String] = []
    var isKnown: [Bool] = []
    var isActive: [Bool] = []
    var isDirty: [Bool] = []
    /// A quota or the headroom held something back there.
    var isHeldBack: [Bool] = []
    var total: [Resources] = []
    var available: [Resources] = []
    /// Available scalars that are neither reserved nor revocable.
    var free: [Amounts] = []
    /// True when everything available is unreserved, not revocable and not shared: it is offered whole.
    var isPlain: [Bool] = []
    var hasGPUs: [Bool] = []
    var isRemote: [Bool] = []
    var uses: [[Use]] = []
    /// What is in use by nobody that is known: it belongs to no role, and cannot be offered.
    var withheld: [Resources] = []
    var filters: [[Filter]] = []
    var facts: [OfferConstraints.Agent] = []
    /// Which clients have a filter where.
    var filtered = BitTable()
    /// Which clients' constraints exclude which agents.
    var denied = BitTable()
    private(set) var places: [String: Int] = [:]
    private var freePlaces: [Int] = []

    var indices: Range<Int> { 0..<ids.count }

    mutating func add(_ id: String) -> Int {
        if let place = places[id] { return place }
        let place: Int
        if let free = freePlaces.popLast() {
            place = free
            ids[place] = id
        } else {
            place = ids.count
            ids.append(id)
            isKnown.append(false)
            isActive.append(false)
            isDirty.append(false)
            isHeldBack.append(false)
            total.append(Resources())
            available.append(Resources())
            free.append(Amounts())
            isPlain.append(true)
            hasGPUs.append(false)
            isRemote.append(false)
            uses.append([])
            withheld.append(Resources())
            filters.append([])
            facts.append(OfferConstraints.Agent(hostname: ""))
        }
        places[id] = place
        isKnown[place] = true
        isActive[place] = true
        return place
    }

    mutating func remove(_ place: Int) {
        places.removeValue(forKey: ids[place])
        isKnown[place] = false
        isActive[place] = false
        total[place] = Resources()
        available[place] = Resources()
        free[place] = Amounts()
        uses[place] = []
        withheld[place] = Resources()
        for filter in filters[place] { filtered.set(filter.client, place, false) }
        filters[place] = []
        denied.clearColumn(place)
        freePlaces.append(place)
    }
}

/// Bits by client and agent: one row of words for each client.
struct BitTable: Sendable {
    private var rows: [[UInt64]] = []

    subscript(client: Int, agent: Int) -> Bool {
        guard client < rows.count, agent >> 6 < rows[client].count else { return false }
        return rows[client][agent >> 6] >> UInt64(agent & 63) & 1 == 1
    }
    mutating func set(_ client: Int, _ agent: Int, _ value: Bool) {
        if !value, !self[client, agent] { return }
        while rows.count <= client { rows.append([]) }
        let word = agent >> 6
        if rows[client].count <= word {
            rows[client] += Array(repeating: 0, count: word + 1 - rows[client].count)
        }
        let bit = UInt64(1) << UInt64(agent & 63)
        if value { rows[client][word] |= bit } else { rows[client][word] &= ~bit }
    }
    func hasAny(_ client: Int) -> Bool { client < rows.count && rows[client].contains { $0 != 0 } }
    mutating func clear(_ client: Int) {
        if client < rows.count { rows[client] = [] }
    }
    mutating func clearColumn(_ agent: Int) {
        for client in rows.indices { set(client, agent, false) }
    }
}
