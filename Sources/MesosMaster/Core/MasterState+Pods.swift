import JSON
import Ledger
import MesosModel
import ObjectModel

/// Pods and task objects, as the store shows them, become states of tasks.
extension MasterState {
    /// A pod as it is now.
    mutating func set(pod: MasterPod, at key: ObjectKey) {
        guard !pod.frameworkID.isEmpty else {
            let old = otherPods.updateValue(pod, forKey: key)
            guard old?.node != pod.node || old?.isFinished != pod.isFinished || old?.requests != pod.requests else {
                return
            }
            if let old, old.node != pod.node { forgetPlace(of: old) }
            if !pod.node.isEmpty { otherPodsOfNode[pod.node, default: []].insert(key) }
            markStale(node: pod.node)
            effects.append(.allocate)
            return
        }
        if let record = pods[key] {
            if record.isEarlier(pod) { return }
            // A pod of an earlier task of the same name is on its way out.
            if let known = record.view, known.uid != pod.uid { pods[key]?.isStored = false }
            if !record.isStored, record.view == nil, pod.isFinished, !pod.hasFinalizer { return }
            pods[key]?.isStored = true
            pods[key]?.view = pod
        } else if !adopt(pod) {
            return
        }
        settleLaunch(key, pod)
        follow(key, pod)
    }

    /// The pod holds its share itself now, or needs none any more.
    mutating func settleLaunch(_ key: ObjectKey, _ pod: MasterPod) {
        guard unsettled.contains(key), pod.isFinished || ledger.claim(.pod(uid: pod.uid)) != nil else { return }
        unsettle(key)
    }

    /// Gives back what is held for a pod to come.
    mutating func unsettle(_ key: ObjectKey) {
        guard unsettled.remove(key) != nil else { return }
        ledger.remove(.reservation(id: "launch \(key)"))
    }

    /// Checks launches whose pods the scheduler had not taken note of yet.
    mutating func settleLaunches() {
        for key in unsettled {
            if let view = pods[key]?.view {
                settleLaunch(key, view)
            } else if pods[key] == nil {
                unsettle(key)
            }
        }
    }

    private mutating func follow(_ key: ObjectKey, _ pod: MasterPod) {
        guard let record = pods[key] else { return }
        if record.kind == .executor { return followExecutor(record, pod) }
        let agent = agents[record.agentID]
        if agent == nil || agent?.isReachable == true || pod.isFinished {
            let tree = pod.object.tree
            for projection in TaskProjection.tasks(of: tree) {
                let key = TaskKey(pod.frameworkID, projection.taskID)
                guard record.tasks.contains(key) else { continue }
                follow(projection, key)
            }
        }
        if pod.isFinished, record.isReleased, !pod.hasFinalizer { pods[key] = nil }
        if record.kill != nil, !pod.isTerminating, !pod.isFinished { effects.append(.pod(key)) }
        if record.isReleased, pod.hasFinalizer { effects.append(.pod(key)) }
    }

    /// Takes in the states that a task went through and that are news, in their order.
    private mutating func follow(_ projection: TaskProjection, _ key: TaskKey) {
        for state in projection.passed {
            guard let known = tasks[key], !known.isTerminal else { return }
            let isNewest = state == projection.state
            if state == .staging || state == .unreachable { continue }
            if !isNewest,
                known.state == "TASK_UNREACHABLE" || TaskState.rank(state.rawValue) <= TaskState.rank(known.state)
            {
                continue
            }
            if state == .killing,
                frameworks[key.frameworkID]?.capabilities.contains("TASK_KILLING_STATE") != true
            {
                continue
            }
            var status = projection.status(of: state)
            status["agent_id"] = Message.id(known.agentID)
            if status["timestamp"].isNull { status["timestamp"] = Message.double(seconds) }
            observe(status, of: key)
        }
    }

    private mutating func forgetPlace(of pod: MasterPod) {
        guard !pod.node.isEmpty else { return }
        otherPodsOfNode[pod.node]?.remove(pod.key)
        if otherPodsOfNode[pod.node]?.isEmpty == true { otherPodsOfNode[pod.node] = nil }
        markStale(node: pod.node)
    }

    /// A pod that does not exist any more, as it was.
    mutating func set(gone pod: MasterPod) {
        let key = pod.key
        if let old = otherPods.removeValue(forKey: key) {
            forgetPlace(of: old)
            effects.append(.allocate)
            return
        }
        guard let record = pods[key] else { return }
        // A new one of that name is there, or about to be made.
        guard record.view?.uid == pod.uid else { return }
        pods[key] = nil
        unsettle(key)
        if record.kind == .executor { return executorEnded(record, status: nil) }
        for task in record.tasks {
            guard let known = tasks[task], !known.isTerminal else { continue }
            // Its finalizer was taken by force: what became of it nobody knows.
            let status: JSON = [
                "task_id": Message.id(task.taskID), "state": "TASK_KILLED", "source": "SOURCE_MASTER",
                "message": .string(record.kill?.reason ?? "Pod was deleted"), "agent_id": Message.id(known.agentID),
                "timestamp": Message.double(seconds), "reason": "REASON_EXECUTOR_TERMINATED",
                "uuid": .string(FrameworkIDs.status(record.view?.uid ?? "", task.taskID, "TASK_KILLED")),
            ]
            observe(status, of: task)
        }
        effects.append(.allocate)
    }

