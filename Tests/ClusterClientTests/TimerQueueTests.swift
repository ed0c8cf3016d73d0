import ClusterClient
import Synchronization
import Testing

@Suite struct TimerQueueTests {
    @Test("Timers fire in order of their times, cancelled ones never")
    func order() async {
        let queue = TimerQueue.shared
        let fired = Mutex<[Int]>([])
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            queue.schedule(after: .milliseconds(60)) { done.resume() }
            queue.schedule(after: .milliseconds(20)) { fired.withLock { $0.append(2) } }
            let cancelled = queue.schedule(after: .milliseconds(10)) { fired.withLock { $0.append(1) } }
            queue.schedule(after: .zero) { fired.withLock { $0.append(0) } }
            queue.cancel(cancelled)
        }
        #expect(fired.withLock { $0 } == [0, 2])
    }

    @Test("Many cancelled timers are forgotten")
    func cancelled() {
        let queue = TimerQueue.shared
        let before = queue.count
        for _ in 0..<20_000 { queue.cancel(queue.schedule(after: .seconds(3600)) {}) }
        #expect(queue.count <= before + 8)
    }
}
