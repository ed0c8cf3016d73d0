import JSON
import Ledger
import MesosModel
import ObjectModel

/// Nodes and their agents.
extension MasterState {
    /// A node as it is now; nil: it does not exist.
    mutating func set(node: MasterNode?, named name: String) {
        if nodes[name] == node { return }
        nodes[name] = node
        refreshAgent(name)
    }

    /// An agent's object as it is now.
    mutating func set(agentObject: AgentObject?, named name: String) {
        agentObjects[name] = agentObject
        if agentObject != nil { agentIDs[name] = nil }
        refreshAgent(name)
    }

    /// Brings the agent of a node to what node and object say.
    mutating func refreshAgent(_ name: String) {
        guard isRecovered else { return }
        let object = agentObjects[name]
        if object?.state == "gone" {
            if let id = object?.id {
                if goneAgents[id] == nil { goneAgents[id] = seconds }
                removeAgent(id, byOperator: true)
            }
            return
        }
        guard let node = nodes[name] else {
            if let id = agentOfNode[name] { removeAgent(id, byOperator: false) }
            return
        }
        guard let object, !object.id.isEmpty else {
            if agentIDs[name] == nil { agentIDs[name] = newAgentID() }
            effects.append(.agent(node: name))
            return
        }
        if let old = agentOfNode[name], old != object.id { removeAgent(old, byOperator: false) }
        let isNew = agents[object.id] == nil
        var agent = agents[object.id] ?? AgentRecord(id: object.id, node: node, registeredTime: seconds)
        if isNew || agent.node != node {
            agent.node = node
            agent.refreshFacts()
        }
        agent.state = object.state
        agent.drain = object.spec["drain"]
        if let unseen = unseenReservations[name], let revision = unseen.shownAt, revision <= object.revision || isNew {
            unseenReservations[name] = nil
        }
        if unseenReservations[name] == nil || isNew {
            agent.reserved =
                ((try? Resources(object.spec["reserved"])) ?? Resources())
                + ((try? Resources(object.spec["volumes"])) ?? Resources())
        }
        agent.total = total(of: agent)
        let wasReachable = !isNew && agent.isReachable
        if !node.isReady, agent.unreachableTime == nil { agent.unreachableTime = seconds }
        if node.isReady, agent.unreachableTime != nil {
            agent.unreachableTime = nil
            if !isNew { agent.reregisteredTime = seconds }
        }
        agents[agent.id] = agent
        agentOfNode[name] = agent.id
        if isNew {
            for key in tasks.keys where tasks[key]?.agentID == agent.id { agents[agent.id]?.tasks.insert(key) }
            for key in executors.keys where key.agentID == agent.id { agents[agent.id]?.executors.insert(key) }
            effects.append(.observe(.agentAdded(agents[agent.id] ?? agent)))
        }
        staleAgents.insert(agent.id)
        refreshReservations(agent: agent.id)
        if !agent.isReachable, wasReachable { count("slave_unreachable") }
        if !agent.isReachable, wasReachable || isNew { lost(agent) }
        if agent.isReachable, !wasReachable, !isNew { returned(agent) }
        if !agent.isOfferable { for offer in agents[agent.id]?.offers ?? [] { rescind(offer) } }
        followDraining(agent.id)
        effects.append(.allocate)
    }

    /// The agent's node no longer answers.
    private mutating func lost(_ agent: AgentRecord) {
        for offer in agents[agent.id]?.offers ?? [] { rescind(offer) }
        var concerned: Set<String> = []
        for key in agents[agent.id]?.tasks ?? [] {
            concerned.insert(key.frameworkID)
            guard var task = tasks[key], !task.isTerminal, task.state != "TASK_UNREACHABLE" else { continue }
            task.unreachableSeconds = agent.unreachableTime
            let status: JSON = [
                "task_id": Message.id(key.taskID), "state": "TASK_UNREACHABLE", "source": "SOURCE_MASTER",
                "reason": "REASON_AGENT_REMOVED", "message": "The agent is unreachable",
                "agent_id": Message.id(agent.id), "timestamp": Message.double(seconds),
                "unreachable_time": ["nanoseconds": JSON(Int(bounded: (agent.unreachableTime ?? seconds) * 1e9))],
            ]
            note(status, in: &task)
            task.reportedState = "TASK_UNREACHABLE"
            tasks[key] = task
            effects.append(.observe(.taskUpdated(task, status: status)))
            tell(status, of: key)
        }
        tellFailure(of: agent.id, to: concerned)
        effects.append(.observe(.agentRemoved(id: agent.id)))
    }

    /// The agent's node answers again: what runs there is told anew.
    private mutating func returned(_ agent: AgentRecord) {
        effects.append(.observe(.agentAdded(agent)))
        for key in agents[agent.id]?.tasks ?? [] {
            guard let task = tasks[key], task.state == "TASK_UNREACHABLE" else { continue }
            let before = task.statuses.last { $0["state"].string != "TASK_UNREACHABLE" }
            var state = before?["state"].string ?? "TASK_STAGING"
            if TaskState.isTerminal(state) { state = "TASK_RUNNING" }
            let status: JSON = [
                "task_id": Message.id(key.taskID), "state": .string(state), "source": "SOURCE_MASTER",
                "reason": "REASON_AGENT_REREGISTERED", "message": "The agent is back",
                "agent_id": Message.id(agent.id), "timestamp": Message.double(seconds),
            ]
            var changed = task
            note(status, in: &changed)
            changed.unreachableSeconds = nil
            changed.reportedState = state
            tasks[key] = changed
            tell(status, of: key)
            // The pod may have gone on meanwhile.
            if let view = pods[task.pod]?.view { set(pod: view, at: task.pod) }
        }
    }

