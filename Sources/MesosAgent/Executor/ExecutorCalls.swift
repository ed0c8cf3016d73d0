import ClusterClient
import HTTPWindow
import JSON
import Logging
import MesosModel
import ObjectModel

/// `/api/v1/executor`: what executors say.
struct ExecutorCalls: Sendable {
    /// The longest call in bytes.
    static let maximumBytes = 16 << 20

    let caches: AgentCaches
    let sessions: ExecutorSessions
    let client: ClusterClient
    let statuses: StatusStore
    let reconciler: ExecutorReconciler
    let facts: AgentFacts
    let master: MasterLink
    /// Nil: everybody may call.
    let credentials: WindowCredentials?
    /// Where this machine's own calls may come from, beside loopback.
    let ownAddress: String
    let logger: Logger

    func handle(_ request: WindowRequest) async throws -> WindowResponse {
        guard request.method == "POST" else {
            throw WindowError(405, "Expecting one of { 'POST' }, but received '\(request.method)'")
        }
        guard caches.areSynced else { throw WindowError(503, "Agent has not finished recovery") }
        try admit(request)
        let format = try ContentTypes.ofBody(request)
        let call = try await Messages.decode(
            request.body(limit: Self.maximumBytes), as: "mesos.v1.executor.Call", format: format)
        let key = ExecutorKey(
            framework: call["framework_id"]["value"].string ?? "", executor: call["executor_id"]["value"].string ?? "")
        try authorize(request, key)
        let pod = try await knownPod(of: key)
        switch call["type"].string {
        case "SUBSCRIBE":
            let accepted = try ContentTypes.accepted(request)
            return try await subscribe(key, pod, call["subscribe"], accepted)
        case "UPDATE":
            try expectSession(key, pod)
            try await update(call["update"]["status"], key, pod)
        case "MESSAGE":
            try expectSession(key, pod)
            guard let text = call["message"]["data"].string, let data = Base64.decode(text.utf8) else {
                throw WindowError(400, "Expecting 'message' to be present")
            }
            await master.executorMessage(
                frameworkID: key.framework, agentID: facts.agentID(of: pod), executorID: key.executor, data: data)
        case "HEARTBEAT":
            try expectSession(key, pod)
        case nil, "UNKNOWN":
            throw WindowError(400, "Expecting 'type' to be present")
        case .some(let other):
            throw WindowError(501, "Unknown call \(other)")
        }
        return WindowResponse(202)
    }

    // MARK: Who calls

    /// Refuses before anything is read what cannot be an executor's: a call without proof from another machine.
    ///
    /// An executor proves itself by the token in its environment. Clients that know of no tokens, as pymesos, say
    /// nothing: on this machine the ids of framework and executor are proof enough.
    private func admit(_ request: WindowRequest) throws {
        guard credentials != nil, request.principal == nil, request.header("authorization") == nil else { return }
        let host = request.remoteAddress.lastIndex(of: ":").map { request.remoteAddress[..<$0] } ?? ""
        guard host.hasPrefix("127.") || host == "::1" || host == ownAddress else {
            throw WindowError(401, "an executor needs the token in MESOS_EXECUTOR_AUTHENTICATION_TOKEN")
        }
    }

    private func authorize(_ request: WindowRequest, _ key: ExecutorKey) throws {
        guard let credentials, request.principal == nil, let header = request.header("authorization") else { return }
        let parts = header.split(separator: " ", maxSplits: 1)
        let token = parts.count == 2 && parts[0].lowercased() == "bearer" ? String(parts[1]) : ""
        guard credentials.isValid(executorToken: token, framework: key.framework, executor: key.executor) else {
            throw WindowError(401, "this is not the token of \(key)")
        }
    }

    private func expectSession(_ key: ExecutorKey, _ pod: NodePod) throws {
        guard sessions.session(pod.key, uid: pod.uid) != nil else {
            throw WindowError(403, "Executor is not subscribed")
        }
    }

    // MARK: SUBSCRIBE

    private func subscribe(_ key: ExecutorKey, _ pod: NodePod, _ call: JSON, _ format: MesosFormat) async throws
        -> WindowResponse
    {
        guard let executor = pod.executorInfo, let framework = caches.frameworkInfo(key.framework) else {
            throw WindowError(400, "Framework cannot be found")
        }
        guard !pod.isEnded else { throw WindowError(400, "Executor has terminated") }
        let session = ExecutorSession(key: key, pod: pod, format: format)
        for task in call["unacknowledged_tasks"].elements {
            if let id = task["task_id"]["value"].string { _ = session.launch(id) }
        }
        // What an executor has spoken of, it was given.
        for record in caches.tasksByPod[pod.key] where record.hasHistory { _ = session.launch(record.id) }
        let executorInfo = executor.mergePatched(with: ["framework_id": ["value": .string(key.framework)]])
        session.send(
            ExecutorEvents.subscribed(
                executor: executorInfo, framework: framework, agent: facts.agentInfo(), containerID: pod.uid))
        try await resend(call["unacknowledged_updates"].elements.map { $0["status"] }, session, pod)
        if let old = sessions.put(session) {
            old.send(ExecutorEvents.error("The executor subscribed again"))
            old.close()
            // It may have stopped reading: what it still holds ends then too.
            TimerQueue.shared.schedule(after: .seconds(5)) { old.abort() }
        }
        reconciler.queue.add(.pod(pod.key))
        let records = caches.tasksByPod[pod.key].sorted {
            ($0.created ?? Timestamp(seconds: 0), $0.key) < ($1.created ?? Timestamp(seconds: 0), $1.key)
        }
        for record in records { reconciler.queue.add(.task(record.key, id: record.id, pod: pod.key)) }
        for update in call["unacknowledged_updates"].elements {
            guard let id = update["status"]["task_id"]["value"].string else { continue }
            reconciler.queue.add(.task(taskKey(id, key, pod), id: id, pod: pod.key))
        }
        logger.info("an executor subscribed", metadata: ["executor": "\(key)", "pod": "\(pod.key)"])
        return WindowResponse(200, headers: [("Content-Type", format.contentType)]) {
            [sessions, heartbeat = reconciler.timeouts.heartbeat] writer in
            defer { sessions.remove(session) }
            try await session.stream(to: writer, heartbeat: heartbeat)
        }
    }

