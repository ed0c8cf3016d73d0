import HTTPWindow
import JSON
import ObjectModel

extension MarathonAPI {
    /// `/v2/apps…`.
    func apps(_ request: WindowRequest, _ path: [String]) async throws -> WindowResponse {
        let force = request.flag("force")
        guard !path.isEmpty else {
            switch request.method {
            case "GET", "HEAD": return try await listApps(request)
            case "POST": return try await createApp(request, force: force)
            case "PUT", "PATCH": return try await updateApps(request, force: force)
            default: throw Self.notAllowed(request.method)
            }
        }
        if path.last == "restart", path.count > 1 {
            guard request.method == "POST" else { throw Self.notAllowed(request.method) }
            return try await restart(request, id(path.dropLast()), force: force)
        }
        if let index = path.lastIndex(of: "tasks"), index > 0, index >= path.count - 2 {
            return try await appTasks(request, path.prefix(index), Array(path.dropFirst(index + 1)))
        }
        if let index = path.lastIndex(of: "versions"), index > 0, index >= path.count - 2 {
            return try await versions(request, id(path.prefix(index)), Array(path.dropFirst(index + 1)))
        }
        switch request.method {
        case "GET", "HEAD": return try await getApp(request, path)
        case "PUT": return try await putApp(request, id(path), force: force, mayCreate: true)
        case "PATCH": return try await putApp(request, id(path), force: force, mayCreate: false)
        case "DELETE": return try await deleteApp(request, id(path))
        default: throw Self.notAllowed(request.method)
        }
    }

    func id(_ path: some Sequence<String>) -> PathID { PathID("/" + path.joined(separator: "/")) }

    /// An app that the principal may read.
    func app(_ id: PathID, _ request: WindowRequest) async throws -> RunSpec {
        let spec = state.spec(id)
        // Who may not see an app is not told whether it is there.
        try await permissions(request).requireRead(spec ?? RunSpec(kind: .app, json: ["id": .string(id.text)]))
        guard let spec, spec.kind == .app else { throw MarathonError.noApp(id) }
        return spec
    }

    // MARK: Reading

    private func listApps(_ request: WindowRequest) async throws -> WindowResponse {
        var embedding = Embedding(request, prefixes: ["apps.", "app."])
        embedding.counts = true
        embedding.deployments = true
        let command = request.parameter("cmd")
        let fragment = request.parameter("id")?.lowercased()
        let selector = try request.parameter("label").map(Self.selector)
        var found: [(spec: RunSpec, object: Object)] = []
        for stored in state.apps.all {
            guard let spec = stored.isAdopted ? stored.spec : state.spec(stored.spec.id), spec.kind == .app else {
                continue
            }
            if let fragment, !fragment.isEmpty, !spec.id.text.lowercased().contains(fragment) { continue }
            if let command, !command.isEmpty,
                !(spec.json["cmd"].string ?? "").lowercased().contains(command.lowercased())
            {
                continue
            }
            if let selector, !selector.matches(spec.labels) { continue }
            found.append((spec, stored.object))
        }
        let readable = await Set(permissions(request).readable(found.map(\.spec)).map(\.id))
        found = found.filter { readable.contains($0.spec.id) }
        found.sort { $0.object.name < $1.object.name }
        return WindowResponse(
            200, headers: [("Content-Type", "application/json")], bytes: cache.list(found, embedding))
    }

    private static func selector(_ text: String) throws -> LabelSelector {
        do throws(SelectorError) {
            return try LabelSelector(parsing: text)
        } catch {
            throw MarathonError(422, "invalid label selector: \(error)")
        }
    }

    private func getApp(_ request: WindowRequest, _ path: [String]) async throws -> WindowResponse {
        var embedding = Embedding(request, prefixes: ["app.", "apps."])
        embedding.counts = true
        embedding.tasks = true
        embedding.deployments = true
        embedding.lastTaskFailure = true
        if path.last == "*" {
            let all = state.specs(under: id(path.dropLast())).filter { $0.kind == .app }.sorted { $0.id < $1.id }
            let specs = await permissions(request).readable(all)
            return WindowResponse(json: ["*": .array(specs.map { info.json($0, embedding) })])
        }
        return WindowResponse(json: ["app": info.json(try await app(id(path), request), embedding)])
    }

    private func versions(_ request: WindowRequest, _ id: PathID, _ rest: [String]) async throws -> WindowResponse {
        let current = try await app(id, request)
        guard let wanted = rest.first else {
            var versions = state.history(id).filter { $0.spec != nil }.map(\.version)
            if !versions.contains(current.version) { versions.insert(current.version, at: 0) }
            return WindowResponse(json: ["versions": JSON(versions)])
        }
        if wanted == current.version { return WindowResponse(json: current.document) }
        guard let spec = state.version(id, wanted)?.spec else { throw MarathonError.noApp(id, version: wanted) }
        return WindowResponse(json: spec.document)
    }

    // MARK: Changing