    // MARK: Known from the store

    /// Takes in a pod that this process did not make.
    /// - Returns: false for one that is over and done with.
    private mutating func adopt(_ pod: MasterPod) -> Bool {
        let tree = pod.object.tree
        let annotations = tree["metadata"]["annotations"]
        func read(_ name: String) -> JSON { annotations[name].string.flatMap { try? JSON.parse($0) } ?? .null }
        let agentID = annotations[MesosNames.agentAnnotation].string ?? ""
        let role = annotations[MesosNames.roleAnnotation].string ?? self.role(ofNamespace: pod.key.namespace)
        let isOver = pod.isFinished && !pod.hasFinalizer
        let (task, group, executor) = (
            read(MesosNames.taskAnnotation), read(MesosNames.taskGroupAnnotation), read(MesosNames.executorAnnotation)
        )
        var record = PodRecord(
            key: pod.key, kind: executor.object != nil ? .executor : group.object != nil ? .group : .command,
            frameworkID: pod.frameworkID, agentID: agentID, node: pod.node, tasks: [], view: pod)
        record.isStored = true
        if let reason = annotations[MesosNames.killAnnotation].string {
            record.kill = .init(reason: reason, grace: nil)
        }
        guard frameworks[pod.frameworkID] != nil else {
            // Its framework is gone.
            if isOver { return false }
            record.isReleased = true
            record.kill = record.kill ?? .init(reason: "The framework was removed", grace: nil)
            pods[pod.key] = record
            effects.append(.pod(pod.key))
            return true
        }
        let infos = group.object != nil ? group["tasks"].elements : task.object != nil ? [task] : []
        let executorInfo = group.object != nil ? group["executor"] : executor
        let executorID = executorInfo["executor_id"]["value"].string ?? ""
        if executorInfo.object != nil, !pod.isFinished {
            let key = ExecutorKey(pod.frameworkID, agentID, executorID)
            record.executor = key
            if executors[key] == nil {
                add(
                    executor: ExecutorRecord(
                        key: key, info: executorInfo,
                        resources: (try? Resources(executorInfo["resources"])) ?? Resources(), pod: pod.key,
                        role: role))
            }
        } else if executorInfo.object != nil {
            record.executor = ExecutorKey(pod.frameworkID, agentID, executorID)
        }
        for info in infos {
            let key = TaskKey(pod.frameworkID, info["task_id"]["value"].string ?? "")
            var known = TaskRecord(
                key: key, info: info, agentID: agentID, node: pod.node, role: role, pod: pod.key,
                executorID: executorID, resources: (try? Resources(info["resources"])) ?? Resources(),
                startSeconds: pod.createdSeconds)
            known.sequence = newSequence()
            if isOver {
                // Told and acknowledged before: only for those who look back.
                if let projection = TaskProjection.tasks(of: tree).first(where: { $0.taskID == key.taskID }) {
                    for state in projection.passed { note(projection.status(of: state), in: &known) }
                }
                frameworks[pod.frameworkID]?.complete(known)
                continue
            }
            // What it went through before was told, or is not worth telling any more.
            if let projection = TaskProjection.tasks(of: tree).first(where: { $0.taskID == key.taskID }),
                projection.state != .starting, projection.passed.contains(.starting)
            {
                known.state = "TASK_STARTING"
            }
            tasks[key] = known
            if record.kind == .group { noteTimeLimit(of: known) }
            record.tasks.append(key)
            frameworks[pod.frameworkID]?.tasks.insert(key.taskID)
            agents[agentID]?.tasks.insert(key)
            staleAgents.insert(agentID)
            if let executor = record.executor { executors[executor]?.tasks.insert(key.taskID) }
        }
        if isOver { return false }
        pods[pod.key] = record
        return true
    }

    // MARK: Custom executors

    private mutating func followExecutor(_ record: PodRecord, _ pod: MasterPod) {
        if record.kill != nil, !pod.isTerminating, !pod.isFinished { effects.append(.pod(record.key)) }
        guard pod.isFinished else { return }
        let exit = pod.object.tree["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"].int
        executorEnded(record, status: exit)
        pods[record.key]?.isReleased = true
        effects.append(.pod(record.key))
        if !pod.hasFinalizer { pods[record.key] = nil }
    }

