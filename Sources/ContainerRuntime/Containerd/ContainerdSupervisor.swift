import Glibc
import JSON
public import Logging
import NIOPosix
public import ServiceLifecycle
import Synchronization

/// Runs a cluster's own containerd: writes its configuration, starts it or adopts the one that runs, starts it again
/// when it dies, and sees to the pause image.
///
/// containerd runs in its own session and is left running when this service stops, gracefully or by SIGKILL: it copies
/// the output of containers to their log files, so that stopping it would block them. The next start adopts it; when the
/// configuration has changed since, it is replaced (shims and containers go on). `shutdown(purge:)` ends everything.
public final class ContainerdSupervisor: Service {
    public let settings: ContainerdSettings
    let logger: Logger

    private enum Phase {
        case starting
        case ready
        /// It cannot be started; why.
        case failed(RuntimeError)
    }
    private let phase = Mutex(Phase.starting)
    /// Whether this process started containerd, and did not find it running.
    let startedHere = Mutex(false)

    /// Starts nothing.
    public init(_ settings: ContainerdSettings, logger: Logger) {
        self.settings = settings
        self.logger = logger
    }

    /// Whether containerd answers right now.
    public var isReady: Bool {
        phase.withLock { if case .ready = $0 { true } else { false } }
    }

    /// Waits until containerd answers and the pause image is there.
    ///
    /// - Throws: `RuntimeError` when it cannot be started at all; `CancellationError`.
    public func waitUntilReady() async throws {
        while true {
            switch phase.withLock({ $0 }) {
            case .ready: return
            case .failed(let error): throw error
            case .starting: try await Task.sleep(for: .milliseconds(10))
            }
        }
    }

