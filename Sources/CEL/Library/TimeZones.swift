import Glibc
import ObjectModel
import Synchronization

/// Offsets of time zones: fixed ones such as `-08:00`, and names of the machine's IANA database (RFC 8536 files).
enum TimeZones {
    /// Seconds east of UTC at a moment.
    /// - Throws: for a zone that is neither an offset nor in the database.
    static func offset(_ zone: String, at seconds: Int64) throws(CELFailure) -> Int64 {
        if zone.isEmpty || zone == "UTC" || zone == "Z" { return 0 }
        if let fixed = fixedOffset(zone) { return fixed }
        guard let known = named(zone) else { throw CELFailure("unknown time zone \(zone)") }
        return known.offset(at: seconds)
    }

    private static func fixedOffset(_ text: String) -> Int64? {
        var rest = Substring(text)
        var sign: Int64 = 1
        if let first = rest.first, first == "+" || first == "-" {
            sign = first == "-" ? -1 : 1
            rest.removeFirst()
        }
        let parts = rest.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let hours = Int64(parts[0]), let minutes = Int64(parts[1]), (0...23).contains(hours),
            (0...59).contains(minutes)
        else { return nil }
        return sign * (hours * 3600 + minutes * 60)
    }

    private static let cache = Mutex<[String: TimeZoneFile?]>([:])

    private static func named(_ name: String) -> TimeZoneFile? {
        if let known = cache.withLock({ $0[name] }) { return known }
        let isPlain =
            name.utf8.count < 64 && !name.hasPrefix("/") && !name.contains("..")
            && name.utf8.allSatisfy { ($0 | 0x20 >= 97 && $0 | 0x20 <= 122) || ($0 >= 43 && $0 <= 57) || $0 == 95 }
        let file = isPlain ? read("/usr/share/zoneinfo/" + name).flatMap { TimeZoneFile($0) } : nil
        cache.withLock { cache in
            // Names that expressions invent must not pile up.
            if cache.count > 1000 { cache.removeAll() }
            cache[name] = .some(file)
        }
        return file
    }

    private static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 8192)
        while bytes.count < 1 << 20 {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count <= 0 { break }
            bytes.append(contentsOf: buffer[0..<count])
        }
        return bytes
    }
}

/// One zone: its transitions, and the rule for the time after the last.
struct TimeZoneFile: Sendable {
    private var times: [Int64] = []
    private var offsets: [Int64] = []
    private var first: Int64 = 0
    private var rule: PosixZone?

    init?(_ bytes: [UInt8]) {
        func number(_ offset: Int, _ size: Int) -> Int64? {
            guard offset >= 0, offset + size <= bytes.count else { return nil }
            var value: UInt64 = 0
            for byte in bytes[offset..<offset + size] { value = value << 8 | UInt64(byte) }
            return size == 4 ? Int64(Int32(truncatingIfNeeded: value)) : Int64(bitPattern: value)
        }
        guard bytes.count >= 44, bytes.starts(with: "TZif".utf8) else { return nil }
        func counts(_ header: Int) -> [Int]? {
            let values = (0..<6).compactMap { number(header + 20 + $0 * 4, 4).map(Int.init) }
            return values.count == 6 && values.allSatisfy { $0 >= 0 && $0 < 100_000 } ? values : nil
        }
        guard let old = counts(0) else { return nil }
        var header = 0
        var width = 4
        var size = old
        if bytes[4] >= UInt8(ascii: "2") {
            header = 44 + old[3] * 5 + old[4] * 6 + old[5] + old[2] * 8 + old[1] + old[0]
            width = 8
            guard let new = counts(header) else { return nil }
            size = new
        }
        let (utCount, standardCount, leapCount) = (size[0], size[1], size[2])
        let (timeCount, typeCount, charCount) = (size[3], size[4], size[5])
        let timesAt = header + 44
        let typesAt = timesAt + timeCount * width + timeCount
        for index in 0..<timeCount {
            guard let time = number(timesAt + index * width, width),
                let type = number(timesAt + timeCount * width + index, 1), type < typeCount,
                let offset = number(typesAt + Int(type) * 6, 4)
            else { return nil }
            times.append(time)
            offsets.append(offset)
        }
        guard let initial = number(typesAt, 4) else { return nil }
        first = initial
        let end = typesAt + typeCount * 6 + charCount + leapCount * (width + 4) + standardCount + utCount
        if width == 8, end < bytes.count {
            let footer = bytes[end...].drop { $0 == 10 }.prefix { $0 != 10 }
            rule = PosixZone(String(decoding: footer, as: UTF8.self))
        }
    }

