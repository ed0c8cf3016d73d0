import JSON

extension CELList {
    /// The number of elements.
    public var count: Int {
        switch self {
        case .values(let values): values.count
        case .json(let elements, _, _): elements.count
        }
    }

    /// The element at a position.
    /// - Precondition: `0 <= index < count`.
    public subscript(index: Int) -> CELValue {
        switch self {
        case .values(let values): values[index]
        case .json(let elements, let type, _): CELValue(json: elements[index], type: type)
        }
    }

    /// All elements as values.
    public var values: [CELValue] {
        switch self {
        case .values(let values): values
        case .json(let elements, let type, _): elements.map { CELValue(json: $0, type: type) }
        }
    }

    func contains(_ value: CELValue) -> Bool {
        switch self {
        case .values(let values):
            for element in values where element.isEqual(to: value) { return true }
        case .json(let elements, let type, _):
            for element in elements where CELValue(json: element, type: type).isEqual(to: value) { return true }
        }
        return false
    }

    private var kind: CELListKind {
        if case .json(_, _, let kind) = self { kind } else { .atomic }
    }

    func isEqual(to other: CELList) -> Bool {
        guard count == other.count else { return false }
        switch kind {
        case .atomic: break
        case .set: return values.allSatisfy { other.contains($0) }
        case .map(let keys):
            return values.allSatisfy { element in
                other.values.contains { Self.hasSameKeys(element, $0, keys) && element.isEqual(to: $0) }
            }
        }
        for index in 0..<count where !self[index].isEqual(to: other[index]) { return false }
        return true
    }

    private static func hasSameKeys(_ left: CELValue, _ right: CELValue, _ keys: [String]) -> Bool {
        guard let left = left.json, let right = right.json else { return false }
        return keys.allSatisfy { left[$0] == right[$0] }
    }

    /// `+`: appends; for sets what is new, for lists with keys the others' elements replace those of the same keys.
    func adding(_ other: CELList) -> CELList {
        switch kind {
        case .atomic:
            if case .json(let left, let type, _) = self, case .json(let right, let otherType, _) = other,
                type == otherType
            {
                return .json(left + right, type, .atomic)
            }
            return .values(values + other.values)
        case .set:
            return .values(values + other.values.filter { !contains($0) })
        case .map(let keys):
            var result = values
            for element in other.values {
                if let index = result.firstIndex(where: { Self.hasSameKeys($0, element, keys) }) {
                    result[index] = element
                } else {
                    result.append(element)
                }
            }
            return .values(result)
        }
    }
}

extension CELMap {
    /// The number of entries.
    public var count: Int {
        switch self {
        case .entries(let entries): entries.entries.count
        case .json(let members, _): members.count
        }
    }

    /// The value of a key; nil when there is none.
    public subscript(key: CELValue) -> CELValue? {
        switch self {
        case .entries(let entries): return entries[key]
        case .json(let members, let type):
            guard case .string(let name) = key else { return nil }
            return members[name].map { CELValue(json: $0, type: type) }
        }
    }

    /// The value of a string key; nil when there is none.
    subscript(name name: String) -> CELValue? {
        switch self {
        case .entries(let entries): entries.entries[.string(name)]?.value
        case .json(let members, let type): members[name].map { CELValue(json: $0, type: type) }
        }
    }

    /// The keys in the order of their making.
    public var keys: [CELValue] {
        switch self {
        case .entries(let entries): entries.entries.values.map(\.key)
        case .json(let members, _): members.keys.map(CELValue.string)
        }
    }

    func isEqual(to other: CELMap) -> Bool {
        guard count == other.count else { return false }
        for key in keys {
            guard let left = self[key], let right = other[key], left.isEqual(to: right) else { return false }
        }
        return true
    }
}
