public import OrderedCollections

/// Members of a JSON object in the order of the document; linear for few members, hashed for many.
public typealias JSONObject = OrderedDictionary<String, JSON>

/// A parsed JSON document, compact and exact.
///
/// Integers that fit 64 bits are `integer`; every other number keeps its text, so that a document is printed with the
/// numbers it came with. Equality ignores the order of object members, as JSON does.
public enum JSON: Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(JSONNumber)
    case string(String)
    case array([JSON])
    case object(JSONObject)
}

/// A number that is not a 64-bit integer, kept as the text it was written with.
public struct JSONNumber: Sendable, Hashable {
    /// The number as JSON text, for example `1.50` or `1e400`.
    public let text: String

    /// Wraps number text that is already valid JSON.
    public init(text: String) {
        self.text = text
    }

    /// The nearest double; infinite when the text is out of range.
    public var doubleValue: Double {
        Double(text) ?? (text.hasPrefix("-") ? -.infinity : .infinity)
    }
}

extension JSON: Equatable {
    /// Structural equality; the order of object members does not matter.
    public static func == (left: JSON, right: JSON) -> Bool {
        switch (left, right) {
        case (.null, .null): return true
        case (.bool(let a), .bool(let b)): return a == b
        case (.integer(let a), .integer(let b)): return a == b
        case (.number(let a), .number(let b)): return a.text == b.text || a.doubleValue == b.doubleValue
        case (.integer(let a), .number(let b)): return Double(a) == b.doubleValue
        case (.number(let a), .integer(let b)): return a.doubleValue == Double(b)
        case (.string(let a), .string(let b)): return a == b
        case (.array(let a), .array(let b)): return a == b
        case (.object(let a), .object(let b)):
            guard a.count == b.count else { return false }
            for (key, value) in a {
                guard let other = b[key], other == value else { return false }
            }
            return true
        default: return false
        }
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }
    public init(nilLiteral: ()) { self = .null }
    public init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(JSONObject(elements, uniquingKeysWith: { _, last in last }))
    }
}

// MARK: - Reading

extension JSON {
    /// The string, or nil for any other type.
    public var string: String? {
        if case .string(let value) = self { value } else { nil }
    }
    /// The integer, or nil for any other type or a number with a fraction.
    public var int: Int? {
        switch self {
        case .integer(let value): Int(value)
        case .number(let value): Int(exactly: value.doubleValue)
        default: nil
        }
    }
    /// The number as a double, or nil for any other type.
    public var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value.doubleValue
        default: nil
        }
    }
    /// The boolean, or nil for any other type.
    public var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }
    /// The elements, or nil for any other type.
    public var array: [JSON]? {
        if case .array(let value) = self { value } else { nil }
    }
    /// The members, or nil for any other type.
    public var object: JSONObject? {
        if case .object(let value) = self { value } else { nil }
    }
    /// True for JSON `null`, which is also what a missing member reads as.
    public var isNull: Bool {
        if case .null = self { true } else { false }
    }
    /// Elements of an array; empty for null or any other type.
    public var elements: [JSON] { array ?? [] }
    /// Members of an object; empty for null or any other type.
    public var members: JSONObject { object ?? [:] }
    /// An object whose values are strings as a dictionary; members of other types are left out.
    public var stringMap: [String: String] {
        guard case .object(let members) = self else { return [:] }
        var result = [String: String](minimumCapacity: members.count)
        for (key, value) in members {
            if case .string(let text) = value { result[key] = text }
        }
        return result
    }

    /// Member of an object. Reading a missing member, or one of something that is no object, gives `.null`. Writing
    /// makes an object of `null`; writing `.null` stores a null (use `removeMember` to remove).
    public subscript(key: String) -> JSON {
        get {
            if case .object(let members) = self { members[key] ?? .null } else { .null }
        }
        _modify {
            var members: JSONObject
            if case .object(let existing) = self { members = existing } else { members = [:] }
            // Gives up our reference, so that the member is changed in place. The defers put the object back even
            // when the caller's access ends with an error.
            self = .null
            if let index = members.index(forKey: key) {
                defer { self = .object(members) }
                yield &members.values[index]
            } else {
                var value = JSON.null
                defer {
                    members[key] = value
                    self = .object(members)
                }
                yield &value
            }
        }
    }

    /// Element of an array; `.null` when out of range or not an array. Writing needs an existing index.
    public subscript(index: Int) -> JSON {
        get {
            if case .array(let elements) = self, elements.indices.contains(index) { elements[index] } else { .null }
        }
        _modify {
            guard case .array(var elements) = self, elements.indices.contains(index) else {
                preconditionFailure("index \(index) is not in the array")
            }
            self = .null
            defer { self = .array(elements) }
            yield &elements[index]
        }
    }

    /// Removes a member and returns it; nil when there was none.
    @discardableResult
    public mutating func removeMember(_ key: String) -> JSON? {
        guard case .object(var members) = self else { return nil }
        self = .null
        let removed = members.removeValue(forKey: key)
        self = .object(members)
        return removed
    }

    /// Sets the member, or removes it when the value is nil or null. Both, because `x.isEmpty ? nil : json` means JSON's
    /// null to the compiler, and the absent member to whoever writes it.
    public mutating func setMember(_ key: String, _ value: JSON?) {
        if let value, !value.isNull { self[key] = value } else { removeMember(key) }
    }
}

extension JSON {
    /// An object of strings.
    public init(_ map: [String: String]) {
        var members = JSONObject(minimumCapacity: map.count)
        for key in map.keys.sorted() { members[key] = map[key].map(JSON.string) }
        self = .object(members)
    }
    /// An array of strings.
    public init(_ strings: [String]) {
        self = .array(strings.map(JSON.string))
    }
    /// An integer.
    public init(_ value: Int) {
        self = .integer(Int64(value))
    }
}
