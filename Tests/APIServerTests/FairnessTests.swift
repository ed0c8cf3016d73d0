import ObjectModel
import Synchronization
import Testing

@testable import APIServer

private final class Order: Sendable {
    private let list = Mutex<[String]>([])
    var names: [String] { list.withLock { $0 } }
    func add(_ name: String) { list.withLock { $0.append(name) } }
}

@Suite struct FairnessTests {
    @Test("Who floods waits behind themselves, and others take turns with them")
    func turns() async throws {
        let limit = FairLimit(4, waitingPerUser: 8)
        // Three of four places are all that one user gets.
        for _ in 0..<3 { try await limit.enter("flood") }
        let order = Order()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for count in 1...8 {
                group.addTask {
                    try await limit.enter("flood")
                    order.add("flood")
                }
                try await eventually("waiting") { limit.waitingCount == count }
            }
            let refused = await #expect(throws: StatusError.self) { try await limit.enter("flood") }
            #expect(refused?.code == 429 && refused?.retryAfterSeconds == 1)
            try await limit.enter("quiet")
            #expect(limit.runningCount == 4)
            group.addTask {
                try await limit.enter("other")
                order.add("other")
            }
            try await eventually("the other waiting") { limit.waitingCount == 9 }
            // A free place goes to the other: the flood has its share.
            limit.leave("quiet")
            try await eventually("the other's turn") { order.names == ["other"] }
            limit.leave("other")
            #expect(limit.waitingCount == 8)
            for left in (0...7).reversed() {
                limit.leave("flood")
                #expect(limit.waitingCount == left)
            }
            try await group.waitForAll()
        }
        #expect(limit.waitingCount == 0 && order.names.count == 9)
    }

    @Test("A request that is given up leaves the queue")
    func cancellation() async throws {
        let limit = FairLimit(1, waitingPerUser: 8)
        try await limit.enter("a")
        let waiting = Task { try await limit.enter("b") }
        try await eventually("waiting") { limit.waitingCount == 1 }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        #expect(limit.waitingCount == 0)
        limit.leave("a")
        try await limit.enter("b")
        #expect(limit.runningCount == 1)
    }
}
