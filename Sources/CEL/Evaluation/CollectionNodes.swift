import JSON

final class ListNode: Node {
    let elements: [any Node]
    let optional: Set<Int>
    init(_ elements: [any Node], optional: Set<Int>) {
        self.elements = elements
        self.optional = optional
    }
    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        var values: [CELValue] = []
        values.reserveCapacity(elements.count)
        for (index, element) in elements.enumerated() {
            let value = try element.evaluate(&frame)
            if optional.contains(index) {
                guard case .optional(let inner) = value else { throw notOptional(value) }
                if let inner { values.append(inner) }
            } else {
                values.append(value)
            }
        }
        try frame.charge(10)
        return .list(.values(values))
    }
}

private func notOptional(_ value: CELValue) -> CELFailure {
    CELFailure("cannot initialize optional list element from non-optional value \(CELText.display(value))")
}

final class MapNode: Node {
    let entries: [(key: any Node, value: any Node, isOptional: Bool)]
    init(_ entries: [(key: any Node, value: any Node, isOptional: Bool)]) { self.entries = entries }
    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        var result = CELEntries()
        for entry in entries {
            let key = try entry.key.evaluate(&frame)
            var value = try entry.value.evaluate(&frame)
            if entry.isOptional {
                guard case .optional(let inner) = value else { throw notOptional(value) }
                guard let inner else { continue }
                value = inner
            }
            try result.add(key, value)
        }
        try frame.charge(30)
        return .map(.entries(result))
    }
}

extension CELEntries {
    /// Adds an entry.
    /// - Throws: when the key is there already or is no key.
    mutating func add(_ key: CELValue, _ value: CELValue) throws(CELFailure) {
        switch key {
        case .bool, .int, .uint, .string: break
        default: throw CELFailure("unsupported key type: \(TypeNames.name(TypeNames.type(of: key)))")
        }
        if !insert(key, value) { throw CELFailure("insert failed: key \(CELText.display(key)) already exists") }
    }
}

/// `Object{…}` and `JSONPatch{…}`: JSON at once.
final class StructureNode: Node {
    let type: CELObjectType
    let members: [(name: String, value: any Node, isOptional: Bool)]
    init(_ type: CELObjectType, _ members: [(name: String, value: any Node, isOptional: Bool)]) {
        self.type = type
        self.members = members
    }
    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        var object = JSONObject(minimumCapacity: members.count)
        for member in members {
            var value = try member.value.evaluate(&frame)
            if member.isOptional {
                guard case .optional(let inner) = value else { throw notOptional(value) }
                guard let inner else { continue }
                value = inner
            }
            try check(member.name, value)
            guard let json = value.json else {
                throw CELFailure(
                    "unsupported value of type '\(TypeNames.name(TypeNames.type(of: value)))' in field '\(member.name)'"
                )
            }
            object[member.name] = json
        }
        try frame.charge(40)
        return .object(.json(object, type))
    }

    /// `Object.spec` may only stand in the field `spec` of `Object`.
    private func check(_ name: String, _ value: CELValue) throws(CELFailure) {
        guard type.isOpen, case .object(.json(_, let inner)) = value, inner.isOpen else { return }
        let wanted = "\(type.name).\(name)"
        if inner.name != wanted {
            throw CELFailure(
                "unexpected type name \"\(inner.name)\", expected \"\(wanted)\", which matches field name path from root Object type"
            )
        }
    }
}

// MARK: - Folds

/// What a fold goes over: positions with their elements, or keys with their values.
struct FoldRange {
    enum Source {
        case list(CELList)
        case map(CELMap, keys: [CELValue])
    }
    let source: Source
    let count: Int

    init(_ value: CELValue) throws(CELFailure) {
        switch value {
        case .list(let list):
            source = .list(list)
            count = list.count
        case .map(let map):
            source = .map(map, keys: map.keys)
            count = map.count
        case .object(.json(let members, _)):
            let map = CELMap.json(members, .dyn)
            source = .map(map, keys: map.keys)
            count = map.count
        default: throw Arithmetic.noOverload
        }
    }

    /// Puts the variables of one round into their slots.
    func bind(_ index: Int, _ slots: FoldSlots, _ frame: inout Frame) {
        switch source {
        case .list(let list):
            if let second = slots.second {
                frame.locals[slots.first] = .int(Int64(index))
                frame.locals[second] = list[index]
            } else {
                frame.locals[slots.first] = list[index]
            }
        case .map(let map, let keys):
            frame.locals[slots.first] = keys[index]
            if let second = slots.second { frame.locals[second] = map[keys[index]] ?? .null }
        }
    }
}

struct FoldSlots: Sendable {
    let first: Int
    let second: Int?
}

/// `all` and `exists`
final class QuantifierNode: Node {
    let range: any Node
    let slots: FoldSlots
    let body: any Node
    /// False for `all`, true for `exists`.
    let deciding: Bool

