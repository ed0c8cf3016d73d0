public import OrderedCollections

/// A map key. Equal numbers are equal keys whatever their types.
public enum CELKey: Sendable, Hashable {
    case bool(Bool)
    case int(Int64)
    /// Only values above `Int64.max`; smaller ones are `int`.
    case uint(UInt64)
    case string(String)

    /// The key that a value is; nil when it cannot be one.
    public init?(_ value: CELValue) {
        switch value {
        case .bool(let value): self = .bool(value)
        case .int(let value): self = .int(value)
        case .uint(let value): self = Int64(exactly: value).map(CELKey.int) ?? .uint(value)
        case .double(let value):
            if let int = Int64(exactly: value) {
                self = .int(int)
            } else if let uint = UInt64(exactly: value) {
                self = .uint(uint)
            } else {
                return nil
            }
        case .string(let value): self = .string(value)
        default: return nil
        }
    }
}

/// The entries of a map made by an expression, in the order of their making.
public struct CELEntries: Sendable {
    /// A key as it was written (its type matters to `type(key)`), and its value.
    public struct Entry: Sendable {
        public var key: CELValue
        public var value: CELValue
    }
    /// The entries by key.
    public var entries: OrderedDictionary<CELKey, Entry> = [:]

    /// No entries.
    public init() {}
    /// The value of a key; nil when there is none.
    public subscript(key: CELValue) -> CELValue? {
        guard let key = CELKey(key) else { return nil }
        return entries[key]?.value
    }
    /// Adds an entry.
    /// - Returns: false when the key exists (the entry stays as it was) or the value cannot be a key.
    public mutating func insert(_ key: CELValue, _ value: CELValue) -> Bool {
        guard let plain = CELKey(key), entries[plain] == nil else { return false }
        entries[plain] = Entry(key: key, value: value)
        return true
    }
}
