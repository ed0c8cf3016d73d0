import JSON
import ObjectModel

/// A run of a job: a Job of Kubernetes.
struct ChronosRun: Sendable {
    let key: ObjectKey
    let uid: String
    let job: String
    let created: Timestamp
    /// Nil while it goes on.
    let finished: Timestamp?
    let isSuccess: Bool
    let isCounted: Bool
    let isStopped: Bool

    init(_ object: Object) {
        key = object.key
        uid = object.uid
        let tree = object.tree
        let annotations = tree["metadata"]["annotations"]
        job = annotations[ChronosNames.jobAnnotation].string ?? ""
        created = object.metadata.creationTimestamp ?? Timestamp(seconds: 0)
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
        isCounted = annotations[ChronosNames.countedAnnotation].string != nil
        isStopped = annotations[ChronosNames.stopAnnotation].string != nil
    }

    /// An entry of the history.
    func entry(_ tasks: [ChronosTask]) -> JSON {
        let end = finished ?? created
        let start = tasks.compactMap(\.started).min() ?? created
        return [
            "taskId": .string(tasks.last?.name ?? key.name), "slaveId": .string(tasks.last?.node ?? ""),
            "start": .string(start.chronosText), "end": .string(end.chronosText), "isSuccess": .bool(isSuccess),
            "seconds": JSON(Int(max(0, (end - start) / .seconds(1)))),
        ]
    }
}

/// One try of a run: a pod.
struct ChronosTask: Sendable {
    let name: String
    let owner: String
    let node: String
    let created: Timestamp
    let started: Timestamp?
    var isPlaced: Bool { !node.isEmpty }

    init(_ object: Object) {
        let tree = object.tree
        name = object.name
        owner = object.metadata.controller?.uid ?? ""
        node = tree["spec"]["nodeName"].string ?? ""
        created = object.metadata.creationTimestamp ?? Timestamp(seconds: 0)
        let state = tree["status"]["containerStatuses"][0]["state"]
        started = (state["running"]["startedAt"].string ?? state["terminated"]["startedAt"].string).flatMap {
            Timestamp($0)
        }
    }
}
