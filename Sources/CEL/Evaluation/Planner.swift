import JSON
import RegularExpression

/// Turns a checked tree into nodes that run.
struct Planner {
    private let checked: CheckedExpression
    private var scopes: [(name: String, slot: Int)] = []
    private(set) var slotCount = 0
    private(set) var variables: Set<String> = []
    /// What literals Kubernetes checks beforehand: patterns, times, durations.
    private(set) var issues: [(offset: Int, message: String)] = []

    init(_ checked: CheckedExpression) { self.checked = checked }

    /// `optMap` uses its receiver twice: planned once, so that chains of it do not double each time.
    private var planned: [Int: any Node] = [:]

    mutating func plan(_ expression: Expression) -> any Node {
        if let node = planned[expression.id] { return node }
        let node = make(expression)
        planned[expression.id] = node
        return node
    }

    private mutating func make(_ expression: Expression) -> any Node {
        switch expression.kind {
        case .literal(let value): return ConstantNode(value)
        case .identifier(let name): return planName(expression, name)
        case .select(let operand, let field, let isTest): return planSelect(expression, operand, field, isTest)
        case .call(let name, let target, let arguments): return planCall(expression, name, target, arguments)
        case .list(let elements, let optional):
            let nodes = elements.map { plan($0) }
            if optional.isEmpty, !nodes.isEmpty {
                // A literal of literals is made once and costs nothing.
                let constants = nodes.compactMap { ($0 as? ConstantNode)?.value }
                if constants.count == nodes.count { return ConstantNode(.list(.values(constants))) }
            }
            return ListNode(nodes, optional: optional)
        case .map(let entries):
            let nodes = entries.map { (key: plan($0.key), value: plan($0.value), isOptional: $0.isOptional) }
            let isConstant = nodes.allSatisfy { $0.key is ConstantNode && $0.value is ConstantNode && !$0.isOptional }
            if isConstant, !nodes.isEmpty {
                var made = CELEntries()
                var isUnique = true
                for node in nodes {
                    guard let key = node.key as? ConstantNode, let value = node.value as? ConstantNode,
                        (try? made.add(key.value, value.value)) != nil
                    else {
                        isUnique = false
                        break
                    }
                }
                if isUnique { return ConstantNode(.map(.entries(made))) }
            }
            return MapNode(nodes)
        case .structure(_, let members):
            guard case .type(.object(let type)) = checked.references[expression.id] else { return ConstantNode(.null) }
            return StructureNode(type, members.map { ($0.name, plan($0.value), $0.isOptional) })
        case .comprehension(let fold): return planFold(fold)
        }
    }

    private mutating func planName(_ expression: Expression, _ name: String) -> any Node {
        switch checked.references[expression.id] {
        case .variable(let name):
            variables.insert(name)
            return VariableNode(name)
        case .type(let type): return ConstantNode(.type(type))
        default:
            let slot = scopes.last { $0.name == name }?.slot ?? 0
            return LocalNode(slot)
        }
    }

    private mutating func planSelect(
        _ expression: Expression, _ operand: Expression, _ field: String, _ isTest: Bool
    ) -> any Node {
        switch checked.references[expression.id] {
        case .variable, .type: return planName(expression, field)
        default: break
        }
        var declared: CELObjectType.Field?
        var name = field
        if case .field(let property, let field) = checked.references[expression.id] {
            (name, declared) = (property, field)
        }
        let node = plan(operand)
        if isTest { return HasNode(node, name, declared) }
        if let declared {
            if let path = node as? PathNode {
                return PathNode(path.variable, path.fields + [(name, declared)], last: declared)
            }
            if let variable = node as? VariableNode {
                return PathNode(variable.name, [(name, declared)], last: declared)
            }
        }
        return SelectNode(node, name, declared, cost: Self.isAttribute(operand) ? 1 : 2)
    }

    /// Variables and chains of selections on them.
    private static func isAttribute(_ expression: Expression) -> Bool {
        switch expression.kind {
        case .identifier: true
        case .select(_, _, false): true
        case .call(let name, nil, _): name == Operator.index || name == Operator.optionalSelect
        default: false
        }
    }

    private mutating func planCall(
        _ expression: Expression, _ name: String, _ target: Expression?, _ arguments: [Expression]
    ) -> any Node {
        if target == nil, let node = planOperator(expression, name, arguments) { return node }
        guard case .function(let overloads) = checked.references[expression.id] else { return ConstantNode(.null) }
        var operands = arguments.map { plan($0) }
        if let target, !checked.qualifiedCalls.contains(expression.id) { operands.insert(plan(target), at: 0) }
        checkLiterals(name, arguments, isMember: target != nil)
        if let target, name == "or" || name == "orValue", case .optional = checked.type(of: target) {
            return OptionalOrNode(operands[0], operands[1], unwraps: name == "orValue")
        }
        if name == "matches", operands.count == 2, let source = operands[1] as? ConstantNode,
            let pattern = try? Pattern(source.value.asString)
        {
            return PatternNode(operands[0], pattern, source.value)
        }
        return CallNode(name, overloads, operands)
    }