    /// Updates that an executor sent before, and got no acknowledgement of.
    private func resend(_ updates: [JSON], _ session: ExecutorSession, _ pod: NodePod) async throws {
        // Updates of a task are acknowledged in order: one that was ends the waiting of those before it.
        var newest: [String: Int] = [:]
        for (index, status) in updates.enumerated() {
            guard let id = status["task_id"]["value"].string, let uuid = status["uuid"].string else { continue }
            if record(id, session.key, pod)?.acknowledged == uuid { newest[id] = index }
        }
        for (index, status) in updates.enumerated() {
            guard let id = status["task_id"]["value"].string, let uuid = status["uuid"].string else { continue }
            if index <= newest[id] ?? -1 {
                session.send(ExecutorEvents.acknowledged(id, uuid: uuid))
            } else {
                try await store(status, session, pod)
            }
        }
    }

    // MARK: UPDATE

    private func update(_ status: JSON, _ key: ExecutorKey, _ pod: NodePod) async throws {
        guard let session = sessions.session(pod.key, uid: pod.uid) else {
            throw WindowError(403, "Executor is not subscribed")
        }
        try await store(status, session, pod)
    }

    private func store(_ sent: JSON, _ session: ExecutorSession, _ pod: NodePod) async throws {
        let status = try checked(sent, session.key, pod)
        guard let id = status["task_id"]["value"].string, let uuid = status["uuid"].string else { return }
        let key = taskKey(id, session.key, pod)
        switch try await statuses.append(status, to: key) {
        case .stored(let revision):
            session.wait(for: uuid, of: id, since: revision)
            reconciler.queue.add(.task(key, id: id, pod: pod.key))
        case .obsolete, .unknown:
            // Nobody waits for it any more: the executor may forget it.
            session.send(ExecutorEvents.acknowledged(id, uuid: uuid))
        }
    }

    /// The status as it is stored, with what the agent knows better than the executor.
    private func checked(_ sent: JSON, _ key: ExecutorKey, _ pod: NodePod) throws -> JSON {
        guard let id = sent["task_id"]["value"].string, MesosIDs.problem(id) == nil else {
            throw WindowError(400, "Expecting 'status.task_id' to be an id")
        }
        guard let state = sent["state"].string else { throw WindowError(400, "Expecting 'status.state' to be present") }
        if state == "TASK_STAGING" { throw WindowError(400, "TASK_STAGING status update is not allowed") }
        guard let text = sent["uuid"].string, let uuid = Base64.decode(text.utf8) else {
            throw WindowError(400, "Expecting 'uuid' to be set")
        }
        guard uuid.count == 16 else { throw WindowError(400, "The 'uuid' has \(uuid.count) bytes instead of 16") }
        if let source = sent["source"].string, source != "SOURCE_EXECUTOR" {
            throw WindowError(400, "Received Call from executor with source '\(source)'")
        }
        if let executor = sent["executor_id"]["value"].string, executor != key.executor {
            throw WindowError(400, "The status names the executor '\(executor)' instead of '\(key.executor)'")
        }
        var status = sent
        status["uuid"] = .string(Base64.encode(uuid))
        status["source"] = "SOURCE_EXECUTOR"
        status["executor_id"] = ["value": .string(key.executor)]
        status["agent_id"] = ["value": .string(facts.agentID(of: pod))]
        if status["timestamp"].double == nil { status["timestamp"] = StatusStore.now }
        // What the executor says of its container goes before what the agent knows of it.
        let told = status["container_status"]
        status["container_status"] = told.isNull ? pod.containerStatus : pod.containerStatus.mergePatched(with: told)
        guard status.encoded().count <= StatusStore.maximumUpdateBytes else {
            throw WindowError(
                400, "The status is longer than the \(StatusStore.maximumUpdateBytes) bytes that are kept")
        }
        return status
    }

    private func record(_ id: String, _ key: ExecutorKey, _ pod: NodePod) -> TaskRecord? {
        caches.tasks[taskKey(id, key, pod)]
    }
    /// The object of a task lives beside its executor's pod.
    private func taskKey(_ id: String, _ key: ExecutorKey, _ pod: NodePod) -> ObjectKey {
        ObjectKey(
            namespace: pod.key.namespace, name: MesosNames.podName(taskID: id, frameworkID: key.framework))
    }
}
