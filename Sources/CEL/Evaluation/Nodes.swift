import JSON

final class ConstantNode: Node {
    let value: CELValue
    init(_ value: CELValue) { self.value = value }
    func evaluate(_ frame: inout Frame) -> CELValue { value }
}

final class VariableNode: Node {
    let name: String
    init(_ name: String) { self.name = name }
    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        try frame.charge(1)
        guard let value = frame.variables[name] else { throw CELFailure("no such attribute(s): \(name)") }
        return value
    }
}

final class LocalNode: Node {
    let slot: Int
    init(_ slot: Int) { self.slot = slot }
    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        try frame.charge(1)
        return frame.locals[slot]
    }
}

/// `self.spec.replicas`: declared fields below a variable, read from JSON without making values on the way.
final class PathNode: Node {
    let variable: String
    let fields: [(name: String, field: CELObjectType.Field)]
    private let last: CELObjectType.Field

    init(_ variable: String, _ fields: [(name: String, field: CELObjectType.Field)], last: CELObjectType.Field) {
        self.variable = variable
        self.fields = fields
        self.last = last
    }

    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        try frame.charge(UInt64(fields.count) + 1)
        guard let root = frame.variables[variable] else { throw CELFailure("no such attribute(s): \(variable)") }
        guard case .object(.json(var members, _)) = root else {
            var value = root
            for (name, field) in fields {
                guard let next = try Fields.read(value, name, field, &frame) else { throw Fields.missing(name) }
                value = next
            }
            return value
        }
        for (name, _) in fields.dropLast() {
            guard let json = members[name] else { throw Fields.missing(name) }
            guard case .object(let inner) = json else { throw Fields.missing(name) }
            members = inner
        }
        let name = fields[fields.count - 1].name
        guard let json = members[name] else { throw Fields.missing(name) }
        return CELValue(json: json, type: last.type, listKind: last.listKind)
    }
}

/// Reading fields of objects and keys of maps.
enum Fields {
    static func missing(_ name: String) -> CELFailure { CELFailure("no such key: \(name)") }

    /// The field's value; nil when it is absent.
    /// - Parameters:
    ///   - name: as an identifier, or the name in JSON when `declared` is known.
    static func read(
        _ value: CELValue, _ name: String, _ declared: CELObjectType.Field?, _ frame: inout Frame
    ) throws(CELFailure) -> CELValue? {
        switch value {
        case .object(.json(let members, let type)):
            if let declared {
                return members[name].map { CELValue(json: $0, type: declared.type, listKind: declared.listKind) }
            }
            if let (property, field) = type.lookup(name) {
                return members[property].map { CELValue(json: $0, type: field.type, listKind: field.listKind) }
            }
            return members[name].map { CELValue(json: $0, type: .dyn) }
        case .map(let map): return map[name: name]
        case .object(.fields(let fields, _)): return try frame.field(name, of: fields)
        case .optional(let inner):
            guard let inner else { return nil }
            return try read(inner, name, declared, &frame)
        default: throw Arithmetic.noOverload
        }
    }
}

final class SelectNode: Node {
    let operand: any Node
    let name: String
    let field: CELObjectType.Field?
    /// 2 when the operand is the result of a call: reaching into it counts too.
    let cost: UInt64

    init(_ operand: any Node, _ name: String, _ field: CELObjectType.Field?, cost: UInt64) {
        self.operand = operand
        self.name = name
        self.field = field
        self.cost = cost
    }

    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        let value = try operand.evaluate(&frame)
        try frame.charge(cost)
        if case .optional(let inner) = value {
            // Selection goes through optionals and stays optional.
            guard let inner else { return .optional(nil) }
            return .optional(try Fields.read(inner, name, field, &frame))
        }
        guard let result = try Fields.read(value, name, field, &frame) else { throw Fields.missing(name) }
        return result
    }
}

/// `has(a.b)`: free beyond its operand, as Kubernetes has it.
final class HasNode: Node {
    let operand: any Node
    let name: String
    let field: CELObjectType.Field?

    init(_ operand: any Node, _ name: String, _ field: CELObjectType.Field?) {
        self.operand = operand
        self.name = name
        self.field = field
    }

    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        .bool(try Fields.read(operand.evaluate(&frame), name, field, &frame) != nil)
    }
}

/// `a.?b`
final class OptionalSelectNode: Node {
    let operand: any Node
    let name: String
    let field: CELObjectType.Field?

