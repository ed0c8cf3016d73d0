import Glibc

/// A bounded queue into a dedicated thread: many tasks put, one thread takes everything that waits at once.
///
/// Taking everything is what makes group commit: while the thread sits in one `fsync`, the next batch gathers here.
final class Mailbox<Element: Sendable>: @unchecked Sendable {
    // `@unchecked`: every field below is read and written only between lock and unlock of `mutex`.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var items: [Element] = []
    private var isClosed = false
    private var isTaking = false
    private let capacity: Int

    /// What became of an element.
    enum PutResult {
        case accepted
        case full
        case closed
    }

    /// - Parameter capacity: at most so many elements wait.
    init(capacity: Int) {
        self.capacity = capacity
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        // Monotonic, so that a jump of the wall clock neither stalls nor spins the thread.
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Queues an element; wakes the thread only when it sleeps.
    func put(_ element: Element) -> PutResult {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        if isClosed { return .closed }
        if items.count >= capacity { return .full }
        items.append(element)
        if isTaking { pthread_cond_signal(condition) }
        return .accepted
    }

    /// Everything that waits, in order of arrival. Sleeps until there is something or the time is over (then empty).
    /// - Returns: nil once the mailbox is closed and empty.
    func take(timeoutMilliseconds: Int) -> [Element]? {
        var deadline = timespec()
        clock_gettime(CLOCK_MONOTONIC, &deadline)
        deadline.tv_sec += timeoutMilliseconds / 1000
        deadline.tv_nsec += timeoutMilliseconds % 1000 * 1_000_000
        if deadline.tv_nsec >= 1_000_000_000 {
            deadline.tv_sec += 1
            deadline.tv_nsec -= 1_000_000_000
        }
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        isTaking = true
        while items.isEmpty, !isClosed {
            if pthread_cond_timedwait(condition, mutex, &deadline) == ETIMEDOUT { break }
        }
        isTaking = false
        if items.isEmpty { return isClosed ? nil : [] }
        let taken = items
        items = []
        items.reserveCapacity(min(taken.count, 256))
        return taken
    }

    /// Refuses further elements; those that wait are still taken.
    func close() {
        pthread_mutex_lock(mutex)
        isClosed = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }
}

/// Runs a body on a new thread of its own, away from the Swift pool, which must never wait for a disk.
/// - Parameter name: shown by `ps -L` and debuggers; at most 15 bytes.
/// - Returns: false when the system has no thread left.
func startThread(named name: String, _ body: @escaping @Sendable () -> Void) -> Bool {
    final class Body: Sendable {
        let name: String
        let run: @Sendable () -> Void
        init(_ name: String, _ run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    let box = Unmanaged.passRetained(Body(name, body))
    var thread = pthread_t()
    let result = pthread_create(
        &thread, &attributes,
        { argument in
            guard let argument else { return nil }
            let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
            nameThread(body.name)
            body.run()
            return nil
        }, box.toOpaque())
    if result != 0 { box.release() }
    return result == 0
}

/// `pthread_setname_np` is hidden from Swift; the kernel takes the name from this file too. Failing is harmless.
private func nameThread(_ name: String) {
    let descriptor = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
    if descriptor < 0 { return }
    let bytes = Array(name.utf8)
    _ = write(descriptor, bytes, bytes.count)
    close(descriptor)
}
