import ObjectModel

/// One change of one object, as the ring remembers it.
struct CacheEvent: Sendable {
    let key: ObjectKey
    let revision: Revision
    /// The state after; nil when the object was removed.
    let object: Object?
    /// The state before; nil when the object is new.
    let previous: Object?
    /// The last state under the revision of its removal; nil unless removed.
    let gone: Object?
    /// `spec.nodeName` after and before, for pods; else empty.
    let node: String
    let previousNode: String
}

/// A cached object with what selectors need without parsing.
struct CacheEntry: Sendable {
    var object: Object
    /// `spec.nodeName` of a pod; else empty.
    var node: String

    init(object: Object, node: String) {
        self.object = object
        self.node = node
    }

    /// Reads the node while the object's tree is still at hand.
    init(_ object: Object) {
        self.object = object
        node = object.kind.kind == "Pod" ? object.tree["spec"]["nodeName"].string ?? "" : ""
    }
}

/// The objects of one namespace, ordered by name.
struct CacheBucket: Sendable {
    private(set) var entries: [CacheEntry] = []

    var count: Int { entries.count }

    /// Index of the first entry whose name is not less than `name`.
    func lowerBound(_ name: String) -> Int {
        var low = 0
        var high = entries.count
        // Names mostly arrive in order when a store is loaded.
        if let last = entries.last, last.object.metadata.name < name { return high }
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].object.metadata.name < name { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Index of the first entry whose name is greater than `name`.
    func upperBound(_ name: String) -> Int {
        let index = lowerBound(name)
        return index < entries.count && entries[index].object.metadata.name == name ? index + 1 : index
    }

    subscript(name: String) -> CacheEntry? {
        let index = lowerBound(name)
        guard index < entries.count, entries[index].object.metadata.name == name else { return nil }
        return entries[index]
    }

    /// Inserts or replaces; returns what was there.
    mutating func put(_ entry: CacheEntry) -> CacheEntry? {
        let name = entry.object.metadata.name
        let index = lowerBound(name)
        if index < entries.count, entries[index].object.metadata.name == name {
            let old = entries[index]
            entries[index] = entry
            return old
        }
        entries.insert(entry, at: index)
        return nil
    }

    mutating func remove(_ name: String) -> CacheEntry? {
        let index = lowerBound(name)
        guard index < entries.count, entries[index].object.metadata.name == name else { return nil }
        return entries.remove(at: index)
    }
}
