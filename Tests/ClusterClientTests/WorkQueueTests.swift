import ClusterClient
import Synchronization
import Testing

@Suite struct WorkQueueTests {
    @Test("A key waits once, and one that changes while it is handled is handled again")
    func deduplicates() async {
        let queue = WorkQueue<String>()
        queue.add("a")
        queue.add("a")
        #expect(queue.count == 1)
        #expect(await queue.next() == "a")
        queue.add("a")
        #expect(queue.count == 0)
        queue.done("a")
        #expect(await queue.next() == "a")
    }

    @Test("Delayed keys come in the order of their times; the earlier of two times counts")
    func delays() async {
        let queue = WorkQueue<String>()
        queue.add("late", after: .milliseconds(60))
        queue.add("never", after: .seconds(3600))
        queue.add("early", after: .milliseconds(20))
        queue.add("late", after: .seconds(3600))
        #expect(await queue.next() == "early")
        #expect(await queue.next() == "late")
        queue.close()
        #expect(await queue.next() == nil)
    }

    @Test("A failing key comes back, and cancellation ends all workers")
    func retries() async {
        let queue = WorkQueue<Int>()
        let attempts = Counter()
        struct Failure: Error {}
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await queue.run(workers: 3) { _ in
                    let count = attempts.next()
                    if count < 4 { throw Failure() }
                    queue.close()
                }
            }
            queue.add(7)
        }
        #expect(attempts.next() == 5)
    }
}

private final class Counter: Sendable {
    private let value = Mutex(0)
    func next() -> Int {
        value.withLock {
            $0 += 1
            return $0
        }
    }
}
