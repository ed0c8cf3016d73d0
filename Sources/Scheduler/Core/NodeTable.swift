import Ledger
import MesosModel
import ObjectModel

/// Everything about nodes that is read for every pod, in dense arrays by slot.
struct NodeTable {
    /// The numbers of one node; no references, so that scanning rows costs no reference counting.
    struct Row {
        var isPresent = false
        /// Host ports, extended resources or nominated pods must be looked at.
        var hasExtras = false
        /// Something is reserved for pods of a role.
        var hasReserves = false
        var allocatableCPU: Int64 = 0
        var allocatableMemory: Int64 = 0
        var allocatableDisk: Int64 = 0
        var allocatablePods: Int64 = 0
        var usedCPU: Int64 = 0
        var usedMemory: Int64 = 0
        var usedDisk: Int64 = 0
        var usedPods: Int64 = 0
        /// What scoring adds for pods that ask for nothing.
        var scoredExtraCPU: Int64 = 0
        var scoredExtraMemory: Int64 = 0
        /// Moves with the node object, not with its load.
        var staticGeneration: UInt32 = 0
    }
    /// What few nodes have or few pods ask about.
    struct Extras {
        var allocatable = ResourceVector()
        var used = ResourceVector()
        var ports: [HostPort] = []
        var portRanges: [ClosedRange<Int>] = []
        /// The part of `used` and `portRanges` that outstanding offers hold.
        var offered = ResourceVector()
        var offeredRanges: [ClosedRange<Int>] = []
        var reserves: [LedgerSnapshot.Reserve] = []
        var pods: [String: PodView] = [:]
        /// Pods that preemption makes room for here.
        var nominated: [PodView] = []
        /// Placed pods per owner number, for default spreading.
        var owners: [Int32: Int32] = [:]

        var hasOffers: Bool { !offeredRanges.isEmpty || !offered.isZero }
    }
    /// The values of one node label as numbers.
    struct Topology {
        /// -1: the node has no such label.
        var domain: [Int32] = []
        var ids: [String: Int32] = [:]
        var names: [String] = []
    }

    private(set) var names: [String] = []
    private(set) var slots: [String: Int] = [:]
    private var free: [Int] = []
    var rows: [Row] = []
    var extras: [Extras] = []
    private(set) var views: [NodeView?] = []
    private(set) var topologies: [Topology] = []
    private var topologyIDs: [String: Int] = [:]
    private var topologyKeys: [String] = []
    /// Nodes that exist.
    private(set) var presentCount = 0
    /// How many nodes have an image.
    private(set) var imageNodes: [String: Int] = [:]

    /// The Mesos roles of namespaces.
    private(set) var roles: [String: String] = [:]

    /// The role that pods of a namespace count for.
    func role(ofNamespace name: String) -> String { roles[name] ?? MesosNames.role(ofNamespace: name) }

    /// Notes the role of a namespace; nil: it does not exist.
    mutating func set(role: String?, ofNamespace name: String) {
        roles[name] = role
        for slot in rows.indices where rows[slot].hasReserves { touch(slot) }
    }

    /// Slots in the order of their changes, for those who keep results per node.
    private(set) var changes: [Int32] = []
    private(set) var changesStart = 0
    var changesEnd: Int { changesStart + changes.count }

    /// The slot of a node name; made for a node that only pods mention so far.
    mutating func slot(of name: String) -> Int {
        if let slot = slots[name] { return slot }
        let slot: Int
        if let reused = free.popLast() {
            slot = reused
            names[slot] = name
        } else {
            slot = names.count
            names.append(name)
            rows.append(Row())
            extras.append(Extras())
            views.append(nil)
            for index in topologies.indices { topologies[index].domain.append(-1) }
        }
        slots[name] = slot
        return slot
    }

    mutating func set(_ view: NodeView) -> Int {
        let slot = slot(of: view.name)
        if let old = views[slot] { forget(old) } else { presentCount += 1 }
        for image in view.images.keys { imageNodes[image, default: 0] += 1 }
        views[slot] = view
        rows[slot].isPresent = true
        rows[slot].staticGeneration &+= 1
        for index in topologies.indices {
            topologies[index].domain[slot] = domain(index, Self.value(topologyKeys[index], view))
        }
        touch(slot)
        return slot
    }

    mutating func remove(_ name: String) -> Int? {
        guard let slot = slots[name], let old = views[slot] else { return nil }
        forget(old)
        presentCount -= 1
        views[slot] = nil
        rows[slot].isPresent = false
        rows[slot].staticGeneration &+= 1
        for index in topologies.indices { topologies[index].domain[slot] = -1 }
        touch(slot)
        releaseIfUnused(slot)
        return slot
    }

    /// Gives a slot back once neither a node nor a pod uses it.
    mutating func releaseIfUnused(_ slot: Int) {
        guard views[slot] == nil, extras[slot].pods.isEmpty, extras[slot].nominated.isEmpty, slots[names[slot]] == slot
        else { return }
        slots.removeValue(forKey: names[slot])
        let generation = rows[slot].staticGeneration
        rows[slot] = Row()
        rows[slot].staticGeneration = generation &+ 1
        extras[slot] = Extras()
        names[slot] = ""
        free.append(slot)
        touch(slot)
    }

