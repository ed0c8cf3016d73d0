import JSON
import Ledger
import MesosModel
import ObjectModel

/// What operators see of the master: its state, and beside its frameworks the two that run their pods without a
/// connection to it, Marathon and Kubernetes. Made for one request.
///
/// It lists tasks without holding them: they are looked up, or read from their pods, when they are written, and what they use is
/// summed once. Beside the state itself, 100,000 tasks take some ten megabytes.
struct MasterView: Sendable {
    /// The tasks of the state, shared by all that stand for one of them.
    final class Records: Sendable {
        let tasks: [TaskKey: TaskRecord]
        init(_ tasks: [TaskKey: TaskRecord]) { self.tasks = tasks }
    }

    /// A task, rendered when it is written.
    enum Task: Sendable {
        case known(TaskKey, startSeconds: Double, Records)
        /// One that ended, as its framework's record keeps it.
        indirect case completed(TaskRecord)
        /// A task that is a pod of Marathon's or of Kubernetes's.
        indirect case pod(PodTask)

        private var record: TaskRecord? {
            switch self {
            case .known(let key, _, let records): records.tasks[key]
            case .completed(let record): record
            case .pod: nil
            }
        }

        /// `mesos.v1.Task`.
        var json: JSON {
            if case .pod(let task) = self { return task.json }
            return record?.json ?? .null
        }
        var id: String {
            switch self {
            case .known(let key, _, _): key.taskID
            case .completed(let record): record.key.taskID
            case .pod(let task): task.id
            }
        }
        var frameworkID: String {
            switch self {
            case .known(let key, _, _): key.frameworkID
            case .completed(let record): record.key.frameworkID
            case .pod(let task): task.frameworkID
            }
        }
        var agentID: String {
            if case .pod(let task) = self { return task.agentID }
            return record?.agentID ?? ""
        }
        var state: String {
            if case .pod(let task) = self { return task.state }
            return record?.state ?? ""
        }
        var role: String {
            if case .pod(let task) = self { return task.role }
            return record?.role ?? ""
        }
        /// When it was first heard of: lists are in this order.
        var startSeconds: Double {
            switch self {
            case .known(_, let seconds, _): seconds
            case .completed(let record): record.startSeconds
            case .pod(let task): task.startSeconds
            }
        }
    }

    /// A framework with its tasks.
    struct Framework: Sendable {
        let record: FrameworkRecord
        /// True for one that runs its pods by itself.
        let isOfCluster: Bool
        var tasks: [Task] = []
        var unreachable: [Task] = []
        var completed: [Task] = []

        var isActive: Bool { isOfCluster || record.isActive }
        var isConnected: Bool { isOfCluster || record.isConnected }
        /// Its roles; one of the cluster itself has those that its pods are in.
        var roles: [String] {
            isOfCluster ? Set(record.roles).union(allocatedOfRole.keys).sorted() : record.roles
        }
        /// What its tasks hold, by role.
        var allocatedOfRole: [String: Resources] = [:]
        /// What its tasks hold.
        var allocated: Resources { allocatedOfRole.values.reduce(into: Resources()) { $0 += $1 } }
    }

    let state: MasterState
    private(set) var frameworks: [Framework] = []
    private(set) var completedFrameworks: [Framework] = []
    /// Agents in the order of their numbers.
    let agents: [AgentRecord]
    /// What tasks and executors hold, by agent.
    private(set) var usedOfAgent: [String: Resources] = [:]

