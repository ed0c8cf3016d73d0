import DequeModule
import HeapModule
import Synchronization

/// A queue of keys to reconcile: a key is in it at most once, is never handled by two workers at a time, and comes back
/// after a growing delay when its handling fails (5 ms doubling to 1000 s, as in client-go).
///
/// Delayed keys wait in one heap behind one timer, however many there are: a node outage delays a hundred thousand
/// pods.
public final class WorkQueue<Key: Hashable & Sendable>: Sendable {
    /// A key that becomes due. Entries whose time differs from `State.delayed` were overtaken and are skipped.
    private struct Delayed: Comparable {
        var due: ContinuousClock.Instant
        var order: UInt64
        var key: Key

        static func < (left: Delayed, right: Delayed) -> Bool {
            (left.due, left.order) < (right.due, right.order)
        }
        static func == (left: Delayed, right: Delayed) -> Bool {
            left.due == right.due && left.order == right.order
        }
    }
    private struct State {
        var queue: Deque<Key> = []
        var dirty: Set<Key> = []
        var processing: Set<Key> = []
        var failures: [Key: Int] = [:]
        var waiters: [UInt64: CheckedContinuation<Key?, Never>] = [:]
        var nextWaiter: UInt64 = 0
        var heap: Heap<Delayed> = []
        var delayed: [Key: ContinuousClock.Instant] = [:]
        var order: UInt64 = 0
        var timer: (due: ContinuousClock.Instant, ticket: TimerQueue.Ticket)?
        var isClosed = false
    }
    private let state = Mutex(State())

    public init() {}

    deinit {
        if let timer = state.withLock({ $0.timer }) { TimerQueue.shared.cancel(timer.ticket) }
    }

    /// Keys waiting (not those being handled, nor the delayed ones).
    public var count: Int { state.withLock { $0.queue.count } }

    /// Adds a key unless it waits already; one that is being handled now is handled again afterwards.
    public func add(_ key: Key) {
        let (waiter, handed): (CheckedContinuation<Key?, Never>?, Key?) = state.withLock { state in
            guard !state.isClosed, state.dirty.insert(key).inserted else { return (nil, nil) }
            if state.processing.contains(key) { return (nil, nil) }
            if let id = state.waiters.keys.min(), let waiter = state.waiters.removeValue(forKey: id) {
                state.dirty.remove(key)
                state.processing.insert(key)
                return (waiter, key)
            }
            state.queue.append(key)
            return (nil, nil)
        }
        waiter?.resume(returning: handed)
    }

    /// Adds a key later; when it waits for an earlier time already, that time stays.
    public func add(_ key: Key, after delay: Duration) {
        guard delay > .zero else { return add(key) }
        let due = ContinuousClock.now + delay
        state.withLock { state in
            guard !state.isClosed else { return }
            if let known = state.delayed[key], known <= due { return }
            state.delayed[key] = due
            state.order += 1
            state.heap.insert(Delayed(due: due, order: state.order, key: key))
            arm(&state)
        }
    }

    /// Adds a key after the delay its failures have earned.
    public func addRateLimited(_ key: Key) {
        let failures = state.withLock { state in
            state.failures[key, default: 0] += 1
            return state.failures[key, default: 1]
        }
        add(key, after: .milliseconds(min(5 << min(failures - 1, 18), 1_000_000)))
    }

    /// Ends the growth of the key's delay.
    public func forget(_ key: Key) {
        state.withLock { _ = $0.failures.removeValue(forKey: key) }
    }

    /// The next key; nil when the queue is closed or the task is cancelled. Call `done` when it is handled.
    public func next() async -> Key? {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready: Key?? = state.withLock { state in
                    if state.isClosed || Task.isCancelled { return .some(nil) }
                    guard let key = state.queue.popFirst() else {
                        state.waiters[id] = continuation
                        return nil
                    }
                    state.dirty.remove(key)
                    state.processing.insert(key)
                    return .some(key)
                }
                if let ready { continuation.resume(returning: ready) }
            }
        } onCancel: {
            let waiter = state.withLock { $0.waiters.removeValue(forKey: id) }
            waiter?.resume(returning: nil)
        }
    }

    /// Says that a key from `next` is handled.
    public func done(_ key: Key) {
        let again = state.withLock { state in
            state.processing.remove(key)
            return state.dirty.remove(key) != nil
        }
        if again { add(key) }
    }

    /// Ends all waiting; keys added later are dropped.
    public func close() {
        let (waiters, timer) = state.withLock { state in
            state.isClosed = true
            defer {
                state.waiters = [:]
                state.heap = []
                state.delayed = [:]
                state.timer = nil
            }
            return (Array(state.waiters.values), state.timer?.ticket)
        }
        if let timer { TimerQueue.shared.cancel(timer) }
        for waiter in waiters { waiter.resume(returning: nil) }
    }

    /// Handles keys with so many workers until the task is cancelled. A handler that throws has its key come back
    /// later.
    public func run(workers: Int, _ handle: @escaping @Sendable (Key) async throws -> Void) async {
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<workers {
                group.addTask {
                    while let key = await self.next() {
                        do {
                            try await handle(key)
                            self.forget(key)
                        } catch {
                            self.addRateLimited(key)
                        }
                        self.done(key)
                    }
                }
            }
        }
    }

    // MARK: The timer

    /// Makes the timer wake for the earliest delayed key.
    private func arm(_ state: inout State) {
        guard let next = state.heap.min else { return }
        if let timer = state.timer {
            if timer.due <= next.due { return }
            TimerQueue.shared.cancel(timer.ticket)
        }
        let due = next.due
        state.timer = (due, TimerQueue.shared.schedule(at: due) { [weak self] in self?.fire(due) })
    }

    private func fire(_ due: ContinuousClock.Instant) {
        let now = ContinuousClock.now
        let keys: [Key] = state.withLock { state in
            if state.timer?.due == due { state.timer = nil }
            var keys: [Key] = []
            while let first = state.heap.min, first.due <= now {
                state.heap.removeMin()
                guard state.delayed[first.key] == first.due else { continue }
                state.delayed.removeValue(forKey: first.key)
                keys.append(first.key)
            }
            arm(&state)
            return keys
        }
        for key in keys { add(key) }
    }
}
