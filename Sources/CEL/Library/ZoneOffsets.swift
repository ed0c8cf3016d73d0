import ObjectModel

/// Offsets of time zones as expressions name them: fixed ones such as `-08:00`, and names of the IANA database.
enum ZoneOffsets {
    /// Seconds east of UTC at a moment.
    /// - Throws: for a zone that is neither an offset nor in the database.
    static func offset(_ zone: String, at seconds: Int64) throws(CELFailure) -> Int64 {
        if zone.isEmpty || zone == "Z" { return 0 }
        if let fixed = fixedOffset(zone) { return fixed }
        guard let rules = TimeZones.rules(zone) else { throw CELFailure("unknown time zone \(zone)") }
        return rules.offset(at: seconds)
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
}
