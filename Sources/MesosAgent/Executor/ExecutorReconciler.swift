import ClusterClient
import JSON
import Logging
import MesosModel
import ObjectModel

/// Keeps executors and their tasks in step with the store: what is to be launched and killed is told to the executor, what
/// was acknowledged too; when an executor dies or never comes its tasks are given their end.
///
/// Level-triggered: every step looks at the objects as they are and may be repeated.
struct ExecutorReconciler: Sendable {
    enum Work: Hashable, Sendable {
        case pod(ObjectKey)
        case task(ObjectKey, id: String, pod: ObjectKey)
    }
    let caches: AgentCaches
    let sessions: ExecutorSessions
    let statuses: StatusStore
    let volumes: TaskVolumes
    let client: ClusterClient
    let timeouts: ExecutorTimeouts
    let began: Timestamp
    let queue = WorkQueue<Work>()
    let logger: Logger

    /// Hears of changes; before the caches run.
    func subscribe() {
        let (queue, caches) = (queue, caches)
        caches.tasks.subscribe { event in
            let record =
                switch event {
                case .added(let record), .modified(_, let record), .deleted(let record): record
                }
            guard caches.isLocal(record) else { return }
            queue.add(.task(record.key, id: record.id, pod: record.pod))
            // The last task's end may be the end of its executor's pod; a new task may have no pod.
            if record.isOver || !record.hasHistory { queue.add(.pod(record.pod)) }
            if case .deleted = event { queue.add(.pod(record.pod)) }
        }
        caches.pods.subscribe { event in
            let pod =
                switch event {
                case .added(let pod), .modified(_, let pod), .deleted(let pod): pod
                }
            if pod.executorInfo != nil { queue.add(.pod(pod.key)) }
        }
        caches.frameworks.subscribe { event in
            guard case .modified(_, let framework) = event else { return }
            for pod in caches.pods.all where pod.executorInfo != nil && pod.frameworkID == framework.name {
                queue.add(.pod(pod.key))
            }
        }
    }

    func run() async {
        await queue.run(workers: 4) { work in
            do {
                switch work {
                case .pod(let key): try await reconcile(pod: key)
                case .task(let key, let id, let pod): try await reconcile(task: key, id: id, pod: pod)
                }
            } catch {
                logger.warning("an executor's work failed; trying again", metadata: ["error": "\(error)"])
                throw error
            }
        }
    }

    // MARK: One task

    func reconcile(task key: ObjectKey, id: String, pod: ObjectKey) async throws {
        let revision = caches.tasks.revision
        let record = caches.tasks[key]
        let session = sessions.session(pod)
        if let session {
            for uuid in session.takeAcknowledged(id, record: record, at: revision) {
                session.send(ExecutorEvents.acknowledged(id, uuid: uuid))
            }
        }
        guard let record, !record.isTerminal else { return }
        guard let session else {
            if record.isKillRequested, !record.hasHistory { try await endUnlaunched(record) }
            return
        }
        if !session.isLaunched(id) {
            if record.isKillRequested, !record.hasHistory { return try await endUnlaunched(record) }
            if !record.group.isEmpty {
                try await launchGroup(of: record, session)
            } else if try await mayLaunch([record]), session.launch(id) {
                session.send(ExecutorEvents.launch(record.info))
            }
        }
        if record.isKillRequested, session.kill(id) {
            session.send(ExecutorEvents.kill(id, policy: record.killPolicy))
        }
    }

    /// Makes the volumes of tasks ready; a task whose volumes cannot be has failed, and those of its group with it.
    private func mayLaunch(_ records: [TaskRecord]) async throws -> Bool {
        guard let first = records.first, let pod = caches.pods[first.pod] else { return false }
        do {
            for record in records { try await volumes.prepare(record.info, in: pod) }
            return true
        } catch let error as MesosError {
            try await end(
                records.filter { !$0.isTerminal }, "TASK_FAILED", reason: "REASON_CONTAINER_UPDATE_FAILED",
                message: error.message, pod: pod)
            return false
        }
    }

    /// Gives an executor a group as a whole, as soon as all of it is there.
    private func launchGroup(of record: TaskRecord, _ session: ExecutorSession) async throws {
        let members = record.group.compactMap { caches.tasks[record.sibling($0)] }
        if members.count < record.group.count {
            let patience = (record.created ?? .now) + timeouts.missingPod
            if Timestamp.now < patience {
                let wait = patience - Timestamp.now + .milliseconds(10)
                return queue.add(.task(record.key, id: record.id, pod: record.pod), after: wait)
            }
        }
        if members.contains(where: { ($0.isKillRequested || $0.isTerminal) && !session.isLaunched($0.id) }),
            !members.contains(where: { session.isLaunched($0.id) })
        {
            return try await endUnlaunched(record)
        }
        guard try await mayLaunch(members) else { return }
        let fresh = session.launch(members.filter { !$0.isTerminal }.map(\.id))
        guard !fresh.isEmpty else { return }
        session.send(ExecutorEvents.launchGroup(members.filter { fresh.contains($0.id) }.map(\.info)))
    }

