import ObjectModel

/// Delays that grow with every failure: 10 s doubling to 300 s, forgotten after twice the maximum without one.
struct RestartBackoff: Sendable {
    private struct Entry {
        var delay: Duration
        var since: Timestamp
    }
    private var entries: [String: Entry] = [:]
    let initial: Duration
    let maximum: Duration

    init(initial: Duration = .seconds(10), maximum: Duration = .seconds(300)) {
        self.initial = initial
        self.maximum = maximum
    }

    /// Time left to wait after something ended at `event`; nil when it may start now.
    func remaining(_ key: String, event: Timestamp, now: Timestamp) -> Duration? {
        guard let entry = entries[key], !isStale(entry, event) else { return nil }
        let left = entry.delay - (now - event)
        return left > .zero ? left : nil
    }
    /// The delay in force.
    func delay(_ key: String) -> Duration { entries[key]?.delay ?? initial }

    /// Notes one more start after an end at `event`: the next one waits longer.
    mutating func next(_ key: String, event: Timestamp, now: Timestamp) {
        if let entry = entries[key], !isStale(entry, event) {
            entries[key] = Entry(delay: min(entry.delay * 2, maximum), since: now)
        } else {
            entries[key] = Entry(delay: initial, since: now)
        }
    }
    mutating func reset(_ key: String) { entries.removeValue(forKey: key) }

    private func isStale(_ entry: Entry, _ event: Timestamp) -> Bool { event - entry.since > maximum * 2 }
}

extension Duration {
    /// As Go prints it in messages: `10s`, `1m20s`, `12ms`, `1.204s`.
    var goText: String {
        let nanoseconds = components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000
        if nanoseconds == 0 { return "0s" }
        if nanoseconds < 1_000 { return "\(nanoseconds)ns" }
        if nanoseconds < 1_000_000 { return Self.decimal(nanoseconds, unit: 1_000) + "µs" }
        if nanoseconds < 1_000_000_000 { return Self.decimal(nanoseconds, unit: 1_000_000) + "ms" }
        let minutes = nanoseconds / 60_000_000_000
        let seconds = Self.decimal(nanoseconds % 60_000_000_000, unit: 1_000_000_000) + "s"
        if minutes == 0 { return seconds }
        return minutes < 60 ? "\(minutes)m\(seconds)" : "\(minutes / 60)h\(minutes % 60)m\(seconds)"
    }
    /// The same, cut to milliseconds.
    var goTextMilliseconds: String {
        let milliseconds = components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
        return Duration.milliseconds(milliseconds).goText
    }
    private static func decimal(_ value: Int64, unit: Int64) -> String {
        let fraction = value % unit
        guard fraction != 0 else { return "\(value / unit)" }
        var digits = String(unit + fraction).dropFirst()
        while digits.last == "0" { digits.removeLast() }
        return "\(value / unit).\(digits)"
    }
}
