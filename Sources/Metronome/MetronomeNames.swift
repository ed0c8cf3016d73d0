import MesosModel
import ObjectModel

/// Names that Metronome's objects carry.
enum MetronomeNames {
    static let definitions = GroupVersionResource(
        group: "metronome.apus.dev", version: "v1", resource: "metronomejobs")
    static let cronJobs = GroupVersionResource(group: "batch", version: "v1", resource: "cronjobs")
    /// Jobs have no role of their own: they are all of `*`.
    static let namespace = "default"

    /// Label of CronJobs, Jobs and pods: the job's id, safe for a label.
    static let jobLabel = MesosNames.metronomeJobLabel
    /// Annotation of the same: the id itself.
    static let jobAnnotation = MesosNames.metronomeJobAnnotation
    /// Annotation of a CronJob: a digest of what it was made from.
    static let digestAnnotation = "metronome.apus.dev/digest"
    /// Annotation of a Job: seconds within which it has to have a node.
    static let delayAnnotation = "metronome.apus.dev/launch-within"
    /// Annotation of a Job: seconds during which a failure is tried again; absent: always.
    static let retryAnnotation = "metronome.apus.dev/retry-within"
    /// Annotation of a Job: why it was ended.
    static let stopAnnotation = "metronome.apus.dev/stop"
    /// Annotation of a Job: its end is in the history.
    static let countedAnnotation = "metronome.apus.dev/counted"
    /// Annotation of pods that the scheduler reads: placement constraints in Marathon's words.
    static let constraintsAnnotation = "marathon.apus.dev/constraints"

    static func key(_ id: String) -> ObjectKey { ObjectKey(namespace: namespace, name: id) }

    /// The CronJob of a job: its name must leave room for the minute that its Jobs' names end with.
    static func cronJob(of id: String) -> String { "\(MesosNames.dnsSafe(id, maximum: 46))-\(MesosNames.hash(id))" }

    /// The beginning of the names of Jobs.
    static func prefix(of id: String) -> String { "\(MesosNames.dnsSafe(id, maximum: 37))-\(MesosNames.hash(id))" }
}