    /// A task that was killed before any executor was given it; it takes along those of its group.
    private func endUnlaunched(_ record: TaskRecord) async throws {
        // An executor of a process before us may have been given it and be on its way back.
        if let pod = caches.pods[record.pod], !pod.isEnded, mayKnowTasks(pod) { return }
        let others = record.group.compactMap { caches.tasks[record.sibling($0)] }
        let records = [record] + others.filter { $0.key != record.key && !$0.isTerminal && !$0.hasHistory }
        try await end(
            records.filter { !$0.isTerminal }, "TASK_KILLED", reason: "REASON_TASK_KILLED_DURING_LAUNCH",
            message: "The task was killed before its executor was given it", pod: nil)
    }

    /// The executor started before this process and has not subscribed since.
    private func mayKnowTasks(_ pod: NodePod) -> Bool {
        guard let started = pod.containers.first?.startedAt else { return false }
        return started < began && !sessions.isRegistered(pod.uid)
            && Timestamp.now < began + timeouts.reregistration
    }

    // MARK: One executor

    func reconcile(pod key: ObjectKey) async throws {
        let records = caches.tasksByPod[key]
        guard let pod = caches.pods[key] else { return try await reconcileMissing(key, records) }
        guard pod.executorInfo != nil else { return }
        if pod.isEnded || pod.containers.first?.terminated != nil {
            return try await reconcileEnded(pod, records)
        }
        let session = sessions.session(key, uid: pod.uid)
        if pod.isTerminating {
            if let session, session.beginShutdown() { session.send(ExecutorEvents.shutdown) }
            return
        }
        if let framework = pod.frameworkID, caches.isGone(framework: framework) {
            return try await shutdown(pod)
        }
        if let deadline = pod.shutdownDeadline { return try await finishShutdown(pod, deadline) }
        if session == nil { try await expectRegistration(pod, records) }
    }

    /// The executor's pod does not exist: its tasks cannot run.
    private func reconcileMissing(_ key: ObjectKey, _ records: [TaskRecord]) async throws {
        let running = records.filter { !$0.isTerminal }
        guard let oldest = running.compactMap(\.created).min() else { return }
        // Whoever made the task may be about to make the pod, and our caches may be behind.
        let patience = oldest + timeouts.missingPod
        if Timestamp.now < patience {
            return queue.add(.pod(key), after: patience - Timestamp.now + .milliseconds(10))
        }
        if try await client.find(.pods, key) != nil { return queue.add(.pod(key), after: .seconds(1)) }
        for record in running {
            let state = caches.has("PARTITION_AWARE", framework: record.frameworkID) ? "TASK_GONE" : "TASK_LOST"
            try await end(
                [record], state, reason: "REASON_EXECUTOR_TERMINATED", message: "The executor's pod is gone", pod: nil)
        }
    }

    private func reconcileEnded(_ pod: NodePod, _ records: [TaskRecord]) async throws {
        sessions.session(pod.key, uid: pod.uid)?.close()
        let (state, reason, message) = ending(of: pod)
        try await end(records.filter { !$0.isTerminal }, state, reason: reason, message: message, pod: pod)
        // Nothing is left to be told of it: the pod may go.
        if records.allSatisfy(\.isOver) {
            try await remove(pod)
            sessions.forget(pod.uid)
        }
    }

    /// What the end of an executor means for the tasks that it had.
    private func ending(of pod: NodePod) -> (state: String, reason: String, message: String) {
        let terminated = pod.containers.first?.terminated
        if pod.object.tree["status"]["reason"] == "Evicted" {
            let text = pod.object.tree["status"]["message"].string ?? "The executor was evicted"
            return ("TASK_FAILED", TaskProjection.reason(ofEviction: text), text)
        }
        if let terminated {
            if terminated.reason == "OOMKilled" {
                return ("TASK_FAILED", "REASON_CONTAINER_LIMITATION_MEMORY", "Memory limit exceeded")
            }
            if pod.containers.first?.startedAt == nil {
                return (
                    "TASK_FAILED", "REASON_CONTAINER_LAUNCH_FAILED",
                    "The executor did not start: \(terminated.reason) \(terminated.message)"
                )
            }
        }
        if let registration = pod.annotations[Self.failureAnnotation].string {
            return ("TASK_FAILED", registration, Self.explanation(of: registration))
        }
        let message = terminated.map { Self.explanation(exitCode: $0.exitCode) } ?? "Executor terminated"
        return ("TASK_FAILED", "REASON_EXECUTOR_TERMINATED", message)
    }
    private static func explanation(exitCode: Int) -> String {
        exitCode > 128
            ? "Executor terminated by signal \(exitCode - 128)" : "Executor exited with status \(exitCode)"
    }

    /// Annotation of an executor's pod: the reason why the agent ended it.
    static let failureAnnotation = "mesos.apus.dev/failure"
    private static func explanation(of reason: String) -> String {
        switch reason {
        case "REASON_EXECUTOR_REGISTRATION_TIMEOUT": "Executor did not register within the time that it has for that"
        case "REASON_EXECUTOR_REREGISTRATION_TIMEOUT": "Executor did not come back after the agent's restart"
        default: "Executor terminated"
        }
    }

