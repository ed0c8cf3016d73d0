import JSON
import MesosModel

/// A `ContainerID`: the ids from the outermost container to the one that is meant.
struct ContainerPath: Hashable, Sendable, CustomStringConvertible {
    let ids: [String]

    /// Nil for what is no id: empty, too deep, or with an id that would be a path.
    init?(_ json: JSON) {
        var ids: [String] = []
        var rest = json
        while !rest.isNull {
            guard let id = rest["value"].string, MesosIDs.problem(id) == nil, ids.count < 32 else { return nil }
            ids.append(id)
            rest = rest["parent"]
        }
        guard !ids.isEmpty else { return nil }
        self.ids = ids.reversed()
    }
    init(ids: [String]) { self.ids = ids }

    var parent: ContainerPath? { ids.count > 1 ? ContainerPath(ids: Array(ids.dropLast())) : nil }
    /// The container that all of it belongs to.
    var root: ContainerPath { ContainerPath(ids: Array(ids.prefix(1))) }
    var description: String { ids.joined(separator: ".") }
    func isInside(_ other: ContainerPath) -> Bool { ids.count > other.ids.count && ids.starts(with: other.ids) }
    var json: JSON {
        var tree: JSON = .null
        for id in ids {
            var next: JSON = ["value": .string(id)]
            next.setMember("parent", tree)
            tree = next
        }
        return tree
    }
}
