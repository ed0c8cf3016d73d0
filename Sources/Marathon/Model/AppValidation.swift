import HTTPWindow
import JSON
import MesosModel
import RegularExpression

/// Rules that app definitions obey beyond the types of their members.
struct AppValidation {
    private(set) var violations: [Violation] = []

    private mutating func fail(_ path: String, _ message: String) {
        violations.append(Violation(path: path, message: message))
    }

    /// - Parameters:
    ///   - app: a complete definition.
    ///   - networks: names of networks that there are.
    /// - Throws: `MarathonError` 422 that names everything wrong.
    static func check(_ app: RunSpec, networks: Set<String>) throws(MarathonError) {
        var validation = AppValidation()
        validation.identity(app)
        validation.program(app)
        validation.networks(app)
        validation.networkNames(app, networks)
        validation.engine(app)
        validation.linux(app.json["container"]["linuxInfo"], "/container/linuxInfo", hasImage: app.image != nil)
        validation.checks(app)
        validation.strategies(app)
        validation.constraints(app.json["constraints"].elements, "/constraints")
        validation.volumes(app)
        validation.secrets(app.json["env"], app.json["secrets"], "/env")
        validation.extensions(app)
        guard validation.violations.isEmpty else { throw .invalid(validation.violations) }
    }

    private mutating func identity(_ app: RunSpec) {
        if app.id.isRoot { fail("/id", "Path must contain at least one path element") }
        if let problem = app.id.problem { fail("/id", problem) }
        for (index, dependency) in app.dependencies.enumerated() {
            if let problem = dependency.problem { fail("/dependencies(\(index))", problem) }
            if dependency == app.id { fail("/dependencies(\(index))", "an app cannot depend on itself") }
        }
        if app.json["role"].string?.isEmpty == true { fail("/role", "must not be empty") }
    }

    private mutating func program(_ app: RunSpec) {
        let json = app.json
        if !json["cmd"].isNull, !json["args"].isNull {
            fail("/", "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'.")
        }
        if json["cmd"].isNull, json["args"].isNull, app.image == nil {
            fail("/", "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'.")
        }
        if app.container["docker"].isNull == false, app.image?.isEmpty ?? true {
            fail("/container/docker/image", "must not be empty")
        }
        if (json["cpus"].double ?? 0) < 0.001 { fail("/cpus", "must be greater than or equal to 0.001") }
        if (json["gpus"].int ?? 0) > 0 {
            fail("/gpus", "Feature gpu_resources is not enabled. Enable with --enable_features gpu_resources)")
        }
        for key in ["cpus", "mem"] {
            if let limit = json["resourceLimits"][key].double, limit < json[key].double ?? 0 {
                fail(
                    "/resourceLimits/\(key)",
                    "resource limit must be greater than or equal to requested resource (\(json[key]))")
            }
        }
        for (index, fetch) in json["fetch"].elements.enumerated() where fetch["uri"].string?.isEmpty ?? true {
            fail("/fetch(\(index))/uri", "must not be empty")
        }
        if let executor = json["executor"].string, !executor.isEmpty, executor != "//cmd", !executor.hasPrefix("/") {
            fail("/executor", "{javax.validation.constraints.Pattern.message}: must be empty, //cmd or a path")
        } else if let executor = json["executor"].string, executor.hasPrefix("/"), executor != "//cmd" {
            fail("/executor", "executors of your own are not supported: leave it empty, or use //cmd")
        }
    }

    private mutating func networks(_ app: RunSpec) {
        let networks = app.json["networks"].elements
        let modes = Set(networks.compactMap { $0["mode"].string })
        if modes.count > 1 || (networks.count > 1 && modes != ["container"]) {
            fail(
                "/networks",
                "May specify a single host network, single bridge network, or else 1-to-n container networks")
        }
        for network in networks {
            switch network["mode"].string {
            case "host" where !network["name"].isNull || network["labels"].object?.isEmpty == false:
                fail("/networks", "Host networks may not have names or labels")
            case "container/bridge" where !network["name"].isNull:
                fail("/networks", "Bridge networks may not have names")
            default: continue
            }
        }
        let named = networks.compactMap { $0["name"].string }
        if Set(named).count != named.count { fail("/networks", "Duplicate networks are not allowed") }
        if app.isHostNetwork {
            if !app.container["portMappings"].elements.isEmpty {
                fail("/", "portMappings are not allowed with host-networking")
            }
        } else if !app.json["portDefinitions"].elements.isEmpty {
            fail("/", "portDefinitions are only allowed with host-networking")
        }
        var names: Set<String> = []
        let base = app.isHostNetwork ? "/portDefinitions" : "/container/portMappings"
        for (index, port) in app.ports.enumerated() {
            guard let name = port["name"].string else { continue }
            if !names.insert(name).inserted { fail(base, "Port names must be unique.") }
            if name.isEmpty || name.utf8.count > 63 { fail("\(base)(\(index))/name", "must have 1 to 63 characters") }
        }
        guard app.isHostNetwork else { return }
        let fixed = app.json["portDefinitions"].elements.compactMap { port -> Int? in
            port["port"].int.flatMap { $0 == 0 ? nil : $0 }
        }
        if Set(fixed).count != fixed.count { fail("/portDefinitions", "Ports must be unique.") }
    }

