public import JSON
import ObjectModel

/// Options of `docker run` that a definition carries as `parameters`, in the words of a Kubernetes pod.
///
/// Those that a pod has no word for are refused by their name: none is kept without effect.
public struct DockerParameters: Sendable {
    private var environment: [(name: String, value: String)] = []
    private var labels: [(name: String, value: String)] = []
    private var security: JSON = .object([:])
    private var podSecurity: JSON = .object([:])
    private var podMembers: JSON = .object([:])
    private var dns: JSON = .object([:])
    private var hosts: [(name: String, address: String)] = []
    private var limits: [(name: String, amount: String)] = []
    private var quota: (amount: Double?, period: Double) = (nil, 100_000)
    private var mounts: [(source: JSON, mount: JSON)] = []
    private var ulimits: [(letter: String, soft: String, hard: String)] = []
    private var directory: String?
    private var entryPoint: String?
    private var hasTerminal = false
    /// What is wrong, in the order of the parameters.
    public private(set) var problems: [(index: Int, message: String)] = []

    /// - Parameters:
    ///   - parameters: `[{"key": …, "value": …}]`.
    ///   - isHostNetwork: the pod has no network of its own.
    ///   - hasShell: the program is a line for a shell.
    public init(_ parameters: [JSON], isHostNetwork: Bool, hasShell: Bool) {
        for (index, parameter) in parameters.enumerated() {
            let key = Self.longName(parameter["key"].string ?? "")
            let value = parameter["value"].string ?? ""
            if let problem = take(key, value, isHostNetwork: isHostNetwork, hasShell: hasShell) {
                problems.append((index, "the Docker parameter \"\(key)\" \(problem)"))
            }
        }
    }

    private static func longName(_ key: String) -> String {
        let name = String(key.drop { $0 == "-" })
        let short = [
            "e": "env", "l": "label", "h": "hostname", "u": "user", "w": "workdir", "m": "memory", "v": "volume",
            "t": "tty", "net": "network", "dns-opt": "dns-option",
        ]
        return short[name] ?? name
    }

    // MARK: Reading

    private static let malformed = "has a value that it cannot have"

    /// - Returns: what is wrong with it.
    private mutating func take(_ key: String, _ value: String, isHostNetwork: Bool, hasShell: Bool) -> String? {
        switch key {
        case "env":
            guard let (name, text) = Self.pair(value, "="), !name.isEmpty else { return "needs NAME=VALUE" }
            environment.append((name, text))
        case "label":
            let (name, text) = Self.pair(value, "=") ?? (value, "")
            guard Names.qualifiedNameProblems(name).isEmpty else { return "has a name that no label can have" }
            labels.append((name, text))
        case "hostname":
            if isHostNetwork { return "needs a container network" }
            guard !value.isEmpty, MesosNames.dnsSafe(value) == value, value.utf8.count < 64, !value.contains(".") else {
                return "has to be one label of a domain name"
            }
            podMembers["hostname"] = .string(value)
        case "user": return user(value)
        case "group-add":
            guard let group = Int(value) else { return "has to be the number of a group" }
            podSecurity["supplementalGroups"] = .array(podSecurity["supplementalGroups"].elements + [JSON(group)])
        case "workdir":
            guard value.hasPrefix("/") else { return "has to be an absolute path" }
            directory = value
        case "entrypoint": entryPoint = value
        case "cap-add", "cap-drop":
            let member = key == "cap-add" ? "add" : "drop"
            let name = value.uppercased()
            let short = name.hasPrefix("CAP_") ? String(name.dropFirst(4)) : name
            security["capabilities"][member] = .array(
                security["capabilities"][member].elements + [.string(short)])
        case "privileged", "read-only", "tty", "rm": return flag(key, value)
        case "security-opt": return securityOption(value)
        case "sysctl":
            guard let (name, text) = Self.pair(value, "="), !name.isEmpty else { return "needs NAME=VALUE" }
            podSecurity["sysctls"] = .array(
                podSecurity["sysctls"].elements + [["name": .string(name), "value": .string(text)]])
        case "dns", "dns-search", "dns-option": return resolver(key, value)
        case "add-host":
            guard let (name, address) = Self.pair(value, ":") ?? Self.pair(value, "="), !name.isEmpty,
                IPAddress(address) != nil
            else { return "needs NAME:ADDRESS" }
            hosts.append((name, address))
        case "memory":
            guard let bytes = Self.bytes(value) else { return Self.malformed }
            limits.append(("memory", String(bytes)))
        case "cpus":
            guard let cpus = Double(value), cpus > 0, cpus <= 1e6 else { return Self.malformed }
            limits.append(("cpu", "\(Int(bounded: (cpus * 1000).rounded()))m"))
        case "cpu-quota", "cpu-period":
            guard let number = Double(value), number > 0, number <= 1e12 else { return Self.malformed }
            if key == "cpu-quota" { quota.amount = number } else { quota.period = number }
        case "shm-size":
            guard let bytes = Self.bytes(value) else { return Self.malformed }
            mount(memory: bytes, at: "/dev/shm")
        case "tmpfs": return temporary(value)
        case "volume": return volume(value)
        case "ulimit": return limit(value, hasShell: hasShell)
        case "pid", "ipc":
            guard value == "host" else { return "can only be \"host\"" }
            podMembers[key == "pid" ? "hostPID" : "hostIPC"] = true
        case "stop-timeout":
            guard let seconds = Int(value), seconds >= 0 else { return Self.malformed }
            podMembers["terminationGracePeriodSeconds"] = JSON(seconds)
        case "network": return "is not supported: name the network in \"networks\""
        case "cpu-shares", "memory-reservation": return "is not supported: give \"cpus\" and \"mem\""
        default: return "is not supported"
        }
        return nil
    }

