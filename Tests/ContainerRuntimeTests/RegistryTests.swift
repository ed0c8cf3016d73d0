import Glibc
import Logging
import Subprocess
import Testing

@testable import ContainerRuntime

extension ContainerdTests {
    /// A registry of the machine itself speaks plain HTTP and needs no configuration.
    @Test(.enabled(if: HostFiles.findProgram("docker-registry") != nil && HostFiles.findProgram("skopeo") != nil))
    func pullsFromARegistryOnLoopback() async throws {
        try await withContainerd("pull", podCIDR: "10.213.6.0/24") { supervisor, runtime in
            let settings = supervisor.settings
            let directory = settings.dataDirectory
            let port = 20000 + Int(getpid()) % 10000
            let config = """
                version: 0.1
                storage: {filesystem: {rootdirectory: \(directory)/registry}}
                http: {addr: "127.0.0.1:\(port)"}
                """
            try HostFiles.write(directory + "/registry.yml", Array(config.utf8))
            let program = try #require(HostFiles.findProgram("docker-registry"))
            let pid = try DetachedLauncher.start(
                program, ["serve", directory + "/registry.yml"], logPath: directory + "/registry.log")
            defer { kill(pid, SIGKILL) }

            let reference = "127.0.0.1:\(port)/app:v1"
            await #expect(throws: RuntimeError.self) { try await runtime.pullImage(reference, credentials: nil) }
            var isPushed = false
            for _ in 0..<50 where !isPushed {
                let result = try await Subprocess.run(
                    .name("skopeo"),
                    arguments: [
                        "copy", "--dest-tls-verify=false", "oci-archive:\(directory)/busybox.tar",
                        "docker://\(reference)",
                    ], output: .discarded, error: .discarded)
                isPushed = result.terminationStatus.isSuccess
                if !isPushed { try await Task.sleep(for: .milliseconds(100)) }
            }
            #expect(try await runtime.image(reference) == nil)
            let pulled = try await runtime.pullImage(reference, credentials: nil)
            #expect(pulled.hasPrefix("127.0.0.1:\(port)/app@sha256:"))
            #expect(try await runtime.image(reference)?.tags.contains(reference) == true)
            try await runtime.removeImage(reference)
            #expect(try await runtime.image(reference) == nil)
            if let registry = HostProcess(pid: pid) {
                registry.signal(SIGKILL)
                _ = await registry.waitForEnd(within: .seconds(10))
            }

            // Somebody else's containerd: ours, seen from outside.
            var external = ContainerdSettings(
                dataDirectory: directory + "/other", clusterID: "other\(getpid())", podCIDR: "10.213.5.0/24")
            external.externalSocket = settings.socketPath
            let watcher = ContainerdSupervisor(external, logger: Logger(label: "test"))
            let task = Task { try await watcher.run() }
            try await watcher.waitUntilReady()
            task.cancel()
            try await task.value
            try await watcher.shutdown(purge: true)
            #expect(try await runtime.version().name == "containerd")
        }
    }
}
