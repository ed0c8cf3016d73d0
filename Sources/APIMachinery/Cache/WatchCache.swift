import ClusterClient
import DequeModule
import ObjectModel
import Schema
import Synchronization

/// The current state of one resource and its recent past, serving every GET, LIST and WATCH.
///
/// Changes come in revision order from one task (`CacheSet`). Reads are consistent: the state is that of one revision,
/// which is returned with it.
final class WatchCache: Sendable {
    struct Limits: Sendable {
        /// Events remembered for watches and consistent pages.
        var ringEvents = 8192
        /// Bytes of past versions remembered.
        var ringBytes = 32 << 20
        /// Events older than this are forgotten, as in the store's history,
        var ringAge = Duration.seconds(300)
        /// except for so many, for clients that come back after a quiet time.
        var ringMinimum = 1024
        /// How many of the newest objects keep their parsed tree.
        var freshTrees = 256
        /// Events that may wait for one watcher.
        var watcherBuffer = 4096
    }

    /// The stored representation. That of a custom resource changes with its definition.
    var definition: ResourceDefinition {
        get { stored.withLock { $0 } }
        set { stored.withLock { $0 = newValue } }
    }
    private let stored: Mutex<ResourceDefinition>
    let place: GroupResource
    let limits: Limits

    struct State: Sendable {
        var buckets: [String: CacheBucket] = [:]
        /// Sorted; nil when a namespace came or went since.
        var namespaces: [String]?
        var count = 0
        var index = CacheIndex()
        var ring: Deque<CacheEvent> = []
        var ringBytes = 0
        /// Every event after this revision is in the ring.
        var ringStart: Revision = 0
        /// Revision of the newest event or load.
        var last: Revision = 0
        var watchers = Watchers()
        var nextWatcher: UInt64 = 0
        var fresh: Deque<Object> = []

        mutating func sortedNamespaces() -> [String] {
            if let namespaces { return namespaces }
            let sorted = buckets.keys.sorted()
            namespaces = sorted
            return sorted
        }
    }
    let state: Mutex<State>

    init(definition: ResourceDefinition, limits: Limits) {
        stored = Mutex(definition)
        self.limits = limits
        place = StorageLayout.place(of: definition.resource.groupResource)
        state = Mutex(State())
    }

    // MARK: Feeding

    /// Replaces everything by a listing that is true at a revision; watchers are told to list again.
    func load(_ entries: [CacheEntry], at revision: Revision) {
        let cutOff = state.withLock { state -> [Watcher] in
            let watchers = state.watchers.everyone
            let next = state.nextWatcher
            state = State()
            state.nextWatcher = next
            state.ringStart = revision
            state.last = revision
            state.count = entries.count
            for entry in entries {
                _ = state.buckets[entry.object.namespace, default: CacheBucket()].put(entry)
                state.index.insert(entry)
            }
            return watchers
        }
        for watcher in cutOff { watcher.channel.finish(.expired("the watch cache was reloaded")) }
    }

    /// Fills a new cache, unless it already heard of something newer.
    func loadUnlessNewer(_ entries: [CacheEntry], at revision: Revision) -> Bool {
        state.withLock { state in
            guard state.last <= revision else { return false }
            state.ringStart = revision
            state.last = revision
            state.count = entries.count
            for entry in entries {
                _ = state.buckets[entry.object.namespace, default: CacheBucket()].put(entry)
                state.index.insert(entry)
            }
            return true
        }
    }

    /// Fills the ring of a cache that was just loaded with the changes that led there.
    /// - Parameter start: every event after this revision is among them.
    func recall(_ events: [CacheEvent], after start: Revision) {
        state.withLock { state in
            guard state.ring.isEmpty, state.last == state.ringStart, start < state.ringStart else { return }
            state.ringStart = start
            for event in events { remember(event, in: &state) }
        }
    }

