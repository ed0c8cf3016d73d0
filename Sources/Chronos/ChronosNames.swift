import MesosModel
import ObjectModel

/// Names that Chronos's objects carry.
enum ChronosNames {
    static let definitions = GroupVersionResource(group: "chronos.apus.dev", version: "v1", resource: "chronosjobs")
    /// Jobs have no role of their own: they are all of `*`.
    static let namespace = "default"

    /// Label of Jobs and pods: the name of the definition's object, safe for a label.
    static let jobLabel = "chronos.apus.dev/job"
    /// Annotation of the same: the job's name itself.
    static let jobAnnotation = "chronos.apus.dev/name"
    /// Annotation of a Job: its end is in the history.
    static let countedAnnotation = "chronos.apus.dev/counted"
    /// Annotation of a Job: why it was ended.
    static let stopAnnotation = "chronos.apus.dev/stop"
    /// Annotation of pods that the scheduler reads: placement constraints in Marathon's words.
    static let constraintsAnnotation = "marathon.apus.dev/constraints"

    /// The name of a definition's object: the job's name where an object can have it, else a safe form and a hash.
    static func objectName(of name: String) -> String {
        let safe = MesosNames.dnsSafe(name, maximum: 46)
        return safe == name ? name : "\(safe)-\(MesosNames.hash(name))"
    }
    static func key(_ name: String) -> ObjectKey { ObjectKey(namespace: namespace, name: objectName(of: name)) }

    /// The beginning of the names of Jobs.
    static func prefix(of name: String) -> String {
        "\(MesosNames.dnsSafe(name, maximum: 36))-\(MesosNames.hash("chronos", name))"
    }
}
