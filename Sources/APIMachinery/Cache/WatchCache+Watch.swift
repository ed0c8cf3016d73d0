import ClusterClient
import JSON
import ObjectModel
import Schema

extension WatchCache {
    /// How a watch begins.
    enum WatchStart {
        /// Synthetic ADDED for everything that is there, then changes.
        case everything
        /// The same, and then a bookmark that says that this was all.
        case everythingThenBookmark
        /// Changes after a revision.
        case after(Revision)
    }

    /// Registers a watcher; its channel already holds what it must see first.
    /// - Throws: `PastIsGone` when the ring does not reach back so far.
    func watch(_ selection: Selection, from start: WatchStart, allowBookmarks: Bool, applied: Revision)
        throws(PastIsGone) -> Watcher
    {
        let result: Result<Watcher, PastIsGone> = state.withLock { state in
            state.nextWatcher += 1
            var after: Revision = 0
            if case .after(let revision) = start { after = revision }
            let watcher = Watcher(
                id: state.nextWatcher, selection: selection, channel: WatchChannel(capacity: limits.watcherBuffer),
                allowBookmarks: allowBookmarks, after: after)
            var initial: [WatchEvent] = []
            switch start {
            case .after(let revision):
                guard revision >= state.ringStart else { return .failure(PastIsGone(oldest: state.ringStart)) }
                // The ring is short behind a client that follows closely: search from the end.
                let first = state.ring.lastIndex { $0.revision <= revision }.map { $0 + 1 } ?? 0
                for event in state.ring[first...] {
                    var left: Object?
                    if let seen = event.seen(by: selection, left: &left) { initial.append(seen) }
                }
            case .everything, .everythingThenBookmark:
                let namespaces = selection.namespace.map { [$0] } ?? state.sortedNamespaces()
                for namespace in namespaces {
                    guard let bucket = state.buckets[namespace] else { continue }
                    for entry in bucket.entries()
                    where selection.matches(entry.object, nodeName: entry.node) {
                        initial.append(WatchEvent(.added, entry.object))
                    }
                }
                if case .everythingThenBookmark = start {
                    initial.append(bookmark(at: max(state.last, applied), endsInitialEvents: true))
                }
            }
            watcher.channel.begin(with: initial)
            state.watchers.insert(watcher)
            return .success(watcher)
        }
        return try result.get()
    }

    /// Ends a watch.
    func unwatch(_ watcher: Watcher) {
        state.withLock { $0.watchers.remove(watcher) }
        watcher.channel.finish()
    }

    /// Ends all watches, for a shutdown.
    func endWatches() {
        let all = state.withLock { state in
            defer { state.watchers = Watchers() }
            return state.watchers.everyone
        }
        for watcher in all { watcher.channel.finish() }
    }

    /// Tells every watcher that wants it how far the world has come.
    func sendBookmarks(applied: Revision) {
        let wakes = state.withLock { state -> [WatchChannel] in
            guard state.watchers.count > 0 else { return [] }
            let revision = max(state.last, applied)
            let event = bookmark(at: revision)
            return state.watchers.everyone.compactMap { watcher in
                guard watcher.allowBookmarks, watcher.after <= revision, case .first = watcher.channel.append(event)
                else { return nil }
                return watcher.channel
            }
        }
        WatchChannel.wake(wakes)
    }

    private func bookmark(at revision: Revision, endsInitialEvents: Bool = false) -> WatchEvent {
        var metadata: JSON = ["resourceVersion": .string(String(revision))]
        if endsInitialEvents { metadata["annotations"] = ["k8s.io/initial-events-end": "true"] }
        var tree: JSON = [
            "kind": .string(definition.kind.kind), "apiVersion": .string(definition.kind.apiVersion),
            "metadata": metadata,
        ]
        // Clients with types of their own read members of it as of any object of the kind.
        for (name, value) in Catalog.builtin.emptyMembers(of: definition.kind).members { tree[name] = value }
        return WatchEvent(.bookmark, Object(tree))
    }
}
