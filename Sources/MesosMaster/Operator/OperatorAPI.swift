import HTTPWindow
import JSON
import MesosModel

/// The v1 operator API: `POST /api/v1` with a `mesos.v1.master.Call`.
struct OperatorAPI: Sendable {
    let backend: any OperatorBackend

    func answer(_ request: WindowRequest) async throws -> WindowResponse {
        guard request.method == "POST" else {
            return WindowResponse(
                405, headers: [("Allow", "POST")],
                text: "Expecting one of { 'POST' }, but received '\(request.method)'.")
        }
        guard let type = request.header("content-type") else {
            throw WindowError(400, "Expecting 'Content-Type' to be present")
        }
        guard let format = MesosFormat(contentType: type) else {
            throw WindowError(415, "Expecting 'Content-Type' of application/json or application/x-protobuf")
        }
        guard let accepted = Self.accepted(request.header("accept")) else {
            throw WindowError(406, Calls.notAcceptable)
        }
        let call = try Calls.decode(
            try await request.body(limit: MesosCodec.maximumBytes), as: "mesos.v1.master.Call", format)
        guard call["type"].string != nil else {
            throw WindowError(400, "Failed to validate master::Call: Expecting 'type' to be present")
        }
        let name = call["type"].string ?? "UNKNOWN"
        do {
            if name == "SUBSCRIBE" || name.hasPrefix("GET_") && name != "GET_HEALTH" && name != "GET_VERSION" {
                try await backend.access.require(request.principal, .init("list", "tasks"))
            }
            if name == "SUBSCRIBE" { return await subscribe(accepted) }
            if let answer = try await read(name, call, accepted) { return answer }
            if let status = try await OperatorWrites(backend: backend, principal: request.principal).perform(name, call)
            {
                return WindowResponse(status)
            }
        } catch let error as MesosError {
            throw WindowError(400, "\(error)")
        }
        throw WindowError(501, "The call \(name) is not supported")
    }

    /// The format of the answer; JSON wins when both will do. Nil: neither will.
    static func accepted(_ header: String?) -> MesosFormat? {
        guard let header, !header.isEmpty else { return .json }
        let types = header.split(separator: ",").map { $0.prefix { $0 != ";" }.filter { $0 != " " }.lowercased() }
        if types.contains(where: { ["application/json", "application/*", "*/*"].contains($0) }) { return .json }
        return types.contains("application/x-protobuf") ? .protobuf : nil
    }

    // MARK: Reads

    private func read(_ name: String, _ call: JSON, _ format: MesosFormat) async throws -> WindowResponse? {
        func answer(_ tree: JSON) throws -> WindowResponse {
            let member = name.lowercased()
            let bytes = try MesosCodec.encode(
                ["type": .string(name), member: tree], as: "mesos.v1.master.Response", format: format)
            return WindowResponse(200, headers: [("Content-Type", format.contentType)], bytes: bytes)
        }
        switch name {
        case "GET_HEALTH": return try answer(["healthy": true])
        case "GET_LOGGING_LEVEL": return try answer(["level": JSON(LogVerbosity.level)])
        case "LIST_FILES":
            guard ["", "/"].contains(call["list_files"]["path"].string ?? "") else {
                throw WindowError(404, "There is no \(call["list_files"]["path"].string ?? "")")
            }
            return try answer([:])
        case "READ_FILE":
            throw WindowError(
                404, "The master keeps no log file: it writes to standard error. Sandboxes are read from the agent")
        case "SET_LOGGING_LEVEL":
            let wish = call["set_logging_level"]
            guard let level = wish["level"].int, let duration = wish["duration"]["nanoseconds"].int else {
                throw WindowError(400, "Expecting 'set_logging_level' to have a level and a duration")
            }
            try LogVerbosity.set(level, for: .nanoseconds(duration))
            return WindowResponse(202)
        case "GET_STATE", "GET_AGENTS", "GET_FRAMEWORKS", "GET_EXECUTORS", "GET_OPERATIONS", "GET_TASKS", "GET_ROLES",
            "GET_WEIGHTS", "GET_MASTER", "GET_MAINTENANCE_STATUS", "GET_MAINTENANCE_SCHEDULE", "GET_QUOTA", "GET_FLAGS",
            "GET_VERSION", "GET_METRICS":
            break
        default: return nil
        }
        let reads = OperatorReads(await backend.snapshot())
        switch name {
        case "GET_TASKS" where format == .json: return streamed(name) { try await write(tasksOf: reads, &$0) }
        case "GET_STATE" where format == .json: return streamed(name) { try await write(stateOf: reads, &$0) }
        case "GET_TASKS": return Self.streamedProtobuf(name, reads) { ["get_tasks": $0] }
        case "GET_STATE":
            return Self.streamedProtobuf(
                name, reads,
                rest: [
                    "get_executors": reads.executors, "get_frameworks": reads.frameworks, "get_agents": reads.agents,
                ]
            ) { ["get_state": ["get_tasks": $0]] }
        case "GET_AGENTS": return try answer(reads.agents)
        case "GET_FRAMEWORKS": return try answer(reads.frameworks)
        case "GET_EXECUTORS": return try answer(reads.executors)
        case "GET_OPERATIONS": return try answer(reads.operations)
        case "GET_ROLES": return try answer(reads.roles)
        case "GET_WEIGHTS": return try answer(reads.weights)
        case "GET_MASTER": return try answer(reads.master)
        case "GET_MAINTENANCE_STATUS": return try answer(["status": reads.maintenanceStatus])
        case "GET_MAINTENANCE_SCHEDULE": return try answer(["schedule": reads.schedule])
        case "GET_QUOTA": return try answer(reads.quota)
        case "GET_FLAGS":
            return try answer([
                "flags": .array(reads.flags.map { ["name": .string($0.name), "value": .string($0.value)] })
            ])
        case "GET_VERSION":
            return try answer(["version_info": ["version": .string(reads.state.configuration.version)]])
        default:
            let metrics = LegacyMetrics(reads, watchers: backend.events.count).all
            return try answer([
                "metrics": .array(metrics.map { ["name": .string($0.name), "value": Message.double($0.value)] })
            ])
        }
    }

