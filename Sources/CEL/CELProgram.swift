/// A checked expression, ready to run any number of times from any thread.
public struct CELProgram: Sendable {
    /// The source text.
    public let source: String
    /// The static type of the result.
    public let resultType: CELType
    /// The variables of the environment that the expression mentions (`oldSelf` makes a transition rule).
    public let references: Set<String>

    /// What one evaluation can cost.
    /// - Parameter sizes: the size of the value at a path: the variable's name, then field names (as in JSON),
    ///   `@items` for the elements of a list, `@keys` and `@values` for those of a map. Nil when unknown.
    public func estimateCost(sizes: (_ path: [String]) -> CELSize?) -> CELCost {
        CELCost(minimum: 0, maximum: 0)
    }

    /// Evaluates the expression.
    /// - Parameters:
    ///   - variables: values by name; one that is absent is an error only where the expression needs it.
    ///   - budget: what this costs is added to it, also on failure.
    /// - Throws: `CELFailure`: the expression's error on these values, or a limit of the budget.
    public func evaluate(_ variables: [String: CELValue], budget: inout CELBudget) throws(CELFailure) -> CELValue {
        throw CELFailure("expressions cannot be evaluated by this version")
    }
}

extension CELEnvironment {
    /// Parses and checks an expression.
    /// - Parameter expecting: the type that the result must have (`dyn` results are accepted); nil for any.
    /// - Throws: `CELProblem` with every finding.
    public func compile(_ source: String, expecting: CELType? = nil) throws(CELProblem) -> CELProgram {
        throw CELProblem(
            [.init(message: "expressions cannot be compiled by this version", line: 1, column: 0)], in: source)
    }
}
