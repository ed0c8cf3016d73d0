import Allocator
public import JSON
import Ledger
import MesosModel
public import ObjectModel
public import OrderedCollections

/// Everything the master knows, as a value: a copy of it is what the operator API and the JSON endpoints read.
///
/// It is rebuilt from the store at start: frameworks, agents and roles from their objects, tasks from pods and from the
/// task objects of custom executors. Only offers, filters and connections are nowhere else; those are made anew.
///
/// Its methods are synchronous and do no I/O: what has to be done outside is left in `effects`.
public struct MasterState: Sendable {
    /// What is to be done outside, after a change.
    enum Effect: Sendable {
        /// Write the framework's object as it is now.
        case framework(String)
        /// Write the agent's object as it is now.
        case agent(node: String)
        /// Bring a pod to what its record says: end it, or take its finalizer.
        case pod(ObjectKey)
        /// Bring a task object to what its record says.
        case task(ObjectKey)
        /// Something may be offered, or wanted, that was not before.
        case allocate
        /// Give an executor a message.
        case message(ExecutorKey, [UInt8])
        /// Ask an executor to end.
        case shutdown(ExecutorKey)
        /// Tell observers.
        case observe(MasterEvent)
    }

    /// A pod or a task object to create, and the tasks that live by it.
    struct Launch: Sendable {
        var pod: PodMaker.Made?
        var object: PodMaker.Made?
        var role: String
        var tasks: [TaskKey]
    }

    /// Id of this run of the master; new at every start, as it begins every id that it gives.
    public let masterID: String
    /// Seconds since 1970.
    public let startTime: Double
    public let configuration: Master.Configuration
    public internal(set) var frameworks: [String: FrameworkRecord] = [:]
    /// Oldest first, bounded.
    public internal(set) var completedFrameworks: OrderedDictionary<String, FrameworkRecord> = [:]
    /// By agent id.
    public internal(set) var agents: [String: AgentRecord] = [:]
    /// Agents that are gone for good, with the seconds since 1970 when that was.
    public internal(set) var goneAgents: [String: Double] = [:]
    public internal(set) var tasks: [TaskKey: TaskRecord] = [:]
    public internal(set) var executors: [ExecutorKey: ExecutorRecord] = [:]
    public internal(set) var offers: [String: OfferRecord] = [:]
    public internal(set) var inverseOffers: [String: InverseOfferRecord] = [:]
    /// Answers to maintenance, by agent.
    public internal(set) var inverseAnswers: [String: [InverseOfferAnswer]] = [:]
    public internal(set) var operations: OrderedDictionary<String, OperationRecord> = [:]
    /// By role.
    public internal(set) var roles: [String: RoleObject] = [:]
    /// `maintenance.Schedule` with `down`.
    public internal(set) var maintenance: JSON = [:]
    /// Pods that no framework of the scheduler API made: Kubernetes's own and Marathon's.
    public internal(set) var otherPods: [ObjectKey: MasterPod] = [:]
    /// Roles of namespaces whose names differ from them.
    public internal(set) var roleOfNamespace: [String: String] = [:]
    /// Calls and events by name, for metrics.
    public internal(set) var counters: [String: Int] = [:]

    let ledger: Ledger
    var effects: [Effect] = []
    var agentOfNode: [String: String] = [:]
    var nodes: [String: MasterNode] = [:]
    var agentObjects: [String: AgentObject] = [:]
    /// Changes of what is reserved of agents that their objects, as they are seen here, do not show yet; by node.
    var unseenReservations: [String: UnseenReservations] = [:]
    /// Nodes for which an agent object is being written, with the id that is offered.
    var agentIDs: [String: String] = [:]
    var pods: [ObjectKey: PodRecord] = [:]
    /// Task objects whose acknowledged updates are to be taken out, and whether they may go.
    var taskObjects: [ObjectKey: TaskObject] = [:]
    /// What frameworks acknowledged of task objects, until these show it.
    var acknowledgedUUIDs: [ObjectKey: Set<String>] = [:]
    /// Task objects that are being deleted.
    var acknowledgedObjects: Set<ObjectKey> = []
    /// Pods that were launched and whose share the ledger still holds for them.
    var unsettled: Set<ObjectKey> = []
    /// Tasks with a status in flight, or waiting to be.
    var unacknowledged: Set<TaskKey> = []
    /// Members of groups whose time to complete is limited, until they have ended.
    var limitedTasks: Set<TaskKey> = []
    /// Who is offered what.
    var allocator: Allocator
    /// Agents of which the allocator has to be told.
    var staleAgents: Set<String> = []
    /// Milliseconds that cycles of the allocator and writes of what must not be forgotten took.
    var allocationTimes = SampleWindow()
    /// Milliseconds from a wish for a cycle to its begin.
    var allocationLatencies = SampleWindow()
    var storeTimes = SampleWindow()
    /// Milliseconds until everything in the store had been read.
    var fetchTime: Double?
    /// What the allocator was told of the ledger.
    var ledgerView = LedgerSnapshot()
    /// Agents that nobody is offered until then: what was taken back is for whoever asked.
    var paused: [String: ContinuousClock.Instant] = [:]
    /// When offers are looked at that may be too old, or too many.
    var nextReview: ContinuousClock.Instant
    /// Nodes with claims for what is reserved of them.
    var reservedNodes: Set<String> = []
    /// Pods of others, by node.
    var otherPodsOfNode: [String: Set<ObjectKey>] = [:]
    let origin = ContinuousClock.now
    var now = ContinuousClock.now
    /// The same moment in seconds since 1970.
    var seconds: Double
    /// True once everything in the store has been read.
    public internal(set) var isRecovered = false
    private var nextFramework = 0
    private var nextAgent = 0
    private var nextOffer = 0
    private var nextSequence: UInt64 = 0

