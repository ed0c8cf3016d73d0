import ContainerRuntime
import HTTPWindow
import JSON
import Logging
import MesosModel
import ObjectModel

/// The JSON endpoints that are older than the v1 APIs, and that tools still read.
struct LegacyEndpoints: Sendable {
    let caches: AgentCaches
    let facts: AgentFacts
    let sessions: ExecutorSessions
    let paths: SandboxPaths
    let usage: ContainerUsage

    private var state: AgentState { AgentState(caches: caches, facts: facts, paths: paths) }

    /// The answer to a path; nil when it is none of these.
    func answer(_ path: String, _ request: WindowRequest) async throws -> JSON? {
        switch path {
        case "/state": stateJSON
        case "/flags": ["flags": facts.flagsJSON]
        case "/version": facts.versionJSON
        case "/metrics/snapshot", "/system/stats": metrics
        case "/monitor/statistics", "/monitor/usage": try await statistics()
        case "/containers": try await containers(request.parameter("container_id"))
        default: nil
        }
    }

    private var metrics: JSON {
        var tree: JSON = [:]
        for (name, value) in AgentMetrics(state: state, facts: facts, sessions: sessions).snapshot {
            tree[name] = .double(value)
        }
        return tree
    }

    // MARK: /state

    private var stateJSON: JSON {
        let state = state
        let used = state.executors.filter { !$0.isCompleted }.flatMap(\.resources)
        var tree = facts.versionJSON
        tree["start_time"] = .double(Double(facts.began.microseconds) / 1e6)
        tree["id"] = .string(facts.agentID ?? "")
        tree["pid"] = .string(facts.pid)
        tree["hostname"] = .string(facts.hostname)
        tree["capabilities"] = [
            "MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT", "AGENT_DRAINING", "TASK_RESOURCE_LIMITS",
        ]
        tree.setMember("domain", facts.domain)
        let total = facts.resources
        tree["resources"] = LegacyResources.json(total)
        tree["unreserved_resources"] = LegacyResources.json(Self.unreserved(total))
        tree["reserved_resources"] = Self.byRole(total, LegacyResources.json)
        tree["unreserved_resources_full"] = Self.full(Self.unreserved(total))
        tree["reserved_resources_full"] = Self.byRole(total, Self.full)
        tree["unreserved_resources_allocated"] = LegacyResources.json(Self.unreserved(used))
        tree["reserved_resources_allocated"] = Self.byRole(used, LegacyResources.json)
        tree["attributes"] = MesosAttributes.legacyJSON(facts.attributes)
        tree["flags"] = facts.flagsJSON
        tree["master_hostname"] = .string(facts.hostname)
        var lists: [Bool: [JSON]] = [false: [], true: []]
        for id in state.frameworkIDs {
            lists[state.isCompleted(framework: id), default: []].append(framework(id, state))
        }
        tree["frameworks"] = .array(lists[false] ?? [])
        tree["completed_frameworks"] = .array(lists[true] ?? [])
        return tree
    }

    private static func unreserved(_ resources: [JSON]) -> [JSON] {
        resources.filter { LegacyResources.owner($0) == nil }
    }
    private static func byRole(_ resources: [JSON], _ shown: ([JSON]) -> JSON) -> JSON {
        var tree: JSON = [:]
        for (role, owned) in LegacyResources.byRole(resources) { tree[role] = shown(owned) }
        return tree
    }
    private static func full(_ resources: [JSON]) -> JSON { .array(resources.map(LegacyResources.inBothForms)) }

    private func framework(_ id: String, _ state: AgentState) -> JSON {
        let info = state.frameworkInfo(id)
        let mine = state.executors.filter { $0.frameworkID == id }
        var tree: JSON = [
            "id": .string(id), "name": info["name"], "user": info["user"],
            "failover_timeout": .double(info["failover_timeout"].double ?? 0),
            "checkpoint": .bool(info["checkpoint"].bool ?? false),
            "hostname": .string(info["hostname"].string ?? ""),
        ]
        tree.setMember("principal", info["principal"])
        if info["roles"].isNull {
            tree["role"] = .string(info["role"].string ?? "*")
        } else {
            tree["roles"] = info["roles"]
        }
        tree["executors"] = .array(mine.filter { !$0.isCompleted }.map(executor))
        tree["completed_executors"] = .array(mine.filter(\.isCompleted).map(executor))
        return tree
    }

    private func executor(_ executor: AgentState.Executor) -> JSON {
        var tree: JSON = [
            "id": .string(executor.executorID), "name": .string(executor.name),
            "source": .string(executor.info["source"].string ?? ""), "container": .string(executor.containerID),
            "directory": .string(executor.directory), "resources": LegacyResources.json(executor.resources),
            "role": .string(executor.pod.annotations[MesosNames.roleAnnotation].string ?? "*"),
            "type": executor.info["type"].isNull ? "CUSTOM" : executor.info["type"],
        ]
        tree.setMember("labels", executor.info["labels"]["labels"])
        func list(_ isIncluded: (AgentState.Task) -> Bool) -> JSON {
            .array(executor.tasks.filter(isIncluded).map(task))
        }
        tree["tasks"] = list { !$0.isTerminal && $0.state != "TASK_STAGING" }
        tree["queued_tasks"] = list { $0.state == "TASK_STAGING" }
        tree["completed_tasks"] = list(\.isTerminal)
        return tree
    }

