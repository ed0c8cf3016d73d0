import DequeModule
import Synchronization

/// Hands committed batches to watchers. Shared by the backends.
///
/// `publish` is called by one thread at a time, in revision order, before the writers learn that they are done: so who
/// has seen an acknowledgement can watch from it. A watcher starts with the events of the ring (or of the backend's
/// history) after its revision and goes on with what is published; registering and publishing exclude each other, which
/// is why there is no gap and no repetition.
final class WatchHub: Sendable {
    /// Reads a page of history `(after, through]`; empty when nothing in it matches. Nil: the ring is all there is.
    typealias History =
        @Sendable (_ prefix: String, _ after: UInt64, _ through: UInt64) async throws(StoreError)
        -> HistoryPage

    /// One step of reading history.
    struct HistoryPage: Sendable {
        var events: [StoreEvent]
        /// The page covers everything up to this revision.
        var through: UInt64
    }

    private struct State {
        var revision: UInt64
        /// Events after this revision can be had, from the ring or from history.
        var floor: UInt64
        var ring: EventRing
        /// Watchers by prefix: events are matched once per distinct prefix.
        var groups: [String: [ObjectIdentifier: Watcher]] = [:]
        var isClosed = false
    }
    private let state: Mutex<State>
    private let history: History?
    private let watcherCapacity: Int

    /// - Parameters:
    ///   - floor: events after it are available from `history` (or will be from the ring).
    ///   - watcherCapacity: events that may wait for one reader; more end its stream.
    init(
        revision: UInt64, floor: UInt64, ringEvents: Int, ringBytes: Int, watcherCapacity: Int, history: History?
    ) {
        let ring = EventRing(floor: revision, maximumEvents: ringEvents, maximumBytes: ringBytes)
        state = Mutex(State(revision: revision, floor: floor, ring: ring))
        self.history = history
        self.watcherCapacity = watcherCapacity
    }

    /// The newest published revision.
    var revision: UInt64 { state.withLock { $0.revision } }
    /// The oldest revision that can be listed or watched from.
    var floor: UInt64 { state.withLock { history == nil ? $0.ring.floor : $0.floor } }

    /// Announces a committed batch.
    func publish(_ batch: [LoggedEvent]) {
        guard let last = batch.last else { return }
        var targets: [(Watcher, [StoreEvent])] = []
        state.withLock { state in
            for event in batch { state.ring.append(event) }
            state.revision = last.event.revision
            for (prefix, watchers) in state.groups {
                let matching = batch.compactMap { $0.event.key.hasKeyPrefix(prefix) ? $0.event : nil }
                if matching.isEmpty { continue }
                for watcher in watchers.values { targets.append((watcher, matching)) }
            }
        }
        for (watcher, events) in targets { watcher.deliver(events) }
    }

    /// Says that history up to a revision is gone.
    func compacted(to revision: UInt64) {
        state.withLock { state in
            state.floor = max(state.floor, revision)
            state.ring.drop(through: revision)
        }
    }

    /// Events of the ring after a revision; nil when the ring does not reach back that far.
    func recent(after revision: UInt64) -> [LoggedEvent]? {
        state.withLock { state in
            revision >= state.ring.floor ? Array(state.ring.events(after: revision)) : nil
        }
    }

    /// A stream of the events after a revision.
    func watch(prefix: String, after revision: UInt64) throws(StoreError) -> StoreWatch {
        let watcher = Watcher(capacity: watcherCapacity)
        let error: StoreError? = state.withLock { state in
            if state.isClosed { return .closed }
            if revision > state.revision { return .futureRevision(current: state.revision) }
            if revision >= state.ring.floor {
                let events = state.ring.events(after: revision)
                    .compactMap { $0.event.key.hasKeyPrefix(prefix) ? $0.event : nil }
                if !events.isEmpty { watcher.deliver(events) }
            } else if history != nil, revision >= state.floor {
                watcher.catchUp(after: revision, through: state.revision)
            } else {
                watcher.end(.compacted(oldest: history == nil ? state.ring.floor : state.floor))
                return nil
            }
            state.groups[prefix, default: [:]][ObjectIdentifier(watcher)] = watcher
            return nil
        }
        if let error { throw error }
        let registration = Registration(hub: self, watcher: watcher, prefix: prefix)
        return StoreWatch { [history] in try await registration.watcher.next(prefix: prefix, history: history) }
    }

