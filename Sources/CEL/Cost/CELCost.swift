/// What evaluations have cost and may cost, in Kubernetes's units.
public struct CELBudget: Sendable {
    /// What one evaluation may cost.
    public static let perCall: UInt64 = 1_000_000
    /// What all rules of one object, or all expressions of one policy binding, may cost.
    public static let perObject: UInt64 = 10_000_000
    /// What the match conditions of one webhook or binding may cost.
    public static let matchConditions: UInt64 = 2_500_000

    /// The most that all evaluations may cost together.
    public var limit: UInt64
    /// The most that one evaluation may cost.
    public var perCallLimit: UInt64
    /// The sum so far.
    public var used: UInt64 = 0
    /// Where the running evaluation must stop: the smaller of both limits.
    var ceiling: UInt64

    /// A budget for some evaluations.
    public init(limit: UInt64 = CELBudget.perObject, perCallLimit: UInt64 = CELBudget.perCall) {
        self.limit = limit
        self.perCallLimit = perCallLimit
        ceiling = limit
    }
    /// What is left; 0 when exhausted.
    public var remaining: UInt64 { used >= limit ? 0 : limit - used }
}

/// The least and the most that an expression can cost.
public struct CELCost: Sendable, Hashable {
    public var minimum: UInt64
    /// `UInt64.max` when nothing bounds it.
    public var maximum: UInt64

    /// A range of costs.
    public init(minimum: UInt64, maximum: UInt64) {
        self.minimum = minimum
        self.maximum = maximum
    }
}

/// The least and the most elements, entries or characters that a value can have.
public struct CELSize: Sendable, Hashable {
    public var minimum: UInt64
    /// `UInt64.max` when nothing bounds it.
    public var maximum: UInt64

    /// A range of sizes.
    public init(minimum: UInt64 = 0, maximum: UInt64) {
        self.minimum = minimum
        self.maximum = maximum
    }
    /// Nothing is known.
    public static let unknown = CELSize(maximum: .max)
}
