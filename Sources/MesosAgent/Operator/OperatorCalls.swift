import ContainerRuntime
import HTTPWindow
import JSON
import MesosModel
import ObjectModel

/// `/api/v1`: the operator's questions. Calls about containers go to `ContainerCalls`.
struct OperatorCalls: Sendable {
    static let maximumBytes = 4 << 20

    let caches: AgentCaches
    let facts: AgentFacts
    let sessions: ExecutorSessions
    let files: SandboxFiles
    let usage: ContainerUsage
    let containers: ContainerCalls

    func handle(_ request: WindowRequest) async throws -> WindowResponse {
        guard request.method == "POST" else {
            throw WindowError(405, "Expecting one of { 'POST' }, but received '\(request.method)'")
        }
        guard caches.areSynced else { throw WindowError(503, "Agent has not finished recovery") }
        if ContentTypes.isRecordIO(request) { return try await containers.attachInput(request) }
        let format = try ContentTypes.ofBody(request)
        let call = try await Messages.decode(
            request.body(limit: Self.maximumBytes), as: "mesos.v1.agent.Call", format: format)
        guard let type = call["type"].string, type != "UNKNOWN" else {
            throw WindowError(400, "Expecting 'type' to be present")
        }
        if let answer = try await containers.answer(type, call, request) { return answer }
        if let answer = try await order(type, call) { return answer }
        let accepted = try ContentTypes.accepted(request)
        var answer: JSON = ["type": .string(type)]
        answer[type.lowercased()] = try await body(type, call)
        return try Messages.response(answer, as: "mesos.v1.agent.Response", format: accepted)
    }

    /// Calls that change something and answer with nothing; nil for others.
    private func order(_ type: String, _ call: JSON) async throws -> WindowResponse? {
        switch type {
        case "SET_LOGGING_LEVEL":
            let wish = call["set_logging_level"]
            guard let level = wish["level"].int, let duration = wish["duration"]["nanoseconds"].int else {
                throw WindowError(400, "Expecting 'set_logging_level' to have a level and a duration")
            }
            try LogVerbosity.set(level, for: .nanoseconds(duration))
            return WindowResponse(202)
        case "PRUNE_IMAGES":
            guard let engine = containers.engine else { throw WindowError(501, "there is no runtime here") }
            var kept = Set(
                call["prune_images"]["excluded_images"].elements.compactMap { $0["docker"]["name"].string })
            // Those of containers that are about to start.
            for pod in caches.pods.all where !pod.isEnded {
                let spec = pod.object.tree["spec"]
                for container in spec["containers"].elements + spec["initContainers"].elements {
                    if let image = container["image"].string { kept.insert(image) }
                }
            }
            await engine.pruneImages(kept)
            return WindowResponse(200)
        default: return nil
        }
    }

    private var state: AgentState { AgentState(caches: caches, facts: facts, paths: files.paths) }

    private func body(_ type: String, _ call: JSON) async throws -> JSON {
        switch type {
        case "GET_HEALTH": return ["healthy": true]
        case "GET_FLAGS":
            return ["flags": .array(facts.flags.map { ["name": .string($0.name), "value": .string($0.value)] })]
        case "GET_VERSION": return ["version_info": facts.versionJSON]
        case "GET_METRICS":
            let metrics = AgentMetrics(state: state, facts: facts, sessions: sessions).snapshot
            return ["metrics": .array(metrics.map { ["name": .string($0.name), "value": .double($0.value)] })]
        case "GET_LOGGING_LEVEL": return ["level": JSON(LogVerbosity.level)]
        case "LIST_FILES":
            let entries = try await files.browse(try path(call["list_files"]))
            return ["file_infos": .array(entries.map(Self.fileInfo))]
        case "READ_FILE":
            let (path, offset) = (try path(call["read_file"]), call["read_file"]["offset"].int ?? 0)
            let length = call["read_file"]["length"].int ?? SandboxFiles.maximumRead
            guard offset >= 0, length >= 0 else { throw WindowError(400, "offset and length must not be negative") }
            let (data, size) = try await files.read(
                path, offset: offset, length: min(length, SandboxFiles.maximumRead))
            return ["size": JSON(size), "data": .string(Base64.encode(data))]
        case "GET_STATE":
            let state = state
            return [
                "get_tasks": state.getTasks, "get_executors": state.getExecutors,
                "get_frameworks": state.getFrameworks,
            ]
        case "GET_CONTAINERS": return try await getContainers(call["get_containers"])
        case "GET_FRAMEWORKS": return state.getFrameworks
        case "GET_EXECUTORS": return state.getExecutors
        case "GET_OPERATIONS", "GET_RESOURCE_PROVIDERS": return [:]
        case "GET_TASKS": return state.getTasks
        case "GET_AGENT":
            var answer: JSON = ["agent_info": facts.agentInfo()]
            let drain = caches.agents[ObjectKey(name: facts.hostname)]?.tree["spec"]["drain"] ?? .null
            if !drain.isNull {
                var config: JSON = ["mark_gone": .bool(drain["markGone"].bool ?? false)]
                if let seconds = drain["maxGracePeriodSeconds"].double {
                    config["max_grace_period"] = ["nanoseconds": .integer(Int64(bounded: seconds * 1e9))]
                }
                answer["drain_config"] = config
            }
            return answer
        case "ADD_RESOURCE_PROVIDER_CONFIG", "UPDATE_RESOURCE_PROVIDER_CONFIG", "REMOVE_RESOURCE_PROVIDER_CONFIG",
            "MARK_RESOURCE_PROVIDER_GONE":
            throw WindowError(501, "\(type): there are no resource providers here; storage is Kubernetes's volumes")
        default: throw WindowError(501, "Unknown call \(type)")
        }
    }

