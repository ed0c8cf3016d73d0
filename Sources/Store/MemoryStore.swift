import Synchronization

/// A store that forgets everything when the process ends: for tests and simulation. Same semantics as `SQLiteStore`.
public final class MemoryStore: Store {
    private struct Entry {
        var value: StoredValue
        /// Milliseconds since 1970; nil: never.
        var expires: Int64?
    }
    private struct State {
        var entries: [String: Entry] = [:]
        /// Keys in byte order; nil after a key came or went.
        var order: [String]?
        var expiring: Set<String> = []
        var revision: UInt64 = 1
        var isClosed = false
        var expirer: Mailbox<Never>?
    }
    private let state = Mutex(State())
    private let hub: WatchHub
    private let clock: @Sendable () -> Int64

    /// An empty store at revision 1.
    /// - Parameters:
    ///   - historyEvents: revisions that can be listed and watched from.
    ///   - watcherEvents: events that may wait for one watcher before its stream ends with `.compacted`.
    ///   - clock: milliseconds since 1970, for expiry.
    public init(
        historyEvents: Int = 100_000, watcherEvents: Int = 20_000,
        clock: @escaping @Sendable () -> Int64 = { StoreClock.wall() }
    ) {
        hub = WatchHub(
            revision: 1, floor: 1, ringEvents: historyEvents, ringBytes: 256 << 20, watcherCapacity: watcherEvents,
            history: nil)
        self.clock = clock
    }

    deinit { state.withLock { $0.expirer }?.close() }

    /// See `Store.currentRevision`.
    public func currentRevision() async throws(StoreError) -> UInt64 { hub.revision }

    /// See `Store.get`.
    public func get(_ key: String) async throws(StoreError) -> StoredValue? {
        try state.withLock { state throws(StoreError) in
            if state.isClosed { throw .closed }
            return state.entries[key]?.value
        }
    }

    /// See `Store.list`.
    public func list(prefix: String, after: String?, limit: Int?, revision: UInt64?) async throws(StoreError)
        -> StoreListing
    {
        let range = KeyRange(prefix: prefix, after: after)
        return try state.withLock { state throws(StoreError) in
            if state.isClosed { throw .closed }
            let at = revision ?? state.revision
            if at > state.revision { throw .futureRevision(current: state.revision) }
            guard let later = hub.recent(after: at) else { throw .compacted(oldest: hub.floor) }
            var past: [String: StoredValue?] = [:]
            for event in later where range.contains(event.event.key) && past[event.event.key] == nil {
                past.updateValue(event.before, forKey: event.event.key)
            }
            let order = state.order ?? state.entries.keys.sorted(by: String.keyOrder)
            state.order = order
            var keys = order[order.partition(from: range.lower)...]
            if !past.isEmpty {
                let present = Set(keys)
                let gone = past.keys.filter { !present.contains($0) }
                keys = (keys + gone).sorted(by: String.keyOrder)[...]
            }
            var listing = StoreListing(values: [], revision: at, hasMore: false)
            for key in keys {
                guard range.contains(key) else { break }
                guard let value = past[key] ?? state.entries[key]?.value else { continue }
                if listing.values.count == limit ?? .max {
                    listing.hasMore = true
                    break
                }
                listing.values.append(value)
            }
            return listing
        }
    }

    /// See `Store.write`.
    public func write(_ write: StoreWrite) async throws(StoreError) -> UInt64 {
        try state.withLock { state throws(StoreError) in
            if state.isClosed { throw .closed }
            return try apply(write, &state)
        }
    }

    /// See `Store.watch`.
    public func watch(prefix: String, after revision: UInt64) async throws(StoreError) -> StoreWatch {
        try hub.watch(prefix: prefix, after: revision)
    }

    /// See `Store.compact`.
    public func compact(to revision: UInt64) async throws(StoreError) {
        try state.withLock { state throws(StoreError) in
            if state.isClosed { throw .closed }
            hub.compacted(to: min(revision, state.revision))
        }
    }

    /// See `Store.close`.
    public func close() async {
        let expirer = state.withLock { state in
            state.isClosed = true
            return state.expirer
        }
        expirer?.close()
        hub.close()
    }

    /// Removes keys whose time is over, as ordinary writes. A thread calls it every second once a key expires.
    func expire() {
        state.withLock { state in
            let now = clock()
            let over = state.expiring.filter { (state.entries[$0]?.expires ?? .max) <= now }
            for key in over.sorted(by: String.keyOrder) {
                guard !state.isClosed, let entry = state.entries[key] else { continue }
                _ = try? apply(.delete(key: key, expected: entry.value.modRevision), &state)
            }
        }
    }

    private func apply(_ write: StoreWrite, _ state: inout State) throws(StoreError) -> UInt64 {
        let key = write.key
        let current = state.entries[key]?.value
        let value: [UInt8]?
        var expiresAfter: Duration?
        switch write {
        case .create(_, let bytes, let lifetime):
            if current != nil { throw .conflict(current: current) }
            (value, expiresAfter) = (bytes, lifetime)
        case .update(_, let bytes, let expected, let lifetime):
            if current?.modRevision != expected { throw .conflict(current: current) }
            (value, expiresAfter) = (bytes, lifetime)
        case .delete(_, let expected):
            if current?.modRevision != expected { throw .conflict(current: current) }
            value = nil
        }
        state.revision += 1
        let revision = state.revision
        let created = current?.createRevision ?? revision
        if let value {
            let stored = StoredValue(key: key, value: value, modRevision: revision, createRevision: created)
            let expires = expiresAfter.map { clock() + $0.milliseconds }
            state.entries[key] = Entry(value: stored, expires: expires)
        } else {
            state.entries[key] = nil
        }
        if (current == nil) != (value == nil) { state.order = nil }
        if expiresAfter != nil {
            state.expiring.insert(key)
            startExpirer(&state)
        } else {
            state.expiring.remove(key)
        }
        // Published under our lock: revisions reach watchers in order.
        let event = StoreEvent(
            key: key, value: value, previous: current?.value, revision: revision,
            previousRevision: current?.modRevision ?? 0)
        hub.publish([LoggedEvent(event: event, previousCreate: created)])
        return revision
    }

    private func startExpirer(_ state: inout State) {
        guard state.expirer == nil else { return }
        let stop = Mailbox<Never>(capacity: 0)
        state.expirer = stop
        _ = startThread(named: "apus-store-m") { [weak self] in
            while stop.take(timeoutMilliseconds: 1000) != nil { self?.expire() }
        }
    }
}

extension [String] {
    /// Index of the first element that is not before `bytes`, in a sorted array.
    fileprivate func partition(from bytes: [UInt8]) -> Int {
        var low = startIndex
        var high = endIndex
        while low < high {
            let middle = low + (high - low) / 2
            if self[middle].utf8.lexicographicallyPrecedes(bytes) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
