import ContainerRuntime
import ObjectModel

/// Why a running container is stopped.
enum KillReason: Sendable, Hashable {
    case definitionChanged
    case resized
    case probeFailed(Probe.Kind)
    case hookFailed
    case unknownState
    case sandboxLost
    case podEnds

    /// What follows `Container NAME ` in the Killing event; nil for the plain text.
    var text: String? {
        switch self {
        case .definitionChanged: "definition changed, will be restarted"
        case .resized: "resize requires restart"
        case .probeFailed(let kind): "failed \(kind.rawValue.lowercased()) probe, will be restarted"
        case .hookFailed: "failed post start hook"
        case .unknownState: "is in unknown state, try killing it before restart"
        case .sandboxLost, .podEnds: nil
        }
    }
}

struct ContainerKill: Sendable, Hashable {
    var id: String
    var name: String
    var reason: KillReason
}

/// Everything a decision about a pod depends on.
struct PodSituation: Sendable {
    var pod: Pod
    var runtime: PodRuntime
    var now: Timestamp
    /// Ids of running containers that count as started: hook done, startup probe passed (or there is none).
    var started: Set<String> = []
    /// Ids of running containers whose liveness or startup probe failed for good.
    var failedProbes: [String: Probe.Kind] = [:]
    /// Ids of containers that were stopped in order to be started again, whatever their exit code.
    var mustRestart: Set<String> = []
    var backoff = RestartBackoff()
    /// Containers that could not be made lately, and when to try again.
    var retryAt: [String: Timestamp] = [:]
}

/// The next steps that bring a pod towards its spec. A pure function of the situation: the worker carries the steps
/// out and asks again.
struct PodActions: Sendable, Equatable {
    /// Nothing is left to run: stop what runs, and the sandbox.
    var finish = false
    /// Make a new sandbox first; nothing else is started before it is there.
    var createSandbox = false
    /// Containers to start, in this order.
    var start: [String] = []
    var kill: [ContainerKill] = []
    /// Containers that wait in crash back-off.
    var backingOff: [String] = []
    /// When to look again without being asked.
    var checkAfter: Duration?

    static func decide(_ situation: PodSituation) -> PodActions {
        var actions = PodActions()
        actions.fill(situation)
        return actions
    }

    private mutating func fill(_ situation: PodSituation) {
        let pod = situation.pod
        let runtime = situation.runtime
        guard let sandbox = runtime.sandbox, sandbox.isReady else {
            for record in runtime.running {
                kill.append(ContainerKill(id: record.id, name: record.name, reason: .sandboxLost))
            }
            if wantsSandbox(situation) {
                createSandbox = true
            } else {
                finish = true
            }
            return
        }
        for record in runtime.running where record.sandbox != sandbox.id {
            kill.append(ContainerKill(id: record.id, name: record.name, reason: .sandboxLost))
        }
        for container in pod.spec.ephemeralContainers where runtime.latest(container.name) == nil {
            begin(container, situation)
        }
        let isInitialized = pod.spec.containers.contains { runtime.latest($0.name)?.sandbox == sandbox.id }
        if isInitialized {
            for container in pod.spec.initContainers where container.kind == .sidecar {
                keepRunning(container, situation)
            }
        } else {
            switch initialize(situation, sandbox: sandbox.id) {
            case .done: break
            case .going: return
            case .failed:
                self = PodActions(finish: true)
                return
            }
        }
        var isAlive = false
        for container in pod.spec.containers where keepRunning(container, situation) { isAlive = true }
        if !isAlive { self = PodActions(finish: true) }
    }

    /// Whether anything is left to do that needs a sandbox.
    private func wantsSandbox(_ situation: PodSituation) -> Bool {
        let (pod, runtime) = (situation.pod, situation.runtime)
        if pod.spec.restartPolicy == .never, runtime.sandbox != nil, !runtime.containers.isEmpty,
            !pod.spec.containers.contains(where: { $0.restartPolicy == .always || !$0.restartRules.isEmpty })
        {
            return false
        }
        return pod.spec.containers.contains { container in
            guard let record = runtime.latest(container.name) else { return true }
            if record.isRunning || record.state == .unknown {
                return container.restarts(afterExitCode: 137, podPolicy: pod.spec.restartPolicy)
            }
            return needsStart(container, record, situation)
        }
    }

