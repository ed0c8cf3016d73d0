/// Which daemon pods of an old template go now. Pure.
struct DaemonRollout: Sendable {
    struct Pod: Sendable, Hashable {
        var name: String
        var isNew: Bool
        var isAvailable: Bool
        var isTerminating: Bool
    }
    var maxUnavailable: Int
    var maxSurge: Int

    /// - Parameter nodes: pods by node, for every node that should have one.
    /// - Returns: pods to delete, and nodes that get a second, new pod beside the old one.
    func step(_ nodes: [String: [Pod]]) -> (delete: [String], surge: [String]) {
        maxSurge > 0 ? surging(nodes) : replacing(nodes)
    }

    private func replacing(_ nodes: [String: [Pod]]) -> (delete: [String], surge: [String]) {
        var down = 0
        var free: [String] = []
        var candidates: [String] = []
        for name in nodes.keys.sorted() {
            let pods = nodes[name] ?? []
            let isUp = pods.contains { $0.isAvailable && !$0.isTerminating }
            if !isUp { down += 1 }
            for pod in pods where !pod.isNew && !pod.isTerminating {
                // One that is down anyway costs nothing.
                if isUp { candidates.append(pod.name) } else { free.append(pod.name) }
            }
        }
        return (free + candidates.prefix(max(maxUnavailable - down, 0)), [])
    }

    private func surging(_ nodes: [String: [Pod]]) -> (delete: [String], surge: [String]) {
        var delete: [String] = []
        var wanting: [String] = []
        var surging = 0
        for name in nodes.keys.sorted() {
            let pods = (nodes[name] ?? []).filter { !$0.isTerminating }
            let old = pods.filter { !$0.isNew }
            let new = pods.filter(\.isNew)
            guard !old.isEmpty else { continue }
            if new.isEmpty {
                if old.contains(where: \.isAvailable) { wanting.append(name) } else { delete += old.map(\.name) }
            } else if new.contains(where: \.isAvailable) {
                delete += old.map(\.name)
            } else {
                surging += 1
            }
        }
        return (delete, Array(wanting.prefix(max(maxSurge - surging, 0))))
    }
}
