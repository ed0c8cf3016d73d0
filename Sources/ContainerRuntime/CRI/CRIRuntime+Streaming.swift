import GRPCCore
import JSON
public import Streaming
import WireCRI

extension CRIRuntime {
    public func execSync(_ id: String, command: [String], timeout: Duration) async throws(RuntimeError) -> ExecResult {
        let seconds = max(
            1, min(timeout.components.seconds, 1_000_000_000) + (timeout.components.attoseconds > 0 ? 1 : 0))
        // The runtime ends the command at the timeout; the deadline of the call is only there for a runtime that hangs.
        let response = try await call("ExecSync", within: .seconds(seconds) + CallTimeout.lookup) { options in
            try await runtimeService.execSync(
                .with {
                    $0.containerID = id
                    $0.cmd = command
                    $0.timeout = seconds
                }, options: options)
        }
        return ExecResult(
            exitCode: Int(response.exitCode), output: Array(response.stdout), errorOutput: Array(response.stderr))
    }

    public func exec(_ id: String, _ options: ExecOptions) async throws(RuntimeError) -> any ProcessSession {
        let url = try await call("Exec", within: CallTimeout.lookup) { callOptions in
            try await runtimeService.exec(
                .with {
                    $0.containerID = id
                    $0.cmd = options.command
                    $0.tty = options.tty
                    $0.stdin = options.stdin
                    $0.stdout = options.stdout
                    // A terminal has one output: the runtime refuses both.
                    $0.stderr = options.stderr && !options.tty
                }, options: callOptions
            ).url
        }
        return try await dial("Exec", url, options)
    }

    public func attach(_ id: String, _ options: ExecOptions) async throws(RuntimeError) -> any ProcessSession {
        let url = try await call("Attach", within: CallTimeout.lookup) { callOptions in
            try await runtimeService.attach(
                .with {
                    $0.containerID = id
                    $0.tty = options.tty
                    $0.stdin = options.stdin
                    $0.stdout = options.stdout
                    $0.stderr = options.stderr && !options.tty
                }, options: callOptions
            ).url
        }
        return try await dial("Attach", url, options)
    }

    private func dial(_ operation: String, _ url: String, _ options: ExecOptions) async throws(RuntimeError)
        -> any ProcessSession
    {
        do {
            return try await RemoteCommandClient.connect(url: url, options: options)
        } catch {
            throw RuntimeError(.unavailable, operation: operation, "\(error)")
        }
    }

    public func connect(sandbox id: String, port: Int) async throws(RuntimeError) -> any ByteConnection {
        guard (1...65535).contains(port) else {
            throw RuntimeError(.invalidArgument, operation: "connect", "port \(port) is not between 1 and 65535")
        }
        let response = try await sandbox(id, verbose: true)
        guard response.status.state == .sandboxReady else {
            throw RuntimeError(.notFound, operation: "connect", "the pod is not running")
        }
        let namespace = Self.networkNamespace(response)
        do {
            let descriptor = try await NamespaceDialer.connect(namespace: namespace, port: UInt16(port))
            return try await SocketConnection.adopting(descriptor: descriptor)
        } catch {
            throw RuntimeError(operation: "connect", error)
        }
    }

    /// Path of a sandbox's network namespace; nil when it uses the host's.
    func networkNamespace(ofSandbox id: String) async throws(RuntimeError) -> String? {
        Self.networkNamespace(try await sandbox(id, verbose: true))
    }

    /// Path of the sandbox's network namespace; nil when it uses the host's.
    private static func networkNamespace(_ response: Runtime_V1_PodSandboxStatusResponse) -> String? {
        if response.status.linux.namespaces.options.network == .node { return nil }
        guard let info = try? JSON.parse(response.info["info"] ?? "") else { return nil }
        for namespace in info["runtimeSpec"]["linux"]["namespaces"].elements
        where namespace["type"].string == "network" {
            if let path = namespace["path"].string, !path.isEmpty { return path }
        }
        // A runtime that lets its own process make the namespace.
        return info["pid"].int.map { "/proc/\($0)/ns/net" }
    }

    /// The image that the runtime uses for sandboxes, if it tells.
    func sandboxImage() async throws(RuntimeError) -> String? {
        let response = try await call("Status", within: CallTimeout.lookup) { options in
            try await runtimeService.status(.with { $0.verbose = true }, options: options)
        }
        let config = try? JSON.parse(response.info["config"] ?? "")
        return config?["sandboxImage"].string.flatMap { $0.isEmpty ? nil : $0 }
    }
}
