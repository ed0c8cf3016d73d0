import HTTPWindow
import JSON
import MesosModel
import ObjectModel

/// `/system/health/v1` of DC/OS: the windows of this program as the units of its one node.
///
/// They are one process: a unit that answers at all is well, so health is always 0.
struct DCOSHealth: Sendable {
    let units: [DCOSPaths.Unit]
    let hostname: String
    let address: String

    /// What the path below `/system/health/v1` says; nil when there is nothing.
    func answer(_ parts: [String]) -> JSON? {
        switch parts {
        case []:
            return [
                "units": .array(units.map(whole)), "hostname": .string(hostname), "ip": .string(address),
                "dcos_version": .string(DCOSPaths.version), "node_role": "master", "mesos_id": "",
                "dcos_diagnostics_version": "apus", "system": .object([:]),
            ]
        case ["units"]: return ["units": .array(units.map(short))]
        case ["nodes"]: return ["nodes": [node]]
        case ["report"]:
            let all = units.map { unit -> (String, JSON) in
                (
                    unit.id,
                    [
                        "UnitName": .string(unit.id), "Nodes": [reported], "Health": 0, "Title": .string(unit.name),
                        "Timestamp": .string(Timestamp.now.rfc3339), "PrettyName": .string(unit.name),
                    ]
                )
            }
            var list = JSON.object([:])
            for (id, unit) in all { list[id] = unit }
            var nodes = JSON.object([:])
            nodes[address] = reported
            return ["Units": list, "Nodes": nodes, "UpdatedTime": .string(Timestamp.now.rfc3339)]
        default: break
        }
        guard parts.count >= 2 else { return nil }
        let rest = Array(parts.dropFirst(2))
        if parts[0] == "units", let unit = units.first(where: { $0.id == parts[1] }) {
            switch rest {
            case []: return short(unit)
            case ["nodes"]: return ["nodes": [node]]
            case ["nodes", address]: return merged(node, ["output": "", "help": .string(unit.name)])
            default: return nil
            }
        }
        guard parts[0] == "nodes", parts[1] == address else { return nil }
        switch rest {
        case []: return node
        case ["units"]: return ["units": .array(units.map(short))]
        default:
            guard rest.count == 2, rest[0] == "units" else { return nil }
            return units.first { $0.id == rest[1] }.map(whole)
        }
    }

    private var node: JSON { ["host_ip": .string(address), "health": 0, "role": "master"] }
    private var reported: JSON { ["IP": .string(address), "Role": "master", "Health": 0, "Host": .string(hostname)] }

    private func short(_ unit: DCOSPaths.Unit) -> JSON {
        ["id": .string(unit.id), "name": .string(unit.name), "health": 0, "description": .string(unit.name)]
    }
    private func whole(_ unit: DCOSPaths.Unit) -> JSON { merged(short(unit), ["output": "", "help": ""]) }

    private func merged(_ json: JSON, _ more: JSON) -> JSON {
        var json = json
        for (name, value) in more.members { json[name] = value }
        return json
    }
}
