/// One evaluation in progress.
struct Frame {
    let variables: [String: CELValue]
    /// Values of the variables of folds, by slot.
    var locals: [CELValue]
    /// What this evaluation has cost.
    private(set) var cost: UInt64 = 0
    private var ceiling: UInt64
    private(set) var budget: CELBudget

    init(_ variables: [String: CELValue], slotCount: Int, _ budget: CELBudget) {
        self.variables = variables
        locals = slotCount == 0 ? [] : Array(repeating: .null, count: slotCount)
        self.budget = budget
        ceiling = min(budget.perCallLimit, budget.remaining)
    }

    /// The budget with this evaluation's cost.
    var settled: CELBudget {
        var result = budget
        result.used = budget.used.addingReportingOverflow(cost).overflow ? .max : budget.used + cost
        return result
    }

    @inline(__always)
    mutating func charge(_ amount: UInt64) throws(CELFailure) {
        let (sum, overflow) = cost.addingReportingOverflow(amount)
        cost = overflow ? .max : sum
        if cost > ceiling { throw exceeded() }
    }

    private func exceeded() -> CELFailure {
        cost > budget.perCallLimit
            ? CELFailure("operation cancelled: actual cost limit exceeded", kind: .callCostExceeded)
            : CELFailure("validation failed due to running out of cost budget", kind: .budgetExceeded)
    }

    /// Reads a computed field; what it costs is the budget's, not this call's.
    mutating func field(_ name: String, of fields: any CELFields) throws(CELFailure) -> CELValue? {
        var nested = settled
        defer {
            budget.used = nested.used >= cost ? nested.used - cost : 0
            ceiling = min(budget.perCallLimit, budget.remaining)
        }
        return try fields.field(name, budget: &nested)
    }
}

/// A part of a planned expression. Classes, so that a step is one dynamic call and no copy.
protocol Node: AnyObject, Sendable {
    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue
}

extension Node {
    func evaluateBool(_ frame: inout Frame) throws(CELFailure) -> Bool {
        guard case .bool(let value) = try evaluate(&frame) else { throw Arithmetic.noOverload }
        return value
    }
}
