import HTTPWindow
import JSON
import ObjectModel

extension MarathonAPI {
    /// `/v2/pods…`, with `::status`, `::versions` and `::instances` behind the id.
    func pods(_ request: WindowRequest, _ path: [String]) async throws -> WindowResponse {
        let text = "/" + path.joined(separator: "/")
        guard let mark = text.range(of: "::") else { return try await plainPods(request, PathID(text)) }
        let id = PathID(String(text[..<mark.lowerBound]))
        let words = text[mark.upperBound...].split(separator: "/").map(String.init)
        switch (words.first ?? "", request.method) {
        case ("status", "GET"), ("status", "HEAD"):
            if id.isRoot {
                let all = state.specs(under: .root).filter { $0.kind == .pod }.sorted { $0.id < $1.id }
                let specs = await permissions(request).readable(all)
                return WindowResponse(json: .array(specs.map(PodStatus(state: state).json)))
            }
            return WindowResponse(json: PodStatus(state: state).json(try await pod(id, request)))
        case ("versions", "GET"), ("versions", "HEAD"):
            let current = try await pod(id, request)
            guard words.count > 1 else {
                var versions = state.history(id).filter { $0.spec != nil }.map(\.version)
                if !versions.contains(current.version) { versions.insert(current.version, at: 0) }
                return WindowResponse(json: JSON(versions))
            }
            guard let spec = words[1] == current.version ? current : state.version(id, words[1])?.spec else {
                throw MarathonError.noPod(id, version: words[1])
            }
            return WindowResponse(json: spec.document)
        case ("instances", "DELETE"):
            try await permissions(request).require("update", try await pod(id, request))
            let wipe = request.flag("wipe")
            if words.count > 1 { return try await killInstances([words[1]], of: id, isSingle: true, wipe: wipe) }
            let document = try await request.document()
            guard let ids = document.array?.compactMap(\.string) else {
                throw MarathonError.malformed([Violation(path: "/", message: "error.expected.jsarray")])
            }
            return try await killInstances(ids, of: id, isSingle: false, wipe: wipe)
        default: throw Self.noSuchURI
        }
    }

    /// A pod that the principal may read.
    private func pod(_ id: PathID, _ request: WindowRequest) async throws -> RunSpec {
        let spec = state.spec(id)
        try await permissions(request).requireRead(spec ?? RunSpec(kind: .pod, json: ["id": .string(id.text)]))
        return try known(id)
    }
    private func known(_ id: PathID) throws -> RunSpec {
        guard let spec = state.spec(id), spec.kind == .pod else { throw MarathonError.noPod(id) }
        return spec
    }

    private func killInstances(
        _ ids: [String], of id: PathID, isSingle: Bool, wipe: Bool
    ) async throws -> WindowResponse {
        let found = ids.compactMap { state.instance($0) }.filter { $0.spec == id && !$0.isTerminal }
        if isSingle, found.isEmpty { throw MarathonError(404, "Instance '\(ids.first ?? "")' does not exist") }
        let status = PodStatus(state: state)
        let spec = try known(id)
        let bodies = found.map { status.instance($0, spec) }
        if wipe { try await executor.residency.wipe(id, uuids: Set(found.map(\.uuid))) }
        try await executor.kill(found, reason: "killed through the API")
        return WindowResponse(json: isSingle ? bodies.first ?? .null : .array(bodies))
    }

    private func plainPods(_ request: WindowRequest, _ id: PathID) async throws -> WindowResponse {
        let force = request.flag("force")
        switch (request.method, id.isRoot) {
        case ("HEAD", true): return WindowResponse(200)
        case ("GET", true):
            let all = state.specs(under: .root).filter { $0.kind == .pod }.sorted { $0.id < $1.id }
            return WindowResponse(json: .array(await permissions(request).readable(all).map(\.document)))
        case ("POST", true): return try await createPod(request, force: force)
        case ("GET", false), ("HEAD", false): return WindowResponse(json: try await pod(id, request).document)
        case ("PUT", false): return try await updatePod(request, id, force: force)
        case ("DELETE", false):
            if state.spec(id) == nil { _ = try await pod(id, request) }
            _ = try known(id)
            let result = try await changes.submit("Pod", force: force, by: permissions(request)) { _, _ in
                var change = DefinitionChange()
                change.specs[id] = .some(nil)
                return change
            }
            announce("pod_deleted_event", request)
            return WindowResponse(202, headers: [("Marathon-Deployment-Id", result.deployment)])
        default: throw Self.notAllowed(request.method)
        }
    }

