import JSON
import MesosModel
import ObjectModel

/// Statuses: from what is seen of pods and executors to what frameworks acknowledge.
///
/// Only the oldest status that is not acknowledged is on its way; it comes again after 10 seconds, then after twice as
/// long each time, up to 10 minutes. The master keeps nothing else for that: a status is made again from its pod (with the
/// same uuid) or read again from its task object after a restart.
extension MasterState {
    /// Statuses that may wait in one connection before others wait outside.
    private static let maximumQueuedEvents = 16_384

    /// Takes in a status of a task that its pod or executor shows. One that is known, or comes too late, changes nothing.
    /// - Parameter isNew: false for a status that somebody else keeps until it is acknowledged, and that may be known.
    mutating func observe(_ status: JSON, of key: TaskKey) {
        guard var task = tasks[key], let state = status["state"].string else { return }
        if task.pending.contains(where: { $0["uuid"] == status["uuid"] && !status["uuid"].isNull }) { return }
        if task.isTerminal { return }
        let isSame = state == task.state && task.statuses.last?["state"].string == state
        if isSame {
            let last = task.statuses.last ?? .null
            if last["healthy"] == status["healthy"], last["uuid"] == status["uuid"] { return }
        } else if task.state != "TASK_UNREACHABLE", TaskState.rank(state) < TaskState.rank(task.state) {
            return
        }
        note(status, in: &task)
        if !status["uuid"].isNull { task.pending.append(status) }
        task.unreachableSeconds = nil
        let isFirst = task.pending.count == 1 && task.sentAt == nil
        tasks[key] = task
        if !status["uuid"].isNull { unacknowledged.insert(key) }
        effects.append(.observe(.taskUpdated(task, status: status)))
        if task.isTerminal { ended(task) }
        if isFirst { sendHead(of: key) }
    }

    /// Says something of a task that is not kept until acknowledged: the master's own word.
    mutating func tell(_ status: JSON, of key: TaskKey) {
        send(Message.event("UPDATE", "update", ["status": shown(status, to: key.frameworkID)]), to: key.frameworkID)
    }

    /// Keeps a status as the task's newest.
    func note(_ status: JSON, in task: inout TaskRecord) {
        guard let state = status["state"].string else { return }
        task.state = state
        if let last = task.statuses.lastIndex(where: { $0["state"].string == state }) { task.statuses.remove(at: last) }
        var kept = status
        kept.removeMember("data")
        task.statuses.append(kept)
        if task.statuses.count > 8 { task.statuses.removeFirst() }
    }

    /// What follows from a task's end at once, before it is acknowledged.
    private mutating func ended(_ task: TaskRecord) {
        staleAgents.insert(task.agentID)
        frameworks[task.key.frameworkID]?.terminalCounts[task.state, default: 0] += 1
        countEnd(task.statuses.last ?? .null)
        if task.object != nil { ledger.remove(.reservation(id: Self.claimID(task.key))) }
        // The pod of a group ends as a whole as soon as one of it fails.
        if let pod = pods[task.pod], pod.kind == .group, task.state != "TASK_FINISHED", pod.kill == nil {
            let others = pod.tasks.contains { $0 != task.key && tasks[$0]?.isTerminal == false }
            if others { kill(pod: task.pod, reason: "A task of the group ended as \(task.state)", grace: nil) }
        }
        refreshReservations(agent: task.agentID)
        effects.append(.allocate)
    }

    /// Counts how a task ended, by who said so and why, in the words of the metrics.
    mutating func countEnd(_ status: JSON) {
        guard let state = status["state"].string else { return }
        count("tasks/\(state)")
        guard let source = status["source"].string, let reason = status["reason"].string else { return }
        let name = "\(state)/\(source)/\(reason)".lowercased()
        count(name.replacing("source_agent", with: "source_slave").replacing("reason_agent", with: "reason_slave"))
    }

    // MARK: Delivery

    /// Sends the oldest status that is not acknowledged.
    mutating func sendHead(of key: TaskKey) {
        guard let task = tasks[key], let status = task.pending.first,
            let stream = frameworks[key.frameworkID]?.stream
        else { return }
        // A framework that is behind gets the rest when it has caught up.
        guard stream.count < Self.maximumQueuedEvents else { return }
        tasks[key]?.sentAt = now
        tasks[key]?.reportedState = status["state"].string
        tasks[key]?.reportedUUID = status["uuid"].string
        send(
            Message.event("UPDATE", "update", ["status": shown(status, to: key.frameworkID)]), to: key.frameworkID)
    }