    /// Container networks are looked up by their names; mappings name networks of their own app.
    mutating func networkNames(_ spec: RunSpec, _ known: Set<String>) {
        let networks = spec.json["networks"].elements
        var own: Set<String> = []
        for (index, network) in networks.enumerated() where network["mode"].string == "container" {
            guard let name = network["name"].string else { continue }
            own.insert(name)
            if !known.contains(name) {
                fail(
                    "/networks(\(index))/name",
                    "the network '\(name)' is not known; known are: \(known.sorted().joined(separator: ", "))")
            }
        }
        for (index, port) in spec.container["portMappings"].elements.enumerated() {
            for name in port["networkNames"].elements.compactMap(\.string) where !own.contains(name) {
                fail("/container/portMappings(\(index))/networkNames", "'\(name)' is none of the app's networks")
            }
        }
    }

    private mutating func engine(_ app: RunSpec) {
        let docker = app.container["docker"]
        let parameters = app.dockerParameters
        for problem in parameters.problems {
            fail("/container/docker/parameters(\(problem.index))", problem.message)
        }
        if !docker["credential"].isNull {
            fail("/container/docker/credential", "is not supported: name a secret in pullConfig")
        }
    }

    /// - Parameter hasImage: programs of the host share its IPC namespace.
    mutating func linux(_ linuxInfo: JSON, _ base: String, hasImage: Bool) {
        let ipc = linuxInfo["ipcInfo"]
        guard !ipc.isNull else { return }
        let path = base + "/ipcInfo"
        if !hasImage, ipc["mode"].string == "PRIVATE" || !ipc["shmSize"].isNull {
            fail(path, "needs an image: programs of the host share its IPC namespace")
        }
        if !ipc["shmSize"].isNull, ipc["mode"].string != "PRIVATE" {
            fail("\(path)/shmSize", "may be used with the mode PRIVATE only")
        }
    }

    private mutating func checks(_ app: RunSpec) {
        var ofMesos = 0
        for (index, check) in app.healthChecks.enumerated() {
            let path = "/healthChecks(\(index))"
            let word = check["protocol"].string ?? "HTTP"
            if word.hasPrefix("MESOS_") || word == "COMMAND" { ofMesos += 1 }
            if word == "COMMAND" {
                if check["command"]["value"].string?.isEmpty ?? true {
                    fail("\(path)/command", "must be given for COMMAND")
                }
                if !check["path"].isNull { fail("\(path)/path", "may not be used with COMMAND") }
            } else {
                if !check["command"].isNull { fail("\(path)/command", "may be used with COMMAND only") }
                if !check["port"].isNull, !check["portIndex"].isNull {
                    fail(path, "HealthCheck must specify either a port or a portIndex")
                }
                if check["port"].isNull, let port = check["portIndex"].int, port >= app.ports.count {
                    fail(
                        "\(path)/portIndex",
                        "Health check port indices must address an element of the ports array or container port mappings."
                    )
                }
            }
            if (check["intervalSeconds"].int ?? 60) < 1 { fail("\(path)/intervalSeconds", "must be at least 1") }
        }
        if ofMesos > 1 { fail("/healthChecks", "AppDefinition can contain at most one Mesos health check") }
        let readiness = app.readinessChecks
        if readiness.count > 1 { fail("/readinessChecks", "may not have more than 1 readiness check") }
        let names = app.ports.compactMap { $0["name"].string }
        for (index, check) in readiness.enumerated() {
            if let name = check["portName"].string, !names.contains(name) {
                fail("/readinessChecks(\(index))/portName", "No port definition reference for portName \(name)")
            }
            if (check["timeoutSeconds"].int ?? 10) >= (check["intervalSeconds"].int ?? 30) {
                fail("/readinessChecks(\(index))/timeoutSeconds", "must be less than intervalSeconds")
            }
        }
        if !app.json["check"].isNull { fail("/check", "generic checks are not supported: use healthChecks") }
    }

    private mutating func strategies(_ app: RunSpec) {
        if let strategy = app.json["unreachableStrategy"].string {
            if strategy != "disabled" { fail("/unreachableStrategy", "must be an object or \"disabled\"") }
        } else if let strategy = app.unreachable {
            if app.isResident { fail("/", "unreachableStrategy must be disabled for resident tasks") }
            if strategy.expungeAfter < strategy.inactiveAfter {
                fail(
                    "/unreachableStrategy/inactiveAfterSeconds",
                    "inactiveAfterSeconds (\(Int(bounded: strategy.inactiveAfter))) must be less or equal to "
                        + "expungeAfterSeconds, which is \(Int(bounded: strategy.expungeAfter))")
            }
        }
        if app.isResident, app.maximumOverCapacity != 0 {
            fail("/upgradeStrategy/maximumOverCapacity", "must be 0 for apps with persistent volumes")
        }
        if app.isSingleInstance {
            if app.instances > 1 { fail("/instances", "Single instance app may only have one instance") }
            if app.minimumHealthCapacity != 0 || app.maximumOverCapacity != 0 {
                fail("/upgradeStrategy", "must be 0 and 0 for a single instance app")
            }
        }
        if app.hasUnsharedExternalVolume, app.instances > 1 {
            fail("/instances", "apps with external volumes that are not shared may only have one instance")
        }
    }

