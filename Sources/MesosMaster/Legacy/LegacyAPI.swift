import HTTPWindow
import JSON
import MesosModel

/// The JSON endpoints from before the v1 APIs, which user interfaces, the DC/OS command line and Mesos-DNS read.
struct LegacyAPI: Sendable {
    let backend: any OperatorBackend

    /// Registers every path, with its `.json` spelling where clients use it.
    func register(_ routes: Routes) {
        for name in ["state", "state-summary", "slaves", "frameworks", "tasks", "roles"] {
            for path in ["/\(name)", "/\(name).json"] { routes.add(path) { try await read(name, $0) } }
        }
        for path in ["/health", "/health.json"] { routes.add(path) { _ in WindowResponse(200) } }
        for path in ["/version", "/version.json"] { routes.add(path) { try await small($0) { $0.version } } }
        for path in ["/flags", "/flags.json"] { routes.add(path) { try await small($0) { ["flags": $0.flags] } } }
        for path in ["/metrics/snapshot", "/metrics/snapshot.json"] {
            routes.add(path) { try await small($0) { LegacyMetrics($0.reads, watchers: backend.events.count).json } }
        }
        for path in ["/system/stats.json", "/system/stats"] {
            routes.add(path) { try await small($0) { _ in SystemStats.json } }
        }
        routes.add("/redirect") { request in
            guard request.path.hasSuffix("/redirect") else { return WindowResponse(404) }
            let state = await backend.snapshot()
            let configuration = state.configuration
            return WindowResponse(
                307, headers: [("Location", "//\(configuration.address):\(configuration.port)")])
        }
        routes.add("/weights") { try await weights($0) }
        routes.add("/quota") { try await quota($0) }
        routes.add("/teardown") { try await teardown($0) }
        routes.add("/reserve") { try await resources($0, "RESERVE", "resources") }
        routes.add("/unreserve") { try await resources($0, "UNRESERVE", "resources") }
        routes.add("/create-volumes") { try await resources($0, "CREATE", "volumes") }
        routes.add("/destroy-volumes") { try await resources($0, "DESTROY", "volumes") }
        routes.add("/maintenance/schedule") { try await schedule($0) }
        routes.add("/maintenance/status") { try await small($0) { $0.reads.maintenanceStatus } }
        routes.add("/machine/down") { try await machines($0, "START_MAINTENANCE", "start_maintenance") }
        routes.add("/machine/up") { try await machines($0, "STOP_MAINTENANCE", "stop_maintenance") }
        routes.add("/files/browse") { try Self.files($0) }
        routes.add("/files/read") { try Self.files($0) }
        routes.add("/files/download") { try Self.files($0) }
        routes.add("/files/debug") { try await small($0) { _ in [:] } }
        routes.add("/logging/toggle") { try LogVerbosity.toggle($0) { DurationText.duration($0) } }
    }

    // MARK: Answers

    static func needs(_ request: WindowRequest, _ methods: String...) throws {
        let method = request.method == "HEAD" ? "GET" : request.method
        guard methods.contains(method) else {
            throw WindowError(
                405,
                "Expecting one of { \(methods.map { "'\($0)'" }.joined(separator: ", ")) }, but received '\(method)'.")
        }
    }

    /// A document that fits memory easily.
    private func small(_ request: WindowRequest, _ make: (LegacyJSON) -> JSON) async throws -> WindowResponse {
        try Self.needs(request, "GET")
        if !request.path.contains("/version") { try await mayRead(request) }
        return Self.answer(request, make(LegacyJSON(OperatorReads(await backend.snapshot()))))
    }

    static func answer(_ request: WindowRequest, _ json: JSON) -> WindowResponse {
        guard let name = callback(of: request) else { return WindowResponse(json: json) }
        return WindowResponse(
            200, headers: [("Content-Type", "text/javascript")], bytes: Array("\(name)(\(json));".utf8))
    }

    /// `?jsonp=name`: the name of a function; nothing else is put into a script.
    private static func callback(of request: WindowRequest) -> String? {
        guard let name = request.parameter("jsonp"), !name.isEmpty, name.utf8.count <= 128,
            name.unicodeScalars.allSatisfy({
                $0.isASCII && ($0.properties.isAlphabetic || "0123456789_$.[]".unicodeScalars.contains($0))
            })
        else { return nil }
        return name
    }

    /// A document that may be huge, written while the client reads.
    private func streamed(
        _ request: WindowRequest, _ write: @escaping @Sendable (inout JSONOutput) async throws -> Void
    ) -> WindowResponse {
        let callback = Self.callback(of: request)
        let type = callback == nil ? "application/json" : "text/javascript"
        return .inPieces(headers: [("Content-Type", type)]) { writer in
            var out = JSONOutput(writer)
            if let callback { out.raw("\(callback)(") }
            try await write(&out)
            if callback != nil { out.raw(");") }
            try await out.finish()
        }
    }

    private func mayRead(_ request: WindowRequest) async throws {
        try await backend.access.require(request.principal, .init("list", "tasks"))
    }