    /// Supervises until graceful shutdown or cancellation; containerd goes on.
    ///
    /// - Throws: `RuntimeError` in one sentence when a program is missing, the machine lacks something, or containerd ends
    ///   again and again without ever having answered.
    public func run() async throws {
        do {
            try await cancelWhenGracefulShutdown {
                let runtime = try CRIRuntime(socketPath: self.settings.socketPath, logger: self.logger)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await runtime.run() }
                    group.addTask {
                        if self.settings.externalSocket == nil {
                            try await self.supervise(runtime)
                        } else {
                            try await self.watchExternal(runtime)
                        }
                    }
                    defer { group.cancelAll() }
                    try await group.next()
                }
            }
        } catch is CancellationError {
            return
        } catch {
            let failure = RuntimeError(operation: "start containerd", error)
            phase.withLock { $0 = .failed(failure) }
            throw failure
        }
    }

    // MARK: - Own containerd

    private func supervise(_ runtime: CRIRuntime) async throws {
        let plan = try await blocking { try self.prepare() }
        try await apply(plan)
        var backoff = Duration.milliseconds(200)
        var failures = 0
        while true {
            let process = try await adoptOrStart(plan.program)
            let startedAt = ContinuousClock.now
            if try await answers(runtime, process) {
                failures = 0
                try await ensurePauseImage(runtime, reference: PauseImage.reference)
                phase.withLock { $0 = .ready }
                while process.isRunning() { try await Task.sleep(for: .milliseconds(250)) }
                phase.withLock { $0 = .starting }
                logger.error("containerd ended, starting it again", metadata: ["pid": "\(process.pid)"])
            } else {
                failures += 1
                if failures == 3 {
                    let words = await blocking { LogTail.lastLine(self.settings.logPath) }
                    throw RuntimeError(
                        .unavailable, operation: "start containerd",
                        "containerd ends or does not answer; the last line of \(settings.logPath): \(words)")
                }
            }
            if ContinuousClock.now - startedAt > .seconds(30) { backoff = .milliseconds(200) }
            try await Task.sleep(for: backoff)
            backoff = min(backoff * 2, .seconds(5))
        }
    }

    /// What has to be done before containerd can run.
    private struct Plan: Sendable {
        var program: String
        var toml: [UInt8]
        /// The configuration on disk, which a running containerd was started with, is another one.
        var isChanged: Bool
    }

    /// Checks the machine and makes the directories.
    private func prepare() throws(RuntimeError) -> Plan {
        guard geteuid() == 0 else {
            throw RuntimeError(.other, operation: "start containerd", "containers need root: run apus as root")
        }
        guard let program = HostFiles.findProgram(settings.containerdProgram) else {
            throw missing("containerd", package: "containerd")
        }
        for (name, package) in [
            ("containerd-shim-runc-v2", "containerd"), ("runc", "runc"), (settings.ctrProgram, "containerd"),
        ] where HostFiles.findProgram(name) == nil { throw missing(name, package: package) }
        guard let plugins = settings.pluginDirectories.first(where: { access($0 + "/ptp", X_OK) == 0 }) else {
            throw missing("the CNI plugin ptp", package: "containernetworking-plugins")
        }
        for directory in [
            settings.rootDirectory, settings.hostsDirectory, settings.networkConfigDirectory, settings.stateDirectory,
            settings.leaseDirectory,
        ] { try HostFiles.makeDirectory(directory) }
        // The CNI list is read anew by containerd when it changes.
        let network = ContainerdConfiguration.networkList(settings).prettyEncoded()
        if HostFiles.read(settings.networkConfigPath) != network {
            try HostFiles.write(settings.networkConfigPath, network)
        }
        HostNetwork.enableForwarding(logger)
        let toml = ContainerdConfiguration.toml(
            settings, pluginDirectory: plugins, restrictOOMScore: !OOMScore.mayBeLowered())
        return Plan(
            program: program, toml: Array(toml.utf8),
            isChanged: HostFiles.read(settings.configPath) != Array(toml.utf8))
    }

    /// Writes a changed configuration, after ending the containerd that runs with the old one: a crash in between then
    /// leads to another replacement, never to a containerd with a configuration that is not on disk.
    private func apply(_ plan: Plan) async throws {
        guard plan.isChanged else { return }
        await stopContainerd()
        try await blocking {
            try HostFiles.write(self.settings.configPath, plan.toml)
            LogTail.rotate(self.settings.logPath)
        }
    }

    /// Ends our containerd, not the shims and containers.
    func stopContainerd() async {
        for entry in await blocking({ self.runningContainerds() }) {
            guard let process = HostProcess(pid: entry.pid) else { continue }
            process.signal(SIGTERM)
            if await !process.waitForEnd(within: .seconds(10)) {
                process.signal(SIGKILL)
                _ = await process.waitForEnd(within: .seconds(5))
            }
        }
    }

    private func missing(_ what: String, package: String) -> RuntimeError {
        RuntimeError(
            .other, operation: "start containerd", "\(what) is not installed: apt-get install \(package)")
    }

    /// Our containerd processes: normally none or one.
    func runningContainerds() -> [ProcessEntry] {
        ProcessEntry.all().filter { $0.hasOption("--config", settings.configPath) && $0.program == "containerd" }
    }

    private func adoptOrStart(_ program: String) async throws -> HostProcess {
        if let running = await blocking({ self.runningContainerds() }).first,
            let process = HostProcess(pid: running.pid)
        {
            logger.info("adopted the running containerd", metadata: ["pid": "\(running.pid)"])
            return process
        }
        return try await start(program)
    }

    func start(_ program: String) async throws -> HostProcess {
        let pid = try await blocking {
            try DetachedLauncher.start(program, ["--config", self.settings.configPath], logPath: self.settings.logPath)
        }
        startedHere.withLock { $0 = true }
        logger.debug("started containerd", metadata: ["pid": "\(pid)"])
        guard let process = HostProcess(pid: pid) else {
            throw RuntimeError(.unavailable, operation: "start containerd", "containerd ended at once")
        }
        return process
    }

    /// Waits until the runtime answers. False when the process ended first, or took more than 30 s.
    func answers(_ runtime: CRIRuntime, _ process: borrowing HostProcess) async throws -> Bool {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            try Task.checkCancellation()
            if await isAnswering(runtime) { return true }
            if !process.isRunning() { return false }
            try await Task.sleep(for: .milliseconds(20))
        }
        return false
    }

    func isAnswering(_ runtime: CRIRuntime) async -> Bool {
        guard (try? await runtime.version()) != nil, let conditions = try? await runtime.status() else { return false }
        return conditions.contains { $0.type == "RuntimeReady" && $0.isTrue }
    }

    // MARK: - Somebody else's containerd

    private func watchExternal(_ runtime: CRIRuntime) async throws {
        await blocking { HostNetwork.enableForwarding(self.logger) }
        var isTold = false
        while await !isAnswering(runtime) {
            if !isTold { logger.warning("waiting for containerd", metadata: ["socket": "\(settings.socketPath)"]) }
            isTold = true
            try await Task.sleep(for: .milliseconds(200))
        }
        try await ensurePauseImage(runtime, reference: await runtime.sandboxImage() ?? PauseImage.reference)
        phase.withLock { $0 = .ready }
        while true {
            try await Task.sleep(for: .seconds(5))
            let answers = await isAnswering(runtime)
            phase.withLock { $0 = answers ? .ready : .starting }
        }
    }

    /// Imports the pause image under the name that the runtime uses, unless an image of that name is there.
    private func ensurePauseImage(_ runtime: CRIRuntime, reference: String) async throws {
        if try await runtime.image(reference) != nil { return }
        let path = settings.dataDirectory + "/pause-\(getpid()).tar"
        let importer = ImageImporter(socketPath: settings.socketPath, program: settings.ctrProgram)
        try await blocking {
            try HostFiles.makeDirectory(self.settings.dataDirectory)
            try HostFiles.write(path, PauseImage.archive(reference: reference))
        }
        defer { unlink(path) }
        _ = try await importer.importTar(path)
        try await importer.label(
            reference, ["io.cri-containerd.image": "managed", "io.cri-containerd.pinned": "pinned"])
        // The CRI plugin learns of new images by an event.
        for _ in 0..<500 {
            if try await runtime.image(reference) != nil { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw RuntimeError(.unavailable, operation: "import the pause image", "containerd does not list \(reference)")
    }
}

/// Runs a job that blocks outside the Swift pool.
func blocking<Result: Sendable>(_ job: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await NIOThreadPool.singleton.runIfActive(job)
}

func blocking<Result: Sendable>(_ job: @escaping @Sendable () -> Result) async -> Result {
    await withCheckedContinuation { continuation in
        NIOThreadPool.singleton.submit { _ in continuation.resume(returning: job()) }
    }
}
