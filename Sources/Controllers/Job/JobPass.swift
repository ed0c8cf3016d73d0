import ClusterClient
import JSON
import ObjectModel

/// One pass over one unfinished job.
struct JobPass {
    let job: JobView
    let context: ControllerContext
    let writes: OwnWrites
    let statuses: OwnWrites
    let control: PodControl
    let queue: WorkQueue<ObjectKey>
    let now = Timestamp.now

    private var key: ObjectKey { job.object.key }
    /// Pods that one pass makes at most.
    private static let burst = 500

    /// A pod that ended without success, or is being deleted before it ended. What a suspended job deletes is no
    /// failure.
    private func isFailed(_ pod: PodView) -> Bool {
        if pod.phase == .failed { return true }
        guard pod.isTerminating, pod.phase != .succeeded, !job.isSuspended else { return false }
        // Never bound: no node agent will ever say that it ended.
        return !job.replacesOnlyFailed || pod.nodeName.isEmpty
    }

    /// Held by our finalizer, and its end is not going to be counted.
    private func isUncounted(_ pod: PodView) -> Bool {
        guard pod.object.metadata.finalizers.contains(JobController.finalizer) else { return false }
        if job.isSuspended && pod.isTerminating && !pod.isFinished { return true }
        return isFailed(pod) && JobPlan.policy(job.failureRules, pod: pod.object.tree) == .ignore
    }

    private func index(of pod: PodView) -> Int? {
        pod.object.tree["metadata"]["annotations"][JobController.indexKey].string.flatMap { Int32($0) }.map(Int.init)
    }

    func run() async throws {
        let pods = try await claim().sorted { ($0.created, $0.uid) < ($1.created, $1.uid) }
        let held = pods.filter { $0.object.metadata.finalizers.contains(JobController.finalizer) }
        var status = job.object.tree["status"]
        let failure = count(&status, pods: pods, held: held)

        let active = pods.filter(\.isActive)
        var completed = JobPlan.indexes(status["completedIndexes"].string ?? "")
        for pod in held where pod.phase == .succeeded { if let index = index(of: pod) { completed.insert(index) } }
        let pendingSucceeded = status["uncountedTerminatedPods"]["succeeded"].elements.count
        let succeeded = job.isIndexed ? completed.count : (status["succeeded"].int ?? 0) + pendingSucceeded
        let failed = (status["failed"].int ?? 0) + status["uncountedTerminatedPods"]["failed"].elements.count

        let givenUp = givenUp(pods, status, completed)
        if job.backoffLimitPerIndex != nil {
            status.setMember("failedIndexes", givenUp.isEmpty ? .string("") : .string(JobPlan.text(givenUp)))
        }
        let restarts = active.reduce(0) { sum, pod in
            pod.object.tree["status"]["initContainerStatuses"].elements.reduce(sum + pod.allRestarts) {
                $0 + ($1["restartCount"].int ?? 0)
            }
        }
        var outcome = JobPlan.outcome(
            of: job, succeeded: succeeded, failed: failed, active: active.count, restarts: restarts,
            completed: completed, givenUp: givenUp, policyFailure: failure, now: now)
        if let old = job.conditions["SuccessCriteriaMet"], old["status"].string == "True" {
            outcome = .complete(reason: old["reason"].string ?? "", message: old["message"].string ?? "")
        }
        if case .running = outcome, let old = job.conditions["FailureTarget"], old["status"].string == "True" {
            outcome = .failed(reason: old["reason"].string ?? "", message: old["message"].string ?? "")
        }
        let remaining = try await act(
            outcome, active: active, completed: completed, givenUp: givenUp, succeeded: succeeded, pods: pods)
        write(&status, outcome, pods: pods, remaining: remaining, completed: completed)
        if job.startTime == nil, !job.isSuspended { status["startTime"] = .string(now.rfc3339) }
        if job.isSuspended { status.removeMember("startTime") }
        statuses.wrote(try await context.client.writeStatus(.jobs, job.object, status), for: key)
        // Only after the uids are in the status: a crash in between counts nobody twice and nobody never.
        let counted = uncounted(status)
        try await forEachConcurrently(held.filter { counted.contains($0.uid) }) { [context] pod in
            try await context.client.removeFinalizer(JobController.finalizer, .pods, pod.key, uid: pod.uid)
        }
        if !counted.isEmpty { queue.add(key, after: .milliseconds(50)) }
        scheduleDeadline()
    }

    private func uncounted(_ status: JSON) -> Set<String> {
        let lists = status["uncountedTerminatedPods"]
        return Set((lists["succeeded"].elements + lists["failed"].elements).compactMap(\.string))
    }

