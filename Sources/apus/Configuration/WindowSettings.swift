import HTTPWindow
import ObjectModel

/// One of the plain HTTP windows beside the Kubernetes API.
enum WindowName: String, CaseIterable, Sendable {
    case mesos = "mesos-port"
    case mesosAgent = "mesos-agent-port"
    case marathon = "marathon-port"
    case metronome = "metronome-port"
    case chronos = "chronos-port"
    case mesosDNS = "mesos-dns-port"

    /// `mesos-agent`, for health checks.
    var component: String { String(rawValue.dropLast("-port".count)) }

    /// Where it is served unless told otherwise.
    var standardPort: Int {
        switch self {
        case .mesos: 5050
        case .mesosAgent: 5051
        case .marathon: 8080
        case .metronome: 9000
        case .chronos: 4400
        case .mesosDNS: 8123
        }
    }

    /// For people.
    var title: String {
        switch self {
        case .mesos: "the Mesos master API"
        case .mesosAgent: "the Mesos agent API"
        case .marathon: "Marathon"
        case .metronome: "Metronome"
        case .chronos: "Chronos"
        case .mesosDNS: "the Mesos DNS API"
        }
    }

    /// What clients are asked a password for.
    var realm: String {
        switch self {
        case .mesos: "mesos-master"
        case .mesosAgent: "mesos-agent"
        case .marathon: "marathon"
        case .metronome: "metronome"
        case .chronos: "chronos"
        case .mesosDNS: "mesos-dns"
        }
    }

    /// True for windows of a node; the others are the cluster's.
    var belongsToNode: Bool { self == .mesosAgent }
}

/// Which windows are served, where, and to whom.
struct WindowSettings: Sendable {
    /// Ports of the windows that are served.
    private(set) var ports: [WindowName: Int] = [:]
    /// Windows whose port was asked for: one that is taken is an error then.
    private(set) var asked: Set<WindowName> = []
    private(set) var address = "127.0.0.1"
    private var secrets: [String: String]?

    /// Reads the options.
    /// - Throws: `UserError` for values that make no sense, and for an address beyond loopback without credentials.
    static func make(_ options: WindowOptions, hasNode: Bool, lookup: SettingsLookup) throws -> WindowSettings {
        var settings = WindowSettings()
        settings.address = lookup.string("windows-address", flag: options.windowsAddress) ?? "127.0.0.1"
        guard let address = IPAddress(settings.address) else {
            throw UserError("--windows-address is \"\(settings.address)\": give an IP address")
        }
        for window in WindowName.allCases where hasNode || !window.belongsToNode {
            let port = try lookup.int(window.rawValue, flag: options.port(window), in: 0...65535)
            if let port, port > 0 { settings.asked.insert(window) }
            let number = port ?? window.standardPort
            if number > 0 { settings.ports[window] = number }
        }
        if let path = lookup.string("credentials", flag: options.credentials) {
            guard let text = try? FileText.read(path) else {
                throw UserError("the credentials in \(path) cannot be read: check --credentials")
            }
            do {
                settings.secrets = try WindowCredentials(parsing: text, realm: "").secrets
            } catch {
                throw UserError("the credentials in \(path) cannot be used: \(error)")
            }
        }
        if settings.secrets == nil, !address.description.hasPrefix("127."), address.description != "::1",
            !settings.ports.isEmpty
        {
            throw UserError(
                "--windows-address \(settings.address) lets others in: give --credentials FILE with a principal and its "
                    + "secret on each line, or leave the windows on 127.0.0.1")
        }
        return settings
    }

    /// Leaves out windows whose standard port somebody else has.
    /// - Returns: what to tell the user about each.
    /// - Throws: `UserError` when a port that was asked for is taken.
    mutating func leaveOutTaken() async throws -> [String] {
        var notes: [String] = []
        for window in WindowName.allCases {
            guard let port = ports[window] else { continue }
            do {
                try await Preflight.requireFreePort(port, address: address, option: "--\(window.rawValue)")
            } catch let error as UserError {
                guard !asked.contains(window) else { throw error }
                ports[window] = nil
                notes.append(
                    "\(window.title) is not served: port \(port) is in use (choose one with --\(window.rawValue), 0 "
                        + "turns it off)")
            }
        }
        return notes
    }

    /// How a window listens; nil when it is not served.
    func configuration(_ window: WindowName) -> Window.Configuration? {
        guard let port = ports[window] else { return nil }
        var configuration = Window.Configuration(
            name: window.title, address: address, port: port,
            credentials: secrets.map { WindowCredentials(secrets: $0, realm: window.realm) })
        // Another server may take the port after `leaveOutTaken` looked.
        configuration.isOptional = !asked.contains(window)
        return configuration
    }
}
