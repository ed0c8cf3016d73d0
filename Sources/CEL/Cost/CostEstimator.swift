/// Bounds what an expression can cost, by walking its checked tree with the sizes that values can have. The rules and
/// constants are those of cel-go's estimator with Kubernetes's additions: they decide which rules a CRD may have.
struct CostEstimator {
    /// The sizes of what a container holds.
    private struct Contents {
        var isList: Bool
        var key: CELSize
        var value: CELSize
    }
    private struct Local {
        var path: [String]?
        var size: CELSize?
        var contents: Contents?
    }

    private let checked: CheckedExpression
    private var scopes: [(name: String, local: Local)] = []
    private var paths: [Int: [String]] = [:]
    private var sizes: [Int: CELSize] = [:]
    private var contents: [Int: Contents] = [:]
    private var costs: [Int: CELCost] = [:]

    static func estimate(_ checked: CheckedExpression, _ lookup: ([String]) -> CELSize?) -> CELCost {
        var estimator = CostEstimator(checked: checked)
        return estimator.cost(checked.root, lookup)
    }

    private init(checked: CheckedExpression) { self.checked = checked }

    // MARK: Sizes

    private func path(_ expression: Expression) -> [String]? {
        if case .identifier(let name) = expression.kind, let scope = scopes.last(where: { $0.name == name }) {
            return scope.local.path
        }
        return paths[expression.id]
    }

    private mutating func size(_ expression: Expression, _ lookup: ([String]) -> CELSize?) -> CELSize {
        knownSize(expression, lookup) ?? .unknown
    }

    private mutating func knownSize(_ expression: Expression, _ lookup: ([String]) -> CELSize?) -> CELSize? {
        if let known = sizes[expression.id] { return known }
        switch expression.kind {
        case .literal(let value): return .fixed(value.size)
        case .list(let elements, _): return .fixed(UInt64(elements.count))
        case .map(let entries): return .fixed(UInt64(entries.count))
        default: break
        }
        if let path = path(expression), path.first != Operator.accumulator, let size = lookup(path) {
            sizes[expression.id] = size
            return size
        }
        if Self.isScalar(checked.type(of: expression)) { return .fixed(1) }
        if case .identifier(let name) = expression.kind, let scope = scopes.last(where: { $0.name == name }) {
            return scope.local.size
        }
        return nil
    }

    private static func isScalar(_ type: CELType) -> Bool {
        switch type {
        case .bool, .double, .duration, .int, .timestamp, .uint: true
        case .optional(let inner): isScalar(inner)
        default: false
        }
    }

    private func knownContents(_ expression: Expression) -> Contents? {
        if let known = contents[expression.id] { return known }
        if case .identifier(let name) = expression.kind, let scope = scopes.last(where: { $0.name == name }) {
            return scope.local.contents
        }
        return nil
    }

    // MARK: Walking

    private mutating func cost(_ expression: Expression, _ lookup: ([String]) -> CELSize?) -> CELCost {
        // What a macro uses twice is walked once: its scope is the same.
        if let known = costs[expression.id] { return known }
        let cost = compute(expression, lookup)
        costs[expression.id] = cost
        return cost
    }

