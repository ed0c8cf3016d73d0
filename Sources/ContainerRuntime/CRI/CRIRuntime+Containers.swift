import Glibc
import WireCRI

extension CRIRuntime {
    public func createContainer(sandbox: String, _ config: ContainerConfig, sandboxConfig: SandboxConfig)
        async throws(RuntimeError) -> String
    {
        if let user = config.security.runAsUser.map(Int.init) {
            // Who has a shared volume here nobody keeps: it goes to the first that is not root.
            try VolumeOwners.give(
                config, sandboxConfig.annotations, user: user, group: config.security.runAsGroup.map(Int.init) ?? user,
                isInUse: { path in
                    var status = stat()
                    return stat(path, &status) == 0 && status.st_uid != 0
                })
        }
        var request = Runtime_V1_CreateContainerRequest()
        request.podSandboxID = sandbox
        request.config = config.wire
        request.sandboxConfig = sandboxConfig.wire
        let message = request
        return try await call("CreateContainer", within: CallTimeout.change) { options in
            try await runtimeService.createContainer(message, options: options).containerID
        }
    }

    public func startContainer(_ id: String) async throws(RuntimeError) {
        _ = try await call("StartContainer", within: CallTimeout.change) { options in
            try await runtimeService.startContainer(.with { $0.containerID = id }, options: options)
        }
    }

    public func stopContainer(_ id: String, grace: Duration) async throws(RuntimeError) {
        let seconds = max(0, min(grace.components.seconds, 1_000_000_000) + (grace.components.attoseconds > 0 ? 1 : 0))
        _ = try await call("StopContainer", within: .seconds(seconds) + CallTimeout.change) { options in
            try await runtimeService.stopContainer(
                .with {
                    $0.containerID = id
                    $0.timeout = seconds
                }, options: options)
        }
    }

    public func removeContainer(_ id: String) async throws(RuntimeError) {
        _ = try await call("RemoveContainer", within: CallTimeout.change) { options in
            try await runtimeService.removeContainer(.with { $0.containerID = id }, options: options)
        }
    }

    public func containerStatus(_ id: String) async throws(RuntimeError) -> ContainerStatus {
        let response = try await call("ContainerStatus", within: CallTimeout.lookup) { options in
            try await runtimeService.containerStatus(.with { $0.containerID = id }, options: options)
        }
        return ContainerStatus(response.status)
    }

    public func containers(labels: [String: String]) async throws(RuntimeError) -> [ContainerSummary] {
        let response = try await call("ListContainers", within: CallTimeout.lookup) { options in
            try await runtimeService.listContainers(.with { $0.filter.labelSelector = labels }, options: options)
        }
        return response.containers.map { item in
            ContainerSummary(
                id: item.id, sandbox: item.podSandboxID, name: item.metadata.name, attempt: item.metadata.attempt,
                state: ContainerState(item.state), createdAt: item.createdAt, image: item.image.image,
                labels: item.labels, annotations: item.annotations)
        }
    }

    public func reopenLog(_ id: String) async throws(RuntimeError) {
        _ = try await call("ReopenContainerLog", within: CallTimeout.lookup) { options in
            try await runtimeService.reopenContainerLog(.with { $0.containerID = id }, options: options)
        }
    }

    public func updateResources(_ id: String, _ resources: ContainerResources) async throws(RuntimeError) {
        _ = try await call("UpdateContainerResources", within: CallTimeout.lookup) { options in
            try await runtimeService.updateContainerResources(
                .with {
                    $0.containerID = id
                    $0.linux = resources.wire
                }, options: options)
        }
    }

    public func containerStats() async throws(RuntimeError) -> [ContainerStats] {
        let response = try await call("ListContainerStats", within: CallTimeout.lookup) { options in
            try await runtimeService.listContainerStats(Runtime_V1_ListContainerStatsRequest(), options: options)
        }
        return response.stats.map { item in
            ContainerStats(
                id: item.attributes.id, labels: item.attributes.labels, timestamp: item.cpu.timestamp,
                cpuNanoseconds: item.cpu.usageCoreNanoSeconds.value,
                workingSetBytes: item.memory.workingSetBytes.value,
                writableLayerBytes: item.writableLayer.usedBytes.value)
        }
    }
}