    /// Gives tasks their end.
    private func end(_ records: [TaskRecord], _ state: String, reason: String, message: String, pod: NodePod?)
        async throws
    {
        for record in records {
            let status = statuses.status(of: record, state, reason: reason, message: message, pod: pod)
            _ = try await statuses.append(status, to: record.key)
        }
    }

    // MARK: Registration

    /// An executor that runs must subscribe: within a minute after it began, or soon after this process did.
    private func expectRegistration(_ pod: NodePod, _ records: [TaskRecord]) async throws {
        guard !sessions.isRegistered(pod.uid), let started = pod.containers.first?.startedAt else { return }
        let due = max(started + timeouts.registration, began + timeouts.reregistration)
        let now = Timestamp.now
        if now < due { return queue.add(.pod(pod.key), after: due - now + .milliseconds(10)) }
        let reason =
            records.contains(where: \.hasHistory)
            ? "REASON_EXECUTOR_REREGISTRATION_TIMEOUT" : "REASON_EXECUTOR_REGISTRATION_TIMEOUT"
        logger.warning("an executor does not register", metadata: ["pod": "\(pod.key)", "reason": "\(reason)"])
        try await end(
            records.filter { !$0.isTerminal }, "TASK_FAILED", reason: reason, message: Self.explanation(of: reason),
            pod: pod)
        try await kill(pod, [Self.failureAnnotation: reason])
    }

    // MARK: The end

    /// Tells an executor to end, and ends it when its time for that is over.
    func shutdown(_ pod: NodePod) async throws {
        if let deadline = pod.shutdownDeadline { return try await finishShutdown(pod, deadline) }
        guard let session = sessions.session(pod.key, uid: pod.uid) else { return try await kill(pod) }
        let grace = pod.executorInfo?["shutdown_grace_period"]["nanoseconds"].double.map { $0 / 1e9 }
        let deadline = Double(Timestamp.now.microseconds) / 1e6 + min(max(grace ?? timeouts.shutdownGrace, 0), 86_400)
        try await annotate(pod, [NodePod.shutdownAnnotation: String(deadline)])
        if session.beginShutdown() { session.send(ExecutorEvents.shutdown) }
        queue.add(.pod(pod.key), after: .seconds(1))
    }

    private func finishShutdown(_ pod: NodePod, _ deadline: Double) async throws {
        let session = sessions.session(pod.key, uid: pod.uid)
        if let session, session.beginShutdown() { session.send(ExecutorEvents.shutdown) }
        let left = deadline - Double(Timestamp.now.microseconds) / 1e6
        if left > 0 { return queue.add(.pod(pod.key), after: .milliseconds(Int64(bounded: left * 1000) + 10)) }
        try await kill(pod)
    }

    /// Ends a pod by our will, not somebody's `kubectl delete`.
    func kill(_ pod: NodePod, _ annotations: [String: String] = [:]) async throws {
        var annotations = annotations
        if pod.kill == nil { annotations[MesosNames.killAnnotation] = "The executor was shut down" }
        try await annotate(pod, annotations)
        try await client.delete(.pods, pod.key, options: DeleteOptions(uid: pod.uid))
    }

    /// Removes a pod that has ended, and the finalizer that kept it for its tasks' sake.
    private func remove(_ pod: NodePod) async throws {
        try await client.delete(.pods, pod.key, options: DeleteOptions(uid: pod.uid))
        guard pod.object.metadata.finalizers.contains(MesosNames.statusFinalizer) else { return }
        try await client.modify(.pods, pod.key) { tree in
            guard tree["metadata"]["uid"].string == pod.uid else { return false }
            let left = tree["metadata"]["finalizers"].elements.filter {
                $0.string != MesosNames.statusFinalizer
            }
            guard left.count < tree["metadata"]["finalizers"].elements.count else { return false }
            tree["metadata"]["finalizers"] = .array(left)
            return true
        }
    }

    private func annotate(_ pod: NodePod, _ annotations: [String: String]) async throws {
        if annotations.isEmpty { return }
        try await client.patch(
            .pods, pod.key, .merge,
            ["metadata": ["uid": .string(pod.uid), "annotations": JSON(annotations)]])
    }
}

/// How long the agent waits for executors.
public struct ExecutorTimeouts: Sendable {
    /// For an executor that began to run, until it subscribes.
    public var registration = Duration.seconds(60)
    /// After a restart of the agent, until an executor subscribes again. Clients back off for up to 15 seconds.
    public var reregistration = Duration.seconds(45)
    /// Seconds between SHUTDOWN and the kill, when the ExecutorInfo says none.
    public var shutdownGrace = 5.0
    /// For a task whose executor's pod is not there, until it is lost.
    public var missingPod = Duration.seconds(10)
    /// Between signs of life on an executor's stream.
    public var heartbeat = Duration.seconds(15)
    public init() {}
}