    /// An executor is no more; the agent gives its tasks their end.
    private mutating func executorEnded(_ record: PodRecord, status: Int?) {
        guard let key = record.executor, executors[key]?.pod == record.key else { return }
        forgetExecutor(key)
        var failure: JSON = ["agent_id": Message.id(key.agentID), "executor_id": Message.id(key.executorID)]
        // As wait(2) says it; clients expect one even where nobody knows.
        failure["status"] = JSON(status.map { $0 > 128 ? $0 - 128 : $0 << 8 } ?? -1)
        send(Message.event("FAILURE", "failure", failure), to: key.frameworkID)
        refreshReservations(agent: key.agentID)
        effects.append(.allocate)
    }

    /// A task object as it is now; nil: it does not exist any more.
    mutating func set(taskObject: TaskObject?, at key: ObjectKey) {
        guard let object = taskObject else {
            acknowledgedObjects.remove(key)
            acknowledgedUUIDs[key] = nil
            guard let old = taskObjects.removeValue(forKey: key) else { return }
            let task = TaskKey(old.frameworkID, old.taskID)
            guard let known = tasks[task], known.object == key, known.objectUID == old.uid, !known.isTerminal else {
                return
            }
            let status: JSON = [
                "task_id": Message.id(task.taskID), "state": "TASK_KILLED", "source": "SOURCE_MASTER",
                "message": "The task's object was deleted", "agent_id": Message.id(known.agentID),
                "timestamp": Message.double(seconds),
                "uuid": .string(FrameworkIDs.status(key.description, task.taskID, "TASK_KILLED")),
            ]
            observe(status, of: task)
            return
        }
        taskObjects[key] = object
        let task = TaskKey(object.frameworkID, object.taskID)
        if let known = tasks[task], known.object == key {
            // That of an earlier task of the same id, which the local copy shows late.
            if known.objectUID.map({ $0 != object.uid }) ?? (known.earlierObjectUID == object.uid) { return }
            tasks[task]?.objectUID = object.uid
        }
        let updates = object.status["updates"].elements
        if tasks[task] == nil {
            let isOver = TaskState.isTerminal(object.status["state"].string ?? "") && updates.isEmpty
            guard !isOver, !object.isTerminating, frameworks[object.frameworkID] != nil,
                !acknowledgedObjects.contains(key)
            else {
                effects.append(.task(key))
                return
            }
            adopt(object)
        }
        acknowledgedUUIDs[key]?.formIntersection(updates.compactMap { $0["uuid"].string })
        if acknowledgedUUIDs[key]?.isEmpty == true { acknowledgedUUIDs[key] = nil }
        for update in updates {
            guard let uuid = update["uuid"].string, acknowledgedUUIDs[key]?.contains(uuid) != true else { continue }
            guard let known = tasks[task] else { return }
            if known.pending.contains(where: { $0["uuid"].string == uuid }) { continue }
            var status = update
            status["agent_id"] = Message.id(known.agentID)
            status["executor_id"] = Message.id(known.executorID)
            observe(status, of: task)
        }
        if tasks[task]?.isKillRequested == true, object.status["killRequested"].bool != true {
            effects.append(.task(key))
        }
    }

    private mutating func adopt(_ object: TaskObject) {
        let key = TaskKey(object.frameworkID, object.taskID)
        let agentID = object.spec["agentID"].string ?? ""
        let role = object.spec["role"].string ?? role(ofNamespace: object.key.namespace)
        let executorID = object.spec["executorID"].string ?? ""
        var task = TaskRecord(
            key: key, info: object.spec["info"], agentID: agentID, node: object.spec["node"].string ?? "", role: role,
            pod: ObjectKey(namespace: object.key.namespace, name: object.spec["pod"].string ?? ""),
            executorID: executorID,
            resources: (try? Resources(object.spec["info"]["resources"])) ?? Resources(), startSeconds: seconds)
        task.object = object.key
        task.objectUID = object.uid
        task.sequence = newSequence()
        let state = object.status["state"].string ?? "TASK_STAGING"
        if !TaskState.isTerminal(state) {
            ledger.set(
                Claim(
                    .reservation(id: Self.claimID(key)), node: task.node,
                    resources: task.resources.withoutVolumes.vector,
                    portRanges: task.resources.portRanges, role: role))
            if object.status["updates"].elements.isEmpty, state != "TASK_STAGING" { task.state = state }
        }
        tasks[key] = task
        frameworks[key.frameworkID]?.tasks.insert(key.taskID)
        agents[agentID]?.tasks.insert(key)
        staleAgents.insert(agentID)
        executors[ExecutorKey(key.frameworkID, agentID, executorID)]?.tasks.insert(key.taskID)
    }
}