    init(_ operand: any Node, _ name: String, _ field: CELObjectType.Field?) {
        self.operand = operand
        self.name = name
        self.field = field
    }

    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        let value = try operand.evaluate(&frame)
        try frame.charge(1)
        return .optional(try Fields.read(value, name, field, &frame))
    }
}

/// `a[b]` and `a[?b]`
final class IndexNode: Node {
    let operand: any Node
    let index: any Node
    let isOptional: Bool
    let cost: UInt64

    init(_ operand: any Node, _ index: any Node, isOptional: Bool, cost: UInt64) {
        self.operand = operand
        self.index = index
        self.isOptional = isOptional
        self.cost = cost
    }

    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        let value = try operand.evaluate(&frame)
        let key = try index.evaluate(&frame)
        try frame.charge(cost)
        if case .optional(let inner) = value {
            guard let inner else { return .optional(nil) }
            return .optional(try lookup(inner, key, isOptional: true))
        }
        let result = try lookup(value, key, isOptional: isOptional)
        if isOptional { return .optional(result) }
        guard let result else { throw Fields.missing(CELText.display(key)) }
        return result
    }

    private func lookup(_ value: CELValue, _ key: CELValue, isOptional: Bool) throws(CELFailure) -> CELValue? {
        switch value {
        case .list(let list):
            guard let position = Self.position(key) else {
                throw CELFailure("unsupported index type '\(TypeNames.name(TypeNames.type(of: key)))' in list")
            }
            guard position >= 0, position < list.count else {
                if isOptional { return nil }
                throw CELFailure("index out of bounds: \(position)")
            }
            return list[Int(position)]
        case .map(let map): return map[key]
        case .object(.json(let members, let type)):
            guard case .string(let name) = key else { throw Arithmetic.noOverload }
            let field = type.fields[name]
            return members[name].map {
                CELValue(json: $0, type: field?.type ?? .dyn, listKind: field?.listKind ?? .atomic)
            }
        default: throw Arithmetic.noOverload
        }
    }

    private static func position(_ key: CELValue) -> Int64? {
        switch key {
        case .int(let value): value
        case .uint(let value): Int64(exactly: value)
        case .double(let value): Int64(exactly: value)
        default: nil
        }
    }
}

/// A chain of `&&` or `||`. A term that decides makes the others' errors irrelevant.
final class LogicalNode: Node {
    let terms: [any Node]
    /// False for `&&`, true for `||`.
    let deciding: Bool

    init(_ terms: [any Node], deciding: Bool) {
        self.terms = terms
        self.deciding = deciding
    }

    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        var failure: CELFailure?
        for term in terms {
            do {
                let value = try term.evaluate(&frame)
                guard case .bool(let value) = value else {
                    if failure == nil { failure = Arithmetic.noOverload }
                    continue
                }
                if value == deciding { return .bool(deciding) }
            } catch {
                if error.kind != .error { throw error }
                if failure == nil { failure = error }
            }
        }
        if let failure { throw failure }
        return .bool(!deciding)
    }
}

final class NotNode: Node {
    let operand: any Node
    init(_ operand: any Node) { self.operand = operand }
    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        let value = try operand.evaluateBool(&frame)
        try frame.charge(1)
        return .bool(!value)
    }
}

final class ConditionalNode: Node {
    let condition: any Node
    let yes: any Node
    let no: any Node
    init(_ condition: any Node, _ yes: any Node, _ no: any Node) {
        self.condition = condition
        self.yes = yes
        self.no = no
    }
    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        try condition.evaluateBool(&frame) ? try yes.evaluate(&frame) : try no.evaluate(&frame)
    }
}

final class EqualityNode: Node {
    let left: any Node
    let right: any Node
    /// True for `==`.
    let wanted: Bool

    init(_ left: any Node, _ right: any Node, wanted: Bool) {
        self.left = left
        self.right = right
        self.wanted = wanted
    }

    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        let a = try left.evaluate(&frame)
        let b = try right.evaluate(&frame)
        switch (a, b) {
        case (.int(let a), .int(let b)):
            try frame.charge(1)
            return .bool((a == b) == wanted)
        case (.opaque, _): try frame.charge(1)
        default: try frame.charge(CostRule.smaller.actual([a, b], .null))
        }
        return .bool(a.isEqual(to: b) == wanted)
    }
}

final class ComparisonNode: Node {
    enum Kind { case less, lessOrEqual, greater, greaterOrEqual }
    let left: any Node
    let right: any Node
    let kind: Kind

