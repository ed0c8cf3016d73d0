import ObjectModel
import Synchronization
import Testing

@testable import Scheduler

@Suite struct InboxTests {
    /// What the waiting task saw; a class, so that both tasks have the same.
    private final class Flag: Sendable {
        let isSet = Atomic<Bool>(false)
    }

    @Test("The end of one wait does not end the next one")
    func waitsDoNotWakeEachOther() async {
        let inbox = Inbox()
        func news() {
            inbox.put(
                .added(NamespaceView(Object(["metadata": ["name": "n"]]))), \.namespaces, key: { $0.name })
        }
        news()
        // Woken by the news; the timer for the far deadline is cancelled.
        await inbox.wait(until: .now + .seconds(600))
        let flag = Flag()
        let next = Task {
            await inbox.wait(until: nil)
            return flag.isSet.load(ordering: .sequentiallyConsistent)
        }
        try? await Task.sleep(for: .milliseconds(100))
        flag.isSet.store(true, ordering: .sequentiallyConsistent)
        news()
        #expect(await next.value, "the second wait ended without news")
    }
}
