import HTTPWindow
import JSON
import MesosModel
import ObjectModel

/// `/api/v1/scheduler`: the calls of frameworks.
struct SchedulerAPI: Sendable {
    unowned let master: Master

    /// Longest call in bytes.
    static let maximumBytes = 32 << 20

    func answer(_ request: WindowRequest) async throws -> WindowResponse {
        guard request.method == "POST" else {
            return WindowResponse(
                405, headers: [("Allow", "POST")],
                text: "Expecting one of { 'POST' }, but received '\(request.method)'."
            )
        }
        guard master.isRecovered else { throw WindowError(503, "Master has not finished recovery") }
        guard let type = request.header("content-type") else {
            throw WindowError(400, "Expecting 'Content-Type' to be present")
        }
        guard let format = MesosFormat(contentType: type) else {
            throw WindowError(415, "Expecting 'Content-Type' of application/json or application/x-protobuf")
        }
        let bytes = try await request.body(limit: Self.maximumBytes)
        let call = try Calls.decode(bytes, as: "mesos.v1.scheduler.Call", format)
        guard let name = call["type"].string else { throw Self.invalid("Expecting 'type' to be present") }
        if name == "SUBSCRIBE" { return try await subscribe(call, request) }
        return try await perform(name, call, request)
    }

    // MARK: Subscribing

    private func subscribe(_ call: JSON, _ request: WindowRequest) async throws -> WindowResponse {
        guard call["subscribe"].object != nil else { throw Self.invalid("Expecting 'subscribe' to be present") }
        guard let format = Self.acceptable(request.header("accept")) else {
            throw WindowError(406, Calls.notAcceptable)
        }
        if request.header("mesos-stream-id") != nil {
            throw WindowError(400, "Subscribe calls should not include the 'Mesos-Stream-Id' header")
        }
        let info = call["subscribe"]["framework_info"]
        let (outer, inner) = (call["framework_id"]["value"].string ?? "", info["id"]["value"].string ?? "")
        guard outer == inner else {
            throw Self.invalid("'framework_id' differs from 'subscribe.framework_info.id'")
        }
        if let principal = request.principal, let claimed = info["principal"].string, claimed != principal {
            throw Self.invalid(Self.mismatch(principal, claimed))
        }
        let subscription = MasterState.Subscription(
            info: info, suppressedRoles: call["subscribe"]["suppressed_roles"].elements.compactMap(\.string),
            constraints: call["subscribe"]["offer_constraints"], principal: request.principal)
        let stream = FrameworkStream(id: FrameworkIDs.uuid().text, format: format)
        let refusal = await SchedulerAccess(master: master, principal: request.principal).refusal(ofFramework: info)
        let id: String? = master.transact { state in
            state.count("messages_register_framework")
            if let problem = refusal ?? state.problem(with: subscription)
                ?? MasterState.problem(withConstraints: subscription.constraints, info: subscription.info)
            {
                stream.close(with: Message.error(problem))
                return nil
            }
            return state.prepare(subscription)
        }
        if let id {
            // Stored before it is told, so that no crash forgets a framework.
            do {
                try await master.write(.framework(id))
            } catch {
                throw WindowError(503, "the framework cannot be stored: \(error)")
            }
            let isThere = master.transact { $0.attach(stream, to: id) }
            if !isThere { stream.close(with: Message.error("Framework has been removed")) }
        }
        let master = master
        return WindowResponse(
            200, headers: [("Content-Type", format.contentType), ("Mesos-Stream-Id", stream.id)]
        ) { writer in
            defer {
                if let id { master.transact { $0.disconnected(id, streamID: stream.id) } }
            }
            try await stream.serve(writer)
        }
    }

    /// What the client takes, JSON when it takes both; nil when neither.
    static func acceptable(_ accept: String?) -> MesosFormat? {
        guard let accept, !accept.isEmpty else { return .json }
        let types = accept.split(separator: ",").compactMap { part -> String? in
            let pieces = part.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
            if pieces.dropFirst().contains(where: { $0 == "q=0" || $0 == "q=0.0" }) { return nil }
            return pieces.first
        }
        if types.contains(where: { ["*/*", "application/*", "application/json"].contains($0) }) { return .json }
        return types.contains("application/x-protobuf") ? .protobuf : nil
    }

