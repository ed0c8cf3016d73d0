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
    /// When it came here.
    let time = ContinuousClock.now

    /// A change from one state (nil: there was none) to another (nil: it was removed).
    init(_ key: ObjectKey, _ revision: Revision, old: CacheEntry?, new: CacheEntry?) {
        self.key = key
        self.revision = revision
        object = new?.object
        previous = old?.object
        gone = new == nil ? old.map { ObjectCodec.object($0.object, at: revision) } : nil
        node = new?.node ?? ""
        previousNode = old?.node ?? ""
    }
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

/// The objects of one namespace, ordered by name, in blocks: an insertion moves one block's entries, not everybody's.
struct CacheBucket: Sendable {
    private static let blockSize = 512
    /// None is empty.
    private var blocks: [[CacheEntry]] = []
    private(set) var count = 0

    private struct Position {
        var block: Int
        var offset: Int
    }

    /// Where the first entry is whose name is not less than `name`.
    private func position(_ name: String) -> Position {
        var low = 0
        var high = blocks.count
        while low < high {
            let middle = (low + high) / 2
            let isBefore = blocks[middle].last.map { $0.object.metadata.name < name } ?? true
            if isBefore { low = middle + 1 } else { high = middle }
        }
        guard low < blocks.count else { return Position(block: low, offset: 0) }
        let block = low
        low = 0
        high = blocks[block].count
        while low < high {
            let middle = (low + high) / 2
            if blocks[block][middle].object.metadata.name < name { low = middle + 1 } else { high = middle }
        }
        return Position(block: block, offset: low)
    }

    private func isAt(_ position: Position, _ name: String) -> Bool {
        position.block < blocks.count && blocks[position.block][position.offset].object.metadata.name == name
    }

    /// How many names are less than `name`.
    func lowerBound(_ name: String) -> Int {
        let position = position(name)
        return blocks[..<position.block].reduce(position.offset) { $0 + $1.count }
    }

    /// How many names are not greater than `name`.
    func upperBound(_ name: String) -> Int { lowerBound(name) + (isAt(position(name), name) ? 1 : 0) }

    subscript(name: String) -> CacheEntry? {
        let position = position(name)
        return isAt(position, name) ? blocks[position.block][position.offset] : nil
    }

    /// The entries in order, without the first `start`.
    func entries(from start: Int = 0) -> some Sequence<CacheEntry> {
        var skipped = start
        var slices: [ArraySlice<CacheEntry>] = []
        for block in blocks {
            slices.append(block.dropFirst(skipped))
            skipped = max(0, skipped - block.count)
        }
        return slices.joined()
    }

    /// Inserts or replaces; returns what was there.
    mutating func put(_ entry: CacheEntry) -> CacheEntry? {
        let name = entry.object.metadata.name
        var position = position(name)
        if isAt(position, name) {
            let old = blocks[position.block][position.offset]
            blocks[position.block][position.offset] = entry
            return old
        }
        count += 1
        if position.block == blocks.count {
            // Behind everything: names mostly arrive in order when a store is loaded.
            guard let last = blocks.last, last.count < Self.blockSize else {
                blocks.append([entry])
                return nil
            }
            position = Position(block: blocks.count - 1, offset: last.count)
        }
        blocks[position.block].insert(entry, at: position.offset)
        if blocks[position.block].count > Self.blockSize {
            let half = Array(blocks[position.block][(Self.blockSize / 2)...])
            blocks[position.block].removeLast(half.count)
            blocks.insert(half, at: position.block + 1)
        }
        return nil
    }

    mutating func remove(_ name: String) -> CacheEntry? {
        let position = position(name)
        guard isAt(position, name) else { return nil }
        count -= 1
        let old = blocks[position.block].remove(at: position.offset)
        if blocks[position.block].isEmpty { blocks.remove(at: position.block) }
        return old
    }
}
