import JSON
import MesosModel
import ObjectModel

/// The agent's executors and tasks as its APIs show them, put together from pods and task objects.
struct AgentState: Sendable {
    struct Task: Sendable {
        let info: JSON
        let frameworkID: String
        /// Empty for command tasks, as the original shows them.
        let executorID: String
        let state: String
        let statuses: [JSON]
        let isAcknowledged: Bool
        let agentID: String
        let role: String

        var id: String { info["task_id"]["value"].string ?? "" }
        var isTerminal: Bool { TaskStates.isTerminal(state) }
    }
    struct Executor: Sendable {
        let pod: NodePod
        let frameworkID: String
        let executorID: String
        let info: JSON
        let directory: String
        let tasks: [Task]
        let isCommandExecutor: Bool

        var name: String { info["name"].string ?? "" }
        var containerID: String { pod.uid }
        var isCompleted: Bool { pod.isEnded }
        /// What it and its tasks that are not over were given.
        var resources: [JSON] {
            info["resources"].elements + tasks.filter { !$0.isTerminal }.flatMap { $0.info["resources"].elements }
        }
    }
    let executors: [Executor]
    let caches: AgentCaches
    let facts: AgentFacts

    init(caches: AgentCaches, facts: AgentFacts, paths: SandboxPaths) {
        self.caches = caches
        self.facts = facts
        executors = (caches.pods.all + caches.past.all).compactMap { pod in
            guard let framework = pod.frameworkID, let id = pod.executorID else { return nil }
            return Self.executor(pod, framework, id, caches, facts, paths)
        }.sorted { ($0.frameworkID, $0.executorID, $0.pod.key) < ($1.frameworkID, $1.executorID, $1.pod.key) }
    }

    private static func executor(
        _ pod: NodePod, _ framework: String, _ id: String, _ caches: AgentCaches, _ facts: AgentFacts,
        _ paths: SandboxPaths
    ) -> Executor {
        var info: JSON = ["executor_id": ["value": .string(id)]]
        var tasks: [Task] = []
        var isCommand = false
        let agentID = facts.agentID(of: pod)
        let role = pod.annotations[MesosNames.roleAnnotation].string ?? "*"
        switch pod.role {
        case .task(let task):
            isCommand = true
            info["name"] = .string("Command Executor (Task: \(id)) (Command: \(commandText(task["command"])))")
            info["source"] = .string(id)
        case .group(let executor, _): info = executor
        case .executor(let executor):
            info = executor
            // A new executor's pod may have the name of one that is gone.
            tasks = (pod.isPast ? [] : caches.tasksByPod[pod.key]).sorted { $0.key < $1.key }.map { record in
                Task(
                    info: record.info, frameworkID: framework, executorID: id, state: record.state,
                    statuses: record.updates, isAcknowledged: record.updates.isEmpty, agentID: agentID, role: role)
            }
        case .other: isCommand = true
        }
        let isAcknowledged = pod.isPast || !pod.object.metadata.finalizers.contains(MesosNames.statusFinalizer)
        tasks += TaskProjection.tasks(of: pod.object.tree).map { task in
            Task(
                info: task.info, frameworkID: framework, executorID: task.isCommandTask ? "" : id,
                // Of one that was taken away by force nobody has seen the end.
                state: pod.isPast && !TaskStates.isTerminal(task.state.rawValue) ? "TASK_KILLED" : task.state.rawValue,
                statuses: task.passed.map { task.status(of: $0) },
                isAcknowledged: isAcknowledged, agentID: agentID, role: role)
        }
        info["framework_id"] = ["value": .string(framework)]
        return Executor(
            pod: pod, frameworkID: framework, executorID: id, info: info, directory: paths.directory(of: pod),
            tasks: tasks, isCommandExecutor: isCommand)
    }

    private static func commandText(_ command: JSON) -> String {
        let text = command["value"].string ?? command["arguments"].elements.first?.string ?? ""
        return text.count > 15 ? "sh -c '\(text.prefix(12))...'" : "sh -c '\(text)'"
    }

    /// Ids of frameworks with executors here.
    var frameworkIDs: [String] { Array(Set(executors.map(\.frameworkID))).sorted() }
    /// FrameworkInfo; of a framework without an object, what is known.
    func frameworkInfo(_ id: String) -> JSON {
        caches.frameworkInfo(id) ?? ["user": "root", "name": .string(id), "id": ["value": .string(id)]]
    }
    /// A framework that is over, or has nothing here that is not.
    func isCompleted(framework id: String) -> Bool {
        caches.isGone(framework: id) || !executors.contains { $0.frameworkID == id && !$0.isCompleted }
    }

    // MARK: In the words of v1

    /// `mesos.v1.Task`.
    func task(_ task: Task) -> JSON {
        var tree: JSON = [
            "name": .string(task.info["name"].string ?? task.id), "task_id": ["value": .string(task.id)],
            "framework_id": ["value": .string(task.frameworkID)],
            "agent_id": ["value": .string(task.agentID)],
            "state": .string(task.state), "resources": task.info["resources"], "statuses": .array(task.statuses),
        ]
        if !task.executorID.isEmpty { tree["executor_id"] = ["value": .string(task.executorID)] }
        for name in ["labels", "discovery", "container", "health_check", "kill_policy", "limits"] {
            tree.setMember(name, task.info[name])
        }
        if let last = task.statuses.last {
            tree["status_update_state"] = last["state"]
            tree.setMember("status_update_uuid", last["uuid"])
        }
        return tree
    }

    /// `Response.GetTasks`.
    var getTasks: JSON {
        var lists: [String: [JSON]] = [:]
        for executor in executors {
            for task in executor.tasks {
                let list =
                    if task.isTerminal {
                        task.isAcknowledged ? "completed_tasks" : "terminated_tasks"
                    } else {
                        task.state == "TASK_STAGING" ? "queued_tasks" : "launched_tasks"
                    }
                lists[list, default: []].append(self.task(task))
            }
        }
        return Self.object(lists)
    }
    /// `Response.GetExecutors`.
    var getExecutors: JSON {
        var lists: [String: [JSON]] = [:]
        for executor in executors where !executor.isCommandExecutor {
            lists[executor.isCompleted ? "completed_executors" : "executors", default: []].append([
                "executor_info": executor.info
            ])
        }
        return Self.object(lists)
    }
    /// `Response.GetFrameworks`.
    var getFrameworks: JSON {
        var lists: [String: [JSON]] = [:]
        for id in frameworkIDs {
            lists[isCompleted(framework: id) ? "completed_frameworks" : "frameworks", default: []].append([
                "framework_info": frameworkInfo(id)
            ])
        }
        return Self.object(lists)
    }
    private static func object(_ lists: [String: [JSON]]) -> JSON {
        .object(JSONObject(uniqueKeysWithValues: lists.sorted { $0.key < $1.key }.map { ($0.key, .array($0.value)) }))
    }
}
