import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The HAProxy process of a cluster: a master with workers that outlives this process, as workloads do.
///
/// A changed configuration is checked in a folder beside, put in place and taken up by the master, which hands the open
/// sockets to new workers; the old ones end when their connections do. So no connection is refused or cut.
public struct BalancerProcess: Sendable {
    /// Folder of everything that belongs to it.
    let directory: String

    /// - Parameter directory: a folder of its own; made when needed.
    public init(directory: String) {
        self.directory = directory
    }

    private var current: String { directory + "/current" }
    private var next: String { directory + "/next" }

    /// Whether the program is on this machine.
    public static var isInstalled: Bool {
        let folders = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"]
        return folders.contains { folder in access("\(folder)/haproxy", X_OK) == 0 }
    }

    /// The process id of the master when it runs.
    ///
    /// HAProxy's own file of it is written anew at each reload, as is the command line, and for a moment neither says
    /// anything. So the start is recorded beside: a process keeps its id and the time it was started when it executes
    /// itself again. Without a record, as when Apus ended right after the start, HAProxy's own file has to do.
    var runningProcess: Int32? { recordedProcess ?? startedProcess }

    private var recordedProcess: Int32? {
        guard let record = Self.read(master)?.split(separator: " "), record.count == 2, let process = Int32(record[0]),
            let started = Self.startTime(of: process), started == record[1]
        else { return nil }
        return process
    }

    private var master: String { directory + "/master" }

    /// When a process was started, in clock ticks since the machine was: ids are given again, both together are not.
    /// - Returns: nil when there is no such process, or it has ended and nobody has asked for its end yet.
    private static func startTime(of process: Int32) -> Substring? {
        // The name in parentheses may hold anything; behind it stand the state and, as the 20th, the time.
        guard let text = read("/proc/\(process)/stat"), let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[end...].split(separator: " ").dropFirst()
        guard let state = fields.first, state != "Z", state != "X", fields.count > 19 else { return nil }
        return fields[fields.startIndex + 19]
    }

    /// Ports that the running configuration holds.
    var heldPorts: Set<Int> {
        guard runningProcess != nil, let text = Self.read("\(current)/\(BalancerConfiguration.file)") else { return [] }
        var ports: Set<Int> = []
        for line in text.split(separator: "\n") where line.hasPrefix("    bind ") {
            let words = line.split(separator: " ")
            if words.count > 1, let port = words[1].split(separator: ":").last.flatMap({ Int($0) }) {
                ports.insert(port)
            }
        }
        return ports
    }

    /// Whether nobody listens on a TCP port of this machine.
    static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(truncatingIfNeeded: port).bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    /// Puts a plan into effect.
    /// - Throws: what HAProxy says against it; what runs goes on as it was.
    func apply(_ plan: BalancerPlan) async throws {
        try write(BalancerConfiguration(directory: next, plan: plan))
        try await check("\(next)/\(BalancerConfiguration.file)")
        try write(BalancerConfiguration(directory: current, plan: plan))
        if let process = runningProcess {
            // One that was found by HAProxy's own file would be lost sight of while it reloads.
            if recordedProcess == nil { try record(process) }
            kill(process, SIGUSR2)
            return
        }
        try await HostCommand.run(
            "haproxy",
            [
                "-W", "-D", "-p", "\(current)/\(BalancerConfiguration.processFile)", "-f",
                "\(current)/\(BalancerConfiguration.file)",
            ])
        // The command returns when the master is on its way; soon it writes its id.
        for _ in 0..<500 {
            if let process = startedProcess { return try record(process) }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw BalancerStopped()
    }

    private func record(_ process: Int32) throws {
        guard let time = Self.startTime(of: process) else { throw BalancerStopped() }
        try Self.writeFile(master, "\(process) \(time)")
    }

    /// The process that HAProxy's own file names, if it was started with our configuration.
    private var startedProcess: Int32? {
        guard let text = Self.read("\(current)/\(BalancerConfiguration.processFile)"),
            let process = text.split(separator: "\n").first.flatMap({ Int32($0) }),
            let command = Self.read("/proc/\(process)/cmdline"),
            command.contains("\(current)/\(BalancerConfiguration.file)")
        else { return nil }
        return process
    }

    /// It ended as soon as it had started.
    struct BalancerStopped: Error, CustomStringConvertible {
        let description = "haproxy ended right after its start, or wrote no process id in five seconds"
    }

    /// Whether HAProxy takes a certificate with its key.
    func accepts(_ pem: String) async -> Bool {
        let folder = directory + "/trial"
        do {
            try Self.makeDirectory(folder)
            try Self.writeFile("\(folder)/trial.pem", pem)
            try Self.writeFile(
                "\(folder)/trial.cfg",
                """
                defaults
                    mode http
                    timeout connect 5s
                    timeout client 5s
                    timeout server 5s
                frontend trial
                    bind *:1 ssl crt \(folder)/trial.pem

                """)
            try await check("\(folder)/trial.cfg")
            return true
        } catch {
            return false
        }
    }

    private func check(_ file: String) async throws {
        try await HostCommand.run("haproxy", ["-c", "-q", "-f", file])
    }

    private func write(_ configuration: BalancerConfiguration) throws {
        try Self.makeDirectory(configuration.directory)
        try Self.makeDirectory("\(configuration.directory)/\(BalancerConfiguration.certificates)")
        for (name, content) in configuration.files { try Self.writeFile("\(configuration.directory)/\(name)", content) }
    }

    /// Ends the process, if it runs; its connections get a moment to end.
    public func stop() {
        if let process = runningProcess { kill(process, SIGTERM) }
    }

    // MARK: Files

    private static func makeDirectory(_ path: String) throws {
        var part = ""
        for name in path.split(separator: "/") {
            part += "/" + name
            guard mkdir(part, 0o700) == 0 || errno == EEXIST else { throw Errno(rawValue: errno) }
        }
    }

    /// Readable by root alone, for it may hold keys; in place at once or not at all.
    private static func writeFile(_ path: String, _ text: String) throws {
        let new = FilePath(path + ".new")
        let file = try FileDescriptor.open(
            new, .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
        try file.closeAfter { _ = try file.writeAll(text.utf8) }
        guard rename(new.string, path) == 0 else { throw Errno(rawValue: errno) }
    }

    private static func read(_ path: String) -> String? {
        guard let file = try? FileDescriptor.open(FilePath(path), .readOnly) else { return nil }
        defer { try? file.close() }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while let count = try? buffer.withUnsafeMutableBytes({ try file.read(into: $0) }), count > 0 {
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
