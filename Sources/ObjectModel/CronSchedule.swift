/// When a CronJob runs: five fields (minute, hour, day of month, month, day of week), a name such as `@hourly`, or
/// `@every 90m`. Times are wall-clock times of some zone, written as seconds since 1970 as if that zone were UTC.
///
/// As in Vixie's cron, a day matches when either day field does, unless one of them is `*`.
public struct CronSchedule: Sendable, Hashable {
    private struct Field: Sendable, Hashable {
        var bits: UInt64 = 0
        /// Written with `*` or `?`.
        var isOpen = false

        func contains(_ value: Int) -> Bool { bits & (1 << UInt64(value)) != 0 }
    }
    private var minutes = Field()
    private var hours = Field()
    private var days = Field()
    private var months = Field()
    private var weekdays = Field()
    /// `@every`: so many seconds after the last time; nil for the five fields.
    private var interval: Int64?

    private static let names = [
        "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
    ]
    private static let monthNames = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ]
    private static let dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    /// Parses a schedule.
    /// - Throws: `CronError` with the words that API clients see.
    public init(parsing text: String) throws(CronError) {
        if text.hasPrefix("@every ") {
            guard let duration = GoDuration(String(text.dropFirst(7))) else {
                throw CronError("failed to parse duration \(text): time: invalid duration \"\(text.dropFirst(7))\"")
            }
            interval = max(duration.nanoseconds / 1_000_000_000, 1)
            return
        }
        var text = text
        if text.hasPrefix("@") {
            guard let known = Self.names[text] else { throw CronError("unrecognized descriptor: \(text)") }
            text = known
        }
        let fields = text.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
        guard fields.count == 5 else {
            throw CronError("expected exactly 5 fields, found \(fields.count): [\(fields.joined(separator: " "))]")
        }
        minutes = try Self.field(fields[0], 0...59)
        hours = try Self.field(fields[1], 0...23)
        days = try Self.field(fields[2], 1...31)
        months = try Self.field(fields[3], 1...12, names: Self.monthNames, firstName: 1)
        weekdays = try Self.field(fields[4], 0...6, names: Self.dayNames, firstName: 0)
    }

    private static func field(
        _ text: String, _ range: ClosedRange<Int>, names: [String] = [], firstName: Int = 0
    ) throws(CronError) -> Field {
        var result = Field()
        for part in text.split(separator: ",", omittingEmptySubsequences: true) {
            let pieces = part.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            guard pieces.count <= 2, let whole = pieces.first else { throw CronError("too many slashes: \(part)") }
            let ends = whole.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
            guard ends.count <= 2, let low = ends.first else { throw CronError("too many hyphens: \(part)") }
            var first = range.lowerBound
            var last = range.upperBound
            var step = 1
            if pieces.count == 2 { step = try number(pieces[1], names: [], 0) }
            if low == "*" || low == "?" {
                // A step makes it a set like any other.
                if step == 1 { result.isOpen = true }
            } else {
                first = try number(low, names: names, firstName)
                last = try ends.count == 2 ? number(ends[1], names: names, firstName) : first
                // `5/15` runs on to the end.
                if ends.count == 1, pieces.count == 2 { last = range.upperBound }
            }
            guard first >= range.lowerBound else {
                throw CronError("beginning of range (\(first)) below minimum (\(range.lowerBound)): \(part)")
            }
            guard last <= range.upperBound else {
                throw CronError("end of range (\(last)) above maximum (\(range.upperBound)): \(part)")
            }
            guard first <= last else {
                throw CronError("beginning of range (\(first)) beyond end of range (\(last)): \(part)")
            }
            guard step > 0 else { throw CronError("step of range should be a positive number: \(part)") }
            for value in stride(from: first, through: last, by: step) { result.bits |= 1 << UInt64(value) }
        }
        if result.bits == 0 { throw CronError("empty field") }
        return result
    }

    private static func number(_ text: String, names: [String], _ firstName: Int) throws(CronError) -> Int {
        if let index = names.firstIndex(of: text.lowercased()) { return index + firstName }
        guard !text.isEmpty, text.utf8.count <= 9, text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }),
            let value = Int(text)
        else { throw CronError("failed to parse int from \(text): strconv.Atoi: parsing \"\(text)\": invalid syntax") }
        return value
    }

    private func matchesDay(_ time: CivilTime) -> Bool {
        let (day, weekday) = (days.contains(time.day), weekdays.contains(time.weekday))
        return days.isOpen || weekdays.isOpen ? day && weekday : day || weekday
    }

    /// The first matching time after another one; nil when there is none in five years.
    public func next(after seconds: Int64) -> Int64? {
        if let interval { return seconds + interval }
        var time = CivilTime(secondsSince1970: seconds - (seconds % 60 + 60) % 60 + 60)
        let lastYear = time.year + 5
        while time.year <= lastYear {
            guard months.contains(time.month) else {
                time =
                    time.month == 12
                    ? CivilTime(year: time.year + 1, month: 1, day: 1)
                    : CivilTime(year: time.year, month: time.month + 1, day: 1)
                continue
            }
            guard matchesDay(time) else {
                let midnight = CivilTime(year: time.year, month: time.month, day: time.day).secondsSince1970
                time = CivilTime(secondsSince1970: midnight + 86_400)
                continue
            }
            guard hours.contains(time.hour) else {
                let hour = CivilTime(year: time.year, month: time.month, day: time.day, hour: time.hour)
                time = CivilTime(secondsSince1970: hour.secondsSince1970 + 3600)
                continue
            }
            if minutes.contains(time.minute) { return time.secondsSince1970 }
            time = CivilTime(secondsSince1970: time.secondsSince1970 + 60)
        }
        return nil
    }
}

/// Why a text is no schedule.
public struct CronError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}