    init(_ range: any Node, _ slots: FoldSlots, _ body: any Node, deciding: Bool) {
        self.range = range
        self.slots = slots
        self.body = body
        self.deciding = deciding
    }

    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        let range = try FoldRange(self.range.evaluate(&frame))
        var failure: CELFailure?
        // The loop's condition and the accumulator's reads; `exists` also negates.
        let perRound: UInt64 = deciding ? 4 : 3
        for index in 0..<range.count {
            try frame.charge(perRound)
            range.bind(index, slots, &frame)
            do {
                if case .bool(let value) = try body.evaluate(&frame) {
                    if value == deciding {
                        // The condition that ends the loop, when there were more rounds, and the result.
                        try frame.charge(index + 1 < range.count ? perRound : 1)
                        return .bool(deciding)
                    }
                } else if failure == nil {
                    failure = Arithmetic.noOverload
                }
            } catch {
                if error.kind != .error { throw error }
                if failure == nil { failure = error }
            }
        }
        try frame.charge(1)
        if let failure { throw failure }
        return .bool(!deciding)
    }
}

final class ExistsOneNode: Node {
    let range: any Node
    let slots: FoldSlots
    let body: any Node

    init(_ range: any Node, _ slots: FoldSlots, _ body: any Node) {
        self.range = range
        self.slots = slots
        self.body = body
    }

    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        let range = try FoldRange(self.range.evaluate(&frame))
        var count = 0
        for index in 0..<range.count {
            range.bind(index, slots, &frame)
            let holds = try body.evaluateBool(&frame)
            try frame.charge(holds ? 2 : 1)
            if holds { count += 1 }
        }
        try frame.charge(2)
        return .bool(count == 1)
    }
}

/// `map`, `filter`, `transformList`
final class CollectNode: Node {
    let range: any Node
    let slots: FoldSlots
    let condition: (any Node)?
    let element: any Node

    init(_ range: any Node, _ slots: FoldSlots, _ condition: (any Node)?, _ element: any Node) {
        self.range = range
        self.slots = slots
        self.condition = condition
        self.element = element
    }

    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        let range = try FoldRange(self.range.evaluate(&frame))
        var values: [CELValue] = []
        try frame.charge(10)
        for index in 0..<range.count {
            range.bind(index, slots, &frame)
            if let condition, !(try condition.evaluateBool(&frame)) {
                try frame.charge(1)
                continue
            }
            values.append(try element.evaluate(&frame))
            try frame.charge(12)
        }
        try frame.charge(1)
        return .list(.values(values))
    }
}

/// `transformMap` and `transformMapEntry`
final class MapCollectNode: Node {
    let range: any Node
    let slots: FoldSlots
    let condition: (any Node)?
    let value: any Node
    let isEntry: Bool

    init(_ range: any Node, _ slots: FoldSlots, _ condition: (any Node)?, _ value: any Node, isEntry: Bool) {
        self.range = range
        self.slots = slots
        self.condition = condition
        self.value = value
        self.isEntry = isEntry
    }

    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        let range = try FoldRange(self.range.evaluate(&frame))
        var entries = CELEntries()
        try frame.charge(30)
        for index in 0..<range.count {
            range.bind(index, slots, &frame)
            if let condition, !(try condition.evaluateBool(&frame)) {
                try frame.charge(1)
                continue
            }
            let made = try value.evaluate(&frame)
            try frame.charge(isEntry ? 2 : 3)
            if isEntry {
                guard case .map(let map) = made else { throw Arithmetic.noOverload }
                for key in map.keys { try entries.add(key, map[key] ?? .null) }
            } else {
                try entries.add(frame.locals[slots.first], made)
            }
        }
        try frame.charge(1)
        return .map(.entries(entries))
    }
}

/// `cel.bind` and what `optMap` is made of: a value under a name.
final class BindingNode: Node {
    let value: any Node
    let slot: Int
    let result: any Node

    init(_ value: any Node, _ slot: Int, _ result: any Node) {
        self.value = value
        self.slot = slot
        self.result = result
    }

    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        try frame.charge(10)
        frame.locals[slot] = try value.evaluate(&frame)
        return try result.evaluate(&frame)
    }
}

/// `optional.or(other)` and `optional.orValue(value)`: the right side only when it is needed.
final class OptionalOrNode: Node {
    let left: any Node
    let right: any Node
    let unwraps: Bool

    init(_ left: any Node, _ right: any Node, unwraps: Bool) {
        self.left = left
        self.right = right
        self.unwraps = unwraps
    }

    func evaluate(_ frame: inout Frame) throws(CELFailure) -> CELValue {
        guard case .optional(let value) = try left.evaluate(&frame) else { throw Arithmetic.noOverload }
        try frame.charge(1)
        guard let value else { return try right.evaluate(&frame) }
        return unwraps ? value : .optional(value)
    }
}
