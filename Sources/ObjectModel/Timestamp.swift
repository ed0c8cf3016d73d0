import Glibc
import JSON

/// A point in time as the API writes it: RFC 3339 in UTC, seconds (`metav1.Time`) or microseconds (`MicroTime`).
public struct Timestamp: Hashable, Sendable, Comparable {
    /// Microseconds since 1970-01-01T00:00:00Z.
    public var microseconds: Int64

    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }
    /// Whole seconds since 1970-01-01T00:00:00Z; saturates at ±292,000 years.
    public init(seconds: Int64) {
        microseconds = seconds.multipliedSaturated(by: 1_000_000)
    }
    /// Parses RFC 3339 with any offset and fraction; nil when the text is not one.
    public init?(_ text: String) {
        var text = text
        guard let value = text.withUTF8({ RFC3339.parse($0) }) else { return nil }
        microseconds = value
    }
    /// The wall clock now.
    public static var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }

    /// `2026-01-02T03:04:05Z`, the form of `metav1.Time`; the fraction is cut.
    public var rfc3339: String { RFC3339.text(of: microseconds, fractionDigits: 0) }
    /// `2026-01-02T03:04:05.000000Z`, the form of `metav1.MicroTime`.
    public var rfc3339Micro: String { RFC3339.text(of: microseconds, fractionDigits: 6) }

    /// The UTC calendar date and time of day.
    public var civil: CivilTime { CivilTime(secondsSince1970: seconds) }
    /// Whole seconds since 1970, rounded down.
    public var seconds: Int64 { microseconds.floorDivided(by: 1_000_000) }

    public static func < (left: Timestamp, right: Timestamp) -> Bool { left.microseconds < right.microseconds }
    /// Later by a duration; saturates, for a client may have chosen the duration.
    public static func + (left: Timestamp, right: Duration) -> Timestamp {
        let (seconds, attoseconds) = right.components
        let later = seconds.multipliedSaturated(by: 1_000_000).addingSaturated(attoseconds / 1_000_000_000_000)
        return Timestamp(microseconds: left.microseconds.addingSaturated(later))
    }
    /// The time from `right` to `left`.
    public static func - (left: Timestamp, right: Timestamp) -> Duration {
        .microseconds(left.microseconds.subtractingSaturated(right.microseconds))
    }
}

extension Timestamp: CustomStringConvertible {
    /// RFC 3339 with microseconds.
    public var description: String { rfc3339Micro }
}

/// A UTC calendar date and time of day in the proleptic Gregorian calendar.
public struct CivilTime: Sendable, Hashable {
    public var year: Int
    /// 1 to 12.
    public var month: Int
    /// 1 to 31.
    public var day: Int
    public var hour: Int
    public var minute: Int
    public var second: Int