    /// Moves uids of pods without the finalizer into the counts, and newly finished ones into the uncounted lists.
    /// - Returns: the message of a failure policy rule that fails the job.
    private func count(_ status: inout JSON, pods: [PodView], held: [PodView]) -> String? {
        let heldUIDs = Set(held.map(\.uid))
        var failure: String?
        for list in ["succeeded", "failed"] {
            let uids = status["uncountedTerminatedPods"][list].elements.compactMap(\.string)
            let done = uids.filter { !heldUIDs.contains($0) }
            if !job.isIndexed || list == "failed" { status.setCount(list, (status[list].int ?? 0) + done.count) }
            var waiting = uids.filter(heldUIDs.contains)
            for pod in held where !waiting.contains(pod.uid) {
                if list == "succeeded" {
                    if pod.phase == .succeeded { waiting.append(pod.uid) }
                } else if isFailed(pod) {
                    switch JobPlan.policy(job.failureRules, pod: pod.object.tree) {
                    case .count, .failIndex: waiting.append(pod.uid)
                    case .ignore: break
                    case .failJob(let message):
                        failure = message
                        waiting.append(pod.uid)
                    }
                }
            }
            status["uncountedTerminatedPods"].setMember(
                list, waiting.isEmpty ? nil : JSON(waiting))
        }
        if status["uncountedTerminatedPods"].isNull { status["uncountedTerminatedPods"] = .object([:]) }
        return failure
    }

    /// Makes or removes pods.
    /// - Returns: the number of active pods after it.
    private func act(
        _ outcome: JobPlan.Outcome, active: [PodView], completed: Set<Int>, givenUp: Set<Int>, succeeded: Int,
        pods: [PodView]
    ) async throws -> Int {
        // Nothing else lets these pods go.
        for pod in pods where isUncounted(pod) {
            try await context.client.removeFinalizer(JobController.finalizer, .pods, pod.key, uid: pod.uid)
        }
        guard case .running = outcome else {
            try await remove(active)
            return 0
        }
        let wanted = JobPlan.wanted(
            of: job, succeeded: succeeded, active: active.count, givenUp: givenUp.subtracting(completed).count)
        if active.count > wanted {
            try await remove(PodRanking.choose(active.count - wanted, of: active, related: active, now: now))
            return wanted
        }
        var missing = wanted - active.count
        if job.replacesOnlyFailed { missing -= pods.count { $0.isTerminating && !$0.isFinished } }
        guard missing > 0 else { return active.count }
        let isPerIndex = job.backoffLimitPerIndex != nil
        if !isPerIndex, waitsAfterFailure(pods) { return active.count }
        let working = pods.filter { !$0.isFinished && !isFailed($0) }
        missing = min(missing, Self.burst)
        // Each index waits for its own failures.
        let own = isPerIndex ? Dictionary(grouping: pods.filter { $0.phase == .failed }) { index(of: $0) ?? -1 } : [:]
        let indexes = freeIndexes(missing, active: working, completed: completed.union(givenUp)) {
            !waitsAfterFailure(own[$0] ?? [])
        }
        let failures = failureCounts(pods)
        let count = job.isIndexed ? indexes.count : missing
        let (made, error) = await slowStart(count) { [control, writes, job, indexes] position in
            var pod = Self.pod(of: job, index: job.isIndexed ? indexes[position] : nil)
            if isPerIndex {
                let count = failures[indexes[position]] ?? 0
                pod["metadata"]["annotations"][Self.failureCountKey] = .string(String(count))
            }
            writes.wrote(try await control.create(pod, for: job.object), for: job.object.key)
        }
        if let error, (error as? StatusError)?.isNamespaceTerminating != true { throw error }
        return active.count + made
    }

    /// How often each index failed. A pod carries the count of those before it.
    private func failureCounts(_ pods: [PodView]) -> [Int: Int] {
        var counts: [Int: Int] = [:]
        for pod in pods where isFailed(pod) {
            guard let index = index(of: pod) else { continue }
            let before = pod.object.tree["metadata"]["annotations"][Self.failureCountKey].string.flatMap { Int($0) }
            let isIgnored = JobPlan.policy(job.failureRules, pod: pod.object.tree) == .ignore
            counts[index] = max(counts[index] ?? 0, (before ?? 0).addingSaturated(isIgnored ? 0 : 1))
        }
        return counts
    }

    /// Indexes that failed more often than they may, or that a rule gave up.
    private func givenUp(_ pods: [PodView], _ status: JSON, _ completed: Set<Int>) -> Set<Int> {
        guard let limit = job.backoffLimitPerIndex, job.isIndexed else { return [] }
        var result = JobPlan.indexes(status["failedIndexes"].string ?? "")
        for (index, count) in failureCounts(pods) where count > limit { result.insert(index) }
        for pod in pods where isFailed(pod) {
            guard let index = index(of: pod),
                JobPlan.policy(job.failureRules, pod: pod.object.tree) == .failIndex
            else { continue }
            result.insert(index)
        }
        return result.subtracting(completed)
    }

    private static let failureCountKey = "batch.kubernetes.io/job-index-failure-count"

