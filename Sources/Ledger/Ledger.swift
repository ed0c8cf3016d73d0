import Synchronization

/// The shared cell state: what every node has and who holds what of it.
///
/// Writers are of two kinds. Observers report facts (`setNode`, `set`, `remove`): a pod that the API says is bound holds
/// its share even when that over-commits the node. Deciders (`commit`) ask, and are refused what is not left. A decider
/// works on a snapshot without any lock and commits afterwards; whoever comes second learns which of its claims lost.
///
/// Every change of a node gives it a new generation and is kept in a short log, so that a snapshot is brought up to date
/// by copying only what changed (`update`). The state is a cache: it is rebuilt from nodes and pods at start; until that
/// is done (`isSynced`) it shows too little.
///
/// Whoever wants to react to others subscribes (`onChange`, `onReclaim`). Handlers are called in the task that made the
/// change, after the lock was given back: they must be quick and put work elsewhere.
public final class Ledger: Sendable {
    struct NodeState {
        var node: LedgerSnapshot.Node
        var claims: [Claim.ID: Claim] = [:]
    }
    struct Observer: Sendable {
        var kinds: Change.Kinds
        var handler: @Sendable ([Change]) -> Void
    }
    struct State {
        var nodes: [NodeState?] = []
        var slots: [String: Int] = [:]
        var freeSlots: [Int] = []
        var claimSlots: [Claim.ID: Int] = [:]
        /// Slots in the order of their changes; entry `i` made generation `logStart + i + 1`.
        var log: [Int32] = []
        var logStart: UInt64 = 0
        var observers: [Observer] = []
        /// What some observer wants to hear of.
        var interest: Change.Kinds = []
        /// What happened since the lock was taken.
        var changes: [Change] = []
        var reclaimer: (@Sendable (_ node: String, _ amount: ResourceVector) -> Void)?
        var reliever: (@Sendable () -> Void)?
        var quotas = QuotaView()
        var isSynced = false

        var generation: UInt64 { logStart + UInt64(log.count) }
    }
    let state = Mutex(State())
    let knowsQuotas = Atomic<Bool>(false)
    let reservationsExpected = Atomic<Bool>(false)

    /// An empty ledger.
    public init() {}

