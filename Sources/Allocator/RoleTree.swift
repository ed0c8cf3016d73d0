/// The roles as a tree, with what each has and the order in which they are served.
///
/// Roles are inner nodes; the frameworks of a role hang on a leaf below it, called `.`, beside the roles of the next
/// level. Nodes live in flat arrays and are addressed by their place; the root is at 0.
struct RoleTree: Sendable {
    struct Node: Sendable {
        var name: String
        var parent: Int
        var isLeaf = false
        /// Children (inner nodes) or clients (leaves), those with the smaller share first.
        var members: [Int] = []
        var weight = 1.0
        /// What is allocated to the subtree.
        var allocated = Amounts()
        var share = 0.0
        /// How often something was allocated: who had fewer turns comes first among equals.
        var turns: UInt64 = 0
        /// Clients in the subtree that want offers.
        var wanting = 0
        /// Place of the topmost role of this branch.
        var top = 0
        /// Of topmost roles: all reservations of the branch, and what it has of what nobody reserved. Quotas bound it.
        var held = Amounts()
        /// Of topmost roles: the place of the quota; -1 without one.
        var quota = -1
    }
    /// A framework in one of its roles.
    struct Client: Sendable {
        var framework: Int
        var leaf: Int
        var name: String
        var role: String
        var allocated = Amounts()
        var share = 0.0
        var turns: UInt64 = 0
        /// On how many agents it has something.
        var agents = 0
        var isWanting = false
        var isFree = false
        var hasGPUs = false
        var isRegionAware = false
        var takesRevocable = false
        var takesShared = false
        /// An offer has at least the amounts of one of these; none: anything will do.
        var minimum: [Amounts] = []
    }

    private(set) var nodes = [Node(name: "", parent: -1)]
    var clients: [Client] = []
    private var places: [String: Int] = [:]
    private var leaves: [String: Int] = [:]
    private var freeClients: [Int] = []
    private var freeNodes: [Int] = []
    /// Scalars of the whole pool, as the divisors of shares; zero for what does not count.
    private var pool = SIMD8<Double>()

    // MARK: Structure

    /// The place of a role's inner node.
    mutating func node(of role: String) -> Int {
        if let place = places[role] { return place }
        let slash = role.lastIndex(of: "/")
        let parent = slash.map { node(of: String(role[..<$0])) } ?? 0
        let place = add(Node(name: role, parent: parent))
        nodes[place].top = parent == 0 ? place : nodes[parent].top
        nodes[parent].members.append(place)
        places[role] = place
        return place
    }
    private mutating func add(_ node: Node) -> Int {
        guard let free = freeNodes.popLast() else {
            nodes.append(node)
            return nodes.count - 1
        }
        nodes[free] = node
        return free
    }

    /// Takes out a node that nobody needs any more, and those above it that it alone kept: roles come and go.
    mutating func prune(_ place: Int) {
        var place = place
        while place > 0 {
            let node = nodes[place]
            guard node.members.isEmpty, node.weight == 1, node.quota < 0, node.held == Amounts() else { return }
            if node.isLeaf { leaves[String(node.name.dropLast(2))] = nil } else { places[node.name] = nil }
            nodes[node.parent].members.removeAll { $0 == place }
            nodes[place] = Node(name: "", parent: 0)
            freeNodes.append(place)
            place = node.parent
        }
    }
    func knownNode(of role: String) -> Int? { places[role] }

    private mutating func leaf(of role: String) -> Int {
        if let place = leaves[role] { return place }
        let parent = node(of: role)
        let place = add(Node(name: role + "/.", parent: parent, isLeaf: true))
        nodes[place].top = nodes[parent].top
        nodes[parent].members.append(place)
        leaves[role] = place
        return place
    }

    mutating func addClient(framework: Int, name: String, role: String) -> Int {
        let leaf = leaf(of: role)
        let client = Client(framework: framework, leaf: leaf, name: name, role: role)
        let place: Int
        if let free = freeClients.popLast() {
            place = free
            clients[place] = client
        } else {
            place = clients.count
            clients.append(client)
        }
        nodes[leaf].members.append(place)
        return place
    }

