/// How far a time zone is from UTC and when, read from a compiled zone file (RFC 8536).
public struct TimeZoneRules: Sendable {
    /// Start of each period (seconds since 1970) with its offset east of UTC, in seconds.
    private var periods: [(start: Int64, offset: Int64)] = []
    private var firstOffset: Int64 = 0
    /// The rule for times after the last period; nil: the last offset stays.
    private var rule: Rule?

    public static let utc = TimeZoneRules()

    private init() {}

    /// Reads a version 2 or later zone file; nil when the bytes are none.
    public init?(file bytes: [UInt8]) {
        guard bytes.count >= 44, bytes.starts(with: Array("TZif".utf8)), bytes[4] >= UInt8(ascii: "2") else {
            return nil
        }
        func number(_ at: Int, _ size: Int) -> Int64 {
            var value: Int64 = bytes[at] & 0x80 == 0 ? 0 : -1
            for index in at..<(at + size) { value = value << 8 | Int64(bytes[index]) }
            return value
        }
        func counts(_ at: Int) -> [Int]? {
            let found = (0..<6).map { Int(number(at + 20 + 4 * $0, 4)) }
            return found.allSatisfy { $0 >= 0 && $0 < 100_000 } ? found : nil
        }
        // The first block holds 32-bit times and is skipped.
        guard let old = counts(0) else { return nil }
        let second = 44 + old[3] * 5 + old[4] * 6 + old[5] + old[2] * 8 + old[1] + old[0]
        guard second + 44 <= bytes.count, let new = counts(second) else { return nil }
        let (isUTC, isStandard, leaps, times, types, characters) = (new[0], new[1], new[2], new[3], new[4], new[5])
        let timesAt = second + 44
        let indexesAt = timesAt + 8 * times
        let typesAt = indexesAt + times
        let end = typesAt + 6 * types + characters + leaps * 12 + isStandard + isUTC
        guard types > 0, end <= bytes.count else { return nil }
        let offsets = (0..<types).map { number(typesAt + 6 * $0, 4) }
        firstOffset = offsets[0]
        for index in 0..<times {
            let type = Int(bytes[indexesAt + index])
            guard type < types else { return nil }
            periods.append((number(timesAt + 8 * index, 8), offsets[type]))
        }
        let footer = bytes[end...].drop { $0 == 10 }.prefix { $0 != 10 }
        rule = Rule(String(decoding: footer, as: UTF8.self))
    }

    /// Seconds east of UTC at a moment (seconds since 1970).
    public func offset(at moment: Int64) -> Int64 {
        guard let last = periods.last else { return rule?.offset(at: moment) ?? firstOffset }
        if moment >= last.start { return rule?.offset(at: moment) ?? last.offset }
        var (low, high) = (0, periods.count)
        while low < high {
            let middle = (low + high) / 2
            if periods[middle].start <= moment { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? firstOffset : periods[low - 1].offset
    }

    /// The first moment at which clocks of the zone show a wall-clock time (as seconds since 1970 if it were UTC). A
    /// time that is skipped in spring is taken an hour later, one that comes twice in autumn the first time.
    public func moment(ofWallClock wall: Int64) -> Int64 {
        let before = offset(at: wall - 86_400)
        let after = offset(at: wall + 86_400)
        for candidate in [wall - max(before, after), wall - min(before, after)]
        where candidate + offset(at: candidate) == wall {
            return candidate
        }
        return wall - before
    }
}

extension TimeZoneRules {
    /// The POSIX form of a rule that repeats each year, for example `CET-1CEST,M3.5.0,M10.5.0/3`.
    struct Rule: Sendable {
        private struct Change: Sendable {
            var month: Int
            var week: Int
            var weekday: Int
            /// Seconds after midnight, of the time that ends.
            var second: Int64

            /// Seconds since 1970, as if the place were UTC.
            func wallClock(year: Int) -> Int64 {
                let first = CivilTime(year: year, month: month, day: 1)
                var day = 1 + (weekday - first.weekday + 7) % 7 + 7 * (week - 1)
                while day > CivilTime.days(inMonth: month, year: year) { day -= 7 }
                return CivilTime(year: year, month: month, day: day).secondsSince1970 + second
            }
        }
        private var standard: Int64 = 0
        private var summer: Int64?
        private var begin: Change?
        private var end: Change?

        init?(_ text: String) {
            var rest = text.utf8[...]
            guard Self.name(&rest), let west = Self.time(&rest) else { return nil }
            standard = -west
            if rest.isEmpty { return }
            guard Self.name(&rest) else { return nil }
            summer = standard + 3600
            if let first = rest.first, first != UInt8(ascii: ",") {
                guard let west = Self.time(&rest) else { return nil }
                summer = -west
            }
            guard let begin = Self.change(&rest), let end = Self.change(&rest), rest.isEmpty else { return nil }
            self.begin = begin
            self.end = end
        }

        func offset(at moment: Int64) -> Int64 {
            guard let summer, let begin, let end else { return standard }
            let year = CivilTime(secondsSince1970: moment + standard).year
            let start = begin.wallClock(year: year) - standard
            let stop = end.wallClock(year: year) - summer
            // South of the equator summer spans the turn of the year.
            let isSummer = start < stop ? moment >= start && moment < stop : moment >= start || moment < stop
            return isSummer ? summer : standard
        }

        private static func name(_ rest: inout Substring.UTF8View) -> Bool {
            if rest.first == UInt8(ascii: "<") {
                guard let close = rest.firstIndex(of: UInt8(ascii: ">")) else { return false }
                rest = rest[rest.index(after: close)...]
                return true
            }
            let letters = rest.prefix { $0 | 0x20 >= UInt8(ascii: "a") && $0 | 0x20 <= UInt8(ascii: "z") }
            rest = rest[letters.endIndex...]
            return letters.count >= 3
        }
        private static func number(_ rest: inout Substring.UTF8View) -> Int64? {
            let digits = rest.prefix { $0 >= 48 && $0 <= 57 }
            rest = rest[digits.endIndex...]
            return digits.count <= 4 ? Int64(String(Substring(digits))) : nil
        }
        /// `[+-]h[:m[:s]]` in seconds.
        private static func time(_ rest: inout Substring.UTF8View) -> Int64? {
            var sign: Int64 = 1
            if let first = rest.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
                sign = first == UInt8(ascii: "-") ? -1 : 1
                rest.removeFirst()
            }
            guard var total = number(&rest) else { return nil }
            total *= 3600
            for unit: Int64 in [60, 1] where rest.first == UInt8(ascii: ":") {
                rest.removeFirst()
                guard let more = number(&rest) else { return nil }
                total += more * unit
            }
            return sign * total
        }
        private static func change(_ rest: inout Substring.UTF8View) -> Change? {
            guard rest.starts(with: ",M".utf8) else { return nil }
            rest = rest.dropFirst(2)
            var parts: [Int] = []
            for index in 0..<3 {
                if index > 0 {
                    guard rest.first == UInt8(ascii: ".") else { return nil }
                    rest.removeFirst()
                }
                guard let value = number(&rest) else { return nil }
                parts.append(Int(value))
            }
            var second: Int64 = 7200
            if rest.first == UInt8(ascii: "/") {
                rest.removeFirst()
                guard let value = time(&rest) else { return nil }
                second = value
            }
            guard (1...12).contains(parts[0]), (1...5).contains(parts[1]), (0...6).contains(parts[2]) else {
                return nil
            }
            return Change(month: parts[0], week: parts[1], weekday: parts[2], second: second)
        }
    }
}
