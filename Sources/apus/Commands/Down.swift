import ArgumentParser
import ContainerRuntime
import Glibc
import Logging
import ServiceNetwork

/// `apus down`: ends the cluster on this machine and leaves nothing behind.
struct Down: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Stop the workloads and remove everything that the cluster set up on this machine.",
        discussion: "The data stays (start again with `apus up`) unless --purge is given.")

    @OptionGroup var cluster: ClusterOptions

    @Flag(help: "Remove the cluster's data too: every object, key and image.")
    var purge = false

    func run() async throws {
        let lookup = try cluster.lookup()
        let data = DataDirectory(path: cluster.dataDirectory(lookup))
        let identity: DataDirectory.Identity
        if let known = try data.identity() {
            identity = known
        } else {
            print("there is no cluster in \(data.path); nothing to do")
            return
        }
        guard geteuid() == 0 else {
            throw UserError("apus down needs root, to stop containers and remove network rules: run it with sudo")
        }
        try await stopServer(data)
        try data.open()

        var logger = Logger(label: "apus", factory: { PlainLogHandler(label: $0) })
        logger.logLevel = .warning
        print("stopping the workloads")
        await ProcessRuntime(ProcessRuntime.Settings(dataDirectory: data.path), logger: logger).shutDown()
        let supervisor = ContainerdSupervisor(identity.containerdSettings(data), logger: logger)
        try await supervisor.shutdown(purge: purge)
        BalancerProcess(directory: data.ingress).stop()
        print("removing network rules")
        try await HostNetwork.remove(identity.networkConfiguration)
        print("removing mounts and cgroups")
        NodeRemains.unmount(below: data.path)
        NodeRemains.removeCgroups(named: "apus-\(identity.clusterID)")
        NodeRemains.removeTree(data.sub("pods"))
        ClusterRegistry().remove(identity.clusterID)
        if purge {
            print("removing the data in \(data.path)")
            for name in DataDirectory.ownNames { NodeRemains.removeTree(data.sub(name)) }
            unlink(data.sub("cluster.json"))
            // Only when nothing of others is in it.
            rmdir(data.path)
        }
        print("down")
    }

    /// Asks a running server to stop and waits for it; insists after 20 s.
    private func stopServer(_ data: DataDirectory) async throws {
        guard let process = data.runningProcess() else { return }
        print("stopping apus, process \(process)")
        kill(process, SIGTERM)
        for attempt in 0..<300 where data.runningProcess() != nil {
            if attempt == 200 { kill(process, SIGKILL) }
            try await Task.sleep(for: .milliseconds(100))
        }
        if data.runningProcess() != nil {
            throw UserError("process \(process) does not stop: end it by hand and run `apus down` again")
        }
    }
}
