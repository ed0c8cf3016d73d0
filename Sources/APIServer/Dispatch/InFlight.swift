import ObjectModel
import Synchronization

/// How many requests are being handled; long-running ones are not counted.
final class InFlight: Sendable {
    private let reads = Atomic<Int>(0)
    private let writes = Atomic<Int>(0)
    private let maximumReads: Int
    private let maximumWrites: Int

    init(maximumReads: Int, maximumWrites: Int) {
        self.maximumReads = maximumReads
        self.maximumWrites = maximumWrites
    }

    var readCount: Int { reads.load(ordering: .relaxed) }
    var writeCount: Int { writes.load(ordering: .relaxed) }

    /// - Throws: `StatusError` 429 when there are too many.
    func enter(isMutating: Bool) throws(StatusError) {
        let isTooMany =
            if isMutating {
                writes.add(1, ordering: .relaxed).newValue > maximumWrites
            } else {
                reads.add(1, ordering: .relaxed).newValue > maximumReads
            }
        guard isTooMany else { return }
        leave(isMutating: isMutating)
        throw .tooManyRequests("too many requests, please try again later")
    }

    func leave(isMutating: Bool) {
        if isMutating {
            writes.subtract(1, ordering: .relaxed)
        } else {
            reads.subtract(1, ordering: .relaxed)
        }
    }
}
