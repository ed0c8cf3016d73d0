// Macros become folds while the text is read. Costs are counted on these folds, so they have upstream's parts.
extension Parser {
    mutating func expandGlobal(
        _ offset: Int, _ name: String, _ arguments: [Expression]
    ) throws(Failure) -> Expression? {
        guard name == "has" || name == ".has", arguments.count == 1 else { return nil }
        guard case .select(let operand, let field, false) = arguments[0].kind else {
            throw Failure(offset: arguments[0].offset, message: "invalid argument to has() macro")
        }
        return try make(offset, .select(operand, field: field, isTest: true))
    }

    mutating func expandMember(
        _ offset: Int, _ name: String, _ target: Expression, _ arguments: [Expression]
    ) throws(Failure) -> Expression? {
        switch (name, arguments.count) {
        case ("all", 2), ("exists", 2), ("exists_one", 2), ("existsOne", 2), ("map", 2), ("map", 3), ("filter", 2):
            return try expandFold(offset, name, target, arguments, hasTwo: false)
        case ("all", 3), ("exists", 3), ("exists_one", 3), ("existsOne", 3), ("transformList", 3), ("transformList", 4),
            ("transformMap", 3), ("transformMap", 4), ("transformMapEntry", 3), ("transformMapEntry", 4):
            return try expandFold(offset, name, target, arguments, hasTwo: true)
        case ("optMap", 2), ("optFlatMap", 2): return try expandOptional(offset, name, target, arguments)
        case ("sortBy", 2): return try expandSortBy(offset, target, arguments)
        case ("bind", 3) where libraries.contains(.extensions):
            guard case .identifier("cel") = target.kind else { return nil }
            let variable = try simpleName(arguments[0], "cel.bind() variable names must be simple identifiers")
            return try makeBinding(offset, variable, arguments[1], arguments[2])
        default: return nil
        }
    }

    private func simpleName(
        _ expression: Expression, _ message: String = "argument must be a simple name"
    ) throws(Failure) -> String {
        guard case .identifier(let name) = expression.kind, !name.hasPrefix(".") else {
            throw Failure(offset: expression.offset, message: message)
        }
        if name == "__result__" {
            throw Failure(offset: expression.offset, message: "iteration variable overwrites accumulator variable")
        }
        return name
    }

    private mutating func accumulator(_ offset: Int) throws(Failure) -> Expression {
        try make(offset, .identifier(Operator.accumulator))
    }

    private mutating func expandFold(
        _ offset: Int, _ name: String, _ target: Expression, _ arguments: [Expression], hasTwo: Bool
    ) throws(Failure) -> Expression {
        let first = try simpleName(arguments[0])
        let second = hasTwo ? try simpleName(arguments[1]) : nil
        if let second, first == second {
            throw Failure(offset: arguments[1].offset, message: "duplicate variable name: \(first)")
        }
        let rest = Array(arguments.dropFirst(hasTwo ? 2 : 1))
        let last = rest[rest.count - 1]
        let always = try make(offset, .literal(.bool(true)))
        let result = try accumulator(offset)
        let current = try accumulator(offset)
        func fold(
            _ shape: Comprehension.Shape, _ initial: Expression, _ condition: Expression, _ step: Expression,
            _ result: Expression, _ body: Expression
        ) -> Expression.Kind {
            .comprehension(
                Comprehension(
                    shape, range: target, variable: first, secondVariable: second, accumulator: Operator.accumulator,
                    initial: initial, condition: condition, step: step, result: result, body: body))
        }
        switch name {
        case "all":
            let condition = try makeCall(offset, Operator.notStrictlyFalse, [accumulator(offset)])
            let step = try makeCall(offset, Operator.and, [current, last])
            return try make(offset, fold(.all, always, condition, step, result, last))
        case "exists":
            let not = try makeCall(offset, Operator.not, [accumulator(offset)])
            let condition = try makeCall(offset, Operator.notStrictlyFalse, [not])
            let step = try makeCall(offset, Operator.or, [current, last])
            let initial = try make(offset, .literal(.bool(false)))
            return try make(offset, fold(.exists, initial, condition, step, result, last))
        case "exists_one", "existsOne":
            let one = try make(offset, .literal(.int(1)))
            let plus = try makeCall(offset, Operator.add, [accumulator(offset), one])
            let step = try makeCall(offset, Operator.conditional, [last, plus, current])
            let isOne = try makeCall(offset, Operator.equals, [result, make(offset, .literal(.int(1)))])
            let initial = try make(offset, .literal(.int(0)))
            return try make(offset, fold(.existsOne, initial, always, step, isOne, last))
        case "transformMap", "transformMapEntry":
            let isEntry = name == "transformMapEntry"
            let key = try make(offset, .identifier(first))
            var step = try makeCall(
                offset, Operator.mapInsert, isEntry ? [accumulator(offset), last] : [accumulator(offset), key, last])
            let condition = rest.count == 2 ? rest[0] : nil
            if let condition { step = try makeCall(offset, Operator.conditional, [condition, step, current]) }
            let initial = try make(offset, .map([]))
            let shape: Comprehension.Shape =
                isEntry ? .entries(condition: condition, map: last) : .map(condition: condition, value: last)
            return try make(offset, fold(shape, initial, always, step, result, last))
        default:
            let isFilter = name == "filter"
            let element = isFilter ? try make(offset, .identifier(first)) : last
            let condition = isFilter ? last : rest.count == 2 ? rest[0] : nil
            let single = try make(offset, .list([element], optional: []))
            var step = try makeCall(offset, Operator.add, [accumulator(offset), single])
            if let condition { step = try makeCall(offset, Operator.conditional, [condition, step, current]) }
            let initial = try make(offset, .list([], optional: []))
            return try make(
                offset, fold(.list(condition: condition, element: element), initial, always, step, result, last))
        }
    }

    private mutating func makeBinding(
        _ offset: Int, _ variable: String, _ value: Expression, _ result: Expression
    ) throws(Failure) -> Expression {
        let range = try make(offset, .list([], optional: []))
        let never = try make(offset, .literal(.bool(false)))
        let step = try make(offset, .identifier(variable))
        return try make(
            offset,
            .comprehension(
                Comprehension(
                    .binding, range: range, variable: "#unused", secondVariable: nil, accumulator: variable,
                    initial: value, condition: never, step: step, result: result, body: result)))
    }

    private mutating func expandOptional(
        _ offset: Int, _ name: String, _ target: Expression, _ arguments: [Expression]
    ) throws(Failure) -> Expression {
        let variable = try simpleName(arguments[0], "\(name)() variable name must be a simple identifier")
        let has = try make(offset, .call("hasValue", target: target, arguments: []))
        let value = try make(offset, .call("value", target: target, arguments: []))
        var mapped = try makeBinding(offset, variable, value, arguments[1])
        if name == "optMap" { mapped = try makeCall(offset, "optional.of", [mapped]) }
        let none = try makeCall(offset, "optional.none", [])
        return try makeCall(offset, Operator.conditional, [has, mapped, none])
    }

    private mutating func expandSortBy(
        _ offset: Int, _ target: Expression, _ arguments: [Expression]
    ) throws(Failure) -> Expression {
        let input = "@__sortBy_input__"
        let keys = try expandFold(offset, "map", make(offset, .identifier(input)), arguments, hasTwo: false)
        let list = try make(offset, .identifier(input))
        let sorted = try make(offset, .call("@sortByAssociatedKeys", target: list, arguments: [keys]))
        return try makeBinding(offset, input, target, sorted)
    }
}
