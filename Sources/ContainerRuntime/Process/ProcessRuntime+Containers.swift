import CLinux
import Dispatch
import Glibc
import JSON
import ProcessShim

extension ProcessRuntime {
    public func createContainer(sandbox id: String, _ config: ContainerConfig, sandboxConfig: SandboxConfig)
        async throws(RuntimeError) -> String
    {
        let sandbox = try sandbox(id, "CreateContainer")
        guard Self.isHost(config.userImage.isEmpty ? config.image : config.userImage) else {
            throw RuntimeError(
                .invalidArgument, operation: "CreateContainer",
                "the process runtime runs programs of the machine: the image must be \"\(Self.image)\", "
                    + "not \"\(config.userImage)\"")
        }
        guard !config.command.isEmpty || !config.arguments.isEmpty else {
            throw RuntimeError(.invalidArgument, operation: "CreateContainer", "no command specified")
        }
        guard config.devices.isEmpty else {
            throw RuntimeError(
                .invalidArgument, operation: "CreateContainer", "devices are the machine's in the process runtime")
        }
        let made = ProcessContainer(
            id: Self.newID(), sandbox: sandbox, config, logPath: "\(sandboxConfig.logDirectory)/\(config.logPath)",
            createdAt: Self.now())
        var target: ShimStarted?
        if case .target(let other) = config.security.pid {
            target = try container(other, "CreateContainer").started
            if target == nil {
                throw RuntimeError(.notFound, operation: "CreateContainer", "container \"\(other)\" is not running")
            }
        }
        let joined = target?.supervisor
        let launch = try await onThread("CreateContainer") {
            try self.prepare(made, sandbox, config, sandboxConfig, joined: joined)
        }
        state.withLock {
            $0.containers[made.id] = made
            $0.launches[made.id] = launch
        }
        return made.id
    }

    /// Makes the folders, the cgroup and the files of a container. Blocks.
    private func prepare(
        _ container: ProcessContainer, _ sandbox: ProcessSandbox, _ config: ContainerConfig,
        _ sandboxConfig: SandboxConfig, joined: Int?
    ) throws -> Launch {
        let options = try ProcessOptions(sandboxConfig.annotations, container: config.name)
        let identity = try ProcessIdentity(config, options)
        let folder = layout.sandbox(pod: sandbox.uid, container: config.name)
        let directory = directory(container)
        try HostFiles.makeDirectory(folder)
        try HostFiles.makeDirectory(directory)
        chown(
            folder, uid_t(truncatingIfNeeded: identity.launch.user), gid_t(truncatingIfNeeded: identity.launch.group))
        try VolumeOwners.give(
            config, sandboxConfig.annotations, user: identity.launch.user, group: identity.launch.group,
            isInUse: { isVolumeInUse($0, besides: sandbox.id) })
        if let slash = container.logPath.lastIndex(of: "/") {
            try HostFiles.makeDirectory(String(container.logPath[..<slash]))
        }
        var launch = Launch()
        launch.identity = identity.launch
        launch.arguments = config.command + config.arguments
        launch.environment = environment(config, sandboxConfig, identity, folder)
        launch.workingDirectory = config.workingDirectory.isEmpty ? folder : config.workingDirectory
        launch.sandbox = folder
        launch.log = container.logPath
        (launch.stdin, launch.stdinOnce, launch.tty) = (config.stdin, config.stdinOnce, config.tty)
        (launch.rows, launch.columns) = (Int(options.rows), Int(options.columns))
        launch.ownProcesses = config.security.pid == .container
        launch.joinProcesses = joined ?? 0
        launch.network = sandbox.network
        launch.hostname = sandboxConfig.hostname
        launch.mounts = try mounts(config, sandboxConfig, sandbox, folder)
        launch.rootDirectory = directory + "/root"
        try HostFiles.makeDirectory(launch.rootDirectory)
        if options.hasPrivateTemporary {
            launch.temporary = directory + "/tmp"
            try HostFiles.makeDirectory(launch.temporary)
            chmod(launch.temporary, 0o1777)
        }
        launch.rotationBytes = settings.rotationBytes
        launch.isRootReadOnly = config.security.readOnlyRootFilesystem
        if !config.security.privileged {
            launch.maskedPaths = config.security.maskedPaths ?? ContainerSecurity.defaultMaskedPaths
            launch.readOnlyPaths = config.security.readonlyPaths ?? ContainerSecurity.defaultReadonlyPaths
        }
        if !sandboxConfig.cgroupParent.isEmpty {
            do {
                launch.cgroups = try cgroups.make(
                    "\(sandboxConfig.cgroupParent)/\(container.id)", config.resources)
            } catch {
                // As with pods' cgroups: where they may not be written, programs run without limits.
                guard [EACCES, EPERM, EROFS].contains(errno) else { throw error }
                logger.warning("a program runs without limits", metadata: ["error": "\(error)"])
            }
            launch.oomFile = cgroups.oomFile(launch.cgroups)
        }
        try HostFiles.write(directory + "/" + ShimFile.launch, launch.json.encoded())
        chmod(directory + "/" + ShimFile.launch, 0o600)
        try HostFiles.write(directory + "/container.json", container.json.encoded())
        return launch
    }

