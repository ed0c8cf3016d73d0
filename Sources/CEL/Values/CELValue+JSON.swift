public import JSON
import ObjectModel

extension CELValue {
    /// A JSON value read as a static type. Objects and arrays are not copied: their members follow when they are read.
    /// A value that does not fit its type is read as what it is, and operators on it fail at run time.
    public init(json: JSON, type: CELType, listKind: CELListKind = .atomic) {
        switch json {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .integer(let value):
            switch type {
            case .double: self = .double(Double(value))
            case .uint where value >= 0: self = .uint(UInt64(value))
            default: self = .int(value)
            }
        case .number(let number):
            if case .uint = type, let value = UInt64(number.text) {
                self = .uint(value)
            } else if case .int = type, let value = Int64(exactly: number.doubleValue) {
                self = .int(value)
            } else {
                self = .double(number.doubleValue)
            }
        case .string(let text): self = Self.read(text, type)
        case .array(let elements):
            if case .list(let element) = type {
                self = .list(.json(elements, element, listKind))
            } else {
                self = .list(.json(elements, .dyn, listKind))
            }
        case .object(let members):
            switch type {
            case .object(let declared): self = .object(.json(members, declared))
            case .map(_, let value): self = .map(.json(members, value))
            default: self = .map(.json(members, .dyn))
            }
        }
    }

    private static func read(_ text: String, _ type: CELType) -> CELValue {
        switch type {
        case .timestamp: CELTimestamp(text).map(CELValue.timestamp) ?? .string(text)
        case .duration: GoDuration(text).map(CELValue.duration) ?? .string(text)
        case .bytes: Base64.decode(text.utf8).map(CELValue.bytes) ?? .string(text)
        default: .string(text)
        }
    }

    /// The value as JSON: times and durations as text, bytes in base64; nil for what JSON has no form for (types,
    /// opaque values, infinite numbers). An absent optional is null.
    public var json: JSON? {
        switch self {
        case .null: return .null
        case .bool(let value): return .bool(value)
        case .int(let value): return .integer(value)
        case .uint(let value):
            return Int64(exactly: value).map(JSON.integer) ?? .number(JSONNumber(text: String(value)))
        case .double(let value):
            guard value.isFinite else { return nil }
            // As Go's encoder does it: whole numbers have no fraction.
            if let whole = Int64(exactly: value) { return .integer(whole) }
            return .number(JSONNumber(text: "\(value)"))
        case .string(let value): return .string(value)
        case .bytes(let value): return .string(Base64.encode(value))
        case .timestamp(let value): return .string(value.description)
        case .duration(let value): return .string(CELText.seconds(value))
        case .list(.json(let elements, _, _)): return .array(elements)
        case .list(.values(let values)):
            var elements: [JSON] = []
            elements.reserveCapacity(values.count)
            for value in values {
                guard let element = value.json else { return nil }
                elements.append(element)
            }
            return .array(elements)
        case .map(.json(let members, _)), .object(.json(let members, _)): return .object(members)
        case .map(.entries(let entries)):
            var members = JSONObject(minimumCapacity: entries.entries.count)
            for entry in entries.entries.values {
                guard let value = entry.value.json else { return nil }
                members[CELText.key(entry.key)] = value
            }
            return .object(members)
        case .optional(let value):
            guard let value else { return .null }
            return value.json
        case .object(.fields), .type, .opaque: return nil
        }
    }
}