    private mutating func forget(_ view: NodeView) {
        for image in view.images.keys {
            let left = imageNodes[image, default: 1] - 1
            imageNodes[image] = left > 0 ? left : nil
        }
    }

    /// Notes that what is computed for a node is out of date.
    mutating func touch(_ slot: Int) {
        if changes.count > max(4096, names.count * 8) {
            let half = changes.count / 2
            changes.removeFirst(half)
            changesStart += half
        }
        changes.append(Int32(truncatingIfNeeded: slot))
    }

    private static func value(_ key: String, _ view: NodeView?) -> String? {
        guard let view else { return nil }
        if let field = MarathonConstraint.Field(topologyKey: key) { return field.value(on: view) }
        return view.labels[key]
    }

    /// The number of a node label (or of a field of Marathon's constraints), with its domains.
    mutating func topology(_ key: String) -> Int {
        if let id = topologyIDs[key] { return id }
        let id = topologies.count
        topologyIDs[key] = id
        topologyKeys.append(key)
        topologies.append(Topology(domain: Array(repeating: -1, count: names.count)))
        for slot in names.indices { topologies[id].domain[slot] = domain(id, Self.value(key, views[slot])) }
        return id
    }

    private mutating func domain(_ topology: Int, _ value: String?) -> Int32 {
        guard let value else { return -1 }
        if let id = topologies[topology].ids[value] { return id }
        let id = Int32(topologies[topology].names.count)
        topologies[topology].ids[value] = id
        topologies[topology].names.append(value)
        return id
    }

    /// Takes over the ledger's numbers for one node.
    mutating func refresh(_ slot: Int, from node: LedgerSnapshot.Node) {
        var row = rows[slot]
        let allocatable = node.allocatable
        let used = node.used
        let isSame =
            row.allocatableCPU == allocatable.milliCPU && row.allocatableMemory == allocatable.memory
            && row.allocatableDisk == allocatable.ephemeralStorage && row.allocatablePods == allocatable.pods
            && row.usedCPU == used.milliCPU && row.usedMemory == used.memory
            && row.usedDisk == used.ephemeralStorage && row.usedPods == used.pods
            && extras[slot].allocatable.extended == allocatable.extended
            && extras[slot].used.extended == used.extended && extras[slot].ports == node.hostPorts
            && extras[slot].offered == node.offered && extras[slot].portRanges == node.portRanges
            && extras[slot].offeredRanges == node.offeredPortRanges && extras[slot].reserves == node.reserves
        if isSame { return }
        row.allocatableCPU = allocatable.milliCPU
        row.allocatableMemory = allocatable.memory
        row.allocatableDisk = allocatable.ephemeralStorage
        row.allocatablePods = allocatable.pods
        row.usedCPU = used.milliCPU
        row.usedMemory = used.memory
        row.usedDisk = used.ephemeralStorage
        row.usedPods = used.pods
        rows[slot] = row
        extras[slot].allocatable = allocatable
        extras[slot].used = used
        extras[slot].ports = node.hostPorts
        extras[slot].portRanges = node.portRanges
        extras[slot].offered = node.offered
        extras[slot].offeredRanges = node.offeredPortRanges
        extras[slot].reserves = node.reserves
        rows[slot].hasReserves = !node.reserves.isEmpty
        updateFlag(slot)
        touch(slot)
    }

    /// Adds (`sign` 1) or takes back a claim that the ledger does not know yet.
    /// - Parameter ports: the ports that were chosen for the pod.
    mutating func charge(_ slot: Int, _ template: PodTemplate, ports: [Int], sign: Int64) {
        let request = rows[slot].hasReserves && sign > 0 ? draw(slot, template) : template.requests
        rows[slot].usedCPU += sign * request.milliCPU
        rows[slot].usedMemory += sign * request.memory
        rows[slot].usedDisk += sign * request.ephemeralStorage
        rows[slot].usedPods += sign * request.pods
        if sign > 0 {
            extras[slot].used += request
            extras[slot].ports += template.hostPorts(assigned: ports)
        } else {
            extras[slot].used -= request
            for port in template.hostPorts(assigned: ports) {
                if let index = extras[slot].ports.firstIndex(of: port) { extras[slot].ports.remove(at: index) }
            }
        }
        updateFlag(slot)
        touch(slot)
    }

    /// Takes of reservations what a pod may, as the ledger will.
    /// - Returns: what is left to be counted.
    private mutating func draw(_ slot: Int, _ template: PodTemplate) -> ResourceVector {
        guard template.reserveUse != .none else { return template.requests }
        let role = role(ofNamespace: template.namespace)
        var left = template.requests
        for index in extras[slot].reserves.indices where extras[slot].reserves[index].serves(role) {
            let taken = left.minimum(extras[slot].reserves[index].idle)
            extras[slot].reserves[index].draw(taken)
            left -= taken
        }
        return left
    }

    mutating func updateFlag(_ slot: Int) {
        rows[slot].hasExtras =
            !extras[slot].ports.isEmpty || !extras[slot].portRanges.isEmpty || !extras[slot].nominated.isEmpty
            || !extras[slot].allocatable.extended.isEmpty
            || !extras[slot].used.extended.isEmpty
    }
}
