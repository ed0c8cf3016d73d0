import JSON
import ObjectModel
import ScheduledJobs

/// A job's definition as the store has it.
struct Definition: JobDefinition {
    let object: Object
    let spec: JobSpec
    let record: History

    init(_ object: Object) {
        self.object = object
        // The object's name is the id, whatever its spec says.
        spec = JobSpec(object.tree["spec"], id: object.name)
        record = History(object.tree["status"])
    }

    var name: String { spec.id }
    var parents: [String] { spec.dependencies }
    func count(_ run: JobRun, _ tasks: [JobTask], in record: inout History) { record.add(run, tasks) }
}

/// What is kept of a job's runs when they are gone: counts and ends.
struct History: JobRecord {
    /// So many ends of each kind are kept.
    static let kept = 10
    var json: JSON

    init(_ status: JSON) { json = status.isNull ? .object([:]) : status }

    var successCount: Int { json["successCount"].int ?? 0 }
    var completions: Int { successCount }

    mutating func add(_ run: JobRun, _ tasks: [JobTask]) {
        let (count, last, list) =
            run.isSuccess
            ? ("successCount", "lastSuccessAt", "successfulFinishedRuns")
            : ("failureCount", "lastFailureAt", "failedFinishedRuns")
        json[count] = JSON((json[count].int ?? 0).addingSaturated(1))
        let end = (run.finished ?? run.created).metronomeText
        // All times have the same form: their order is that of their texts.
        json[last] = .string(max(end, json[last].string ?? ""))
        json[list] = .array(Array(([run.historyEntry(tasks)] + json[list].elements).prefix(Self.kept)))
    }

    /// What clients are shown.
    var summary: JSON {
        [
            "successCount": JSON(successCount), "failureCount": JSON(json["failureCount"].int ?? 0),
            "lastSuccessAt": json["lastSuccessAt"], "lastFailureAt": json["lastFailureAt"],
        ]
    }
    var whole: JSON {
        var whole = summary
        whole["successfulFinishedRuns"] = .array(json["successfulFinishedRuns"].elements)
        whole["failedFinishedRuns"] = .array(json["failedFinishedRuns"].elements)
        return whole
    }
}
