import JSON
import ObjectModel

/// Metronome's cron expressions in the words of Kubernetes's.
enum CronText {
    /// Why an expression cannot be used.
    struct Problem: Error, CustomStringConvertible {
        let description: String
    }

    /// - Throws: `Problem` for what Kubernetes has no words for: a year, `L`, `W`, `#`, both kinds of days.
    static func standard(_ text: String) throws(Problem) -> String {
        var fields = text.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
        if fields.count == 6, fields[5] == "*" { fields.removeLast() }
        if fields.count == 6 { throw Problem(description: "a year is not supported") }
        guard fields.count == 5 else {
            throw Problem(description: "five fields are needed, there are \(fields.count)")
        }
        let days = fields[2].uppercased()
        let weekdays = fields[4].uppercased()
        if days.contains(where: { "LW#".contains($0) }) || weekdays.contains("#") || weekdays.hasSuffix("L") {
            throw Problem(description: "L, W and # are not supported")
        }
        // Metronome asks for both, Kubernetes for one of them.
        if !"*?".contains(days.prefix(1)), !"*?".contains(weekdays.prefix(1)) {
            throw Problem(description: "a day of the month together with a day of the week is not supported")
        }
        if fields[4].contains("7") { fields[4] = sunday(fields[4]) }
        return fields.joined(separator: " ")
    }

    /// 7 is Sunday, too: a list keeps its other days, a range that ends there gets 0 beside it.
    private static func sunday(_ field: String) -> String {
        field.split(separator: ",").map { part in
            if part == "7" { return "0" }
            guard part.hasSuffix("-7"), let first = Int(part.dropLast(2)) else { return String(part) }
            return first >= 6 ? (first == 6 ? "6,0" : "0") : "\(first)-6,0"
        }.joined(separator: ",")
    }

    /// When a schedule comes next.
    static func next(_ schedule: JSON, after now: Timestamp = .now) -> Timestamp? {
        guard let text = try? standard(schedule["cron"].string ?? ""), let cron = try? CronSchedule(parsing: text),
            let zone = TimeZones.rules(schedule["timezone"].string ?? "UTC"),
            let wall = cron.next(after: now.seconds + zone.offset(at: now.seconds))
        else { return nil }
        return Timestamp(seconds: zone.moment(ofWallClock: wall))
    }
}
