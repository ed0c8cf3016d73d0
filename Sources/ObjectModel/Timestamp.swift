/// A point in time as the API writes it: RFC 3339 in UTC, seconds (`metav1.Time`) or microseconds (`MicroTime`).
public struct Timestamp: Hashable, Sendable, Comparable {
    /// Microseconds since 1970-01-01T00:00:00Z.
    public var microseconds: Int64

    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }
    /// Whole seconds since 1970-01-01T00:00:00Z.
    public init(seconds: Int64) {
        microseconds = seconds * 1_000_000
    }
    /// Parses RFC 3339 with any offset and fraction; nil when the text is not one.
    public init?(_ text: String) {
        fatalError("being written")
    }
    /// The wall clock now.
    public static var now: Timestamp { fatalError("being written") }

    /// `2026-01-02T03:04:05Z`, the form of `metav1.Time`; the fraction is cut.
    public var rfc3339: String { fatalError("being written") }
    /// `2026-01-02T03:04:05.000000Z`, the form of `metav1.MicroTime`.
    public var rfc3339Micro: String { fatalError("being written") }
    /// Whole seconds since 1970, rounded down.
    public var seconds: Int64 { microseconds >= 0 ? microseconds / 1_000_000 : -((-microseconds + 999_999) / 1_000_000) }

    public static func < (left: Timestamp, right: Timestamp) -> Bool { left.microseconds < right.microseconds }
    /// Later by a duration.
    public static func + (left: Timestamp, right: Duration) -> Timestamp {
        Timestamp(microseconds: left.microseconds + right.components.seconds * 1_000_000
            + right.components.attoseconds / 1_000_000_000_000)
    }
    /// The time from `right` to `left`.
    public static func - (left: Timestamp, right: Timestamp) -> Duration {
        .microseconds(left.microseconds - right.microseconds)
    }
}
