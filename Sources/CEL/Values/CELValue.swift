public import JSON
public import ObjectModel

/// A value at run time. JSON trees stay as they are: their members become values when an expression reads them.
public enum CELValue: Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    case uint(UInt64)
    case double(Double)
    case string(String)
    case bytes([UInt8])
    case timestamp(CELTimestamp)
    case duration(GoDuration)
    case list(CELList)
    case map(CELMap)
    case object(CELObject)
    indirect case optional(CELValue?)
    case type(CELType)
    case opaque(any CELOpaque)
}

/// A value of a library's own type: an address, a quantity, an authorizer's question.
public protocol CELOpaque: Sendable {
    /// The type's name, as `CELType.opaque` has it.
    var typeName: String { get }
    /// True when the other value is of the same type and equal.
    func isEqual(to other: any CELOpaque) -> Bool
}

/// Elements, from an expression or read lazily from JSON.
public enum CELList: Sendable {
    case values([CELValue])
    /// A JSON array, the static type of its elements, and how it compares.
    case json([JSON], CELType, CELListKind)
}

/// Entries, from an expression or read lazily from JSON.
public enum CELMap: Sendable {
    case entries(CELEntries)
    /// A JSON object (string keys) and the static type of its values.
    case json(JSONObject, CELType)
}

/// Named fields, from JSON or from a source that computes them on demand.
public enum CELObject: Sendable {
    case json(JSONObject, CELObjectType)
    case fields(any CELFields, CELObjectType)
}

/// Fields that are computed when an expression reads them, such as the `variables` of an admission policy.
public protocol CELFields: Sendable {
    /// The value of a field; nil when it is absent. What it costs counts against the reader's budget.
    /// - Throws: why the field cannot be computed.
    func field(_ name: String, budget: inout CELBudget) throws(CELFailure) -> CELValue?
}

/// A moment with nanoseconds, from year 1 to year 9999.
public struct CELTimestamp: Sendable, Hashable, Comparable {
    /// Seconds since 1970-01-01T00:00:00Z, rounded down.
    public var seconds: Int64
    /// 0 to 999,999,999.
    public var nanoseconds: Int32

    /// A moment; the nanoseconds are those after the second.
    public init(seconds: Int64, nanoseconds: Int32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }
    public static func < (left: CELTimestamp, right: CELTimestamp) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }
}
