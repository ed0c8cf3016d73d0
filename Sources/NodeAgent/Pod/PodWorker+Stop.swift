import ClusterClient
import ContainerRuntime
import JSON
import ObjectModel

extension PodWorker {
    /// How long a pod that serves goes on unharmed after its deletion was seen, so that every proxy has taken it out of
    /// rotation before its program hears TERM. It counts into the grace period.
    static var drainDelay: Duration { .milliseconds(750) }
    /// A container always gets this long between TERM and KILL.
    static var minimumGrace: Duration { .seconds(2) }

    // MARK: One container

    /// Stops a container in a task of its own, once.
    func stop(_ kill: ContainerKill) {
        guard kills[kill.id] == nil else { return }
        let container = pod.container(named: kill.name)
        var grace = pod.spec.terminationGracePeriodSeconds
        if case .probeFailed(let kind) = kill.reason {
            let probe = kind == .startup ? container?.startup : container?.liveness
            grace = probe?.terminationGracePeriodSeconds ?? grace
            mustRestart.insert(kill.id)
        }
        if kill.reason == .definitionChanged || kill.reason == .resized { mustRestart.insert(kill.id) }
        let seconds = grace
        kills[kill.id] = Task {
            await self.stopContainer(kill.id, container, reason: kill.reason, grace: .seconds(seconds))
            self.kills[kill.id] = nil
            self.runtimeChanged()
        }
    }

