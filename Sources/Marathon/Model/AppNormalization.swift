import JSON

/// Makes app definitions whole: old forms become today's, defaults are filled in.
enum AppNormalization {
    /// Seconds before the first check of health, as they are answered when nobody asked for others.
    static let standardDelay = 15

    /// - Throws: `MarathonError` 422 when a document says the same thing in its old and in its new form.
    static func checkForms(_ document: JSON) throws(MarathonError) {
        func isGiven(_ json: JSON) -> Bool { !json.isNull && json.array?.isEmpty != true }
        if isGiven(document["uris"]), isGiven(document["fetch"]) {
            throw .invalid("/uris", "may not be set in conjunction with fetch")
        }
        if isGiven(document["ports"]), isGiven(document["portDefinitions"]) {
            throw .invalid("/", "cannot specify both ports and port definitions")
        }
        guard isGiven(document["networks"]) else { return }
        if !document["container"]["docker"]["network"].isNull {
            throw .invalid("/", "must not specify both container.docker.network and networks")
        }
        if !document["ipAddress"].isNull { throw .invalid("/", "must not specify both networks and ipAddress") }
    }

    /// What an update of today's form says; members that are absent stay as they were.
    ///
    /// - Parameter update: a document of the app shape.
    static func modernized(_ update: JSON) -> JSON {
        var app = update.withoutNulls
        for key in app.members.keys where Shapes.appMembers[key] == nil { app.removeMember(key) }
        let uris = (app["uris"].elements + app["storeUrls"].elements).filter { $0.string?.isEmpty == false }
        if app["fetch"].isNull, app.members["uris"] != nil || app.members["storeUrls"] != nil {
            app["fetch"] = .array(uris.map { ["uri": $0] })
        }
        let ports = app.removeMember("ports")
        if let ports, app["portDefinitions"].isNull, app["container"]["portMappings"].isNull {
            app["portDefinitions"] = .array(ports.elements.map { ["port": $0, "protocol": "tcp"] })
        }
        modernizeDocker(&app)
        modernizeAddress(&app)
        for key in ["uris", "storeUrls", "residency", "executorResources"] where key != "executorResources" {
            app.removeMember(key)
        }
        return app
    }

    /// `container.docker.network` and `portMappings` are of the time before `networks`.
    private static func modernizeDocker(_ app: inout JSON) {
        guard !app["container"]["docker"].isNull else { return }
        if let mappings = app["container"]["docker"].removeMember("portMappings"),
            app["container"]["portMappings"].isNull
        {
            app["container"]["portMappings"] = mappings
        }
        guard let network = app["container"]["docker"].removeMember("network")?.string, app["networks"].isNull else {
            return
        }
        switch network {
        case "BRIDGE": app["networks"] = [["mode": "container/bridge"]]
        case "USER":
            let name = app["ipAddress"]["networkName"].string
            app["networks"] = [name.map { ["mode": "container", "name": .string($0)] } ?? ["mode": "container"]]
        default: app["networks"] = [["mode": "host"]]
        }
    }

    /// `ipAddress` is another old form of `networks`.
    private static func modernizeAddress(_ app: inout JSON) {
        guard let address = app.removeMember("ipAddress"), app["networks"].isNull else { return }
        var network: JSON = ["mode": "container"]
        network.setMember("name", address["networkName"])
        network.setMember("labels", address["labels"])
        app["networks"] = [network]
        guard app["container"]["portMappings"].isNull else { return }
        let ports = address["discovery"]["ports"].elements.map { port -> JSON in
            var mapping: JSON = ["containerPort": port["number"], "protocol": port["protocol"]]
            mapping.setMember("name", port["name"])
            return mapping.withoutNulls
        }
        if !ports.isEmpty { app["container"]["portMappings"] = .array(ports) }
    }

    /// Lays an update over a definition.
    static func merged(_ existing: JSON, with update: JSON) -> JSON {
        var app = existing
        for (key, value) in update.members where key != "versionInfo" { app[key] = value }
        // An update from one of the two to the other replaces it.
        if !update["args"].isNull, update["cmd"].isNull { app.removeMember("cmd") }
        if !update["cmd"].isNull, update["args"].isNull { app.removeMember("args") }
        let mode = app["networks"][0]["mode"].string ?? "host"
        if mode != "host", update["portDefinitions"].isNull { app.removeMember("portDefinitions") }
        if update["networks"].isNull == false, update["container"].isNull, mode == "host" {
            app["container"].removeMember("portMappings")
            if app["container"].members.isEmpty { app.removeMember("container") }
        }
        return app
    }

