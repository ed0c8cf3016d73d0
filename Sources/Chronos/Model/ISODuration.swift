import JSON
import ObjectModel

/// A duration as ISO 8601 writes it: `P1Y2M3DT4H5M6S`, `PT30M`, `P2W`.
struct ISODuration: Sendable, Hashable {
    let text: String
    private(set) var months = 0
    private(set) var days = 0
    private(set) var microseconds: Int64 = 0

    /// Nil when it is none.
    init?(_ text: String) {
        self.text = text
        guard text.first == "P", text.count > 1 else { return nil }
        var isTime = false
        var number = ""
        for character in text.dropFirst() {
            switch character {
            case "T":
                guard !isTime, number.isEmpty else { return nil }
                isTime = true
            case "0"..."9", ".": number.append(character)
            default:
                guard let amount = Double(number), amount >= 0, amount < 1e9 else { return nil }
                number = ""
                guard take(character, amount, isTime: isTime) else { return nil }
            }
        }
        guard number.isEmpty, text.last != "T" else { return nil }
        // Ten thousand years: no time that comes of it is beyond what a timestamp holds.
        guard months <= 120_000, days <= 3_660_000, microseconds <= 320_000_000_000_000_000 else { return nil }
    }

    private mutating func take(_ unit: Character, _ amount: Double, isTime: Bool) -> Bool {
        func whole() -> Int? { Int(exactly: amount) }
        func add(_ seconds: Double) -> Bool {
            microseconds = microseconds.addingSaturated(Int64(bounded: (amount * seconds * 1_000_000).rounded()))
            return true
        }
        switch (unit, isTime) {
        case ("Y", false): months += (whole() ?? 0) * 12
        case ("M", false): months += whole() ?? 0
        case ("W", false): days += (whole() ?? 0) * 7
        case ("D", false): days += whole() ?? 0
        case ("H", true): return add(3600)
        case ("M", true): return add(60)
        case ("S", true): return add(1)
        default: return false
        }
        return whole() != nil
    }

    var isZero: Bool { months == 0 && days == 0 && microseconds == 0 }
    /// Its length when months have 30 days and days 24 hours, in microseconds.
    var roughly: Int64 { Int64(months) * 30 * 86_400_000_000 + Int64(days) * 86_400_000_000 + microseconds }

    /// The moment that is so much later: months and days by the calendar and the clock of a zone, the rest by time.
    func after(_ moment: Timestamp, zone: TimeZoneRules?, offset: Int64) -> Timestamp {
        guard months > 0 || days > 0 else { return moment + .microseconds(microseconds) }
        let fraction = moment.microseconds - moment.seconds * 1_000_000
        var wall = CivilTime(secondsSince1970: moment.seconds + (zone?.offset(at: moment.seconds) ?? offset))
        let month = wall.month - 1 + months
        wall.year += month / 12
        wall.month = month % 12 + 1
        wall.day = min(wall.day, CivilTime.days(inMonth: wall.month, year: wall.year))
        let clock = wall.secondsSince1970 + Int64(days) * 86_400
        let seconds = zone?.moment(ofWallClock: clock) ?? clock - offset
        return Timestamp(microseconds: seconds * 1_000_000 + fraction + microseconds)
    }
}
