import HTTPWindow
import JSON
import ObjectModel

extension MarathonAPI {
    private static func wantsText(_ request: WindowRequest) -> Bool {
        let accepted = request.header("accept") ?? ""
        return accepted.contains("text/plain") && !accepted.contains("json")
    }

    /// Lines `app<TAB>servicePort<TAB>host:port…`.
    private func table(_ specs: [RunSpec]) -> WindowResponse {
        var text = ""
        for spec in specs.sorted(by: { $0.id < $1.id }) {
            let running = state.instances(of: spec.id).filter(\.isRunning).sorted { $0.id < $1.id }
            let name = spec.id.segments.joined(separator: "_")
            let ports = spec.servicePorts
            if ports.isEmpty { text += "\(name)\t \t" + running.map(\.host).joined(separator: "\t") + "\t\n" }
            for (index, port) in ports.enumerated() {
                let places = running.map { "\($0.host):\($0.ports.indices.contains(index) ? $0.ports[index] : 0)\t" }
                text += "\(name)\t\(port)\t" + places.joined() + "\n"
            }
        }
        return WindowResponse(200, text: text)
    }

    /// `/v2/apps/{id}/tasks…`.
    func appTasks(_ request: WindowRequest, _ path: some Collection<String>, _ rest: [String]) async throws
        -> WindowResponse
    {
        let isGlob = path.contains("*")
        let id = id(path.filter { $0 != "*" })
        let specs: [RunSpec]
        if isGlob {
            specs = await permissions(request).readable(state.specs(under: id).filter { $0.kind == .app })
        } else {
            specs = [try await app(id, request)]
        }
        switch (request.method, rest.first) {
        case ("GET", nil), ("HEAD", nil):
            if Self.wantsText(request) { return table(specs) }
            let tasks = specs.sorted { $0.id < $1.id }.flatMap { info.tasks(state.instances(of: $0.id), $0) }
            return WindowResponse(json: ["tasks": .array(tasks)])
        case ("DELETE", nil):
            let host = request.parameter("host")
            let chosen = state.instances(of: id).filter { instance in
                instance.isBound && !instance.isTerminal && (host ?? "*") == "*"
                    || instance.host == host && !instance.isTerminal || instance.node == host && !instance.isTerminal
            }
            return try await kill(chosen, request) { tasks in ["tasks": .array(tasks)] }
        case ("DELETE", .some(let task)):
            guard let instance = state.instance(task), instance.spec == id, !instance.isTerminal else {
                throw MarathonError(404, "Task '\(task)' does not exist")
            }
            return try await kill([instance], request) { tasks in ["task": tasks.first ?? .null] }
        default: throw Self.notAllowed(request.method)
        }
    }

    /// Kills instances, and lowers the number that shall run when `scale` says so.
    func kill(
        _ instances: [Instance], _ request: WindowRequest, _ body: ([JSON]) -> JSON
    ) async throws -> WindowResponse {
        let (scale, wipe) = (request.flag("scale"), request.flag("wipe"))
        if scale, wipe { throw MarathonError(400, "You cannot use scale and wipe at the same time.") }
        let live = instances.filter { !$0.isTerminating }
        let byApp = Dictionary(grouping: live) { $0.spec }
        let permissions = permissions(request)
        for (id, killed) in byApp.sorted(by: { $0.key < $1.key }) {
            try await permissions.require("update", state.spec(id) ?? killed[0].definition)
        }
        if scale, !byApp.isEmpty {
            let result = try await changes.submit("App", force: request.flag("force"), by: permissions) {
                definitions, _ in
                var change = DefinitionChange()
                for (id, killed) in byApp {
                    guard var spec = definitions.spec(id) else { continue }
                    spec.instances = max(0, spec.instances - killed.count)
                    change.specs[id] = .some(spec)
                    change.victims[id] = killed.map(\.object.name)
                }
                return change
            }
            return Self.result(result)
        }
        let tasks = live.flatMap { instance in
            let spec = state.spec(instance.spec)
            return instance.tasks.map { TaskJSON.task($0, of: instance, spec, state) }
        }
        if wipe {
            for (id, killed) in byApp { try await executor.residency.wipe(id, uuids: Set(killed.map(\.uuid))) }
        }
        try await executor.kill(live, reason: "killed through the API")
        return WindowResponse(json: body(tasks))
    }

    /// `/v2/tasks…`.
    func tasks(_ request: WindowRequest, _ path: [String]) async throws -> WindowResponse {
        if path == ["delete"] {
            guard request.method == "POST" else { throw Self.notAllowed(request.method) }
            let document = try await request.document()
            guard let ids = document["ids"].array?.compactMap(\.string) else {
                throw MarathonError.malformed([Violation(path: "/ids", message: "error.path.missing")])
            }
            var found: [Instance] = []
            for id in ids {
                guard id.contains(".") else { throw MarathonError(400, "Invalid task id '\(id)'.") }
                guard let instance = state.instance(id), !instance.isTerminal else { continue }
                if !found.contains(where: { $0.uid == instance.uid }) { found.append(instance) }
            }
            return try await kill(found, request) { tasks in ["tasks": .array(tasks)] }
        }
        guard path.isEmpty else { throw Self.noSuchURI }
        guard request.method == "GET" || request.method == "HEAD" else { throw Self.notAllowed(request.method) }
        let specs = await permissions(request).readable(state.specs(under: .root).filter { $0.kind == .app })
        if Self.wantsText(request) { return table(specs) }
        let states = Set(request.values("status").map { "TASK_\($0.uppercased())" })
        var tasks: [JSON] = []
        for spec in specs.sorted(by: { $0.id < $1.id }) {
            for task in info.tasks(state.instances(of: spec.id), spec)
            where states.isEmpty || states.contains(task["state"].string ?? "") { tasks.append(task) }
        }
        return WindowResponse(json: ["tasks": .array(tasks)])
    }
}
