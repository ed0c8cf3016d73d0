import Foundation
import Glibc
import JSON
import Logging
import ProcessShim
import Streaming
import Testing

@testable import ContainerRuntime

/// Real programs under the process runtime. Needs root; elsewhere there is nothing to see.
@Suite(.enabled(if: geteuid() == 0), .serialized, .timeLimit(.minutes(2)))
struct ProcessRuntimeTests {
    let home: String
    let runtime: ProcessRuntime

    init() throws {
        home = "/tmp/apus-process-\(UInt32.random(in: 0 ... .max))"
        try HostFiles.makeDirectory(home)
        runtime = Self.runtime(home)
    }

    static func runtime(_ home: String) -> ProcessRuntime {
        // Beside the test bundle.
        let folder = CommandLine.arguments[0].split(separator: "/").dropLast().joined(separator: "/")
        let places = ["/\(folder)", Bundle.main.bundlePath, ".build-debug/debug", ".build/debug"]
        let helper = places.map { $0 + "/apus-process-shim" }.first { access($0, X_OK) == 0 }
        var settings = ProcessRuntime.Settings(dataDirectory: home, helper: helper ?? "/nowhere/apus-process-shim")
        settings.rotationBytes = 4096
        return ProcessRuntime(settings, logger: Logger(label: "test"))
    }