    private func createApp(_ request: WindowRequest, force: Bool) async throws -> WindowResponse {
        let document = try await request.document()
        try Shapes.app.check(document)
        guard let text = document["id"].string else {
            throw MarathonError.malformed([Violation(path: "/id", message: "error.path.missing")])
        }
        let id = PathID(text)
        if let existing = state.spec(id) { try await permissions(request).requireRead(existing) }
        let result = try await changes.submit("App", force: force, by: permissions(request)) { definitions, _ in
            if definitions.spec(id) != nil { throw MarathonError(409, "An app with id [\(id)] already exists.") }
            var change = DefinitionChange()
            change.specs[id] = .some(try Documents.complete(document, kind: .app, id: id, in: definitions))
            return change
        }
        announce(request, id)
        var json = (state.spec(id) ?? RunSpec(kind: .app, json: document)).document
        for count in ["tasksStaged", "tasksRunning", "tasksHealthy", "tasksUnhealthy"] { json[count] = 0 }
        json["deployments"] = [["id": .string(result.deployment)]]
        return WindowResponse(
            201, headers: [("Marathon-Deployment-Id", result.deployment), ("Location", "/v2/apps\(id)")], json: json)
    }

    private func announce(_ request: WindowRequest, _ id: PathID) {
        guard let spec = state.spec(id) else { return }
        bus.publish(
            "api_post_event",
            [
                "clientIp": .string(Self.clientAddress(request)), "uri": .string(request.path),
                "appDefinition": spec.document,
            ])
    }

    private func putApp(_ request: WindowRequest, _ id: PathID, force: Bool, mayCreate: Bool) async throws
        -> WindowResponse
    {
        var document = try await request.document()
        try Shapes.app.check(document)
        // The path says which app is meant.
        document.removeMember("id")
        let isNew = state.spec(id) == nil
        if let existing = state.spec(id) { try await permissions(request).require("update", existing) }
        if isNew, !mayCreate { _ = try await app(id, request) }
        let isPartial = request.flag("partialUpdate", default: true) || !mayCreate
        let update = document
        let result = try await changes.submit("App", force: force, by: permissions(request)) { [self] definitions, _ in
            var change = DefinitionChange()
            change.specs[id] = .some(try updated(id, update, isPartial: isPartial, in: definitions))
            return change
        }
        announce(request, id)
        return Self.result(result, status: isNew ? 201 : 200, location: isNew ? "/v2/apps\(id)" : nil)
    }

    /// An app after an update: of what it is, or a version that it was.
    private func updated(_ id: PathID, _ update: JSON, isPartial: Bool, in definitions: any Definitions) throws
        -> RunSpec
    {
        guard let existing = definitions.spec(id) else {
            return try Documents.complete(update, kind: .app, id: id, in: definitions)
        }
        guard existing.kind == .app else { throw MarathonError(409, "A pod with id [\(id)] already exists.") }
        if let version = update["version"].string {
            let others = update.withoutNulls.members.keys.filter { $0 != "version" && $0 != "id" }
            guard others.isEmpty else {
                throw MarathonError.invalid("/", "The 'version' field may only be combined with the 'id' field.")
            }
            guard var old = version == existing.version ? existing : state.version(id, version)?.spec else {
                throw MarathonError.noApp(id, version: version)
            }
            old.json.removeMember("version")
            old.json.removeMember("versionInfo")
            return old
        }
        return try Documents.updated(existing, with: update, isPartial: isPartial, in: definitions)
    }

    private func updateApps(_ request: WindowRequest, force: Bool) async throws -> WindowResponse {
        let document = try await request.document()
        guard let updates = document.array else {
            throw MarathonError.malformed([Violation(path: "/", message: "error.expected.jsarray")])
        }
        let isPatch = request.method == "PATCH"
        let isPartial = isPatch || request.flag("partialUpdate", default: true)
        for update in updates { try Shapes.app.check(update) }
        let result = try await changes.submit("App", force: force, by: permissions(request)) { [self] definitions, _ in
            var change = DefinitionChange()
            for (index, update) in updates.enumerated() {
                guard let text = update["id"].string else {
                    throw MarathonError.malformed([Violation(path: "(\(index))/id", message: "error.path.missing")])
                }
                let id = PathID(text)
                if isPatch, definitions.spec(id) == nil { throw MarathonError.noApp(id) }
                var update = update
                update.removeMember("id")
                change.specs[id] = .some(
                    try updated(
                        id, update, isPartial: isPartial, in: ChangedDefinitions(base: definitions, change: change)))
            }
            return change
        }
        return Self.result(result)
    }

    private func deleteApp(_ request: WindowRequest, _ id: PathID) async throws -> WindowResponse {
        let force = request.flag("force", default: true)
        if state.spec(id) == nil { _ = try await app(id, request) }
        let result = try await changes.submit("App", force: force, by: permissions(request)) { definitions, _ in
            guard definitions.spec(id) != nil else { throw MarathonError.noApp(id) }
            var change = DefinitionChange()
            change.specs[id] = .some(nil)
            return change
        }
        return Self.result(result)
    }

    private func restart(_ request: WindowRequest, _ id: PathID, force: Bool) async throws -> WindowResponse {
        if state.spec(id) == nil { _ = try await app(id, request) }
        let result = try await changes.submit("App", force: force, by: permissions(request)) { definitions, _ in
            guard definitions.spec(id) != nil else { throw MarathonError.noApp(id) }
            var change = DefinitionChange()
            change.restarts = [id]
            return change
        }
        return Self.result(result)
    }
}
