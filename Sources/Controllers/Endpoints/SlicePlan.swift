/// Distributes endpoints over slices with few and small writes. Pure.
enum SlicePlan {
    /// Most endpoints in one slice.
    static let capacity = 100

    struct Slice: Sendable, Hashable {
        var name: String
        var group: SliceGroup
        var endpoints: [SliceEndpoint]
    }
    enum Action: Sendable, Hashable {
        case create(SliceGroup, [SliceEndpoint])
        case update(name: String, [SliceEndpoint])
        case delete(name: String)
    }

    /// What to write, creations and updates before deletions, so that no endpoint is missing in between.
    ///
    /// Endpoints stay in the slice they are in; new ones go first to slices that change anyway, then to the fullest
    /// that has room, then to new slices.
    /// - Parameters:
    ///   - desired: endpoints by group. A group with none wants one empty slice.
    ///   - existing: the slices there are, of any group.
    static func actions(desired: [SliceGroup: [SliceEndpoint]], existing: [Slice], capacity: Int = capacity) -> [Action]
    {
        var writes: [Action] = []
        var deletes: [Action] = []
        let byGroup = Dictionary(grouping: existing, by: \.group)
        for (group, slices) in byGroup where desired[group] == nil {
            deletes += slices.map { .delete(name: $0.name) }
        }
        for group in desired.keys.sorted(by: precedes) {
            let (more, gone) = within(
                group, desired[group] ?? [], byGroup[group]?.sorted { $0.name < $1.name } ?? [], capacity)
            writes += more
            deletes += gone
        }
        return writes + deletes.sorted { name($0) < name($1) }
    }

    private static func within(
        _ group: SliceGroup, _ endpoints: [SliceEndpoint], _ slices: [Slice], _ capacity: Int
    ) -> (writes: [Action], deletes: [Action]) {
        var waiting: [String: SliceEndpoint] = [:]
        for endpoint in endpoints { waiting[endpoint.identity] = endpoint }
        var kept = slices
        for index in kept.indices {
            kept[index].endpoints = kept[index].endpoints.compactMap { waiting.removeValue(forKey: $0.identity) }
        }
        var added = waiting.values.sorted { $0.identity < $1.identity }[...]
        let order = kept.indices.sorted { left, right in
            let a = kept[left].endpoints != slices[left].endpoints
            let b = kept[right].endpoints != slices[right].endpoints
            if a != b { return a }
            let (m, n) = (kept[left].endpoints.count, kept[right].endpoints.count)
            return m != n ? m > n : left < right
        }
        for index in order where !added.isEmpty {
            let room = capacity - kept[index].endpoints.count
            // An empty one is filled only when it is the placeholder: it would be deleted otherwise.
            guard room > 0 else { continue }
            kept[index].endpoints += added.prefix(room)
            added = added.dropFirst(room)
        }
        var writes: [Action] = []
        var deletes: [Action] = []
        while !added.isEmpty {
            writes.append(.create(group, Array(added.prefix(capacity))))
            added = added.dropFirst(capacity)
        }
        let isEmpty = endpoints.isEmpty
        var hasPlaceholder = false
        for index in kept.indices {
            if kept[index].endpoints.isEmpty, !isEmpty || hasPlaceholder {
                deletes.append(.delete(name: kept[index].name))
                continue
            }
            hasPlaceholder = hasPlaceholder || kept[index].endpoints.isEmpty
            if kept[index].endpoints != slices[index].endpoints {
                writes.append(.update(name: kept[index].name, kept[index].endpoints))
            }
        }
        if isEmpty && kept.isEmpty { writes.append(.create(group, [])) }
        return (writes, deletes)
    }

    private static func precedes(_ left: SliceGroup, _ right: SliceGroup) -> Bool {
        if left.addressType != right.addressType { return left.addressType < right.addressType }
        return left.ports.lexicographicallyPrecedes(right.ports)
    }

    private static func name(_ action: Action) -> String {
        if case .delete(let name) = action { name } else { "" }
    }
}
