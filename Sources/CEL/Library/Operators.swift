// Signatures of the operators, for the checker. The planner gives most of them nodes of their own; what is left runs here.
extension FunctionTable {
    mutating func addOperators() {
        let a = CELType.parameter("A")
        let b = CELType.parameter("B")
        let unused: Overload.Body = { _ throws(CELFailure) in throw Arithmetic.noOverload }
        function(Operator.conditional, [.bool, a, a], a, unused)
        function(Operator.and, [.bool, .bool], .bool, unused)
        function(Operator.or, [.bool, .bool], .bool, unused)
        function(Operator.not, [.bool], .bool, unused)
        function(Operator.notStrictlyFalse, [.bool], .bool, unused)
        for name in [Operator.equals, Operator.notEquals] { function(name, [a, a], .bool, cost: .smaller, unused) }
        let ordered: [CELType] = [.bool, .int, .uint, .double, .string, .bytes, .timestamp, .duration]
        let numbers: [CELType] = [.int, .uint, .double]
        for name in [Operator.less, Operator.lessOrEqual, Operator.greater, Operator.greaterOrEqual] {
            for type in ordered {
                let cost: CostRule = type == .string || type == .bytes ? .smaller : .one
                function(name, [type, type], .bool, cost: cost, unused)
            }
            for left in numbers {
                for right in numbers where right != left { function(name, [left, right], .bool, unused) }
            }
        }
        for type in numbers + [.duration] { function(Operator.add, [type, type], type, unused) }
        for type in [CELType.string, .bytes] { function(Operator.add, [type, type], type, cost: .sum, unused) }
        function(Operator.add, [.list(a), .list(a)], .list(a), id: "add_list", unused)
        function(Operator.add, [.timestamp, .duration], .timestamp, unused)
        function(Operator.add, [.duration, .timestamp], .timestamp, unused)
        for type in numbers + [.duration] { function(Operator.subtract, [type, type], type, unused) }
        function(Operator.subtract, [.timestamp, .duration], .timestamp, unused)
        function(Operator.subtract, [.timestamp, .timestamp], .duration, unused)
        for type in numbers {
            function(Operator.multiply, [type, type], type, unused)
            function(Operator.divide, [type, type], type, unused)
        }
        for type in [CELType.int, .uint] { function(Operator.modulo, [type, type], type, unused) }
        for type in [CELType.int, .double, .duration] { function(Operator.negate, [type], type, unused) }
        function(Operator.contained, [a, .list(a)], .bool, cost: .elements, unused)
        function(Operator.contained, [a, .map(a, b)], .bool, unused)
        function(Operator.index, [.list(a), .int], a, id: "index_list", unused)
        function(Operator.index, [.map(a, b), a], b, id: "index_map", unused)
        function(Operator.index, [.optional(.list(a)), .int], .optional(a), unused)
        function(Operator.index, [.optional(.map(a, b)), a], .optional(b), unused)
        function(Operator.optionalIndex, [.list(a), .int], .optional(a), unused)
        function(Operator.optionalIndex, [.map(a, b), a], .optional(b), unused)
        function(Operator.optionalIndex, [.optional(.list(a)), .int], .optional(a), unused)
        function(Operator.optionalIndex, [.optional(.map(a, b)), a], .optional(b), unused)
        function(Operator.mapInsert, [.map(a, b), a, b], .map(a, b), unused)
        function(Operator.mapInsert, [.map(a, b), .map(a, b)], .map(a, b), unused)
    }

    mutating func addOptionals() {
        let a = CELType.parameter("A")
        function("optional.none", [], .optional(a)) { _ in .optional(nil) }
        function("optional.of", [a], .optional(a)) { .optional($0[0]) }
        function("optional.ofNonZeroValue", [a], .optional(a)) { .optional(Self.isZero($0[0]) ? nil : $0[0]) }
        member("hasValue", [.optional(a)], .bool) { .bool(Self.unwrap($0[0]) != nil) }
        member("value", [.optional(a)], a) { arguments throws(CELFailure) in
            guard let value = Self.unwrap(arguments[0]) else { throw CELFailure("optional.none() dereference") }
            return value
        }
        member("or", [.optional(a), .optional(a)], .optional(a)) { Self.unwrap($0[0]) == nil ? $0[1] : $0[0] }
        member("orValue", [.optional(a), a], a) { Self.unwrap($0[0]) ?? $0[1] }
        let unwrapAll: Overload.Body = { arguments throws(CELFailure) in
            var values: [CELValue] = []
            for element in arguments[0].asList.values {
                guard case .optional(let value) = element else { throw Arithmetic.noOverload }
                if let value { values.append(value) }
            }
            return .list(.values(values))
        }
        function("optional.unwrap", [.list(.optional(a))], .list(a), unwrapAll)
        member("unwrapOpt", [.list(.optional(a))], .list(a), unwrapAll)
    }

    private static func unwrap(_ value: CELValue) -> CELValue? {
        if case .optional(let inner) = value { inner } else { nil }
    }

    private static func isZero(_ value: CELValue) -> Bool {
        switch value {
        case .null: true
        case .bool(let value): !value
        case .int(let value): value == 0
        case .uint(let value): value == 0
        case .double(let value): value == 0
        case .string(let value): value.isEmpty
        case .bytes(let value): value.isEmpty
        case .timestamp(let value): value.seconds == CELTimestamp.range.lowerBound && value.nanoseconds == 0
        case .duration(let value): value.nanoseconds == 0
        case .list(let list): list.count == 0
        case .map(let map): map.count == 0
        case .object(.json(let members, _)): members.isEmpty
        case .optional(let value): value == nil
        default: false
        }
    }
}
