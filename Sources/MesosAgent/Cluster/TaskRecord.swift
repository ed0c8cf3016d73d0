import JSON
import MesosModel
import ObjectModel

/// A task of a custom executor, as its object in the store tells it.
struct TaskRecord: Sendable {
    let key: ObjectKey
    let created: Timestamp?
    let frameworkID: String
    let executorID: String
    let node: String
    /// The executor's pod.
    let pod: ObjectKey
    let info: JSON
    /// Ids of the tasks of its group, with its own; empty for a task that came alone.
    let group: [String]
    let state: String
    /// Statuses that the framework has not acknowledged, oldest first.
    let updates: [JSON]
    let acknowledged: String?
    let isKillRequested: Bool
    /// What the kill asked for; null when it asked for nothing.
    let killPolicy: JSON

    init(_ object: Object) {
        let tree = object.tree
        let (spec, status) = (tree["spec"], tree["status"])
        key = object.key
        created = object.metadata.creationTimestamp
        frameworkID = spec["frameworkID"].string ?? ""
        executorID = spec["executorID"].string ?? ""
        node = spec["node"].string ?? ""
        pod = ObjectKey(namespace: object.namespace, name: spec["pod"].string ?? "")
        info = spec["info"]
        group = spec["group"].elements.compactMap(\.string)
        state = status["state"].string ?? "TASK_STAGING"
        updates = status["updates"].elements
        acknowledged = status["acknowledged"].string
        isKillRequested = status["killRequested"].bool ?? false
        killPolicy = status["killPolicy"]
    }

    /// The object of another task of its group.
    func sibling(_ id: String) -> ObjectKey {
        ObjectKey(namespace: key.namespace, name: MesosNames.podName(taskID: id, frameworkID: frameworkID))
    }
    var id: String { info["task_id"]["value"].string ?? key.name }
    var isTerminal: Bool { TaskStates.isTerminal(state) }
    /// An executor has said something about the task: it knows it.
    var hasHistory: Bool { !updates.isEmpty || acknowledged != nil || state != "TASK_STAGING" }
    /// Nobody waits for anything of this task any more.
    var isOver: Bool { isTerminal && updates.isEmpty }

    func isPending(uuid: String) -> Bool { updates.contains { $0["uuid"].string == uuid } }
}

/// Task states.
enum TaskStates {
    private static let terminal: Set<String> = [
        "TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST", "TASK_DROPPED", "TASK_GONE",
        "TASK_GONE_BY_OPERATOR",
    ]
    static func isTerminal(_ state: String) -> Bool { terminal.contains(state) }
}
