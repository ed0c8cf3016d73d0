import ObjectModel

/// One page of a listing, as the cache gives it.
struct CachePage: Sendable {
    var objects: [Object]
    var revision: Revision
    /// The last key returned when more follow.
    var next: ObjectKey?
    /// How many follow; nil when selectors make that unknown.
    var remaining: Int?
}

/// The asked-for past is not remembered any more.
struct PastIsGone: Error {
    var oldest: Revision
}

extension WatchCache {
    /// Selected objects in key order.
    /// - Parameters:
    ///   - after: only keys greater than this one.
    ///   - at: a past revision, or nil for now.
    ///   - applied: a revision whose changes were all applied before the call.
    func list(
        _ selection: Selection, after: ObjectKey? = nil, limit: Int? = nil, at past: Revision? = nil,
        applied: Revision
    ) throws(PastIsGone) -> CachePage {
        let result: Result<CachePage, PastIsGone> = state.withLock { state in
            let now = max(state.last, applied)
            var overrides: [ObjectKey: CacheEntry?] = [:]
            if let past, past < state.last {
                guard past >= state.ringStart else { return .failure(PastIsGone(oldest: state.ringStart)) }
                // Going back in time: the oldest event after that revision says what was there.
                for event in state.ring.reversed() {
                    if event.revision <= past { break }
                    overrides[event.key] = .some(
                        event.previous.map { CacheEntry(object: $0, node: event.previousNode) })
                }
            }
            var page =
                overrides.isEmpty
                ? Self.current(&state, selection, after: after, limit: limit)
                : Self.rewound(&state, selection, overrides: overrides, after: after, limit: limit)
            page.revision = past ?? now
            return .success(page)
        }
        return try result.get()
    }

    private static func current(_ state: inout State, _ selection: Selection, after: ObjectKey?, limit: Int?)
        -> CachePage
    {
        var page = CachePage(objects: [], revision: 0)
        if let name = selection.name, let namespace = selection.namespace ?? (state.buckets[""] != nil ? "" : nil) {
            if let entry = state.buckets[namespace]?[name], selection.matches(entry.object, nodeName: entry.node),
                after.map({ $0 < entry.object.key }) ?? true
            {
                page.objects = [entry.object]
            }
            return page
        }
        if let keys = state.index.candidates(selection), keys.count < state.count / 2 || keys.count < 64 {
            var found: [(ObjectKey, Object)] = []
            for key in keys where after.map({ $0 < key }) ?? true {
                guard let entry = state.buckets[key.namespace]?[key.name],
                    selection.matches(entry.object, nodeName: entry.node)
                else { continue }
                found.append((key, entry.object))
            }
            found.sort { $0.0 < $1.0 }
            if let limit, found.count > limit {
                found.removeSubrange(limit...)
                page.next = found.last?.0
            }
            page.objects = found.map(\.1)
            return page
        }
        let everything = selection.isEverything
        var passed = 0
        let namespaces = selection.namespace.map { [$0] } ?? state.sortedNamespaces()
        if limit == nil, everything { page.objects.reserveCapacity(state.count) }
        for namespace in namespaces {
            guard let bucket = state.buckets[namespace] else { continue }
            var start = 0
            if let after {
                if namespace < after.namespace {
                    start = bucket.count
                } else if namespace == after.namespace {
                    start = bucket.upperBound(after.name)
                }
            }
            passed += start
            if page.next != nil {
                if !everything { break }
                continue
            }
            for entry in bucket.entries(from: start) {
                guard everything || selection.matches(entry.object, nodeName: entry.node) else { continue }
                if let limit, page.objects.count == limit {
                    page.next = page.objects.last?.key
                    break
                }
                page.objects.append(entry.object)
            }
        }
        if page.next != nil, everything {
            let total = selection.namespace.map { state.buckets[$0]?.count ?? 0 } ?? state.count
            page.remaining = total - passed - page.objects.count
        }
        return page
    }

    /// The state before the events that `overrides` undoes: a merge of the ordered present with the ordered past.
    private static func rewound(
        _ state: inout State, _ selection: Selection, overrides: [ObjectKey: CacheEntry?], after: ObjectKey?,
        limit: Int?
    ) -> CachePage {
        var page = CachePage(objects: [], revision: 0)
        let past = overrides.compactMap { key, entry in entry.map { (key, $0) } }.sorted { $0.0 < $1.0 }
        var pastIndex = 0
        var isFull = false
        func take(_ entry: CacheEntry) {
            let key = entry.object.key
            if isFull || after.map({ key <= $0 }) ?? false { return }
            guard selection.matches(entry.object, nodeName: entry.node) else { return }
            if let limit, page.objects.count == limit {
                page.next = page.objects.last?.key
                isFull = true
                return
            }
            page.objects.append(entry.object)
        }
        for namespace in selection.namespace.map({ [$0] }) ?? state.sortedNamespaces() where !isFull {
            guard let bucket = state.buckets[namespace] else { continue }
            var start = 0
            if let after, namespace == after.namespace { start = bucket.upperBound(after.name) }
            if let after, namespace < after.namespace { continue }
            for entry in bucket.entries(from: start) where !isFull {
                let key = entry.object.key
                while pastIndex < past.count, past[pastIndex].0 < key {
                    take(past[pastIndex].1)
                    pastIndex += 1
                }
                // A changed key comes from the past list, at its own place.
                if overrides[key] == nil { take(entry) }
            }
        }
        while pastIndex < past.count, !isFull {
            take(past[pastIndex].1)
            pastIndex += 1
        }
        if selection.isEverything, page.next != nil, let last = page.objects.last?.key {
            var total = selection.namespace.map { state.buckets[$0]?.count ?? 0 } ?? state.count
            for (key, entry) in overrides where selection.namespace.map({ $0 == key.namespace }) ?? true {
                let isThere = state.buckets[key.namespace]?[key.name] != nil
                if entry != nil, !isThere { total += 1 }
                if entry == nil, isThere { total -= 1 }
            }
            let before = after == nil ? 0 : total - page.objects.count
            page.remaining = after == nil ? total - page.objects.count : max(0, before - Self.rank(&state, last))
        }
        return page
    }

    /// How many keys of the present stand before a key: an estimate of the position in the past.
    private static func rank(_ state: inout State, _ key: ObjectKey) -> Int {
        var rank = 0
        for namespace in state.sortedNamespaces() where namespace <= key.namespace {
            guard let bucket = state.buckets[namespace] else { continue }
            rank += namespace < key.namespace ? bucket.count : bucket.lowerBound(key.name)
        }
        return rank
    }
}