    func offset(at seconds: Int64) -> Int64 {
        guard let last = times.last else { return rule?.offset(at: seconds) ?? first }
        if seconds >= last, let rule { return rule.offset(at: seconds) }
        var low = 0
        var high = times.count
        while low < high {
            let middle = (low + high) / 2
            if times[middle] <= seconds { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? first : offsets[low - 1]
    }
}

/// The POSIX form of a zone's rule, `CET-1CEST,M3.5.0,M10.5.0/3`.
struct PosixZone: Sendable {
    private struct Change {
        var month: Int
        var week: Int
        var weekday: Int
        var time: Int64
    }
    private var standard: Int64 = 0
    private var daylight: Int64 = 0
    private var start: Change?
    private var end: Change?

    init?(_ text: String) {
        let parts = text.split(separator: ",")
        guard let names = parts.first else { return nil }
        var rest = Substring(names)
        guard Self.skipName(&rest), let offset = Self.readTime(&rest) else { return nil }
        standard = -offset
        daylight = standard + 3600
        guard Self.skipName(&rest) else {
            daylight = standard
            return
        }
        if let offset = Self.readTime(&rest) { daylight = -offset }
        guard parts.count == 3 else { return nil }
        start = Self.change(parts[1])
        end = Self.change(parts[2])
        if start == nil || end == nil { return nil }
    }

    private static func skipName(_ rest: inout Substring) -> Bool {
        if rest.first == "<" {
            guard let close = rest.firstIndex(of: ">") else { return false }
            rest = rest[rest.index(after: close)...]
            return true
        }
        let name = rest.prefix { $0.isLetter }
        rest = rest.dropFirst(name.count)
        return !name.isEmpty
    }

    private static func readTime(_ rest: inout Substring) -> Int64? {
        let text = rest.prefix { $0 == "+" || $0 == "-" || $0 == ":" || $0.isNumber }
        rest = rest.dropFirst(text.count)
        let parts = text.drop { $0 == "+" || $0 == "-" }.split(separator: ":").compactMap { Int64($0) }
        guard !parts.isEmpty else { return nil }
        let seconds = parts[0] * 3600 + (parts.count > 1 ? parts[1] * 60 : 0) + (parts.count > 2 ? parts[2] : 0)
        return text.hasPrefix("-") ? -seconds : seconds
    }

    private static func change(_ text: Substring) -> Change? {
        let halves = text.split(separator: "/")
        guard let day = halves.first, day.hasPrefix("M") else { return nil }
        let numbers = day.dropFirst().split(separator: ".").compactMap { Int($0) }
        guard numbers.count == 3, (1...12).contains(numbers[0]), (1...5).contains(numbers[1]),
            (0...6).contains(numbers[2])
        else { return nil }
        var time: Int64 = 7200
        if halves.count == 2 {
            var rest = halves[1]
            time = readTime(&rest) ?? 7200
        }
        return Change(month: numbers[0], week: numbers[1], weekday: numbers[2], time: time)
    }

    private static func moment(_ change: Change, _ year: Int) -> Int64 {
        let firstWeekday = CivilTime(year: year, month: change.month, day: 1).weekday
        var day = 1 + (change.weekday - firstWeekday + 7) % 7 + (change.week - 1) * 7
        if day > CivilTime.days(inMonth: change.month, year: year) { day -= 7 }
        return CivilTime(year: year, month: change.month, day: day).secondsSince1970 + change.time
    }

    func offset(at seconds: Int64) -> Int64 {
        guard let start, let end else { return standard }
        let year = CivilTime(secondsSince1970: seconds + standard).year
        let begins = Self.moment(start, year) - standard
        let ends = Self.moment(end, year) - daylight
        let isDaylight =
            begins < ends ? seconds >= begins && seconds < ends : seconds >= begins || seconds < ends
        return isDaylight ? daylight : standard
    }
}