    // MARK: Other calls

    private static func invalid(_ text: String) -> WindowError {
        WindowError(400, "Failed to validate scheduler::Call: \(text)")
    }

    private static func mismatch(_ principal: String, _ claimed: String) -> String {
        "Authenticated principal '\(principal)' does not match principal '\(claimed)' set in `FrameworkInfo`"
    }

    /// What a call needs beside its members.
    private static func check(_ name: String, _ body: JSON, of call: JSON) throws {
        switch name {
        case "ACKNOWLEDGE", "ACKNOWLEDGE_OPERATION_STATUS":
            let length = Base64.decode((body["uuid"].string ?? "").utf8)?.count ?? 0
            if length != 16 { throw invalid("Not a valid UUID: 16 bytes are expected, there are \(length)") }
            if name == "ACKNOWLEDGE_OPERATION_STATUS", body["agent_id"].object == nil {
                throw invalid("Expecting 'agent_id' to be present")
            }
        case "UPDATE_FRAMEWORK" where call["framework_id"]["value"] != body["framework_info"]["id"]["value"]:
            throw invalid("'framework_id' differs from 'update_framework.framework_info.id'")
        default: break
        }
    }

    /// The framework whose live connection the call belongs to.
    private func framework(of call: JSON, _ request: WindowRequest) throws -> String {
        guard let id = call["framework_id"]["value"].string, !id.isEmpty else {
            throw Self.invalid("Expecting 'framework_id' to be present")
        }
        let stream = request.header("mesos-stream-id")
        try master.state.withLock { state in
            guard let framework = state.frameworks[id] else { throw WindowError(400, "Framework cannot be found") }
            if let principal = request.principal, let own = framework.principal, principal != own {
                throw WindowError(400, Self.mismatch(principal, own))
            }
            guard let live = framework.stream else { throw WindowError(403, "Framework is not subscribed") }
            guard let stream, !stream.isEmpty else {
                throw WindowError(400, "All non-subscribe calls should include the 'Mesos-Stream-Id' header")
            }
            guard stream == live.id else {
                throw WindowError(
                    400,
                    "The stream ID '\(stream)' included in this request didn't match the stream ID currently associated "
                        + "with framework ID '\(id)'")
            }
        }
        return id
    }

    private func perform(_ name: String, _ call: JSON, _ request: WindowRequest) async throws -> WindowResponse {
        let member = name.lowercased()
        let body = call[member]
        // These say something beside their type.
        let needed: Set = [
            "ACCEPT", "DECLINE", "ACCEPT_INVERSE_OFFERS", "DECLINE_INVERSE_OFFERS", "KILL", "SHUTDOWN", "ACKNOWLEDGE",
            "ACKNOWLEDGE_OPERATION_STATUS", "RECONCILE", "RECONCILE_OPERATIONS", "MESSAGE", "REQUEST",
            "UPDATE_FRAMEWORK",
        ]
        if needed.contains(name), body.object == nil { throw Self.invalid("Expecting '\(member)' to be present") }
        if call["framework_id"]["value"].string?.isEmpty == false { try Self.check(name, body, of: call) }
        let id = try framework(of: call, request)
        let access = SchedulerAccess(master: master, principal: request.principal)
        if name == "ACCEPT" {
            let refusals = await access.refusals(ofOperations: body["operations"].elements)
            let batch = master.transact { state -> LaunchQueue.Batch? in
                state.countCall(name, of: id)
                let launches = state.accept(
                    id, Self.ids(body["offer_ids"]), body["operations"].elements, filters: body["filters"],
                    refusals: refusals)
                // In the lock: a kill that comes next finds them on their way.
                return launches.isEmpty ? nil : master.launches.add(launches)
            }
            // Accepted means stored, unless that takes very long.
            await batch?.wait(atMost: .seconds(5))
            return WindowResponse(202)
        }
        if name == "TEARDOWN" {
            master.transact { $0.countCall(name, of: id) }
            _ = await master.teardown(frameworkID: id)
            return WindowResponse(202)
        }
        if name == "UPDATE_FRAMEWORK" {
            if let refusal = await access.refusal(ofFramework: body["framework_info"]) {
                throw WindowError(403, refusal)
            }
            let problem = master.transact { state -> String? in
                state.countCall(name, of: id)
                return state.update(
                    id, info: body["framework_info"],
                    suppressedRoles: body["suppressed_roles"].elements.compactMap(\.string),
                    constraints: body["offer_constraints"])
            }
            if let problem { throw WindowError(400, problem) }
            try await master.write(.framework(id))
            return WindowResponse(200)
        }
        let isKnown = master.transact { state -> Bool in
            state.countCall(name, of: id)
            return Self.apply(name, body, to: &state, framework: id)
        }
        guard isKnown else { throw WindowError(501, "Call \(name) is not known") }
        return WindowResponse(202)
    }

