import HeapModule

/// What is known about every node for the pods of one template: which nodes fit by themselves, and how good they are.
///
/// Results are kept per node and only computed again for nodes that changed, so that placing the thousandth pod of a
/// deployment costs the two or three nodes that changed since the last one, not the whole cluster. A node's result is a
/// key (score, random tie-break, slot), 0 where the pod does not fit; the heap finds the best without a scan. Its
/// entries are never removed, only recognised as outdated when they come up.
final class PodClass {
    let template: PodTemplate
    private(set) var keys: [UInt64] = []
    private var heap: Heap<UInt64> = []
    private(set) var rejections: [StaticRejection] = []
    private var avoidedTaints: [Int32] = []
    private var preferences: [Int32] = []
    private var imageScores: [Int16] = []
    private var generations: [UInt32] = []
    private var mostAvoided: Int32 = 0
    private var mostPreferred: Int32 = 0
    private var synced = -1
    /// For the choice of what to forget.
    var lastUse: UInt64 = 0
    let owner: Int32

    init(_ template: PodTemplate, owner: Int32) {
        self.template = template
        self.owner = owner
    }

    static func score(_ key: UInt64) -> Int { Int(key >> 48) - 1 }
    static func slot(_ key: UInt64) -> Int { Int(key & 0xffff_ffff) }

    /// Brings the results up to date.
    func update(_ table: NodeTable, random: inout FastRandom) {
        let count = table.rows.count
        if keys.count < count {
            let missing = count - keys.count
            keys += Array(repeating: 0, count: missing)
            rejections += Array(repeating: .absent, count: missing)
            avoidedTaints += Array(repeating: 0, count: missing)
            preferences += Array(repeating: 0, count: missing)
            imageScores += Array(repeating: 0, count: missing)
            generations += Array(repeating: UInt32.max, count: missing)
        }
        let needsAll = synced < table.changesStart
        var maximaChanged = false
        if needsAll {
            for slot in 0..<count { maximaChanged = refreshStatic(slot, table) || maximaChanged }
        } else {
            for slot in table.changes[(synced - table.changesStart)...] {
                maximaChanged = refreshStatic(Int(slot), table) || maximaChanged
            }
        }
        if needsAll || maximaChanged {
            // Scores are relative to the greatest: all of them move with it.
            var all: [UInt64] = []
            all.reserveCapacity(count)
            for slot in 0..<count {
                keys[slot] = evaluate(slot, table, &random)
                if keys[slot] != 0 { all.append(keys[slot]) }
            }
            heap = Heap(all)
        } else {
            for slot in table.changes[(synced - table.changesStart)...] {
                let key = evaluate(Int(slot), table, &random)
                keys[Int(slot)] = key
                if key != 0 { heap.insert(key) }
            }
            if heap.count > max(1024, count * 4) { heap = Heap(keys.filter { $0 != 0 }) }
        }
        synced = table.changesEnd
    }

    /// The best node that fits; nil when none does.
    func best() -> Int? {
        while let key = heap.max {
            let slot = Self.slot(key)
            if keys[slot] == key { return slot }
            heap.removeMax()
        }
        return nil
    }

    /// - Returns: true when a maximum that scores are relative to moved.
    private func refreshStatic(_ slot: Int, _ table: NodeTable) -> Bool {
        let generation = table.rows[slot].staticGeneration
        guard generations[slot] != generation else { return false }
        generations[slot] = generation
        guard let node = table.views[slot] else {
            rejections[slot] = .absent
            return false
        }
        rejections[slot] = NodeFilters.rejection(template, node)
        avoidedTaints[slot] = Int32(NodeFilters.avoidedTaints(template, node))
        preferences[slot] = Int32(min(max(NodeFilters.preference(template, node), 0), 1_000_000))
        imageScores[slot] = Int16(NodeFilters.imageScore(template, node, table))
        guard rejections[slot].isEmpty else { return false }
        // Maxima only grow: after the greatest node left, scores are a little lower for all alike.
        var changed = false
        if avoidedTaints[slot] > mostAvoided {
            mostAvoided = avoidedTaints[slot]
            changed = true
        }
        if preferences[slot] > mostPreferred {
            mostPreferred = preferences[slot]
            changed = true
        }
        return changed
    }

    private func evaluate(_ slot: Int, _ table: NodeTable, _ random: inout FastRandom) -> UInt64 {
        guard rejections[slot].isEmpty, fits(slot, table) else { return 0 }
        let row = table.rows[slot]
        var score = ResourceScores.leastAllocated(template, row) + ResourceScores.balanced(template, row)
        score += 3 * (mostAvoided == 0 ? 100 : Int(100 * (mostAvoided - avoidedTaints[slot]) / mostAvoided))
        score += mostPreferred == 0 ? 0 : 2 * Int(100 * preferences[slot] / mostPreferred)
        score += Int(imageScores[slot])
        if owner >= 0 {
            // Default spreading over hosts, as a function of this node alone: each sibling here counts.
            score += 2 * 100 / (1 + Int(table.extras[slot].owners[owner] ?? 0))
        }
        return UInt64(score + 1) << 48 | UInt64(random.next() >> 16 & 0xffff) << 32 | UInt64(slot)
    }

    /// NodeResourcesFit and NodePorts, with room kept for pods that preemption made room for.
    private func fits(_ slot: Int, _ table: NodeTable) -> Bool {
        let row = table.rows[slot]
        if row.hasReserves || template.reserveUse == .only {
            return NodeFit.problems(template, table, slot, excluding: "").isEmpty
        }
        let request = template.requests
        if row.usedPods + request.pods > row.allocatablePods { return false }
        if request.milliCPU > 0, row.usedCPU + request.milliCPU > row.allocatableCPU { return false }
        if request.memory > 0, row.usedMemory + request.memory > row.allocatableMemory { return false }
        if request.ephemeralStorage > 0, row.usedDisk + request.ephemeralStorage > row.allocatableDisk { return false }
        if !row.hasExtras { return request.extended.isEmpty }
        return NodeFit.problems(template, table, slot, excluding: "").isEmpty
    }
}

/// Small and fast; good enough to break ties.
struct FastRandom {
    private var state: UInt64
    init(seed: UInt64) { state = seed | 1 }
    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
