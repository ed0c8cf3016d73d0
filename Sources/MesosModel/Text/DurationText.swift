import JSON

/// Durations as Mesos writes them: a number and one of `ns us ms secs mins hrs days weeks`.
public enum DurationText {
    private static let units: [(name: String, nanoseconds: Double)] = [
        ("weeks", 604_800e9), ("days", 86_400e9), ("hrs", 3600e9), ("mins", 60e9), ("secs", 1e9), ("ms", 1e6),
        ("us", 1e3), ("ns", 1),
    ]

    /// Nanoseconds of a text such as `2.5mins`; nil when it is none or out of range.
    public static func nanoseconds(_ text: String) -> Int64? {
        let number = text.prefix { "0123456789.+-eE".contains($0) }
        guard let value = Double(number), let unit = units.first(where: { $0.name == text.dropFirst(number.count) })
        else { return nil }
        return Int64(exactly: (value * unit.nanoseconds).rounded())
    }

    /// The text in the largest unit that keeps it at or above one: `5secs`, `1.5mins`, `0ns`.
    public static func text(nanoseconds: Int64) -> String {
        let value = Double(nanoseconds)
        let unit = units.first { abs(value) >= $0.nanoseconds } ?? ("ns", 1)
        let amount = value / unit.nanoseconds
        return (amount == amount.rounded() ? String(Int64(bounded: amount)) : amount.description) + unit.name
    }

    /// The duration of a text; nil when it is none.
    public static func duration(_ text: String) -> Duration? {
        nanoseconds(text).map { .nanoseconds($0) }
    }
}