    private mutating func compute(_ expression: Expression, _ lookup: ([String]) -> CELSize?) -> CELCost {
        switch expression.kind {
        case .literal: return .fixed(0)
        case .identifier(let name):
            if let scope = scopes.last(where: { $0.name == name }) {
                paths[expression.id] = scope.local.path
            } else if case .variable(let variable) = checked.references[expression.id] {
                paths[expression.id] = [variable]
            }
            return .fixed(1)
        case .select(let operand, let field, let isTest):
            if case .variable(let variable) = checked.references[expression.id] {
                paths[expression.id] = [variable]
                return .fixed(1)
            }
            var sum = cost(operand, lookup)
            if isTest { return sum }
            switch checked.type(of: operand) {
            case .map, .object, .parameter: sum = sum + .fixed(1)
            default: break
            }
            var name = field
            if case .field(let property, _) = checked.references[expression.id] { name = property }
            if let path = path(operand) { paths[expression.id] = path + [name] }
            return sum
        case .call(let name, let target, let arguments): return call(expression, name, target, arguments, lookup)
        case .list(let elements, _):
            var sum = CELCost.fixed(10)
            var item: CELSize?
            for element in elements {
                sum = sum + cost(element, lookup)
                item = Self.union(item, size(element, lookup))
            }
            contents[expression.id] = Contents(isList: true, key: .fixed(1), value: item ?? .fixed(0))
            return sum
        case .map(let entries):
            var sum = CELCost.fixed(30)
            var key: CELSize?
            var value: CELSize?
            for entry in entries {
                sum = sum + cost(entry.key, lookup) + cost(entry.value, lookup)
                key = Self.union(key, size(entry.key, lookup))
                value = Self.union(value, size(entry.value, lookup))
            }
            contents[expression.id] = Contents(isList: false, key: key ?? .fixed(0), value: value ?? .fixed(0))
            return sum
        case .structure(_, let members):
            return members.reduce(.fixed(40)) { $0 + cost($1.value, lookup) }
        case .comprehension(let fold): return comprehension(expression, fold, lookup)
        }
    }

    private static func union(_ left: CELSize?, _ right: CELSize) -> CELSize {
        guard let left else { return right }
        return CELSize(minimum: min(left.minimum, right.minimum), maximum: max(left.maximum, right.maximum))
    }

    private mutating func comprehension(
        _ expression: Expression, _ fold: Comprehension, _ lookup: ([String]) -> CELSize?
    ) -> CELCost {
        var sum = cost(fold.range, lookup) + cost(fold.initial, lookup)
        let depth = scopes.count
        defer { scopes.removeLast(scopes.count - depth) }
        scopes.append(
            (
                fold.accumulator,
                Local(
                    path: path(fold.initial), size: knownSize(fold.initial, lookup),
                    contents: knownContents(fold.initial))
            ))
        if case .binding = fold.shape {
            sum = sum + cost(fold.result, lookup)
            if let size = knownSize(fold.result, lookup) { sizes[expression.id] = size }
            contents[expression.id] = knownContents(fold.result)
            return sum
        }
        let held = knownContents(fold.range)
        let isList =
            held?.isList
            ?? { if case .list = checked.type(of: fold.range) { true } else { false } }()
        let path = path(fold.range)
        func local(_ step: String, _ size: CELSize?) -> Local {
            Local(path: path.map { $0 + [step] }, size: size, contents: nil)
        }
        if let second = fold.secondVariable {
            scopes.append((fold.variable, local(isList ? "@indices" : "@keys", held?.key)))
            scopes.append((second, local(isList ? "@items" : "@values", held?.value)))
        } else {
            scopes.append((fold.variable, local(isList ? "@items" : "@keys", isList ? held?.value : held?.key)))
        }
        let round = cost(fold.condition, lookup) + cost(fold.step, lookup)
        let stepContents = knownContents(fold.step)
        scopes.removeLast(scopes.count - depth - 1)
        sum = sum + cost(fold.result, lookup)
        let rounds = size(fold.range, lookup)
        sum = sum + round * rounds
        switch fold.initial.kind {
        case .literal: sizes[expression.id] = knownSize(fold.initial, lookup)
        case .list, .map:
            sizes[expression.id] = rounds
            if let stepContents { contents[expression.id] = stepContents }
        default: break
        }
        return sum
    }

