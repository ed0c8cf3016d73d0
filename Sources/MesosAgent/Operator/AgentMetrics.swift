import Glibc
import JSON
import MesosModel
import ObjectModel

/// `/metrics/snapshot` and GET_METRICS: a flat object of numbers.
struct AgentMetrics: Sendable {
    let state: AgentState
    let facts: AgentFacts
    let sessions: ExecutorSessions

    var snapshot: [(name: String, value: Double)] {
        var metrics: [String: Double] = [
            "slave/registered": facts.agentID == nil ? 0 : 1,
            "slave/uptime_secs": Double((Timestamp.now - facts.began).components.seconds),
            "slave/recovery_errors": 0, "slave/container_launch_errors": 0,
            "slave/frameworks_active": Double(
                state.frameworkIDs.filter { !state.isCompleted(framework: $0) }.count),
        ]
        let total = Self.scalars(facts.resources)
        let used = Self.scalars(state.executors.filter { !$0.isCompleted }.flatMap(\.resources))
        for name in ["cpus", "mem", "disk", "gpus"] {
            let (all, some) = (total[name] ?? 0, used[name] ?? 0)
            metrics["slave/\(name)_total"] = all
            metrics["slave/\(name)_used"] = some
            metrics["slave/\(name)_percent"] = all > 0 ? some / all : 0
        }
        for name in ["registering", "running", "terminating", "terminated", "preempted"] {
            metrics["slave/executors_\(name)"] = 0
        }
        for executor in state.executors {
            let name =
                if executor.isCompleted {
                    "terminated"
                } else if executor.pod.isTerminating || executor.pod.shutdownDeadline != nil {
                    "terminating"
                } else if executor.pod.executorInfo != nil, sessions.session(executor.pod.key) == nil {
                    "registering"
                } else {
                    "running"
                }
            metrics["slave/executors_\(name)", default: 0] += 1
        }
        for name in ["staging", "starting", "running", "killing", "finished", "failed", "killed", "lost", "gone"] {
            metrics["slave/tasks_\(name)"] = 0
        }
        for task in state.executors.flatMap(\.tasks) {
            metrics["slave/tasks_\(task.state.dropFirst("TASK_".count).lowercased())", default: 0] += 1
        }
        for (name, value) in Self.system { metrics["system/\(name)"] = value }
        return metrics.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    static func scalars(_ resources: [JSON]) -> [String: Double] {
        var sums: [String: Double] = [:]
        for resource in resources {
            guard let name = resource["name"].string, let value = resource["scalar"]["value"].double, value.isFinite
            else { continue }
            sums[name, default: 0] += value
        }
        return sums.mapValues { ($0 * 1000).rounded() / 1000 }
    }

    private static var system: [(String, Double)] {
        var loads = [0.0, 0.0, 0.0]
        getloadavg(&loads, 3)
        let page = Double(sysconf(Int32(_SC_PAGESIZE)))
        return [
            ("cpus_total", Double(sysconf(Int32(_SC_NPROCESSORS_ONLN)))), ("load_1min", loads[0]),
            ("load_5min", loads[1]), ("load_15min", loads[2]),
            ("mem_total_bytes", Double(sysconf(Int32(_SC_PHYS_PAGES))) * page),
            ("mem_free_bytes", Double(sysconf(Int32(_SC_AVPHYS_PAGES))) * page),
        ]
    }
}