    /// True when a program of another pod has the volume.
    private func isVolumeInUse(_ folder: String, besides sandbox: String) -> Bool {
        state.withLock { state in
            state.containers.values.contains { container in
                guard container.exit == nil, container.sandbox != sandbox,
                    let other = state.sandboxes[container.sandbox]
                else { return false }
                return VolumeOwners.folders(other.annotations)[folder] != nil
            }
        }
    }

    private func environment(
        _ config: ContainerConfig, _ sandboxConfig: SandboxConfig, _ identity: ProcessIdentity, _ folder: String
    ) -> [String] {
        var pairs = config.environment
        let given = Set(pairs.map(\.name))
        func add(_ name: String, _ value: String) {
            if !given.contains(name), !value.isEmpty { pairs.insert((name, value), at: 0) }
        }
        add("MESOS_DIRECTORY", folder)
        add("MESOS_SANDBOX", folder)
        if config.tty { add("TERM", "xterm") }
        add("HOSTNAME", sandboxConfig.hostname)
        add("USER", identity.name)
        add("HOME", identity.home.isEmpty ? "/" : identity.home)
        add("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        return pairs.map { "\($0.name)=\($0.value)" }
    }

    /// Where containers with an image have their sandbox; programs have it at its own path.
    private static let imageSandbox = "/mnt/mesos/sandbox/"

    private func mounts(
        _ config: ContainerConfig, _ sandboxConfig: SandboxConfig, _ sandbox: ProcessSandbox, _ folder: String
    ) throws -> [Launch.Mount] {
        var result: [Launch.Mount] = []
        for mount in config.mounts {
            if mount.propagation == .bidirectional {
                throw RuntimeError(
                    .invalidArgument, operation: "CreateContainer",
                    "mount \(mount.containerPath): Bidirectional propagation is not supported by the process runtime")
            }
            var target = mount.containerPath
            if target.hasPrefix(Self.imageSandbox) {
                target = "\(folder)/\(target.dropFirst(Self.imageSandbox.count))"
            }
            result.append(
                Launch.Mount(
                    source: mount.hostPath, target: target, isReadOnly: mount.isReadOnly,
                    followsHost: mount.propagation == .hostToContainer))
        }
        // Programs of the machine's network resolve as the machine does, unless the pod says otherwise.
        if let dns = sandboxConfig.dns, !result.contains(where: { $0.target == "/etc/resolv.conf" }) {
            var text = dns.servers.map { "nameserver \($0)\n" }.joined()
            if !dns.searches.isEmpty { text += "search \(dns.searches.joined(separator: " "))\n" }
            if !dns.options.isEmpty { text += "options \(dns.options.joined(separator: " "))\n" }
            if Self.words(text) != Self.words(HostFiles.readText("/etc/resolv.conf") ?? "") {
                let path = "\(layout.state(sandbox.uid))/resolv.conf"
                if HostFiles.readText(path) != text { try HostFiles.write(path, Array(text.utf8)) }
                result.append(Launch.Mount(source: path, target: "/etc/resolv.conf"))
            }
        }
        return result
    }
    private static func words(_ resolver: String) -> [[Substring]] {
        resolver.split(separator: "\n").map { $0.split(whereSeparator: \.isWhitespace) }.filter {
            $0.count > 1 && ["nameserver", "search", "options"].contains($0[0])
        }.sorted { $0[0] < $1[0] }
    }

    // MARK: Start

    public func startContainer(_ id: String) async throws(RuntimeError) {
        var container = try container(id, "StartContainer")
        guard container.state == .created else {
            throw RuntimeError(.invalidArgument, operation: "StartContainer", "the container was started already")
        }
        let directory = directory(container)
        let ownProcesses = state.withLock { $0.launches[id]?.ownProcesses ?? true }
        let reply = try await onThread("StartContainer") { [helper] in
            var two: [Int32] = [-1, -1]
            guard clinux_pipe(&two) == 0 else { throw HostFiles.failure("make a pipe for", directory) }
            defer { close(two[0]) }
            do {
                defer { close(two[1]) }
                try helper.send(Request(.run, hasOwnProcesses: ownProcesses, path: directory), [two[1]])
            }
            return try ShimHelper.readStart(two[0], within: 60_000)
        }
        switch reply {
        case .started(let supervisor, let program):
            let file = await blocking { Self.json(directory + "/" + ShimFile.started).flatMap { ShimStarted($0) } }
            let started =
                file
                ?? ShimStarted(supervisor: supervisor, program: program, ticks: "", boot: "", at: Self.now())
            state.withLock { $0.containers[id]?.started = started }
            watch(id, started)
            container.started = started
            tell(container)
        case .failed(let message):
            // As containerd does it: a program that cannot be started has ended with 128.
            let now = Self.now()
            let exit = ShimExit(
                code: 128, startedAt: now, finishedAt: now, reason: "StartError", message: message)
            await blocking { self.note(exit, id) }
            throw RuntimeError(.other, operation: "StartContainer", message)
        }
    }

    // MARK: Ends

    /// Hears of the end of a supervisor, now or later.
    func watch(_ id: String, _ started: ShimStarted) {
        let descriptor = clinux_pidfd_open(Int32(truncatingIfNeeded: started.supervisor))
        let isSame =
            started.ticks.isEmpty
            || (started.boot == ShimStarted.bootID() && ShimStarted.ticks(of: started.supervisor) == started.ticks)
        guard descriptor >= 0, isSame else {
            if descriptor >= 0 { close(descriptor) }
            NIOBlocking.run { self.ended(id) }
            return
        }
        ExitWatch.begin(descriptor: descriptor) { [weak self] in self?.ended(id) }
    }

    /// The supervisor is gone: its last word is the program's end; without one it was killed, and the program with it.
    private func ended(_ id: String) {
        guard let container = state.withLock({ $0.containers[id] }), container.exit == nil else { return }
        let path = directory(container) + "/" + ShimFile.exit
        let exit =
            Self.json(path).flatMap { ShimExit($0) }
            ?? ShimExit(
                code: 137, signal: 9, startedAt: container.started?.at ?? 0, finishedAt: Self.now(),
                reason: "ContainerStatusUnknown", message: "The supervisor of the program was lost")
        note(exit, id)
    }

    /// Blocks.
    private func note(_ exit: ShimExit, _ id: String) {
        guard let container = state.withLock({ $0.containers[id] }) else { return }
        let path = directory(container) + "/" + ShimFile.exit
        if access(path, F_OK) != 0 { try? HostFiles.write(path, exit.json.encoded()) }
        let directories = state.withLock { state in
            state.containers[id]?.exit = exit
            state.diskUse[id] = nil
            return state.launches[id]?.cgroups ?? []
        }
        tell(container)
        // Takes the kernel a while: not before the news.
        NIOBlocking.run { ProcessCgroups.clear(directories) }
    }

    public func stopContainer(_ id: String, grace: Duration) async throws(RuntimeError) {
        let container = try container(id, "StopContainer")
        guard container.state == .running, let started = container.started else { return }
        let directory = directory(container)
        let parts = grace.components
        // The supervisor counts in 31 bits: 24 days.
        let milliseconds = max(min(parts.seconds, 2_147_483) * 1000 + parts.attoseconds / 1_000_000_000_000_000, 0)
        let payload =
            [UInt8(SIGTERM)] + Frame.bytes(UInt32(truncatingIfNeeded: min(milliseconds, Int64(Int32.max))))
        do {
            try await onThread("StopContainer") { try ShimControl.request(directory, Frame(.stop, payload)) }
        } catch {
            if error.code != .notFound {
                logger.warning("a supervisor does not answer", metadata: ["container": "\(id)", "error": "\(error)"])
            }
        }
        let deadline = ContinuousClock.now + .milliseconds(milliseconds) + .seconds(10)
        var pause = Duration.milliseconds(2)
        while state.withLock({ $0.containers[id]?.state == .running }) {
            if ContinuousClock.now > deadline {
                // Its PID namespace, and so the whole tree, ends with it.
                kill(pid_t(truncatingIfNeeded: started.supervisor), SIGKILL)
            }
            do {
                try await Task.sleep(for: pause)
            } catch {
                throw RuntimeError(.timedOut, operation: "StopContainer", "given up")
            }
            pause = min(pause * 2, .milliseconds(50))
            if ContinuousClock.now > deadline + .seconds(20) {
                throw RuntimeError(.timedOut, operation: "StopContainer", "the program does not end")
            }
        }
    }

    public func removeContainer(_ id: String) async throws(RuntimeError) {
        guard let container = state.withLock({ $0.containers[id] }) else { return }
        if container.state == .running { try await stopContainer(id, grace: .zero) }
        let directory = directory(container)
        let cgroups = state.withLock { $0.launches[id]?.cgroups } ?? []
        await blocking {
            ProcessCgroups.clear(cgroups)
            // This file first: without it the rest is no container any more.
            unlink(directory + "/container.json")
            HostFiles.remove(directory)
        }
        state.withLock {
            $0.containers[id] = nil
            $0.launches[id] = nil
            $0.diskUse[id] = nil
        }
    }

    // MARK: Looking

    public func containerStatus(_ id: String) async throws(RuntimeError) -> ContainerStatus {
        try container(id, "ContainerStatus").status
    }
    public func containers(labels: [String: String]) async throws(RuntimeError) -> [ContainerSummary] {
        state.withLock { state in
            state.containers.values.filter { item in labels.allSatisfy { item.labels[$0.key] == $0.value } }
        }.map(\.summary)
    }

    public func reopenLog(_ id: String) async throws(RuntimeError) {
        let container = try container(id, "ReopenContainerLog")
        guard container.state == .running else { return }
        let directory = directory(container)
        try await onThread("ReopenContainerLog") { try ShimControl.request(directory, Frame(.reopen)) }
    }

    public func updateResources(_ id: String, _ resources: ContainerResources) async throws(RuntimeError) {
        guard let launch = state.withLock({ $0.launches[id] }) else {
            throw RuntimeError(.notFound, operation: "UpdateContainerResources", "container \"\(id)\" does not exist")
        }
        try await onThread("UpdateContainerResources") { [cgroups] in
            try cgroups.apply(resources, to: launch.cgroups)
        }
    }

    public func containerStats() async throws(RuntimeError) -> [ContainerStats] {
        let running = state.withLock { state in
            state.containers.values.filter { $0.state == .running }.map { item in
                (item, state.launches[item.id], state.diskUse[item.id])
            }
        }
        if running.isEmpty { return [] }
        return await blocking { [self] in
            running.map { container, launch, disk in
                let usage = cgroups.usage(launch?.cgroups ?? [])
                var bytes = disk?.bytes ?? 0
                // Counting files is the dear part.
                if disk.map({ ContinuousClock.now - $0.at > .seconds(15) }) ?? true, let launch {
                    bytes = HostFiles.usage(launch.sandbox) + HostFiles.usage(launch.temporary)
                    let measured = bytes
                    state.withLock { $0.diskUse[container.id] = (measured, .now) }
                }
                return ContainerStats(
                    id: container.id, labels: container.labels, timestamp: Self.now(), cpuNanoseconds: usage.cpu,
                    workingSetBytes: usage.memory, writableLayerBytes: bytes)
            }
        }
    }
}

/// Work that blocks, from where nothing can wait for it.
enum NIOBlocking {
    private static let queue = DispatchQueue(label: "apus.process.files")
    static func run(_ job: @escaping @Sendable () -> Void) { queue.async(execute: job) }
}

extension HostFiles {
    /// Bytes on disk of a tree. Links are not followed, other file systems not counted. Blocks.
    static func usage(_ path: String, depth: Int = 0) -> UInt64 {
        var info = stat()
        guard !path.isEmpty, depth < 64, lstat(path, &info) == 0 else { return 0 }
        var sum = UInt64(info.st_blocks) * 512
        guard info.st_mode & S_IFMT == S_IFDIR else { return sum }
        for name in entries(path) { sum += usage("\(path)/\(name)", depth: depth + 1) }
        return sum
    }
}
