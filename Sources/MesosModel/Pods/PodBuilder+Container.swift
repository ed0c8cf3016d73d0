import JSON
import ObjectModel

extension PodBuilder {
    /// Adds a container for a command.
    mutating func addContainer(
        _ name: String, command: JSON, container info: JSON, environment: [JSON], resources: Resources,
        addedMemory: Int, limits: JSON, task: JSON
    ) throws(MesosError) {
        let image =
            info["docker"]["image"].string ?? info["mesos"]["image"]["docker"]["name"].string
        if info["mesos"]["image"]["type"].string == "APPC" {
            throw MesosError(.invalid, "Appc images are not supported")
        }
        if let known = hasImages, known != (image != nil) {
            throw MesosError(.invalid, "Tasks with and without an image cannot be in one group")
        }
        hasImages = image != nil
        var container: JSON = ["name": .string(name), "image": .string(image ?? MesosNames.hostImage)]
        if info["docker"]["force_pull_image"].bool == true {
            container["imagePullPolicy"] = "Always"
        } else {
            container["imagePullPolicy"] = "IfNotPresent"
        }
        setCommand(command, isDocker: info["type"].string == "DOCKER" && image != nil, of: &container)
        var variables = environment
        if image != nil {
            variables += ["MESOS_SANDBOX", "MESOS_DIRECTORY"].map { Self.variable($0, MesosNames.sandboxPath) }
        }
        variables += try Self.variables(command["environment"])
        container["env"] = .array(variables)
        setResources(resources, addedMemory: addedMemory, limits: limits, of: &container)
        let fetched = command["uris"].elements
        if !fetched.isEmpty { uris[name] = .array(fetched) }
        try setNetwork(info, resources: resources, of: &container)
        try setVolumes(info, resources: resources, hasImage: image != nil, of: &container)
        setSecurity(info, user: command["user"].string ?? place.framework["user"].string, name, of: &container)
        setProbes(task, name, of: &container)
        if !info["tty_info"].isNull {
            container["tty"] = true
            container["stdin"] = true
        }
        if let text = info["hostname"].string { hostname = MesosNames.dnsSafe(text) }
        containers.append(container)
    }

    private func setCommand(_ command: JSON, isDocker: Bool, of container: inout JSON) {
        let value = command["value"].string
        let arguments = command["arguments"].elements.compactMap(\.string)
        if command["shell"].bool ?? true {
            // Without a command an image runs what it is made for.
            if let value { container["command"] = JSON(["/bin/sh", "-c", Self.literal(value)]) }
            return
        }
        let literal = arguments.map { Self.literal($0) }
        guard let value else {
            if !literal.isEmpty { container["args"] = JSON(literal) }
            return
        }
        if isDocker {
            // Docker's command line: what follows the image goes to its entry point.
            container["args"] = JSON([Self.literal(value)] + literal)
        } else {
            // The first argument is argv[0], the program's name for itself.
            container["command"] = JSON([Self.literal(value)] + literal.dropFirst())
        }
    }

    private static func variables(_ environment: JSON) throws(MesosError) -> [JSON] {
        var result: [JSON] = []
        for variable in environment["variables"].elements {
            guard let name = variable["name"].string, !name.isEmpty else { continue }
            guard variable["type"].string == "SECRET" else {
                result.append(Self.variable(name, variable["value"].string ?? ""))
                continue
            }
            let secret = variable["secret"]
            if let reference = secret["reference"]["name"].string {
                let key = secret["reference"]["key"].string ?? "value"
                result.append([
                    "name": .string(name),
                    "valueFrom": ["secretKeyRef": ["name": .string(reference), "key": .string(key)]],
                ])
            } else if let data = secret["value"]["data"].string, let bytes = Base64.decode(data.utf8) {
                result.append(Self.variable(name, String(decoding: bytes, as: UTF8.self)))
            } else {
                throw MesosError(.invalid, "Environment variable '\(name)' of type 'SECRET' must have a secret set")
            }
        }
        return result
    }

    // MARK: Resources

