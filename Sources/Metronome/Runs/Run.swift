import JSON
import MesosModel
import ObjectModel

/// A run of a job: a Job of Kubernetes.
struct Run: Sendable {
    enum Status: String, Sendable {
        case starting = "STARTING"
        case active = "ACTIVE"
        case success = "SUCCESS"
        case failed = "FAILED"
    }

    let key: ObjectKey
    let uid: String
    let jobID: String
    let id: String
    let created: Timestamp
    /// When it became what it is now for good; nil while it goes on.
    let finished: Timestamp?
    let isSuccess: Bool
    let isCounted: Bool
    let isStopped: Bool
    /// Failed pods so far.
    let failures: Int
    let launchWithin: Int?
    /// Nil: a failure is not tried again, or always.
    let retryWithin: Int?

    init(_ object: Object) {
        key = object.key
        uid = object.uid
        let tree = object.tree
        let annotations = tree["metadata"]["annotations"]
        jobID = annotations[MetronomeNames.jobAnnotation].string ?? ""
        created = object.metadata.creationTimestamp ?? Timestamp(seconds: 0)
        id = Self.id(created, uid: object.uid)
        var finished: Timestamp?
        var isSuccess = false
        for condition in tree["status"]["conditions"].elements where condition["status"].string == "True" {
            let kind = condition["type"].string
            guard kind == "Complete" || kind == "Failed" else { continue }
            finished = condition["lastTransitionTime"].string.flatMap { Timestamp($0) } ?? created
            isSuccess = kind == "Complete"
        }
        self.finished = finished
        self.isSuccess = isSuccess
        isCounted = annotations[MetronomeNames.countedAnnotation].string != nil
        isStopped = annotations[MetronomeNames.stopAnnotation].string != nil
        failures = tree["status"]["failed"].int ?? 0
        launchWithin = annotations[MetronomeNames.delayAnnotation].string.flatMap { Int($0) }
        retryWithin = annotations[MetronomeNames.retryAnnotation].string.flatMap { Int($0) }
    }

    /// The time it was made and five characters: `20260715130259a4hx2`. Runs made by a schedule have no other id.
    private static func id(_ created: Timestamp, uid: String) -> String {
        created.rfc3339.filter(\.isNumber) + MesosNames.hash(uid)
    }

    func status(_ tasks: [RunTask]) -> Status {
        if finished != nil { return isSuccess ? .success : .failed }
        return tasks.contains(where: \.isPlaced) ? .active : .starting
    }

    /// What clients are shown.
    func json(_ tasks: [RunTask]) -> JSON {
        [
            "id": .string(id), "jobId": .string(jobID), "status": .string(status(tasks).rawValue),
            "createdAt": .string(created.metronomeText),
            "completedAt": finished.map { .string($0.metronomeText) } ?? .null,
            "tasks": .array(tasks.map(\.json)),
        ]
    }

    /// An entry of the history.
    func historyEntry(_ tasks: [RunTask]) -> JSON {
        [
            "id": .string(id), "createdAt": .string(created.metronomeText),
            "finishedAt": .string((finished ?? created).metronomeText),
            "tasks": .array(tasks.map { .string($0.id) }),
        ]
    }
}

/// One try of a run: a pod.
struct RunTask: Sendable {
    /// As the Mesos window shows it.
    let id: String
    let job: String
    let owner: String
    let key: ObjectKey
    let uid: String
    let created: Timestamp
    let isFailed: Bool
    let isPlaced: Bool
    let isRunning: Bool
    private let state: String
    private let started: Timestamp
    private let ended: Timestamp?

    init(_ object: Object) {
        let tree = object.tree
        id = "\(object.name).\(object.namespace)"
        job = tree["metadata"]["annotations"][MetronomeNames.jobAnnotation].string ?? ""
        owner = object.metadata.controller?.uid ?? ""
        key = object.key
        uid = object.uid
        created = object.metadata.creationTimestamp ?? Timestamp(seconds: 0)
        let phase = tree["status"]["phase"].string ?? "Pending"
        let container = tree["status"]["containerStatuses"][0]["state"]
        isPlaced = !(tree["spec"]["nodeName"].string ?? "").isEmpty || phase == "Succeeded" || phase == "Failed"
        isRunning = phase == "Running"
        isFailed = phase == "Failed"
        let isEnding = object.metadata.isTerminating
        switch phase {
        case "Succeeded": state = "TASK_FINISHED"
        case "Failed": state = isEnding ? "TASK_KILLED" : "TASK_FAILED"
        case "Running": state = isEnding ? "TASK_KILLING" : "TASK_RUNNING"
        default: state = isPlaced ? "TASK_STARTING" : "TASK_STAGING"
        }
        let moment = container["running"]["startedAt"].string ?? container["terminated"]["startedAt"].string
        started = moment.flatMap { Timestamp($0) } ?? created
        ended = container["terminated"]["finishedAt"].string.flatMap { Timestamp($0) }
    }

    var json: JSON {
        var task: JSON = [
            "id": .string(id), "startedAt": .string(started.metronomeText), "status": .string(state),
        ]
        if let ended { task["completedAt"] = .string(ended.metronomeText) }
        return task
    }
}

extension Timestamp {
    /// `2026-07-15T13:02:59.735+0000`.
    var metronomeText: String { String(rfc3339Micro.dropLast(4)) + "+0000" }
}
