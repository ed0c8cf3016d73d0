import ClusterClient
import ObjectModel

/// One watch on a cache.
final class Watcher: Sendable {
    let id: UInt64
    let selection: Selection
    let channel: WatchChannel
    let allowBookmarks: Bool
    /// The client knows everything up to here. Later than the cache when the client's knowledge comes from another
    /// resource's cache, or from the future.
    let after: Revision

    init(id: UInt64, selection: Selection, channel: WatchChannel, allowBookmarks: Bool, after: Revision = 0) {
        self.after = after
        self.id = id
        self.selection = selection
        self.channel = channel
        self.allowBookmarks = allowBookmarks
    }
}

/// The watchers of a cache, found by what an event touches, so that a thousand watches on single pods or nodes do not
/// all look at every event.
struct Watchers: Sendable {
    private var all: [UInt64: Watcher] = [:]
    private var byNamespace: [String: [UInt64: Watcher]] = [:]
    private var byKey: [ObjectKey: [UInt64: Watcher]] = [:]
    private var byNode: [String: [UInt64: Watcher]] = [:]
    private(set) var count = 0

    mutating func insert(_ watcher: Watcher) {
        count += 1
        let selection = watcher.selection
        if let name = selection.name {
            // Without a namespace the name may occur in every one: cluster-scoped keys have an empty namespace.
            if let namespace = selection.namespace {
                byKey[ObjectKey(namespace: namespace, name: name), default: [:]][watcher.id] = watcher
            } else {
                byKey[ObjectKey(name: name), default: [:]][watcher.id] = watcher
            }
        } else if let node = selection.node {
            byNode[node, default: [:]][watcher.id] = watcher
        } else if let namespace = selection.namespace {
            byNamespace[namespace, default: [:]][watcher.id] = watcher
        } else {
            all[watcher.id] = watcher
        }
    }

    mutating func remove(_ watcher: Watcher) {
        func drop<Key: Hashable>(_ key: Key, from map: inout [Key: [UInt64: Watcher]]) -> Bool {
            let removed = map[key]?.removeValue(forKey: watcher.id) != nil
            if map[key]?.isEmpty == true { map.removeValue(forKey: key) }
            return removed
        }
        let selection = watcher.selection
        let removed: Bool =
            if let name = selection.name {
                drop(ObjectKey(namespace: selection.namespace ?? "", name: name), from: &byKey)
            } else if let node = selection.node {
                drop(node, from: &byNode)
            } else if let namespace = selection.namespace {
                drop(namespace, from: &byNamespace)
            } else {
                all.removeValue(forKey: watcher.id) != nil
            }
        if removed { count -= 1 }
    }

    /// Calls `body` once for every watcher that may care about an event.
    func forEach(touchedBy event: CacheEvent, _ body: (Watcher) -> Void) {
        for watcher in all.values { body(watcher) }
        if !byNamespace.isEmpty, let some = byNamespace[event.key.namespace] {
            for watcher in some.values { body(watcher) }
        }
        if !byKey.isEmpty {
            if let some = byKey[event.key] { for watcher in some.values { body(watcher) } }
            if !event.key.namespace.isEmpty, let some = byKey[ObjectKey(name: event.key.name)] {
                for watcher in some.values { body(watcher) }
            }
        }
        if !byNode.isEmpty {
            if !event.node.isEmpty, let some = byNode[event.node] { for watcher in some.values { body(watcher) } }
            if !event.previousNode.isEmpty, event.previousNode != event.node, let some = byNode[event.previousNode] {
                for watcher in some.values { body(watcher) }
            }
        }
    }

    /// Every watcher there is.
    var everyone: [Watcher] {
        Array(all.values) + byNamespace.values.flatMap(\.values) + byKey.values.flatMap(\.values)
            + byNode.values.flatMap(\.values)
    }
}

extension CacheEvent {
    /// What a watcher with this selection sees of the change; nil for nothing.
    /// - Parameter left: the object as it was under the new revision, made once per event when first needed.
    func seen(by selection: Selection, left: inout Object?) -> WatchEvent? {
        let before = previous.map { selection.matches($0, nodeName: previousNode) } ?? false
        if let gone { return before ? WatchEvent(.deleted, gone) : nil }
        guard let object else { return nil }
        let after = selection.matches(object, nodeName: node)
        switch (before, after) {
        case (false, false): return nil
        case (false, true): return WatchEvent(.added, object)
        case (true, true): return WatchEvent(.modified, object)
        case (true, false):
            guard let previous else { return nil }
            let form = left ?? ObjectCodec.object(previous, at: revision)
            left = form
            return WatchEvent(.deleted, form)
        }
    }
}
