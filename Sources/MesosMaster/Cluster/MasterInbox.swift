import ClusterClient
import JSON
import ObjectModel
import Synchronization

/// What informers saw and the state has not taken in yet: one entry for each object, the newest.
final class MasterInbox: Sendable {
    struct Contents: Sendable {
        var nodes: [String: MasterNode?] = [:]
        var agents: [String: AgentObject?] = [:]
        var roles: [String: RoleObject?] = [:]
        var namespaces: [String: String?] = [:]
        var maintenance: JSON?
        var pods: [ObjectKey: (pod: MasterPod, isGone: Bool)] = [:]
        var tasks: [ObjectKey: TaskObject?] = [:]
        /// Those of the cluster itself: others come by their own calls.
        var frameworks: [String: FrameworkObject] = [:]

        var isEmpty: Bool {
            nodes.isEmpty && agents.isEmpty && roles.isEmpty && namespaces.isEmpty
                && maintenance == nil && pods.isEmpty && tasks.isEmpty && frameworks.isEmpty
        }
    }
    private struct State {
        var contents = Contents()
        var isPoked = false
        var waiter: CheckedContinuation<Void, Never>?
    }
    private let state = Mutex(State())

    /// Adds what one event says.
    func put(_ change: (inout Contents) -> Void) {
        let waiter = state.withLock { state in
            change(&state.contents)
            state.isPoked = true
            return state.waiter.take()
        }
        waiter?.resume()
    }

    /// Has the reader look again.
    func poke() { put { _ in } }

    /// Takes everything.
    func take() -> Contents {
        state.withLock { state in
            state.isPoked = false
            defer { state.contents = Contents() }
            return state.contents
        }
    }

    /// Returns when there may be something, or the task is cancelled.
    func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if state.isPoked || Task.isCancelled { return true }
                    state.waiter = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiter.take() }?.resume()
        }
    }
}

extension InformerEvent {
    /// The newest version, and whether it is gone.
    var newest: (view: View, isGone: Bool) {
        switch self {
        case .added(let view): (view, false)
        case .modified(_, let view): (view, false)
        case .deleted(let view): (view, true)
        }
    }
}