extension ContainerState {
    init(_ wire: Runtime_V1_ContainerState) {
        switch wire {
        case .containerCreated: self = .created
        case .containerRunning: self = .running
        case .containerExited: self = .exited
        case .containerUnknown, .UNRECOGNIZED: self = .unknown
        }
    }
}

extension ContainerStatus {
    init(_ wire: Runtime_V1_ContainerStatus) {
        self.init()
        id = wire.id
        name = wire.metadata.name
        attempt = wire.metadata.attempt
        state = ContainerState(wire.state)
        createdAt = wire.createdAt
        startedAt = wire.startedAt
        finishedAt = wire.finishedAt
        exitCode = Int(wire.exitCode)
        reason = wire.reason
        message = wire.message
        image = wire.image.image
        imageReference = wire.imageRef
        labels = wire.labels
        annotations = wire.annotations
        logPath = wire.logPath
    }
}

extension ContainerConfig {
    var wire: Runtime_V1_ContainerConfig {
        var config = Runtime_V1_ContainerConfig()
        config.metadata = .with {
            $0.name = name
            $0.attempt = attempt
        }
        config.image = .with {
            $0.image = image
            $0.userSpecifiedImage = userImage
        }
        config.command = command
        config.args = arguments
        config.workingDir = workingDirectory
        config.envs = environment.map { variable in
            .with {
                $0.key = variable.name
                $0.value = .init(variable.value.utf8)
            }
        }
        config.mounts = mounts.map { mount in
            .with {
                $0.hostPath = mount.hostPath
                $0.containerPath = mount.containerPath
                $0.readonly = mount.isReadOnly
                $0.propagation =
                    switch mount.propagation {
                    case .none: .propagationPrivate
                    case .hostToContainer: .propagationHostToContainer
                    case .bidirectional: .propagationBidirectional
                    }
            }
        }
        config.devices = devices.map { path in
            .with {
                $0.hostPath = path
                $0.containerPath = path
                $0.permissions = "rwm"
            }
        }
        config.labels = labels
        config.annotations = annotations
        config.logPath = logPath
        config.stdin = stdin
        config.stdinOnce = stdinOnce
        config.tty = tty
        config.linux = .with {
            $0.resources = resources.wire
            $0.securityContext = security.wire
        }
        return config
    }
}

extension ContainerSecurity {
    /// What a container must not see or write of the kernel's files unless it says otherwise. The CRI takes the lists
    /// literally: an empty list would hide nothing.
    static let defaultMaskedPaths = [
        "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
        "/sys/devices/virtual/powercap",
    ]
    static let defaultReadonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

    var wire: Runtime_V1_LinuxContainerSecurityContext {
        .with {
            $0.privileged = privileged
            $0.capabilities = .with {
                $0.addCapabilities = addCapabilities
                $0.dropCapabilities = dropCapabilities
            }
            $0.namespaceOptions = .modes(network: network, pid: pid, ipc: ipc)
            if let runAsUser { $0.runAsUser = .with { $0.value = runAsUser } }
            if let runAsGroup { $0.runAsGroup = .with { $0.value = runAsGroup } }
            $0.runAsUsername = runAsUsername
            $0.supplementalGroups = supplementalGroups
            $0.readonlyRootfs = readOnlyRootFilesystem
            $0.noNewPrivs = noNewPrivileges
            $0.seccomp = seccomp.wire
            // Not set means the default profile where there is AppArmor; said aloud it is an error where there is none.
            if apparmor != .runtimeDefault { $0.apparmor = apparmor.wire }
            if !privileged {
                $0.maskedPaths = maskedPaths ?? Self.defaultMaskedPaths
                $0.readonlyPaths = readonlyPaths ?? Self.defaultReadonlyPaths
            }
        }
    }
}
