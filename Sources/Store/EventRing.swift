import DequeModule

/// A committed write with what a listing of the past needs besides.
struct LoggedEvent: Sendable {
    var event: StoreEvent
    /// Create revision of the version before; meaningless when `previousRevision` is 0.
    var previousCreate: UInt64

    /// The version before this write; nil when the key was created by it.
    var before: StoredValue? {
        guard event.previousRevision != 0, let previous = event.previous else { return nil }
        return StoredValue(
            key: event.key, value: previous, modRevision: event.previousRevision, createRevision: previousCreate)
    }

    /// Roughly what it holds in memory.
    var bytes: Int { event.key.utf8.count + (event.value?.count ?? 0) + (event.previous?.count ?? 0) + 96 }
}

/// The newest events in memory, bounded by number and bytes. Revisions in it have no gaps, so a revision is an index.
struct EventRing: Sendable {
    private var events: Deque<LoggedEvent> = []
    private var bytes = 0
    private let maximumEvents: Int
    private let maximumBytes: Int
    /// Events after this revision are here.
    private(set) var floor: UInt64

    init(floor: UInt64, maximumEvents: Int, maximumBytes: Int) {
        self.floor = floor
        self.maximumEvents = maximumEvents
        self.maximumBytes = maximumBytes
    }

    /// Appends the next event; the oldest ones give way.
    mutating func append(_ event: LoggedEvent) {
        events.append(event)
        bytes += event.bytes
        while events.count > maximumEvents || (bytes > maximumBytes && events.count > 1) { dropFirst() }
    }

    /// Forgets events up to a revision.
    mutating func drop(through revision: UInt64) {
        while floor < revision, !events.isEmpty { dropFirst() }
        floor = max(floor, revision)
    }

    /// Events after a revision, oldest first.
    /// - Precondition: `revision >= floor`.
    func events(after revision: UInt64) -> Deque<LoggedEvent>.SubSequence {
        let index = min(events.count, Int(revision - floor))
        return events[index...]
    }

    private mutating func dropFirst() {
        let first = events.removeFirst()
        bytes -= first.bytes
        floor = first.event.revision
    }
}
