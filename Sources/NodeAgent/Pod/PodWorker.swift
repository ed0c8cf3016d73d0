import ClusterClient
import ContainerRuntime
import JSON
import Logging
import ObjectModel
import Synchronization

/// Drives one pod to its spec. Woken by changes of the pod, of the runtime, of probes and by timers; every pass reads the
/// situation, decides (`PodActions`) and sets the next steps going. What takes long (starting, stopping, probing,
/// writing status) runs in tasks of its own, at most one of each kind, and wakes the worker when it is through.
///
/// Files: this one holds the state and the pass; `+Runtime` what the runtime says; `+Start` and `+Stop` the long steps;
/// `+Probes`; `+Status`.
actor PodWorker {
    let uid: String
    let context: AgentContext
    let logger: Logger
    /// The newest version known, from the watch or from an own write.
    var pod: Pod
    /// The object is gone from the API.
    var isGone = false
    var rejection: WaitingReason?

    // What the runtime has.
    var runtimeState = PodRuntime()
    /// Grows with every change made here, so that an older answer of the runtime is not taken for a newer one.
    var generation = 0
    var needsRefresh = true
    var isLoaded = false
    private var lastRefresh = ContinuousClock.now

    // Starting.
    var starter: Task<Void, Never>?
    /// The containers that `starter` is for.
    private var starting: Set<String> = []
    var volumes: [String: MountedVolume]?
    var isPrepared = false
    var retryAt: [String: Timestamp] = [:]
    /// Failures in a row of steps before any container: volumes, sandbox.
    var preparationFailures = 0
    var imageBackoff = RestartBackoff()
    var backoff = RestartBackoff()
    var waiting: [String: WaitingReason] = [:]
    var hookPending: Set<String> = []
    var mustRestart: Set<String> = []
    var terminationMessages: [String: String] = [:]

    // Probes.
    var probes: [ProbeKey: Task<Void, Never>] = [:]
    var startupPassed: Set<String> = []
    var readyIDs: Set<String> = []
    var failedProbes: [String: Probe.Kind] = [:]

    // Stopping.
    var kills: [String: Task<Void, Never>] = [:]
    var ending: Ending?
    var endTask: Task<Void, Never>?
    var isStopped = false
    var failure: WaitingReason?
    var moreConditions: [JSON] = []

    // Resizing: what was granted to each container.
    var allocated: [String: ResourceRequirements]
    var resizeTask: Task<Void, Never>?
    var resizeRetryAt: Timestamp?

    // Status.
    var startTime: Timestamp
    var wantedStatus: JSON?
    var writtenStatus: JSON?
    var statusTask: Task<Void, Never>?
    var volumeTask: Task<Void, Never>?

    private var timer: TimerQueue.Ticket?
    private let wakeUps: AsyncStream<Void>
    nonisolated let wake: AsyncStream<Void>.Continuation

    /// Why and how the pod comes to its end.
    struct Ending: Sendable {
        /// The API object is being deleted, or is gone.
        var isDeletion: Bool
        var graceSeconds: Int
    }

    init(pod: Pod, context: AgentContext, rejection: WaitingReason?) {
        uid = pod.uid
        self.pod = pod
        self.context = context
        self.rejection = rejection
        allocated = Resize.allocated(pod)
        var logger = context.logger
        logger[metadataKey: "pod"] = "\(pod.key)"
        self.logger = logger
        startTime = pod.status["startTime"].string.flatMap { Timestamp($0) } ?? .now
        (wakeUps, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        wake.yield()
    }

    // MARK: Input

    /// A newer version of the pod.
    func update(_ newer: Pod) {
        guard newer.object.metadata.resourceVersion > pod.object.metadata.resourceVersion else { return }
        let hadReferences = pod.references
        pod = newer
        if newer.references != hadReferences { useReferences() }
        wake.yield()
    }
    /// The object is gone: stop what is left.
    func vanish() {
        isGone = true
        wake.yield()
    }
    /// The node cannot bear the pod any more: it fails and its containers are stopped at once.
    func evict(_ message: String) {
        guard ending == nil, !isGone, !pod.isTerminating, !pod.isFinished else { return }
        failure = WaitingReason(reason: "Evicted", message: message)
        moreConditions.removeAll { $0["type"].string == "DisruptionTarget" }
        moreConditions.append([
            "type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet",
            "message": .string(message),
        ])
        context.event(pod, .warning, "Evicted", message)
        ending = Ending(isDeletion: false, graceSeconds: 1)
        wake.yield()
    }
    /// Something changed in the runtime.
    func runtimeChanged() {
        needsRefresh = true
        wake.yield()
    }
    /// A config map or secret that the pod names changed: what waited for it need not wait longer.
    func referencesChanged() {
        retryAt = retryAt.filter { $0.key.hasPrefix("image/") }
        if isPrepared || volumes != nil { refreshVolumes() }
        wake.yield()
    }
    /// What was seen in a list of the runtime: a hint to look again when it differs from what is known.
    func observe(containers: [String: ContainerState], sandboxReady: Bool?) {
        let known = Dictionary(runtimeState.containers.map { ($0.id, $0.state) }, uniquingKeysWith: { $1 })
        guard known != containers || (sandboxReady != nil && sandboxReady != runtimeState.sandbox?.isReady) else {
            return
        }
        runtimeChanged()
    }
    func useReferences() {
        context.cache.use(pod.references, by: uid) { [weak self] in
            Task { await self?.referencesChanged() }
        }
    }

    // MARK: The loop

    /// Works until the pod is gone from node and API, or the task is cancelled (then all that runs keeps running).
    func run() async {
        useReferences()
        for await _ in wakeUps {
            if Task.isCancelled { break }
            if await pass() { break }
        }
        if let timer { TimerQueue.shared.cancel(timer) }
        volumeTask?.cancel()
        resizeTask?.cancel()
        for task in probes.values { task.cancel() }
        if Task.isCancelled {
            starter?.cancel()
            statusTask?.cancel()
            endTask?.cancel()
        }
        context.cache.release(uid)
    }

    /// One look at everything.
    /// - Returns: true when nothing is left to do for this pod, ever.
    private func pass() async -> Bool {
        if needsRefresh {
            // While containers are being started most news are our own doing and known already.
            let since = ContinuousClock.now - lastRefresh
            if isLoaded, starter != nil, since < .milliseconds(300) {
                check(after: .milliseconds(300) - since)
            } else {
                lastRefresh = .now
                await refresh()
            }
        }
        guard isLoaded else {
            check(after: .seconds(1))
            return false
        }
        settleEnding()
        if let ending {
            if endTask == nil, !isStopped {
                endTask = Task { await self.end(ending) }
            } else if isStopped, ending.isDeletion {
                if endTask == nil { endTask = Task { await self.finishDeletion() } }
                return isRemoved
            }
        } else {
            syncResize()
            act(PodActions.decide(situation()))
        }
        syncProbes()
        publishStatus()
        return false
    }
    var isRemoved = false

    private func situation() -> PodSituation {
        PodSituation(
            pod: pod, runtime: runtimeState, now: .now, started: startedIDs, failedProbes: failedProbes,
            mustRestart: mustRestart, backoff: backoff, retryAt: retryAt)
    }
    /// Running containers that count as started.
    var startedIDs: Set<String> {
        var result: Set<String> = []
        for record in runtimeState.containers where record.isRunning && !hookPending.contains(record.id) {
            if pod.container(named: record.name)?.startup == nil || startupPassed.contains(record.id) {
                result.insert(record.id)
            }
        }
        return result
    }

    /// Finds out whether the pod has come to its end.
    private func settleEnding() {
        if isGone || pod.isTerminating {
            let grace = pod.graceSeconds
            if ending?.isDeletion != true {
                ending = Ending(isDeletion: true, graceSeconds: grace)
            } else if let current = ending?.graceSeconds, grace < current, !isStopped {
                ending?.graceSeconds = grace
                shortenGrace(to: grace)
            }
            return
        }
        guard ending == nil else { return }
        if let rejection {
            failure = rejection
            ending = Ending(isDeletion: false, graceSeconds: 0)
        } else if pod.isFinished {
            ending = Ending(isDeletion: false, graceSeconds: pod.spec.terminationGracePeriodSeconds)
        } else if let deadline = pod.spec.activeDeadlineSeconds {
            let left = startTime + .seconds(deadline) - .now
            if left <= .zero {
                failure = WaitingReason(
                    reason: "DeadlineExceeded",
                    message: "Pod was active on the node longer than the specified deadline")
                context.event(pod, .normal, "DeadlineExceeded", failure?.message ?? "")
                ending = Ending(isDeletion: false, graceSeconds: pod.spec.terminationGracePeriodSeconds)
            } else {
                check(after: left)
            }
        }
    }

    private func act(_ actions: PodActions) {
        if actions.finish {
            guard starter == nil else { return }
            ending = Ending(isDeletion: false, graceSeconds: pod.spec.terminationGracePeriodSeconds)
            wake.yield()
            return
        }
        for kill in actions.kill { stop(kill) }
        // A start notes its own back-off before it is done: what is being started does not wait.
        for name in actions.backingOff where !starting.contains(name) { noteBackoff(name) }
        settleImageBackoff()
        if let delay = actions.checkAfter { check(after: delay) }
        guard starter == nil, actions.createSandbox || !actions.start.isEmpty else { return }
        if let at = retryAt["pod"], at > .now {
            check(after: at - .now)
            return
        }
        starting = Set(actions.start)
        starter = Task {
            await self.start(actions)
            self.starterEnded()
        }
    }
    private func starterEnded() {
        starter = nil
        starting = []
        wake.yield()
    }

    /// Wakes the worker after a delay; the earliest wish wins, later ones are wished again by the next pass.
    func check(after delay: Duration) {
        let at = ContinuousClock.now + delay
        if let nextCheck, nextCheck <= at, nextCheck > .now { return }
        nextCheck = at
        if let timer { TimerQueue.shared.cancel(timer) }
        timer = TimerQueue.shared.schedule(at: at) { [wake] in wake.yield() }
    }
    private var nextCheck: ContinuousClock.Instant?

    private func noteBackoff(_ name: String) {
        guard let container = pod.container(named: name) else { return }
        let place = "\(name) in pod \(pod.name)_\(pod.namespace)(\(uid))"
        let delay = backoff.delay(container.backoffKey).goText
        let reason = WaitingReason(
            reason: "CrashLoopBackOff",
            message: "back-off \(delay) restarting failed container=\(name) pod=\(pod.name)_\(pod.namespace)(\(uid))")
        guard waiting[name] != reason else { return }
        waiting[name] = reason
        context.event(pod, .warning, "BackOff", "Back-off restarting failed container \(place)", container: container)
    }

    /// A failed pull is shown as such for a moment, then as waiting for the next try.
    private func settleImageBackoff() {
        for (name, reason) in waiting where reason.reason == "ErrImagePull" {
            guard let container = pod.container(named: name), let shown = imageFailedAt[name] else { continue }
            let left = shown + .seconds(2) - .now
            if left > .zero {
                check(after: left)
                continue
            }
            waiting[name] = WaitingReason(
                reason: "ImagePullBackOff",
                message: "Back-off pulling image \"\(container.image)\": ErrImagePull: \(reason.message)")
            context.event(
                pod, .normal, "BackOff", "Back-off pulling image \"\(container.image)\"", container: container)
            context.event(pod, .warning, "Failed", "Error: ImagePullBackOff", container: container)
        }
    }
    var imageFailedAt: [String: Timestamp] = [:]

    func refreshVolumes() {
        guard volumeTask == nil, ending == nil, volumes != nil || isLoaded && !runtimeState.containers.isEmpty else {
            return
        }
        volumeTask = Task {
            do {
                try await context.volumes.refresh(pod, fields: context.fields(pod, addresses))
            } catch is CancellationError {
            } catch {
                context.event(pod, .warning, "FailedMount", "\(error)")
            }
            volumeTask = nil
        }
    }

    var addresses: PodAddresses {
        let host = [context.configuration.nodeIP]
        return PodAddresses(pod: pod.spec.hostNetwork ? host : runtimeState.sandbox?.addresses ?? [], host: host)
    }
}
