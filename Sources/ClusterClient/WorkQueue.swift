import DequeModule
import Synchronization

/// A queue of keys to reconcile: a key is in it at most once, is never handled by two workers at a time, and comes back
/// after a growing delay when its handling fails (5 ms doubling to 1000 s, as in client-go).
public final class WorkQueue<Key: Hashable & Sendable>: Sendable {
    private struct State {
        var queue: Deque<Key> = []
        var dirty: Set<Key> = []
        var processing: Set<Key> = []
        var failures: [Key: Int] = [:]
        var waiters: [UInt64: CheckedContinuation<Key?, Never>] = [:]
        var nextWaiter: UInt64 = 0
        var isClosed = false
    }
    private let state = Mutex(State())

    public init() {}

    /// Keys waiting (not those being handled).
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

    /// Adds a key later.
    public func add(_ key: Key, after delay: Duration) {
        Task { [weak self] in
            try? await Task.sleep(for: delay)
            self?.add(key)
        }
    }

    /// Adds a key after the delay its failures have earned.
    public func addRateLimited(_ key: Key) {
        let failures = state.withLock { state in
            state.failures[key, default: 0] += 1
            return state.failures[key, default: 1]
        }
        add(key, after: .milliseconds(min(5 << min(failures - 1, 17), 1_000_000)))
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

    /// Ends all waiting.
    public func close() {
        let waiters = state.withLock { state in
            state.isClosed = true
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume(returning: nil) }
    }

    /// Handles keys with so many workers until the task is cancelled. A handler that throws has its key come back later.
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
}
