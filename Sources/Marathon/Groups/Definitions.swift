import JSON

/// A group as it is stored: what it says itself; its members are found by their ids.
struct GroupInfo: Sendable, Equatable {
    var id: PathID
    var dependencies: [PathID] = []
    var enforceRole: Bool?
    var version = ""

    init(id: PathID, version: String) {
        self.id = id
        self.version = version
    }

    /// Reads the `spec` of a stored group.
    init(_ json: JSON) {
        id = PathID(json["id"].string ?? "")
        dependencies = json["dependencies"].elements.compactMap(\.string).map { PathID($0) }
        enforceRole = json["enforceRole"].bool
        version = json["version"].string ?? ""
    }

    /// As it is stored.
    var json: JSON {
        var json: JSON = [
            "id": .string(id.text), "dependencies": .array(dependencies.map { .string($0.text) }),
            "version": .string(version),
        ]
        json.setMember("enforceRole", enforceRole.map(JSON.bool))
        return json
    }
}

/// What is defined: read by plans and by the API.
protocol Definitions: Sendable {
    func spec(_ id: PathID) -> RunSpec?
    func group(_ id: PathID) -> GroupInfo?
    /// Apps and pods below a group, at any depth; an app's own id finds the app.
    func specs(under id: PathID) -> [RunSpec]
    /// Groups below a group, at any depth, itself included.
    func groups(under id: PathID) -> [GroupInfo]
    /// Names under which apps may ask for the pod network.
    var networkNames: Set<String> { get }
}

extension Definitions {
    /// DC/OS's overlay is there without being asked for.
    static var standardNetworks: Set<String> { ["dcos"] }
    var networkNames: Set<String> { Self.standardNetworks }
}

/// A change of definitions: what is named here is set or removed, everything else stays.
struct DefinitionChange: Sendable {
    /// Nil removes.
    var specs: [PathID: RunSpec?] = [:]
    /// Nil removes.
    var groups: [PathID: GroupInfo?] = [:]
    /// What is restarted whether its definition changed or not.
    var restarts: Set<PathID> = []
    /// Instances to kill first when something is scaled down, by name of their pods.
    var victims: [PathID: [String]] = [:]

    var isEmpty: Bool { specs.isEmpty && groups.isEmpty && restarts.isEmpty }
    /// The group that it is a change of: the uppermost one, or the one that holds what changes.
    var group: PathID {
        groups.keys.min { $0.segments.count < $1.segments.count }
            ?? Set(specs.keys).union(restarts).map(\.parent).min { $0.segments.count < $1.segments.count } ?? .root
    }
}

/// Definitions with a change laid over them.
struct ChangedDefinitions: Definitions {
    let base: any Definitions
    let change: DefinitionChange

    var networkNames: Set<String> { base.networkNames }

    func spec(_ id: PathID) -> RunSpec? {
        if let changed = change.specs[id] { return changed }
        return base.spec(id)
    }
    func group(_ id: PathID) -> GroupInfo? {
        if let changed = change.groups[id] { return changed }
        return base.group(id)
    }
    func specs(under id: PathID) -> [RunSpec] {
        base.specs(under: id).filter { change.specs[$0.id] == nil }
            + change.specs.filter { id.contains($0.key) }.compactMap(\.value)
    }
    func groups(under id: PathID) -> [GroupInfo] {
        base.groups(under: id).filter { change.groups[$0.id] == nil }
            + change.groups.filter { id.contains($0.key) }.compactMap(\.value)
    }
}

/// The order in which things start: what they depend on comes first.
struct DependencyOrder {
    let definitions: any Definitions
    private var levels: [PathID: Int] = [:]
    private var visiting: Set<PathID> = []

    init(_ definitions: any Definitions) { self.definitions = definitions }

    /// Apps and pods that one needs: its own dependencies and those of the groups around it.
    private func needs(_ spec: RunSpec) -> Set<PathID> {
        var paths = spec.dependencies
        for ancestor in spec.id.ancestors { paths += definitions.group(ancestor)?.dependencies ?? [] }
        var found: Set<PathID> = []
        for path in Set(paths) {
            for needed in definitions.specs(under: path) where needed.id != spec.id { found.insert(needed.id) }
        }
        return found
    }

    /// The length of the longest path of dependencies below it; 0 when it needs nothing.
    /// - Throws: `MarathonError` 422 when dependencies form a circle.
    mutating func level(of id: PathID) throws(MarathonError) -> Int {
        if let known = levels[id] { return known }
        guard let spec = definitions.spec(id) else { return 0 }
        guard visiting.insert(id).inserted else {
            throw .invalid("/dependencies", "Dependency graph has cyclic dependencies.")
        }
        var level = 0
        for needed in needs(spec) { level = max(level, try self.level(of: needed) + 1) }
        visiting.remove(id)
        levels[id] = level
        return level
    }
}
