import Glibc
import Logging

extension ContainerdSupervisor {
    /// Ends everything that this cluster runs on the machine: containers, sandboxes, containerd, mounts, network
    /// namespaces, address leases, cgroups. For `apus down`; `run()` must not be running (in no process).
    ///
    /// Works when containerd is dead, when it cannot be started, and when nothing is there. Images stay unless `purge`.
    /// With an external containerd only the sandboxes that carry `settings.ownLabels` are removed.
    ///
    /// - Parameters:
    ///   - purge: remove containerd's data as well.
    ///   - grace: how long containers may take after TERM.
    public func shutdown(purge: Bool, grace: Duration = .seconds(10)) async throws {
        let isExternal = settings.externalSocket != nil
        let hasState = await blocking { access(self.settings.configPath, F_OK) == 0 }
        if isExternal || hasState {
            do {
                try await removePods(grace: grace, isExternal: isExternal)
            } catch {
                logger.warning("pods could not be stopped through containerd", metadata: ["error": "\(error)"])
            }
        }
        guard !isExternal else { return }
        await stopContainerd()
        await blocking { self.removeRemains(purge: purge) }
    }

    /// Ends our own containerd when this process started it and nothing runs under it: for a start of the cluster that
    /// failed. `run()` must have ended.
    public func stopIfIdle() async {
        guard settings.externalSocket == nil, startedHere.withLock({ $0 }),
            await blocking({ self.shims().isEmpty })
        else { return }
        await stopContainerd()
    }

    private func removePods(grace: Duration, isExternal: Bool) async throws {
        let runtime = try CRIRuntime(socketPath: settings.socketPath, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await runtime.run() }
            defer { group.cancelAll() }
            if !isExternal, await blocking({ self.runningContainerds() }).isEmpty {
                // Only containerd can undo what it did: start it once more, unless there is nothing to undo.
                guard await blocking({ !self.shims().isEmpty }),
                    let program = HostFiles.findProgram(settings.containerdProgram)
                else { return }
                let process = try await start(program)
                guard try await answers(runtime, process) else {
                    throw RuntimeError(.unavailable, operation: "stop pods", "containerd does not answer")
                }
            }
            let labels = isExternal ? settings.ownLabels : [:]
            if isExternal, labels.isEmpty { return }
            let sandboxes = try await runtime.sandboxes(labels: labels)
            let containers = try await runtime.containers(labels: [:])
            await withDiscardingTaskGroup { pods in
                for sandbox in sandboxes {
                    let members = containers.filter { $0.sandbox == sandbox.id }
                    pods.addTask { await self.remove(sandbox, members, runtime, grace: grace) }
                }
            }
        }
    }

    private func remove(
        _ sandbox: SandboxSummary, _ containers: [ContainerSummary], _ runtime: CRIRuntime, grace: Duration
    ) async {
        await withDiscardingTaskGroup { group in
            for container in containers where container.state == .running {
                group.addTask { try? await runtime.stopContainer(container.id, grace: grace) }
            }
        }
        do {
            try await runtime.stopSandbox(sandbox.id)
            try await runtime.removeSandbox(sandbox.id)
        } catch {
            logger.warning(
                "a pod could not be removed",
                metadata: ["pod": "\(sandbox.namespace)/\(sandbox.name)", "error": "\(error)"])
        }
    }

    // MARK: - Without containerd's help

    /// The shims of our containerd.
    private func shims() -> [ProcessEntry] {
        ProcessEntry.all().filter {
            $0.program.hasPrefix("containerd-shim") && $0.hasOption("-address", settings.ownSocketPath)
        }
    }

    private func removeRemains(purge: Bool) {
        killShims()
        // Containers' root filesystems, shared memory and volumes.
        HostFiles.unmountAll(below: settings.runDirectory)
        HostFiles.unmountAll(below: settings.dataDirectory)
        HostFiles.remove(settings.runDirectory)
        removeNetworkResults()
        for controller in HostFiles.entries("/sys/fs/cgroup") {
            let place = "/sys/fs/cgroup/\(controller)"
            if controller == settings.cgroupRoot {
                HostFiles.removeCgroup(place)
            } else if HostFiles.isDirectory(place + "/" + settings.cgroupRoot) {
                HostFiles.removeCgroup(place + "/" + settings.cgroupRoot)
            }
        }
        if purge { HostFiles.remove(settings.dataDirectory + "/containerd") }
    }

    /// Kills shims that containerd left, with everything they run, and removes their network namespaces.
    private func killShims() {
        let processes = ProcessEntry.all()
        var family = Set(
            processes.filter {
                $0.program.hasPrefix("containerd-shim") && $0.hasOption("-address", settings.ownSocketPath)
            }.map(\.pid))
        guard !family.isEmpty else { return }
        var count = 0
        while count != family.count {
            count = family.count
            for process in processes where family.contains(process.parent) { family.insert(process.pid) }
        }
        var namespaces = Set(family.compactMap { Self.fileID("/proc/\($0)/ns/net") })
        if let own = Self.fileID("/proc/1/ns/net") { namespaces.remove(own) }
        if let own = Self.fileID("/proc/self/ns/net") { namespaces.remove(own) }
        for pid in family { kill(pid, SIGKILL) }
        // Deleting the namespace deletes both ends of the pod's link.
        for name in HostFiles.entries("/run/netns") {
            let path = "/run/netns/\(name)"
            guard let id = Self.fileID(path), namespaces.contains(id) else { continue }
            umount2(path, Int32(MNT_DETACH))
            unlink(path)
        }
        logger.warning("killed processes that containerd had left", metadata: ["count": "\(family.count)"])
    }

    /// What libcni remembers of attachments to our network.
    private func removeNetworkResults() {
        let directory = "/var/lib/cni/results"
        for name in HostFiles.entries(directory) where name.hasPrefix(settings.networkName + "-") {
            unlink(directory + "/" + name)
        }
    }

    private struct FileID: Hashable {
        var device: UInt
        var inode: UInt
    }

    private static func fileID(_ path: String) -> FileID? {
        var info = stat()
        return stat(path, &info) == 0 ? FileID(device: UInt(info.st_dev), inode: UInt(info.st_ino)) : nil
    }
}
