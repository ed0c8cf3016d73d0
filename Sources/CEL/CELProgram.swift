/// A checked expression, ready to run any number of times from any thread.
public struct CELProgram: Sendable {
    /// The source text.
    public let source: String
    /// The static type of the result.
    public let resultType: CELType
    /// The variables of the environment that the expression mentions (`oldSelf` makes a transition rule).
    public let references: Set<String>

    private let root: any Node
    private let slotCount: Int
    private let checked: CheckedExpression

    init(_ source: String, _ root: any Node, slotCount: Int, _ references: Set<String>, _ checked: CheckedExpression) {
        self.source = source
        self.root = root
        self.slotCount = slotCount
        self.references = references
        self.checked = checked
        resultType = checked.type(of: checked.root)
    }

    /// What one evaluation can cost.
    /// - Parameter sizes: the size of the value at a path: the variable's name, then field names (as in JSON),
    ///   `@items` for the elements of a list, `@keys` and `@values` for those of a map. Nil when unknown.
    public func estimateCost(sizes: (_ path: [String]) -> CELSize?) -> CELCost {
        CostEstimator.estimate(checked, sizes)
    }

    /// Evaluates the expression.
    /// - Parameters:
    ///   - variables: values by name; one that is absent is an error only where the expression needs it.
    ///   - budget: what this costs is added to it, also on failure.
    /// - Throws: `CELFailure`: the expression's error on these values, or a limit of the budget.
    public func evaluate(_ variables: [String: CELValue], budget: inout CELBudget) throws(CELFailure) -> CELValue {
        var frame = Frame(variables, slotCount: slotCount, budget)
        defer { budget = frame.settled }
        return try root.evaluate(&frame)
    }
}

extension CELEnvironment {
    /// Parses and checks an expression.
    /// - Parameter expecting: the type that the result must have (`dyn` results are accepted); nil for any.
    /// - Throws: `CELProblem` with every finding.
    public func compile(_ source: String, expecting: CELType? = nil) throws(CELProblem) -> CELProgram {
        let scalars = Array(source.unicodeScalars)
        guard scalars.count <= Parser.maximumLength else {
            let message =
                "expression code point size exceeds limit: size: \(scalars.count), limit \(Parser.maximumLength)"
            throw CELProblem([.init(message: message, line: -1, column: -1)], in: "")
        }
        func problem(_ issues: [(offset: Int, message: String)]) -> CELProblem {
            let ordered = issues.sorted { $0.offset < $1.offset }
            return CELProblem(
                ordered.map { issue in
                    let before = scalars.prefix(issue.offset)
                    let line = before.count { $0 == "\n" } + 1
                    let column = before.count - (before.lastIndex(of: "\n").map { $0 + 1 } ?? 0)
                    return .init(message: issue.message, line: line, column: column)
                }, in: source)
        }
        let (tokens, lexical) = Lexer.tokens(scalars)
        var parser = Parser(tokens, libraries)
        let expression: Expression
        do {
            expression = try parser.parse()
        } catch {
            throw problem(lexical + [(error.offset, error.message)])
        }
        if !lexical.isEmpty { throw problem(lexical) }
        var checker = Checker(self, nodeCount: parser.nodeCount)
        let checked = checker.check(expression)
        if !checker.issues.isEmpty { throw problem(checker.issues) }
        if let expecting {
            let type = checked.type(of: expression)
            var substitution = Substitution()
            if !substitution.assign(expecting, type) {
                throw problem([(0, "expected type '\(expecting)' but found '\(type)'")])
            }
        }
        var planner = Planner(checked)
        let root = planner.plan(expression)
        if !planner.issues.isEmpty, !libraries.contains(.extensions) { throw problem(planner.issues) }
        return CELProgram(source, root, slotCount: planner.slotCount, planner.variables, checked)
    }
}
