public import JSON

/// One `Resource`: an amount of something, whose it is, and what kind of disk.
public struct MesosResource: Sendable, Equatable {
    /// An amount. Scalars are exact: thousandths in whole numbers.
    public enum Amount: Sendable, Hashable {
        /// Thousandths.
        case scalar(Int64)
        case ranges(ValueRanges)
        /// Sorted, each once.
        case set([String])
    }

    /// One level of a stack of reservations.
    public struct Reservation: Sendable, Equatable {
        /// False for a static one (by the agent's configuration).
        public var isDynamic: Bool
        public var role: String
        public var principal: String?
        /// The `Labels` message.
        public var labels: JSON?

        /// A reservation for a role.
        public init(isDynamic: Bool = true, role: String, principal: String? = nil, labels: JSON? = nil) {
            self.isDynamic = isDynamic
            self.role = role
            self.principal = principal
            self.labels = labels
        }
    }

    public var name: String
    public var amount: Amount
    public var providerID: String?
    /// `allocation_info.role`: to whom it is offered or given.
    public var allocationRole: String?
    /// A stack; the last one is the owner. Empty: unreserved.
    public var reservations: [Reservation] = []
    /// The `DiskInfo` message.
    public var disk: JSON?
    public var isRevocable = false
    public var isShared = false

    /// A plain resource: unreserved, unallocated.
    public init(_ name: String, _ amount: Amount) {
        self.name = name
        self.amount = amount
    }
    /// A plain scalar, rounded to thousandths.
    public init(_ name: String, _ value: Double) {
        self.init(name, .scalar(Self.thousandths(value)))
    }

    // MARK: Scalars

    /// A number in thousandths, rounded half away from zero; at most 2^53 of them.
    public static func thousandths(_ value: Double) -> Int64 {
        let scaled = (value * 1000).rounded(.toNearestOrAwayFromZero)
        if scaled.isNaN { return 0 }
        return Int64(min(max(scaled, -9_007_199_254_740_992), 9_007_199_254_740_992))
    }
    /// Thousandths as a JSON number: `0.1`, `4.0`.
    public static func json(thousandths: Int64) -> JSON {
        let magnitude = thousandths.magnitude
        var fraction = String(magnitude % 1000)
        fraction = String(repeating: "0", count: 3 - fraction.count) + fraction
        while fraction.count > 1, fraction.hasSuffix("0") { fraction.removeLast() }
        return .number(JSONNumber(text: "\(thousandths < 0 ? "-" : "")\(magnitude / 1000).\(fraction)"))
    }

    // MARK: What it is

    /// The owner's role; nil when unreserved.
    public var reservationRole: String? { reservations.last?.role }
    /// True for a volume that outlives its task.
    public var isPersistentVolume: Bool { !(disk?["persistence"].isNull ?? true) }
    /// `disk.persistence.id`.
    public var persistenceID: String? { disk?["persistence"]["id"].string }
    /// `disk.source.type`: nil for the root disk.
    public var diskSource: String? { disk?["source"]["type"].string }
    /// True for disks that are given whole or not at all.
    var isIndivisible: Bool {
        if isPersistentVolume { return true }
        guard let source = diskSource else { return false }
        return source == "MOUNT" || source == "BLOCK" || (source == "RAW" && disk?["source"]["id"].string != nil)
    }

    /// True when nothing is left.
    public var isEmpty: Bool {
        switch amount {
        case .scalar(let value): value <= 0
        case .ranges(let ranges): ranges.isEmpty
        case .set(let items): items.isEmpty
        }
    }

    /// True when the two differ in their amounts at most.
    func isSameKind(as other: MesosResource) -> Bool {
        guard name == other.name, isRevocable == other.isRevocable, isShared == other.isShared,
            allocationRole == other.allocationRole, providerID == other.providerID,
            reservations == other.reservations, disk == other.disk
        else { return false }
        switch (amount, other.amount) {
        case (.scalar, .scalar), (.ranges, .ranges), (.set, .set): return true
        default: return false
        }
    }

    // MARK: Amounts

    func amountContains(_ other: MesosResource) -> Bool {
        switch (amount, other.amount) {
        case (.scalar(let a), .scalar(let b)): a >= b
        case (.ranges(let a), .ranges(let b)): a.contains(b)
        case (.set(let a), .set(let b)): b.allSatisfy(a.contains)
        default: false
        }
    }
    mutating func addAmount(_ other: MesosResource) {
        switch (amount, other.amount) {
        case (.scalar(let a), .scalar(let b)): amount = .scalar(a.addingSaturated(b))
        case (.ranges(let a), .ranges(let b)): amount = .ranges(a + b)
        case (.set(let a), .set(let b)): amount = .set(Set(a).union(b).sorted())
        default: break
        }
    }
    mutating func subtractAmount(_ other: MesosResource) {
        switch (amount, other.amount) {
        case (.scalar(let a), .scalar(let b)): amount = .scalar(max(0, a.subtractingSaturated(b)))
        case (.ranges(let a), .ranges(let b)): amount = .ranges(a - b)
        case (.set(let a), .set(let b)): amount = .set(a.filter { !b.contains($0) })
        default: break
        }
    }
}

// MARK: - Trees

