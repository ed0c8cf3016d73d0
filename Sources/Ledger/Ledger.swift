import Synchronization

/// The shared cell state: what every node has and who holds what of it.
///
/// Writers are of two kinds. Observers report facts (`setNode`, `set`, `remove`): a pod that the API says is bound holds
/// its share even when that over-commits the node. Deciders (`commit`) ask, and are refused what is not left. A decider
/// works on a snapshot without any lock and commits afterwards; whoever comes second learns which of its claims lost.
///
/// Every change of a node gives it a new generation and is kept in a short log, so that a snapshot is brought up to date
/// by copying only what changed (`update`). The state is a cache: it is rebuilt from nodes and pods at start.
public final class Ledger: Sendable {
    fileprivate struct NodeState {
        var node: LedgerSnapshot.Node
        var claims: [Claim.ID: Claim] = [:]
    }
    fileprivate struct State {
        var nodes: [NodeState?] = []
        var slots: [String: Int] = [:]
        var freeSlots: [Int] = []
        var claimSlots: [Claim.ID: Int] = [:]
        /// Slots in the order of their changes; entry `i` made generation `logStart + i + 1`.
        var log: [Int32] = []
        var logStart: UInt64 = 0

        var generation: UInt64 { logStart + UInt64(log.count) }
    }
    private let state = Mutex(State())

    /// An empty ledger.
    public init() {}

    // MARK: Facts

    /// Registers a node or changes what it offers.
    /// - Parameter attributes: labels or Mesos attributes, for whoever places by them.
    public func setNode(_ name: String, allocatable: ResourceVector, attributes: [String: String] = [:]) {
        state.withLock { state in
            let slot = state.slot(of: name)
            state.change(slot) { node in
                if node.node.isRegistered, node.node.allocatable == allocatable, node.node.attributes == attributes {
                    return false
                }
                node.node.isRegistered = true
                node.node.allocatable = allocatable
                node.node.attributes = attributes
                return true
            }
        }
    }

    /// Takes a node out; what is claimed on it stays known until the claims are removed.
    public func removeNode(_ name: String) {
        state.withLock { state in
            guard let slot = state.slots[name] else { return }
            state.change(slot) { node in
                node.node.isRegistered = false
                node.node.allocatable = ResourceVector()
                return true
            }
            state.releaseIfUnused(slot)
        }
    }

    /// Records a claim that is a fact, replacing what the same owner held; it may over-commit.
    public func set(_ claim: Claim) {
        state.withLock { state in
            let slot = state.slot(of: claim.node)
            if let held = state.claimSlots[claim.id] {
                if held == slot, let old = state.nodes[slot]?.claims[claim.id], old.resources == claim.resources,
                    old.hostPorts == claim.hostPorts
                {
                    // Only firmer than before: nothing that anybody computes with changed.
                    state.nodes[slot]?.claims[claim.id] = claim
                    return
                }
                state.removeClaim(claim.id)
            }
            state.addClaim(claim, slot: slot)
        }
    }

    /// Removes a claim; one that is not held is success.
    public func remove(_ id: Claim.ID) {
        state.withLock { $0.removeClaim(id) }
    }

    // MARK: Decisions

    /// Asks for claims. Within a mode's group all are committed or none.
    /// - Returns: one result per claim, in the same order.
    public func commit(_ claims: [Claim], mode: CommitMode = .perClaim) -> [CommitResult] {
        state.withLock { state in
            switch mode {
            case .perClaim: return claims.map { state.tryCommit($0) }
            case .all: return state.commitGroup(claims)
            case .perNode:
                var results = [CommitResult](repeating: .committed, count: claims.count)
                let groups = Dictionary(grouping: claims.indices, by: { claims[$0].node })
                for indices in groups.values {
                    for (index, result) in zip(indices, state.commitGroup(indices.map { claims[$0] })) {
                        results[index] = result
                    }
                }
                return results
            }
        }
    }

    // MARK: Reading

    /// The state now.
    public func snapshot() -> LedgerSnapshot {
        var snapshot = LedgerSnapshot()
        update(&snapshot)
        return snapshot
    }

    /// Brings a snapshot up to date, copying only nodes that changed since.
    /// - Returns: the slots that changed, each once; all of them when the snapshot is too old for the log.
    @discardableResult
    public func update(_ snapshot: inout LedgerSnapshot) -> [Int] {
        state.withLock { state in
            guard snapshot.generation != state.generation else { return [] }
            if snapshot.generation < state.logStart || snapshot.generation == 0 {
                let count = max(snapshot.nodes.count, state.nodes.count)
                snapshot.nodes = state.nodes.map { $0?.node }
                snapshot.generation = state.generation
                return Array(0..<count)
            }
            var changed: Set<Int> = []
            for slot in state.log[Int(snapshot.generation - state.logStart)...] { changed.insert(Int(slot)) }
            if snapshot.nodes.count < state.nodes.count {
                snapshot.nodes += Array(repeating: nil, count: state.nodes.count - snapshot.nodes.count)
            }
            for slot in changed { snapshot.nodes[slot] = state.nodes[slot]?.node }
            snapshot.generation = state.generation
            return changed.sorted()
        }
    }

