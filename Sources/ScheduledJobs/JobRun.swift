public import JSON
public import ObjectModel

/// A run of a definition: a Job of Kubernetes.
public struct JobRun: Sendable {
    public let key: ObjectKey
    public let uid: String
    /// The definition's name.
    public let job: String
    public let annotations: JSON
    public let created: Timestamp
    /// When it became what it is now for good; nil while it goes on.
    public let finished: Timestamp?
    public let isSuccess: Bool
    public let isCounted: Bool
    public let isStopped: Bool
    /// Failed pods so far.
    public let failures: Int

    public init(_ object: Object, _ names: JobNames) {
        key = object.key
        uid = object.uid
        let tree = object.tree
        annotations = tree["metadata"]["annotations"]
        job = annotations[names.annotation].string ?? ""
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
        isCounted = annotations[names.countedAnnotation].string != nil
        isStopped = annotations[names.stopAnnotation].string != nil
        failures = tree["status"]["failed"].int ?? 0
    }
}

/// One try of a run: a pod.
public struct JobTask: Sendable {
    public let key: ObjectKey
    public let uid: String
    /// The uid of its run.
    public let owner: String
    /// Empty until it has one.
    public let node: String
    public let phase: String
    public let isTerminating: Bool
    public let created: Timestamp
    public let started: Timestamp?
    public let ended: Timestamp?

    public init(_ object: Object) {
        key = object.key
        uid = object.uid
        owner = object.metadata.controller?.uid ?? ""
        let tree = object.tree
        node = tree["spec"]["nodeName"].string ?? ""
        phase = tree["status"]["phase"].string ?? "Pending"
        isTerminating = object.metadata.isTerminating
        created = object.metadata.creationTimestamp ?? Timestamp(seconds: 0)
        let state = tree["status"]["containerStatuses"][0]["state"]
        started = (state["running"]["startedAt"].string ?? state["terminated"]["startedAt"].string).flatMap {
            Timestamp($0)
        }
        ended = state["terminated"]["finishedAt"].string.flatMap { Timestamp($0) }
    }

    public var isPlaced: Bool { !node.isEmpty || phase == "Succeeded" || phase == "Failed" }
}
