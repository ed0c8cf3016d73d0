import JSON
import ObjectModel
import ScheduledJobs

/// What is known of a job's runs: the `status` of its object.
struct JobStatus: JobRecord {
    /// So many ends are kept for statistics.
    static let kept = 50
    var json: JSON

    init(_ json: JSON) { self.json = json.isNull ? .object([:]) : json }

    var successCount: Int { json["successCount"].int ?? 0 }
    var errorCount: Int { json["errorCount"].int ?? 0 }
    var errorsSinceLastSuccess: Int { json["errorsSinceLastSuccess"].int ?? 0 }
    var lastSuccess: String { json["lastSuccess"].string ?? "" }
    var lastError: String { json["lastError"].string ?? "" }
    /// Ends after which the jobs that follow may start; never counted down.
    var completions: Int { json["completions"].int ?? 0 }
    var history: [JSON] { json["history"].elements }

    // MARK: The schedule

    /// The next time of a schedule, and how often it comes yet; nil: for ever.
    struct Plan: Sendable, Hashable {
        var next: Timestamp
        var left: Int?
    }
    /// The plan of a schedule; nil when none was made for it.
    func plan(of spec: JobSpec) -> Plan? {
        let plan = json["plan"]
        guard plan["schedule"].string == spec.schedule, plan["zone"].string == spec.zone,
            let next = plan["next"].string.flatMap({ Timestamp($0) })
        else { return nil }
        return Plan(next: next, left: plan["left"].int)
    }
    mutating func setPlan(_ plan: Plan, of spec: JobSpec) {
        var written: JSON = ["zone": .string(spec.zone), "next": .string(plan.next.rfc3339Micro)]
        written.setMember("schedule", spec.schedule.map { .string($0) })
        written.setMember("left", plan.left.map { JSON($0) })
        json["plan"] = written
    }

    // MARK: Ends

    mutating func succeeded(at end: Timestamp) {
        json["successCount"] = JSON(successCount.addingSaturated(1))
        json["errorsSinceLastSuccess"] = 0
        json["lastSuccess"] = .string(max(end.chronosText, lastSuccess))
        json["completions"] = JSON(completions.addingSaturated(1))
    }
    mutating func failed(at end: Timestamp, isSoft: Bool) {
        json["errorCount"] = JSON(errorCount.addingSaturated(1))
        json["errorsSinceLastSuccess"] = JSON(errorsSinceLastSuccess.addingSaturated(1))
        json["lastError"] = .string(max(end.chronosText, lastError))
        if isSoft { json["completions"] = JSON(completions.addingSaturated(1)) }
    }
    mutating func remember(_ entry: JSON) {
        json["history"] = .array(Array(([entry] + history).prefix(Self.kept)))
    }
}

extension Timestamp {
    /// `2026-07-15T13:02:59.735Z`.
    var chronosText: String { String(rfc3339Micro.dropLast(4)) + "Z" }
}
