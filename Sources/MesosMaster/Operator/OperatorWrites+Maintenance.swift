import HTTPWindow
import JSON
import MesosModel
import ObjectModel

/// Maintenance: which machines will be taken down when, and which are.
extension OperatorWrites {
    private static let key = ObjectKey(name: "schedule")

    private func change(_ change: @escaping @Sendable (inout JSON) throws -> Void) async throws {
        let stored = try await backend.client.modify(MesosNames.maintenances, Self.key) { tree in
            try change(&tree["spec"])
            return true
        }
        if stored == nil {
            var spec: JSON = ["windows": [], "down": []]
            try change(&spec)
            try await backend.client.create(
                MesosNames.maintenances,
                [
                    "apiVersion": "mesos.apus.dev/v1", "kind": "Maintenance",
                    "metadata": ["name": .string(Self.key.name)],
                    "spec": spec,
                ])
        }
        if let now = try await backend.client.find(MesosNames.maintenances, Self.key)?.tree["spec"] {
            await backend.settle {
                $0.maintenance["windows"] == now["windows"] && $0.maintenance["down"].elements == now["down"].elements
            }
        }
    }

    private static func check(_ machine: JSON) throws {
        let host = machine["hostname"].string ?? ""
        let ip = machine["ip"].string ?? ""
        if host.isEmpty && ip.isEmpty { throw WindowError(400, "Both 'hostname' and 'ip' for a machine are empty") }
        if !ip.isEmpty, IPAddress(ip) == nil { throw WindowError(400, "'\(ip)' is no IP address") }
    }

    /// Replaces the schedule.
    func setSchedule(_ schedule: JSON) async throws {
        try await require("update", "maintenances")
        var seen: [JSON] = []
        for window in schedule["windows"].elements {
            guard !window["machine_ids"].elements.isEmpty else {
                throw WindowError(400, "List of machines in the maintenance window is empty")
            }
            guard window["unavailability"]["start"]["nanoseconds"].int != nil else {
                throw WindowError(400, "A maintenance window needs 'unavailability.start'")
            }
            if let duration = window["unavailability"]["duration"]["nanoseconds"].int, duration < 0 {
                throw WindowError(400, "Unavailability 'duration' is negative")
            }
            for machine in window["machine_ids"].elements {
                try Self.check(machine)
                if seen.contains(where: { Machine.same($0, machine) }) {
                    throw WindowError(400, "Machine '\(machine)' appears more than once in the schedule")
                }
                seen.append(machine)
            }
        }
        let windows = schedule["windows"].elements
        let machines = seen
        try await change { spec in
            // A machine that is down has to come up before it leaves the schedule.
            for machine in spec["down"].elements where !machines.contains(where: { Machine.same($0, machine) }) {
                throw WindowError(400, "Machine '\(machine)' is deactivated and cannot be removed from the schedule")
            }
            spec["windows"] = .array(windows)
        }
    }

    /// Takes machines down that are scheduled.
    func takeDown(_ machines: [JSON]) async throws {
        try await require("update", "maintenances")
        guard !machines.isEmpty else { throw WindowError(400, "List of machines is empty") }
        for machine in machines { try Self.check(machine) }
        try await change { spec in
            let scheduled = spec["windows"].elements.flatMap { $0["machine_ids"].elements }
            var down = spec["down"].elements
            for machine in machines {
                guard scheduled.contains(where: { Machine.same($0, machine) }) else {
                    throw WindowError(400, "Machine '\(machine)' is not part of a maintenance schedule")
                }
                if down.contains(where: { Machine.same($0, machine) }) {
                    throw WindowError(400, "Machine '\(machine)' is not in DRAINING mode and cannot be brought down")
                }
                down.append(machine)
            }
            spec["down"] = .array(down)
        }
        // Nothing may run on a machine that is down.
        for agent in await agents(on: machines) where agent.state == "active" {
            try await setAgent(agent.id, state: "draining", isOfMaintenance: true) {
                $0["drain"] = ["maxGracePeriodSeconds": 0, "markGone": false, "maintenance": true]
            }
        }
    }

    private func agents(on machines: [JSON]) async -> [AgentRecord] {
        await backend.snapshot().agents.values.filter { agent in machines.contains { Machine.isMachine($0, of: agent) }
        }
    }

    /// Brings machines up again; they leave the schedule.
    func bringUp(_ machines: [JSON]) async throws {
        try await require("update", "maintenances")
        guard !machines.isEmpty else { throw WindowError(400, "List of machines is empty") }
        for machine in machines { try Self.check(machine) }
        try await change { spec in
            let down = spec["down"].elements
            let scheduled = spec["windows"].elements.flatMap { $0["machine_ids"].elements }
            for machine in machines where !scheduled.contains(where: { Machine.same($0, machine) }) {
                throw WindowError(400, "Machine '\(machine)' is not part of a maintenance schedule")
            }
            for machine in machines where !down.contains(where: { Machine.same($0, machine) }) {
                throw WindowError(400, "Machine '\(machine)' is not in DOWN mode and cannot be brought up")
            }
            func isNamed(_ machine: JSON) -> Bool { machines.contains { Machine.same($0, machine) } }
            spec["down"] = .array(down.filter { !isNamed($0) })
            spec["windows"] = .array(
                spec["windows"].elements.compactMap { window in
                    let rest = window["machine_ids"].elements.filter { !isNamed($0) }
                    guard !rest.isEmpty else { return nil }
                    var window = window
                    window["machine_ids"] = .array(rest)
                    return window
                })
        }
        for agent in await agents(on: machines) where agent.drain["maintenance"].bool == true {
            try await setAgent(agent.id, state: "active", isOfMaintenance: true) { $0.removeMember("drain") }
        }
    }
}
