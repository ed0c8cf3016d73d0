import JSON
import Ledger
import MesosModel
import ObjectModel

/// What operators see of the master: its state, and beside its frameworks the two that run their pods without a
/// connection to it, Marathon and Kubernetes. Made for one request; tasks are rendered when they are asked for.
struct MasterView: Sendable {
    /// A task, rendered when it is written.
    enum Task: Sendable {
        case record(TaskRecord)
        /// A task that is a pod of Marathon's or of Kubernetes's.
        case pod(PodTask)

        /// `mesos.v1.Task`.
        var json: JSON {
            switch self {
            case .record(let record): record.json
            case .pod(let task): task.json
            }
        }
        var id: String {
            switch self {
            case .record(let record): record.key.taskID
            case .pod(let task): task.id
            }
        }
        var frameworkID: String {
            switch self {
            case .record(let record): record.key.frameworkID
            case .pod(let task): task.frameworkID
            }
        }
        var agentID: String {
            switch self {
            case .record(let record): record.agentID
            case .pod(let task): task.agentID
            }
        }
        var state: String {
            switch self {
            case .record(let record): record.state
            case .pod(let task): task.state
            }
        }
        var role: String {
            switch self {
            case .record(let record): record.role
            case .pod(let task): task.role
            }
        }
        /// When it was first heard of: lists are in this order.
        var startSeconds: Double {
            switch self {
            case .record(let record): record.startSeconds
            case .pod(let task): task.startSeconds
            }
        }
        var resources: [JSON] {
            switch self {
            case .record(let record): record.resources.json.elements
            case .pod(let task): task.resources
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
        var allocated: [JSON] { tasks.flatMap(\.resources) }
    }

    let state: MasterState
    private(set) var frameworks: [Framework] = []
    private(set) var completedFrameworks: [Framework] = []
    /// Agents in the order of their numbers.
    let agents: [AgentRecord]
    /// What tasks and executors hold, by agent.
    private(set) var usedOfAgent: [String: [JSON]] = [:]

    init(_ state: MasterState) {
        self.state = state
        agents = state.agents.values.sorted { ($0.registeredTime, $0.id) < ($1.registeredTime, $1.id) }
        var byFramework: [String: Framework] = [:]
        for record in state.frameworks.values { byFramework[record.id] = Framework(record: record, isOfCluster: false) }
        for task in state.tasks.values {
            let id = task.key.frameworkID
            if task.isTerminal {
                byFramework[id]?.completed.append(.record(task))
            } else if task.state == "TASK_UNREACHABLE" {
                byFramework[id]?.unreachable.append(.record(task))
            } else {
                byFramework[id]?.tasks.append(.record(task))
            }
        }
        for record in state.frameworks.values {
            byFramework[record.id]?.completed += record.completedTasks.map(Task.record)
        }
        for pod in state.otherPods.values where !pod.node.isEmpty {
            for task in PodTask.tasks(of: pod, state) {
                var framework =
                    byFramework[task.frameworkID]
                    ?? Framework(record: Self.record(of: task, pod, state), isOfCluster: true)
                if TaskState.isTerminal(task.state) {
                    framework.completed.append(.pod(task))
                } else if state.agents[task.agentID]?.isReachable == false {
                    framework.unreachable.append(.pod(task))
                } else {
                    framework.tasks.append(.pod(task))
                }
                byFramework[task.frameworkID] = framework
            }
        }
        frameworks = byFramework.values.sorted {
            ($0.record.registeredTime, $0.record.id) < ($1.record.registeredTime, $1.record.id)
        }
        completedFrameworks = state.completedFrameworks.values.map { record in
            Framework(record: record, isOfCluster: false, completed: record.completedTasks.map(Task.record))
        }
        for framework in frameworks {
            for task in framework.tasks { usedOfAgent[task.agentID, default: []] += task.resources }
        }
        for executor in state.executors.values {
            usedOfAgent[executor.key.agentID, default: []] += executor.resources.json.elements
        }
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
        for framework in frameworks { names.formUnion(framework.record.roles) }
        for framework in frameworks where framework.isOfCluster { names.formUnion(framework.tasks.map(\.role)) }
        names.formUnion(state.roles.values.map(\.role))
        for agent in agents {
            for resource in agent.reserved.json.elements {
                if let role = resource["reservations"].elements.last?["role"].string { names.insert(role) }
            }
        }
        return names.sorted()
    }
}
