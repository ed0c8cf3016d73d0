import Glibc

extension ProcessRuntime {
    public func runSandbox(_ config: SandboxConfig) async throws(RuntimeError) -> String {
        guard config.pid != .pod else {
            throw RuntimeError(
                .invalidArgument, operation: "RunPodSandbox",
                "shareProcessNamespace is not supported by the process runtime")
        }
        guard config.sysctls.isEmpty else {
            throw RuntimeError(
                .invalidArgument, operation: "RunPodSandbox", "sysctls are not supported by the process runtime")
        }
        var sandbox = ProcessSandbox(id: Self.newID(), config, createdAt: Self.now())
        let id = sandbox.id
        state.withLock { _ = $0.coming.insert(id) }
        defer { state.withLock { _ = $0.coming.remove(id) } }
        if case .target(let uid) = config.network {
            sandbox.network = try await networkOfPod(uid)
        } else if config.network != .node {
            try await makeNetwork(config, &sandbox)
        }
        let made = sandbox
        do {
            try await onThread("RunPodSandbox") { [layout] in
                try HostFiles.makeDirectory(layout.state(made.uid))
                chmod(layout.state(made.uid), 0o700)
                unlink(layout.removedFile(made.uid))
                try HostFiles.write(layout.sandboxFile(made.uid, made.id), made.json.encoded())
            }
        } catch {
            await dropNetwork(made)
            throw error
        }
        state.withLock { $0.sandboxes[id] = made }
        return id
    }

    private func makeNetwork(_ config: SandboxConfig, _ sandbox: inout ProcessSandbox) async throws(RuntimeError) {
        guard let network else {
            throw RuntimeError(
                .invalidArgument, operation: "RunPodSandbox",
                "the process runtime has no pod network here: set hostNetwork: true")
        }
        var plain = config
        plain.runtimeHandler = ""
        plain.labels[Self.networkLabel] = sandbox.id
        plain.pid = .container
        let id = try await network.runSandbox(plain)
        sandbox.networkSandbox = id
        do {
            sandbox.addresses = try await network.sandboxStatus(id).addresses
            sandbox.network = try await networkNamespace(id) ?? ""
            guard !sandbox.network.isEmpty else {
                throw RuntimeError(.other, operation: "RunPodSandbox", "the pod's network namespace is not known")
            }
        } catch {
            await dropNetwork(sandbox)
            throw error as? RuntimeError ?? RuntimeError(.other, operation: "RunPodSandbox", "\(error)")
        }
    }

    /// Path of the network namespace that another pod's containers use; empty for the machine's own.
    private func networkOfPod(_ uid: String) async throws(RuntimeError) -> String {
        if let own = state.withLock({ $0.sandboxes.values.first { $0.uid == uid && $0.isReady } }) {
            return own.network
        }
        let found = try await network?.sandboxes(labels: ["io.kubernetes.pod.uid": uid]) ?? []
        guard let sandbox = found.first(where: \.isReady) else {
            throw RuntimeError(
                .notFound, operation: "RunPodSandbox", "the pod whose network is to be used does not run here")
        }
        do {
            return try await networkNamespace(sandbox.id) ?? ""
        } catch {
            throw error as? RuntimeError ?? RuntimeError(.other, operation: "RunPodSandbox", "\(error)")
        }
    }

    private func dropNetwork(_ sandbox: ProcessSandbox) async {
        guard !sandbox.networkSandbox.isEmpty, let network else { return }
        try? await network.stopSandbox(sandbox.networkSandbox)
        try? await network.removeSandbox(sandbox.networkSandbox)
    }