    init(_ state: MasterState) {
        self.state = state
        agents = state.agents.values.sorted { ($0.registeredTime, $0.id) < ($1.registeredTime, $1.id) }
        var byFramework: [String: Framework] = [:]
        for record in state.frameworks.values {
            byFramework[record.id] = Framework(record: record, isOfCluster: record.isOfCluster)
        }
        let records = Records(state.tasks)
        var usedOfAgent: [String: Resources] = [:]
        for (key, task) in state.tasks {
            let id = key.frameworkID
            let listed = Task.known(key, startSeconds: task.startSeconds, records)
            if task.isTerminal {
                byFramework[id]?.completed.append(listed)
            } else if task.state == "TASK_UNREACHABLE" {
                byFramework[id]?.unreachable.append(listed)
            } else {
                byFramework[id]?.tasks.append(listed)
                byFramework[id]?.allocatedOfRole[task.role, default: Resources()] += task.resources
                if byFramework[id] != nil { usedOfAgent[task.agentID, default: Resources()] += task.resources }
            }
        }
        for record in state.frameworks.values {
            byFramework[record.id]?.completed += record.completedTasks.map(Task.completed)
        }
        for pod in state.otherPods.values where !pod.node.isEmpty {
            for (task, resources) in PodTask.tasks(of: pod, state) {
                let id = task.frameworkID
                if byFramework[id] == nil {
                    byFramework[id] = Framework(record: Self.record(of: task, pod, state), isOfCluster: true)
                }
                if TaskState.isTerminal(task.state) {
                    byFramework[id]?.completed.append(.pod(task))
                } else if state.agents[task.agentID]?.isReachable == false {
                    byFramework[id]?.unreachable.append(.pod(task))
                } else {
                    byFramework[id]?.tasks.append(.pod(task))
                    byFramework[id]?.allocatedOfRole[task.role, default: Resources()] += resources
                    usedOfAgent[task.agentID, default: Resources()] += resources
                }
            }
        }
        frameworks = byFramework.values.sorted {
            ($0.record.registeredTime, $0.record.id) < ($1.record.registeredTime, $1.record.id)
        }
        completedFrameworks = state.completedFrameworks.values.map { record in
            Framework(record: record, isOfCluster: false, completed: record.completedTasks.map(Task.completed))
        }
        for executor in state.executors.values {
            usedOfAgent[executor.key.agentID, default: Resources()] += executor.resources
        }
        self.usedOfAgent = usedOfAgent
    }

    /// Marathon, Metronome and Kubernetes as frameworks: they were there from the start and never leave.
    private static func record(of task: PodTask, _ pod: MasterPod, _ state: MasterState) -> FrameworkRecord {
        FrameworkRecord(
            id: task.frameworkID,
            info: [
                "name": .string(PodTask.framework(of: pod).name), "user": "root", "checkpoint": true,
                "failover_timeout": Message.double(604_800), "hostname": .string(state.configuration.hostname),
                "capabilities": [["type": "PARTITION_AWARE"], ["type": "MULTI_ROLE"]], "roles": [.string(task.role)],
            ], principal: nil, registeredTime: state.startTime)
    }

    /// Every task of a kind over all frameworks, oldest first.
    func tasks(_ kind: KeyPath<Framework, [Task]>) -> [Task] {
        frameworks.flatMap { $0[keyPath: kind] }.sorted { ($0.startSeconds, $0.id) < ($1.startSeconds, $1.id) }
    }

    /// What the tasks of a role hold.
    func allocated(toRole role: String) -> Resources {
        frameworks.reduce(into: Resources()) { $0 += $1.allocatedOfRole[role] ?? Resources() }
    }

    /// Resources that an agent's open offers hold.
    func offered(of agent: AgentRecord) -> [JSON] {
        agent.offers.sorted().flatMap { state.offers[$0]?.resources.json.elements ?? [] }
    }

    /// Resources that a framework's open offers hold.
    func offered(to framework: Framework) -> [JSON] {
        framework.record.offers.sorted().flatMap { state.offers[$0]?.resources.json.elements ?? [] }
    }

    /// Executors of a framework, in the order of their ids.
    func executors(of framework: String) -> [ExecutorRecord] {
        state.executors.values.filter { $0.key.frameworkID == framework }
            .sorted { ($0.key.agentID, $0.key.executorID) < ($1.key.agentID, $1.key.executorID) }
    }

    /// Roles that somebody uses or that were given a weight, a quota or a reservation.
    var roleNames: [String] {
        var names: Set<String> = ["*"]
        for framework in frameworks { names.formUnion(framework.roles) }
        names.formUnion(state.roles.values.map(\.role))
        for agent in agents {
            for resource in agent.reserved.json.elements {
                if let role = resource["reservations"].elements.last?["role"].string { names.insert(role) }
            }
        }
        return names.sorted()
    }
}