    private func task(_ task: AgentState.Task) -> JSON {
        var tree: JSON = [
            "id": .string(task.id), "name": .string(task.info["name"].string ?? task.id),
            "framework_id": .string(task.frameworkID), "executor_id": .string(task.executorID),
            "slave_id": .string(task.agentID), "role": .string(task.role), "state": .string(task.state),
            "resources": LegacyResources.json(task.info["resources"].elements),
            "statuses": .array(
                task.statuses.map { status in
                    var tree: JSON = ["state": status["state"]]
                    for name in ["timestamp", "container_status", "healthy"] { tree.setMember(name, status[name]) }
                    return tree
                }),
        ]
        tree.setMember("labels", task.info["labels"]["labels"])
        for name in ["discovery", "container", "health_check"] { tree.setMember(name, task.info[name]) }
        return tree
    }

    // MARK: Containers

    private func statistics() async throws -> JSON {
        let all = try await usage.byPod()
        return .array(
            state.executors.filter { !$0.isCompleted }.compactMap { executor in
                guard let used = all[executor.pod.uid] else { return nil }
                return [
                    "executor_id": .string(executor.executorID), "executor_name": .string(executor.name),
                    "framework_id": .string(executor.frameworkID),
                    "source": .string(executor.info["source"].string ?? executor.executorID),
                    "statistics": ContainerUsage.statistics(used, of: executor),
                ]
            })
    }

    private func containers(_ id: String?) async throws -> JSON {
        let all = try await usage.byPod()
        return .array(
            state.executors.filter { !$0.isCompleted && (id == nil || id == $0.containerID) }.map { executor in
                var tree: JSON = [
                    "container_id": .string(executor.containerID), "executor_id": .string(executor.executorID),
                    "executor_name": .string(executor.name), "framework_id": .string(executor.frameworkID),
                    "source": .string(executor.info["source"].string ?? executor.executorID),
                    "status": executor.pod.containerStatus,
                ]
                if let used = all[executor.pod.uid] {
                    tree["statistics"] = ContainerUsage.statistics(used, of: executor)
                }
                return tree
            })
    }
}

extension NodePod {
    /// `ContainerStatus` of its sandbox.
    var containerStatus: JSON {
        var status: JSON = ["container_id": ["value": .string(uid)]]
        if let address = object.tree["status"]["podIP"].string {
            status["network_infos"] = [["ip_addresses": [["protocol": "IPv4", "ip_address": .string(address)]]]]
        }
        return status
    }
}

/// What containers use, from the runtime.
struct ContainerUsage: Sendable {
    struct Usage: Sendable {
        var cpuNanoseconds: UInt64 = 0
        /// The part of it that the kernel worked.
        var systemNanoseconds: UInt64 = 0
        var memoryBytes: UInt64 = 0
        var diskBytes: UInt64 = 0
        var timestamp: Int64 = 0
    }
    let read: @Sendable () async throws -> [ContainerStats]
    let systemTimes: @Sendable ([String]) async -> [String: UInt64]

    /// Sums by the uid of the pod.
    func byPod() async throws -> [String: Usage] {
        let stats: [ContainerStats]
        do {
            stats = try await read()
        } catch {
            throw WindowError(503, "what containers use is not known: \(error)")
        }
        var sums: [String: Usage] = [:]
        for entry in stats {
            guard let uid = entry.labels["io.kubernetes.pod.uid"] else { continue }
            var sum = sums[uid] ?? Usage()
            sum.cpuNanoseconds += entry.cpuNanoseconds
            sum.memoryBytes += entry.workingSetBytes
            sum.diskBytes += entry.writableLayerBytes
            sum.timestamp = max(sum.timestamp, entry.timestamp)
            sums[uid] = sum
        }
        for (uid, time) in await systemTimes(Array(sums.keys)) {
            // Both were read at another moment, and one counts in ticks.
            let all = sums[uid]?.cpuNanoseconds ?? 0
            sums[uid]?.systemNanoseconds = min(time, all)
        }
        return sums
    }

    /// `ResourceStatistics`. Where the kernel tells no parts, all CPU time is user time.
    static func statistics(_ usage: Usage, of executor: AgentState.Executor) -> JSON {
        statistics(usage, resources: executor.resources)
    }
    static func statistics(_ usage: Usage, resources: [JSON]) -> JSON {
        let limits = AgentMetrics.scalars(resources)
        return [
            "timestamp": .double(Double(usage.timestamp) / 1e9),
            "cpus_user_time_secs": .double(Double(usage.cpuNanoseconds - usage.systemNanoseconds) / 1e9),
            "cpus_system_time_secs": .double(Double(usage.systemNanoseconds) / 1e9),
            "cpus_limit": .double(limits["cpus"] ?? 0), "mem_rss_bytes": .integer(Int64(clamping: usage.memoryBytes)),
            "mem_total_bytes": .integer(Int64(clamping: usage.memoryBytes)),
            "mem_limit_bytes": .integer(Int64(bounded: (limits["mem"] ?? 0) * 1_048_576)),
            "disk_used_bytes": .integer(Int64(clamping: usage.diskBytes)),
            "disk_limit_bytes": .integer(Int64(bounded: (limits["disk"] ?? 0) * 1_048_576)),
        ]
    }
}