    private func setResources(_ resources: Resources, addedMemory: Int, limits: JSON, of container: inout JSON) {
        let amounts = resources.scalarQuantities
        var requests = JSONObject(), maximum = JSONObject()
        if let cpus = amounts["cpus"], cpus > 0 { requests["cpu"] = .string(Self.cpu(cpus)) }
        if let memory = amounts["mem"], memory > 0 {
            requests["memory"] = .string(Self.memory(memory))
            maximum["memory"] = .string(Self.memory(memory + Int64(addedMemory) * 1000))
        }
        let plainDisk = resources.filter { $0.disk == nil }.scalarQuantities["disk"] ?? 0
        if plainDisk > 0 {
            requests["ephemeral-storage"] = .string(Self.memory(plainDisk))
            maximum["ephemeral-storage"] = .string(Self.memory(plainDisk))
        }
        if let gpus = amounts["gpus"], gpus > 0 {
            let count = JSON.string(String((gpus + 999) / 1000))
            requests["nvidia.com/gpu"] = count
            maximum["nvidia.com/gpu"] = count
        }
        // A limit may be infinite: then there is none.
        switch limits["cpus"]["value"] {
        case .null, .string("Infinity"): break
        case let value:
            maximum["cpu"] = .string(Self.cpu(MesosResource.thousandths(value.double ?? 0)))
        }
        switch limits["mem"]["value"] {
        case .null: break
        case .string("Infinity"): maximum["memory"] = nil
        case let value:
            maximum["memory"] = .string(
                Self.memory(MesosResource.thousandths(value.double ?? 0) + Int64(addedMemory) * 1000))
        }
        var tree = JSONObject()
        if !requests.isEmpty { tree["requests"] = .object(requests) }
        if !maximum.isEmpty { tree["limits"] = .object(maximum) }
        container["resources"] = .object(tree)
    }

    private static func cpu(_ thousandths: Int64) -> String {
        thousandths % 1000 == 0 ? String(thousandths / 1000) : "\(thousandths)m"
    }
    /// Thousandths of a MiB.
    private static func memory(_ thousandths: Int64) -> String {
        // Of petabytes nobody asks for a part of one MiB, and bytes of more would not fit.
        thousandths % 1000 == 0 || thousandths > 1 << 42
            ? "\(thousandths / 1000)Mi" : String((thousandths * (1 << 20) + 999) / 1000)
    }

    // MARK: Network

    private mutating func setNetwork(_ info: JSON, resources: Resources, of container: inout JSON) throws(MesosError) {
        assignedPorts += resources.ports.prefix(256)
        let network = info["docker"]["network"].string
        let named = info["network_infos"].elements
        var mappings = info["docker"]["port_mappings"].elements
        if network == "BRIDGE" || network == "USER" || network == "NONE"
            || named.contains(where: { $0["name"].string != nil })
        {
            isHostNetwork = false
            mappings += named.flatMap { $0["port_mappings"].elements }
        }
        guard !isHostNetwork, !mappings.isEmpty else { return }
        let offered = resources.ports
        var ports: [JSON] = []
        for mapping in mappings {
            guard let host = mapping["host_port"].int, let inside = mapping["container_port"].int else { continue }
            guard host == 0 || offered.contains(UInt64(clamping: host)) else {
                throw MesosError(
                    .invalid, "Port mapping uses host port \(host), which is not among the task's resources")
            }
            for transport in (mapping["protocol"].string ?? "tcp").split(separator: ",") {
                var port: JSON = ["containerPort": JSON(inside), "protocol": .string(transport.uppercased())]
                if host > 0 { port["hostPort"] = JSON(host) }
                ports.append(port)
            }
        }
        if !ports.isEmpty { container["ports"] = .array(ports) }
    }

    // MARK: Security

    private mutating func setSecurity(_ info: JSON, user: String?, _ name: String, of container: inout JSON) {
        var security = JSONObject(), extras = JSONObject()
        if info["docker"]["privileged"].bool == true { security["privileged"] = true }
        if let user, !user.isEmpty, user != "root" {
            if let number = Int(user) { security["runAsUser"] = JSON(number) } else { extras["user"] = .string(user) }
        }
        let linux = info["linux_info"]
        let capabilities = [linux["effective_capabilities"], linux["bounding_capabilities"], linux["capability_info"]]
            .first { !$0.isNull }
        if let capabilities {
            security["capabilities"] = [
                "drop": ["ALL"],
                "add": .array(capabilities["capabilities"].elements.filter { $0 != "UNKNOWN" }),
            ]
        }
        if linux["seccomp"]["unconfined"].bool == true {
            security["seccompProfile"] = ["type": "Unconfined"]
        } else if let profile = linux["seccomp"]["profile_name"].string {
            security["seccompProfile"] = ["type": "Localhost", "localhostProfile": .string(profile)]
        }
        if linux["share_pid_namespace"].bool == true { sharesProcesses = true }
        let limits = info["rlimit_info"]["rlimits"].elements
        if !limits.isEmpty { extras["rlimits"] = .array(limits) }
        let window = info["tty_info"]["window_size"]
        if !window.isNull { extras["window"] = window }
        if !security.isEmpty { container["securityContext"] = .object(security) }
        if !extras.isEmpty { options[name] = .object(extras) }
    }