    private func announce(_ event: String, _ request: WindowRequest) {
        bus.publish(event, ["clientIp": .string(Self.clientAddress(request)), "uri": .string(request.path)])
    }

    private func createPod(_ request: WindowRequest, force: Bool) async throws -> WindowResponse {
        let document = try await request.document()
        try Shapes.pod.check(document)
        let id = PathID(document["id"].string ?? "")
        let result = try await changes.submit("Pod", force: force, by: permissions(request)) { definitions, _ in
            if definitions.spec(id) != nil { throw MarathonError(409, "A pod with id [\(id)] already exists.") }
            var change = DefinitionChange()
            change.specs[id] = .some(try Documents.complete(document, kind: .pod, id: id, in: definitions))
            return change
        }
        announce("pod_created_event", request)
        return WindowResponse(
            201, headers: [("Marathon-Deployment-Id", result.deployment), ("Location", "/v2/pods\(id)")],
            json: try known(id).document)
    }

    private func updatePod(_ request: WindowRequest, _ id: PathID, force: Bool) async throws -> WindowResponse {
        let document = try await request.document()
        try Shapes.pod.check(document)
        guard PathID(document["id"].string ?? "") == id else {
            throw MarathonError(400, "'\(document["id"].string ?? "")' does not match definition '\(id)'")
        }
        let result = try await changes.submit("Pod", force: force, by: permissions(request)) { definitions, _ in
            guard let existing = definitions.spec(id), existing.kind == .pod else { throw MarathonError.noPod(id) }
            var document = document
            document.removeMember("version")
            var change = DefinitionChange()
            change.specs[id] = .some(
                try Documents.complete(document, kind: .pod, id: id, role: existing.role, in: definitions))
            return change
        }
        announce("pod_updated_event", request)
        return WindowResponse(
            200, headers: [("Marathon-Deployment-Id", result.deployment)], json: try known(id).document)
    }
}

/// Pods as `::status` answers them.
struct PodStatus {
    let state: MarathonState

    func json(_ spec: RunSpec) -> JSON {
        let all = state.instances(of: spec.id)
        let living = all.filter { !$0.isTerminal }.sorted { $0.id < $1.id }
        let stable = living.filter { status($0) == "STABLE" }
        let isDeploying = !state.deployments(of: spec.id).isEmpty
        let word =
            spec.instances == 0 && living.isEmpty
            ? "TERMINAL" : stable.count >= spec.instances && living.count == stable.count ? "STABLE" : "DEGRADED"
        let now = Timestamp.now.milliText
        let since = living.compactMap(\.startedAt).max()?.milliText ?? spec.version
        var json: JSON = [
            "id": .string(spec.id.text), "spec": spec.document, "status": .string(word), "statusSince": .string(since),
            "instances": .array(living.map { instance($0, spec) }),
            "terminationHistory": .array(all.filter(\.isTerminal).sorted { $0.id < $1.id }.map(termination)),
            "lastUpdated": .string(now), "lastChanged": .string(since),
        ]
        if isDeploying, word == "DEGRADED" { json["message"] = "a deployment is in progress" }
        return json
    }

    private func status(_ instance: Instance) -> String {
        if instance.isTerminal { return "TERMINAL" }
        if !instance.isBound { return "PENDING" }
        if instance.isTerminating { return "TERMINAL" }
        if instance.isRunning { return instance.isHealthy ?? true ? "STABLE" : "DEGRADED" }
        return instance.tasks.contains(where: \.isTerminal) ? "DEGRADED" : "STAGING"
    }

