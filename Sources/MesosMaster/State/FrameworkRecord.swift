public import DequeModule
public import JSON
public import MesosModel
public import ObjectModel

/// Names a task: ids are the framework's own.
public struct TaskKey: Hashable, Sendable {
    public let frameworkID: String
    public let taskID: String
    public init(_ frameworkID: String, _ taskID: String) {
        self.frameworkID = frameworkID
        self.taskID = taskID
    }
}

/// Names an executor; one framework may use an id on several agents.
public struct ExecutorKey: Hashable, Sendable {
    public let frameworkID: String
    public let agentID: String
    public let executorID: String
    public init(_ frameworkID: String, _ agentID: String, _ executorID: String) {
        self.frameworkID = frameworkID
        self.agentID = agentID
        self.executorID = executorID
    }
}

/// A framework as the master knows it.
public struct FrameworkRecord: Sendable {
    /// The id that the master gave it.
    public let id: String
    /// FrameworkInfo, with the id.
    public internal(set) var info: JSON
    /// Who it proved to be, or says it is.
    public internal(set) var principal: String?
    /// Its roles, `*` among them when it says nothing.
    public internal(set) var roles: [String] = []
    /// Names of its capabilities.
    public internal(set) var capabilities: Set<String> = []
    public internal(set) var suppressedRoles: Set<String> = []
    /// `scheduler.OfferConstraints`; null without any.
    public internal(set) var offerConstraints: JSON = .null
    /// Seconds since 1970.
    public internal(set) var registeredTime: Double
    public internal(set) var reregisteredTime: Double?
    /// When it was last disconnected, or removed.
    public internal(set) var unregisteredTime: Double?
    /// True for a framework that is known from the store and has not come back since the master started.
    public internal(set) var isRecovered = false
    public internal(set) var isCompleted = false
    /// True for one that runs in the cluster itself and places its pods itself: it is always there.
    public internal(set) var isOfCluster = false
    /// True while it is being stored, before its connection is its own.
    var isSubscribing = false
    /// The connection it hears events on; nil when it is disconnected.
    public internal(set) var stream: FrameworkStream?
    public internal(set) var offers: Set<String> = []
    public internal(set) var inverseOffers: Set<String> = []
    public internal(set) var tasks: Set<String> = []
    public internal(set) var executors: Set<ExecutorKey> = []
    /// Newest last, bounded.
    public internal(set) var completedTasks: Deque<TaskRecord> = []
    /// Calls by type, events by type, operations by type: for metrics.
    public internal(set) var counts: [String: Int] = [:]
    public internal(set) var terminalCounts: [String: Int] = [:]

    init(id: String, info: JSON, principal: String?, registeredTime: Double) {
        self.id = id
        self.info = .null
        self.principal = principal
        self.registeredTime = registeredTime
        setInfo(info)
    }

    public var name: String { info["name"].string ?? "" }
    public var isConnected: Bool { stream != nil }
    /// True when it may be made offers.
    public var isActive: Bool { stream != nil }
    public var isPartitionAware: Bool { capabilities.contains("PARTITION_AWARE") }
    public var isMultiRole: Bool { capabilities.contains("MULTI_ROLE") }
    /// Seconds after a disconnection until it is removed.
    public var failoverTimeout: Double { info["failover_timeout"].double ?? 0 }

    mutating func setInfo(_ new: JSON) {
        info = new
        info["id"] = Message.id(id)
        capabilities = Set(new["capabilities"].elements.compactMap { $0["type"].string })
        roles = MesosRoles.roles(
            isMultiRole: capabilities.contains("MULTI_ROLE"), role: new["role"].string,
            roles: new["roles"].elements.compactMap(\.string))
    }

    /// Keeps a task that ended for those who look back.
    mutating func complete(_ task: TaskRecord) {
        completedTasks.append(task)
        if completedTasks.count > Self.maximumCompletedTasks { completedTasks.removeFirst() }
    }
    static let maximumCompletedTasks = 1000
}

/// A task as the master knows it.
public struct TaskRecord: Sendable {
    public let key: TaskKey
    /// TaskInfo as the framework sent it.
    public internal(set) var info: JSON
    public internal(set) var agentID: String
    public internal(set) var node: String
    public internal(set) var role: String
    /// The task's pod, or that of its group or executor.
    public internal(set) var pod: ObjectKey
    /// Its object in `tasks.mesos.apus.dev`, for a task on a custom executor.
    public internal(set) var object: ObjectKey?
    /// Of that object; nil: it is not stored yet.
    var objectUID: String?
    /// Of the object of an earlier task of the same id, of which may still be heard.
    var earlierObjectUID: String?
    /// Empty for a command task.
    public internal(set) var executorID: String
    public internal(set) var resources: Resources
    /// The newest state that is known.
    public internal(set) var state = "TASK_STAGING"
    /// What the framework was told last; nil: nothing yet.
    public internal(set) var reportedState: String?
    public internal(set) var reportedUUID: String?
    /// The newest status of each state it went through, oldest first.
    public internal(set) var statuses: [JSON] = []
    /// Order of launches, for lists.
    public internal(set) var sequence: UInt64 = 0
    public internal(set) var startSeconds: Double
    public internal(set) var unreachableSeconds: Double?

    /// Statuses that wait for the framework's acknowledgement, the one in flight first.
    var pending: Deque<JSON> = []
    var sentAt: ContinuousClock.Instant?
    var retry = TaskRecord.firstRetry
    /// The end of a task on a custom executor was asked for, with this policy.
    var isKillRequested = false
    var killPolicy: JSON = .null
    /// True when its pod is not stored yet.
    var isPending = false

    static let firstRetry = Duration.seconds(10)
    static let lastRetry = Duration.seconds(600)

    public var name: String { info["name"].string ?? "" }
    public var isTerminal: Bool { TaskState.isTerminal(state) }
    /// True once there is nothing left to tell anybody.
    var isDone: Bool { isTerminal && pending.isEmpty }

    /// `mesos.v1.Task`, as the operator API and its events show it.
    public var json: JSON {
        var task: JSON = [
            "name": info["name"], "task_id": Message.id(key.taskID), "framework_id": Message.id(key.frameworkID),
            "agent_id": Message.id(agentID), "state": .string(state), "resources": resources.json,
        ]
        if !executorID.isEmpty { task["executor_id"] = Message.id(executorID) }
        if !statuses.isEmpty { task["statuses"] = .array(statuses) }
        if let reportedState { task["status_update_state"] = .string(reportedState) }
        if let reportedUUID { task["status_update_uuid"] = .string(reportedUUID) }
        for name in [
            "labels", "discovery", "container", "health_check", "limits", "kill_policy", "max_completion_time",
        ] {
            task.setMember(name, info[name])
        }
        let user = info["command"]["user"].string ?? info["executor"]["command"]["user"].string
        task.setMember("user", user.map(JSON.string))
        return task
    }
}

/// An executor that the master knows: the default one of a task group, or a framework's own.
public struct ExecutorRecord: Sendable {
    public let key: ExecutorKey
    /// ExecutorInfo.
    public internal(set) var info: JSON
    public internal(set) var resources: Resources
    public internal(set) var pod: ObjectKey
    public internal(set) var role: String
    public internal(set) var tasks: Set<String> = []
    public var isDefault: Bool { info["type"].string == "DEFAULT" }
}
