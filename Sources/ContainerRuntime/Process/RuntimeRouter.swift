public import Streaming

/// One `Runtime` over two: containers with images, and plain programs. Sandboxes go by their runtime handler, everything
/// else by the beginning of its id.
public final class RuntimeRouter: Runtime {
    private let containers: any Runtime
    private let processes: ProcessRuntime

    public init(containers: any Runtime, processes: ProcessRuntime) {
        self.containers = containers
        self.processes = processes
    }

    private func runtime(of id: String) -> any Runtime {
        id.hasPrefix(ProcessRuntime.idPrefix) ? processes : containers
    }

    public func version() async throws(RuntimeError) -> RuntimeVersion { try await containers.version() }
    public func status() async throws(RuntimeError) -> [RuntimeCondition] { try await containers.status() }

    public func runSandbox(_ config: SandboxConfig) async throws(RuntimeError) -> String {
        config.runtimeHandler == ProcessRuntime.handler
            ? try await processes.runSandbox(config) : try await containers.runSandbox(config)
    }
    public func stopSandbox(_ id: String) async throws(RuntimeError) { try await runtime(of: id).stopSandbox(id) }
    public func removeSandbox(_ id: String) async throws(RuntimeError) { try await runtime(of: id).removeSandbox(id) }
    public func sandboxStatus(_ id: String) async throws(RuntimeError) -> SandboxStatus {
        try await runtime(of: id).sandboxStatus(id)
    }
    public func sandboxes(labels: [String: String]) async throws(RuntimeError) -> [SandboxSummary] {
        let own = try await processes.sandboxes(labels: labels)
        if processes.hasPod(labels) { return own }
        // A sandbox that holds the network of one of ours is no pod's; one whose owner is gone is an orphan.
        let others = try await containers.sandboxes(labels: labels).filter { sandbox in
            sandbox.labels[ProcessRuntime.networkLabel].map { !processes.owns($0) } ?? true
        }
        return own + others
    }

    public func createContainer(sandbox: String, _ config: ContainerConfig, sandboxConfig: SandboxConfig)
        async throws(RuntimeError) -> String
    {
        guard sandbox.hasPrefix(ProcessRuntime.idPrefix) || !ProcessRuntime.isHost(config.userImage) else {
            throw RuntimeError(
                .invalidArgument, operation: "CreateContainer",
                "image \"\(ProcessRuntime.image)\" is for pods with runtimeClassName: \(ProcessRuntime.handler)")
        }
        return try await runtime(of: sandbox).createContainer(sandbox: sandbox, config, sandboxConfig: sandboxConfig)
    }
    public func startContainer(_ id: String) async throws(RuntimeError) { try await runtime(of: id).startContainer(id) }
    public func stopContainer(_ id: String, grace: Duration) async throws(RuntimeError) {
        try await runtime(of: id).stopContainer(id, grace: grace)
    }
    public func removeContainer(_ id: String) async throws(RuntimeError) {
        try await runtime(of: id).removeContainer(id)
    }
    public func containerStatus(_ id: String) async throws(RuntimeError) -> ContainerStatus {
        try await runtime(of: id).containerStatus(id)
    }
    public func containers(labels: [String: String]) async throws(RuntimeError) -> [ContainerSummary] {
        let own = try await processes.containers(labels: labels)
        if processes.hasPod(labels) { return own }
        return own + (try await containers.containers(labels: labels))
    }
    public func reopenLog(_ id: String) async throws(RuntimeError) { try await runtime(of: id).reopenLog(id) }
    public func updateResources(_ id: String, _ resources: ContainerResources) async throws(RuntimeError) {
        try await runtime(of: id).updateResources(id, resources)
    }

    public func execSync(_ id: String, command: [String], timeout: Duration) async throws(RuntimeError) -> ExecResult {
        try await runtime(of: id).execSync(id, command: command, timeout: timeout)
    }
    public func exec(_ id: String, _ options: ExecOptions) async throws(RuntimeError) -> any ProcessSession {
        try await runtime(of: id).exec(id, options)
    }
    public func attach(_ id: String, _ options: ExecOptions) async throws(RuntimeError) -> any ProcessSession {
        try await runtime(of: id).attach(id, options)
    }
    public func connect(sandbox: String, port: Int) async throws(RuntimeError) -> any ByteConnection {
        try await runtime(of: sandbox).connect(sandbox: sandbox, port: port)
    }

    public func image(_ reference: String) async throws(RuntimeError) -> ImageStatus? {
        ProcessRuntime.isHost(reference)
            ? try await processes.image(reference) : try await containers.image(reference)
    }
    public func images() async throws(RuntimeError) -> [ImageStatus] { try await containers.images() }
    public func pullImage(_ reference: String, credentials: RegistryCredentials?)
        async throws(RuntimeError) -> String
    {
        ProcessRuntime.isHost(reference)
            ? try await processes.pullImage(reference, credentials: credentials)
            : try await containers.pullImage(reference, credentials: credentials)
    }
    public func removeImage(_ reference: String) async throws(RuntimeError) {
        try await containers.removeImage(reference)
    }
    public func imageFilesystem() async throws(RuntimeError) -> FilesystemUsage {
        try await containers.imageFilesystem()
    }

    public func containerStats() async throws(RuntimeError) -> [ContainerStats] {
        let own = try await processes.containerStats()
        return own + (try await containers.containerStats())
    }

    public func events() -> AsyncThrowingStream<RuntimeEvent, any Error> {
        let (stream, continuation) = AsyncThrowingStream.makeStream(
            of: RuntimeEvent.self, bufferingPolicy: .bufferingNewest(256))
        let sources = [containers.events(), processes.events()]
        let task = Task {
            await withDiscardingTaskGroup { group in
                for source in sources {
                    group.addTask {
                        do {
                            for try await event in source {
                                if case .dropped = continuation.yield(event) {
                                    continuation.yield(RuntimeEvent(podUID: "", containerID: ""))
                                }
                            }
                        } catch {
                            continuation.finish(throwing: error)
                        }
                    }
                }
            }
        }
        continuation.onTermination = { _ in task.cancel() }
        return stream
    }
}
