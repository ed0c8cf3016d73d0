// Numbers of clients become integers here: `Int(double)` and `+ - *` end the process when a value does not fit.

extension Int {
    /// The whole part of a double that a client may have chosen: 0 for NaN, at most 2^62 either way, so that the sum of two
    /// does not overflow.
    public init(bounded value: Double) {
        self = value.isNaN ? 0 : Int(Swift.min(Swift.max(value, -0x1p62), 0x1p62))
    }
}

extension Int64 {
    /// The whole part of a double that a client may have chosen: 0 for NaN, at most 2^62 either way, so that the sum of two
    /// does not overflow.
    public init(bounded value: Double) {
        self = value.isNaN ? 0 : Int64(Swift.min(Swift.max(value, -0x1p62), 0x1p62))
    }
}

extension FixedWidthInteger where Self: SignedInteger {
    /// The sum, or the end of the range that it is beyond.
    public func addingSaturated(_ other: Self) -> Self {
        let (sum, isTooMuch) = addingReportingOverflow(other)
        return isTooMuch ? (other < 0 ? .min : .max) : sum
    }
    /// The difference, or the end of the range that it is beyond.
    public func subtractingSaturated(_ other: Self) -> Self {
        let (difference, isTooMuch) = subtractingReportingOverflow(other)
        return isTooMuch ? (other < 0 ? .max : .min) : difference
    }
    /// The product, or the end of the range that it is beyond.
    public func multipliedSaturated(by other: Self) -> Self {
        let (product, isTooMuch) = multipliedReportingOverflow(by: other)
        return isTooMuch ? ((self < 0) == (other < 0) ? .max : .min) : product
    }
}

extension Duration {
    /// Seconds that a client may have chosen: zero for NaN, at most 3000 years either way.
    public static func seconds(bounded value: Double) -> Duration {
        value.isNaN ? .zero : .seconds(min(max(value, -1e11), 1e11))
    }
}