    private mutating func user(_ value: String) -> String? {
        let parts = value.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        let numbers = parts.map { $0 == "root" ? 0 : Int($0) }
        guard (1...2).contains(parts.count), numbers.allSatisfy({ $0.map { $0 >= 0 } ?? false }) else {
            return "has to be a number, or two with a colon between: names are known to the image only"
        }
        security.setMember("runAsUser", numbers[0].map { JSON($0) })
        if parts.count > 1 { security.setMember("runAsGroup", numbers[1].map { JSON($0) }) }
        return nil
    }

    private mutating func flag(_ key: String, _ value: String) -> String? {
        guard value.isEmpty || value == "true" || value == "false" else { return "can only be true or false" }
        let isOn = value != "false"
        switch key {
        case "privileged": security["privileged"] = .bool(isOn)
        case "read-only": security["readOnlyRootFilesystem"] = .bool(isOn)
        case "tty": hasTerminal = isOn
        // Containers are removed when they ended, whatever is asked for.
        default: if !isOn { return "can only be true" }
        }
        return nil
    }

    private mutating func securityOption(_ value: String) -> String? {
        switch value {
        case "no-new-privileges", "no-new-privileges:true", "no-new-privileges=true":
            security["allowPrivilegeEscalation"] = false
        case "seccomp=unconfined", "seccomp:unconfined": security["seccompProfile"] = ["type": "Unconfined"]
        default: return "can only be no-new-privileges or seccomp=unconfined"
        }
        return nil
    }

    private mutating func resolver(_ key: String, _ value: String) -> String? {
        func add(_ member: String, _ entry: JSON) { dns[member] = .array(dns[member].elements + [entry]) }
        switch key {
        case "dns":
            guard IPAddress(value) != nil else { return "has to be an IP address" }
            add("nameservers", .string(value))
        case "dns-search": add("searches", .string(value))
        default:
            let (name, text) = Self.pair(value, ":") ?? (value, "")
            add("options", text.isEmpty ? ["name": .string(name)] : ["name": .string(name), "value": .string(text)])
        }
        return nil
    }

    private mutating func temporary(_ value: String) -> String? {
        let (path, options) = Self.pair(value, ":") ?? (value, "")
        guard path.hasPrefix("/") else { return "has to be an absolute path" }
        var bytes: Int?
        for option in options.split(separator: ",") where option.hasPrefix("size=") {
            bytes = Self.bytes(String(option.dropFirst(5)))
            if bytes == nil { return Self.malformed }
        }
        mount(memory: bytes, at: path)
        return nil
    }

    private mutating func mount(memory bytes: Int?, at path: String) {
        var source: JSON = ["medium": "Memory"]
        source.setMember("sizeLimit", bytes.map { .string(String($0)) })
        mounts.append((["emptyDir": source], ["mountPath": .string(path)]))
    }

    private mutating func volume(_ value: String) -> String? {
        let parts = value.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(parts.count), parts[0].hasPrefix("/"), parts[1].hasPrefix("/") else {
            return "needs PATH:PATH, and :ro or :rw: volumes with names are not supported"
        }
        var mount: JSON = ["mountPath": .string(parts[1])]
        for option in parts.dropFirst(2).joined().split(separator: ",") {
            switch option {
            case "ro": mount["readOnly"] = true
            case "rw", "z", "Z": continue
            default: return "has the option \"\(option)\", which is not supported"
            }
        }
        mounts.append((["hostPath": ["path": .string(parts[0])]], mount))
        return nil
    }

