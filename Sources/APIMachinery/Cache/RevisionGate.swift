import ObjectModel
import Synchronization

/// How far the caches have come, and who waits for them to come further.
final class RevisionGate: Sendable {
    private struct Waiter {
        var revision: Revision
        var continuation: CheckedContinuation<Bool, Never>
    }
    private struct State {
        var applied: Revision = 0
        var waiters: [UInt64: Waiter] = [:]
        var nextID: UInt64 = 0
        var isClosed = false
    }
    private let state = Mutex(State())

    /// Every write up to this revision is visible in every cache.
    var applied: Revision { state.withLock { $0.applied } }

    func advance(to revision: Revision) {
        let ready = state.withLock { state -> [CheckedContinuation<Bool, Never>] in
            state.applied = max(state.applied, revision)
            guard !state.waiters.isEmpty else { return [] }
            let ids = state.waiters.filter { $0.value.revision <= state.applied }.map(\.key)
            return ids.compactMap { state.waiters.removeValue(forKey: $0)?.continuation }
        }
        for continuation in ready { continuation.resume(returning: true) }
    }

    /// Returns when the revision is visible; false when the time is up, or the gate is closed.
    func wait(for revision: Revision, timeout: Duration? = nil) async -> Bool {
        let id: UInt64? = state.withLock { state in
            if state.applied >= revision { return nil }
            state.nextID += 1
            return state.nextID
        }
        guard let id else { return true }
        let timer = timeout.map { timeout in
            Task {
                try await Task.sleep(for: timeout)
                let late = self.state.withLock { $0.waiters.removeValue(forKey: id)?.continuation }
                late?.resume(returning: false)
            }
        }
        defer { timer?.cancel() }
        return await withCheckedContinuation { continuation in
            let ready: Bool? = state.withLock { state in
                if state.applied >= revision { return true }
                if state.isClosed { return false }
                state.waiters[id] = Waiter(revision: revision, continuation: continuation)
                return nil
            }
            if let ready { continuation.resume(returning: ready) }
        }
    }

    /// Ends all waiting; nothing will come any more.
    func close() {
        let all = state.withLock { state in
            state.isClosed = true
            defer { state.waiters = [:] }
            return state.waiters.values.map(\.continuation)
        }
        for continuation in all { continuation.resume(returning: false) }
    }
}