    private mutating func call(
        _ expression: Expression, _ name: String, _ target: Expression?, _ arguments: [Expression],
        _ lookup: ([String]) -> CELSize?
    ) -> CELCost {
        if name == Operator.optionalSelect {
            let sum = cost(arguments[0], lookup) + .fixed(1)
            if case .literal(.string(let field)) = arguments[1].kind, let path = path(arguments[0]) {
                var name = field
                if case .field(let property, _) = checked.references[expression.id] { name = property }
                paths[expression.id] = path + [name]
            }
            return sum
        }
        guard case .function(let overloads) = checked.references[expression.id] else { return .fixed(0) }
        let receiver = checked.qualifiedCalls.contains(expression.id) ? nil : target
        let operands = (receiver.map { [$0] } ?? []) + arguments
        let operandCosts = operands.map { cost($0, lookup) }
        let operandSum = operandCosts.reduce(CELCost.fixed(0), +)
        switch name {
        case Operator.and, Operator.or:
            return CELCost(minimum: operandCosts[0].minimum, maximum: operandSum.maximum)
        case Operator.conditional:
            sizes[expression.id] = Self.union(size(operands[1], lookup), size(operands[2], lookup))
            contents[expression.id] = union(knownContents(operands[1]), knownContents(operands[2]))
            let (yes, no) = (operandCosts[1], operandCosts[2])
            return operandCosts[0]
                + CELCost(minimum: min(yes.minimum, no.minimum), maximum: max(yes.maximum, no.maximum))
        case "dyn":
            sizes[expression.id] = knownSize(operands[0], lookup)
            contents[expression.id] = knownContents(operands[0])
            return operandSum + .fixed(1)
        default: break
        }
        let operandSizes = operands.map { size($0, lookup) }
        var own: CELCost?
        for overload in overloads {
            let estimate = functionCost(name, overload, operands, operandSizes, lookup)
            own =
                own.map {
                    CELCost(minimum: min($0.minimum, estimate.minimum), maximum: max($0.maximum, estimate.maximum))
                } ?? estimate
        }
        setResult(expression, name, overloads, operands, operandSizes)
        return operandSum + (own ?? .fixed(1))
    }

    private func union(_ left: Contents?, _ right: Contents?) -> Contents? {
        guard let left, let right else { return nil }
        return Contents(
            isList: left.isList, key: Self.union(left.key, right.key), value: Self.union(left.value, right.value))
    }

    /// What is known of a call's result: sizes of texts and lists, and where an element comes from.
    private mutating func setResult(
        _ expression: Expression, _ name: String, _ overloads: [Overload], _ operands: [Expression],
        _ operandSizes: [CELSize]
    ) {
        var size: CELSize?
        switch name {
        case Operator.index, Operator.optionalIndex:
            let isList = if case .map = checked.type(of: operands[0]) { false } else { true }
            if let path = path(operands[0]) { paths[expression.id] = path + [isList ? "@items" : "@values"] }
            size = knownContents(operands[0])?.value
        case Operator.add:
            switch checked.type(of: expression) {
            case .string, .bytes, .list:
                size = operandSizes[0] + operandSizes[1]
                if let union = union(knownContents(operands[0]), knownContents(operands[1])) {
                    contents[expression.id] = union
                }
            default: break
            }
        case "url", "jsonpatch.escapeKey", "lowerAscii", "upperAscii", "substring", "trim", "reverse", "flatten",
            "distinct", "sort", "@sortByAssociatedKeys":
            size = operandSizes[0]
        case "strings.quote":
            let doubled = CostRule.product(operandSizes[0].maximum, 2)
            size = CELSize(
                minimum: CostRule.sum(operandSizes[0].minimum, 2), maximum: CostRule.sum(doubled, 2))
        case "replace": size = Self.replaced(operandSizes)
        case "split":
            var maximum = operandSizes[0].maximum
            if operands.count > 2, case .literal(.int(let limit)) = operands[2].kind, limit >= 0 {
                maximum = UInt64(limit)
            }
            size = CELSize(maximum: maximum)
        case "find", "findAll": size = CELSize(maximum: operandSizes[0].maximum)
        case "string" where overloads.contains { $0.id == "bytes_to_string" }:
            size = CELSize(minimum: operandSizes[0].minimum / 4, maximum: operandSizes[0].maximum)
        case "bytes":
            let maximum = CostRule.product(operandSizes[0].maximum, 4)
            size = CELSize(minimum: operandSizes[0].minimum, maximum: maximum)
        case "join":
            var joined = operandSizes[0] * (knownContents(operands[0])?.value ?? .unknown)
            if operands.count > 1 {
                let gaps = CELSize(
                    minimum: max(operandSizes[0].minimum, 1) - 1, maximum: max(operandSizes[0].maximum, 1) - 1)
                joined = joined + operandSizes[1] * gaps
            }
            size = joined
        case "slice":
            var end = operandSizes[0].maximum
            var start: UInt64 = 0
            if case .literal(.int(let value)) = operands[1].kind, value >= 0 { start = UInt64(value) }
            if case .literal(.int(let value)) = operands[2].kind, value >= 0 { end = UInt64(value) }
            size = .fixed(end >= start ? end - start : 0)
        case "lists.range":
            if case .literal(.int(let value)) = operands[0].kind { size = .fixed(UInt64(max(value, 0))) }
        default: break
        }
        if let size { sizes[expression.id] = size }
    }

