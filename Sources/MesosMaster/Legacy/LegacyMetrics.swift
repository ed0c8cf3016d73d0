import JSON
import MesosModel
import ObjectModel

/// Metrics by the names that Mesos's users graph.
struct LegacyMetrics {
    let all: [(name: String, value: Double)]

    var json: JSON {
        .object(.init(uniqueKeysWithValues: all.map { ($0.name, Message.double($0.value)) }))
    }

    init(_ reads: OperatorReads, watchers: Int) {
        let view = reads.view
        let state = reads.state
        var values: [String: Double] = [:]
        let total = QuotaRules.sums(view.agents.filter(\.isActive).flatMap { $0.total.json.elements })
        let used = QuotaRules.sums(view.usedOfAgent.values.flatMap(\.trees))
        let offered = QuotaRules.sums(state.offers.values.flatMap { $0.resources.json.elements })
        for name in ["cpus", "mem", "disk", "gpus"] {
            let (all, busy) = (total[name] ?? 0, used[name] ?? 0)
            values["master/\(name)_total"] = all
            values["master/\(name)_used"] = busy
            values["master/\(name)_percent"] = all > 0 ? busy / all : 0
            for suffix in ["total", "used", "percent"] { values["master/\(name)_revocable_\(suffix)"] = 0 }
            values["allocator/mesos/resources/\(name)/total"] = all
            values["allocator/mesos/resources/\(name)/offered_or_allocated"] = busy + (offered[name] ?? 0)
        }
        values["master/uptime_secs"] = Double(Timestamp.now.microseconds) / 1e6 - state.startTime
        values["master/elected"] = 1
        values["master/outstanding_offers"] = Double(state.offers.count)
        values["master/operator_event_stream_subscribers"] = Double(watchers)
        for name in ["dropped_messages", "event_queue_messages", "event_queue_dispatches", "event_queue_http_requests"]
        {
            values["master/\(name)"] = Double(state.counters[name] ?? 0)
        }
        let agents = view.agents
        values["master/slaves_active"] = Double(agents.count { $0.isActive && !$0.isDeactivated })
        values["master/slaves_inactive"] = Double(agents.count { !$0.isActive || $0.isDeactivated })
        values["master/slaves_connected"] = Double(agents.count { $0.isReachable })
        values["master/slaves_disconnected"] = 0
        values["master/slaves_unreachable"] = Double(agents.count { !$0.isReachable })
        values["master/slave_registrations"] = Double(agents.count)
        values["master/slave_reregistrations"] = Double(agents.count { $0.reregisteredTime != nil })
        values["master/slave_removals"] = Double(state.goneAgents.count)
        values["master/frameworks_active"] = Double(view.frameworks.count { $0.isActive })
        values["master/frameworks_inactive"] = Double(view.frameworks.count { !$0.isActive })
        values["master/frameworks_connected"] = Double(view.frameworks.count { $0.isConnected })
        values["master/frameworks_disconnected"] = Double(view.frameworks.count { !$0.isConnected })
        // States that tasks are in now, and those that they ended in since the start.
        var live: [String: Int] = [:]
        for framework in view.frameworks {
            for task in [framework.tasks, framework.unreachable].joined() { live[task.state, default: 0] += 1 }
        }
        for name in ["staging", "starting", "running", "killing", "unreachable"] {
            values["master/tasks_\(name)"] = Double(live["TASK_\(name.uppercased())"] ?? 0)
        }
        for name in ["finished", "failed", "killed", "error", "lost", "dropped", "gone", "gone_by_operator"] {
            values["master/tasks_\(name)"] = Double(state.counters["tasks/TASK_\(name.uppercased())"] ?? 0)
        }
        for name in ["scheduled", "completed"] {
            values["master/slave_unreachable_\(name)"] = Double(state.counters["slave_unreachable"] ?? 0)
        }
        for (name, count) in state.counters where name.hasPrefix("task_") { values["master/\(name)"] = Double(count) }
        for name in Self.counted { values["master/\(name)"] = Double(state.counters[name] ?? 0) }
        for framework in view.frameworks where !framework.isOfCluster {
            let prefix = "master/frameworks/\(Self.escaped(framework.record.name))/\(framework.record.id)"
            values["\(prefix)/subscribed"] = framework.isConnected ? 1 : 0
            for name in ["calls", "events", "operations"] { values["\(prefix)/\(name)"] = 0 }
            for name in ["sent", "accepted", "declined", "rescinded"] { values["\(prefix)/offers/\(name)"] = 0 }
            for (name, count) in framework.record.counts {
                values["\(prefix)/\(name.lowercased())", default: 0] += Double(count)
                let kind = name.prefix { $0 != "/" }
                if kind != "offers" { values["\(prefix)/\(kind)", default: 0] += Double(count) }
            }
            for (name, count) in framework.record.terminalCounts {
                values["\(prefix)/tasks/terminal/\(name.lowercased())"] = Double(count)
            }
            for name in ["TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING"] {
                values["\(prefix)/tasks/active/\(name.lowercased())"] = Double(
                    framework.tasks.count { $0.state == name })
            }
            for role in framework.record.roles {
                values["\(prefix)/roles/\(role)/suppressed"] = framework.record.suppressedRoles.contains(role) ? 1 : 0
            }
        }
        values.merge(AllocatorMetrics(state, roles: view.roleNames).values) { _, new in new }
        for (name, value) in SystemStats.values { values["system/\(name)"] = value }
        all = values.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// Names as the master counts them.
    private static let counted =
        ["valid_", "invalid_"].flatMap { prefix in
            [
                "status_updates", "status_update_acknowledgements", "operation_status_update_acknowledgements",
                "framework_to_executor_messages", "executor_to_framework_messages",
            ].map { prefix + $0 }
        }
        + [
            "deactivate_framework", "decline_offers", "executor_to_framework", "framework_to_executor", "kill_task",
            "launch_tasks", "operation_status_update_acknowledgement", "reconcile_operations", "reconcile_tasks",
            "register_framework", "reregister_framework", "resource_request", "revive_offers", "status_update",
            "status_update_acknowledgement", "suppress_offers", "unregister_framework",
        ].map { "messages_" + $0 }

    private static func escaped(_ name: String) -> String {
        name.utf8.map { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: String(UnicodeScalar(byte))
            default: "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }.joined()
    }
}
