import ArgumentParser
import Glibc
import SystemPackage
import Yams

/// Options that say which cluster is meant; every command has them.
struct ClusterOptions: ParsableArguments {
    @Option(help: "Where all state lives (APUS_DATA_DIR).")
    var dataDir: String?

    @Option(help: "A YAML file with option names as keys, for example `data-dir: /srv/apus` (APUS_CONFIG).")
    var config: String?

    /// Looks options up: flags before environment before the file.
    func lookup() throws -> SettingsLookup { try SettingsLookup(configPath: config) }

    func dataDirectory(_ lookup: SettingsLookup) -> String {
        let path = lookup.string("data-dir", flag: dataDir) ?? "/var/lib/apus"
        return FilePath(path).isAbsolute ? path : FilePath.currentDirectory.appending(path).string
    }
}

extension FilePath {
    fileprivate static var currentDirectory: FilePath {
        guard let text = getcwd(nil, 0) else { return "/" }
        defer { free(text) }
        return FilePath(String(cString: text))
    }
}

/// Where the value of an option comes from when it was not given as a flag.
struct SettingsLookup {
    private let file: [String: String]

    init(configPath: String?) throws {
        guard let path = configPath ?? Self.environment("config") else {
            file = [:]
            return
        }
        guard let text = try? FileText.read(path) else {
            throw UserError("the configuration file \(path) cannot be read: check --config")
        }
        do {
            guard let members = try Yams.load(yaml: text) as? [String: Any] else {
                throw UserError("the configuration file \(path) is not a map of option names to values")
            }
            if let unknown = members.keys.sorted().first(where: { !Self.names.contains($0) }) {
                throw UserError(
                    "the configuration file \(path) has the unknown key \"\(unknown)\": it takes "
                        + Self.names.sorted().joined(separator: ", "))
            }
            file = members.mapValues { "\($0)" }
        } catch let error as YamlError {
            throw UserError("the configuration file \(path) is not valid YAML: \(error)")
        }
    }

    /// The options that a file can hold.
    private static let names: Set = [
        "data-dir", "kubeconfig", "port", "bind-address", "node-name", "node-ip", "pod-cidr", "service-cidr",
        "dns-port",
        "containerd", "eviction-hard", "log-level", "mesos-port", "mesos-agent-port", "marathon-port", "mesos-dns-port",
        "metronome-port", "chronos-port",
        "windows-address", "credentials", "ingress-http-port", "ingress-https-port",
    ]

    func string(_ name: String, flag: String?) -> String? { flag ?? Self.environment(name) ?? file[name] }

    func int(_ name: String, flag: Int?, in range: ClosedRange<Int>) throws -> Int? {
        guard let text = string(name, flag: flag.map(String.init)) else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw UserError("--\(name) is \"\(text)\": give a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// `data-dir` → `APUS_DATA_DIR`.
    private static func environment(_ name: String) -> String? {
        let key = "APUS_" + String(name.map { $0 == "-" ? "_" : $0 }).uppercased()
        guard let value = getenv(key) else { return nil }
        let text = String(cString: value)
        return text.isEmpty ? nil : text
    }
}

/// Something the user can put right: one sentence with the next step, exit code 1.
struct UserError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) {
        self.description = description
    }
}