    private static func replaced(_ sizes: [CELSize]) -> CELSize {
        let (text, old, new) = (sizes[0], sizes[1], sizes[2])
        func bound(_ size: UInt64, _ old: UInt64, _ new: UInt64, keeps: Bool) -> UInt64 {
            if old == 0 { return CostRule.sum(CostRule.product(CostRule.sum(size, 1), new), size) }
            if keeps { return size }
            let count = (Double(size) / Double(old)).rounded(.up)
            return CostRule.product(count >= 1e19 ? .max : UInt64(count), new)
        }
        return CELSize(
            minimum: bound(text.minimum, old.maximum, new.minimum, keeps: old.maximum <= new.minimum),
            maximum: bound(text.maximum, old.minimum, new.maximum, keeps: new.maximum <= old.minimum))
    }

    // MARK: Functions

    private mutating func functionCost(
        _ name: String, _ overload: Overload, _ operands: [Expression], _ sizes: [CELSize],
        _ lookup: ([String]) -> CELSize?
    ) -> CELCost {
        func at(_ index: Int) -> CELSize { index < sizes.count ? sizes[index] : .unknown }
        switch overload.cost {
        case .one: return .fixed(1)
        case .fixed(let cost): return .fixed(cost)
        case .walk(let argument, let factor):
            // Statically the prefix or suffix is what is walked, at run time the text: so upstream has it.
            let isAffix = name == "startsWith" || name == "endsWith"
            return at(isAffix ? 1 : argument).scaled(factor)
        case .walkResult:
            var joined = at(0) * elementSize(operands[0], lookup)
            if operands.count > 1 {
                let gaps = CELSize(minimum: max(at(0).minimum, 1) - 1, maximum: max(at(0).maximum, 1) - 1)
                joined = joined + at(1) * gaps
            }
            return joined.scaled(0.1)
        case .smaller:
            if case .opaque = checked.type(of: operands[0]) { return .fixed(1) }
            let smallest = min(at(0).maximum, at(1).maximum)
            return CELSize(minimum: smallest > 0 ? 1 : 0, maximum: smallest).scaled(0.1)
        case .sum: return (at(0) + at(1)).scaled(0.1)
        case .pattern: return (at(0) + .fixed(1)).scaled(0.1) * at(1).scaled(0.25)
        case .search: return at(0).scaled(0.1) * at(1).scaled(0.1)
        case .elements: return at(1).scaled(1)
        case .traversal:
            guard case .list(let element) = checked.type(of: operands[0]) else { return at(0).scaled(0.1) }
            var each = CELCost.fixed(1)
            if element == .string || element == .bytes { each = each + elementSize(operands[0], lookup).scaled(0.1) }
            return each * at(0)
        case .listResult:
            var size = at(0)
            if name == "slice" {
                var start: UInt64 = 0
                var end = at(0).maximum
                if case .literal(.int(let value)) = operands[1].kind, value >= 0 { start = UInt64(value) }
                if case .literal(.int(let value)) = operands[2].kind, value >= 0 { end = UInt64(value) }
                size = .fixed(end >= start ? end - start : 0)
            } else if name == "lists.range" {
                size = .fixed(.max)
                if case .literal(.int(let value)) = operands[0].kind { size = .fixed(UInt64(max(value, 0))) }
            }
            return size.scaled(1) + .fixed(11)
        case .flatten:
            var depth = 1.0
            if operands.count > 1 {
                depth = 1.8e19
                if case .literal(.int(let value)) = operands[1].kind, value >= 0 { depth = Double(value) }
            }
            return at(0).scaled(depth) + .fixed(11)
        case .selfCompare(let argument):
            var factor = 2.0
            if name != "distinct", case .list(let element) = overload.parameters[argument],
                element == .string || element == .bytes
            {
                factor = 2.1
            }
            return (at(argument) * at(argument)).scaled(factor) + .fixed(11)
        case .sets(let factor): return (at(0) * at(1)).scaled(factor) + .fixed(1)
        case .selector:
            let requirements = at(1).scaled(0.5)
            return .fixed(10) + at(1).scaled(0.1) + requirements * CELSize.fixed(50)
        case .format:
            let walked = at(1).scaled(0.1)
            return CELSize(minimum: walked.minimum, maximum: walked.maximum).scaled(128 * 0.25)
        case .containsIP(let parses):
            let bytes = CELSize(minimum: 8, maximum: 32).scaled(0.1)
            return parses ? bytes + at(1).scaled(0.1) : bytes
        case .containsCIDR(let parses):
            let bytes =
                CELSize(minimum: 8, maximum: 32).scaled(0.1) + CELSize(minimum: 4, maximum: 16).scaled(0.1) + .fixed(1)
            return parses ? bytes + at(1).scaled(0.1) : bytes
        }
    }

