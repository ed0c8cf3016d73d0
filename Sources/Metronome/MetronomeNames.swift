import MesosModel
import ObjectModel
import ScheduledJobs

extension JobNames {
    static let metronome = JobNames(
        definitions: GroupVersionResource(group: "metronome.apus.dev", version: "v1", resource: "metronomejobs"),
        label: MesosNames.metronomeJobLabel, annotation: MesosNames.metronomeJobAnnotation)
}

/// Names that only Metronome's objects carry.
enum MetronomeNames {
    static let cronJobs = GroupVersionResource(group: "batch", version: "v1", resource: "cronjobs")

    /// Annotation of a CronJob: a digest of what it was made from.
    static let digestAnnotation = "metronome.apus.dev/digest"
    /// Annotation of a Job: seconds within which it has to have a node.
    static let delayAnnotation = "metronome.apus.dev/launch-within"
    /// Annotation of a Job: seconds during which a failure is tried again; absent: always.
    static let retryAnnotation = "metronome.apus.dev/retry-within"

    /// The CronJob of a job: its name must leave room for the minute that its Jobs' names end with.
    static func cronJob(of id: String) -> String { "\(MesosNames.dnsSafe(id, maximum: 46))-\(MesosNames.hash(id))" }

    /// The beginning of the names of Jobs.
    static func prefix(of id: String) -> String { "\(MesosNames.dnsSafe(id, maximum: 37))-\(MesosNames.hash(id))" }
}
