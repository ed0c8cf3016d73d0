import Glibc
import Logging
import Streaming
import Testing

@testable import ContainerRuntime

/// Why the tests with a real containerd cannot run here; nil when they can.
private let obstacle: Comment? = {
    if geteuid() != 0 { return "needs root" }
    for program in ["containerd", "runc", "ctr", "busybox"] where HostFiles.findProgram(program) == nil {
        return "\(program) is not installed"
    }
    return access("/usr/lib/cni/ptp", X_OK) == 0 ? nil : "containernetworking-plugins is not installed"
}()

/// A containerd of its own under /tmp, torn down at the end whatever happens.
func withContainerd(
    _ id: String, podCIDR: String, _ body: (ContainerdSupervisor, CRIRuntime) async throws -> Void
) async throws {
    let name = "\(id)\(getpid())"
    let settings = ContainerdSettings(
        dataDirectory: "/tmp/apus-test-\(name)", clusterID: name, podCIDR: podCIDR)
    let logger = Logger(label: "test")
    let supervisor = ContainerdSupervisor(settings, logger: logger)
    let runtime = try CRIRuntime(socketPath: settings.socketPath, logger: logger)
    do {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await supervisor.run() }
            group.addTask { try await runtime.run() }
            defer { group.cancelAll() }
            try await supervisor.waitUntilReady()
            try await importBusybox(settings)
            try await body(supervisor, runtime)
        }
        try await supervisor.shutdown(purge: true, grace: .zero)
    } catch {
        // Whatever went wrong, containerd's own words help.
        print((error as? RuntimeError)?.operation ?? "", HostFiles.readText(settings.logPath) ?? "")
        try? await supervisor.shutdown(purge: true, grace: .zero)
        HostFiles.remove(settings.dataDirectory)
        throw error
    }
    #expect(HostFiles.mountPoints(below: settings.dataDirectory).isEmpty)
    #expect(HostFiles.mountPoints(below: settings.runDirectory).isEmpty)
    #expect(!HostFiles.isDirectory(settings.runDirectory))
    for controller in HostFiles.entries("/sys/fs/cgroup") {
        #expect(!HostFiles.isDirectory("/sys/fs/cgroup/\(controller)/\(settings.cgroupRoot)"))
    }
    #expect(!HostFiles.isDirectory("/sys/fs/cgroup/\(settings.cgroupRoot)"))
    #expect(!HostFiles.entries("/var/lib/cni/results").contains { $0.hasPrefix(settings.networkName + "-") })
    #expect(!ProcessEntry.all().contains { $0.arguments.contains { $0.contains(name) } && $0.pid != getpid() })
    HostFiles.remove(settings.dataDirectory)
}

private let busyboxName = "apus.local/busybox:test"

private func importBusybox(_ settings: ContainerdSettings) async throws {
    let program = try #require(HostFiles.findProgram("busybox"))
    let content = try #require(HostFiles.read(program, limit: 16 << 20))
    let archive = OCIArchive(
        reference: busyboxName, architecture: PauseImage.nativeArchitecture,
        files: [("bin/busybox", 0o755, content), ("bin/sh", 0o755, content)], entrypoint: ["/bin/sh"])
    let path = settings.dataDirectory + "/busybox.tar"
    try HostFiles.write(path, archive.bytes)
    let names = try await ImageImporter(socketPath: settings.socketPath).importTar(path)
    #expect(names == [busyboxName])
}

private func sandboxConfig(_ name: String, _ settings: ContainerdSettings) throws -> SandboxConfig {
    var config = SandboxConfig()
    config.name = name
    config.namespace = "default"
    config.uid = "uid-\(name)"
    config.hostname = name
    config.logDirectory = settings.dataDirectory + "/logs/" + name
    config.labels = [PodLabel.uid: config.uid]
    config.cgroupParent = "/\(settings.cgroupRoot)/besteffort/\(name)"
    try HostFiles.makeDirectory(config.logDirectory)
    return config
}

private func containerConfig(_ name: String, _ script: String) -> ContainerConfig {
    var config = ContainerConfig()
    config.name = name
    config.image = busyboxName
    config.command = ["/bin/sh", "-c", script]
    config.labels = [PodLabel.uid: "uid"]
    config.logPath = "\(name).log"
    return config
}

