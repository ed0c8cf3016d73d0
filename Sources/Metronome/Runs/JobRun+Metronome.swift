import JSON
import MesosModel
import ObjectModel
import ScheduledJobs

/// A run as Metronome shows it.
extension JobRun {
    enum Status: String, Sendable {
        case starting = "STARTING"
        case active = "ACTIVE"
        case success = "SUCCESS"
        case failed = "FAILED"
    }

    /// The time it was made and five characters: `20260715130259a4hx2`. Runs made by a schedule have no other id.
    var id: String { created.rfc3339.filter(\.isNumber) + MesosNames.hash(uid) }

    /// Seconds within which it has to have a node.
    var launchWithin: Int? { annotations[MetronomeNames.delayAnnotation].string.flatMap { Int($0) } }
    /// Nil: a failure is not tried again, or always.
    var retryWithin: Int? { annotations[MetronomeNames.retryAnnotation].string.flatMap { Int($0) } }

    func status(_ tasks: [JobTask]) -> Status {
        if finished != nil { return isSuccess ? .success : .failed }
        return tasks.contains(where: \.isPlaced) ? .active : .starting
    }

    /// What clients are shown.
    func json(_ tasks: [JobTask]) -> JSON {
        [
            "id": .string(id), "jobId": .string(job), "status": .string(status(tasks).rawValue),
            "createdAt": .string(created.metronomeText),
            "completedAt": finished.map { .string($0.metronomeText) } ?? .null,
            "tasks": .array(tasks.map(\.json)),
        ]
    }

    /// An entry of the history.
    func historyEntry(_ tasks: [JobTask]) -> JSON {
        [
            "id": .string(id), "createdAt": .string(created.metronomeText),
            "finishedAt": .string((finished ?? created).metronomeText),
            "tasks": .array(tasks.map { .string($0.id) }),
        ]
    }
}

extension JobTask {
    /// As the Mesos window shows it.
    var id: String { "\(key.name).\(key.namespace)" }

    private var state: String {
        switch phase {
        case "Succeeded": "TASK_FINISHED"
        case "Failed": isTerminating ? "TASK_KILLED" : "TASK_FAILED"
        case "Running": isTerminating ? "TASK_KILLING" : "TASK_RUNNING"
        default: isPlaced ? "TASK_STARTING" : "TASK_STAGING"
        }
    }

    var json: JSON {
        var task: JSON = [
            "id": .string(id), "startedAt": .string((started ?? created).metronomeText), "status": .string(state),
        ]
        if let ended { task["completedAt"] = .string(ended.metronomeText) }
        return task
    }
}

extension Timestamp {
    /// `2026-07-15T13:02:59.735+0000`.
    var metronomeText: String { String(rfc3339Micro.dropLast(4)) + "+0000" }
}