    public func stopSandbox(_ id: String) async throws(RuntimeError) {
        guard var sandbox = state.withLock({ $0.sandboxes[id] }) else { return }
        for container in members(of: id) where container.state == .running {
            try await stopContainer(container.id, grace: .zero)
        }
        if !sandbox.networkSandbox.isEmpty, let network {
            do {
                try await network.stopSandbox(sandbox.networkSandbox)
            } catch {
                if error.code != .notFound { throw error }
            }
        }
        guard sandbox.isReady else { return }
        sandbox.isReady = false
        let stopped = sandbox
        try await onThread("StopPodSandbox") { [layout] in
            try HostFiles.write(layout.sandboxFile(stopped.uid, stopped.id), stopped.json.encoded())
        }
        state.withLock { $0.sandboxes[id] = stopped }
    }

    public func removeSandbox(_ id: String) async throws(RuntimeError) {
        guard let sandbox = state.withLock({ $0.sandboxes[id] }) else { return }
        try await stopSandbox(id)
        for container in members(of: id) { try await removeContainer(container.id) }
        if !sandbox.networkSandbox.isEmpty, let network {
            do {
                try await network.removeSandbox(sandbox.networkSandbox)
            } catch {
                if error.code != .notFound { throw error }
            }
        }
        let isLast = state.withLock { state in
            state.sandboxes[id] = nil
            return !state.sandboxes.values.contains { $0.uid == sandbox.uid }
        }
        try await onThread("RemovePodSandbox") { [layout] in
            // The mark first: after a crash between the two the folder still goes.
            if isLast { try HostFiles.write(layout.removedFile(sandbox.uid), Array("\(Self.now())\n".utf8)) }
            unlink(layout.sandboxFile(sandbox.uid, id))
        }
    }

    private func members(of sandbox: String) -> [ProcessContainer] {
        state.withLock { $0.containers.values.filter { $0.sandbox == sandbox } }
    }

    public func sandboxStatus(_ id: String) async throws(RuntimeError) -> SandboxStatus {
        let sandbox = try sandbox(id, "PodSandboxStatus")
        return SandboxStatus(
            id: id, isReady: sandbox.isReady, addresses: sandbox.addresses, createdAt: sandbox.createdAt)
    }

    public func sandboxes(labels: [String: String]) async throws(RuntimeError) -> [SandboxSummary] {
        var result = state.withLock { state in
            state.sandboxes.values.filter { sandbox in labels.allSatisfy { sandbox.labels[$0.key] == $0.value } }
        }
        // A network that is gone, as after a restart of the machine, needs a new sandbox.
        for (index, sandbox) in result.enumerated() where sandbox.isReady && !sandbox.network.isEmpty {
            if access(sandbox.network, F_OK) != 0 { result[index].isReady = false }
        }
        return result.map(\.summary)
    }

    // MARK: Old folders

    /// Removes folders of pods that are gone: after the retention, or at once while the disk is nearly full. Blocks.
    func collect() {
        var info = statvfs()
        let isFull = statvfs(layout.root, &info) == 0 && info.f_bavail * 100 < info.f_blocks * 15
        var left: [(uid: String, removedAt: Int64)] = []
        for uid in HostFiles.entries(layout.root) {
            guard let text = HostFiles.readText(layout.removedFile(uid)),
                let at = Int64(text.filter(\.isNumber)),
                !state.withLock({ $0.sandboxes.values.contains { $0.uid == uid } })
            else { continue }
            left.append((uid, at))
        }
        left.sort { $0.removedAt < $1.removedAt }
        let (now, limit) = (Self.now(), settings.retention.components.seconds * 1_000_000_000)
        let tooMany = left.count - Self.folderLimit
        for (index, item) in left.enumerated() where isFull || index < tooMany || now - item.removedAt > limit {
            HostFiles.remove(layout.pod(item.uid))
        }
    }
    private static let folderLimit = 10_000

    /// Ends every program of this runtime and forgets it: for `apus down`.
    public func shutDown(grace: Duration = .seconds(10)) async {
        let running = state.withLock { $0.containers.values.filter { $0.state == .running }.map(\.id) }
        await withDiscardingTaskGroup { group in
            for id in running { group.addTask { try? await self.stopContainer(id, grace: grace) } }
        }
        for id in state.withLock({ Array($0.sandboxes.keys) }) { try? await removeSandbox(id) }
    }
}
