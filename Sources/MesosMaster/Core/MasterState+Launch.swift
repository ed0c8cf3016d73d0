import JSON
import Ledger
import MesosModel
import ObjectModel

/// From the tasks and groups of an ACCEPT to what is to be created, and what became of that.
extension MasterState {
    mutating func launch(_ infos: [JSON], _ pool: inout Pool) {
        let maker = PodMaker(
            framework: pool.framework, agent: pool.agent, role: pool.role, settings: configuration)
        for var info in infos {
            let id = info["task_id"]["value"].string ?? ""
            let executor = info["executor"]
            if let refusal = pool.refusal(of: info) {
                refuseTask(id, info, of: pool.framework.id, "TASK_ERROR", "REASON_TASK_UNAUTHORIZED", refusal)
                continue
            }
            do {
                let resources = try TaskRules.resources(of: &info, role: pool.role, in: pool.framework)
                try TaskRules.check(info, in: self, pool)
                var key: ExecutorKey?
                var own = Resources()
                if executor.object != nil {
                    let executorKey = ExecutorKey(
                        pool.framework.id, pool.agent.id, executor["executor_id"]["value"].string ?? "")
                    key = executorKey
                    if let known = executors[executorKey] {
                        try TaskRules.checkSame(known.info, executor, pool.framework.id)
                    } else {
                        own = try TaskRules.executorResources(executor)
                    }
                }
                let all = resources + own
                guard pool.left.contains(all) else {
                    throw MesosError(
                        .invalid,
                        "Total resources \(all.description) required by task and its executor is more than available "
                            + pool.left.description)
                }
                if let key {
                    try launch(info, resources, own, on: key, executor, maker, &pool)
                    pool.left -= all.exclusive
                } else {
                    let made = try maker.commandTask(info)
                    pool.left -= all.exclusive
                    addTask(info, resources, pod: made.key, executorID: "", pool)
                    addPod(made, .command, tasks: [TaskKey(pool.framework.id, id)], executor: nil, resources, &pool)
                }
            } catch {
                refuseTask(
                    id, info, of: pool.framework.id, "TASK_ERROR", "REASON_TASK_INVALID", "\(error)")
            }
        }
    }

    private mutating func launch(
        _ info: JSON, _ resources: Resources, _ own: Resources, on key: ExecutorKey, _ executor: JSON,
        _ maker: PodMaker,
        _ pool: inout Pool, group: [String] = []
    ) throws {
        let taskKey = TaskKey(pool.framework.id, info["task_id"]["value"].string ?? "")
        let made = try maker.executor(executor)
        if executors[key] == nil {
            add(
                executor: ExecutorRecord(
                    key: key, info: executor, resources: own, pod: made.key, role: pool.role))
            addPod(made, .executor, tasks: [], executor: key, own, &pool)
        }
        executors[key]?.tasks.insert(taskKey.taskID)
        addTask(info, resources, pod: made.key, executorID: key.executorID, pool)
        let object = ObjectKey(
            namespace: made.key.namespace,
            name: MesosNames.podName(taskID: taskKey.taskID, frameworkID: pool.framework.id))
        tasks[taskKey]?.object = object
        tasks[taskKey]?.earlierObjectUID = taskObjects[object]?.uid
        pool.claims.append(
            Claim(
                .reservation(id: Self.claimID(taskKey)), node: pool.agent.node.name,
                resources: resources.withoutVolumes.vector,
                portRanges: resources.portRanges, role: pool.role))
        var tree: JSON = [
            "apiVersion": "mesos.apus.dev/v1", "kind": "Task",
            "metadata": [
                "name": .string(object.name), "namespace": .string(object.namespace),
                "labels": [MesosNames.frameworkLabel: .string(pool.framework.id)],
            ],
            "spec": [
                "frameworkID": .string(pool.framework.id), "executorID": .string(key.executorID),
                "agentID": .string(pool.agent.id), "node": .string(pool.agent.node.name),
                "pod": .string(made.key.name), "role": .string(pool.role), "info": info,
            ],
            "status": ["state": "TASK_STAGING", "updates": []],
        ]
        if !group.isEmpty { tree["spec"]["group"] = JSON(group) }
        pool.launches.append(
            Launch(pod: nil, object: .init(key: object, tree: tree), role: pool.role, tasks: [taskKey]))
    }