    private func elementSize(_ list: Expression, _ lookup: ([String]) -> CELSize?) -> CELSize {
        if let path = path(list), path.first != Operator.accumulator, let size = lookup(path + ["@items"]) {
            return size
        }
        return knownContents(list)?.value ?? .unknown
    }
}

extension CELSize {
    static func fixed(_ size: UInt64) -> CELSize { CELSize(minimum: size, maximum: size) }
    static func + (left: CELSize, right: CELSize) -> CELSize {
        CELSize(
            minimum: CostRule.sum(left.minimum, right.minimum), maximum: CostRule.sum(left.maximum, right.maximum))
    }
    static func * (left: CELSize, right: CELSize) -> CELSize {
        CELSize(
            minimum: CostRule.product(left.minimum, right.minimum),
            maximum: CostRule.product(left.maximum, right.maximum))
    }
    func scaled(_ factor: Double) -> CELCost {
        CELCost(minimum: CostRule.scaled(minimum, factor), maximum: CostRule.scaled(maximum, factor))
    }
}

extension CELCost {
    static func fixed(_ cost: UInt64) -> CELCost { CELCost(minimum: cost, maximum: cost) }
    static func + (left: CELCost, right: CELCost) -> CELCost {
        CELCost(
            minimum: CostRule.sum(left.minimum, right.minimum), maximum: CostRule.sum(left.maximum, right.maximum))
    }
    static func * (left: CELCost, right: CELCost) -> CELCost {
        CELCost(
            minimum: CostRule.product(left.minimum, right.minimum),
            maximum: CostRule.product(left.maximum, right.maximum))
    }
    static func * (left: CELCost, right: CELSize) -> CELCost {
        left * CELCost(minimum: right.minimum, maximum: right.maximum)
    }
}
