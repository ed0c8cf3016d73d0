import JSON
import MesosModel

/// Which checks and health checks a task may have, and which sources its volumes.
enum CheckRules {
    /// - Throws: `MesosError` with the reason.
    static func check(_ info: JSON) throws {
        if info["check"].object != nil { try judge(info["check"], isHealth: false) }
        if info["health_check"].object != nil { try judge(info["health_check"], isHealth: true) }
        try checkContainer(info["container"])
        try checkContainer(info["executor"]["container"])
    }

    private static func judge(_ check: JSON, isHealth: Bool) throws {
        func fail(_ reason: String) -> MesosError {
            MesosError(.invalid, "Task uses invalid \(isHealth ? "health check" : "check"): \(reason)")
        }
        let word = isHealth ? "health check" : "check"
        let type = check["type"].string ?? "UNKNOWN"
        let member = type.lowercased()
        switch type {
        case "COMMAND", "HTTP", "TCP":
            if check[member].object == nil { throw fail("Expecting '\(member)' to be set for \(type) \(word)") }
        default: throw fail("\(isHealth ? "HealthCheck" : "CheckInfo") must specify 'type'")
        }
        if type == "COMMAND" {
            let command = isHealth ? check["command"] : check["command"]["command"]
            if command["value"].string == nil {
                let part = command["shell"].bool ?? true ? "shell command" : "executable path"
                throw fail("\(isHealth ? "Command health check" : "Command check") must contain '\(part)'")
            }
        }
        if type == "HTTP" {
            if let scheme = check["http"]["scheme"].string, isHealth, scheme != "http", scheme != "https" {
                throw fail("Unsupported HTTP health check scheme: '\(scheme)'")
            }
            if let path = check["http"]["path"].string, !path.hasPrefix("/") {
                throw fail("The path '\(path)' of HTTP \(word) must start with '/'")
            }
        }
        for name in ["delay_seconds", "grace_period_seconds", "interval_seconds", "timeout_seconds"] {
            if let value = check[name].double, !(value >= 0) { throw fail("Expecting '\(name)' to be non-negative") }
        }
    }

    private static func checkContainer(_ container: JSON) throws {
        for volume in container["volumes"].elements {
            let ways = ["host_path", "image", "source"].filter { !volume[$0].isNull }
            if ways.count > 1 {
                throw MesosError(
                    .invalid,
                    "Invalid volume: Only one of them should be set: 'host_path', 'image' and 'source'")
            }
            let source = volume["source"]
            if let type = source["type"].string, type != "UNKNOWN", source[type.lowercased()].object == nil {
                throw MesosError(
                    .invalid, "Invalid volume: 'source.\(type.lowercased())' is not set for \(type) volume")
            }
        }
        for parameter in container["docker"]["parameters"].elements where parameter["key"] == "name" {
            throw MesosError(.invalid, "Parameter in DockerInfo must not be 'name'")
        }
    }
}
