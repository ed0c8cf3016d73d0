import HTTPWindow
import JSON

extension MarathonAPI {
    /// `/v2/groups…`.
    func groups(_ request: WindowRequest, _ path: [String]) async throws -> WindowResponse {
        let force = request.flag("force")
        if let index = path.lastIndex(of: "versions"), index >= path.count - 2 {
            return try await groupVersions(
                request, id(path.prefix(index)), Array(path.dropFirst(index + 1)), force: force)
        }
        if path.last == "apps", request.method == "GET" {
            let group = id(path.dropLast())
            let found = state.specs(under: group).filter { $0.kind == .app }.sorted { $0.id < $1.id }
            let specs = await permissions(request).readable(found)
            if specs.isEmpty, !group.isRoot { try await permissions(request).requireRead(group: group) }
            guard state.group(group) != nil else { throw MarathonError.noGroup(group) }
            var embedding = Embedding(request, prefixes: ["group.apps.", "apps.", "app."])
            embedding.counts = true
            embedding.deployments = true
            return WindowResponse(json: ["apps": .array(specs.map { info.json($0, embedding) })])
        }
        let group = id(path)
        switch request.method {
        case "GET", "HEAD": return try await getGroup(request, group)
        case "POST": return try await createGroup(request, in: group, force: force)
        case "PUT": return try await updateGroup(request, group, force: force)
        case "PATCH": return try await patchGroup(request, group, force: force)
        case "DELETE": return try await deleteGroup(request, group, force: force)
        default: throw Self.notAllowed(request.method)
        }
    }

    // MARK: Reading

    private func getGroup(_ request: WindowRequest, _ id: PathID) async throws -> WindowResponse {
        let permissions = permissions(request)
        let specs = await permissions.readable(state.specs(under: id))
        // The root is there for everybody, with what each may see.
        if specs.isEmpty, !id.isRoot { try await permissions.requireRead(group: id) }
        let groups = await permissions.readable(state.groups(under: id), holding: specs)
        guard state.group(id) != nil else { throw MarathonError.noGroup(id) }
        let wanted = Set(request.values("embed"))
        let isPlain = wanted.isEmpty
        let tree = GroupTree(
            specs: specs, groups: groups,
            showsGroups: isPlain || wanted.contains("group.groups") || wanted.contains("groups"),
            showsApps: isPlain || wanted.contains { $0.hasPrefix("group.apps") || $0 == "apps" },
            showsPods: isPlain || wanted.contains { $0.hasPrefix("group.pods") || $0 == "pods" })
        let embedding = Embedding(request, prefixes: ["group.apps.", "apps.", "app."])
        return WindowResponse(json: tree.json(id) { $0.kind == .app ? info.json($0, embedding) : $0.document })
    }

    /// Versions of a group are those of everything in it.
    private func groupVersions(
        _ request: WindowRequest, _ id: PathID, _ rest: [String], force: Bool
    ) async throws -> WindowResponse {
        try await permissions(request).requireRead(group: id)
        guard let group = state.group(id) else { throw MarathonError.noGroup(id) }
        guard let wanted = rest.first else {
            var versions = Set(state.versions.all.filter { id.contains($0.id) }.map(\.version))
            versions.formUnion(state.groups(under: id).map(\.version))
            versions.insert(group.version)
            return WindowResponse(json: JSON(versions.sorted(by: >).prefix(100).map(\.self)))
        }
        if request.method == "PUT" {
            return try await rollBack(request, id, to: wanted, force: force)
        }
        let past = try past(of: id, at: wanted)
        let tree = GroupTree(specs: past.specs.compactMap(\.value), groups: state.groups(under: id))
        return WindowResponse(json: tree.json(id, version: wanted, \.document))
    }

    /// What was defined below a group at a version; nil: it was not there.
    private func past(of id: PathID, at version: String) throws -> DefinitionChange {
        var newest: [PathID: StoredVersion] = [:]
        var isKnown = state.groups(under: id).contains { $0.version == version }
        for stored in state.versions.all where id.contains(stored.id) {
            if stored.version == version { isKnown = true }
            guard stored.version <= version else { continue }
            if newest[stored.id].map({ $0.version < stored.version }) ?? true { newest[stored.id] = stored }
        }
        guard isKnown else { throw MarathonError.noGroup(id, version: version) }
        var change = DefinitionChange()
        for spec in state.specs(under: id) { change.specs[spec.id] = .some(nil) }
        for (id, stored) in newest { change.specs[id] = .some(stored.spec) }
        return change
    }

    // MARK: Changing

    private func createGroup(_ request: WindowRequest, in parent: PathID, force: Bool) async throws -> WindowResponse {
        let document = try await request.document()
        try Shapes.group.check(document)
        let id = document["id"].string.map { PathID($0, in: parent) } ?? parent
        let isDefined = state.storedGroup(id) != nil && !id.isRoot
        if isDefined || state.spec(id) != nil { try await permissions(request).requireRead(group: id) }
        if isDefined { throw MarathonError(409, "Group \(id) is already created. Use PUT to change this group.") }
        if state.spec(id) != nil { throw MarathonError(409, "An app with the path \(id) already exists.") }
        let result = try await changes.submit("Group", force: force, by: permissions(request)) { definitions, _ in
            try GroupUpdate.change(document, of: id, in: definitions)
        }
        return Self.result(result, status: 201, location: "/v2/groups\(id)")
    }

