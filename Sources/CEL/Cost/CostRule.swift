/// What a call costs, given the sizes of its arguments (the receiver first). The constants are upstream's
/// (cel-go's and Kubernetes's): which rules a CRD may have depends on them.
enum CostRule: Sendable, Hashable {
    case one
    case fixed(UInt64)
    /// A walk over the argument: its size times the factor, rounded up.
    case walk(argument: Int, factor: Double)
    /// A walk over the result.
    case walkResult(factor: Double)
    /// The smaller of two arguments: comparisons.
    case smaller
    /// Both arguments: concatenation.
    case sum
    /// Text times pattern.
    case pattern
    /// Text times searched text.
    case search
    /// Every element of a list, with the length of strings.
    case traversal
    /// The elements of the second argument: `in`.
    case elements
    /// A new list of the result's size.
    case listResult
    case flatten
    /// Every element of the list at this argument against every other.
    case selfCompare(argument: Int)
    /// Elements of one list against those of the other.
    case sets(factor: Double)
    case selector
    case format
    case containsIP(parses: Bool)
    case containsCIDR(parses: Bool)

    var needsResult: Bool {
        switch self {
        case .walkResult, .listResult: true
        default: false
        }
    }

    static func scaled(_ size: UInt64, _ factor: Double) -> UInt64 {
        let value = (Double(size) * factor).rounded(.up)
        return value >= 18_446_744_073_709_551_616 ? .max : UInt64(value)
    }
    static func sum(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let (value, overflow) = a.addingReportingOverflow(b)
        return overflow ? .max : value
    }
    static func product(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let (value, overflow) = a.multipliedReportingOverflow(by: b)
        return overflow ? .max : value
    }

    /// The cost of one call.
    func actual(_ arguments: [CELValue], _ result: CELValue) -> UInt64 {
        func size(_ index: Int) -> UInt64 { index < arguments.count ? arguments[index].size : 1 }
        switch self {
        case .one: return 1
        case .fixed(let cost): return cost
        case .walk(let index, let factor): return Self.scaled(size(index), factor)
        case .walkResult(let factor): return Self.scaled(result.size, factor)
        case .smaller: return Self.scaled(min(size(0), size(1)), 0.1)
        case .sum: return Self.scaled(Self.sum(size(0), size(1)), 0.1)
        case .pattern: return Self.product(Self.scaled(size(0) + 1, 0.1), Self.scaled(size(1), 0.25))
        case .search: return Self.product(Self.scaled(size(0), 0.1), Self.scaled(size(1), 0.1))
        case .traversal: return arguments.first.map(Self.traversal) ?? 1
        case .elements: return size(1)
        case .listResult: return Self.sum(result.size, 11)
        case .flatten:
            let depth = arguments.count == 2 ? Double(max(arguments[1].asInt, 0)) : 1
            let walked = Double(size(0)) * depth
            return Self.sum(walked >= 1e18 ? .max : UInt64(walked), 11)
        case .selfCompare(let index):
            let count = size(index)
            var factor = 2.0
            if index < arguments.count, case .list(let list) = arguments[index], list.count > 0 {
                switch list[0] {
                case .string, .bytes: factor = 2.1
                default: break
                }
            }
            let compared = Double(Self.product(count, count)) * factor
            return Self.sum(compared >= 1e18 ? .max : UInt64(compared), 11)
        case .sets(let factor):
            let compared = Double(Self.product(size(0), size(1))) * factor
            return Self.sum(1, compared >= 1e18 ? .max : UInt64(compared))
        case .selector:
            let requirements = Self.scaled(Self.scaled(size(1), 0.5), 50)
            return Self.sum(10, Self.sum(Self.scaled(size(1), 0.1), requirements))
        case .format:
            return Self.product(Self.scaled(size(1) + 1, 0.1), Self.scaled(128, 0.25))
        case .containsIP(let parses):
            return Self.scaled(size(0) * 2, 0.1) + (parses ? Self.scaled(size(1), 0.1) : 0)
        case .containsCIDR(let parses):
            return Self.scaled(size(0) * 2, 0.1) + Self.scaled(size(0), 0.1) + 1
                + (parses ? Self.scaled(size(1), 0.1) : 0)
        }
    }

    /// A value as a tree: 1 per scalar, a tenth per character.
    private static func traversal(_ value: CELValue) -> UInt64 {
        switch value {
        case .string(let text): return UInt64(Double(text.utf8.count) * 0.1)
        case .bytes(let bytes): return UInt64(Double(bytes.count) * 0.1)
        case .list(let list):
            var cost: UInt64 = 0
            for index in 0..<list.count { cost = sum(cost, traversal(list[index])) }
            return cost
        case .map(let map):
            var cost: UInt64 = 0
            for key in map.keys { cost = sum(cost, sum(traversal(key), traversal(map[key] ?? .null))) }
            return cost
        case .object(.json(let members, _)): return traversal(.map(.json(members, .dyn)))
        default: return 1
        }
    }
}