    func instance(_ instance: Instance, _ spec: RunSpec) -> JSON {
        let node = state.nodes[ObjectKey(name: instance.node)]
        let since = (instance.startedAt ?? instance.stagedAt).milliText
        let endpoints = PodBuilder.endpoints(spec)
        let containers = spec.json["containers"].elements
        var total: [String: Double] = [:]
        for container in containers {
            for key in ["cpus", "mem", "disk", "gpus"] {
                total[key, default: 0] += container["resources"][key].double ?? 0
            }
        }
        for key in ["cpus", "mem", "disk"] { total[key, default: 0] += spec.json["executorResources"][key].double ?? 0 }
        var json: JSON = [
            "id": .string(instance.id), "status": .string(status(instance)), "statusSince": .string(since),
            "conditions": [], "agentHostname": .string(state.host(of: instance)),
            "agentId": .string(state.agentID(of: instance)),
            "resources": [
                "cpus": .double(total["cpus"] ?? 0), "mem": .double(total["mem"] ?? 0),
                "disk": .double(total["disk"] ?? 0), "gpus": .double(total["gpus"] ?? 0),
            ],
            "networks": .array(
                spec.json["networks"].elements.map { network in
                    var json: JSON = ["addresses": instance.podIP.isEmpty ? [] : [.string(instance.podIP)]]
                    json.setMember("name", network["name"])
                    return json
                }),
            "containers": .array(
                instance.tasks.enumerated().map { index, task in
                    container(task, containers.indices.contains(index) ? containers[index] : .null, instance, endpoints)
                }),
            "specReference": .string("/v2/pods\(spec.id)::versions/\(instance.version)"),
            "localVolumes": .array(instance.localVolumes),
            "lastUpdated": .string(since), "lastChanged": .string(since), "role": .string(instance.role),
        ]
        json.setMember("agentRegion", node?.region.map(JSON.string))
        json.setMember("agentZone", node?.zone.map(JSON.string))
        return json
    }

    private func container(
        _ task: Instance.Task, _ definition: JSON, _ instance: Instance, _ endpoints: [PodBuilder.Endpoint]
    ) -> JSON {
        let name = definition["name"].string ?? task.container
        let since = (task.finishedAt ?? task.startedAt ?? instance.stagedAt).milliText
        let own = endpoints.filter { $0.container == name }
        var json: JSON = [
            "name": .string(name), "status": .string(task.state), "statusSince": .string(since), "conditions": [],
            "containerId": .string(task.id), "resources": definition["resources"],
            "endpoints": .array(
                own.map { endpoint in
                    var json: JSON = ["name": .string(endpoint.name)]
                    if let index = endpoint.assigned, instance.ports.indices.contains(index) {
                        json["allocatedHostPort"] = JSON(instance.ports[index])
                    }
                    if !definition["healthCheck"].isNull { json["healthy"] = .bool(task.isReady) }
                    return json
                }),
            "lastUpdated": .string(since), "lastChanged": .string(since),
        ]
        if !task.message.isEmpty { json["message"] = .string(task.message) }
        if let code = task.exitCode {
            json["termination"] = ["exitCode": JSON(code), "message": .string(task.message)]
        }
        return json
    }

    private func termination(_ instance: Instance) -> JSON {
        let end = instance.tasks.compactMap(\.finishedAt).max() ?? instance.stagedAt
        return [
            "instanceID": .string(instance.id),
            "startedAt": .string((instance.startedAt ?? instance.stagedAt).milliText),
            "terminatedAt": .string(end.milliText),
            "containers": .array(
                instance.tasks.map { task in
                    [
                        "containerId": .string(task.id), "lastKnownState": .string(task.state),
                        "termination": ["exitCode": JSON(task.exitCode ?? 0), "message": .string(task.message)],
                    ]
                }),
        ]
    }
}

extension String {
    /// The first place of a text in it.
    fileprivate func range(of text: String) -> Range<String.Index>? { ranges(of: text).first }
}
