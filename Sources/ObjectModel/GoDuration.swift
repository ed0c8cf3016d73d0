/// A length of time in the text form that Kubernetes configuration and API fields use (`5m0s`, `1h30m`, `250ms`).
public struct GoDuration: Sendable, Hashable, Comparable {
    /// Nanoseconds; may be negative.
    public var nanoseconds: Int64

    public init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// From a Swift duration; saturates at ±292 years.
    public init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carry) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000)
        nanoseconds = overflow || carry ? (seconds < 0 ? .min : .max) : sum
    }

    /// Parses signed sequences of decimal numbers with the units ns, us, µs, ms, s, m, h; nil for anything else.
    public init?(_ text: String) {
        var rest = text.utf8[...]
        var isNegative = false
        if let first = rest.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
            isNegative = first == UInt8(ascii: "-")
            rest.removeFirst()
        }
        if rest.elementsEqual("0".utf8) {
            nanoseconds = 0
            return
        }
        guard !rest.isEmpty else { return nil }
        var total: Int128 = 0
        while !rest.isEmpty {
            var whole: Int128 = 0
            var fraction: Int128 = 0
            var scale: Int128 = 1
            var digits = 0
            while let byte = rest.first, case let digit = byte &- 48, digit < 10 {
                whole = min(whole * 10 + Int128(digit), Int128(Int64.max))
                digits += 1
                rest.removeFirst()
            }
            if rest.first == UInt8(ascii: ".") {
                rest.removeFirst()
                while let byte = rest.first, case let digit = byte &- 48, digit < 10 {
                    if scale < 1_000_000_000_000_000 {
                        fraction = fraction * 10 + Int128(digit)
                        scale *= 10
                    }
                    digits += 1
                    rest.removeFirst()
                }
            }
            guard digits > 0 else { return nil }
            let unitText = rest.prefix { $0 != UInt8(ascii: ".") && ($0 < 48 || $0 > 57) }
            guard let unit = Self.units[String(Substring(unitText))] else { return nil }
            rest = rest.dropFirst(unitText.count)
            total += whole * unit + fraction * unit / scale
            guard total <= Int128(Int64.max) else { return nil }
        }
        nanoseconds = isNegative ? -Int64(total) : Int64(total)
    }

    private static let units: [String: Int128] = [
        "ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000,
        "h": 3_600_000_000_000,
    ]

    /// The same as a Swift duration.
    public var duration: Duration { .nanoseconds(nanoseconds) }

    public static func < (left: GoDuration, right: GoDuration) -> Bool { left.nanoseconds < right.nanoseconds }
}

extension GoDuration: CustomStringConvertible {
    /// The canonical text: `5m0s`, `1.5s`, `250ms`, `0s`.
    public var description: String {
        let magnitude = nanoseconds.magnitude
        let sign = nanoseconds < 0 ? "-" : ""
        switch magnitude {
        case 0: return "0s"
        case ..<1000: return "\(sign)\(magnitude)ns"
        case ..<1_000_000: return sign + Self.decimal(magnitude, 1000) + "µs"
        case ..<1_000_000_000: return sign + Self.decimal(magnitude, 1_000_000) + "ms"
        default: break
        }
        let minutes = magnitude / 60_000_000_000
        let seconds = Self.decimal(magnitude % 60_000_000_000, 1_000_000_000) + "s"
        if minutes == 0 { return sign + seconds }
        if minutes < 60 { return "\(sign)\(minutes)m\(seconds)" }
        return "\(sign)\(minutes / 60)h\(minutes % 60)m\(seconds)"
    }

    private static func decimal(_ value: UInt64, _ unit: UInt64) -> String {
        var fraction = value % unit
        guard fraction > 0 else { return String(value / unit) }
        var digits = String(unit).count - 1
        while fraction % 10 == 0 {
            fraction /= 10
            digits -= 1
        }
        let text = String(fraction)
        return "\(value / unit)." + String(repeating: "0", count: digits - text.count) + text
    }
}