extension MesosResource {
    /// Reads a `Resource` message with reservations in either form.
    /// - Throws: `MesosError` for one that is not valid.
    public init(_ tree: JSON) throws(MesosError) {
        guard let name = tree["name"].string, !name.isEmpty else {
            throw MesosError(.invalid, "Resource name must not be empty: \(tree)")
        }
        func wrong(_ reason: String) -> MesosError { MesosError(.invalid, "Resource '\(name)' is invalid: \(reason)") }
        switch tree["type"].string {
        case "SCALAR":
            let text = tree["scalar"]["value"]
            guard let value = text.double, value.isFinite, tree["ranges"].isNull, tree["set"].isNull else {
                throw wrong("Invalid scalar resource")
            }
            guard value >= 0 else { throw wrong("Invalid scalar resource: value < 0") }
            guard value <= 9_007_199_254_740 else { throw wrong("Invalid scalar resource: value too large") }
            self.init(name, value)
        case "RANGES":
            guard tree["scalar"].isNull, tree["set"].isNull else { throw wrong("Invalid ranges resource") }
            let ranges: ValueRanges
            do throws(MesosError) { ranges = try ValueRanges(tree["ranges"]) } catch { throw wrong(error.message) }
            self.init(name, .ranges(ranges))
        case "SET":
            guard tree["scalar"].isNull, tree["ranges"].isNull else { throw wrong("Invalid set resource") }
            let items = tree["set"]["item"].elements.compactMap(\.string)
            guard Set(items).count == items.count else { throw wrong("Invalid set resource: duplicated elements") }
            self.init(name, .set(items.sorted()))
        default: throw wrong("Unsupported resource type")
        }
        providerID = tree["provider_id"]["value"].string
        allocationRole = tree["allocation_info"]["role"].string
        isRevocable = !tree["revocable"].isNull
        isShared = !tree["shared"].isNull
        if !tree["disk"].isNull { disk = tree["disk"] }
        reservations = try Self.reservations(tree, wrong)
        if disk != nil, name != "disk" { throw wrong("DiskInfo should not be set for \(name) resource") }
        if isPersistentVolume, isRevocable {
            throw wrong("Persistent volumes cannot be created from revocable resources")
        }
        if isShared, !isPersistentVolume { throw wrong("Only persistent volumes can be shared") }
    }

    private static func reservations(
        _ tree: JSON, _ wrong: (String) -> MesosError
    ) throws(MesosError) -> [Reservation] {
        let stack = tree["reservations"].elements
        if !stack.isEmpty {
            if tree["reservation"].object != nil || (tree["role"].string ?? "*") != "*" {
                throw wrong("'Resource.role' and 'Resource.reservation' must not be set if 'Resource.reservations' is")
            }
            var result: [Reservation] = []
            for level in stack {
                guard let role = level["role"].string, role != "*" else {
                    throw wrong("a reservation needs a role other than '*'")
                }
                if let problem = MesosRoles.problem(role) { throw wrong(problem) }
                if let last = result.last {
                    guard MesosRoles.isStrictDescendant(role, of: last.role) else {
                        throw wrong("role '\(role)' does not refine the reservation of '\(last.role)'")
                    }
                    guard level["type"].string != "STATIC" else { throw wrong("a refined reservation must be dynamic") }
                }
                result.append(
                    Reservation(
                        isDynamic: level["type"].string != "STATIC", role: role, principal: level["principal"].string,
                        labels: level["labels"].object.map(JSON.object)))
            }
            return result
        }
        let role = tree["role"].string ?? "*"
        if let problem = MesosRoles.problem(role) { throw wrong(problem) }
        if role == "*" {
            if tree["reservation"].object != nil { throw wrong("role \"*\" cannot be dynamically reserved") }
            return []
        }
        let reservation = tree["reservation"]
        return [
            Reservation(
                isDynamic: reservation.object != nil, role: role, principal: reservation["principal"].string,
                labels: reservation["labels"].object.map(JSON.object))
        ]
    }

    /// The message with the stack of reservations.
    public var tree: JSON { tree(isRefined: true) ?? .null }

    /// The message for frameworks with (`isRefined`) or without RESERVATION_REFINEMENT; nil when the older form cannot say it.
    public func tree(isRefined: Bool) -> JSON? {
        var tree: JSON = ["name": .string(name)]
        if let providerID { tree["provider_id"] = ["value": .string(providerID)] }
        switch amount {
        case .scalar(let value):
            tree["type"] = "SCALAR"
            tree["scalar"] = ["value": Self.json(thousandths: value)]
        case .ranges(let ranges):
            tree["type"] = "RANGES"
            tree["ranges"] = ranges.tree
        case .set(let items):
            tree["type"] = "SET"
            tree["set"] = ["item": JSON(items)]
        }
        if let allocationRole { tree["allocation_info"] = ["role": .string(allocationRole)] }
        if isRefined {
            if !reservations.isEmpty { tree["reservations"] = .array(reservations.map(\.tree)) }
        } else {
            guard reservations.count < 2 else { return nil }
            tree["role"] = .string(reservationRole ?? "*")
            if let reservation = reservations.first, reservation.isDynamic {
                var old = reservation.tree
                old.removeMember("type")
                old.removeMember("role")
                tree["reservation"] = old
            }
        }
        if let disk { tree["disk"] = disk }
        if isRevocable { tree["revocable"] = .object([:]) }
        if isShared { tree["shared"] = .object([:]) }
        return tree
    }
}

extension MesosResource.Reservation {
    /// The `ReservationInfo` message.
    public var tree: JSON {
        var tree: JSON = ["type": isDynamic ? "DYNAMIC" : "STATIC", "role": .string(role)]
        if let principal { tree["principal"] = .string(principal) }
        if let labels { tree["labels"] = labels }
        return tree
    }
}
