/// A Kubernetes resource quantity (`100m`, `1.5Gi`, `2e3`): an exact decimal with the suffix family it was written in.
public struct Quantity: Sendable, Hashable, Comparable {
    /// Parses; nil when the text is not a quantity.
    public init?(_ text: String) { fatalError("being written") }
    /// A whole number without a suffix.
    public init(_ value: Int) { fatalError("being written") }
    /// Thousandths, as CPU is counted.
    public init(milli: Int) { fatalError("being written") }
    /// Bytes, printed with binary suffixes where exact.
    public static func bytes(_ value: Int) -> Quantity { fatalError("being written") }

    /// The canonical text: `1500m`, `1Gi`.
    public var canonical: String { fatalError("being written") }
    /// The value rounded up to a whole number; saturates at Int64's range.
    public var value: Int { fatalError("being written") }
    /// The value in thousandths, rounded up; saturates.
    public var milliValue: Int { fatalError("being written") }

    public static func < (left: Quantity, right: Quantity) -> Bool { fatalError("being written") }
    public static func + (left: Quantity, right: Quantity) -> Quantity { fatalError("being written") }
    public static func - (left: Quantity, right: Quantity) -> Quantity { fatalError("being written") }
}