    /// A date and time; out-of-range parts are carried over by `secondsSince1970`.
    public init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
    }

    /// The calendar date of a moment.
    public init(secondsSince1970: Int64) {
        let days = Int(secondsSince1970.floorDivided(by: 86400))
        let ofDay = Int(secondsSince1970 - Int64(days) * 86400)
        // Years that start in March put the leap day at the end; an era is the 400 years after which days repeat.
        let shifted = days + 719_468
        let era = shifted.floorDivided(by: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
        month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        hour = ofDay / 3600
        minute = ofDay % 3600 / 60
        second = ofDay % 60
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    public var secondsSince1970: Int64 {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = shiftedYear.floorDivided(by: 400)
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = Int64(era * 146_097 + dayOfEra - 719_468)
        return days * 86400 + Int64(hour * 3600 + minute * 60 + second)
    }

    /// 0 for Sunday to 6 for Saturday.
    public var weekday: Int {
        let days = Int(secondsSince1970.floorDivided(by: 86400))
        return (days + 4) - (days + 4).floorDivided(by: 7) * 7
    }

    /// Days of a month, 28 to 31.
    public static func days(inMonth month: Int, year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

extension BinaryInteger {
    /// The quotient rounded towards negative infinity.
    func floorDivided(by divisor: Self) -> Self {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}

/// RFC 3339 text, without locale or allocation beyond the result.
private enum RFC3339 {
    static func parse(_ bytes: UnsafeBufferPointer<UInt8>) -> Int64? {
        guard bytes.count >= 20, bytes.count <= 64, bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-"),
            bytes[10] == UInt8(ascii: "T"), bytes[13] == UInt8(ascii: ":"), bytes[16] == UInt8(ascii: ":")
        else { return nil }
        func number(_ start: Int, _ count: Int) -> Int? {
            guard start + count <= bytes.count else { return nil }
            var value = 0
            for index in start..<start + count {
                let digit = bytes[index] &- 48
                guard digit < 10 else { return nil }
                value = value * 10 + Int(digit)
            }
            return value
        }
        guard let year = number(0, 4), let month = number(5, 2), let day = number(8, 2), let hour = number(11, 2),
            let minute = number(14, 2), let second = number(17, 2), (1...12).contains(month), day >= 1,
            day <= CivilTime.days(inMonth: month, year: year), hour < 24, minute < 60, second < 60
        else { return nil }
        var position = 19
        var micros = 0
        if bytes[position] == UInt8(ascii: ".") {
            position += 1
            let first = position
            var scale = 100_000
            while position < bytes.count, case let digit = bytes[position] &- 48, digit < 10 {
                micros += Int(digit) * scale
                scale /= 10
                position += 1
            }
            guard position > first else { return nil }
        }
        guard position < bytes.count else { return nil }
        var offset = 0
        switch bytes[position] {
        case UInt8(ascii: "Z"):
            guard position + 1 == bytes.count else { return nil }
        case UInt8(ascii: "+"), UInt8(ascii: "-"):
            guard position + 6 == bytes.count, bytes[position + 3] == UInt8(ascii: ":"),
                let hours = number(position + 1, 2), let minutes = number(position + 4, 2), hours < 25, minutes < 60
            else { return nil }
            offset = (hours * 3600 + minutes * 60) * (bytes[position] == UInt8(ascii: "+") ? 1 : -1)
        default: return nil
        }
        let civil = CivilTime(year: year, month: month, day: day, hour: hour, minute: minute, second: second)
        return (civil.secondsSince1970 - Int64(offset)) * 1_000_000 + Int64(micros)
    }

    static func text(of microseconds: Int64, fractionDigits: Int) -> String {
        let seconds = microseconds.floorDivided(by: 1_000_000)
        let civil = CivilTime(secondsSince1970: seconds)
        let length = 20 + (fractionDigits > 0 ? fractionDigits + 1 : 0)
        return String(unsafeUninitializedCapacity: length) { out in
            func put(_ value: Int, at start: Int, _ count: Int) {
                var rest = value
                for index in stride(from: start + count - 1, through: start, by: -1) {
                    out.initializeElement(at: index, to: 48 + UInt8(truncatingIfNeeded: rest % 10))
                    rest /= 10
                }
            }
            func put(_ character: Unicode.Scalar, at index: Int) {
                out.initializeElement(at: index, to: UInt8(truncatingIfNeeded: character.value))
            }
            put(min(max(civil.year, 0), 9999), at: 0, 4)
            put("-", at: 4)
            put(civil.month, at: 5, 2)
            put("-", at: 7)
            put(civil.day, at: 8, 2)
            put("T", at: 10)
            put(civil.hour, at: 11, 2)
            put(":", at: 13)
            put(civil.minute, at: 14, 2)
            put(":", at: 16)
            put(civil.second, at: 17, 2)
            if fractionDigits > 0 {
                put(".", at: 19)
                put(Int(microseconds - seconds * 1_000_000), at: 20, fractionDigits)
            }
            put("Z", at: length - 1)
            return length
        }
    }
}
