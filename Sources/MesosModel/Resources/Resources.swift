public import JSON

/// A collection of resources that is added, subtracted and compared exactly.
///
/// What differs in its amount only is one entry. Persistent volumes and disks that are given whole stay entries of their
/// own; shared volumes are counted in copies.
public struct Resources: Sendable, Equatable {
    /// A resource and, for shared ones, how often it is there.
    package struct Entry: Sendable, Equatable {
        package var resource: MesosResource
        package var copies = 1
    }
    package private(set) var entries: [Entry] = []

    /// Nothing.
    public init() {}

    /// The sum of resources.
    public init(_ resources: some Sequence<MesosResource>) {
        for resource in resources { add(resource) }
    }

    /// The sum of `Resource` messages, with reservations in either form.
    /// - Throws: `MesosError` for the first that is not valid.
    public init(trees: [JSON]) throws(MesosError) {
        for tree in trees { add(try MesosResource(tree)) }
    }

    /// One scalar for each name, in alphabetical order.
    public init(scalars: [String: Double]) {
        for name in scalars.keys.sorted() { add(MesosResource(name, scalars[name] ?? 0)) }
    }

    /// The resources; a shared one as often as there are copies.
    public var resources: [MesosResource] {
        entries.flatMap { Array(repeating: $0.resource, count: $0.copies) }
    }
    /// `Resource` messages with stacks of reservations.
    public var trees: [JSON] { resources.map(\.tree) }
    /// `Resource` messages for a framework; without RESERVATION_REFINEMENT, refined reservations are left out.
    public func trees(isRefined: Bool) -> [JSON] { resources.compactMap { $0.tree(isRefined: isRefined) } }

    /// True when there is nothing.
    public var isEmpty: Bool { entries.isEmpty }

    // MARK: Arithmetic

    /// Adds one resource; nothing of something is nothing.
    public mutating func add(_ resource: MesosResource) {
        if resource.isEmpty { return }
        if resource.isShared {
            if let index = entries.firstIndex(where: { $0.resource == resource }) {
                entries[index].copies += 1
            } else {
                entries.append(Entry(resource: resource))
            }
            return
        }
        if !resource.isIndivisible, let index = entries.firstIndex(where: { $0.resource.isSameKind(as: resource) }) {
            entries[index].resource.addAmount(resource)
        } else {
            entries.append(Entry(resource: resource))
        }
    }

    /// Takes away as much as there is of a resource.
    public mutating func subtract(_ resource: MesosResource) {
        if resource.isShared || resource.isIndivisible {
            guard let index = entries.firstIndex(where: { $0.resource == resource }) else { return }
            entries[index].copies -= 1
            if entries[index].copies == 0 { entries.remove(at: index) }
            return
        }
        guard let index = entries.firstIndex(where: { $0.resource.isSameKind(as: resource) }) else { return }
        entries[index].resource.subtractAmount(resource)
        if entries[index].resource.isEmpty { entries.remove(at: index) }
    }

    /// True when all of a resource is here.
    public func contains(_ resource: MesosResource) -> Bool {
        if resource.isEmpty { return true }
        if resource.isShared || resource.isIndivisible { return entries.contains { $0.resource == resource } }
        return entries.contains { $0.resource.isSameKind(as: resource) && $0.resource.amountContains(resource) }
    }

    /// True when all of the other's resources are here at once.
    public func contains(_ other: Resources) -> Bool {
        var rest = self
        for entry in other.entries {
            for _ in 0..<entry.copies {
                guard rest.contains(entry.resource) else { return false }
                // A copy of a shared volume is as good as many.
                if !entry.resource.isShared { rest.subtract(entry.resource) }
            }
        }
        return true
    }

    public static func + (left: Resources, right: Resources) -> Resources {
        var sum = left
        sum += right
        return sum
    }
    public static func += (left: inout Resources, right: Resources) {
        for resource in right.resources { left.add(resource) }
    }
    /// The difference; what is not there cannot be taken away.
    public static func - (left: Resources, right: Resources) -> Resources {
        var rest = left
        rest -= right
        return rest
    }
    public static func -= (left: inout Resources, right: Resources) {
        for resource in right.resources { left.subtract(resource) }
    }
    /// The same resources in any order.
    public static func == (left: Resources, right: Resources) -> Bool {
        left.entries.count == right.entries.count && left.entries.allSatisfy(right.entries.contains)
    }

    // MARK: Parts