    /// `{"type": NAME, "name": …}` with a value that is written piece by piece.
    private func streamed(_ name: String, _ write: @escaping @Sendable (inout JSONOutput) async throws -> Void)
        -> WindowResponse
    {
        .inPieces(headers: [("Content-Type", MesosFormat.json.contentType)]) { writer in
            var out = JSONOutput(writer)
            out.open("{")
            out.key("type")
            try await out.value(.string(name))
            out.key(name.lowercased())
            try await write(&out)
            out.close("}")
            try await out.finish()
        }
    }

    /// The same as protobuf: some tasks at a time, each time as a Response of its own. Whoever reads messages one behind the
    /// other merges them, which is a rule of the format; so no length of the whole has to be known.
    /// - Parameter wrap: puts `GetTasks` where it belongs.
    private static func streamedProtobuf(
        _ name: String, _ reads: OperatorReads, rest: JSON = .null, _ wrap: @escaping @Sendable (JSON) -> JSON
    ) -> WindowResponse {
        .inPieces(headers: [("Content-Type", MesosFormat.protobuf.contentType)]) { writer in
            try await pieces(of: reads, rest.isNull ? wrap([:]) : ["get_state": rest], wrap) { part in
                var response = part
                response["type"] = .string(name)
                try await writer.write(
                    MesosCodec.encode(response, as: "mesos.v1.master.Response", format: .protobuf))
            }
        }
    }

    /// A first part, then the tasks in parts.
    static func pieces(
        of reads: OperatorReads, _ first: JSON, _ wrap: (JSON) -> JSON, _ write: (JSON) async throws -> Void
    ) async throws {
        try await write(first)
        for (list, path) in OperatorReads.taskLists {
            var tasks = reads.view.tasks(path)[...]
            while !tasks.isEmpty {
                try await write(wrap([list: .array(tasks.prefix(100).map(\.json))]))
                tasks = tasks.dropFirst(100)
            }
        }
    }

    private func write(tasksOf reads: OperatorReads, _ out: inout JSONOutput) async throws {
        out.open("{")
        for (name, path) in OperatorReads.taskLists {
            let tasks = reads.view.tasks(path)
            if tasks.isEmpty { continue }
            out.key(name)
            out.open("[")
            for task in tasks {
                try await out.encoded(MesosCodec.encode(task.json, as: "mesos.v1.Task", format: .json))
            }
            out.close("]")
        }
        out.close("}")
    }

    func write(stateOf reads: OperatorReads, _ out: inout JSONOutput) async throws {
        out.open("{")
        out.key("get_tasks")
        try await write(tasksOf: reads, &out)
        for (name, message, tree) in [
            ("get_executors", "GetExecutors", reads.executors), ("get_frameworks", "GetFrameworks", reads.frameworks),
            ("get_agents", "GetAgents", reads.agents),
        ] {
            out.key(name)
            try await out.encoded(
                MesosCodec.encode(tree, as: "mesos.v1.master.Response.\(message)", format: .json))
        }
        out.close("}")
    }
}
