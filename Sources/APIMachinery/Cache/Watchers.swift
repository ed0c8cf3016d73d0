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
/// all look at every event, and by what they ask for, so that it is looked at once for all who ask the same.
struct Watchers: Sendable {
    typealias Group = [UInt64: Watcher]

    private var all: [Selection: Group] = [:]
    private var byNamespace: [String: [Selection: Group]] = [:]
    private var byKey: [ObjectKey: [Selection: Group]] = [:]
    private var byNode: [String: [Selection: Group]] = [:]
    private(set) var count = 0

    mutating func insert(_ watcher: Watcher) {
        count += 1
        let selection = watcher.selection
        if let name = selection.name {
            // Without a namespace the name may occur in every one: cluster-scoped keys have an empty namespace.
            let key = ObjectKey(namespace: selection.namespace ?? "", name: name)
            byKey[key, default: [:]][selection, default: [:]][watcher.id] = watcher
        } else if let node = selection.node {
            byNode[node, default: [:]][selection, default: [:]][watcher.id] = watcher
        } else if let namespace = selection.namespace {
            byNamespace[namespace, default: [:]][selection, default: [:]][watcher.id] = watcher
        } else {
            all[selection, default: [:]][watcher.id] = watcher
        }
    }

    mutating func remove(_ watcher: Watcher) {
        let selection = watcher.selection
        func drop(from groups: inout [Selection: Group]) -> Bool {
            let removed = groups[selection]?.removeValue(forKey: watcher.id) != nil
            if groups[selection]?.isEmpty == true { groups.removeValue(forKey: selection) }
            return removed
        }
        func drop<Key: Hashable>(_ key: Key, from map: inout [Key: [Selection: Group]]) -> Bool {
            guard map[key] != nil else { return false }
            let removed = drop(from: &map[key, default: [:]])
            if map[key]?.isEmpty == true { map.removeValue(forKey: key) }
            return removed
        }
        let removed: Bool =
            if let name = selection.name {
                drop(ObjectKey(namespace: selection.namespace ?? "", name: name), from: &byKey)
            } else if let node = selection.node {
                drop(node, from: &byNode)
            } else if let namespace = selection.namespace {
                drop(namespace, from: &byNamespace)
            } else {
                drop(from: &all)
            }
        if removed { count -= 1 }
    }

    /// Calls `body` once for every group of watchers that may care about an event.
    func forEach(touchedBy event: CacheEvent, _ body: (Selection, Group) -> Void) {
        func each(_ groups: [Selection: Group]?) {
            guard let groups else { return }
            for (selection, watchers) in groups { body(selection, watchers) }
        }
        each(all)
        if !byNamespace.isEmpty { each(byNamespace[event.key.namespace]) }
        if !byKey.isEmpty {
            each(byKey[event.key])
            if !event.key.namespace.isEmpty { each(byKey[ObjectKey(name: event.key.name)]) }
        }
        if !byNode.isEmpty {
            if !event.node.isEmpty { each(byNode[event.node]) }
            if !event.previousNode.isEmpty, event.previousNode != event.node { each(byNode[event.previousNode]) }
        }
    }

    /// Every watcher there is.
    var everyone: [Watcher] {
        func members(_ groups: [Selection: Group]) -> [Watcher] { groups.values.flatMap(\.values) }
        return members(all) + byNamespace.values.flatMap(members) + byKey.values.flatMap(members)
            + byNode.values.flatMap(members)
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
