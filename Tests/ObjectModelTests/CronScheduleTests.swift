import Testing

@testable import ObjectModel

@Suite struct CronScheduleTests {
    private static func seconds(_ text: String) -> Int64 { Timestamp(text)?.seconds ?? 0 }

    @Test(
        "The next time of a schedule",
        arguments: [
            ("* * * * *", "2026-01-01T00:00:30Z", "2026-01-01T00:01:00Z"),
            ("*/15 * * * *", "2026-01-01T00:15:00Z", "2026-01-01T00:30:00Z"),
            ("5/20 8-10 * * *", "2026-01-01T09:46:00Z", "2026-01-01T10:05:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("30 6 * jan,Mar MON-FRI", "2026-01-30T07:00:00Z", "2026-03-02T06:30:00Z"),
            // Either day field, as neither is open.
            ("0 0 13 * 5", "2026-02-01T00:00:00Z", "2026-02-06T00:00:00Z"),
            ("@hourly", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"),
            ("@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("@every 90s", "2026-01-01T00:00:00Z", "2026-01-01T00:01:30Z"),
        ])
    func next(schedule: String, after: String, expected: String) throws {
        let parsed = try CronSchedule(parsing: schedule)
        #expect(parsed.next(after: Self.seconds(after)) == Self.seconds(expected))
    }

    @Test("A day that never comes ends the search")
    func never() throws {
        #expect(try CronSchedule(parsing: "0 0 31 2 *").next(after: 0) == nil)
    }

    @Test(
        "Texts that are no schedule",
        arguments: [
            "", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7", "5-1 * * * *",
            "*/0 * * * *", "a * * * *", "1-2-3 * * * *", "@never", "@every soon", "-1 * * * *",
            "99999999999999999999 * * * *", ", * * * *",
        ])
    func refused(text: String) {
        #expect(throws: CronError.self) { try CronSchedule(parsing: text) }
    }

    @Test("A zone's offsets, from its table and from its rule")
    func zone() {
        // One transition to CET in the table, then a rule.
        var file: [UInt8] = Array("TZif2".utf8) + [UInt8](repeating: 0, count: 15)
        func number(_ value: Int64, _ size: Int) -> [UInt8] {
            (0..<size).reversed().map { UInt8(truncatingIfNeeded: value >> Int64(8 * $0)) }
        }
        let none = [UInt8](repeating: 0, count: 24)
        file += none
        file += Array("TZif2".utf8) + [UInt8](repeating: 0, count: 15)
        for count in [0, 0, 0, 1, 2, 4] { file += number(Int64(count), 4) }
        file += number(1000, 8) + [1]
        file += number(600, 4) + [0, 0] + number(3600, 4) + [0, 0] + Array("CET\0".utf8)
        file += Array("\nCET-1CEST,M3.5.0,M10.5.0/3\n".utf8)
        guard let zone = TimeZoneRules(file: file) else {
            Issue.record("not read")
            return
        }
        #expect(zone.offset(at: 0) == 600)
        #expect(zone.offset(at: Self.seconds("2026-01-01T00:00:00Z")) == 3600)
        #expect(zone.offset(at: Self.seconds("2026-03-29T00:59:59Z")) == 3600)
        #expect(zone.offset(at: Self.seconds("2026-03-29T01:00:00Z")) == 7200)
        #expect(zone.offset(at: Self.seconds("2026-10-25T00:59:59Z")) == 7200)
        #expect(zone.offset(at: Self.seconds("2026-10-25T01:00:00Z")) == 3600)
        // Skipped in spring, twice in autumn.
        #expect(zone.moment(ofWallClock: Self.seconds("2026-03-29T02:30:00Z")) == Self.seconds("2026-03-29T01:30:00Z"))
        #expect(zone.moment(ofWallClock: Self.seconds("2026-10-25T02:30:00Z")) == Self.seconds("2026-10-25T00:30:00Z"))
        for length in 0..<file.count { _ = TimeZoneRules(file: Array(file[..<length])) }
    }
}