    private static func ids(_ list: JSON) -> [String] { list.elements.compactMap { $0["value"].string } }

    /// Nil when one is not the framework's: the whole call is dropped then, as if it had come too late.
    private static func roles(_ body: JSON, of id: String, _ state: inout MasterState) -> Set<String>? {
        let roles = body["roles"].elements.compactMap(\.string)
        guard roles.allSatisfy({ state.frameworks[id]?.roles.contains($0) == true }) else {
            state.count("dropped_messages")
            return nil
        }
        return Set(roles)
    }

    /// Calls that change the state at once.
    /// - Returns: false for a call of an unknown type.
    private static func apply(
        _ name: String, _ body: JSON, to state: inout MasterState, framework id: String
    ) -> Bool {
        switch name {
        case "DECLINE": state.decline(id, ids(body["offer_ids"]), filters: body["filters"])
        case "ACCEPT_INVERSE_OFFERS":
            state.answerInverse(id, ids(body["inverse_offer_ids"]), accepts: true, filters: body["filters"])
        case "DECLINE_INVERSE_OFFERS":
            state.answerInverse(id, ids(body["inverse_offer_ids"]), accepts: false, filters: body["filters"])
        case "REVIVE":
            if let roles = roles(body, of: id, &state) { state.revive(id, roles: roles) }
        case "SUPPRESS":
            if let roles = roles(body, of: id, &state) { state.suppress(id, roles: roles) }
        case "KILL":
            state.kill(
                id, task: body["task_id"]["value"].string ?? "", agentID: body["agent_id"]["value"].string,
                policy: body["kill_policy"])
        case "SHUTDOWN":
            let key = ExecutorKey(
                id, body["agent_id"]["value"].string ?? "", body["executor_id"]["value"].string ?? "")
            if state.executors[key] != nil { state.effects.append(.shutdown(key)) }
        case "ACKNOWLEDGE":
            state.acknowledge(
                id, task: body["task_id"]["value"].string ?? "", uuid: body["uuid"].string ?? "")
        case "ACKNOWLEDGE_OPERATION_STATUS":
            state.acknowledgeOperation(
                id, operationID: body["operation_id"]["value"].string ?? "", uuid: body["uuid"].string ?? "")
        case "RECONCILE":
            state.reconcile(
                id,
                body["tasks"].elements.map { ($0["task_id"]["value"].string ?? "", $0["agent_id"]["value"].string) })
        case "RECONCILE_OPERATIONS": state.reconcileOperations(id, body["operations"].elements)
        case "MESSAGE":
            let key = ExecutorKey(
                id, body["agent_id"]["value"].string ?? "", body["executor_id"]["value"].string ?? "")
            guard state.executors[key] != nil, let data = Base64.decode((body["data"].string ?? "").utf8) else {
                state.count("invalid_framework_to_executor_messages")
                return true
            }
            state.effects.append(.message(key, data))
        case "REQUEST": break
        default: return false
        }
        return true
    }
}

extension MasterState {
    mutating func countCall(_ name: String, of framework: String) {
        frameworks[framework]?.counts["calls/" + name, default: 0] += 1
        count("messages_" + name.lowercased())
    }
}
