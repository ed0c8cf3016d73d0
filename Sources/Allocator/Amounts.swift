import MesosModel

/// Thousandths of each scalar resource, at the place that `ResourceNames` gives it.
///
/// A fixed width keeps everything in flat arrays; it is wide enough for cpus, mem, disk, gpus and four kinds of a site's
/// own. More kinds are offered all the same; they have no part in shares and quotas.
typealias Amounts = SIMD8<Int64>

/// Places of scalar resources.
struct ResourceNames: Sendable {
    static let width = 8
    private(set) var names = ["cpus", "mem", "disk", "gpus"]

    /// The place of a name, a new one if it has none; nil when all are taken.
    mutating func place(of name: String) -> Int? {
        for index in names.indices where names[index] == name { return index }
        guard names.count < Self.width else { return nil }
        names.append(name)
        return names.count - 1
    }

    mutating func amounts(_ quantities: [String: Int64]) -> Amounts {
        var result = Amounts()
        for (name, value) in quantities {
            if let place = place(of: name) { result[place] = value }
        }
        return result
    }

    func quantities(_ amounts: Amounts) -> [String: Int64] {
        var result: [String: Int64] = [:]
        for (index, name) in names.enumerated() where amounts[index] != 0 { result[name] = amounts[index] }
        return result
    }

    /// What there is of scalars that are not revocable: owned by nobody, and reserved.
    mutating func split(_ resources: Resources) -> (unreserved: Amounts, reserved: Amounts) {
        var unreserved = Amounts(), reserved = Amounts()
        for entry in resources.entries where !entry.resource.isRevocable {
            guard case .scalar(let value) = entry.resource.amount, let place = place(of: entry.resource.name) else {
                continue
            }
            if entry.resource.reservations.isEmpty { unreserved[place] &+= value } else { reserved[place] &+= value }
        }
        return (unreserved, reserved)
    }
}

extension SIMD8 where Scalar == Int64 {
    /// True when any amount is above zero.
    var hasAny: Bool { max() > 0 }
    /// The amounts without what is negative.
    var positive: Self { Self(repeating: 0).replacing(with: self, where: self .> 0) }
    /// The smaller of each.
    func least(_ other: Self) -> Self { replacing(with: other, where: other .< self) }
    /// No bound at all; far from overflow.
    static var unbounded: Self { Self(repeating: 1 << 60) }
}
