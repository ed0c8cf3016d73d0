/// A node of the syntax tree, macros already expanded. Immutable; what the checker finds out is kept beside the tree,
/// by the node's number.
final class Expression: Sendable {
    /// Unique in its tree, from 0.
    let id: Int
    /// Where messages point: the operator, the dot, the opening bracket or the first character, in scalars.
    let offset: Int
    let kind: Kind
    /// Levels below, so that a tree too deep for recursion is refused when it is built.
    let depth: Int

    enum Kind: Sendable {
        case literal(CELValue)
        case identifier(String)
        /// `operand.field`, or `has(operand.field)`.
        case select(Expression, field: String, isTest: Bool)
        case call(String, target: Expression?, arguments: [Expression])
        case list([Expression], optional: Set<Int>)
        case map([Entry])
        case structure(String, [Member])
        case comprehension(Comprehension)
    }
    struct Entry: Sendable {
        let key: Expression
        let value: Expression
        let isOptional: Bool
    }
    struct Member: Sendable {
        let name: String
        let offset: Int
        let value: Expression
        let isOptional: Bool
    }

    init(_ id: Int, _ offset: Int, _ kind: Kind) {
        self.id = id
        self.offset = offset
        self.kind = kind
        depth =
            switch kind {
            case .literal, .identifier: 1
            case .select(let operand, _, _): operand.depth + 1
            case .call(_, let target, let arguments):
                max(target?.depth ?? 0, arguments.map(\.depth).max() ?? 0) + 1
            case .list(let elements, _): (elements.map(\.depth).max() ?? 0) + 1
            case .map(let entries): (entries.map { max($0.key.depth, $0.value.depth) }.max() ?? 0) + 1
            case .structure(_, let members): (members.map(\.value.depth).max() ?? 0) + 1
            case .comprehension(let fold): fold.parts.reduce(0) { max($0, $1.depth) } + 1
            }
    }
}

/// A fold over a list or the keys of a map: what every macro with a variable becomes.
final class Comprehension: Sendable {
    /// Which macro it came from: how it is evaluated. Checking and costs look at the parts alone.
    enum Shape: Sendable {
        case all, exists, existsOne
        /// `map`, `filter`, `transformList`: a condition (nil for always) and what is collected.
        case list(condition: Expression?, element: Expression)
        /// `transformMap`: the key is the first variable.
        case map(condition: Expression?, value: Expression)
        /// `transformMapEntry`: the entries of a map.
        case entries(condition: Expression?, map: Expression)
        /// `cel.bind`: no loop, the result with the accumulator as a variable.
        case binding
    }
    let shape: Shape
    let range: Expression
    let variable: String
    /// The element or value, when `variable` is the index or key.
    let secondVariable: String?
    let accumulator: String
    let initial: Expression
    let condition: Expression
    let step: Expression
    let result: Expression
    /// What is evaluated per element: the macro's last argument.
    let body: Expression

    init(
        _ shape: Shape, range: Expression, variable: String, secondVariable: String?, accumulator: String,
        initial: Expression, condition: Expression, step: Expression, result: Expression, body: Expression
    ) {
        self.shape = shape
        self.range = range
        self.variable = variable
        self.secondVariable = secondVariable
        self.accumulator = accumulator
        self.initial = initial
        self.condition = condition
        self.step = step
        self.result = result
        self.body = body
    }
    var parts: [Expression] { [range, initial, condition, step, result] }
}

/// Names of the operators, as functions of the table and in messages.
enum Operator {
    static let conditional = "_?_:_"
    static let and = "_&&_"
    static let or = "_||_"
    static let not = "!_"
    static let equals = "_==_"
    static let notEquals = "_!=_"
    static let less = "_<_"
    static let lessOrEqual = "_<=_"
    static let greater = "_>_"
    static let greaterOrEqual = "_>=_"
    static let add = "_+_"
    static let subtract = "_-_"
    static let multiply = "_*_"
    static let divide = "_/_"
    static let modulo = "_%_"
    static let negate = "-_"
    static let index = "_[_]"
    static let optionalIndex = "_[?_]"
    static let optionalSelect = "_?._"
    static let contained = "@in"
    static let notStrictlyFalse = "@not_strictly_false"
    static let mapInsert = "cel.@mapInsert"

    /// The accumulator of macros: no name that source text can have.
    static let accumulator = "@result"
}