    private func read(_ name: String, _ request: WindowRequest) async throws -> WindowResponse {
        try Self.needs(request, "GET")
        try await mayRead(request)
        let legacy = LegacyJSON(OperatorReads(await backend.snapshot()))
        switch name {
        case "state": return streamed(request) { try await LegacyLists.state(legacy, &$0) }
        case "state-summary": return streamed(request) { try await LegacyLists.summary(legacy, &$0) }
        case "slaves":
            let id = request.parameter("slave_id")
            return streamed(request) { try await LegacyLists.agents(legacy, id: id, &$0) }
        case "frameworks":
            let id = request.parameter("framework_id")
            return streamed(request) { try await LegacyLists.frameworks(legacy, id: id, &$0) }
        case "tasks":
            let page = try LegacyLists.Page(request)
            return streamed(request) { try await LegacyLists.tasks(legacy, page, &$0) }
        default:
            return Self.answer(request, ["roles": .array(legacy.view.roleNames.map(legacy.role))])
        }
    }

    // MARK: Changes

    private func writes(_ request: WindowRequest) -> OperatorWrites {
        OperatorWrites(backend: backend, principal: request.principal)
    }

    private static func parse(_ bytes: some Sequence<UInt8>, _ what: String) throws -> JSON {
        do {
            return try JSON.parse(bytes)
        } catch {
            throw WindowError(400, "Failed to parse \(what): \(error)")
        }
    }

    private static func valid(_ change: () async throws -> Void) async throws {
        do { try await change() } catch let error as MesosError { throw WindowError(400, "\(error)") }
    }

    private func weights(_ request: WindowRequest) async throws -> WindowResponse {
        try Self.needs(request, "GET", "PUT")
        if request.method == "PUT" {
            let infos = try Self.parse(try await request.body(), "update weights request")
            guard let list = infos.array else {
                throw WindowError(400, "Failed to parse update weights request: an array is expected")
            }
            try await writes(request).setWeights(list)
            return WindowResponse(200)
        }
        try await mayRead(request)
        return Self.answer(request, OperatorReads(await backend.snapshot()).weights["weight_infos"])
    }

    private func quota(_ request: WindowRequest) async throws -> WindowResponse {
        try Self.needs(request, "GET", "POST", "DELETE")
        switch request.method {
        case "POST":
            let body = try Self.parse(try await request.body(), "set quota request")
            try await writes(request).setQuota(body)
            return WindowResponse(200)
        case "DELETE":
            let path = request.path.hasPrefix("/master/") ? request.path.dropFirst(7) : request.path[...]
            try await writes(request).removeQuota(String(path.dropFirst("/quota/".count)))
            return WindowResponse(200)
        default:
            try await mayRead(request)
            let status = OperatorReads(await backend.snapshot()).quota["status"]
            return Self.answer(request, ["infos": status["infos"], "configs": status["configs"]])
        }
    }

    private func teardown(_ request: WindowRequest) async throws -> WindowResponse {
        try Self.needs(request, "POST")
        let form = try await request.form()
        try await writes(request).teardown(form.first { $0.name == "frameworkId" }?.value ?? "")
        return WindowResponse(200)
    }

    /// Forms `slaveId=…&resources=[…]`.
    private func resources(_ request: WindowRequest, _ type: String, _ member: String) async throws -> WindowResponse {
        try Self.needs(request, "POST")
        let form = try await request.form()
        guard let agent = form.first(where: { $0.name == "slaveId" })?.value else {
            throw WindowError(400, "Missing 'slaveId' query parameter in the request body")
        }
        guard let text = form.first(where: { $0.name == member })?.value else {
            throw WindowError(400, "Missing '\(member)' query parameter in the request body")
        }
        guard let list = try Self.parse(text.utf8, "'\(member)'").array else {
            throw WindowError(400, "Error in parsing '\(member)': an array is expected")
        }
        var status = 202
        try await Self.valid {
            // The old form of a reservation, `role` and `reservation`, becomes the new one as it is read.
            let refined = try Resources(.array(list)).json
            status = try await writes(request).operate(
                ["agent_id": Message.id(agent)], ["type": .string(type), type.lowercased(): [member: refined]])
        }
        return WindowResponse(status)
    }

    private func schedule(_ request: WindowRequest) async throws -> WindowResponse {
        try Self.needs(request, "GET", "POST")
        guard request.method == "POST" else {
            try await mayRead(request)
            return Self.answer(request, OperatorReads(await backend.snapshot()).schedule)
        }
        let body = try Self.parse(try await request.body(), "maintenance schedule")
        try await Self.valid {
            try await writes(request).setSchedule(try MesosCodec.conform(body, as: "mesos.v1.maintenance.Schedule"))
        }
        return WindowResponse(200)
    }

    private func machines(_ request: WindowRequest, _ call: String, _ member: String) async throws -> WindowResponse {
        try Self.needs(request, "POST")
        guard let list = try Self.parse(try await request.body(), "list of machines").array else {
            throw WindowError(400, "Failed to parse list of machines: an array is expected")
        }
        _ = try await writes(request).perform(call, [member: ["machines": .array(list)]])
        return WindowResponse(200)
    }

    /// The master keeps no files; sandboxes are the agents'.
    private static func files(_ request: WindowRequest) throws -> WindowResponse {
        try needs(request, "GET")
        guard let path = request.parameter("path") else { throw WindowError(400, "Expecting 'path=value' in query") }
        if request.path.hasSuffix("/browse"), path == "/" || path.isEmpty { return answer(request, []) }
        throw WindowError(404, "There is no \(path): the master keeps no files, sandboxes are read from the agent")
    }
}