    /// Operators have nodes of their own.
    private mutating func planOperator(
        _ expression: Expression, _ name: String, _ arguments: [Expression]
    ) -> (any Node)? {
        switch name {
        case Operator.and: return LogicalNode(arguments.map { plan($0) }, deciding: false)
        case Operator.or: return LogicalNode(arguments.map { plan($0) }, deciding: true)
        case Operator.not: return NotNode(plan(arguments[0]))
        case Operator.negate: return NegationNode(plan(arguments[0]))
        case Operator.conditional: return ConditionalNode(plan(arguments[0]), plan(arguments[1]), plan(arguments[2]))
        case Operator.optionalSelect:
            guard case .literal(.string(let field)) = arguments[1].kind else { return nil }
            if case .field(let property, let declared) = checked.references[expression.id] {
                return OptionalSelectNode(plan(arguments[0]), property, declared)
            }
            return OptionalSelectNode(plan(arguments[0]), field, nil)
        default: break
        }
        guard arguments.count == 2 else { return nil }
        func pair() -> (any Node, any Node) { (plan(arguments[0]), plan(arguments[1])) }
        switch name {
        case Operator.equals, Operator.notEquals:
            let (left, right) = pair()
            return EqualityNode(left, right, wanted: name == Operator.equals)
        case Operator.less: return comparison(pair(), .less)
        case Operator.lessOrEqual: return comparison(pair(), .lessOrEqual)
        case Operator.greater: return comparison(pair(), .greater)
        case Operator.greaterOrEqual: return comparison(pair(), .greaterOrEqual)
        case Operator.add: return arithmetic(pair(), .add)
        case Operator.subtract: return arithmetic(pair(), .subtract)
        case Operator.multiply: return arithmetic(pair(), .multiply)
        case Operator.divide: return arithmetic(pair(), .divide)
        case Operator.modulo: return arithmetic(pair(), .modulo)
        case Operator.contained:
            let (left, right) = pair()
            return ContainmentNode(left, right)
        case Operator.index, Operator.optionalIndex:
            let (left, right) = pair()
            return IndexNode(
                left, right, isOptional: name == Operator.optionalIndex, cost: Self.isAttribute(arguments[0]) ? 1 : 2)
        default: return nil
        }
    }

    private func comparison(_ operands: (any Node, any Node), _ kind: ComparisonNode.Kind) -> any Node {
        ComparisonNode(operands.0, operands.1, kind)
    }
    private func arithmetic(_ operands: (any Node, any Node), _ kind: ArithmeticNode.Kind) -> any Node {
        ArithmeticNode(operands.0, operands.1, kind)
    }

    /// Literals that can never be read make the expression wrong, as Kubernetes's validators have it.
    private mutating func checkLiterals(_ name: String, _ arguments: [Expression], isMember: Bool) {
        guard let last = arguments.last, case .literal(.string(let text)) = last.kind else { return }
        let isWrong: Bool
        switch name {
        case "matches": isWrong = (try? Pattern(text)) == nil
        case "duration": isWrong = !isMember && Conversions.duration(text) == nil
        case "timestamp": isWrong = !isMember && CELTimestamp(text) == nil
        default: return
        }
        if isWrong { issues.append((last.offset, "invalid \(name) argument")) }
    }

    // MARK: Folds

    private mutating func slot(_ name: String) -> Int {
        let slot = scopes.count
        scopes.append((name, slot))
        slotCount = max(slotCount, scopes.count)
        return slot
    }

    private mutating func planFold(_ fold: Comprehension) -> any Node {
        let depth = scopes.count
        defer { scopes.removeLast(scopes.count - depth) }
        if case .binding = fold.shape {
            let value = plan(fold.initial)
            let slot = slot(fold.accumulator)
            return BindingNode(value, slot, plan(fold.result))
        }
        let range = plan(fold.range)
        let first = slot(fold.variable)
        let second = fold.secondVariable.map { slot($0) }
        let slots = FoldSlots(first: first, second: second)
        switch fold.shape {
        case .all: return QuantifierNode(range, slots, plan(fold.body), deciding: false)
        case .exists: return QuantifierNode(range, slots, plan(fold.body), deciding: true)
        case .existsOne: return ExistsOneNode(range, slots, plan(fold.body))
        case .list(let condition, let element):
            return CollectNode(range, slots, condition.map { plan($0) }, plan(element))
        case .map(let condition, let value):
            return MapCollectNode(range, slots, condition.map { plan($0) }, plan(value), isEntry: false)
        case .entries(let condition, let map):
            return MapCollectNode(range, slots, condition.map { plan($0) }, plan(map), isEntry: true)
        case .binding: return ConstantNode(.null)
        }
    }
}

/// `text.matches('literal')`: the pattern is compiled once.
final class PatternNode: Node {
    let text: any Node
    let pattern: Pattern
    let source: CELValue
    init(_ text: any Node, _ pattern: Pattern, _ source: CELValue) {
        self.text = text
        self.pattern = pattern
        self.source = source
    }
    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        let value = try text.evaluate(&frame)
        guard case .string(let text) = value else { throw Arithmetic.noOverload }
        try frame.charge(CostRule.pattern.actual([value, source], .null))
        return .bool(pattern.matches(text))
    }
}
