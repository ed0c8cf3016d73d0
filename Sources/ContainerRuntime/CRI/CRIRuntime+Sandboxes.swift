import WireCRI

extension CRIRuntime {
    public func version() async throws(RuntimeError) -> RuntimeVersion {
        let response = try await call("Version", within: CallTimeout.lookup) { options in
            try await runtimeService.version(.with { $0.version = "v1" }, options: options)
        }
        return RuntimeVersion(name: response.runtimeName, version: response.runtimeVersion)
    }

    public func status() async throws(RuntimeError) -> [RuntimeCondition] {
        let response = try await call("Status", within: CallTimeout.lookup) { options in
            try await runtimeService.status(Runtime_V1_StatusRequest(), options: options)
        }
        return response.status.conditions.map {
            RuntimeCondition(type: $0.type, isTrue: $0.status, reason: $0.reason, message: $0.message)
        }
    }

    public func runSandbox(_ config: SandboxConfig) async throws(RuntimeError) -> String {
        var request = Runtime_V1_RunPodSandboxRequest()
        request.config = config.wire
        request.runtimeHandler = config.runtimeHandler
        let message = request
        return try await call("RunPodSandbox", within: CallTimeout.change) { options in
            try await runtimeService.runPodSandbox(message, options: options).podSandboxID
        }
    }

    public func stopSandbox(_ id: String) async throws(RuntimeError) {
        _ = try await call("StopPodSandbox", within: CallTimeout.change) { options in
            try await runtimeService.stopPodSandbox(.with { $0.podSandboxID = id }, options: options)
        }
    }

    public func removeSandbox(_ id: String) async throws(RuntimeError) {
        _ = try await call("RemovePodSandbox", within: CallTimeout.change) { options in
            try await runtimeService.removePodSandbox(.with { $0.podSandboxID = id }, options: options)
        }
    }

    public func sandboxStatus(_ id: String) async throws(RuntimeError) -> SandboxStatus {
        let status = try await sandbox(id, verbose: false).status
        var addresses: [String] = []
        if !status.network.ip.isEmpty {
            addresses = [status.network.ip] + status.network.additionalIps.map(\.ip)
        }
        return SandboxStatus(
            id: status.id, isReady: status.state == .sandboxReady, addresses: addresses, createdAt: status.createdAt)
    }

    /// The runtime's own answer, with its internals when `verbose`.
    func sandbox(_ id: String, verbose: Bool) async throws(RuntimeError) -> Runtime_V1_PodSandboxStatusResponse {
        try await call("PodSandboxStatus", within: CallTimeout.lookup) { options in
            try await runtimeService.podSandboxStatus(
                .with {
                    $0.podSandboxID = id
                    $0.verbose = verbose
                }, options: options)
        }
    }

    public func sandboxes(labels: [String: String]) async throws(RuntimeError) -> [SandboxSummary] {
        let response = try await call("ListPodSandbox", within: CallTimeout.lookup) { options in
            try await runtimeService.listPodSandbox(.with { $0.filter.labelSelector = labels }, options: options)
        }
        return response.items.map { item in
            SandboxSummary(
                id: item.id, name: item.metadata.name, namespace: item.metadata.namespace, uid: item.metadata.uid,
                attempt: item.metadata.attempt, isReady: item.state == .sandboxReady, createdAt: item.createdAt,
                labels: item.labels, annotations: item.annotations, runtimeHandler: item.runtimeHandler)
        }
    }
}

extension SandboxConfig {
    var wire: Runtime_V1_PodSandboxConfig {
        var config = Runtime_V1_PodSandboxConfig()
        config.metadata = .with {
            $0.name = name
            $0.namespace = namespace
            $0.uid = uid
            $0.attempt = attempt
        }
        config.hostname = hostname
        config.logDirectory = logDirectory
        if let dns {
            config.dnsConfig = .with {
                $0.servers = dns.servers
                $0.searches = dns.searches
                $0.options = dns.options
            }
        }
        config.portMappings = portMappings.map { mapping in
            .with {
                $0.protocol =
                    switch mapping.transport {
                    case "UDP": .udp
                    case "SCTP": .sctp
                    default: .tcp
                    }
                $0.containerPort = Int32(clamping: mapping.containerPort)
                $0.hostPort = Int32(clamping: mapping.hostPort)
                $0.hostIp = mapping.hostIP
            }
        }
        config.labels = labels
        config.annotations = annotations
        config.linux = .with {
            $0.cgroupParent = cgroupParent
            $0.sysctls = sysctls
            $0.resources = resources.wire
            $0.securityContext = .with {
                $0.namespaceOptions = .modes(network: network, pid: pid, ipc: ipc)
                $0.privileged = privileged
                $0.seccomp = seccomp.wire
                $0.supplementalGroups = supplementalGroups
                if let runAsUser { $0.runAsUser = .with { $0.value = runAsUser } }
                if let runAsGroup { $0.runAsGroup = .with { $0.value = runAsGroup } }
            }
        }
        return config
    }
}

extension Runtime_V1_NamespaceOption {
    static func modes(network: NamespaceMode, pid: NamespaceMode, ipc: NamespaceMode) -> Self {
        .with {
            $0.network = network.wire
            $0.pid = pid.wire
            $0.ipc = ipc.wire
            if case .target(let id) = pid { $0.targetID = id }
        }
    }
}

extension NamespaceMode {
    var wire: Runtime_V1_NamespaceMode {
        switch self {
        case .pod: .pod
        case .container: .container
        case .node: .node
        case .target: .target
        }
    }
}

extension SecurityProfile {
    var wire: Runtime_V1_SecurityProfile {
        .with {
            switch self {
            case .runtimeDefault: $0.profileType = .runtimeDefault
            case .unconfined: $0.profileType = .unconfined
            case .localhost(let reference):
                $0.profileType = .localhost
                $0.localhostRef = reference
            }
        }
    }
}

extension ContainerResources {
    /// Zero means "not set" on the wire.
    var wire: Runtime_V1_LinuxContainerResources {
        .with {
            $0.cpuShares = cpuShares ?? 0
            $0.cpuQuota = cpuQuota ?? 0
            $0.cpuPeriod = cpuPeriod ?? 0
            $0.memoryLimitInBytes = memoryLimitBytes ?? 0
            $0.oomScoreAdj = oomScoreAdjustment ?? 0
            $0.cpusetCpus = cpusetCPUs
            $0.hugepageLimits = hugepageLimits.sorted { $0.key < $1.key }.map { size, limit in
                .with {
                    $0.pageSize = size
                    $0.limit = limit
                }
            }
            $0.unified = unified
        }
    }
}
