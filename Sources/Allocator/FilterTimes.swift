/// When filters end: a heap, the earliest first. An entry whose filter is gone does no harm.
struct FilterTimes: Sendable {
    private var heap: [(time: Double, agent: Int)] = []
    private var limit = FilterTimes.least
    private static let least = 4096

    var count: Int { heap.count }

    /// True when many entries may be of filters that are gone.
    var isCrowded: Bool { heap.count > limit }

    /// Keeps only these entries.
    mutating func rebuild(_ entries: [(Double, Int)]) {
        // What is sorted is a heap.
        heap = entries.map { (time: $0.0, agent: $0.1) }.sorted { $0.time < $1.time }
        limit = max(Self.least, heap.count * 2)
    }

    mutating func insert(_ time: Double, agent: Int) {
        heap.append((time, agent))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            if heap[parent].time <= heap[child].time { break }
            heap.swapAt(parent, child)
            child = parent
        }
    }

    /// Takes out one entry that is due; nil when none is.
    mutating func removeFirst(until now: Double) -> Int? {
        guard let first = heap.first, first.time <= now else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && heap[child].time < heap[least].time {
                least = child
            }
            if least == parent { break }
            heap.swapAt(least, parent)
            parent = least
        }
        return first.agent
    }
}