    /// Sends again what was not acknowledged in time.
    mutating func resend() {
        for key in unacknowledged {
            guard let task = tasks[key] else { continue }
            if let sentAt = task.sentAt {
                guard now - sentAt >= task.retry else { continue }
                tasks[key]?.retry = min(task.retry * 2, TaskRecord.lastRetry)
            }
            sendHead(of: key)
        }
        for (uuid, operation) in operations where !operation.status["uuid"].isNull {
            if let sentAt = operation.sentAt {
                guard now - sentAt >= operation.retry else { continue }
                operations[uuid]?.retry = min(operation.retry * 2, TaskRecord.lastRetry)
            }
            sendOperation(uuid)
        }
    }

    /// A status in the words that the framework knows.
    func shown(_ status: JSON, to framework: String) -> JSON {
        guard let record = frameworks[framework], let state = status["state"].string else { return status }
        let name = TaskState.shown(state, isPartitionAware: record.isPartitionAware)
        if name == state { return status }
        var changed = status
        changed["state"] = .string(name)
        return changed
    }

    /// A framework has taken note of a status.
    mutating func acknowledge(_ framework: String, task taskID: String, uuid: String) {
        let key = TaskKey(framework, taskID)
        guard var task = tasks[key], let head = task.pending.first, head["uuid"].string == uuid else {
            count("invalid_status_update_acknowledgements")
            return
        }
        count("valid_status_update_acknowledgements")
        task.pending.removeFirst()
        task.sentAt = nil
        task.retry = TaskRecord.firstRetry
        if task.pending.isEmpty { unacknowledged.remove(key) }
        tasks[key] = task
        if let object = task.object {
            acknowledgedUUIDs[object, default: []].insert(uuid)
            if task.isDone { acknowledgedObjects.insert(object) }
            effects.append(.task(object))
        }
        if task.isDone {
            forget(task)
            frameworks[framework]?.complete(task)
            release(pod: task.pod)
        } else {
            sendHead(of: key)
        }
    }

    /// Lets the finalizer of a pod go once none of its tasks has anything left to tell.
    mutating func release(pod key: ObjectKey) {
        guard let pod = pods[key], pod.kind != .executor, !pod.isReleased else { return }
        if pod.tasks.allSatisfy({ tasks[$0] == nil }) {
            pods[key]?.isReleased = true
            effects.append(.pod(key))
        }
    }

    /// Takes a task out of everything that counts those that are there.
    mutating func forget(_ task: TaskRecord) {
        tasks[task.key] = nil
        limitedTasks.remove(task.key)
        staleAgents.insert(task.agentID)
        unacknowledged.remove(task.key)
        frameworks[task.key.frameworkID]?.tasks.remove(task.key.taskID)
        agents[task.agentID]?.tasks.remove(task.key)
        // One that is drained is so with its last task.
        if let agent = agents[task.agentID], agent.state == "draining", agent.tasks.isEmpty {
            effects.append(.agent(node: agent.node.name))
        }
        if let object = task.object {
            ledger.remove(.reservation(id: Self.claimID(task.key)))
            effects.append(.task(object))
        }
        guard !task.executorID.isEmpty else { return }
        let executor = ExecutorKey(task.key.frameworkID, task.agentID, task.executorID)
        executors[executor]?.tasks.remove(task.key.taskID)
        // The default executor ends with its last task.
        if let record = executors[executor], record.isDefault, record.tasks.isEmpty { forgetExecutor(executor) }
    }

    /// Takes an executor in.
    mutating func add(executor: ExecutorRecord) {
        executors[executor.key] = executor
        frameworks[executor.key.frameworkID]?.executors.insert(executor.key)
        agents[executor.key.agentID]?.executors.insert(executor.key)
        staleAgents.insert(executor.key.agentID)
    }

    /// Takes an executor out.
    mutating func forgetExecutor(_ key: ExecutorKey) {
        executors[key] = nil
        agents[key.agentID]?.executors.remove(key)
        staleAgents.insert(key.agentID)
        frameworks[key.frameworkID]?.executors.remove(key)
    }

    /// Names the ledger's claim of a task on a custom executor.
    static func claimID(_ key: TaskKey) -> String { "task \(key.frameworkID) \(key.taskID)" }

    // MARK: Operations

    /// Sends the status of an operation whose end the framework wants to hear.
    mutating func sendOperation(_ uuid: String) {
        guard let operation = operations[uuid], let framework = operation.frameworkID,
            frameworks[framework]?.stream != nil
        else { return }
        operations[uuid]?.sentAt = now
        send(
            Message.event("UPDATE_OPERATION_STATUS", "update_operation_status", ["status": operation.status]),
            to: framework)
    }

    /// A framework has taken note of an operation's end.
    mutating func acknowledgeOperation(_ framework: String, operationID: String, uuid: String) {
        let found = operations.first {
            $0.value.frameworkID == framework && $0.value.operationID == operationID
                && $0.value.status["uuid"]["value"].string == uuid
        }
        guard let found else { return count("invalid_operation_status_update_acknowledgements") }
        count("valid_operation_status_update_acknowledgements")
        operations.removeValue(forKey: found.key)
    }
}
