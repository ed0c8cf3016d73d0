import JSON
import ObjectModel
import ScheduledJobs

extension JobRun {
    /// An entry of the history.
    func entry(_ tasks: [JobTask]) -> JSON {
        let end = finished ?? created
        let start = tasks.compactMap(\.started).min() ?? created
        return [
            "taskId": .string(tasks.last?.key.name ?? key.name), "slaveId": .string(tasks.last?.node ?? ""),
            "start": .string(start.chronosText), "end": .string(end.chronosText), "isSuccess": .bool(isSuccess),
            "seconds": JSON(Int(max(0, (end - start) / .seconds(1)))),
        ]
    }
}

extension JobState<Definition> {
    /// What runs of a job: `idle`, `queued` or `2 running`.
    func word(of name: String) -> String {
        let active = activeRuns(of: name)
        if active.isEmpty { return "idle" }
        let running = active.count { run in tasks(of: run).contains(where: \.isPlaced) }
        return running == 0 ? "queued" : "\(running) running"
    }
}