    private func updateGroup(_ request: WindowRequest, _ path: PathID, force: Bool) async throws -> WindowResponse {
        let document = try await request.document()
        try Shapes.group.check(document)
        let id = document["id"].string.map { PathID($0, in: path.isRoot ? .root : path.parent) } ?? path
        if id != path, !path.isRoot { throw MarathonError(422, "id in the body must be the id of the path: \(path)") }
        if let version = document["version"].string, document["apps"].isNull, document["groups"].isNull {
            return try await rollBack(request, id, to: version, force: force)
        }
        let make: @Sendable (any Definitions, String) throws -> DefinitionChange = { definitions, _ in
            if let factor = document["scaleBy"].double {
                guard definitions.group(id) != nil else { throw MarathonError.noGroup(id) }
                return GroupUpdate.scale(id, by: factor, in: definitions)
            }
            return try GroupUpdate.change(document, of: id, in: definitions)
        }
        if request.flag("dryRun") {
            let steps = try await changes.plan(by: permissions(request), make)
            return WindowResponse(json: ["steps": .array(steps.map { ["actions": .array($0.map(\.json))] })])
        }
        return Self.result(try await changes.submit("Group", force: force, by: permissions(request), make))
    }

    private func rollBack(_ request: WindowRequest, _ id: PathID, to version: String, force: Bool) async throws
        -> WindowResponse
    {
        let past = try past(of: id, at: version)
        let result = try await changes.submit("Group", force: force, by: permissions(request)) { _, _ in
            var change = past
            for (id, spec) in past.specs {
                guard var spec else { continue }
                spec.json.removeMember("version")
                spec.json.removeMember("versionInfo")
                change.specs[id] = .some(spec)
            }
            return change
        }
        return Self.result(result)
    }

    private func patchGroup(_ request: WindowRequest, _ id: PathID, force: Bool) async throws -> WindowResponse {
        let document = try await request.document()
        try Shapes.group.check(document)
        guard Set(document.withoutNulls.members.keys) == ["enforceRole"] else {
            throw MarathonError.invalid("/", "only enforceRole can be patched")
        }
        try await permissions(request).requireRead(group: id)
        guard state.group(id) != nil else { throw MarathonError.noGroup(id) }
        let result = try await changes.submit("Group", force: force, by: permissions(request)) { definitions, _ in
            try GroupUpdate.change(document, of: id, in: definitions)
        }
        return Self.result(result)
    }

    private func deleteGroup(_ request: WindowRequest, _ id: PathID, force: Bool) async throws -> WindowResponse {
        if state.group(id) == nil { try await permissions(request).requireRead(group: id) }
        guard state.group(id) != nil else { throw MarathonError.noGroup(id) }
        let result = try await changes.submit("Group", force: force, by: permissions(request)) { definitions, _ in
            var change = DefinitionChange()
            GroupUpdate.remove(id, definitions, &change)
            return change
        }
        return Self.result(result)
    }
}

/// Groups as nested documents.
struct GroupTree {
    private var specsByParent: [PathID: [RunSpec]]
    private var groupsByParent: [PathID: [GroupInfo]]
    private var byID: [PathID: GroupInfo]
    var showsGroups: Bool
    var showsApps: Bool
    var showsPods: Bool

    init(
        specs: [RunSpec], groups: [GroupInfo], showsGroups: Bool = true, showsApps: Bool = true, showsPods: Bool = true
    ) {
        specsByParent = Dictionary(grouping: specs) { $0.id.parent }
        groupsByParent = Dictionary(grouping: groups.filter { !$0.id.isRoot }) { $0.id.parent }
        byID = Dictionary(groups.map { ($0.id, $0) }) { $1 }
        self.showsGroups = showsGroups
        self.showsApps = showsApps
        self.showsPods = showsPods
    }

    func json(_ id: PathID, version: String? = nil, _ render: (RunSpec) -> JSON) -> JSON {
        let group = byID[id] ?? GroupInfo(id: id, version: "")
        let members = (specsByParent[id] ?? []).sorted { $0.id < $1.id }
        var json: JSON = [
            "id": .string(id.text), "dependencies": .array(group.dependencies.map { .string($0.text) }),
            "version": .string(version ?? group.version),
        ]
        if showsApps { json["apps"] = .array(members.filter { $0.kind == .app }.map(render)) }
        if showsPods { json["pods"] = .array(members.filter { $0.kind == .pod }.map(render)) }
        if showsGroups {
            json["groups"] = .array(
                (groupsByParent[id] ?? []).sorted { $0.id < $1.id }.map { self.json($0.id, version: version, render) })
        }
        // Clients from before 1.9 fail on members that they do not know.
        if group.enforceRole == true { json["enforceRole"] = true }
        return json
    }
}
