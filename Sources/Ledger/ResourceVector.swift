public import JSON
public import ObjectModel

/// Amounts of resources in whole units, so that sums are exact: thousandths of a CPU, bytes, counts.
public struct ResourceVector: Sendable, Hashable {
    /// Thousandths of a CPU.
    public var milliCPU: Int64
    /// Bytes.
    public var memory: Int64
    /// Bytes of local disk.
    public var ephemeralStorage: Int64
    /// Number of pods.
    public var pods: Int64
    /// Everything else by its name (`nvidia.com/gpu`, `hugepages-2Mi`), in whole units. No zero amounts are kept.
    public private(set) var extended: [String: Int64]

    /// Amounts; nothing by default.
    public init(
        milliCPU: Int64 = 0, memory: Int64 = 0, ephemeralStorage: Int64 = 0, pods: Int64 = 0,
        extended: [String: Int64] = [:]
    ) {
        self.milliCPU = milliCPU
        self.memory = memory
        self.ephemeralStorage = ephemeralStorage
        self.pods = pods
        self.extended = extended.filter { $0.value != 0 }
    }

    /// Reads a `ResourceList` object such as `status.allocatable` or `resources.requests`. Amounts are rounded up;
    /// text that is no quantity counts as nothing, as the API does not let it in.
    public init(_ resources: JSON) {
        self.init()
        guard case .object(let members) = resources else { return }
        for (name, value) in members {
            guard let quantity = Quantity(value) else { continue }
            self[name] = Self.amount(of: quantity, name)
        }
    }

    /// A quantity in the resource's whole units, rounded up, at most 2^56: the sums that are made of it cannot overflow.
    public static func amount(of quantity: Quantity, _ name: String) -> Int64 {
        min(max(Int64(name == "cpu" ? quantity.milliValue : quantity.value), -(1 << 56)), 1 << 56)
    }

    /// The amount of a resource by its API name; CPU in thousandths.
    public subscript(name: String) -> Int64 {
        get {
            switch name {
            case "cpu": milliCPU
            case "memory": memory
            case "ephemeral-storage": ephemeralStorage
            case "pods": pods
            default: extended[name] ?? 0
            }
        }
        set {
            switch name {
            case "cpu": milliCPU = newValue
            case "memory": memory = newValue
            case "ephemeral-storage": ephemeralStorage = newValue
            case "pods": pods = newValue
            default: extended[name] = newValue == 0 ? nil : newValue
            }
        }
    }

    /// True when there is nothing of anything.
    public var isZero: Bool {
        milliCPU == 0 && memory == 0 && ephemeralStorage == 0 && pods == 0 && extended.isEmpty
    }

    /// The sum; saturates at 2^61.
    public static func + (left: ResourceVector, right: ResourceVector) -> ResourceVector {
        left.combined(right) { Self.saturated($0 &+ $1) }
    }
    /// The difference; amounts may become negative.
    public static func - (left: ResourceVector, right: ResourceVector) -> ResourceVector {
        left.combined(right) { Self.saturated($0 &- $1) }
    }
    /// Adds in place.
    public static func += (left: inout ResourceVector, right: ResourceVector) { left = left + right }
    /// Subtracts in place.
    public static func -= (left: inout ResourceVector, right: ResourceVector) { left = left - right }

    /// The larger amount of each.
    public func maximum(_ other: ResourceVector) -> ResourceVector {
        combined(other) { Swift.max($0, $1) }
    }

    /// The smaller amount of each.
    public func minimum(_ other: ResourceVector) -> ResourceVector {
        combined(other) { Swift.min($0, $1) }
    }

    /// Without what is negative.
    public var positive: ResourceVector { maximum(ResourceVector()) }

    /// The names of what there is any of, in a fixed order, without `pods`.
    public var names: [String] {
        ["cpu", "memory", "ephemeral-storage"].filter { self[$0] != 0 } + extended.keys.sorted()
    }

    private static func saturated(_ amount: Int64) -> Int64 { min(max(amount, -(1 << 61)), 1 << 61) }

    private func combined(_ other: ResourceVector, _ operation: (Int64, Int64) -> Int64) -> ResourceVector {
        var result = ResourceVector(
            milliCPU: operation(milliCPU, other.milliCPU), memory: operation(memory, other.memory),
            ephemeralStorage: operation(ephemeralStorage, other.ephemeralStorage), pods: operation(pods, other.pods))
        if extended.isEmpty && other.extended.isEmpty { return result }
        for name in Set(extended.keys).union(other.extended.keys) {
            result[name] = operation(extended[name] ?? 0, other.extended[name] ?? 0)
        }
        return result
    }

    /// Names of resources that this request asks for and that are not left: sorted, with `pods` first.
    ///
    /// A resource that is not asked for is no obstacle even when it is over-committed.
    public func insufficient(allocatable: ResourceVector, used: ResourceVector) -> [String] {
        var names: [String] = []
        if pods > 0, used.pods + pods > allocatable.pods { names.append("pods") }
        if milliCPU > 0, used.milliCPU + milliCPU > allocatable.milliCPU { names.append("cpu") }
        if memory > 0, used.memory + memory > allocatable.memory { names.append("memory") }
        if ephemeralStorage > 0, used.ephemeralStorage + ephemeralStorage > allocatable.ephemeralStorage {
            names.append("ephemeral-storage")
        }
        if !extended.isEmpty {
            for name in extended.keys.sorted() {
                let amount = extended[name] ?? 0
                if amount > 0, used[name] + amount > allocatable[name] { names.append(name) }
            }
        }
        return names
    }
}
