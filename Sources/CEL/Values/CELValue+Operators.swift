import JSON
import ObjectModel

extension CELValue {
    /// CEL's `==`: numbers are equal by value whatever their types; values of other different types are not equal.
    public func isEqual(to other: CELValue) -> Bool {
        switch (self, other) {
        case (.int(let a), .int(let b)): return a == b
        case (.string(let a), .string(let b)): return a.hasSameScalars(as: b)
        case (.bool(let a), .bool(let b)): return a == b
        case (.null, .null): return true
        case (.uint(let a), .uint(let b)): return a == b
        case (.double(let a), .double(let b)): return a == b
        case (.int, .uint), (.uint, .int), (.int, .double), (.double, .int), (.uint, .double), (.double, .uint):
            return Self.order(self, other) == 0
        case (.bytes(let a), .bytes(let b)): return a == b
        case (.timestamp(let a), .timestamp(let b)): return a == b
        case (.duration(let a), .duration(let b)): return a == b
        case (.list(let a), .list(let b)): return a.isEqual(to: b)
        case (.map(let a), .map(let b)): return a.isEqual(to: b)
        case (.object(.json(let a, let type)), .object(.json(let b, let otherType))):
            return CELMap.json(a, .dyn).isEqual(to: .json(b, .dyn), fields: type, otherType)
        case (.object(.json(let a, _)), .map(.json(let b, _))), (.map(.json(let a, _)), .object(.json(let b, _))):
            return JSON.object(a) == JSON.object(b)
        case (.optional(let a), .optional(let b)):
            if let a, let b { return a.isEqual(to: b) }
            return a == nil && b == nil
        case (.type(let a), .type(let b)): return TypeNames.name(a) == TypeNames.name(b)
        case (.opaque(let a), .opaque(let b)): return a.isEqual(to: b)
        default: return false
        }
    }

    /// -1, 0 or 1; nil when the values have no order (NaN, or types that do not compare).
    static func order(_ left: CELValue, _ right: CELValue) -> Int? {
        func sign<T: Comparable>(_ a: T, _ b: T) -> Int { a < b ? -1 : a > b ? 1 : 0 }
        switch (left, right) {
        case (.int(let a), .int(let b)): return sign(a, b)
        case (.uint(let a), .uint(let b)): return sign(a, b)
        case (.double(let a), .double(let b)): return a.isNaN || b.isNaN ? nil : sign(a, b)
        case (.int(let a), .uint(let b)): return a < 0 ? -1 : sign(UInt64(a), b)
        case (.uint(let a), .int(let b)): return b < 0 ? 1 : sign(a, UInt64(b))
        case (.int(let a), .double(let b)): return order(Int128(a), b)
        case (.double(let a), .int(let b)): return order(Int128(b), a).map { -$0 }
        case (.uint(let a), .double(let b)): return order(Int128(a), b)
        case (.double(let a), .uint(let b)): return order(Int128(b), a).map { -$0 }
        case (.string(let a), .string(let b)):
            if a.hasSameScalars(as: b) { return 0 }
            return a.utf8.lexicographicallyPrecedes(b.utf8) ? -1 : 1
        case (.bytes(let a), .bytes(let b)): return a == b ? 0 : a.lexicographicallyPrecedes(b) ? -1 : 1
        case (.bool(let a), .bool(let b)): return a == b ? 0 : b ? -1 : 1
        case (.timestamp(let a), .timestamp(let b)): return sign(a, b)
        case (.duration(let a), .duration(let b)): return sign(a, b)
        default: return nil
        }
    }

    /// As doubles, as cel-go compares them: neighbours beyond 2^53 are equal.
    private static func order(_ integer: Int128, _ double: Double) -> Int? {
        let value = Double(integer)
        return double.isNaN ? nil : value < double ? -1 : value > double ? 1 : 0
    }

    /// Elements, entries, fields, scalars of a string, bytes; 1 for everything else. What costs count.
    var size: UInt64 {
        switch self {
        case .string(let text): UInt64(text.utf8.count < 2 ? text.utf8.count : text.unicodeScalars.count)
        case .bytes(let bytes): UInt64(bytes.count)
        case .list(let list): UInt64(list.count)
        case .map(let map): UInt64(map.count)
        case .object(.json(let members, _)): UInt64(members.count)
        case .optional(.some(let value)): value.size
        case .opaque(let value): (value as? any SizedOpaque)?.size ?? 1
        default: 1
        }
    }
}

/// An opaque value whose size matters to costs: addresses count their bytes.
protocol SizedOpaque: CELOpaque {
    var size: UInt64 { get }
}

extension CELMap {
    /// Equality of objects: a field's declared type says how its value compares.
    fileprivate func isEqual(to other: CELMap, fields type: CELObjectType, _ otherType: CELObjectType) -> Bool {
        guard case .json(let left, _) = self, case .json(let right, _) = other, left.count == right.count else {
            return false
        }
        let fields = type.fields
        for (name, value) in left {
            guard let counterpart = right[name] else { return false }
            let field = fields[name]
            let a = CELValue(json: value, type: field?.type ?? .dyn, listKind: field?.listKind ?? .atomic)
            let b = CELValue(json: counterpart, type: field?.type ?? .dyn, listKind: field?.listKind ?? .atomic)
            if !a.isEqual(to: b) { return false }
        }
        return true
    }
}

