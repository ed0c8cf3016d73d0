import ObjectModel

extension CELTimestamp {
    /// Seconds at 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, between which timestamps lie.
    static let range: ClosedRange<Int64> = -62_135_596_800...253_402_300_799

    /// Parses RFC 3339 with any offset and fraction, or a date alone; nil when the text is not one or out of range.
    public init?(_ text: String) {
        var bytes = Array(text.utf8)
        if bytes.count == 10 { bytes.append(contentsOf: "T00:00:00Z".utf8) }
        guard bytes.count >= 20, bytes.count <= 64 else { return nil }
        func number(_ start: Int, _ count: Int) -> Int? {
            guard start + count <= bytes.count else { return nil }
            var value = 0
            for byte in bytes[start..<start + count] {
                guard byte &- 48 < 10 else { return nil }
                value = value * 10 + Int(byte - 48)
            }
            return value
        }
        func has(_ character: Unicode.Scalar, at index: Int) -> Bool { bytes[index] == UInt8(ascii: character) }
        guard has("-", at: 4), has("-", at: 7), has("T", at: 10), has(":", at: 13), has(":", at: 16),
            let year = number(0, 4), let month = number(5, 2), let day = number(8, 2), let hour = number(11, 2),
            let minute = number(14, 2), let second = number(17, 2), (1...12).contains(month), day >= 1,
            day <= CivilTime.days(inMonth: month, year: year), hour < 24, minute < 60, second < 60
        else { return nil }
        var position = 19
        var nanos = 0
        if has(".", at: position) {
            position += 1
            let first = position
            var scale = 100_000_000
            while position < bytes.count, bytes[position] &- 48 < 10 {
                nanos += Int(bytes[position] - 48) * scale
                scale /= 10
                position += 1
            }
            guard position > first else { return nil }
        }
        guard position < bytes.count else { return nil }
        var offset = 0
        if has("Z", at: position) {
            guard position + 1 == bytes.count else { return nil }
        } else {
            guard has("+", at: position) || has("-", at: position), position + 6 == bytes.count,
                has(":", at: position + 3), let hours = number(position + 1, 2), let minutes = number(position + 4, 2),
                hours < 25, minutes < 60
            else { return nil }
            offset = (hours * 3600 + minutes * 60) * (has("+", at: position) ? 1 : -1)
        }
        let civil = CivilTime(year: year, month: month, day: day, hour: hour, minute: minute, second: second)
        let seconds = civil.secondsSince1970 - Int64(offset)
        guard Self.range.contains(seconds) else { return nil }
        self.init(seconds: seconds, nanoseconds: Int32(nanos))
    }

    /// Nanoseconds since 1970 in 128 bits, which hold every timestamp.
    var total: Int128 { Int128(seconds) * 1_000_000_000 + Int128(nanoseconds) }

    /// From nanoseconds since 1970; nil out of range.
    init?(total: Int128) {
        var (seconds, rest) = total.quotientAndRemainder(dividingBy: 1_000_000_000)
        if rest < 0 {
            seconds -= 1
            rest += 1_000_000_000
        }
        guard let seconds = Int64(exactly: seconds), Self.range.contains(seconds) else { return nil }
        self.init(seconds: seconds, nanoseconds: Int32(rest))
    }
}

extension CELTimestamp: CustomStringConvertible {
    /// RFC 3339 in UTC with as many digits of the fraction as needed.
    public var description: String {
        let civil = CivilTime(secondsSince1970: seconds)
        func padded(_ value: Int, _ count: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, count - text.utf8.count)) + text
        }
        var text =
            "\(padded(civil.year, 4))-\(padded(civil.month, 2))-\(padded(civil.day, 2))T"
            + "\(padded(civil.hour, 2)):\(padded(civil.minute, 2)):\(padded(civil.second, 2))"
        if nanoseconds > 0 {
            var fraction = padded(Int(nanoseconds), 9)
            while fraction.hasSuffix("0") { fraction.removeLast() }
            text += "." + fraction
        }
        return text + "Z"
    }
}
