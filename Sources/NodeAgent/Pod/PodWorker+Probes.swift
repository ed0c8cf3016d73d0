import ContainerRuntime
import JSON
import ObjectModel

/// One probe of one running container.
struct ProbeKey: Sendable, Hashable {
    var container: String
    var kind: Probe.Kind
}

/// Conditions that tell the newest result of a Mesos task's check: `True` or `False`, with the exit code or HTTP status
/// as the message; and that a task is ended for what its health check found.
private enum CheckCondition {
    /// The newest result of a check; the container's name follows.
    static let prefix = "check.mesos.apus.dev/"
    /// A task that is ended for what its health check found; the container's name follows.
    static let unhealthy = "unhealthy.mesos.apus.dev/"
    static let task = "mesos.apus.dev/task"
    static let group = "mesos.apus.dev/task-group"
}

extension PodWorker {
    /// Starts the probes that should run and ends those that should not.
    func syncProbes() {
        var wanted: [ProbeKey: (Probe, ContainerSpec, ContainerRecord)] = [:]
        for record in runtimeState.containers where record.isRunning && !hookPending.contains(record.id) {
            guard let container = pod.container(named: record.name), record.hash == container.hash else { continue }
            let isStarted = container.startup == nil || startupPassed.contains(record.id)
            for probe in container.probes {
                switch probe.kind {
                case .startup: if isStarted || ending != nil { continue }
                case .liveness: if !isStarted || ending != nil { continue }
                case .readiness: if !isStarted { continue }
                case .check: if ending != nil { continue }
                }
                if probe.kind != .readiness, failedProbes[record.id] != nil { continue }
                wanted[ProbeKey(container: record.id, kind: probe.kind)] = (probe, container, record)
            }
        }
        for (key, task) in probes where wanted[key] == nil {
            task.cancel()
            probes[key] = nil
        }
        guard let address = addresses.pod.first else { return }
        for (key, (probe, container, record)) in wanted where probes[key] == nil {
            let started = Timestamp(microseconds: record.startedAt / 1000)
            let delay = started + probe.initialDelay - .now
            probes[key] = Task { [weak self, prober = context.prober] in
                try? await Task.sleep(for: max(delay, .zero))
                var state = ProbeState(probe)
                var next = ContinuousClock.now
                while !Task.isCancelled {
                    let (outcome, code) = await prober.run(probe, container: container, id: record.id, address: address)
                    if Task.isCancelled { return }
                    var decided: Bool?
                    switch outcome {
                    case .success, .warning: decided = state.record(true)
                    case .failure: decided = state.record(false)
                    case .unknown: break
                    }
                    guard let self else { return }
                    if key.kind != .check { await self.probed(key, container, outcome, decided: decided) }
                    // Without a health check the check is the readiness probe.
                    if key.kind == (container.check == nil ? .readiness : .check) {
                        await self.checked(container, outcome, code)
                    }
                    // Steady beats, but never two at once after a slow one.
                    next = max(next + probe.period, .now)
                    try? await Task.sleep(until: next, clock: .continuous)
                }
            }
        }
    }

    /// Tells what a check of a Mesos task found, for its framework, which is told every result.
    private func checked(_ container: ContainerSpec, _ outcome: ProbeOutcome, _ code: Int?) {
        guard isMesosTask else { return }
        let isSuccess: Bool
        switch outcome {
        case .success, .warning: isSuccess = true
        case .failure: isSuccess = false
        case .unknown: return
        }
        var condition: JSON = [
            "type": .string(CheckCondition.prefix + container.name), "status": isSuccess ? "True" : "False",
        ]
        if let code { condition["message"] = .string(String(code)) }
        tell(condition)
    }

    private var isMesosTask: Bool {
        let annotations = pod.object.tree["metadata"]["annotations"]
        return !annotations[CheckCondition.task].isNull || !annotations[CheckCondition.group].isNull
    }

    private func tell(_ condition: JSON) {
        guard !moreConditions.contains(condition) else { return }
        moreConditions.removeAll { $0["type"] == condition["type"] }
        moreConditions.append(condition)
        wake.yield()
    }

    private func probed(_ key: ProbeKey, _ container: ContainerSpec, _ outcome: ProbeOutcome, decided: Bool?) {
        guard runtimeState[key.container]?.isRunning == true else { return }
        switch outcome {
        case .success: break
        case .warning(let text):
            context.event(
                pod, .warning, "ProbeWarning", "\(key.kind.rawValue) probe warning: \(text)", container: container)
        case .failure(let text):
            context.event(
                pod, .warning, "Unhealthy", "\(key.kind.rawValue) probe failed: \(text)", container: container)
        case .unknown(let text):
            context.event(
                pod, .warning, "Unhealthy",
                "\(key.kind.rawValue) probe errored and resulted in unknown state: \(text)", container: container)
        }
        guard let decided else { return }
        switch (key.kind, decided) {
        case (.startup, true):
            guard startupPassed.insert(key.container).inserted else { return }
        case (.startup, false), (.liveness, false):
            guard failedProbes.updateValue(key.kind, forKey: key.container) == nil else { return }
            if isMesosTask {
                tell(["type": .string(CheckCondition.unhealthy + container.name), "status": "True"])
            }
        case (.liveness, true):
            return
        case (.readiness, true):
            guard readyIDs.insert(key.container).inserted else { return }
        case (.readiness, false):
            guard readyIDs.remove(key.container) != nil else { return }
        case (.check, _): return
        }
        wake.yield()
    }
}