    /// Takes a client out; what it had must be gone before.
    mutating func removeClient(_ place: Int) {
        setWanting(place, false)
        nodes[clients[place].leaf].members.removeAll { $0 == place }
        clients[place].isFree = true
        freeClients.append(place)
        prune(clients[place].leaf)
    }

    mutating func setWanting(_ client: Int, _ isWanting: Bool) {
        guard clients[client].isWanting != isWanting else { return }
        clients[client].isWanting = isWanting
        var place = clients[client].leaf
        while place >= 0 {
            nodes[place].wanting += isWanting ? 1 : -1
            place = nodes[place].parent
        }
    }

    mutating func setQuota(_ place: Int, at top: Int) { nodes[top].quota = place }
    /// Adds to what a topmost role holds.
    mutating func hold(_ amounts: Amounts, at top: Int) { nodes[top].held &+= amounts }

    mutating func setWeight(_ weight: Double, of role: String) {
        let place = node(of: role)
        nodes[place].weight = weight
        nodes[place].share = share(nodes[place].allocated) / weight
        prune(place)
    }

    /// Nodes that are in use.
    var count: Int { nodes.count - freeNodes.count }

    // MARK: Shares

    private func share(_ allocated: Amounts) -> Double {
        // Where the pool has nothing the quotient is set to nothing, too.
        var parts = SIMD8<Double>(allocated) / pool
        parts.replace(with: 0, where: pool .== 0)
        return parts.max()
    }

    mutating func setPool(_ total: Amounts, counts: SIMDMask<SIMD8<Int64>>) {
        let counted = Amounts().replacing(with: total.positive, where: counts)
        let new = SIMD8<Double>(counted)
        guard new != pool else { return }
        pool = new
        for place in nodes.indices { nodes[place].share = share(nodes[place].allocated) / nodes[place].weight }
        for place in clients.indices { clients[place].share = share(clients[place].allocated) }
    }

    /// Adds to (or with negative amounts takes from) what a client has.
    mutating func charge(_ client: Int, _ amounts: Amounts, countsAsTurn: Bool = false) {
        clients[client].allocated &+= amounts
        clients[client].share = share(clients[client].allocated)
        if countsAsTurn { clients[client].turns += 1 }
        var place = clients[client].leaf
        while place >= 0 {
            nodes[place].allocated &+= amounts
            nodes[place].share = share(nodes[place].allocated) / nodes[place].weight
            if countsAsTurn { nodes[place].turns += 1 }
            place = nodes[place].parent
        }
    }

    // MARK: Order

    private func nodePrecedes(_ a: Int, _ b: Int) -> Bool {
        if nodes[a].share != nodes[b].share { return nodes[a].share < nodes[b].share }
        if nodes[a].turns != nodes[b].turns { return nodes[a].turns < nodes[b].turns }
        return nodes[a].name < nodes[b].name
    }
    private func clientPrecedes(_ a: Int, _ b: Int) -> Bool {
        if clients[a].share != clients[b].share { return clients[a].share < clients[b].share }
        if clients[a].turns != clients[b].turns { return clients[a].turns < clients[b].turns }
        return clients[a].name < clients[b].name
    }

    /// Puts everything in order; before a cycle, when much may have changed.
    mutating func sort() {
        for place in nodes.indices {
            var members = nodes[place].members
            if nodes[place].isLeaf { members.sort(by: clientPrecedes) } else { members.sort(by: nodePrecedes) }
            nodes[place].members = members
        }
    }

    /// Puts a client that got more, and the nodes above it, where they belong now: others did not move.
    mutating func reorder(_ client: Int) {
        var place = clients[client].leaf
        sink(client, in: place)
        while nodes[place].parent >= 0 {
            sink(place, in: nodes[place].parent)
            place = nodes[place].parent
        }
    }

    private mutating func sink(_ member: Int, in place: Int) {
        let isLeaf = nodes[place].isLeaf
        guard var index = nodes[place].members.firstIndex(of: member) else { return }
        while index + 1 < nodes[place].members.count {
            let next = nodes[place].members[index + 1]
            guard isLeaf ? clientPrecedes(next, member) : nodePrecedes(next, member) else { return }
            nodes[place].members[index] = next
            nodes[place].members[index + 1] = member
            index += 1
        }
    }
}