    init(_ left: any Node, _ right: any Node, _ kind: Kind) {
        self.left = left
        self.right = right
        self.kind = kind
    }

    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        let a = try left.evaluate(&frame)
        let b = try right.evaluate(&frame)
        switch (a, b) {
        case (.int(let a), .int(let b)):
            try frame.charge(1)
            switch kind {
            case .less: return .bool(a < b)
            case .lessOrEqual: return .bool(a <= b)
            case .greater: return .bool(a > b)
            case .greaterOrEqual: return .bool(a >= b)
            }
        case (.string, .string), (.bytes, .bytes): try frame.charge(CostRule.smaller.actual([a, b], .null))
        default: try frame.charge(1)
        }
        guard let order = CELValue.order(a, b) else {
            // NaN compares as false with every number; other types do not compare at all.
            switch (a, b) {
            case (.double, .double), (.double, .int), (.double, .uint), (.int, .double), (.uint, .double):
                return .bool(false)
            default: throw Arithmetic.noOverload
            }
        }
        switch kind {
        case .less: return .bool(order < 0)
        case .lessOrEqual: return .bool(order <= 0)
        case .greater: return .bool(order > 0)
        case .greaterOrEqual: return .bool(order >= 0)
        }
    }
}

final class ArithmeticNode: Node {
    enum Kind { case add, subtract, multiply, divide, modulo }
    let left: any Node
    let right: any Node
    let kind: Kind

    init(_ left: any Node, _ right: any Node, _ kind: Kind) {
        self.left = left
        self.right = right
        self.kind = kind
    }

    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        let a = try left.evaluate(&frame)
        let b = try right.evaluate(&frame)
        switch a {
        case .string, .bytes: try frame.charge(CostRule.sum.actual([a, b], .null))
        case .list(let list):
            // Upstream concatenates lazily for 1; a copy of a large list must pay for its memory.
            var cost: UInt64 = 1
            if case .list(let other) = b, list.count + other.count > 1000 {
                cost = UInt64(list.count + other.count) / 2
            }
            try frame.charge(cost)
        default: try frame.charge(1)
        }
        return switch kind {
        case .add: try Arithmetic.add(a, b)
        case .subtract: try Arithmetic.subtract(a, b)
        case .multiply: try Arithmetic.multiply(a, b)
        case .divide: try Arithmetic.divide(a, b)
        case .modulo: try Arithmetic.modulo(a, b)
        }
    }
}

final class NegationNode: Node {
    let operand: any Node
    init(_ operand: any Node) { self.operand = operand }
    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        let value = try operand.evaluate(&frame)
        try frame.charge(1)
        return try Arithmetic.negate(value)
    }
}

/// `x in y`
final class ContainmentNode: Node {
    let element: any Node
    let container: any Node
    init(_ element: any Node, _ container: any Node) {
        self.element = element
        self.container = container
    }
    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        let value = try element.evaluate(&frame)
        switch try container.evaluate(&frame) {
        case .list(let list):
            try frame.charge(UInt64(list.count))
            return .bool(list.contains(value))
        case .map(let map):
            try frame.charge(1)
            return .bool(map[value] != nil)
        case .object(.json(let members, _)):
            try frame.charge(1)
            guard case .string(let name) = value else { return .bool(false) }
            return .bool(members[name] != nil)
        default: throw Arithmetic.noOverload
        }
    }
}

/// A function of the table: the first overload whose parameters fit the values runs.
final class CallNode: Node {
    let overloads: [Overload]
    let arguments: [any Node]
    let name: String

    init(_ name: String, _ overloads: [Overload], _ arguments: [any Node]) {
        self.name = name
        self.overloads = overloads
        self.arguments = arguments
    }

    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        var values: [CELValue] = []
        values.reserveCapacity(arguments.count)
        for argument in arguments { values.append(try argument.evaluate(&frame)) }
        for overload in overloads where overload.accepts(values) {
            // Before the work where the cost is known before, so that a huge result is never made.
            if !overload.cost.needsResult {
                try frame.charge(overload.cost.actual(values, .null))
                let result = try overload.run(values)
                // Texts that `replace` and `format` blow up pay for their length.
                if case .string(let text) = result, text.utf8.count > 10_000 {
                    try frame.charge(UInt64(text.utf8.count) / 10)
                }
                return result
            }
            let result = try overload.run(values)
            try frame.charge(overload.cost.actual(values, result))
            return result
        }
        throw Arithmetic.noOverload
    }
}