@Suite(.serialized, .timeLimit(.minutes(3)), .enabled(if: obstacle == nil, obstacle))
struct ContainerdTests {
    @Test func runsAPodAndTalksToIt() async throws {
        try await withContainerd("cri", podCIDR: "10.213.7.0/24") { supervisor, runtime in
            let settings = supervisor.settings
            #expect(try await runtime.version().name == "containerd")
            #expect(try await runtime.images().contains { $0.isPinned })
            // More calls than NIOHTTP2 takes PINGs from a server.
            for _ in 0..<600 { _ = try await runtime.status() }
            let events = runtime.events()

            let pod = try sandboxConfig("web", settings)
            let sandbox = try await runtime.runSandbox(pod)
            let status = try await runtime.sandboxStatus(sandbox)
            #expect(status.isReady)
            #expect(status.addresses.first?.hasPrefix("10.213.7.") == true)

            // A server that answers once per connection, and a second program that ends with a code.
            let script = "echo out; echo err >&2; busybox nc -ll -p 8080 -e /bin/busybox cat"
            let id = try await runtime.createContainer(
                sandbox: sandbox, containerConfig("server", script), sandboxConfig: pod)
            try await runtime.startContainer(id)
            let short = try await runtime.createContainer(
                sandbox: sandbox, containerConfig("short", "exit 7"), sandboxConfig: pod)
            try await runtime.startContainer(short)
            for try await event in events where event.containerID == short {
                if try await runtime.containerStatus(short).state == .exited { break }
            }
            let ended = try await runtime.containerStatus(short)
            #expect(ended.exitCode == 7)
            #expect(ended.reason == "Error")

            let sync = try await runtime.execSync(
                id, command: ["/bin/sh", "-c", "echo a; exit 3"], timeout: .seconds(5))
            #expect(sync.exitCode == 3)
            #expect(sync.output == Array("a\n".utf8))
            await #expect(throws: RuntimeError.self) {
                try await runtime.execSync(id, command: ["busybox", "sleep", "30"], timeout: .seconds(1))
            }

            try await execs(runtime, id)
            try await connects(runtime, sandbox)
            try await attaches(runtime, sandbox, pod)

            let log = HostFiles.readText(pod.logDirectory + "/server.log") ?? ""
            #expect(log.contains("stdout F out\n"))
            #expect(log.contains("stderr F err\n"))
            #expect(try await runtime.containerStats().contains { $0.id == id && $0.workingSetBytes > 0 })
            // The number itself is gathered every ten seconds.
            #expect(try await runtime.imageFilesystem().path.hasPrefix(settings.dataDirectory))

            try await runtime.stopContainer(id, grace: .zero)
            #expect(try await runtime.containerStatus(id).state == .exited)
            try await runtime.stopSandbox(sandbox)
            #expect(try await runtime.sandboxStatus(sandbox).isReady == false)
            try await runtime.removeSandbox(sandbox)
            #expect(try await runtime.containers(labels: [:]).isEmpty)
        }
    }

    private func execs(_ runtime: CRIRuntime, _ id: String) async throws {
        // Binary data through cat and back, with a half-close that makes cat end.
        var options = ExecOptions()
        options.command = ["/bin/sh", "-c", "busybox cat; echo done >&2; exit 5"]
        options.stdin = true
        options.stdout = true
        options.stderr = true
        let session = try await runtime.exec(id, options)
        let sent = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        async let writing: Void = {
            try await session.write(sent)
            try await session.closeInput()
        }()
        var received: [UInt8] = []
        var errors: [UInt8] = []
        for try await piece in session.output {
            switch piece {
            case .standardOutput(let bytes): received += bytes
            case .standardError(let bytes): errors += bytes
            }
        }
        try await writing
        #expect(received == sent)
        #expect(errors == Array("done\n".utf8))
        #expect(try await session.exit() == .code(5))

        // A terminal knows its size.
        options.command = ["/bin/sh", "-c", "busybox sleep 0.3; busybox stty size"]
        options.tty = true
        let terminal = try await runtime.exec(id, options)
        try await terminal.resize(width: 123, height: 45)
        var shown: [UInt8] = []
        for try await case .standardOutput(let bytes) in terminal.output { shown += bytes }
        #expect(String(decoding: shown, as: UTF8.self) == "45 123\r\n")
        #expect(try await terminal.exit() == .code(0))

        options.command = ["/nowhere"]
        options.tty = false
        let missing = try await runtime.exec(id, options)
        guard case .failed(let why) = try await missing.exit() else {
            Issue.record("a missing program must not run")
            return
        }
        #expect(why.contains("/nowhere"))
    }

    private func attaches(_ runtime: CRIRuntime, _ sandbox: String, _ pod: SandboxConfig) async throws {
        var config = containerConfig("reader", "busybox cat; exit 4")
        config.stdin = true
        config.stdinOnce = true
        let id = try await runtime.createContainer(sandbox: sandbox, config, sandboxConfig: pod)
        try await runtime.startContainer(id)
        var options = ExecOptions()
        options.stdin = true
        options.stdout = true
        options.stderr = true
        let session = try await runtime.attach(id, options)
        try await session.write(Array("hello".utf8))
        try await session.closeInput()
        var received: [UInt8] = []
        for try await case .standardOutput(let bytes) in session.output { received += bytes }
        #expect(received == Array("hello".utf8))
        #expect(try await session.exit() == .code(0))
        while try await runtime.containerStatus(id).state != .exited { try await Task.sleep(for: .milliseconds(10)) }
        #expect(try await runtime.containerStatus(id).exitCode == 4)
    }

    private func connects(_ runtime: CRIRuntime, _ sandbox: String) async throws {
        let connection = try await runtime.connect(sandbox: sandbox, port: 8080)
        let sent = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }
        async let writing: Void = {
            try await connection.write(sent)
            try await connection.closeOutput()
        }()
        var received: [UInt8] = []
        for try await bytes in connection.input { received += bytes }
        try await writing
        #expect(received == sent)
        await connection.close()
        await #expect(throws: RuntimeError.self) { try await runtime.connect(sandbox: sandbox, port: 8081) }
    }

    /// `apus down` after the worst: containerd is dead and cannot be started, shims and containers are alive.
    @Test func shutdownNeedsNoContainerd() async throws {
        let name = "down\(getpid())"
        var settings = ContainerdSettings(
            dataDirectory: "/tmp/apus-test-\(name)", clusterID: name, podCIDR: "10.213.9.0/24")
        let logger = Logger(label: "test")
        let supervisor = ContainerdSupervisor(settings, logger: logger)
        let runtime = try CRIRuntime(socketPath: settings.socketPath, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await supervisor.run() }
            group.addTask { try await runtime.run() }
            defer { group.cancelAll() }
            try await supervisor.waitUntilReady()
            _ = try await runtime.runSandbox(try sandboxConfig("left", settings))
        }
        await supervisor.stopContainerd()
        #expect(ProcessEntry.all().contains { $0.hasOption("-address", settings.ownSocketPath) })
        settings.containerdProgram = "/nowhere/containerd"
        try await ContainerdSupervisor(settings, logger: logger).shutdown(purge: true)
        #expect(!ProcessEntry.all().contains { $0.hasOption("-address", settings.ownSocketPath) })
        #expect(HostFiles.mountPoints(below: settings.runDirectory).isEmpty)
        #expect(!HostFiles.isDirectory(settings.runDirectory))
        #expect(!HostFiles.isDirectory(settings.rootDirectory))
        // Again: nothing is left to do.
        try await ContainerdSupervisor(settings, logger: logger).shutdown(purge: true)
        HostFiles.remove(settings.dataDirectory)
    }

    @Test func survivesTheDeathOfContainerdAndOfTheSupervisor() async throws {
        try await withContainerd("life", podCIDR: "10.213.8.0/24") { supervisor, runtime in
            let pod = try sandboxConfig("long", supervisor.settings)
            let sandbox = try await runtime.runSandbox(pod)
            let id = try await runtime.createContainer(
                sandbox: sandbox, containerConfig("sleeper", "busybox sleep 1000"), sandboxConfig: pod)
            try await runtime.startContainer(id)
            let startedAt = try await runtime.containerStatus(id).startedAt

            // A second supervisor, as after a restart of apus, adopts the process.
            let running = try #require(supervisor.runningContainerds().first).pid
            let second = ContainerdSupervisor(supervisor.settings, logger: Logger(label: "second"))
            let task = Task { try await second.run() }
            try await second.waitUntilReady()
            #expect(supervisor.runningContainerds().map(\.pid) == [running])
            task.cancel()
            try await task.value
            #expect(supervisor.runningContainerds().map(\.pid) == [running])

            kill(running, SIGKILL)
            var status: ContainerStatus?
            for _ in 0..<500 where status == nil {
                try await Task.sleep(for: .milliseconds(20))
                guard let now = supervisor.runningContainerds().first, now.pid != running else { continue }
                status = try? await runtime.containerStatus(id)
            }
            #expect(status?.state == .running)
            #expect(status?.startedAt == startedAt)
        }
    }
}
