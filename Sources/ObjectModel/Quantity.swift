public import JSON

/// A Kubernetes resource quantity (`100m`, `1.5Gi`, `2e3`): an exact decimal with the suffix family it was written in.
///
/// The value is a whole number of nano units in 128 bits, which holds everything the API allows (at most nano
/// precision; magnitudes up to 8e28, larger ones saturate). Equality, order and hash look at the value only.
public struct Quantity: Sendable {
    /// The family of suffixes that `canonical` prints with.
    public enum Format: Sendable, Hashable {
        /// `Ki`, `Mi`, `Gi`, `Ti`, `Pi`, `Ei`.
        case binarySI
        /// `n`, `u`, `m`, none, `k`, `M`, `G`, `T`, `P`, `E`.
        case decimalSI
        /// `e3`, `e-6`.
        case decimalExponent
    }
    /// Billionths.
    private var nanos: Int128
    /// The family it was written in.
    public var format: Format

    private static let unit: Int128 = 1_000_000_000
    /// 8e28 units: the sum of two still fits 128 bits.
    private static let limit: Int128 = unit * 80_000_000_000_000_000 * 1_000_000_000_000

    private init(nanos: Int128, format: Format) {
        self.nanos = min(max(nanos, -Self.limit), Self.limit)
        self.format = format
    }

    /// Parses; nil when the text is not a quantity. More than nano precision is rounded away from zero.
    public init?(_ text: String) {
        var text = text
        guard let parsed = text.withUTF8({ Self.parse($0) }) else { return nil }
        self = parsed
    }
    /// Reads a JSON string or number; nil for anything else.
    public init?(_ json: JSON) {
        switch json {
        case .string(let text): self.init(text)
        case .integer(let value): self.init(Int(value))
        case .number(let number): self.init(number.text)
        default: return nil
        }
    }
    /// A whole number without a suffix.
    public init(_ value: Int) {
        self.init(nanos: Int128(value) * Self.unit, format: .decimalSI)
    }
    /// Thousandths, as CPU is counted.
    public init(milli: Int) {
        self.init(nanos: Int128(milli) * 1_000_000, format: .decimalSI)
    }
    /// Bytes, printed with binary suffixes where exact.
    public static func bytes(_ value: Int) -> Quantity {
        Quantity(nanos: Int128(value) * unit, format: .binarySI)
    }
    /// Nothing.
    public static let zero = Quantity(0)

    /// The value rounded up to a whole number; saturates at Int64's range.
    public var value: Int { Self.roundedUp(nanos, Self.unit) }
    /// The value in thousandths, rounded up; saturates.
    public var milliValue: Int { Self.roundedUp(nanos, 1_000_000) }
    /// The nearest double.
    public var doubleValue: Double { Double(nanos) / 1e9 }
    /// True for exactly zero.
    public var isZero: Bool { nanos == 0 }
    /// True below zero.
    public var isNegative: Bool { nanos < 0 }

    private static func roundedUp(_ nanos: Int128, _ divisor: Int128) -> Int {
        let (quotient, remainder) = nanos.quotientAndRemainder(dividingBy: divisor)
        return Int(clamping: remainder > 0 ? quotient + 1 : quotient)
    }

    /// The sum; zero takes the other's suffix family.
    public static func + (left: Quantity, right: Quantity) -> Quantity {
        Quantity(nanos: left.nanos + right.nanos, format: left.isZero ? right.format : left.format)
    }
    /// The difference, in the suffix family of the left (of the right when the left is zero).
    public static func - (left: Quantity, right: Quantity) -> Quantity {
        Quantity(nanos: left.nanos - right.nanos, format: left.isZero ? right.format : left.format)
    }
    /// The product with a whole number; saturates.
    public static func * (left: Quantity, right: Int) -> Quantity {
        let (product, overflow) = left.nanos.multipliedReportingOverflow(by: Int128(right))
        let isNegative = (left.nanos < 0) != (right < 0)
        return Quantity(nanos: overflow ? (isNegative ? -limit : limit) : product, format: left.format)
    }
    /// Adds in place.
    public static func += (left: inout Quantity, right: Quantity) { left = left + right }
    /// Subtracts in place.
    public static func -= (left: inout Quantity, right: Quantity) { left = left - right }
    /// The opposite.
    public static prefix func - (value: Quantity) -> Quantity { Quantity(nanos: -value.nanos, format: value.format) }
}

extension Quantity: Hashable, Comparable {
    /// Equal values are equal whatever their suffixes.
    public static func == (left: Quantity, right: Quantity) -> Bool { left.nanos == right.nanos }
    public static func < (left: Quantity, right: Quantity) -> Bool { left.nanos < right.nanos }
    public func hash(into hasher: inout Hasher) { hasher.combine(nanos) }
}

extension Quantity: CustomStringConvertible {
    /// The canonical text.
    public var description: String { canonical }

