import JSON
import ObjectModel

/// Which instances go when there are too many.
enum KillSelection {
    /// Named victims first, then what does not run, then by age; GROUP_BY constraints keep the groups even.
    static func choose(
        _ count: Int, of instances: [Instance], spec: RunSpec, victims: [String], isUp: (Instance) -> Bool
    ) -> [Instance] {
        let named = Set(victims)
        func rank(_ instance: Instance) -> Int {
            if named.contains(instance.object.name) { return 0 }
            if !instance.isBound { return 1 }
            return isUp(instance) ? 3 : 2
        }
        let isOldestFirst = spec.isOldestFirst
        var rest = instances.map { (rank: rank($0), instance: $0) }.sorted { left, right in
            if left.rank != right.rank { return left.rank < right.rank }
            let (a, b) = (left.instance, right.instance)
            if a.stagedAt != b.stagedAt { return isOldestFirst ? a.stagedAt < b.stagedAt : a.stagedAt > b.stagedAt }
            return a.id < b.id
        }
        let groupsByHost = spec.constraints.contains { constraint in
            constraint[1].string == "GROUP_BY" && ["hostname", "@hostname"].contains(constraint[0].string ?? "")
        }
        var chosen: [Instance] = []
        while chosen.count < count, let first = rest.first {
            var index = 0
            if groupsByHost, first.rank > 1 {
                var sizes: [String: Int] = [:]
                for entry in rest where entry.instance.isBound { sizes[entry.instance.node, default: 0] += 1 }
                let most = sizes.values.max() ?? 0
                index = rest.firstIndex { $0.rank == first.rank && sizes[$0.instance.node] == most } ?? 0
            }
            chosen.append(rest.remove(at: index).instance)
        }
        return chosen
    }
}