    /// One node as it is now; nil when nothing is known of it.
    public func node(_ name: String) -> LedgerSnapshot.Node? {
        state.withLock { state in state.slots[name].flatMap { state.nodes[$0]?.node } }
    }

    /// The claims on a node, in no order.
    public func claims(on node: String) -> [Claim] {
        state.withLock { state in
            state.slots[node].flatMap { state.nodes[$0] }.map { Array($0.claims.values) } ?? []
        }
    }

    /// A claim by its identity.
    public func claim(_ id: Claim.ID) -> Claim? {
        state.withLock { state in
            state.claimSlots[id].flatMap { state.nodes[$0]?.claims[id] }
        }
    }
}

// MARK: - Inside the lock

extension Ledger.State {
    mutating func slot(of name: String) -> Int {
        if let slot = slots[name] { return slot }
        let state = Ledger.NodeState(node: LedgerSnapshot.Node(name: name))
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
            nodes[slot] = state
        } else {
            slot = nodes.count
            nodes.append(state)
        }
        slots[name] = slot
        return slot
    }

    /// Changes a node in place; true from `body` means that its generation moves.
    mutating func change(_ slot: Int, _ body: (inout Ledger.NodeState) -> Bool) {
        guard var state = nodes[slot].take() else { return }
        if body(&state) {
            // The log serves snapshots that are refreshed now and then; older ones are copied whole.
            if log.count >= Swift.max(1024, nodes.count * 8) {
                let half = log.count / 2
                log.removeFirst(half)
                logStart += UInt64(half)
            }
            log.append(Int32(truncatingIfNeeded: slot))
            state.node.generation = generation
        }
        nodes[slot] = state
    }

    mutating func releaseIfUnused(_ slot: Int) {
        guard let state = nodes[slot], !state.node.isRegistered, state.claims.isEmpty else { return }
        slots.removeValue(forKey: state.node.name)
        nodes[slot] = nil
        freeSlots.append(slot)
    }

    mutating func addClaim(_ claim: Claim, slot: Int) {
        claimSlots[claim.id] = slot
        change(slot) { node in
            node.claims[claim.id] = claim
            node.node.used += claim.resources
            node.node.hostPorts += claim.hostPorts
            return true
        }
    }

    mutating func removeClaim(_ id: Claim.ID) {
        guard let slot = claimSlots.removeValue(forKey: id) else { return }
        change(slot) { node in
            guard let claim = node.claims.removeValue(forKey: id) else { return false }
            node.node.used -= claim.resources
            for port in claim.hostPorts {
                if let index = node.node.hostPorts.firstIndex(of: port) { node.node.hostPorts.remove(at: index) }
            }
            return true
        }
        releaseIfUnused(slot)
    }

    mutating func tryCommit(_ claim: Claim) -> CommitResult {
        guard let slot = slots[claim.node], let state = nodes[slot], state.node.isRegistered else {
            return .unknownNode
        }
        if let held = claimSlots[claim.id] {
            let node = nodes[held]?.node.name ?? ""
            if node != claim.node { return .claimedElsewhere(node: node) }
            return .committed  // Asked twice: safe to repeat.
        }
        if let expected = claim.expectedGeneration, expected != state.node.generation { return .generationChanged }
        let missing = claim.resources.insufficient(allocatable: state.node.allocatable, used: state.node.used)
        if !missing.isEmpty { return .insufficient(missing) }
        for port in claim.hostPorts where state.node.hostPorts.contains(where: port.conflicts) {
            return .portTaken(port)
        }
        addClaim(claim, slot: slot)
        return .committed
    }

    mutating func commitGroup(_ claims: [Claim]) -> [CommitResult] {
        var results: [CommitResult] = []
        var made: [Claim.ID] = []
        for claim in claims {
            let isNew = claimSlots[claim.id] == nil
            // Claims of one group are computed together: the generation is that of before the first of them.
            var claim = claim
            if claim.expectedGeneration != nil, made.contains(where: { claimSlots[$0] == slots[claim.node] }) {
                claim.expectedGeneration = nil
            }
            let result = tryCommit(claim)
            if result.isCommitted, isNew { made.append(claim.id) }
            results.append(result)
        }
        if results.allSatisfy(\.isCommitted) { return results }
        for id in made { removeClaim(id) }
        return results.map { $0.isCommitted ? .groupFailed : $0 }
    }
}