    /// The canonical text: `1500m`, `1Gi`. No fraction, no precision lost, the largest suffix of the family that fits.
    public var canonical: String {
        if nanos == 0 { return "0" }
        if format == .binarySI, nanos.magnitude >= (1024 * Self.unit).magnitude, nanos % Self.unit == 0 {
            var mantissa = nanos / Self.unit
            var index = 0
            while mantissa % 1024 == 0, index < Self.binarySuffixes.count - 1 {
                mantissa /= 1024
                index += 1
            }
            return "\(mantissa)\(Self.binarySuffixes[index])"
        }
        var mantissa = nanos
        var exponent = -9
        while mantissa % 1000 == 0, exponent < 18 || format == .decimalExponent {
            mantissa /= 1000
            exponent += 3
        }
        if format == .decimalExponent { return exponent == 0 ? "\(mantissa)" : "\(mantissa)e\(exponent)" }
        return "\(mantissa)\(Self.decimalSuffixes[exponent / 3 + 3])"
    }

    private static let binarySuffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
    private static let decimalSuffixes = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"]
}

// MARK: - Parsing

extension Quantity {
    private static func parse(_ bytes: UnsafeBufferPointer<UInt8>) -> Quantity? {
        var position = 0
        var isNegative = false
        if let first = bytes.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
            isNegative = first == UInt8(ascii: "-")
            position = 1
        }
        // The digits as one whole number times ten to the power of `scale`. Digits beyond 38 cannot change the
        // result except by rounding, which `isInexact` remembers.
        var mantissa: UInt128 = 0
        var scale = 0
        var significant = 0
        var digits = 0
        var isInexact = false
        var seenPoint = false
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "."), !seenPoint {
                seenPoint = true
            } else if case let digit = byte &- 48, digit < 10 {
                digits += 1
                if significant < 38 {
                    mantissa = mantissa * 10 + UInt128(digit)
                    if mantissa > 0 { significant += 1 }
                    if seenPoint { scale -= 1 }
                } else {
                    if digit > 0 { isInexact = true }
                    if !seenPoint { scale += 1 }
                }
            } else {
                break
            }
            position += 1
        }
        guard digits > 0, let suffix = Suffix(UnsafeBufferPointer(rebasing: bytes[position...])) else { return nil }
        scale = min(max(scale + suffix.exponent + 9, -100), 100)
        var factor = UInt128(1)
        // Binary factors first: they are exact, and 2^60 times 38 digits may need saturation.
        factor <<= UInt128(suffix.shift)
        var (nanos, overflow) = mantissa.multipliedReportingOverflow(by: factor)
        if overflow {
            // Only a small fraction of a huge binary number gets here; shorten it by digits, keeping the sum right.
            var shortened = mantissa
            while overflow, scale < 0 {
                if shortened % 10 != 0 { isInexact = true }
                shortened /= 10
                scale += 1
                (nanos, overflow) = shortened.multipliedReportingOverflow(by: factor)
            }
            if overflow { (nanos, scale) = (UInt128(limit), 0) }
        }
        while scale > 0, !overflow, nanos > 0 {
            (nanos, overflow) = nanos.multipliedReportingOverflow(by: 10)
            scale -= 1
        }
        if overflow { nanos = UInt128(limit) }
        while scale < 0, nanos > 0 {
            let (quotient, remainder) = nanos.quotientAndRemainder(dividingBy: 10)
            if remainder > 0 { isInexact = true }
            nanos = quotient
            scale += 1
        }
        let magnitude = min(Int128(clamping: nanos), limit) + (isInexact ? 1 : 0)
        return Quantity(nanos: isNegative ? -magnitude : magnitude, format: suffix.format)
    }

    private struct Suffix {
        var exponent = 0
        var shift = 0
        var format = Format.decimalSI

        init?(_ bytes: UnsafeBufferPointer<UInt8>) {
            guard let first = bytes.first else { return }
            if bytes.count == 1 {
                switch first {
                case UInt8(ascii: "n"): exponent = -9
                case UInt8(ascii: "u"): exponent = -6
                case UInt8(ascii: "m"): exponent = -3
                case UInt8(ascii: "k"): exponent = 3
                case UInt8(ascii: "M"): exponent = 6
                case UInt8(ascii: "G"): exponent = 9
                case UInt8(ascii: "T"): exponent = 12
                case UInt8(ascii: "P"): exponent = 15
                case UInt8(ascii: "E"): exponent = 18
                default: return nil
                }
                return
            }
            if bytes.count == 2, bytes[1] == UInt8(ascii: "i") {
                format = .binarySI
                switch first {
                case UInt8(ascii: "K"): shift = 10
                case UInt8(ascii: "M"): shift = 20
                case UInt8(ascii: "G"): shift = 30
                case UInt8(ascii: "T"): shift = 40
                case UInt8(ascii: "P"): shift = 50
                case UInt8(ascii: "E"): shift = 60
                default: return nil
                }
                return
            }
            guard first | 0x20 == UInt8(ascii: "e") else { return nil }
            format = .decimalExponent
            var index = 1
            let isNegative = bytes[1] == UInt8(ascii: "-")
            if isNegative || bytes[1] == UInt8(ascii: "+") { index = 2 }
            guard index < bytes.count else { return nil }
            while index < bytes.count {
                let digit = bytes[index] &- 48
                guard digit < 10 else { return nil }
                exponent = min(exponent * 10 + Int(digit), 10_000)
                index += 1
            }
            if isNegative { exponent = -exponent }
        }
    }
}