    /// The whole way of one container: event, preStop hook, TERM, KILL.
    private func stopContainer(_ id: String, _ container: ContainerSpec?, reason: KillReason, grace: Duration) async {
        let name = container?.name ?? runtimeState[id]?.name ?? id
        let text = reason.text.map { "Container \(name) \($0)" } ?? "Stopping container \(name)"
        context.event(pod, .normal, "Killing", text, container: container)
        var left = grace
        if let hook = container?.preStop, let container, runtimeState[id]?.isRunning == true, grace > .zero {
            let started = ContinuousClock.now
            let problem = await context.prober.hook(
                hook, container: container, id: id, address: addresses.pod.first ?? "", timeout: grace)
            if let problem {
                context.event(
                    pod, .warning, "FailedPreStopHook", "PreStopHook failed: \(problem)", container: container)
            }
            left = grace - (ContinuousClock.now - started)
        }
        do {
            try await context.runtime.stopContainer(id, grace: max(left, Self.minimumGrace))
        } catch {
            if !Task.isCancelled, error.code != .notFound {
                logger.warning(
                    "a container cannot be stopped", metadata: ["container": "\(name)", "error": "\(error)"])
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    /// A later deletion with less grace than the first.
    func shortenGrace(to seconds: Int) {
        for record in runtimeState.running {
            Task { [context] in
                try? await context.runtime.stopContainer(record.id, grace: max(.seconds(seconds), .seconds(1)))
            }
        }
    }

    // MARK: The pod

    /// Stops everything of the pod; what it leaves is told by the status and, after a deletion, removed.
    func end(_ ending: Ending) async {
        starter?.cancel()
        await starter?.value
        retryAt = [:]
        while !Task.isCancelled {
            await refresh()
            let begin = ContinuousClock.now
            if ending.isDeletion, serves {
                try? await Task.sleep(for: min(Self.drainDelay, .seconds(ending.graceSeconds)))
            }
            await stopContainers(grace: .seconds(ending.graceSeconds) - (ContinuousClock.now - begin))
            await refresh()
            guard runtimeState.running.isEmpty else {
                try? await Task.sleep(for: .milliseconds(200))
                continue
            }
            do {
                let sandboxes = (runtimeState.sandbox.map { [$0.id] } ?? []) + runtimeState.oldSandboxes
                for id in sandboxes { try await context.runtime.stopSandbox(id) }
                volumeTask?.cancel()
                await volumeTask?.value
                try await context.volumes.tearDown(uid: uid, everything: false)
                await context.cgroups.removePod(uid)
                break
            } catch {
                if Task.isCancelled { break }
                logger.warning("the pod cannot be cleaned up yet", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: .seconds(1))
            }
        }
        guard !Task.isCancelled else { return }
        await refresh()
        for task in probes.values { task.cancel() }
        probes = [:]
        volumes = nil
        isStopped = true
        endTask = nil
        wake.yield()
    }

    /// Whether clients may be on their way to this pod: it is ready, and a service selects it.
    private var serves: Bool {
        let conditions = pod.status["conditions"].elements
        let isReady = conditions.contains { $0["type"].string == "Ready" && $0["status"].string == "True" }
        return isReady && context.services.all.contains { $0.selects(pod) }
    }

    /// All containers but sidecars together, then the sidecars in reverse order; the grace is shared.
    private func stopContainers(grace: Duration) async {
        let end = ContinuousClock.now + grace
        let running = runtimeState.running + runtimeState.containers.filter { $0.state == .created }
        let sidecars = pod.spec.initContainers.filter { $0.kind == .sidecar }.map(\.name)
        let main = running.filter { !sidecars.contains($0.name) }
        await withDiscardingTaskGroup { group in
            for record in main {
                let container = pod.container(named: record.name)
                group.addTask { await self.stopContainer(record.id, container, reason: .podEnds, grace: grace) }
            }
        }
        for name in sidecars.reversed() {
            for record in running where record.name == name {
                let left = max(end - .now, .zero)
                await stopContainer(record.id, pod.container(named: name), reason: .podEnds, grace: left)
            }
        }
    }

    /// After the stop of a deleted pod: last status, the API object, then what is left on the node.
    func finishDeletion() async {
        var delay = Duration.milliseconds(200)
        while !Task.isCancelled {
            do {
                if !isGone {
                    try await writeFinalStatus()
                    try await context.client.delete(
                        .pods, pod.key, options: DeleteOptions(gracePeriodSeconds: 0, uid: uid))
                }
                break
            } catch let error as StatusError where error.reason == .conflict || error.reason == .notFound {
                break  // Another pod has the name already.
            } catch {
                if Task.isCancelled { return }
                logger.warning("the deletion cannot be finished yet", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: delay)
                delay = min(delay * 2, .seconds(10))
            }
        }
        while !Task.isCancelled {
            do {
                try await removeFromNode()
                break
            } catch {
                if Task.isCancelled { return }
                logger.warning("what a pod left cannot be removed yet", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: .seconds(2))
            }
        }
        isRemoved = true
        wake.yield()
    }

    private func removeFromNode() async throws {
        for record in runtimeState.containers {
            do {
                try await context.runtime.removeContainer(record.id)
            } catch {
                if error.code != .notFound { throw error }
            }
        }
        for id in (runtimeState.sandbox.map { [$0.id] } ?? []) + runtimeState.oldSandboxes {
            do {
                try await context.runtime.removeSandbox(id)
            } catch {
                if error.code != .notFound { throw error }
            }
        }
        await context.cgroups.removePod(uid)
        try await context.volumes.tearDown(uid: uid, everything: true)
        let logs = context.logs.directory(pod)
        try await blocking { try Files.removeTree(logs) }
    }

    /// Removes containers that are older than the last two of their name, and old sandboxes.
    func prune() async {
        guard ending == nil, starter == nil else { return }
        for record in runtimeState.superfluous {
            guard (try? await context.runtime.removeContainer(record.id)) != nil else { continue }
            generation += 1
            runtimeState[record.id] = nil
            let log = context.logs.path(pod, container: record.name, attempt: record.attempt)
            try? await blocking { try Files.removeTree(log) }
        }
        let containers = runtimeState.containers
        let inUse = Set(containers.map(\.sandbox))
        for id in runtimeState.oldSandboxes where !inUse.contains(id) {
            guard (try? await context.runtime.removeSandbox(id)) != nil else { continue }
            generation += 1
            runtimeState.oldSandboxes.removeAll { $0 == id }
        }
    }
}
