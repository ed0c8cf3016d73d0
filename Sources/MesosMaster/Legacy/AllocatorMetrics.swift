import Allocator
import JSON
import Ledger
import MesosModel

/// Metrics of the allocator, of what is stored and of operations, by Mesos's names.
struct AllocatorMetrics {
    private(set) var values: [String: Double] = [:]

    /// - Parameter roles: those whose shares are told.
    init(_ state: MasterState, roles: [String]) {
        let prefix = "allocator/mesos"
        values["\(prefix)/allocation_runs"] = Double(state.allocationTimes.total)
        add(state.allocationTimes, "\(prefix)/allocation_run_ms")
        add(state.allocationLatencies, "\(prefix)/allocation_run_latency_ms")
        // Agents of which it has not been told yet.
        values["\(prefix)/event_queue_dispatches"] = Double(state.staleAgents.count)
        let filters = state.allocator.filterCounts
        for role in roles {
            values["\(prefix)/roles/\(role)/shares/dominant"] = state.allocator.share(of: role)
            values["\(prefix)/offer_filters/roles/\(role)/active"] = Double(filters[role] ?? 0)
        }
        for role in state.roles.values where !role.quota.members.isEmpty {
            // The ledger counts even while there is no framework, and the allocator is told of nothing.
            let held = state.ledger.quotas().held(by: role.role).map { Resources.amounts(of: $0) } ?? [:]
            let consumed = held.isEmpty ? state.allocator.quota(of: role.role).consumed : held
            for (list, name) in [("guarantees", "guarantee"), ("limits", "limit")] {
                for (resource, amount) in role.quota[list].members {
                    let path = "\(prefix)/quota/roles/\(role.role)/resources/\(resource)"
                    values["\(path)/\(name)"] = amount["value"].double ?? amount.double ?? 0
                    values["\(path)/offered_or_allocated"] = Double(consumed[resource] ?? 0) / 1000
                }
            }
        }
        add(state.storeTimes, "registrar/state_store_ms")
        values["registrar/state_fetch_ms"] = state.fetchTime
        values["registrar/registry_size_bytes"] = Double(Self.storedBytes(state))
        values["registrar/log/recovered"] = state.isRecovered ? 1 : 0
        values["registrar/log/ensemble_size"] = 1
        // Operations end as soon as they begin: none is ever pending.
        for end in ["total", "finished", "error", "failed", "dropped", "pending"] {
            values["master/operations/\(end)"] = Double(state.counters["operations/\(end)"] ?? 0)
        }
        for (name, count) in state.counters where name.hasPrefix("operations/") {
            values["master/\(name)"] = Double(count)
        }
    }

    /// What the store holds of agents, roles and maintenance, which is what the original keeps in its registry.
    private static func storedBytes(_ state: MasterState) -> Int {
        var bytes: [UInt8] = []
        for agent in state.agentObjects.values { agent.spec.encode(into: &bytes) }
        for role in state.roles.values {
            JSON.array([.string(role.role), Message.double(role.weight), role.quota]).encode(into: &bytes)
        }
        state.maintenance.encode(into: &bytes)
        return bytes.count
    }

    /// The newest sample, and of the window how many there are and how they are spread; nothing before the first.
    private mutating func add(_ window: SampleWindow, _ name: String) {
        guard let last = window.last else { return }
        values[name] = last
        let sorted = window.sorted
        values["\(name)/count"] = Double(sorted.count)
        values["\(name)/min"] = sorted.first
        values["\(name)/max"] = sorted.last
        for (suffix, share) in [
            ("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999),
            ("p9999", 0.9999),
        ] {
            values["\(name)/\(suffix)"] = sorted[Int((Double(sorted.count - 1) * share).rounded())]
        }
    }
}

/// The newest thousand durations in milliseconds.
struct SampleWindow: Sendable {
    private var samples: [Double] = []
    private var next = 0
    /// All that there ever were.
    private(set) var total = 0
    private static let size = 1000

    var last: Double? { samples.isEmpty ? nil : samples[(next + samples.count - 1) % samples.count] }
    var sorted: [Double] { samples.sorted() }

    mutating func add(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let milliseconds = Double(seconds) * 1000 + Double(attoseconds) / 1e15
        total += 1
        if samples.count < Self.size {
            samples.append(milliseconds)
        } else {
            samples[next] = milliseconds
            next = (next + 1) % Self.size
        }
    }
}