    /// The definition with every default.
    static func complete(_ definition: JSON, id: PathID, role: String) -> JSON {
        var app = definition
        func fill(_ key: String, _ value: JSON) { if app[key].isNull { app[key] = value } }
        app["id"] = .string(id.text)
        fill("backoffFactor", .double(1.15))
        fill("backoffSeconds", 1)
        fill("cpus", 1)
        fill("disk", 0)
        fill("executor", "")
        fill("gpus", 0)
        fill("instances", 1)
        fill("maxLaunchDelaySeconds", 300)
        fill("mem", 128)
        fill("networks", [["mode": "host"]])
        fill("requirePorts", false)
        fill("killSelection", "YOUNGEST_FIRST")
        fill("role", .string(role))
        fill("labels", .object([:]))
        completeContainer(&app)
        let isHost = (app["networks"][0]["mode"].string ?? "host") == "host"
        if isHost {
            if app["portDefinitions"].isNull {
                app["portDefinitions"] = [["port": 0, "protocol": "tcp", "name": "default"]]
            }
            app["portDefinitions"] = .array(
                app["portDefinitions"].elements.map { port in
                    var port = port
                    if port["port"].isNull { port["port"] = 0 }
                    if port["protocol"].isNull { port["protocol"] = "tcp" }
                    return port
                })
        } else if app["portDefinitions"].elements.isEmpty {
            app.removeMember("portDefinitions")
        }
        completeStrategies(&app)
        completeLists(&app, id)
        // Empty lists are what is absent.
        for key in [
            "args", "fetch", "constraints", "healthChecks", "readinessChecks", "dependencies", "acceptedResourceRoles",
        ]
        where app[key].array?.isEmpty == true { app.removeMember(key) }
        for key in ["env", "secrets"] where app[key].object?.isEmpty == true { app.removeMember(key) }
        return app
    }

    private static func completeContainer(_ app: inout JSON) {
        guard !app["container"].isNull else { return }
        var container = app["container"]
        let mode = app["networks"][0]["mode"].string ?? "host"
        if container["type"].isNull { container["type"] = container["docker"].isNull ? "MESOS" : "DOCKER" }
        if !container["docker"].isNull {
            for (key, value) in [("forcePullImage", JSON.bool(false)), ("parameters", []), ("privileged", false)]
            where container["docker"][key].isNull { container["docker"][key] = value }
        }
        if container["volumes"].isNull { container["volumes"] = [] }
        if mode != "host" {
            container["portMappings"] = .array(
                container["portMappings"].elements.map { mapping in
                    var mapping = mapping
                    if mapping["containerPort"].isNull { mapping["containerPort"] = 0 }
                    if mapping["protocol"].isNull { mapping["protocol"] = "tcp" }
                    if mapping["servicePort"].isNull { mapping["servicePort"] = 0 }
                    if mapping["labels"].isNull { mapping["labels"] = .object([:]) }
                    if mode == "container/bridge", mapping["hostPort"].isNull { mapping["hostPort"] = 0 }
                    return mapping
                })
        }
        app["container"] = container
    }

    private static func completeStrategies(_ app: inout JSON) {
        let spec = RunSpec(kind: .app, json: app)
        var upgrade = app["upgradeStrategy"]
        var standard: (Double, Double) = (1, 1)
        if spec.isResident { standard = (0.5, 0) }
        if spec.isSingleInstance || spec.hasUnsharedExternalVolume { standard = (0, 0) }
        if upgrade["maximumOverCapacity"].isNull { upgrade["maximumOverCapacity"] = .double(standard.1) }
        if upgrade["minimumHealthCapacity"].isNull { upgrade["minimumHealthCapacity"] = .double(standard.0) }
        app["upgradeStrategy"] = upgrade
        var unreachable = app["unreachableStrategy"]
        if unreachable.isNull, spec.isResident {
            unreachable = "disabled"
        } else if unreachable.string == nil {
            if unreachable["inactiveAfterSeconds"].isNull { unreachable["inactiveAfterSeconds"] = 0 }
            if unreachable["expungeAfterSeconds"].isNull { unreachable["expungeAfterSeconds"] = 0 }
        }
        app["unreachableStrategy"] = unreachable
    }

    private static func completeLists(_ app: inout JSON, _ id: PathID) {
        func map(_ key: String, _ change: (inout JSON) -> Void) {
            guard let elements = app[key].array else { return }
            app[key] = .array(
                elements.map { element in
                    var element = element
                    change(&element)
                    return element
                })
        }
        func fill(_ element: inout JSON, _ values: [(String, JSON)]) {
            for (key, value) in values where element[key].isNull { element[key] = value }
        }
        map("fetch") { fill(&$0, [("extract", true), ("executable", false), ("cache", false)]) }
        map("healthChecks") { check in
            fill(
                &check,
                [
                    ("protocol", "HTTP"), ("gracePeriodSeconds", 300), ("intervalSeconds", 60), ("timeoutSeconds", 20),
                    ("maxConsecutiveFailures", 3),
                ])
            let word = check["protocol"].string ?? ""
            if word.hasSuffix("HTTP") || word.hasSuffix("HTTPS") { fill(&check, [("path", "/")]) }
            if word != "COMMAND" {
                fill(&check, [("ipProtocol", "IPv4")])
                if check["port"].isNull { fill(&check, [("portIndex", 0)]) }
            }
            if word == "HTTP" || word == "HTTPS" { fill(&check, [("ignoreHttp1xx", false)]) }
            // What everybody gets is answered, not stored: clients send back what they were answered.
            if check["delaySeconds"].int == Self.standardDelay { check.removeMember("delaySeconds") }
        }
        map("readinessChecks") { check in
            fill(
                &check,
                [
                    ("name", "readinessCheck"), ("protocol", "HTTP"), ("path", "/"), ("portName", "http-api"),
                    ("intervalSeconds", 30), ("timeoutSeconds", 10), ("httpStatusCodesForReady", [200]),
                    ("preserveLastResponse", false),
                ])
        }
        let parent = id.parent
        map("dependencies") { $0 = .string(PathID($0.string ?? "", in: parent).text) }
    }
}
