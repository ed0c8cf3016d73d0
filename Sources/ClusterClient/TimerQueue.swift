import Glibc
import HeapModule
import Synchronization

/// Calls back at given times, from one thread of its own.
///
/// `Task.sleep` keeps a cancelled timer until its time on Linux; whoever sets and cancels timers for every event fills
/// memory with them. Here a cancelled timer costs a heap entry that is swept when there are more of them than of others.
public final class TimerQueue: Sendable {
    /// Names one timer, for `cancel`.
    public struct Ticket: Sendable, Hashable {
        fileprivate var id: UInt64
    }
    private struct Entry: Comparable {
        var due: ContinuousClock.Instant
        var id: UInt64

        static func < (left: Entry, right: Entry) -> Bool { (left.due, left.id) < (right.due, right.id) }
        static func == (left: Entry, right: Entry) -> Bool { left.id == right.id }
    }
    private struct State {
        var heap: Heap<Entry> = []
        var actions: [UInt64: @Sendable () -> Void] = [:]
        var next: UInt64 = 0
        var isRunning = false
        /// What the thread sleeps until; nil: without end.
        var sleepsUntil: ContinuousClock.Instant?
    }
    private let state = Mutex(State())
    /// Posted when the thread must look again.
    private let news: Semaphore

    /// The process's one queue.
    public static let shared = TimerQueue()

    init() {
        news = Semaphore()
    }

    /// Timers that wait.
    public var count: Int { state.withLock { $0.actions.count } }

    /// Calls `action` after a delay, on the timer thread: it must be quick and must not block.
    @discardableResult
    public func schedule(after delay: Duration, _ action: @escaping @Sendable () -> Void) -> Ticket {
        schedule(at: .now + delay, action)
    }

    /// Calls `action` at a time, on the timer thread: it must be quick and must not block.
    @discardableResult
    public func schedule(at due: ContinuousClock.Instant, _ action: @escaping @Sendable () -> Void) -> Ticket {
        let (id, mustStart, mustWake) = state.withLock { state in
            state.next += 1
            let isEarliest = state.sleepsUntil.map { due < $0 } ?? true
            state.actions[state.next] = action
            state.heap.insert(Entry(due: due, id: state.next))
            let mustStart = !state.isRunning
            state.isRunning = true
            return (state.next, mustStart, isEarliest)
        }
        if mustStart { start() }
        if mustWake { news.post() }
        return Ticket(id: id)
    }

    /// Forgets a timer; one that has fired, or is firing, is left alone.
    public func cancel(_ ticket: Ticket) {
        state.withLock { state in
            state.actions[ticket.id] = nil
            guard state.heap.count > 2 * state.actions.count + 1024 else { return }
            let actions = state.actions
            state.heap = Heap(state.heap.unordered.filter { actions[$0.id] != nil })
        }
    }

    // MARK: The thread

    private func start() {
        var thread = pthread_t()
        let owned = Unmanaged.passRetained(self)
        let result = pthread_create(
            &thread, nil,
            { raw in
                if let raw { Unmanaged<TimerQueue>.fromOpaque(raw).takeRetainedValue().serve() }
                return nil
            }, owned.toOpaque())
        precondition(result == 0, "no thread for timers: \(result)")
        pthread_detach(thread)
    }

    private func serve() -> Never {
        while true {
            let now = ContinuousClock.now
            let (due, next): ([@Sendable () -> Void], ContinuousClock.Instant?) = state.withLock { state in
                var due: [@Sendable () -> Void] = []
                while let first = state.heap.min, first.due <= now || state.actions[first.id] == nil {
                    state.heap.removeMin()
                    if let action = state.actions.removeValue(forKey: first.id) { due.append(action) }
                }
                state.sleepsUntil = state.heap.min?.due
                return (due, state.heap.min?.due)
            }
            for action in due { action() }
            if due.isEmpty { news.wait(until: next) }
        }
    }
}

/// A POSIX semaphore that is never destroyed.
private final class Semaphore: @unchecked Sendable {
    // Safe: the functions on it are made to be called from many threads.
    private let pointer: UnsafeMutablePointer<sem_t>

    init() {
        pointer = .allocate(capacity: 1)
        sem_init(pointer, 0, 0)
    }
    deinit {
        sem_destroy(pointer)
        pointer.deallocate()
    }
    func post() { sem_post(pointer) }

    /// Returns when posted, at the time, or earlier.
    func wait(until due: ContinuousClock.Instant?) {
        guard let due else {
            sem_wait(pointer)
            return
        }
        // The semaphore waits by the wall clock, which may be set: never for long.
        let left = min(max(due - .now, .zero), .seconds(5))
        var end = timespec()
        clock_gettime(CLOCK_REALTIME, &end)
        let nanoseconds = Int(end.tv_nsec) + Int(left.components.attoseconds / 1_000_000_000) + 1000
        end.tv_sec += Int(left.components.seconds) + nanoseconds / 1_000_000_000
        end.tv_nsec = nanoseconds % 1_000_000_000
        sem_timedwait(pointer, &end)
    }
}