    init(masterID: String, configuration: Master.Configuration, ledger: Ledger) {
        self.masterID = masterID
        self.configuration = configuration
        self.ledger = ledger
        seconds = Double(Timestamp.now.microseconds) / 1e6
        startTime = seconds
        allocator = Self.makeAllocator(configuration)
        nextReview = origin
    }

    // MARK: Ids

    mutating func newFrameworkID() -> String {
        defer { nextFramework += 1 }
        let number = String(nextFramework)
        return "\(masterID)-" + String(repeating: "0", count: max(4 - number.count, 0)) + number
    }
    mutating func newAgentID() -> String {
        defer { nextAgent += 1 }
        return "\(masterID)-S\(nextAgent)"
    }
    mutating func newOfferID() -> String {
        defer { nextOffer += 1 }
        return "\(masterID)-O\(nextOffer)"
    }
    mutating func newSequence() -> UInt64 {
        nextSequence += 1
        return nextSequence
    }

    // MARK: Small things

    /// The task of an object in `tasks.mesos.apus.dev`, while it is known.
    func task(of object: ObjectKey) -> TaskRecord? {
        guard let seen = taskObjects[object] else { return tasks.values.first { $0.object == object } }
        return tasks[TaskKey(seen.frameworkID, seen.taskID)].flatMap { $0.object == object ? $0 : nil }
    }

    /// The agent on a node, if it has one.
    public func agent(onNode node: String) -> AgentRecord? { agentOfNode[node].flatMap { agents[$0] } }

    /// The role of a namespace.
    public func role(ofNamespace namespace: String) -> String {
        roleOfNamespace[namespace] ?? MesosNames.role(ofNamespace: namespace)
    }

    mutating func count(_ name: String) { counters[name, default: 0] += 1 }

    /// Gives a framework an event, when it listens.
    mutating func send(_ event: JSON, to framework: String) {
        guard let stream = frameworks[framework]?.stream else { return }
        frameworks[framework]?.counts["events/" + (event["type"].string ?? ""), default: 0] += 1
        if !stream.push(event) { disconnected(framework, streamID: stream.id) }
    }

    /// MasterInfo.
    public var masterInfo: JSON {
        var number = 0
        for part in configuration.address.split(separator: ".").reversed() { number = number << 8 | (Int(part) ?? 0) }
        return [
            "id": .string(masterID), "ip": JSON(number), "port": JSON(configuration.port),
            "pid": .string("master@\(configuration.address):\(configuration.port)"),
            "hostname": .string(configuration.hostname), "version": .string(configuration.version),
            "address": [
                "hostname": .string(configuration.hostname), "ip": .string(configuration.address),
                "port": JSON(configuration.port),
            ],
            "capabilities": [["type": "AGENT_UPDATE"], ["type": "AGENT_DRAINING"], ["type": "QUOTA_V2"]],
        ]
    }
}

/// A change that watchers of the master hear of.
public enum MasterEvent: Sendable {
    case taskAdded(TaskRecord)
    /// The status as the framework hears it, and the newest state.
    case taskUpdated(TaskRecord, status: JSON)
    case agentAdded(AgentRecord)
    case agentRemoved(id: String)
    case frameworkAdded(FrameworkRecord)
    case frameworkUpdated(FrameworkRecord)
    case frameworkRemoved(FrameworkRecord)
}