    private mutating func limit(_ value: String, hasShell: Bool) -> String? {
        let letters = [
            "core": "c", "cpu": "t", "data": "d", "fsize": "f", "memlock": "l", "nofile": "n", "nproc": "p",
            "stack": "s",
        ]
        guard let (name, amounts) = Self.pair(value, "="), let letter = letters[name] else {
            return "needs NAME=SOFT:HARD with one of " + letters.keys.sorted().joined(separator: ", ")
        }
        // A pod has no word for it: the shell that starts the program sets it.
        guard hasShell else { return "needs a command for a shell (\"cmd\")" }
        let parts = amounts.split(separator: ":").map(String.init)
        guard (1...2).contains(parts.count), parts.allSatisfy({ Int($0) != nil || $0 == "unlimited" }) else {
            return Self.malformed
        }
        ulimits.append((letter, parts[0], parts[parts.count - 1]))
        return nil
    }

    private static func pair(_ text: String, _ separator: Character) -> (String, String)? {
        guard let place = text.firstIndex(of: separator) else { return nil }
        return (String(text[..<place]), String(text[text.index(after: place)...]))
    }

    /// `512m`, `1g`, `1048576`.
    private static func bytes(_ text: String) -> Int? {
        let units: [Character: Int] = ["b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30]
        guard let last = text.lowercased().last else { return nil }
        if last.isNumber { return Int(text).flatMap { $0 > 0 ? $0 : nil } }
        guard let unit = units[last], let number = Int(text.dropLast()), number > 0 else { return nil }
        let (product, isTooMuch) = number.multipliedReportingOverflow(by: unit)
        return isTooMuch ? nil : product
    }

    // MARK: Writing

    /// Lays the parameters over a pod's `metadata` and `spec` whose first container is the one that they are for.
    public func apply(to pod: inout JSON) {
        var container = pod["spec"]["containers"][0]
        var entries = container["env"].elements
        for (name, value) in environment {
            entries.removeAll { $0["name"].string == name }
            entries.append(["name": .string(name), "value": .string(value.replacing("$(", with: "$$("))])
        }
        if !entries.isEmpty { container["env"] = .array(entries) }
        for (name, value) in security.members {
            if name == "capabilities" {
                for (member, names) in value.members { container["securityContext"]["capabilities"][member] = names }
            } else {
                container["securityContext"][name] = value
            }
        }
        start(&container)
        for (name, amount) in limits { container["resources"]["limits"][name] = .string(amount) }
        if let amount = quota.amount {
            container["resources"]["limits"]["cpu"] = .string(
                "\(Int(bounded: (amount / quota.period * 1000).rounded()))m")
        }
        lower(&container)
        var volumes = pod["spec"]["volumes"].elements
        for (index, entry) in mounts.enumerated() {
            let name = JSON.string("parameter-\(index)")
            var (source, mount) = entry
            source["name"] = name
            mount["name"] = name
            volumes.append(source)
            container["volumeMounts"] = .array(container["volumeMounts"].elements + [mount])
        }
        if !volumes.isEmpty { pod["spec"]["volumes"] = .array(volumes) }
        pod["spec"]["containers"] = .array([container] + pod["spec"]["containers"].elements.dropFirst())
        for (name, value) in labels {
            let isLabel = Names.labelValueProblems(value).isEmpty
            let place = isLabel ? "labels" : "annotations"
            if pod["metadata"][place][name].isNull { pod["metadata"][place][name] = .string(value) }
        }
        for (name, value) in podMembers.members { pod["spec"][name] = value }
        for (name, value) in podSecurity.members { pod["spec"]["securityContext"][name] = value }
        if !dns.members.isEmpty {
            pod["spec"]["dnsConfig"] = dns
            if !dns["nameservers"].isNull { pod["spec"]["dnsPolicy"] = "None" }
        }
        let byAddress = Dictionary(grouping: hosts) { $0.address }.sorted { $0.key < $1.key }
        if !byAddress.isEmpty {
            pod["spec"]["hostAliases"] = .array(
                byAddress.map { address, entries in
                    ["ip": .string(address), "hostnames": .array(entries.map { .string($0.name) })]
                })
        }
    }

    private func start(_ container: inout JSON) {
        if let directory { container["workingDir"] = .string(directory) }
        if hasTerminal { container["tty"] = true }
        var command = container["command"].elements
        if !ulimits.isEmpty, command.count == 3, let line = command[2].string {
            let lines = ulimits.map { "ulimit -S -\($0.letter) \($0.soft) && ulimit -H -\($0.letter) \($0.hard) && " }
            command[2] = .string(lines.joined() + line)
            container["command"] = .array(command)
        }
        if let entryPoint {
            container["args"] = .array(command + container["args"].elements)
            container["command"] = [.string(entryPoint)]
        }
    }

    /// What is asked for may not be more than what is allowed.
    private func lower(_ container: inout JSON) {
        for name in ["cpu", "memory"] {
            guard let most = Quantity(container["resources"]["limits"][name]),
                let least = Quantity(container["resources"]["requests"][name]), least.doubleValue > most.doubleValue
            else { continue }
            container["resources"]["requests"][name] = container["resources"]["limits"][name]
        }
    }
}