    /// Puts other readings of the same stored versions in place of those that are there. Nobody is told: nothing changed.
    func replaceSameVersions(_ entries: [CacheEntry]) {
        state.withLock { state in
            for entry in entries {
                let key = entry.object.key
                guard let known = state.buckets[key.namespace]?[key.name]?.object,
                    known.metadata.resourceVersion == entry.object.metadata.resourceVersion,
                    known.bytes != entry.object.bytes
                else { continue }
                _ = state.buckets[key.namespace]?.put(entry)
            }
        }
    }

    /// Applies one change.
    /// - Parameter new: the new state; nil when the key was removed.
    /// - Returns: channels to wake once the whole batch is in.
    func apply(key: ObjectKey, _ new: CacheEntry?, revision: Revision) -> [WatchChannel] {
        let released: Object?
        let wakes: [WatchChannel]
        (released, wakes) = state.withLock { state in
            guard revision > state.last else { return (nil, []) }
            let old: CacheEntry?
            if let new {
                if state.buckets[key.namespace] == nil { state.namespaces = nil }
                old = state.buckets[key.namespace, default: CacheBucket()].put(new)
                if let old {
                    state.index.replace(old, with: new)
                } else {
                    state.index.insert(new)
                    state.count += 1
                }
            } else {
                old = state.buckets[key.namespace]?.remove(key.name)
                if let old {
                    state.index.remove(old)
                    state.count -= 1
                }
                if state.buckets[key.namespace]?.count == 0 {
                    state.buckets.removeValue(forKey: key.namespace)
                    state.namespaces = nil
                }
            }
            state.last = revision
            guard new != nil || old != nil else { return (nil, []) }
            let event = CacheEvent(key, revision, old: old, new: new)
            remember(event, in: &state)
            let wakes = deliver(event, in: &state)
            var released: Object?
            if let object = new?.object {
                state.fresh.append(object)
                if state.fresh.count > limits.freshTrees { released = state.fresh.popFirst() }
            }
            return (released, wakes)
        }
        released?.releaseTree()
        return wakes
    }

    private func remember(_ event: CacheEvent, in state: inout State) {
        state.ring.append(event)
        state.ringBytes += event.previous?.bytes.count ?? 64
        let horizon = event.time - limits.ringAge
        while let first = state.ring.first,
            state.ring.count > limits.ringEvents || (state.ringBytes > limits.ringBytes && state.ring.count > 128)
                || (first.time < horizon && state.ring.count > limits.ringMinimum),
            let oldest = state.ring.popFirst()
        {
            state.ringBytes -= oldest.previous?.bytes.count ?? 64
            state.ringStart = oldest.revision
        }
    }

    private func deliver(_ event: CacheEvent, in state: inout State) -> [WatchChannel] {
        guard state.watchers.count > 0 else { return [] }
        var wakes: [WatchChannel] = []
        var dead: [Watcher] = []
        var left: Object?
        state.watchers.forEach(touchedBy: event) { selection, watchers in
            guard let seen = event.seen(by: selection, left: &left) else { return }
            wakes.reserveCapacity(wakes.count + watchers.count)
            for watcher in watchers.values where event.revision > watcher.after {
                switch watcher.channel.append(seen) {
                case .first: wakes.append(watcher.channel)
                case .more: break
                case .cutOff: dead.append(watcher)
                }
            }
        }
        for watcher in dead { state.watchers.remove(watcher) }
        return wakes
    }

    // MARK: Reading

    func get(_ key: ObjectKey) -> Object? {
        state.withLock { $0.buckets[key.namespace]?[key.name]?.object }
    }

    /// Everything in a namespace, or everywhere.
    func all(namespace: String? = nil) -> [Object] {
        state.withLock { state in
            if let namespace { return state.buckets[namespace].map { $0.entries().map(\.object) } ?? [] }
            var result: [Object] = []
            result.reserveCapacity(state.count)
            for name in state.sortedNamespaces() {
                if let bucket = state.buckets[name] { result += bucket.entries().map(\.object) }
            }
            return result
        }
    }

    /// Number of objects.
    var count: Int { state.withLock { $0.count } }
    /// Revision of the newest change of this resource.
    var lastRevision: Revision { state.withLock { $0.last } }
    /// Number of running watches.
    var watcherCount: Int { state.withLock { $0.watchers.count } }
}
