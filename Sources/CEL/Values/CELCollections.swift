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
        case .set, .map:
            // By what identifies the elements, so that long lists take no quadratic time.
            var others: [String: CELValue] = [:]
            for element in other.values { others[identity(element)] = element }
            return values.allSatisfy { others[identity($0)]?.isEqual(to: $0) ?? false }
        }
        for index in 0..<count where !self[index].isEqual(to: other[index]) { return false }
        return true
    }

    /// What tells elements of sets and of lists with keys apart.
    private func identity(_ element: CELValue) -> String {
        guard let json = element.json else { return CELText.display(element) }
        guard case .map(let keys) = kind else { return Self.canonical(json) }
        return keys.map { Self.canonical(json[$0]) }.joined(separator: "\u{0}")
    }

    /// JSON text with the members of objects in order.
    private static func canonical(_ json: JSON) -> String {
        switch json {
        case .array(let elements): return "[" + elements.map(canonical).joined(separator: ",") + "]"
        case .object(let members):
            let sorted = members.elements.sorted { $0.key < $1.key }
            return "{" + sorted.map { "\($0.key):\(canonical($0.value))" }.joined(separator: ",") + "}"
        default: return json.description
        }
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
        case .set, .map:
            var result = values
            var positions: [String: Int] = [:]
            for (index, element) in result.enumerated() { positions[identity(element)] = index }
            for element in other.values {
                let identity = identity(element)
                if let index = positions[identity] {
                    result[index] = element
                } else {
                    positions[identity] = result.count
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