    private enum Initialization { case done, going, failed }

    private mutating func initialize(_ situation: PodSituation, sandbox: String) -> Initialization {
        let policy = situation.pod.spec.restartPolicy
        for container in situation.pod.spec.initContainers {
            let latest = situation.runtime.latest(container.name)
            let record = latest?.sandbox == sandbox ? latest : nil
            if container.kind == .sidecar {
                keepRunning(container, situation)
                guard let record, record.isRunning, situation.started.contains(record.id) else { return .going }
                continue
            }
            guard let record else {
                begin(container, situation)
                return .going
            }
            switch record.state {
            case .running:
                if isReplaced(container, record, situation) { return .going }
                return .going
            case .exited where record.exitCode == 0:
                continue
            case .exited:
                guard
                    container.restarts(afterExitCode: record.exitCode, podPolicy: policy)
                        || situation.mustRestart.contains(record.id)
                else { return .failed }
                begin(container, situation)
                return .going
            case .created, .unknown:
                begin(container, situation)
                return .going
            }
        }
        return .done
    }

    /// Starts, restarts or replaces one container as its state asks for.
    /// - Returns: false when it ended and stays so.
    @discardableResult
    private mutating func keepRunning(_ container: ContainerSpec, _ situation: PodSituation) -> Bool {
        guard let record = situation.runtime.latest(container.name) else {
            begin(container, situation)
            return true
        }
        switch record.state {
        case .running:
            _ = isReplaced(container, record, situation)
            return true
        case .unknown:
            kill.append(ContainerKill(id: record.id, name: record.name, reason: .unknownState))
            return true
        case .created, .exited:
            guard needsStart(container, record, situation) else { return false }
            begin(container, situation)
            return true
        }
    }

    /// Stops a running container whose image changed or whose probe failed.
    private mutating func isReplaced(
        _ container: ContainerSpec, _ record: ContainerRecord, _ situation: PodSituation
    ) -> Bool {
        if record.hash != container.hash {
            kill.append(ContainerKill(id: record.id, name: record.name, reason: .definitionChanged))
            return true
        }
        if let probe = situation.failedProbes[record.id] {
            kill.append(ContainerKill(id: record.id, name: record.name, reason: .probeFailed(probe)))
            return true
        }
        return false
    }

    private func needsStart(_ container: ContainerSpec, _ record: ContainerRecord, _ situation: PodSituation) -> Bool {
        switch record.state {
        case .created: return true
        case .running, .unknown: return false
        case .exited: break
        }
        if record.hash != container.hash { return true }
        let policy = situation.pod.spec.restartPolicy
        if situation.mustRestart.contains(record.id), (container.restartPolicy ?? policy) != .never { return true }
        return container.restarts(afterExitCode: record.exitCode, podPolicy: policy)
    }

    /// Starts the container, unless its back-off or a recent failure says later.
    private mutating func begin(_ container: ContainerSpec, _ situation: PodSituation) {
        if let at = situation.retryAt[container.name], at > situation.now {
            look(after: at - situation.now)
            return
        }
        if let record = situation.runtime.latest(container.name), record.isExited, record.hash == container.hash,
            let left = situation.backoff.remaining(
                container.backoffKey, event: Timestamp(microseconds: record.finishedAt / 1000), now: situation.now)
        {
            backingOff.append(container.name)
            look(after: left)
            return
        }
        start.append(container.name)
    }

    private mutating func look(after delay: Duration) {
        checkAfter = min(checkAfter ?? delay, delay)
    }
}

extension ContainerSpec {
    /// Back-off belongs to one definition of the container: a new image starts afresh.
    var backoffKey: String { "\(name)/\(hash)" }
}
