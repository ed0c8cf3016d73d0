import MesosModel
import ObjectModel
import ScheduledJobs

extension JobNames {
    static let chronos = JobNames(
        definitions: GroupVersionResource(group: "chronos.apus.dev", version: "v1", resource: "chronosjobs"),
        label: "chronos.apus.dev/job", annotation: "chronos.apus.dev/name"
    ) { name in
        // The job's name where an object can have it, else a safe form and a hash.
        let safe = MesosNames.dnsSafe(name, maximum: 46)
        return safe == name ? name : "\(safe)-\(MesosNames.hash(name))"
    }
}
