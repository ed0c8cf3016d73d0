import ObjectModel

/// Which objects carry which label pairs, and which pods are on which node: selective lists cost what they return.
struct CacheIndex: Sendable {
    private var labels: [String: [String: Set<ObjectKey>]] = [:]
    private var nodes: [String: Set<ObjectKey>] = [:]

    mutating func insert(_ entry: CacheEntry) {
        let key = entry.object.key
        for (name, value) in entry.object.metadata.labels { labels[name, default: [:]][value, default: []].insert(key) }
        if !entry.node.isEmpty { nodes[entry.node, default: []].insert(key) }
    }

    mutating func remove(_ entry: CacheEntry) {
        let key = entry.object.key
        for (name, value) in entry.object.metadata.labels { removeLabel(name, value, key) }
        if !entry.node.isEmpty { removeNode(entry.node, key) }
    }

    mutating func replace(_ old: CacheEntry, with new: CacheEntry) {
        let key = new.object.key
        let before = old.object.metadata.labels
        let after = new.object.metadata.labels
        if before != after {
            for (name, value) in before where after[name] != value { removeLabel(name, value, key) }
            for (name, value) in after where before[name] != value {
                labels[name, default: [:]][value, default: []].insert(key)
            }
        }
        if old.node != new.node {
            if !old.node.isEmpty { removeNode(old.node, key) }
            if !new.node.isEmpty { nodes[new.node, default: []].insert(key) }
        }
    }

    /// The fewest keys among which all selected objects are; nil when no index helps.
    func candidates(_ selection: Selection) -> Set<ObjectKey>? {
        var best: Set<ObjectKey>?
        func offer(_ keys: Set<ObjectKey>) {
            if best.map({ keys.count < $0.count }) ?? true { best = keys }
        }
        if let node = selection.node { offer(nodes[node] ?? []) }
        for requirement in selection.labels.requirements {
            switch requirement.op {
            case .in:
                let values = labels[requirement.key]
                if requirement.values.count == 1 {
                    offer(values?[requirement.values[0]] ?? [])
                } else {
                    offer(requirement.values.reduce(into: []) { $0.formUnion(values?[$1] ?? []) })
                }
            case .exists, .greaterThan, .lessThan:
                let values = labels[requirement.key] ?? [:]
                // A union over very many values costs more than the scan it saves.
                if values.count <= 64 { offer(values.values.reduce(into: []) { $0.formUnion($1) }) }
            case .notIn, .doesNotExist: break
            }
        }
        return best
    }

    private mutating func removeLabel(_ name: String, _ value: String, _ key: ObjectKey) {
        labels[name]?[value]?.remove(key)
        if labels[name]?[value]?.isEmpty == true { labels[name]?.removeValue(forKey: value) }
        if labels[name]?.isEmpty == true { labels.removeValue(forKey: name) }
    }

    private mutating func removeNode(_ node: String, _ key: ObjectKey) {
        nodes[node]?.remove(key)
        if nodes[node]?.isEmpty == true { nodes.removeValue(forKey: node) }
    }
}
