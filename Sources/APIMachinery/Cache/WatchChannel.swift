public import ClusterClient
public import ObjectModel
import Synchronization

/// Takes the events of a watch where it is told of them, instead of waiting in a task.
public protocol WatchReader: AnyObject, Sendable {
    /// Readers of one lane are told of news together.
    var lane: any WatchLane { get }
    /// Called on the lane when there may be something to take.
    func hasNews()
}

/// A thread, or something like it, that readers of watches live on.
public protocol WatchLane: AnyObject, Sendable {
    /// Calls `hasNews` of each of the readers there. Returns at once.
    func tell(_ readers: [any WatchReader])
}

/// The bounded buffer between a cache and one watcher. The cache appends and never waits; the reader takes all that has
/// gathered at once. A reader that lets the buffer fill is cut off with 410 and lists again.
public final class WatchChannel: Sendable {
    /// What a reader finds.
    public enum Taken: Sendable {
        case events([WatchEvent])
        case nothing
        /// The stream is over in good order.
        case ended
        case failed(StatusError)
    }
    private enum Waiter {
        case task(CheckedContinuation<[WatchEvent]?, any Error>)
        case reader(any WatchReader)
    }
    private struct State {
        var buffer: [WatchEvent] = []
        /// Events at the front of the buffer that do not count against the capacity.
        var uncounted = 0
        /// Somebody appended and is going to wake the reader.
        var isDue = false
        var waiter: Waiter?
        var isFinished = false
        var failure: StatusError?

        mutating func takeBuffer() -> [WatchEvent] {
            defer {
                buffer = []
                uncounted = 0
            }
            return buffer
        }
    }
    private let state = Mutex(State())
    /// Most events that may wait.
    let capacity: Int

    public init(capacity: Int) {
        self.capacity = capacity
    }

    /// What became of an appended event.
    public enum Appended: Sendable {
        /// The reader has to be woken (see `wake`) once everything is appended.
        case first
        /// Somebody who appended before is going to wake the reader.
        case more
        /// The reader was too slow, or is gone.
        case cutOff
    }

    /// Puts in what a watch begins with, which does not count against the capacity.
    func begin(with events: [WatchEvent]) {
        state.withLock { state in
            state.buffer = events
            state.uncounted = events.count
        }
    }

    /// Appends without waking the reader.
    public func append(_ event: WatchEvent) -> Appended {
        state.withLock { state in
            guard !state.isFinished else { return .cutOff }
            state.buffer.append(event)
            if state.buffer.count - state.uncounted > capacity, state.waiter == nil {
                state.isFinished = true
                _ = state.takeBuffer()
                state.failure = .expired("the watch fell behind by more than \(capacity) events")
                return .cutOff
            }
            defer { state.isDue = true }
            return state.isDue ? .more : .first
        }
    }

    /// Wakes the readers of channels that have something for them: those of a lane all at once.
    public static func wake(_ channels: [WatchChannel]) {
        var lanes: [(lane: any WatchLane, readers: [any WatchReader])] = []
        for channel in channels {
            guard let reader = channel.handOver() else { continue }
            let lane = reader.lane
            if let index = lanes.firstIndex(where: { $0.lane === lane }) {
                lanes[index].readers.append(reader)
            } else {
                lanes.append((lane, [reader]))
                lanes[lanes.count - 1].readers.reserveCapacity(channels.count)
            }
        }
        for (lane, readers) in lanes { lane.tell(readers) }
    }

    /// Resumes a task that waits, or names the reader that has to be told.
    private func handOver() -> (any WatchReader)? {
        let (waiter, events) = state.withLock { state -> (Waiter?, [WatchEvent]) in
            state.isDue = false
            guard !state.buffer.isEmpty, let waiter = state.waiter else { return (nil, []) }
            state.waiter = nil
            if case .task = waiter { return (waiter, state.takeBuffer()) }
            // The reader was quick enough until now, so it may take its time with these.
            state.uncounted = state.buffer.count
            return (waiter, [])
        }
        switch waiter {
        case .task(let continuation): continuation.resume(returning: events)
        case .reader(let reader): return reader
        case nil: break
        }
        return nil
    }

    /// Ends the stream; with an error when there is one.
    public func finish(_ failure: StatusError? = nil) {
        let waiter = state.withLock { state -> Waiter? in
            guard !state.isFinished else { return nil }
            state.isFinished = true
            state.failure = failure
            defer { state.waiter = nil }
            if case .task = state.waiter { state.failure = nil }
            return state.waiter
        }
        switch waiter {
        case .task(let continuation):
            if let failure { continuation.resume(throwing: failure) } else { continuation.resume(returning: nil) }
        case .reader(let reader): reader.lane.tell([reader])
        case nil: break
        }
    }

    /// All that has gathered. The reader is told when there is more, unless this says that there never will be.
    public func take(for reader: any WatchReader) -> Taken {
        let (taken, isLast) = state.withLock { state -> (Taken, Bool) in
            if !state.buffer.isEmpty {
                if !state.isFinished { state.waiter = .reader(reader) }
                return (.events(state.takeBuffer()), state.isFinished)
            }
            if let failure = state.failure {
                state.failure = nil
                return (.failed(failure), false)
            }
            if state.isFinished { return (.ended, false) }
            state.waiter = .reader(reader)
            return (.nothing, false)
        }
        // What comes behind the last events is the end.
        if isLast { reader.lane.tell([reader]) }
        return taken
    }

    /// The reader is not told of anything until it takes again.
    public func rest() {
        state.withLock { state in
            if case .reader = state.waiter { state.waiter = nil }
        }
    }

    /// The next events; nil at the end or when the task is cancelled.
    public func next() async throws -> [WatchEvent]? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let ready: Result<[WatchEvent]?, StatusError>? = state.withLock { state in
                    if !state.buffer.isEmpty { return .success(state.takeBuffer()) }
                    if let failure = state.failure {
                        state.failure = nil
                        return .failure(failure)
                    }
                    if state.isFinished || Task.isCancelled { return .success(nil) }
                    state.waiter = .task(continuation)
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
