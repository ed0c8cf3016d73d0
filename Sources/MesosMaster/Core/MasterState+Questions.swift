import JSON
import MesosModel
import ObjectModel

/// Kills and reconciliation: a framework asks of, or for the end of, tasks.
extension MasterState {
    // MARK: Killing

    /// A framework wants a task to end.
    mutating func kill(_ framework: String, task taskID: String, agentID: String?, policy: JSON) {
        let key = TaskKey(framework, taskID)
        guard let task = tasks[key] else {
            // Nothing is known of it: the framework learns that.
            return reconcile(framework, [(taskID, agentID)])
        }
        if let agentID, agentID != task.agentID {
            count("dropped_messages")
            return
        }
        if task.isTerminal { return }
        if task.object != nil {
            tasks[key]?.isKillRequested = true
            tasks[key]?.killPolicy = policy
            effects.append(.task(task.object ?? task.pod))
            return
        }
        let grace = policy["grace_period"]["nanoseconds"].int.map {
            max($0 / 1_000_000_000 + ($0 % 1_000_000_000 > 0 ? 1 : 0), 0)
        }
        kill(pod: task.pod, reason: MesosNames.frameworkKill, grace: grace)
    }

    /// Has a pod ended; a second call may only make it quicker.
    mutating func kill(pod key: ObjectKey, reason: String, grace: Int?) {
        guard var pod = pods[key] else { return }
        if let old = pod.kill {
            guard let grace, grace < old.grace ?? .max else { return }
            pod.kill?.grace = grace
        } else {
            pod.kill = .init(reason: reason, grace: grace)
        }
        pods[key] = pod
        effects.append(.pod(key))
    }

    // MARK: Limits of time

    /// Keeps in mind that a member of a group has a limited time. That of a task which is alone its pod says itself, and
    /// that of a task on an executor of the framework's own is the executor's affair.
    mutating func noteTimeLimit(of task: TaskRecord) {
        if !task.executorID.isEmpty, !task.info["max_completion_time"].isNull { limitedTasks.insert(task.key) }
    }

    /// Ends groups of which a member has run for longer than it may; it has failed then, and the others are killed.
    mutating func endOverdueTasks() {
        for key in limitedTasks {
            guard let task = tasks[key], task.object == nil, !task.isTerminal,
                let limit = task.info["max_completion_time"]["nanoseconds"].double, limit > 0
            else {
                if tasks[key]?.isTerminal != false || tasks[key]?.object != nil { limitedTasks.remove(key) }
                continue
            }
            let began = task.statuses.last { $0["state"] == "TASK_RUNNING" }?["timestamp"].double
            guard let began, seconds >= began + limit / 1e9 else { continue }
            kill(pod: task.pod, reason: MesosNames.overdueKill(taskID: key.taskID), grace: nil)
        }
    }

    // MARK: Reconciling

    /// Answers what is known of tasks; no tasks: of all of them.
    mutating func reconcile(_ framework: String, _ asked: [(taskID: String, agentID: String?)]) {
        guard asked.isEmpty else {
            for (taskID, agentID) in asked {
                guard let status = answer(framework, taskID, agentID) else { continue }
                tell(status, of: TaskKey(framework, taskID))
            }
            return
        }
        for taskID in (frameworks[framework]?.tasks ?? []).sorted() {
            guard let task = tasks[TaskKey(framework, taskID)], !TaskState.isTerminal(task.reportedState ?? task.state)
            else { continue }
            tell(answer(task), of: task.key)
        }
    }

    private func answer(_ task: TaskRecord) -> JSON {
        // What the framework was told last, as the newest may still wait for an acknowledgement.
        let state = task.reportedState ?? (task.pending.isEmpty ? task.state : "TASK_STAGING")
        var status = reconciliation(task.key.taskID, state, agentID: task.agentID, "Reconciliation: Latest task state")
        if !task.executorID.isEmpty { status["executor_id"] = Message.id(task.executorID) }
        let known = task.statuses.last { $0["state"].string == state } ?? task.statuses.last ?? .null
        for name in ["healthy", "check_status", "container_status", "labels"] { status.setMember(name, known[name]) }
        if state == "TASK_UNREACHABLE", let since = task.unreachableSeconds {
            status["unreachable_time"] = ["nanoseconds": JSON(Int(bounded: since * 1e9))]
        }
        return status
    }

    /// Nil: not known yet, so no answer.
    private func answer(_ framework: String, _ taskID: String, _ agentID: String?) -> JSON? {
        if let task = tasks[TaskKey(framework, taskID)] { return answer(task) }
        guard isRecovered else { return nil }
        guard let agentID else {
            return reconciliation(taskID, "TASK_UNKNOWN", agentID: nil, "Reconciliation: Task is unknown")
        }
        if let agent = agents[agentID] {
            if let since = agent.unreachableTime {
                var status = reconciliation(
                    taskID, "TASK_UNREACHABLE", agentID: agentID, "Reconciliation: Task is unreachable")
                status["unreachable_time"] = ["nanoseconds": JSON(Int(bounded: since * 1e9))]
                return status
            }
            return reconciliation(taskID, "TASK_GONE", agentID: agentID, "Reconciliation: Task is unknown to the agent")
        }
        if goneAgents[agentID] != nil {
            return reconciliation(
                taskID, "TASK_GONE_BY_OPERATOR", agentID: agentID, "Reconciliation: Task is gone with its agent")
        }
        return reconciliation(taskID, "TASK_UNKNOWN", agentID: agentID, "Reconciliation: Task is unknown")
    }

    private func reconciliation(_ taskID: String, _ state: String, agentID: String?, _ message: String) -> JSON {
        var status: JSON = [
            "task_id": Message.id(taskID), "state": .string(state), "source": "SOURCE_MASTER",
            "reason": "REASON_RECONCILIATION", "message": .string(message), "timestamp": Message.double(seconds),
        ]
        if let agentID { status["agent_id"] = Message.id(agentID) }
        return status
    }

    /// Answers what is known of operations; none named: of all of the framework's.
    mutating func reconcileOperations(_ framework: String, _ asked: [JSON]) {
        let known = operations.values.filter { $0.frameworkID == framework }
        var answers: [JSON] = []
        if asked.isEmpty {
            answers = known.map(\.status)
        } else {
            for question in asked {
                guard let id = question["operation_id"]["value"].string else { continue }
                if let operation = known.first(where: { $0.operationID == id }) {
                    answers.append(operation.status)
                    continue
                }
                let agentID = question["agent_id"]["value"].string
                let state: String =
                    if let agentID, agents[agentID]?.isReachable == false {
                        "OPERATION_UNREACHABLE"
                    } else if let agentID, goneAgents[agentID] != nil {
                        "OPERATION_GONE_BY_OPERATOR"
                    } else if !isRecovered {
                        "OPERATION_RECOVERING"
                    } else {
                        "OPERATION_UNKNOWN"
                    }
                var status: JSON = ["operation_id": Message.id(id), "state": .string(state)]
                status.setMember("agent_id", agentID.map(Message.id))
                answers.append(status)
            }
        }
        for var status in answers {
            status.removeMember("uuid")
            status["message"] = "Reconciliation: Latest operation state"
            send(Message.event("UPDATE_OPERATION_STATUS", "update_operation_status", ["status": status]), to: framework)
        }
    }
}
