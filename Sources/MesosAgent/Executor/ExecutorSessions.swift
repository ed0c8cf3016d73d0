import ObjectModel
import Synchronization

/// The executors that are connected, by their pods.
final class ExecutorSessions: Sendable {
    private struct State {
        var open: [ObjectKey: ExecutorSession] = [:]
        /// Pods (by uid) whose executor has subscribed since this process began.
        var registered: Set<String> = []
    }
    private let state = Mutex(State())

    /// Puts a new stream in the place of the old one.
    /// - Returns: the old one.
    func put(_ session: ExecutorSession) -> ExecutorSession? {
        state.withLock { state in
            state.registered.insert(session.podUID)
            return state.open.updateValue(session, forKey: session.pod)
        }
    }
    /// Forgets a stream unless another took its place.
    func remove(_ session: ExecutorSession) {
        state.withLock { state in
            if state.open[session.pod] === session { state.open[session.pod] = nil }
        }
    }
    func session(_ pod: ObjectKey, uid: String? = nil) -> ExecutorSession? {
        state.withLock { state in
            guard let session = state.open[pod], session.isOpen, uid == nil || session.podUID == uid else { return nil }
            return session
        }
    }
    func isRegistered(_ podUID: String) -> Bool { state.withLock { $0.registered.contains(podUID) } }
    func forget(_ podUID: String) { state.withLock { _ = $0.registered.remove(podUID) } }
    var count: Int { state.withLock { $0.open.count } }
    /// Ends all streams: their executors come back to whoever serves then.
    func closeAll() {
        let all = state.withLock { state in
            defer { state.open = [:] }
            return Array(state.open.values)
        }
        for session in all { session.abort() }
    }
}