    /// Ends all streams with `.closed`.
    func close() {
        let watchers = state.withLock { state in
            state.isClosed = true
            defer { state.groups = [:] }
            return state.groups.values.flatMap(\.values)
        }
        for watcher in watchers { watcher.end(.closed) }
    }

    private func remove(_ watcher: Watcher, prefix: String) {
        state.withLock { state in
            state.groups[prefix]?[ObjectIdentifier(watcher)] = nil
            if state.groups[prefix]?.isEmpty == true { state.groups[prefix] = nil }
        }
    }

    /// Lives as long as the stream; taking the stream away takes the watcher out of the hub.
    private final class Registration: Sendable {
        let hub: WatchHub
        let watcher: Watcher
        let prefix: String
        init(hub: WatchHub, watcher: Watcher, prefix: String) {
            self.hub = hub
            self.watcher = watcher
            self.prefix = prefix
        }
        deinit { hub.remove(watcher, prefix: prefix) }
    }
}

/// One reader's queue: bounded, filled by the publisher, emptied by the stream.
final class Watcher: Sendable {
    private typealias Waiting = CheckedContinuation<Result<[StoreEvent]?, StoreError>, Never>
    private struct State {
        var pending: Deque<[StoreEvent]> = []
        var pendingEvents = 0
        var catchUp: (after: UInt64, through: UInt64)?
        var waiting: Waiting?
        var end: StoreError?
        var isCancelled = false
    }
    private let state = Mutex(State())
    private let capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
    }

    /// Hands over one batch; a reader that is too far behind loses its stream instead of our memory.
    func deliver(_ events: [StoreEvent]) {
        let waiting: Waiting? = state.withLock { state in
            if state.end != nil || state.isCancelled { return nil }
            if let waiting = state.waiting {
                state.waiting = nil
                return waiting
            }
            state.pending.append(events)
            state.pendingEvents += events.count
            if state.pendingEvents > capacity, state.pending.count > 1 {
                state.end = .compacted(oldest: events.last?.revision ?? 0)
                state.pending = []
                state.catchUp = nil
            }
            return nil
        }
        waiting?.resume(returning: .success(events))
    }

    /// Makes the reader start with history.
    func catchUp(after: UInt64, through: UInt64) {
        state.withLock { $0.catchUp = (after, through) }
    }

    /// Ends the stream after what is already queued.
    func end(_ error: StoreError) {
        let waiting = state.withLock { state in
            if state.end == nil { state.end = error }
            defer { state.waiting = nil }
            return state.waiting
        }
        waiting?.resume(returning: .failure(error))
    }

    private enum Step {
        case history(after: UInt64, through: UInt64)
        case ready(Result<[StoreEvent]?, StoreError>)
        case wait
    }

    /// The next batch; nil when the reading task was cancelled.
    func next(prefix: String, history: WatchHub.History?) async throws -> [StoreEvent]? {
        while true {
            let step: Step = state.withLock { state in
                if let catchUp = state.catchUp { return .history(after: catchUp.after, through: catchUp.through) }
                return Self.ready(&state).map(Step.ready) ?? .wait
            }
            switch step {
            case .ready(let result):
                return try result.get()
            case .history(let after, let through):
                guard let history else { return nil }
                let page = try await history(prefix, after, through)
                state.withLock { state in
                    guard state.catchUp != nil else { return }
                    state.catchUp = page.through < through ? (page.through, through) : nil
                }
                if !page.events.isEmpty { return page.events }
            case .wait:
                return try await wait().get()
            }
        }
    }

    private static func ready(_ state: inout State) -> Result<[StoreEvent]?, StoreError>? {
        if let first = state.pending.popFirst() {
            state.pendingEvents -= first.count
            return .success(first)
        }
        if state.isCancelled { return .success(nil) }
        return state.end.map { .failure($0) }
    }

    private func wait() async -> Result<[StoreEvent]?, StoreError> {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready: Result<[StoreEvent]?, StoreError>? = state.withLock { state in
                    if let ready = Self.ready(&state) { return ready }
                    if state.waiting != nil { return .failure(.backend("a watch has one reader, not two")) }
                    state.waiting = continuation
                    return nil
                }
                if let ready { continuation.resume(returning: ready) }
            }
        } onCancel: {
            let waiting = state.withLock { state in
                state.isCancelled = true
                defer { state.waiting = nil }
                return state.waiting
            }
            waiting?.resume(returning: .success(nil))
        }
    }
}