    mutating func constraints(_ constraints: [JSON], _ base: String) {
        for (index, constraint) in constraints.enumerated() {
            let path = "\(base)(\(index))"
            let parts = constraint.elements.compactMap(\.string)
            guard (2...3).contains(parts.count), !parts[0].isEmpty else {
                fail(path, "Each constraint must have either 2 or 3 fields")
                continue
            }
            let value = parts.count > 2 ? parts[2] : nil
            switch parts[1] {
            case "UNIQUE": if value != nil { fail(path, "UNIQUE does not accept a value") }
            case "CLUSTER": break
            case "GROUP_BY":
                if let value, (Int(value) ?? 0) < 1 {
                    fail(path, "GROUP BY must define an integer value or else no value at all")
                }
            case "MAX_PER":
                if value.flatMap({ Int($0) }).map({ $0 < 1 }) ?? true {
                    fail(path, "MAX_PER requires an integer value")
                }
            case "LIKE", "UNLIKE":
                guard let value, !value.isEmpty else {
                    fail(path, "LIKE and UNLIKE require a non-empty, regular expression value")
                    continue
                }
                do throws(PatternProblem) {
                    _ = try Pattern(value)
                } catch {
                    fail(path, "'\(value)' is not a valid regular expression: \(error)")
                }
            case "IS":
                if value?.isEmpty ?? true { fail(path, "IS requires a value") }
                if let first = value?.first, "[{".contains(first) {
                    fail(path, "IS only supports Mesos text and float values")
                }
            default:
                fail(
                    path,
                    "operator must be one of the following UNIQUE, CLUSTER, GROUP_BY, LIKE, MAX_PER, UNLIKE or IS")
            }
        }
    }

    private mutating func volumes(_ app: RunSpec) {
        for (index, volume) in app.container["volumes"].elements.enumerated() {
            let path = "/container/volumes(\(index))"
            let containerPath = volume["containerPath"].string ?? ""
            if containerPath.isEmpty { fail("\(path)/containerPath", "must not be empty") }
            if !volume["persistent"].isNull {
                if containerPath.contains("/") {
                    fail("\(path)/containerPath", "value must not contain \"/\"")
                }
                if volume["persistent"]["size"].int == nil { fail("\(path)/persistent/size", "must be given") }
                if let type = volume["persistent"]["type"].string, type != "root" {
                    fail("\(path)/persistent/type", "only root is supported: the cluster's own volumes have no disks")
                }
            } else if !volume["external"].isNull {
                fail("\(path)/external", "external volumes are not supported: use a persistent one, or a host path")
            } else if volume["secret"].isNull, volume["hostPath"].string?.isEmpty ?? true {
                fail("\(path)/hostPath", "must be given, or one of persistent, external and secret")
            }
        }
    }

    mutating func secrets(_ environment: JSON, _ secrets: JSON, _ base: String) {
        for (index, (name, value)) in environment.members.enumerated() {
            if name.isEmpty { fail("\(base)/keys(\(index))", "must not be empty") }
            // Apps have had other names for long.
            if base == "/environment", !Self.isVariable(name) {
                fail(
                    "\(base)/keys(\(index))",
                    "must contain only alphanumeric chars or underscore, must not begin with a number, and must be 254 "
                        + "chars or less")
            }
            guard let key = value["secret"].string else { continue }
            if secrets[key].isNull { fail("\(base)/\(name)", "references an undefined secret named '\(key)'") }
        }
        for (name, secret) in secrets.members where secret["source"].string?.isEmpty ?? true {
            fail("/secrets/\(name)/source", "must not be empty")
        }
    }

    private static func isVariable(_ name: String) -> Bool {
        guard let first = name.utf8.first, name.utf8.count <= 254 else { return false }
        func isLetter(_ byte: UInt8) -> Bool {
            byte == UInt8(ascii: "_") || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
        }
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        return isLetter(first) && name.utf8.allSatisfy { isLetter($0) || digits.contains($0) }
    }

    private mutating func extensions(_ app: RunSpec) {
        let policy = app.json["autoscaling"]
        if !policy.isNull {
            if policy["targetCpuPercent"].isNull, policy["targetMemPercent"].isNull {
                fail("/autoscaling", "needs targetCpuPercent or targetMemPercent")
            }
            if (policy["minInstances"].int ?? 1) > (policy["maxInstances"].int ?? 1) {
                fail("/autoscaling/maxInstances", "must be at least minInstances")
            }
            if app.isOnePerNode { fail("/autoscaling", "cannot be joined with onePerNode") }
        }
    }
}