    private func freeIndexes(
        _ count: Int, active: [PodView], completed: Set<Int>, where mayStart: (Int) -> Bool
    ) -> [Int] {
        guard job.isIndexed, let completions = job.completions else { return [] }
        let taken = completed.union(active.compactMap(index))
        // There may be billions of them.
        var free: [Int] = []
        for index in 0..<completions where !taken.contains(index) && mayStart(index) {
            free.append(index)
            if free.count >= count { break }
        }
        return free
    }

    private func remove(_ pods: [PodView]) async throws {
        try await forEachConcurrently(pods) { [control, writes, job] pod in
            try await control.delete(pod, for: job.object)
            writes.deleted(pod.key, uid: pod.uid, for: job.object.key)
        }
    }

    /// True while the delay after the last failure runs; the key comes back then.
    private func waitsAfterFailure(_ pods: [PodView]) -> Bool {
        let failures = pods.filter { $0.phase == .failed }
        let last = failures.compactMap { pod -> Timestamp? in
            pod.object.tree["status"]["containerStatuses"].elements.compactMap {
                $0["state"]["terminated"]["finishedAt"].string.flatMap { Timestamp($0) }
            }.max() ?? pod.readyTransition ?? pod.created
        }.max()
        guard let last else { return false }
        let due = last + JobPlan.backoff(failures: failures.count)
        guard due > now else { return false }
        queue.add(key, after: due - now)
        return true
    }

    static func pod(of job: JobView, index: Int?) -> JSON {
        var pod = PodControl.pod(from: job.object.tree["spec"]["template"], owner: job.object)
        pod["metadata"]["finalizers"] = JSON(
            pod["metadata"]["finalizers"].elements.compactMap(\.string) + [JobController.finalizer])
        guard let index else { return pod }
        pod["metadata"]["generateName"] = .string("\(job.object.name)-\(index)-")
        pod["metadata"]["annotations"][JobController.indexKey] = .string(String(index))
        pod["metadata"]["labels"][JobController.indexKey] = .string(String(index))
        pod["spec"]["hostname"] = .string("\(job.object.name)-\(index)")
        let variable: JSON = [
            "name": "JOB_COMPLETION_INDEX",
            "valueFrom": ["fieldRef": ["fieldPath": .string("metadata.labels['\(JobController.indexKey)']")]],
        ]
        for list in ["containers", "initContainers"] {
            let containers = pod["spec"][list].elements
            if containers.isEmpty { continue }
            pod["spec"][list] = .array(
                containers.map { container in
                    var container = container
                    if container["env"].elements.contains(where: { $0["name"] == variable["name"] }) {
                        return container
                    }
                    container["env"] = .array(container["env"].elements + [variable])
                    return container
                })
        }
        return pod
    }

    private func write(
        _ status: inout JSON, _ outcome: JobPlan.Outcome, pods: [PodView], remaining: Int, completed: Set<Int>
    ) {
        let terminating = pods.count { $0.isTerminating && !$0.isFinished }
        status.setCount("active", remaining)
        status["ready"] = JSON(pods.count { $0.isActive && $0.isReady })
        status["terminating"] = JSON(terminating)
        if job.isIndexed {
            status.setMember("completedIndexes", completed.isEmpty ? nil : .string(JobPlan.text(completed)))
            status.setCount("succeeded", completed.count)
        }
        var conditions = job.conditions
        let isSettled = uncounted(status).isEmpty && pods.allSatisfy { $0.isFinished }
        switch outcome {
        case .running:
            if job.isSuspended {
                conditions.set("Suspended", "True", reason: "JobSuspended", message: "Job suspended", now: now)
            } else if conditions.isTrue("Suspended") {
                conditions.set("Suspended", "False", reason: "JobResumed", message: "Job resumed", now: now)
            }
        case .complete(let reason, let message):
            conditions.set("SuccessCriteriaMet", "True", reason: reason, message: message, now: now)
            if isSettled {
                conditions.set("Complete", "True", reason: reason, message: message, now: now)
                status["completionTime"] = .string(now.rfc3339)
                record(.normal, "Completed", "Job completed")
            }
        case .failed(let reason, let message):
            conditions.set("FailureTarget", "True", reason: reason, message: message, now: now)
            if isSettled {
                conditions.set("Failed", "True", reason: reason, message: message, now: now)
                record(.warning, reason, message)
            }
        }
        status.setMember("conditions", conditions.json)
    }

    private func record(_ kind: EventRecorder.Kind, _ reason: String, _ message: String) {
        context.recorder.record(
            EventRecorder.Reference(job.object), kind, reason: reason, message: message,
            component: JobController.component)
    }

    private func scheduleDeadline() {
        guard let deadline = job.activeDeadlineSeconds, !job.isSuspended else { return }
        let due = (job.startTime ?? now) + .seconds(deadline)
        if due > now { queue.add(key, after: due - now + .milliseconds(50)) }
    }
}
