import ObjectModel

extension FunctionTable {
    private static let comparable: [CELType] = [.int, .uint, .double, .bool, .duration, .timestamp, .string, .bytes]

    mutating func addLists() {
        let a = CELType.parameter("A")
        for type in Self.comparable {
            member("isSorted", [.list(type)], .bool, cost: .traversal) { arguments throws(CELFailure) in
                let list = arguments[0].asList
                for index in 0..<max(list.count - 1, 0) {
                    guard let order = CELValue.order(list[index], list[index + 1]) else { throw Arithmetic.noOverload }
                    if order > 0 { return .bool(false) }
                }
                return .bool(true)
            }
            member("max", [.list(type)], type, cost: .traversal) { arguments throws(CELFailure) in
                try Self.extreme(arguments[0].asList, "max", 1)
            }
            member("min", [.list(type)], type, cost: .traversal) { arguments throws(CELFailure) in
                try Self.extreme(arguments[0].asList, "min", -1)
            }
            member("sort", [.list(type)], .list(type), cost: .selfCompare(argument: 0), id: "list_\(type)_sort") {
                arguments throws(CELFailure) in try Self.sort(arguments[0].asList, by: arguments[0].asList)
            }
            member(
                "@sortByAssociatedKeys", [.list(a), .list(type)], .list(a), cost: .selfCompare(argument: 1),
                id: "list_\(type)_sortByAssociatedKeys"
            ) { arguments throws(CELFailure) in try Self.sort(arguments[0].asList, by: arguments[1].asList) }
        }
        let zeros: [(CELType, CELValue)] = [
            (.int, .int(0)), (.uint, .uint(0)), (.double, .double(0)),
            (.duration, .duration(GoDuration(nanoseconds: 0))),
        ]
        for (type, zero) in zeros {
            member("sum", [.list(type)], type, cost: .traversal) { arguments throws(CELFailure) in
                var sum = zero
                for element in arguments[0].asList.values { sum = try Arithmetic.add(sum, element) }
                return sum
            }
        }
        member("indexOf", [.list(a), a], .int, cost: .traversal) { arguments in
            let index = arguments[0].asList.values.firstIndex { $0.isEqual(to: arguments[1]) }
            return .int(Int64(index ?? -1))
        }
        member("lastIndexOf", [.list(a), a], .int, cost: .traversal) { arguments in
            let index = arguments[0].asList.values.lastIndex { $0.isEqual(to: arguments[1]) }
            return .int(Int64(index ?? -1))
        }
        addListChanges()
        addSets()
    }

    private static func extreme(_ list: CELList, _ name: String, _ wanted: Int) throws(CELFailure) -> CELValue {
        guard list.count > 0 else { throw CELFailure("\(name) called on empty list") }
        var best = list[0]
        for index in 1..<max(list.count, 1) {
            guard let order = CELValue.order(list[index], best) else { throw Arithmetic.noOverload }
            if order == wanted { best = list[index] }
        }
        return best
    }

    private static func sort(_ list: CELList, by keys: CELList) throws(CELFailure) -> CELValue {
        guard list.count == keys.count else {
            throw CELFailure("expected a list of the same size as the associated keys list")
        }
        let values = keys.values
        for value in values.dropFirst() {
            guard TypeNames.name(TypeNames.type(of: value)) == TypeNames.name(TypeNames.type(of: values[0])) else {
                throw CELFailure("list elements must have the same type")
            }
        }
        // NaN has no order; it keeps its place, so that sorting is never given an inconsistent comparison.
        if values.contains(where: { if case .double(let value) = $0 { value.isNaN } else { false } }) {
            throw CELFailure("list elements must be comparable")
        }
        let order = values.indices.sorted { left, right in
            let order = CELValue.order(values[left], values[right]) ?? 0
            return order == 0 ? left < right : order < 0
        }
        return .list(.values(order.map { list[$0] }))
    }

    private mutating func addListChanges() {
        let a = CELType.parameter("A")
        member("slice", [.list(a), .int, .int], .list(a), cost: .listResult, id: "list_slice") {
            arguments throws(CELFailure) in
            let list = arguments[0].asList
            let (start, end) = (arguments[1].asInt, arguments[2].asInt)
            if start < 0 || end < 0 {
                throw CELFailure("cannot slice(\(start), \(end)), negative indexes not supported")
            }
            if start > end {
                throw CELFailure(
                    "cannot slice(\(start), \(end)), start index must be less than or equal to end index")
            }
            if end > list.count { throw CELFailure("cannot slice(\(start), \(end)), list is length \(list.count)") }
            return .list(.values((Int(start)..<Int(end)).map { list[$0] }))
        }
        let flatten: Overload.Body = { arguments throws(CELFailure) in
            let depth = arguments.count > 1 ? arguments[1].asInt : 1
            if depth < 0 { throw CELFailure("level must be non-negative") }
            var result: [CELValue] = []
            // Values nest no deeper than texts that made them; a counter bounds the recursion all the same.
            func add(_ list: CELList, _ depth: Int64) {
                for element in list.values {
                    if depth > 0, case .list(let inner) = element {
                        add(inner, min(depth, 1000) - 1)
                    } else {
                        result.append(element)
                    }
                }
            }
            add(arguments[0].asList, depth)
            return .list(.values(result))
        }
        member("flatten", [.list(.list(a))], .list(a), cost: .flatten, id: "list_flatten", flatten)
        member("flatten", [.list(.dyn), .int], .list(.dyn), cost: .flatten, id: "list_flatten_int", flatten)
        member("reverse", [.list(a)], .list(a), cost: .listResult, id: "list_reverse") {
            .list(.values($0[0].asList.values.reversed()))
        }
        member("distinct", [.list(a)], .list(a), cost: .selfCompare(argument: 0), id: "list_distinct") {
            var result: [CELValue] = []
            for element in $0[0].asList.values where !result.contains(where: { $0.isEqual(to: element) }) {
                result.append(element)
            }
            return .list(.values(result))
        }
        function("lists.range", [.int], .list(.int), cost: .listResult, id: "lists_range") {
            arguments throws(CELFailure) in
            let count = arguments[0].asInt
            // More than one evaluation may cost cannot be used anyway, and must not be made.
            if count > 1_000_000 { throw CELFailure("operation cancelled: actual cost limit exceeded") }
            return .list(.values((0..<max(count, 0)).map(CELValue.int)))
        }
        for name in ["first", "last"] {
            member(name, [.list(a)], .optional(a)) {
                let list = $0[0].asList
                if list.count == 0 { return .optional(nil) }
                return .optional(list[name == "first" ? 0 : list.count - 1])
            }
        }
    }

    private mutating func addSets() {
        let a = CELType.parameter("A")
        @Sendable func containsAll(_ list: CELList, _ part: CELList) -> Bool {
            part.values.allSatisfy { list.contains($0) }
        }
        function("sets.contains", [.list(a), .list(a)], .bool, cost: .sets(factor: 1)) {
            .bool(containsAll($0[0].asList, $0[1].asList))
        }
        function("sets.intersects", [.list(a), .list(a)], .bool, cost: .sets(factor: 1)) { arguments in
            .bool(arguments[0].asList.values.contains { arguments[1].asList.contains($0) })
        }
        function("sets.equivalent", [.list(a), .list(a)], .bool, cost: .sets(factor: 2)) {
            .bool(containsAll($0[0].asList, $0[1].asList) && containsAll($0[1].asList, $0[0].asList))
        }
    }
}
