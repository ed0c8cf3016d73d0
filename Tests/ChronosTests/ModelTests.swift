import JSON
import ObjectModel
import Testing

@testable import Chronos

private func job(_ members: JSON = .object([:])) -> JSON {
    var json: JSON = ["name": "a", "command": "true", "schedule": "R/2026-01-31T10:00:00Z/PT1H"]
    for (name, value) in members.members { json[name] = value }
    return json
}
private func refusal(_ document: JSON) -> String? {
    do throws(ChronosError) {
        _ = try JobSpec(document)
        return nil
    } catch {
        return error.message
    }
}

@Suite("Chronos's documents")
struct ModelTests {
    @Test("Intervals begin, repeat by the calendar or by time, and skip what was missed")
    func intervals() throws {
        func next(_ text: String, zone: String = "") throws -> String {
            let interval = try RepeatingInterval(text, zone: zone)
            return interval.next(after: try #require(interval.start)).rfc3339
        }
        #expect(try next("R/2026-01-31T10:00:00Z/PT90M") == "2026-01-31T11:30:00Z")
        #expect(try next("R5/2026-01-31T10:00:00Z/P1M") == "2026-02-28T10:00:00Z")
        #expect(try next("R/2024-02-29T00:00:00+01:00/P1Y") == "2025-02-27T23:00:00Z")
        #expect(try next("R/2026-01-31T10:00:00.250Z/P1DT2S") == "2026-02-01T10:00:02Z")
        // A day is one of the clock: it has 23 hours when summer time begins.
        #expect(try next("R/2026-03-28T12:00:00Z/P1D", zone: "Europe/Berlin") == "2026-03-29T10:00:00Z")
        #expect(try RepeatingInterval("R3//P2W", zone: "").start == nil)
        #expect(try RepeatingInterval("R3//P2W", zone: "").count == 3)
        #expect(try RepeatingInterval("R/2026-01-01T10:00Z/P1D", zone: "").start?.rfc3339 == "2026-01-01T10:00:00Z")
        #expect(
            try RepeatingInterval("R/2026-07-01T10:00:00Z/P1D", zone: "PST").start?.rfc3339 == "2026-07-01T17:00:00Z")
        for text in ["P999999999Y", "P1Y999999999M", "PT999999999H999999999H999999999H", "P9999999D"] {
            #expect(throws: ChronosError.self) { try RepeatingInterval("R//\(text)", zone: "") }
        }
        let often = try RepeatingInterval("R/2014-01-01T00:00:00Z/PT2S", zone: "")
        let skipped = often.skip(from: try #require(often.start), to: try #require(Timestamp("2026-01-01T00:00:01Z")))
        #expect(skipped.next.rfc3339 == "2026-01-01T00:00:02Z" && skipped.skipped == 189_345_601)
        for wrong in [
            "", "R/x", "5/2026-01-01T00:00:00Z/P1D", "R/2026-01-01T00:00:00Z/", "R/2026-01-01T00:00:00Z/P",
            "R/2026-01-01T00:00:00Z/PT0S", "R/yesterday/P1D", "R-1//P1D", "R/1960-01-01T00:00:00Z/P1D", "R//P1.5D",
        ] {
            #expect(throws: ChronosError.self, "\(wrong)") { try RepeatingInterval(wrong, zone: "") }
        }
    }

    @Test("What a definition leaves out is filled in, and what nothing can run is refused")
    func definitions() throws {
        let spec = try JobSpec(job(["cpus": "0.5"]))
        #expect(spec.json["cpus"].double == 0.5 && spec.json["retries"].int == 2 && spec.json["mem"].int == 128)
        #expect(spec.epsilon == 60_000_000 && spec.isShell && !spec.mayOverlap)
        #expect(refusal(job(["name": "a b"]))?.contains("name is invalid") == true)
        #expect(refusal(job(["parents": ["b"]]))?.contains("not both") == true)
        #expect(refusal(job(["schedule": ""]))?.contains("a schedule or parents") == true)
        #expect(refusal(job(["epsilon": "5 minutes"]))?.contains("epsilon") == true)
        #expect(refusal(job(["constraints": [["rack", "LIKE", "("]]]))?.contains("regular expression") == true)
        #expect(refusal(job(["scheduleTimeZone": "Nowhere"]))?.contains("Nowhere") == true)
        let container: JSON = ["type": "DOCKER", "image": "a", "parameters": [["key": "log-driver", "value": "x"]]]
        #expect(refusal(job(["container": container]))?.contains("\"log-driver\" is not supported") == true)
        #expect(try JobSpec(job(["disabled": true])).isDisabled)
    }

    @Test("Percentiles are values that occurred")
    func percentiles() {
        #expect(ChronosAPI.percentile([], 0.99) == 0)
        #expect(ChronosAPI.percentile([1, 2, 3, 4], 0.5) == 2)
        #expect(ChronosAPI.percentile([1, 2, 3, 4], 0.99) == 4)
    }
}