    /// Those for which the condition holds.
    public func filter(_ isIncluded: (MesosResource) -> Bool) -> Resources {
        var result = Resources()
        result.entries = entries.filter { isIncluded($0.resource) }
        return result
    }
    /// Each changed; nil leaves it out.
    public func map(_ transform: (MesosResource) -> MesosResource?) -> Resources {
        Resources(resources.compactMap(transform))
    }

    /// Reserved for exactly this role; for any role when none is given.
    public func reserved(for role: String? = nil) -> Resources {
        filter { role == nil ? $0.reservationRole != nil : $0.reservationRole == role }
    }
    /// Reserved for nobody.
    public var unreserved: Resources { filter { $0.reservations.isEmpty } }
    /// By the role that owns them.
    public var reservations: [String: Resources] {
        Dictionary(grouping: resources.filter { !$0.reservations.isEmpty }, by: { $0.reservationRole ?? "*" })
            .mapValues { Resources($0) }
    }
    /// What a role may be given: unreserved, or reserved for it or for a role above it.
    public func allocatable(to role: String) -> Resources {
        filter { $0.reservationRole.map { MesosRoles.mayUse(role, reservation: $0) } ?? true }
    }
    public var revocable: Resources { filter(\.isRevocable) }
    public var nonRevocable: Resources { filter { !$0.isRevocable } }
    public var shared: Resources { filter(\.isShared) }
    public var persistentVolumes: Resources { filter(\.isPersistentVolume) }
    /// Those whose owner reserved them dynamically.
    public var dynamicallyReserved: Resources { filter { $0.reservations.last?.isDynamic ?? false } }
    /// By the role they are allocated to.
    public var allocations: [String: Resources] {
        Dictionary(grouping: resources.filter { $0.allocationRole != nil }, by: { $0.allocationRole ?? "*" })
            .mapValues { Resources($0) }
    }

    // MARK: Allocation and reservation

    /// The same resources allocated to a role.
    /// - Parameter keepsExisting: leaves those alone that are allocated already.
    public func allocated(to role: String, keepsExisting: Bool = false) -> Resources {
        map { resource in
            var copy = resource
            if !keepsExisting || copy.allocationRole == nil { copy.allocationRole = role }
            return copy
        }
    }
    /// The same resources allocated to nobody.
    public var unallocated: Resources {
        map { resource in
            var copy = resource
            copy.allocationRole = nil
            return copy
        }
    }
    /// The same resources with one more reservation on top.
    public func pushing(_ reservation: MesosResource.Reservation) -> Resources {
        map { resource in
            var copy = resource
            copy.reservations.append(reservation)
            return copy
        }
    }
    /// The same resources without the topmost reservation.
    public var poppingReservation: Resources {
        map { resource in
            var copy = resource
            _ = copy.reservations.popLast()
            return copy
        }
    }
    /// Unreserved, unallocated: what kinds and amounts there are at all.
    public var flattened: Resources {
        map { resource in
            var copy = resource
            copy.reservations = []
            copy.allocationRole = nil
            return copy
        }
    }
    /// Without the amounts of others, whoever these belong to.
    public func minus(amountsOf other: Resources) -> Resources { self - other.flattened }

    // MARK: Amounts

    /// Thousandths of each scalar by its name; a shared volume counts once.
    public var scalarQuantities: [String: Int64] {
        var result: [String: Int64] = [:]
        for entry in entries {
            guard case .scalar(let value) = entry.resource.amount else { continue }
            result[entry.resource.name] = (result[entry.resource.name] ?? 0).addingSaturated(value)
        }
        return result
    }
    /// The sum of a scalar as a double; 0 when there is none.
    public func scalar(_ name: String) -> Double {
        var sum: Int64 = 0
        for entry in entries where entry.resource.name == name {
            if case .scalar(let value) = entry.resource.amount { sum = sum.addingSaturated(value) }
        }
        return Double(sum) / 1000
    }
    public var cpus: Double { scalar("cpus") }
    public var gpus: Double { scalar("gpus") }
    /// Mebibytes.
    public var mem: Double { scalar("mem") }
    /// Mebibytes.
    public var disk: Double { scalar("disk") }
    /// All ranges of a name together.
    public func ranges(_ name: String) -> ValueRanges {
        var spans: [ValueRanges.Span] = []
        for entry in entries where entry.resource.name == name {
            if case .ranges(let ranges) = entry.resource.amount { spans += ranges.spans }
        }
        return ValueRanges(spans)
    }
    public var ports: ValueRanges { ranges("ports") }
}