    struct Pod {
        var sandbox: String
        var config: SandboxConfig
    }
    func pod(_ uid: String = "uid-1", annotations: [String: String] = [:]) async throws -> Pod {
        var config = SandboxConfig()
        (config.name, config.namespace, config.uid, config.network) = ("p", "default", uid, .node)
        config.logDirectory = home + "/logs"
        config.cgroupParent = "/apus-test/\(home.split(separator: "/").last ?? "")"
        config.annotations = annotations
        config.labels = ["io.kubernetes.pod.uid": uid]
        return Pod(sandbox: try await runtime.runSandbox(config), config: config)
    }
    func container(_ pod: Pod, _ script: String, _ change: (inout ContainerConfig) -> Void = { _ in }) async throws
        -> String
    {
        var config = ContainerConfig()
        (config.name, config.userImage, config.image) = ("main", "host", "host")
        config.command = ["sh", "-c", script]
        config.logPath = "main/0.log"
        change(&config)
        let id = try await runtime.createContainer(sandbox: pod.sandbox, config, sandboxConfig: pod.config)
        try await runtime.startContainer(id)
        return id
    }
    func end(_ id: String, _ runtime: ProcessRuntime? = nil) async throws -> ContainerStatus {
        for _ in 0..<1000 {
            let status = try await (runtime ?? self.runtime).containerStatus(id)
            if status.state == .exited { return status }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw RuntimeError(.timedOut, operation: "test", "it does not end")
    }
    func text(_ path: String) -> String { HostFiles.readText(path) ?? "" }
    var sandbox: String { runtime.layout.sandbox(pod: "uid-1", container: "main") }
    func done(_ pod: Pod) async throws {
        try await runtime.removeSandbox(pod.sandbox)
        HostFiles.remove(home)
    }

    @Test func outputAndExitCode() async throws {
        let pod = try await pod()
        let id = try await container(pod, "echo out; echo err >&2; printf tail; pwd > where; exit 3")
        let status = try await end(id)
        #expect(status.exitCode == 3)
        #expect(status.reason == "Error")
        #expect(status.finishedAt >= status.startedAt && status.startedAt > 0)
        #expect(text(sandbox + "/stdout") == "out\ntail")
        #expect(text(sandbox + "/stderr") == "err\n")
        #expect(text(sandbox + "/where") == sandbox + "\n")
        let log = text(home + "/logs/main/0.log").split(separator: "\n").map { $0.split(separator: " ").dropFirst() }
        #expect(Set(log.map { $0.joined(separator: " ") }) == ["stdout F out", "stderr F err", "stdout F tail"])
        try await done(pod)
    }

    @Test func logsRotateAndLinksAreNotFollowed() async throws {
        let pod = try await pod()
        try HostFiles.write(home + "/precious", Array("kept".utf8))
        try HostFiles.makeDirectory(sandbox)
        #expect(symlink(home + "/precious", sandbox + "/stdout") == 0)
        let line = String(repeating: "x", count: 99)
        let id = try await container(
            pod, "for i in $(seq 30); do echo \(line); done; sleep 0.2; for i in $(seq 30); do echo \(line); done")
        _ = try await end(id)
        #expect(text(home + "/precious") == "kept")
        #expect(text(sandbox + "/stdout").utf8.count + text(sandbox + "/stdout.1").utf8.count == 6000)
        #expect(text(sandbox + "/stdout").utf8.count <= 4096)
        try await done(pod)
    }

    @Test func ownNamespacesAndEnvironment() async throws {
        let pod = try await pod()
        try HostFiles.write(home + "/seen", Array("from the machine\n".utf8))
        let id = try await container(
            pod,
            "echo $$; ls /proc | grep -c '^[0-9]'; echo $MESOS_SANDBOX $A; touch /tmp/apus-own; ls /tmp/apus-own;"
                + " cat \(home)/seen; rm \(home)/seen; id -u"
        ) {
            $0.environment = [("A", "b")]
            $0.security.runAsUser = 65534
        }
        #expect(try await end(id).exitCode == 0, "\(text(sandbox + "/stderr"))")
        let lines = text(sandbox + "/stdout").split(separator: "\n").map(String.init)
        #expect(lines.first == "2")
        #expect((Int(lines.dropFirst().first ?? "") ?? 99) < 6)
        #expect(lines.contains("\(sandbox) b"))
        #expect(lines.contains("/tmp/apus-own"))
        #expect(lines.contains("from the machine"))
        #expect(lines.last == "65534")
        #expect(access("/tmp/apus-own", F_OK) != 0)
        #expect(access(home + "/seen", F_OK) == 0)
        try await done(pod)
    }

    @Test func mountsWhereTheMachineHasNothing() async throws {
        let volume = home + "/volume"
        try HostFiles.makeDirectory(volume)
        try HostFiles.write(volume + "/a", Array("hello\n".utf8))
        try HostFiles.write(home + "/file", Array("one file\n".utf8))
        try HostFiles.write(home + "/last", [])
        let pod = try await pod()
        let id = try await container(
            pod,
            "cat /apus-nowhere/deep/a /etc/apus/file /var/run/apus-x/a; echo last > /dev/apus-log; "
                + "echo null > /dev/null; test -c /dev/pts/ptmx && test -d /dev/shm && echo devices; echo w > /apus-nowhere/deep/b; "
                + "echo x > /etc/apus/ro/b; test -e /etc/passwd && test -d /usr/bin && echo rest"
        ) {
            $0.mounts = [
                Mount(hostPath: volume, containerPath: "/apus-nowhere/deep"),
                Mount(hostPath: home + "/file", containerPath: "/etc/apus/file"),
                Mount(hostPath: volume, containerPath: "/etc/apus/ro", isReadOnly: true),
                Mount(hostPath: volume, containerPath: "/var/run/apus-x"),
                Mount(hostPath: home + "/last", containerPath: "/dev/apus-log"),
            ]
        }
        _ = try await end(id)
        #expect(text(sandbox + "/stdout") == "hello\none file\nhello\ndevices\nrest\n", "\(text(sandbox + "/stderr"))")
        #expect(text(sandbox + "/stderr").contains("Read-only"))
        #expect(text(volume + "/b") == "w\n")
        #expect(access("/apus-nowhere", F_OK) != 0)
        #expect(access("/etc/apus", F_OK) != 0)
        #expect(text(home + "/last") == "last\n")
        #expect(access("/dev/apus-log", F_OK) != 0)
        try await done(pod)
    }

    @Test func memoryLimit() async throws {
        let pod = try await pod()
        let id = try await container(pod, "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}") {
            $0.resources.memoryLimitBytes = 32 << 20
        }
        let status = try await end(id)
        #expect(status.exitCode != 0)
        #expect(status.reason == "OOMKilled")
        try await done(pod)
    }

    @Test func stopEndsTheTree() async throws {
        let pod = try await pod()
        let marker = "31\(UInt16.random(in: 0 ... .max))"
        let id = try await container(pod, "trap 'echo bye; exit 0' TERM; setsid sleep \(marker) & echo up; wait")
        for _ in 0..<500 where !text(sandbox + "/stdout").contains("up") {
            try await Task.sleep(for: .milliseconds(10))
        }
        try await runtime.stopContainer(id, grace: .seconds(5))
        #expect(text(sandbox + "/stdout").contains("bye"))
        #expect(!ProcessEntry.all().contains { $0.arguments == ["sleep", marker] })

        let deaf = try await container(pod, "trap '' TERM; while :; do sleep 0.1; done")
        try await runtime.stopContainer(deaf, grace: .milliseconds(300))
        #expect(try await end(deaf).exitCode == 137)
        try await done(pod)
    }

    @Test func anotherAgentTakesOver() async throws {
        let pod = try await pod()
        let lives = try await container(pod, "read x < /dev/zero; sleep 0.6; exit 5") { $0.name = "lives" }
        let ended = try await container(pod, "exit 4") { $0.name = "ended" }
        let lost = try await container(pod, "sleep 1000") { $0.name = "lost" }
        let supervisor = try #require(runtime.state.withLock { $0.containers[lost]?.started?.supervisor })
        _ = try await end(ended)
        let other = Self.runtime(home)
        #expect(try await other.containerStatus(ended).exitCode == 4)
        #expect(try await other.containerStatus(lost).state == .running)
        kill(pid_t(supervisor), SIGKILL)
        let status = try await end(lost, other)
        #expect(status.exitCode == 137)
        #expect(status.reason == "ContainerStatusUnknown")
        _ = lives
        try await other.stopContainer(lives, grace: .zero)
        #expect(try await end(lives, other).exitCode == 137)
        _ = try await end(lives)
        try await done(pod)
    }

    @Test func commandsBeside() async throws {
        let pod = try await pod()
        let id = try await container(pod, "export X=1; sleep 1000")
        let result = try await runtime.execSync(
            id, command: ["sh", "-c", "ps ax | wc -l; pwd; echo e >&2; exit 6"], timeout: .seconds(20))
        #expect(result.exitCode == 6)
        #expect(String(decoding: result.output, as: UTF8.self).hasSuffix("\(sandbox)\n"))
        #expect(result.errorOutput == Array("e\n".utf8))
        await #expect(throws: RuntimeError.self) {
            try await runtime.execSync(id, command: ["sleep", "1000"], timeout: .milliseconds(200))
        }
        await #expect(throws: RuntimeError.self) {
            try await runtime.execSync(id, command: ["no-such-program"], timeout: .seconds(20))
        }
        var options = ExecOptions()
        options.command = ["sh", "-c", "tty; stty size; read a; echo got $a"]
        (options.tty, options.stdin, options.stdout) = (true, true, true)
        let session = try await runtime.exec(id, options)
        try await session.write(Array("word\n".utf8))
        var all = ""
        for try await case .standardOutput(let bytes) in session.output {
            all += String(decoding: bytes, as: UTF8.self)
        }
        #expect(all.contains("/dev/pts/") && all.contains("got word"), "\(all)")
        #expect(try await session.exit() == .code(0))
        try await done(pod)
    }

    @Test func attaching() async throws {
        let pod = try await pod()
        let id = try await container(pod, "while read line; do echo got $line; done; echo over") { $0.stdin = true }
        var options = ExecOptions()
        (options.stdin, options.stdout) = (true, true)
        let session = try await runtime.attach(id, options)
        try await session.write(Array("one\ntwo\n".utf8))
        try await session.closeInput()
        var all = ""
        for try await case .standardOutput(let bytes) in session.output {
            all += String(decoding: bytes, as: UTF8.self)
        }
        #expect(all == "got one\ngot two\nover\n")
        #expect(try await end(id).exitCode == 0)
        try await done(pod)
    }

    /// A program that talks finds out that its client has left before it reads the client's last words.
    @Test func lastWordsOfWhoLeavesArrive() async throws {
        let pod = try await pod()
        let id = try await container(
            pod, "timeout 30 sh -c 'while :; do echo talk; done' & read line; kill $!; [ \"$line\" = last ] && exit 7"
        ) { $0.stdin = true }
        var options = ExecOptions()
        (options.stdin, options.stdout) = (true, true)
        let session = try await runtime.attach(id, options)
        var iterator = session.output.makeAsyncIterator()
        _ = try await iterator.next()
        try await session.write(Array("last\n".utf8))
        await session.close()
        #expect(try await end(id).exitCode == 7)
        try await done(pod)
    }

    @Test func whatCannotBeStarted() async throws {
        let pod = try await pod()
        await #expect(throws: RuntimeError.self) { try await container(pod, "true") { $0.userImage = "nginx" } }
        await #expect(throws: RuntimeError.self) {
            try await container(pod, "true") { $0.command = ["no-such-program"] }
        }
        let failed = try await runtime.containers(labels: [:])
        #expect(failed.map(\.state) == [.exited])
        #expect(try await runtime.containerStatus(failed[0].id).message.contains("no-such-program"))
        try await done(pod)
    }

    @Test func limitsCapabilitiesAndFilter() async throws {
        let options = #"{"main":{"rlimits":[{"type":"RLMT_NOFILE","soft":77,"hard":99}],"umask":"0077"}}"#
        let pod = try await pod(annotations: [ProcessOptions.annotation: options])
        let id = try await container(
            pod,
            "ulimit -n; ulimit -Hn; umask; grep CapEff /proc/self/status; grep Seccomp: /proc/self/status; "
                + "unshare -m true || echo refused; true"
        ) {
            $0.security.dropCapabilities = ["ALL"]
            $0.security.addCapabilities = ["CHOWN", "NET_BIND_SERVICE"]
            $0.security.seccomp = .runtimeDefault
        }
        _ = try await end(id)
        let lines = text(sandbox + "/stdout").split(separator: "\n").map(String.init)
        #expect(
            lines == ["77", "99", "0077", "CapEff:\t0000000000000401", "Seccomp:\t2", "refused"],
            "\(text(sandbox + "/stderr"))")
        try await done(pod)
    }

    @Test func manyLaunches() async throws {
        let pod = try await pod()
        let clock = ContinuousClock()
        let time = try await clock.measure {
            for _ in 0..<100 {
                let id = try await container(pod, "true") { $0.command = ["true"] }
                #expect(try await end(id).exitCode == 0)
            }
        }
        print("100 programs, one after another: \(time)")
        try await done(pod)
    }
}