    private func path(_ call: JSON) throws -> String {
        guard let path = call["path"].string else { throw WindowError(400, "Expecting 'path' to be present") }
        return path
    }

    private static func fileInfo(_ entry: SandboxFile.Entry) -> JSON {
        [
            "path": .string(entry.name), "nlink": JSON(entry.links), "size": JSON(entry.size),
            "mtime": ["nanoseconds": .integer(entry.modified)], "mode": .integer(Int64(entry.mode)),
            "uid": .string(entry.user), "gid": .string(entry.group),
        ]
    }

    private func getContainers(_ call: JSON) async throws -> JSON {
        let used = (try? await usage.byPod()) ?? [:]
        var list: [JSON] = []
        for executor in state.executors where !executor.isCompleted {
            var entry: JSON = [
                "framework_id": ["value": .string(executor.frameworkID)],
                "executor_id": ["value": .string(executor.executorID)], "executor_name": .string(executor.name),
                "container_id": ["value": .string(executor.containerID)],
                "container_status": executor.pod.containerStatus,
            ]
            if let used = used[executor.pod.uid] {
                entry["resource_statistics"] = ContainerUsage.statistics(used, of: executor)
            }
            list.append(entry)
            guard call["show_nested"].bool ?? false, case .group = executor.pod.role else { continue }
            for task in TaskProjection.tasks(of: executor.pod.object.tree) where task.state == .running {
                list.append([
                    "framework_id": ["value": .string(executor.frameworkID)],
                    "executor_id": ["value": .string(executor.executorID)], "executor_name": .string(executor.name),
                    "container_id": task.containerStatus["container_id"], "container_status": task.containerStatus,
                ])
            }
        }
        let (showsNested, showsStandalone) = (
            call["show_nested"].bool ?? false, call["show_standalone"].bool ?? false
        )
        for pod in containers.pods.all where !pod.isEnded {
            guard let path = pod.containerPath else { continue }
            // What is nested in a standalone container is both.
            let isStandalone = state.executors.allSatisfy { $0.containerID != path.root.description }
            if path.parent != nil, !showsNested || isStandalone && !showsStandalone { continue }
            if path.parent == nil, !showsStandalone { continue }
            list.append(entry(pod, path, used[pod.uid]))
        }
        if showsNested { list += await containers.table.running.map { ["container_id": $0.json] } }
        return list.isEmpty ? [:] : ["containers": .array(list)]
    }

    private func entry(_ pod: NodePod, _ path: ContainerPath, _ used: ContainerUsage.Usage?) -> JSON {
        var status = (containers.main(path.root)?.pod ?? pod).containerStatus
        status["container_id"] = path.json
        var entry: JSON = ["container_id": path.json, "container_status": status]
        if let executor = state.executors.first(where: { $0.containerID == path.root.description }) {
            entry["framework_id"] = ["value": .string(executor.frameworkID)]
            entry["executor_id"] = ["value": .string(executor.executorID)]
            entry["executor_name"] = .string(executor.name)
        }
        if let used {
            let limits = pod.object.tree["spec"]["containers"][0]["resources"]
            var resources: [JSON] = []
            if let cpu = Quantity(limits["requests"]["cpu"]) {
                resources.append(MesosResource("cpus", cpu.doubleValue).tree)
            }
            if let memory = Quantity(limits["limits"]["memory"]) {
                resources.append(MesosResource("mem", memory.doubleValue / 1_048_576).tree)
            }
            entry["resource_statistics"] = ContainerUsage.statistics(used, resources: resources)
        }
        return entry
    }
}
