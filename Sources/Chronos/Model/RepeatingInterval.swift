import ObjectModel

/// When a job runs: `R/2026-01-01T00:00:00Z/PT1H`, `R10//P1D`.
struct RepeatingInterval: Sendable {
    /// How often; nil: for ever.
    let count: Int?
    /// Nil: at once.
    let start: Timestamp?
    let period: ISODuration
    private let zone: TimeZoneRules?
    /// Seconds east of UTC that the start was written with.
    private let offset: Int64

    /// Short names that clients of the original use and the tz database has not.
    private static let aliases = [
        "PST": "America/Los_Angeles", "CST": "America/Chicago", "IST": "Asia/Kolkata", "JST": "Asia/Tokyo",
        "AET": "Australia/Sydney", "CTT": "Asia/Shanghai", "ECT": "Europe/Paris",
    ]

    /// - Parameter zone: where the start is on the clock, whatever zone it names itself; empty: the one that it names.
    /// - Throws: `ChronosError` 400 that says what is wrong.
    init(_ text: String, zone name: String) throws(ChronosError) {
        func wrong(_ reason: String) -> ChronosError { ChronosError("Cannot parse schedule '\(text)': \(reason)") }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3 else { throw wrong("it has the form Rn/START/PERIOD") }
        guard parts[0].first == "R" else { throw wrong("it begins with R") }
        let number = parts[0].dropFirst()
        count = number.isEmpty ? nil : Int(number)
        guard number.isEmpty || count.map({ $0 >= 0 }) ?? false else { throw wrong("\(number) is no number of times") }
        guard let period = ISODuration(parts[2]), !period.isZero else {
            throw wrong("'\(parts[2])' is no duration of ISO 8601")
        }
        self.period = period
        zone = name.isEmpty ? nil : TimeZones.rules(Self.aliases[name] ?? name)
        if !name.isEmpty, zone == nil { throw ChronosError("The time zone '\(name)' is not known") }
        guard !parts[1].isEmpty else {
            start = nil
            offset = 0
            return
        }
        guard let (wall, fraction, offset) = Self.clock(parts[1]) else {
            throw wrong("'\(parts[1])' is no time of ISO 8601")
        }
        self.offset = offset ?? 0
        let seconds = zone?.moment(ofWallClock: wall) ?? wall - (offset ?? 0)
        guard seconds > 0 else { throw ChronosError("Scheduled start date '\(parts[1])' is before 1970!") }
        start = Timestamp(microseconds: seconds * 1_000_000 + fraction)
    }

    /// Seconds of the clock, microseconds beyond them, and the offset that the text names.
    private static func clock(_ text: String) -> (wall: Int64, fraction: Int64, offset: Int64?)? {
        // A time without a zone is read as one of UTC; without a clock it is midnight.
        var text = text
        var hasZone = false
        if let mark = text.firstIndex(of: "T") {
            hasZone = text[mark...].contains { "Zz+-".contains($0) }
            if text[mark...].filter({ $0 == ":" }).count == 1, !text[mark...].contains("+") {
                let end = text[mark...].firstIndex { "Zz-".contains($0) } ?? text.endIndex
                text.insert(contentsOf: ":00", at: end)
            }
        } else {
            text += "T00:00:00"
        }
        if !hasZone { text += "Z" }
        // `+0100` as well as `+01:00`.
        if hasZone, let sign = text.lastIndex(where: { "+-".contains($0) }), text[sign...].count == 5 {
            text.insert(":", at: text.index(sign, offsetBy: 3))
        }
        guard let moment = Timestamp(text) else { return nil }
        var offset: Int64 = 0
        let tail = Array(text.suffix(6))
        if tail.count == 6, "+-".contains(tail[0]), let hours = Int64(String(tail[1...2])),
            let minutes = Int64(String(tail[4...5]))
        {
            offset = (hours * 3600 + minutes * 60) * (tail[0] == "-" ? -1 : 1)
        }
        let seconds = moment.seconds
        return (seconds + offset, moment.microseconds - seconds * 1_000_000, hasZone ? offset : nil)
    }

    /// The time after one.
    func next(after moment: Timestamp) -> Timestamp { period.after(moment, zone: zone, offset: offset) }

    /// The first time from `moment` on, and how many were left out.
    func skip(from due: Timestamp, to moment: Timestamp) -> (next: Timestamp, skipped: Int) {
        var (next, skipped) = (due, 0)
        if period.months == 0, period.days == 0, next < moment {
            let steps = (moment.microseconds - next.microseconds + period.microseconds - 1) / period.microseconds
            return (Timestamp(microseconds: next.microseconds + steps * period.microseconds), Int(steps))
        }
        while next < moment {
            next = self.next(after: next)
            skipped += 1
        }
        return (next, skipped)
    }
}