extension String {
    /// Equality by scalars: Swift's `==` also holds between texts that only normalisation makes equal.
    @inline(__always)
    func hasSameScalars(as other: String) -> Bool {
        guard utf8.count == other.utf8.count, self == other else { return false }
        return utf8.elementsEqual(other.utf8)
    }
}

/// Arithmetic with CEL's errors.
enum Arithmetic {
    static let intOverflow = CELFailure("integer overflow")
    static let uintOverflow = CELFailure("unsigned integer overflow")
    static let timestampOverflow = CELFailure("timestamp overflow")
    static let durationOverflow = CELFailure("duration overflow")
    static let noOverload = CELFailure("no such overload")

    static func add(_ left: CELValue, _ right: CELValue) throws(CELFailure) -> CELValue {
        switch (left, right) {
        case (.int(let a), .int(let b)):
            let (value, overflow) = a.addingReportingOverflow(b)
            if overflow { throw intOverflow }
            return .int(value)
        case (.string(let a), .string(let b)): return .string(a + b)
        case (.double(let a), .double(let b)): return .double(a + b)
        case (.uint(let a), .uint(let b)):
            let (value, overflow) = a.addingReportingOverflow(b)
            if overflow { throw uintOverflow }
            return .uint(value)
        case (.list(let a), .list(let b)): return .list(a.adding(b))
        case (.bytes(let a), .bytes(let b)): return .bytes(a + b)
        case (.timestamp(let a), .duration(let b)), (.duration(let b), .timestamp(let a)):
            guard let sum = CELTimestamp(total: a.total + Int128(b.nanoseconds)) else { throw timestampOverflow }
            return .timestamp(sum)
        case (.duration(let a), .duration(let b)): return try duration(Int128(a.nanoseconds) + Int128(b.nanoseconds))
        default: throw noOverload
        }
    }

    static func subtract(_ left: CELValue, _ right: CELValue) throws(CELFailure) -> CELValue {
        switch (left, right) {
        case (.int(let a), .int(let b)):
            let (value, overflow) = a.subtractingReportingOverflow(b)
            if overflow { throw intOverflow }
            return .int(value)
        case (.double(let a), .double(let b)): return .double(a - b)
        case (.uint(let a), .uint(let b)):
            let (value, overflow) = a.subtractingReportingOverflow(b)
            if overflow { throw uintOverflow }
            return .uint(value)
        case (.timestamp(let a), .duration(let b)):
            guard let difference = CELTimestamp(total: a.total - Int128(b.nanoseconds)) else {
                throw timestampOverflow
            }
            return .timestamp(difference)
        case (.timestamp(let a), .timestamp(let b)): return try duration(a.total - b.total)
        case (.duration(let a), .duration(let b)): return try duration(Int128(a.nanoseconds) - Int128(b.nanoseconds))
        default: throw noOverload
        }
    }

    private static func duration(_ nanoseconds: Int128) throws(CELFailure) -> CELValue {
        guard let value = Int64(exactly: nanoseconds) else { throw durationOverflow }
        return .duration(GoDuration(nanoseconds: value))
    }

    static func multiply(_ left: CELValue, _ right: CELValue) throws(CELFailure) -> CELValue {
        switch (left, right) {
        case (.int(let a), .int(let b)):
            let (value, overflow) = a.multipliedReportingOverflow(by: b)
            if overflow { throw intOverflow }
            return .int(value)
        case (.double(let a), .double(let b)): return .double(a * b)
        case (.uint(let a), .uint(let b)):
            let (value, overflow) = a.multipliedReportingOverflow(by: b)
            if overflow { throw uintOverflow }
            return .uint(value)
        default: throw noOverload
        }
    }

    static func divide(_ left: CELValue, _ right: CELValue) throws(CELFailure) -> CELValue {
        switch (left, right) {
        case (.int(let a), .int(let b)):
            if b == 0 { throw CELFailure("division by zero") }
            let (value, overflow) = a.dividedReportingOverflow(by: b)
            if overflow { throw intOverflow }
            return .int(value)
        case (.double(let a), .double(let b)): return .double(a / b)
        case (.uint(let a), .uint(let b)):
            if b == 0 { throw CELFailure("division by zero") }
            return .uint(a / b)
        default: throw noOverload
        }
    }

    static func modulo(_ left: CELValue, _ right: CELValue) throws(CELFailure) -> CELValue {
        switch (left, right) {
        case (.int(let a), .int(let b)):
            if b == 0 { throw CELFailure("modulus by zero") }
            let (value, overflow) = a.remainderReportingOverflow(dividingBy: b)
            if overflow { throw intOverflow }
            return .int(value)
        case (.uint(let a), .uint(let b)):
            if b == 0 { throw CELFailure("modulus by zero") }
            return .uint(a % b)
        default: throw noOverload
        }
    }

    static func negate(_ value: CELValue) throws(CELFailure) -> CELValue {
        switch value {
        case .int(let value):
            if value == .min { throw intOverflow }
            return .int(-value)
        case .double(let value): return .double(-value)
        case .duration(let value):
            if value.nanoseconds == .min { throw durationOverflow }
            return .duration(GoDuration(nanoseconds: -value.nanoseconds))
        default: throw noOverload
        }
    }
}
