import ObjectModel
import ScheduledJobs

/// A job's definition as the store has it.
struct Definition: JobDefinition {
    let object: Object
    let spec: JobSpec
    let record: JobStatus

    init(_ object: Object) {
        self.object = object
        spec = JobSpec(stored: object.tree["spec"], name: object.name)
        record = JobStatus(object.tree["status"])
    }

    var name: String { spec.name }
    var parents: [String] { spec.parents }

    func count(_ run: JobRun, _ tasks: [JobTask], in record: inout JobStatus) {
        let end = run.finished ?? run.created
        if run.isSuccess {
            record.succeeded(at: end)
        } else {
            record.failed(at: end, isSoft: spec.hasSoftErrors)
        }
        record.remember(run.entry(tasks))
    }
}
