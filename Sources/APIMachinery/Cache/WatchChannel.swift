import ClusterClient
import ObjectModel
import Synchronization

/// The bounded buffer between a cache and one watcher. The cache appends and never waits; the reader takes all that has
/// gathered at once. A reader that lets the buffer fill is cut off with 410 and lists again.
final class WatchChannel: Sendable {
    private struct State {
        var buffer: [WatchEvent] = []
        var waiter: CheckedContinuation<[WatchEvent]?, any Error>?
        var isFinished = false
        var failure: StatusError?
    }
    private let state = Mutex(State())
    /// Most events that may wait.
    let capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
    }

    /// Appends without waking the reader (see `wake`). Initial events are not counted against the capacity.
    /// - Returns: false when the reader is cut off.
    func append(_ events: some Sequence<WatchEvent>, isInitial: Bool = false) -> Bool {
        state.withLock { state in
            guard !state.isFinished else { return false }
            state.buffer.append(contentsOf: events)
            guard !isInitial, state.buffer.count > capacity, state.waiter == nil else { return true }
            state.isFinished = true
            state.buffer = []
            state.failure = .expired("the watch fell behind by more than \(capacity) events")
            return false
        }
    }

    func append(_ event: WatchEvent) -> Bool { append(CollectionOfOne(event)) }

    /// Hands what has gathered to a waiting reader.
    func wake() {
        let handed: (CheckedContinuation<[WatchEvent]?, any Error>, [WatchEvent])? = state.withLock { state in
            guard !state.buffer.isEmpty, let waiter = state.waiter else { return nil }
            state.waiter = nil
            defer { state.buffer = [] }
            return (waiter, state.buffer)
        }
        if let (waiter, events) = handed { waiter.resume(returning: events) }
    }

    /// Ends the stream; with an error when there is one.
    func finish(_ failure: StatusError? = nil) {
        let waiter = state.withLock { state -> CheckedContinuation<[WatchEvent]?, any Error>? in
            guard !state.isFinished else { return nil }
            state.isFinished = true
            state.failure = failure
            defer { state.waiter = nil }
            if state.waiter != nil { state.failure = nil }
            return state.waiter
        }
        if let failure { waiter?.resume(throwing: failure) } else { waiter?.resume(returning: nil) }
    }

    /// The next events; nil at the end or when the task is cancelled.
    func next() async throws -> [WatchEvent]? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let ready: Result<[WatchEvent]?, StatusError>? = state.withLock { state in
                    if !state.buffer.isEmpty {
                        defer { state.buffer = [] }
                        return .success(state.buffer)
                    }
                    if let failure = state.failure {
                        state.failure = nil
                        return .failure(failure)
                    }
                    if state.isFinished || Task.isCancelled { return .success(nil) }
                    state.waiter = continuation
                    return nil
                }
                if let ready { continuation.resume(with: ready.mapError { $0 as any Error }) }
            }
        } onCancel: {
            finish()
        }
    }
}

/// Cancels a watch when the stream that holds it goes away.
final class WatchLifetime: Sendable {
    let cancel: @Sendable () -> Void
    init(cancel: @escaping @Sendable () -> Void) {
        self.cancel = cancel
    }
    deinit { cancel() }
}
