import HTTPWindow
import JSON

/// Changes of groups as clients write them.
enum GroupUpdate {
    /// What a document says of a group and everything below it: listed collections replace those that are there.
    ///
    /// - Throws: `MarathonError` 400, 409 or 422.
    static func change(_ document: JSON, of id: PathID, in definitions: any Definitions) throws -> DefinitionChange {
        var change = DefinitionChange()
        try apply(document, to: id, definitions, &change)
        for (id, spec) in change.specs.sorted(by: { $0.key < $1.key }) {
            guard spec != nil, let group = change.groups[id] ?? definitions.group(id), group.id == id, !id.isRoot else {
                continue
            }
            throw MarathonError.invalid("/groups", "app \(id) and group \(id) cannot share an id")
        }
        return change
    }

    private static func apply(
        _ document: JSON, to id: PathID, _ definitions: any Definitions, _ change: inout DefinitionChange
    ) throws {
        try Shapes.group.check(document)
        if !id.isRoot, let problem = id.problem { throw MarathonError.invalid("/id", problem) }
        var group = definitions.group(id) ?? GroupInfo(id: id, version: "")
        if let dependencies = document["dependencies"].array {
            group.dependencies = dependencies.compactMap(\.string).map { PathID($0, in: id.parent) }
        }
        if let enforces = document["enforceRole"].bool {
            guard id.segments.count == 1 else {
                throw MarathonError.invalid("/enforceRole", "enforceRole can only be set for top-level groups")
            }
            let isChanged = definitions.group(id).map { ($0.enforceRole ?? false) != enforces } ?? false
            if isChanged, ["apps", "pods", "groups"].contains(where: { !document[$0].isNull }) {
                throw MarathonError.invalid(
                    "/",
                    "enforceRole cannot be modified in a request that adds, removes or modifies services; please make these "
                        + "changes in separate requests.")
            }
            group.enforceRole = enforces
        }
        change.groups[id] = .some(group)
        try members(document["apps"], .app, of: id, definitions, &change)
        try members(document["pods"], .pod, of: id, definitions, &change)
        guard let listed = document["groups"].array else { return }
        var kept: Set<PathID> = []
        for (index, child) in listed.enumerated() {
            guard let text = child["id"].string else {
                throw MarathonError.malformed([Violation(path: "/groups(\(index))/id", message: "error.path.missing")])
            }
            let childID = PathID(text, in: id)
            guard childID.parent == id else {
                throw MarathonError.invalid("/groups(\(index))/id", "\(childID) is not a child of \(id)")
            }
            kept.insert(childID)
            try apply(child, to: childID, definitions, &change)
        }
        for group in definitions.groups(under: id)
        where group.id != id && group.id.parent == id && !kept.contains(group.id) {
            remove(group.id, definitions, &change)
        }
    }

    private static func members(
        _ list: JSON, _ kind: RunSpec.Kind, of id: PathID, _ definitions: any Definitions,
        _ change: inout DefinitionChange
    ) throws {
        guard let listed = list.array else { return }
        var kept: Set<PathID> = []
        let changed = { (change: DefinitionChange) in ChangedDefinitions(base: definitions, change: change) }
        for (index, member) in listed.enumerated() {
            try (kind == .app ? Shapes.app : Shapes.pod).check(member)
            let path = "/\(kind.rawValue)s(\(index))/id"
            guard let text = member["id"].string else {
                throw MarathonError.malformed([Violation(path: path, message: "error.path.missing")])
            }
            let memberID = PathID(text, in: id)
            guard memberID.parent == id else {
                throw MarathonError.invalid(path, "\(memberID) is not a member of \(id)")
            }
            guard kept.insert(memberID).inserted else {
                throw MarathonError.invalid(path, "\(memberID) is listed twice")
            }
            let role = definitions.spec(memberID)?.role
            change.specs[memberID] = .some(
                try Documents.complete(member, kind: kind, id: memberID, role: role, in: changed(change)))
        }
        for spec in definitions.specs(under: id)
        where spec.kind == kind && spec.id.parent == id && !kept.contains(spec.id) {
            change.specs[spec.id] = .some(nil)
        }
    }

    /// Removes a group with everything below it.
    static func remove(_ id: PathID, _ definitions: any Definitions, _ change: inout DefinitionChange) {
        for spec in definitions.specs(under: id) { change.specs[spec.id] = .some(nil) }
        for group in definitions.groups(under: id) where !group.id.isRoot { change.groups[group.id] = .some(nil) }
    }

    /// Multiplies the instances of everything below a group.
    static func scale(_ id: PathID, by factor: Double, in definitions: any Definitions) -> DefinitionChange {
        var change = DefinitionChange()
        for var spec in definitions.specs(under: id) {
            spec.instances = Int(bounded: (Double(spec.instances) * factor).rounded(.up))
            change.specs[spec.id] = .some(spec)
        }
        return change
    }
}