    private mutating func tellFailure(of agentID: String, to concerned: Set<String>) {
        for framework in concerned {
            send(Message.event("FAILURE", "failure", ["agent_id": Message.id(agentID)]), to: framework)
        }
    }

    /// The agent is gone and its tasks with it.
    mutating func removeAgent(_ id: String, byOperator: Bool) {
        guard let agent = agents[id] else { return }
        for offer in agent.offers { rescind(offer) }
        var concerned: Set<String> = []
        for key in agent.tasks.sorted(by: { $0.taskID < $1.taskID }) {
            concerned.insert(key.frameworkID)
            guard var task = tasks[key] else { continue }
            if !task.isTerminal {
                let status: JSON = [
                    "task_id": Message.id(key.taskID),
                    "state": byOperator ? "TASK_GONE_BY_OPERATOR" : "TASK_GONE", "source": "SOURCE_MASTER",
                    "reason": byOperator ? "REASON_AGENT_REMOVED_BY_OPERATOR" : "REASON_AGENT_REMOVED",
                    "message": byOperator ? "The agent was marked gone" : "The agent was removed",
                    "agent_id": Message.id(id), "timestamp": Message.double(seconds),
                ]
                note(status, in: &task)
                effects.append(.observe(.taskUpdated(task, status: status)))
                tell(status, of: key)
                countEnd(status)
                frameworks[key.frameworkID]?.terminalCounts[task.state, default: 0] += 1
            }
            task.pending = []
            forget(task)
            frameworks[key.frameworkID]?.complete(task)
            kill(pod: task.pod, reason: byOperator ? "The agent was marked gone" : "The agent was removed", grace: 0)
            release(pod: task.pod)
        }
        for (key, executor) in executors where key.agentID == id {
            kill(pod: executor.pod, reason: "The agent was removed", grace: 0)
            pods[executor.pod]?.isReleased = true
            effects.append(.pod(executor.pod))
            forgetExecutor(key)
        }
        tellFailure(of: id, to: concerned)
        // Whoever asks for their state hears that they are gone with the agent.
        for (uuid, operation) in operations where operation.agentID == id { operations[uuid] = nil }
        withdrawInverseOffers(ofAgent: id)
        agents[id] = nil
        if agentOfNode[agent.node.name] == id { agentOfNode[agent.node.name] = nil }
        allocator.removeAgent(id)
        paused[id] = nil
        ledger.exchange(reservationIDs(of: agent), for: [])
        reservedNodes.remove(agent.node.name)
        effects += [.observe(.agentRemoved(id: id)), .allocate]
    }

    /// Kills what runs on an agent that is drained, and says when nothing does.
    mutating func followDraining(_ id: String) {
        guard let agent = agents[id], agent.state == "draining" else { return }
        let most = agent.drain["maxGracePeriodSeconds"].double.map { Int(bounded: min(max($0.rounded(.up), 0), 1e9)) }
        for key in agent.tasks {
            guard let task = tasks[key], !task.isTerminal else { continue }
            // No task gets more time than it asked for itself.
            let own = task.info["kill_policy"]["grace_period"]["nanoseconds"].int ?? 3_000_000_000
            let grace = most.flatMap { $0 * 1_000_000_000 < own ? $0 : nil }
            if let object = task.object {
                if !task.isKillRequested, let grace {
                    tasks[key]?.killPolicy = ["grace_period": ["nanoseconds": JSON(grace * 1_000_000_000)]]
                }
                tasks[key]?.isKillRequested = true
                effects.append(.task(object))
            } else {
                kill(pod: task.pod, reason: "REASON_AGENT_DRAINING The agent is drained", grace: grace)
            }
        }
        if agent.tasks.isEmpty { effects.append(.agent(node: agent.node.name)) }
    }

    /// An agent's object was stored with what was reserved after so many changes.
    mutating func stored(agent node: String, changes: Int, at revision: Revision) {
        guard unseenReservations[node]?.changes == changes else { return }
        unseenReservations[node]?.shownAt = revision
        if let object = agentObjects[node], object.revision >= revision { unseenReservations[node] = nil }
    }

    /// An agent's object as it should be; nil when the one that is there is right.
    func object(ofAgent node: String) -> JSON? {
        var spec: JSON
        if let object = agentObjects[node] {
            spec = object.spec
            guard let agent = agents[object.id] else { return nil }
            let parts = agent.reserved.json.elements
            spec["reserved"] = .array(parts.filter { $0["disk"]["persistence"].object == nil })
            spec["volumes"] = agent.volumes.json
            if agent.state == "draining", agent.tasks.isEmpty {
                spec["state"] = agent.drain["markGone"].bool == true ? "gone" : "drained"
            }
        } else {
            guard let id = agentIDs[node], nodes[node] != nil else { return nil }
            spec = ["id": .string(id), "reserved": [], "volumes": [], "state": "active"]
        }
        return [
            "apiVersion": "mesos.apus.dev/v1", "kind": "Agent", "metadata": ["name": .string(node)], "spec": spec,
        ]
    }
}