    /// Runs under the lock, then tells the observers what happened.
    func change<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        let (result, changes, observers) = state.withLock { state -> (Result, [Change], [Observer]) in
            let result = body(&state)
            if state.changes.isEmpty { return (result, [], []) }
            defer { state.changes = [] }
            return (result, state.changes, state.observers)
        }
        for observer in observers {
            let heard = changes.filter { observer.kinds.contains($0.kind) }
            if !heard.isEmpty { observer.handler(heard) }
        }
        return result
    }

    // MARK: Facts

    /// Registers a node or changes what it offers.
    /// - Parameter attributes: labels or Mesos attributes, for whoever places by them.
    public func setNode(_ name: String, allocatable: ResourceVector, attributes: [String: String] = [:]) {
        change { state in
            let slot = state.slot(of: name)
            state.change(slot, .node) { node in
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
        change { state in
            guard let slot = state.slots[name] else { return }
            state.change(slot, .node) { node in
                node.node.isRegistered = false
                node.node.allocatable = ResourceVector()
                return true
            }
            state.releaseIfUnused(slot)
        }
    }

    /// Records a claim that is a fact, replacing what the same owner held; it may over-commit.
    public func set(_ claim: Claim) {
        change { $0.set(claim) }
    }

    /// Removes a claim; one that is not held is success.
    public func remove(_ id: Claim.ID) {
        change { $0.removeClaim(id) }
    }

    /// Removes claims and records others in their place, with no moment between in which the share is free: an accepted
    /// offer becomes pods and a smaller reservation.
    public func exchange(_ ids: [Claim.ID], for claims: [Claim]) {
        change { state in
            for id in ids { state.removeClaim(id) }
            for claim in claims { state.set(claim) }
        }
    }

    // MARK: Decisions

    /// Asks for claims. Within a mode's group all are committed or none.
    /// - Returns: one result per claim, in the same order.
    public func commit(_ claims: [Claim], mode: CommitMode = .perClaim) -> [CommitResult] {
        defer { relieveQuotas(after: claims) }
        return change { state in
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

    // MARK: Hearing of others

    /// Calls the handler with every change of these kinds from now on, for as long as the ledger lives.
    public func onChange(of kinds: Change.Kinds, _ handler: @escaping @Sendable ([Change]) -> Void) {
        state.withLock { state in
            state.observers.append(Observer(kinds: kinds, handler: handler))
            state.interest.formUnion(kinds)
        }
    }

    /// Names who takes offers back when room is needed; there is one such, the last one wins.
    ///
    /// The handler gets a node and the amount that is needed there; it should take back offers on the node until so much
    /// is free. Needing is announced again when that does not happen, so a lost call loses nothing.
    public func onReclaim(_ handler: (@Sendable (_ node: String, _ amount: ResourceVector) -> Void)?) {
        state.withLock { $0.reclaimer = handler }
    }

    /// Asks that outstanding offers on a node are taken back until so much is free.
    /// - Returns: false when nobody is there to do it.
    @discardableResult
    public func requestReclaim(node: String, resources: ResourceVector) -> Bool {
        guard let reclaimer = state.withLock({ $0.reclaimer }) else { return false }
        reclaimer(node, resources)
        return true
    }

    /// True once all pods and nodes that were there at the start are recorded: before, what looks free may not be.
    public var isSynced: Bool { state.withLock { $0.isSynced } }

    /// Says that everything that was there at the start is recorded.
    public func markSynced() {
        state.withLock { $0.isSynced = true }
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
    mutating func change(_ slot: Int, _ kind: Ledger.Change.Kinds, _ body: (inout Ledger.NodeState) -> Bool) {
        guard var state = nodes[slot].take() else { return }
        let before = quotas.isEmpty ? nil : state.node
        if body(&state) {
            if let before {
                quotas.count(from: before, to: state.node)
                if Ledger.Change.Kinds.easing.contains(kind) { quotas.eases += 1 }
            }
            // The log serves snapshots that are refreshed now and then; older ones are copied whole.
            if log.count >= Swift.max(1024, nodes.count * 8) {
                let half = log.count / 2
                log.removeFirst(half)
                logStart += UInt64(half)
            }
            log.append(Int32(truncatingIfNeeded: slot))
            state.node.generation = generation
            if !interest.isDisjoint(with: kind) { changes.append(.init(node: state.node.name, kind: kind)) }
        }
        nodes[slot] = state
    }

    mutating func releaseIfUnused(_ slot: Int) {
        guard let state = nodes[slot], !state.node.isRegistered, state.claims.isEmpty else { return }
        slots.removeValue(forKey: state.node.name)
        nodes[slot] = nil
        freeSlots.append(slot)
    }

    mutating func set(_ claim: Claim) {
        let slot = slot(of: claim.node)
        if let held = claimSlots[claim.id] {
            if held == slot, let old = nodes[slot]?.claims[claim.id], old.holdsSame(as: claim) {
                // Only firmer than before: nothing that anybody computes with changed.
                nodes[slot]?.claims[claim.id] = claim
                return
            }
            removeClaim(claim.id)
        }
        addClaim(claim, slot: self.slot(of: claim.node))
    }

    mutating func addClaim(_ claim: Claim, slot: Int) {
        claimSlots[claim.id] = slot
        change(slot, claim.isNomination ? .nomination : claim.isOfPod ? .podPlaced : .shareTaken) { node in
            node.claims[claim.id] = claim
            node.node.add(claim)
            if claim.isReserve || !node.node.reserves.isEmpty { node.shareReserves() }
            return true
        }
        if !quotas.isEmpty { quotas.count(claim, sign: 1) }
    }

    mutating func removeClaim(_ id: Claim.ID) {
        guard let slot = claimSlots.removeValue(forKey: id) else { return }
        let kind: Ledger.Change.Kinds =
            switch id {
            case .pod: .podGone
            case .nomination: .nomination
            default: .shareReleased
            }
        var removed: Claim?
        change(slot, kind) { node in
            guard let claim = node.claims.removeValue(forKey: id) else { return false }
            node.node.remove(claim)
            if !node.node.reserves.isEmpty { node.shareReserves() }
            removed = claim
            return true
        }
        if let removed, !quotas.isEmpty { quotas.count(removed, sign: -1) }
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
        var used =
            claim.isOfPod || state.node.nominated.isZero ? state.node.used : state.node.used + state.node.nominated
        var drawn = ResourceVector()
        if claim.isOfPod, claim.reserveUse != .none {
            drawn = claim.resources.minimum(state.node.reserved(for: claim.role))
            used -= drawn
            if claim.reserveUse == .only, let missing = (claim.resources - drawn).names.first {
                return .insufficient([missing])
            }
        }
        let missing = claim.resources.insufficient(allocatable: state.node.allocatable, used: used)
        if !missing.isEmpty { return .insufficient(missing) }
        if !quotas.isEmpty, let problem = quotaProblem(claim, drawn: drawn) { return .overQuota(problem) }
        if let port = claim.hostPorts.first(where: state.node.holds) { return .portTaken(port) }
        if let range = claim.portRanges.first(where: state.node.holds) { return .rangeTaken(range) }
        // The room that was made for the pod is now its own.
        if case .pod(let uid) = claim.id { removeClaim(.nomination(uid: uid)) }
        addClaim(claim, slot: slot)
        return .committed
    }

    private func quotaProblem(_ claim: Claim, drawn: ResourceVector) -> QuotaProblem? {
        if claim.isOffer { return quotas.refuses(offer: claim.role, claim.resources) }
        guard claim.isOfPod else { return nil }
        return quotas.problem(
            role: claim.role, claim.resources, heedsGuarantees: claim.heedsGuarantees, drawn: drawn)
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