    // MARK: Probes

    /// A health check becomes probes: start-up for the grace period, liveness for the kill, readiness for `healthy`. A
    /// check is the readiness probe, or beside a health check what the annotation says; so are times that are no seconds.
    private mutating func setProbes(_ task: JSON, _ name: String, of container: inout JSON) {
        let (health, check) = (task["health_check"], task["check"])
        var extras = JSONObject()
        if let handler = handler(health) {
            let failures = health["consecutive_failures"].int ?? 3
            var probe = handler
            probe["periodSeconds"] = JSON(Self.whole(health["interval_seconds"], 10))
            probe["timeoutSeconds"] = JSON(Self.whole(health["timeout_seconds"], 20))
            var ready = probe
            ready["failureThreshold"] = 1
            container["readinessProbe"] = ready
            if failures > 0 {
                let interval = max(Self.finite(health["interval_seconds"]) ?? 10, 0.01)
                let grace = max(Self.finite(health["grace_period_seconds"]) ?? 10, 0)
                var start = probe
                start["initialDelaySeconds"] = JSON(Self.whole(health["delay_seconds"], 15, minimum: 0))
                start["failureThreshold"] = JSON(
                    Int(min((grace / interval).rounded(.up), 1e9)).addingSaturated(failures))
                container["startupProbe"] = start
                probe["failureThreshold"] = JSON(failures)
                container["livenessProbe"] = probe
            }
            if let times = Self.fineTimes(health) { extras["health"] = times }
            if let handler = self.handler(check) {
                var probe = Self.probe(check, handler)
                if let times = Self.fineTimes(check) {
                    for (name, value) in times.members { probe[name] = value }
                }
                extras["check"] = probe
            }
        } else if let handler = handler(check) {
            container["readinessProbe"] = Self.probe(check, handler)
            if let times = Self.fineTimes(check) { extras["health"] = times }
        }
        if !extras.isEmpty { checks[name] = .object(extras) }
    }

    private static func probe(_ check: JSON, _ handler: JSON) -> JSON {
        var probe = handler
        probe["initialDelaySeconds"] = JSON(whole(check["delay_seconds"], 15, minimum: 0))
        probe["periodSeconds"] = JSON(whole(check["interval_seconds"], 10))
        probe["timeoutSeconds"] = JSON(whole(check["timeout_seconds"], 20))
        probe["failureThreshold"] = 1
        return probe
    }

    /// A check's times in milliseconds when one of them is no whole number of seconds.
    private static func fineTimes(_ check: JSON) -> JSON? {
        var times: JSON = [:]
        var isFine = false
        for (name, member, standard) in [
            ("delay_seconds", "initialDelayMilliseconds", 15.0), ("interval_seconds", "periodMilliseconds", 10),
            ("timeout_seconds", "timeoutMilliseconds", 20),
        ] {
            let seconds = min(max(finite(check[name]) ?? standard, 0), 1e9)
            if seconds != seconds.rounded() { isFine = true }
            times[member] = JSON(Int((seconds * 1000).rounded()))
        }
        return isFine ? times : nil
    }
    private static func finite(_ value: JSON) -> Double? { value.double.flatMap { $0.isFinite ? $0 : nil } }

    private func handler(_ check: JSON) -> JSON? {
        let isCheck = !check["command"]["command"].isNull
        let command = isCheck ? check["command"]["command"] : check["command"]
        if let value = command["value"].string {
            let arguments = command["arguments"].elements.compactMap(\.string)
            let isShell = command["shell"].bool ?? true
            return ["exec": ["command": JSON(isShell ? ["/bin/sh", "-c", value] : [value] + arguments.dropFirst())]]
        }
        // On the host's network the original asks the loopback address.
        let host: JSON = isHostNetwork ? "127.0.0.1" : .null
        if let port = check["http"]["port"].int {
            var get: JSON = ["port": JSON(port), "path": .string(check["http"]["path"].string ?? "/")]
            get["scheme"] = .string((check["http"]["scheme"].string ?? "http").uppercased())
            get.setMember("host", host)
            return ["httpGet": get]
        }
        if let port = check["tcp"]["port"].int {
            var socket: JSON = ["port": JSON(port)]
            socket.setMember("host", host)
            return ["tcpSocket": socket]
        }
        return nil
    }

    private static func whole(_ seconds: JSON, _ standard: Int, minimum: Int = 1) -> Int {
        guard let value = seconds.double, value.isFinite else { return standard }
        return max(minimum, Int(bounded: min(value, 1e9).rounded(.up)))
    }
}