    mutating func launchGroup(_ group: JSON, _ pool: inout Pool) {
        let executor = group["executor"]
        var infos = group["task_group"]["tasks"].elements
        let framework = pool.framework.id
        var shared: String?
        var total = Resources()
        var each: [Resources] = []
        var own = Resources()
        let key = ExecutorKey(framework, pool.agent.id, executor["executor_id"]["value"].string ?? "")
        let refusal = (infos + [group]).compactMap(pool.refusal).first
        for index in infos.indices where shared == nil {
            do {
                let resources = try TaskRules.resources(of: &infos[index], role: pool.role, in: pool.framework)
                try TaskRules.checkInGroup(infos[index])
                try TaskRules.check(infos[index], in: self, pool, groupType: executor["type"].string ?? "")
                each.append(resources)
                total += resources
            } catch {
                shared = "Task '\(infos[index]["task_id"]["value"].string ?? "")' is invalid: \(error)"
            }
        }
        if shared == nil {
            do {
                try TaskRules.checkGroup(infos, executor, framework)
                // A default executor that runs already takes nothing more.
                if let known = executors[key] {
                    try TaskRules.checkSame(known.info, executor, framework)
                } else {
                    own = try TaskRules.executorResources(executor)
                }
                total += own
            } catch {
                shared = "\(error)"
            }
        }
        if shared == nil, !pool.left.contains(total) {
            shared =
                "Total resources \(total.description) required by task group and its executor are more than available "
                + pool.left.description
        }
        var pod: PodMaker.Made?
        if shared == nil, refusal == nil {
            let maker = PodMaker(
                framework: pool.framework, agent: pool.agent, role: pool.role, settings: configuration)
            do {
                if executor["type"] == "CUSTOM" {
                    // Its tasks are objects, and its executor gets them together.
                    let ids = infos.compactMap { $0["task_id"]["value"].string }
                    for (info, resources) in zip(infos, each) {
                        try launch(info, resources, own, on: key, executor, maker, &pool, group: ids)
                    }
                    pool.left -= total.exclusive
                    return
                }
                pod = try maker.group(infos, executor: executor, chargesExecutor: executors[key] == nil)
            } catch {
                shared = "\(error)"
            }
        }
        guard let made = pod else {
            for info in infos {
                refuseTask(
                    info["task_id"]["value"].string ?? "", info, of: framework, "TASK_ERROR",
                    refusal == nil ? "REASON_TASK_GROUP_INVALID" : "REASON_TASK_GROUP_UNAUTHORIZED",
                    refusal ?? shared ?? "The group is invalid")
            }
            return
        }
        pool.left -= total.exclusive
        if executors[key] == nil {
            add(
                executor: ExecutorRecord(
                    key: key, info: executor, resources: own, pod: made.key, role: pool.role))
        }
        var keys: [TaskKey] = []
        for (info, resources) in zip(infos, each) {
            let taskKey = TaskKey(framework, info["task_id"]["value"].string ?? "")
            keys.append(taskKey)
            executors[key]?.tasks.insert(taskKey.taskID)
            addTask(info, resources, pod: made.key, executorID: key.executorID, pool)
        }
        addPod(made, .group, tasks: keys, executor: key, total, &pool)
    }

    private mutating func addTask(
        _ info: JSON, _ resources: Resources, pod: ObjectKey, executorID: String, _ pool: Pool
    ) {
        let key = TaskKey(pool.framework.id, info["task_id"]["value"].string ?? "")
        var task = TaskRecord(
            key: key, info: info, agentID: pool.agent.id, node: pool.agent.node.name, role: pool.role, pod: pod,
            executorID: executorID, resources: resources.allocated(to: pool.role), startSeconds: seconds)
        task.sequence = newSequence()
        task.isPending = true
        tasks[key] = task
        noteTimeLimit(of: task)
        frameworks[key.frameworkID]?.tasks.insert(key.taskID)
        agents[pool.agent.id]?.tasks.insert(key)
        staleAgents.insert(pool.agent.id)
        count("tasks_launched")
        effects.append(.observe(.taskAdded(task)))
    }

    private mutating func addPod(
        _ made: PodMaker.Made, _ kind: PodRecord.Kind, tasks: [TaskKey], executor: ExecutorKey?, _ resources: Resources,
        _ pool: inout Pool
    ) {
        // A pod of that name may still be there: that of a task of the same id which ended before.
        let earlier = pods[made.key]
        var record = PodRecord(
            key: made.key, kind: kind, frameworkID: pool.framework.id, agentID: pool.agent.id,
            node: pool.agent.node.name, tasks: tasks, executor: executor)
        record.earlierUID = earlier?.view?.uid ?? earlier?.uid
        pods[made.key] = record
        unsettled.insert(made.key)
        var vector = resources.withoutVolumes.vector
        vector.pods = 1
        pool.claims.append(
            Claim(
                Self.launchClaim(made.key), node: pool.agent.node.name, resources: vector,
                portRanges: resources.portRanges, role: pool.role))
        pool.launches.append(Launch(pod: made, object: nil, role: pool.role, tasks: tasks))
    }

    /// What holds the share of a pod until the pod is seen to hold it itself.
    static func launchClaim(_ pod: ObjectKey) -> Claim.Owner { .reservation(id: "launch \(pod)") }

    // MARK: What became of launches

    /// A pod or task object is stored.
    mutating func launched(_ launch: Launch, uid: String) {
        for key in launch.tasks { tasks[key]?.isPending = false }
        guard let pod = launch.pod else {
            for key in launch.tasks { tasks[key]?.objectUID = uid }
            if let object = launch.object { effects.append(.task(object.key)) }
            return
        }
        pods[pod.key]?.isStored = true
        pods[pod.key]?.uid = uid
        if pods[pod.key]?.kill != nil || pods[pod.key]?.isReleased == true { effects.append(.pod(pod.key)) }
    }

    /// The API refused a pod or task object.
    mutating func failed(_ launch: Launch, message: String) {
        if let pod = launch.pod {
            unsettle(pod.key)
            let record = pods.removeValue(forKey: pod.key)
            if let executor = record?.executor, record?.kind == .executor {
                for id in executors[executor]?.tasks ?? [] { fail(TaskKey(executor.frameworkID, id), message) }
                forgetExecutor(executor)
            }
        }
        for key in launch.tasks { fail(key, message) }
        effects.append(.allocate)
    }

    private mutating func fail(_ key: TaskKey, _ message: String) {
        guard var task = tasks[key] else { return }
        let status: JSON = [
            "task_id": Message.id(key.taskID), "state": "TASK_FAILED", "source": "SOURCE_MASTER",
            "reason": "REASON_CONTAINER_LAUNCH_FAILED", "message": .string(message),
            "agent_id": Message.id(task.agentID), "timestamp": Message.double(seconds),
        ]
        note(status, in: &task)
        effects.append(.observe(.taskUpdated(task, status: status)))
        tell(status, of: key)
        frameworks[key.frameworkID]?.terminalCounts[task.state, default: 0] += 1
        countEnd(status)
        forget(task)
        frameworks[key.frameworkID]?.complete(task)
    }
}
