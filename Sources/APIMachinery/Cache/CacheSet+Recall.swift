import DequeModule
import ObjectModel
import Store

extension CacheSet {
    /// How far back rings are filled when a server starts: a few seconds of heavy load.
    private static let recalledRevisions: Revision = 4096
    private static let recalledBytes = 32 << 20

    /// What the store remembers of the time before a load.
    private struct History {
        var events: Deque<StoreEvent> = []
        /// Every event after this revision is there.
        var start: Revision
    }

    /// Fills the rings with what happened before a load, so that the watches of a server's clients go on where they were
    /// when it starts again. Without it they list again, so nothing that fails here is an error.
    func recall(before end: Revision) async {
        // Reading ends with the event of the load's revision; a store that has none must not hold up the start.
        let reading = Task { await self.history(through: end) }
        let timer = Task {
            guard (try? await Task.sleep(for: .seconds(2))) != nil else { return }
            reading.cancel()
        }
        let found = await reading.value
        timer.cancel()
        guard let history = found else { return }
        var newest: [String: CacheEntry] = [:]
        var events: [String: [CacheEvent]] = [:]
        for event in history.events {
            guard let (place, key) = StorageLayout.parse(event.key), self[place: place] != nil else { continue }
            let old = event.previous.flatMap { bytes in
                newest[event.key]
                    ?? decode(bytes, storeKey: event.key, place: place, revision: event.previousRevision)
                    .map(Self.remembered)
            }
            let new = event.value.flatMap { bytes in
                decode(bytes, storeKey: event.key, place: place, revision: event.revision).map(Self.remembered)
            }
            newest[event.key] = new
            guard old != nil || new != nil else { continue }
            events[place, default: []].append(CacheEvent(key, event.revision, old: old, new: new))
        }
        for cache in all { cache.recall(events[cache.place.description] ?? [], after: history.start) }
    }

    private static func remembered(_ object: Object) -> CacheEntry {
        let entry = CacheEntry(object)
        object.releaseTree()
        return entry
    }

    private func history(through end: Revision) async -> History? {
        let start = end > Self.recalledRevisions ? end - Self.recalledRevisions : 1
        do {
            return try await history(after: start, through: end)
        } catch {
            guard case StoreError.compacted(let oldest)? = error as? StoreError, oldest < end else { return nil }
            return try? await history(after: oldest, through: end)
        }
    }

    private func history(after start: Revision, through end: Revision) async throws -> History? {
        var history = History(start: start)
        guard start < end else { return nil }
        var bytes = 0
        for try await batch in try await store.watch(prefix: StorageLayout.root, after: start) {
            for event in batch where event.revision <= end {
                history.events.append(event)
                bytes += event.value?.count ?? 0
            }
            while bytes > Self.recalledBytes, let oldest = history.events.popFirst() {
                bytes -= oldest.value?.count ?? 0
                history.start = oldest.revision
            }
            if let last = batch.last, last.revision >= end { return history }
        }
        // Cancelled before the end.
        return nil
    }
}
