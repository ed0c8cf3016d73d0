import ContainerRuntime
import JSON
import ObjectModel
import OrderedCollections

/// Turns a pod's spec into what the runtime is asked for. Pure: everything it needs is handed in.
struct ContainerConfigBuilder: Sendable {
    var pod: Pod
    var clusterID: String
    var files: PodNetworkFiles
    var resolver: ResolverConfiguration
    /// The pod's cgroup, for example `/apus-ab12/burstable/podUID`.
    var cgroupParent: String
    var logDirectory: String
    var nodeMemory: Int
    var lowestOOMScore: Int64
    var isCgroupV2: Bool

    static let clusterLabel = "apus.dev/cluster"
    /// Whose network a pod of plain programs uses instead of the host's. Only for those that may have the host's, which
    /// reaches as far.
    static let networkOfAnnotation = "mesos.apus.dev/network-of"

    private var labels: [String: String] {
        [
            RuntimeLabel.podName: pod.name, RuntimeLabel.podNamespace: pod.namespace, RuntimeLabel.podUID: pod.uid,
            Self.clusterLabel: clusterID,
        ]
    }

    // MARK: Sandbox

    func sandbox(attempt: UInt32) throws(ConfigurationError) -> SandboxConfig {
        var config = SandboxConfig()
        config.name = pod.name
        config.namespace = pod.namespace
        config.uid = pod.uid
        config.attempt = attempt
        config.hostname = pod.spec.hostNetwork ? "" : try files.kernelHostname()
        config.logDirectory = logDirectory
        config.dns = files.dns(node: resolver)
        config.portMappings = pod.spec.hostNetwork ? [] : portMappings
        config.labels = pod.labels.merging(labels) { _, own in own }
        config.annotations = pod.annotations.filter { !$0.key.hasPrefix("kubectl.kubernetes.io/") }
        config.cgroupParent = cgroupParent
        config.sysctls = pod.spec.security.sysctls
        config.network = pod.spec.hostNetwork ? .node : .pod
        if pod.spec.hostNetwork, pod.spec.runtimeClassName == ProcessRuntime.handler,
            let uid = pod.annotations[Self.networkOfAnnotation]
        {
            config.network = .target(uid)
        }
        config.pid = pidMode(target: nil)
        config.ipc = pod.spec.hostIPC ? .node : .pod
        config.privileged = pod.allContainers.contains(where: \.isPrivileged)
        config.runAsUser = pod.spec.security.runAsUser
        config.runAsGroup = pod.spec.security.runAsUser == nil ? nil : pod.spec.security.runAsGroup
        config.supplementalGroups = supplementalGroups
        config.seccomp = .runtimeDefault
        config.runtimeHandler = ""
        return config
    }

    private var portMappings: [PortMapping] {
        var mappings = (pod.spec.containers + pod.spec.initContainers).flatMap(\.ports).filter { $0.hostPort > 0 }.map {
            PortMapping(
                transport: $0.transport, containerPort: $0.containerPort, hostPort: $0.hostPort, hostIP: $0.hostIP)
        }
        for port in pod.assignedPorts {
            guard let inside = port.containerPort else { continue }
            mappings += port.transports.map {
                PortMapping(transport: $0, containerPort: inside, hostPort: port.hostPort, hostIP: "")
            }
        }
        return mappings
    }
    private var supplementalGroups: [Int64] {
        pod.spec.security.supplementalGroups + (pod.spec.security.fsGroup.map { [$0] } ?? [])
    }
    private func pidMode(target: String?) -> NamespaceMode {
        if let target { return .target(target) }
        if pod.spec.hostPID { return .node }
        return pod.spec.shareProcessNamespace ? .pod : .container
    }

    // MARK: Container

    /// - Parameters:
    ///   - environment: in order.
    ///   - mounts: volumes, `/etc/hosts` and the termination log.
    ///   - target: id of the container whose PID namespace an ephemeral container joins.
    func container(
        _ container: ContainerSpec, attempt: Int, image: ImageStatus, environment: OrderedDictionary<String, String>,
        mounts: [Mount], target: String?
    ) throws(ConfigurationError) -> ContainerConfig {
        var config = ContainerConfig()
        config.name = container.name
        config.attempt = UInt32(truncatingIfNeeded: attempt)
        config.image = image.id
        config.userImage = container.image
        config.command = container.command.map { Expansion.expand($0) { environment[$0] } }
        config.arguments = container.arguments.map { Expansion.expand($0) { environment[$0] } }
        config.workingDirectory = container.workingDirectory
        config.environment = environment.map { (name: $0.key, value: $0.value) }
        config.mounts = mounts
        config.labels = labels.merging([RuntimeLabel.containerName: container.name]) { _, own in own }
        config.annotations = [
            RuntimeLabel.hash: container.hash, RuntimeLabel.restartCount: String(attempt),
            RuntimeLabel.terminationMessagePath: container.terminationMessagePath,
            RuntimeLabel.terminationMessagePolicy: container.terminationMessagePolicy,
            RuntimeLabel.gracePeriod: String(pod.spec.terminationGracePeriodSeconds),
        ]
        config.logPath = "\(container.name)/\(attempt).log"
        config.stdin = container.stdin
        config.stdinOnce = container.stdinOnce
        config.tty = container.tty
        config.resources = resources(container)
        config.security = try security(container, image: image, target: target)
        return config
    }

    func resources(_ container: ContainerSpec) -> ContainerResources {
        var result = ContainerResources()
        let (requests, limits) = (container.resources.requests, container.resources.limits)
        let request = (requests["cpu"] ?? limits["cpu"])?.milliValue ?? 0
        result.cpuShares = CgroupMath.shares(milliCPU: request)
        if let quota = CgroupMath.quota(milliCPU: limits["cpu"]?.milliValue ?? 0) {
            result.cpuQuota = quota
            result.cpuPeriod = CgroupMath.period
        }
        if let memory = limits["memory"]?.value, memory > 0 { result.memoryLimitBytes = Int64(memory) }
        result.oomScoreAdjustment = max(oomScore(container), lowestOOMScore)
        for (name, quantity) in limits where name.hasPrefix("hugepages-") {
            // `hugepages-2Mi` is `2MB` to the runtime.
            let size = String(name.dropFirst("hugepages-".count).map { $0 == "i" ? "B" : $0 })
            result.hugepageLimits[size] = UInt64(max(quantity.value, 0))
        }
        if isCgroupV2 { result.unified["memory.oom.group"] = "1" }
        return result
    }

    private func oomScore(_ container: ContainerSpec) -> Int64 {
        let quality = QualityOfService(pod.spec)
        let isNodeCritical = pod.spec.priority >= 2_000_001_000
        func score(_ container: ContainerSpec) -> Int64 {
            CgroupMath.oomScoreAdjustment(
                quality,
                memoryRequest: (container.resources.requests["memory"] ?? container.resources.limits["memory"])?.value
                    ?? 0,
                nodeMemory: nodeMemory, isNodeCritical: isNodeCritical)
        }
        guard container.kind == .sidecar else { return score(container) }
        return min(score(container), pod.spec.containers.map(score).min() ?? 1000)
    }

    private func security(_ container: ContainerSpec, image: ImageStatus, target: String?)
        throws(ConfigurationError) -> ContainerSecurity
    {
        let own = container.security
        let shared = pod.spec.security
        var result = ContainerSecurity()
        result.privileged = container.isPrivileged
        result.addCapabilities = own["capabilities"]["add"].elements.compactMap(\.string)
        result.dropCapabilities = own["capabilities"]["drop"].elements.compactMap(\.string)
        result.runAsUser = own["runAsUser"].int.map(Int64.init) ?? shared.runAsUser
        result.runAsGroup = own["runAsGroup"].int.map(Int64.init) ?? shared.runAsGroup
        if result.runAsUser == nil, let user = namedUser(container) { result.runAsUsername = user }
        try checkNonRoot(container, user: result.runAsUser, image: image)
        if result.runAsGroup != nil, result.runAsUser == nil {
            // The runtime takes a group only together with a user.
            if let id = image.userID {
                result.runAsUser = id
            } else if !image.username.isEmpty {
                result.runAsUsername = image.username
            } else {
                result.runAsUser = 0
            }
        }
        result.supplementalGroups = supplementalGroups
        result.readOnlyRootFilesystem = own["readOnlyRootFilesystem"].bool ?? false
        result.noNewPrivileges = own["allowPrivilegeEscalation"].bool == false
        result.network = pod.spec.hostNetwork ? .node : .pod
        result.pid = pidMode(target: target)
        result.ipc = pod.spec.hostIPC ? .node : .pod
        result.seccomp =
            Self.profile(own["seccompProfile"].isNull ? shared.seccomp : own["seccompProfile"]) ?? .unconfined
        result.apparmor =
            Self.profile(own["appArmorProfile"].isNull ? shared.apparmor : own["appArmorProfile"])
            ?? (container.isPrivileged ? .unconfined : .runtimeDefault)
        if container.isPrivileged {
            result.seccomp = .unconfined
        } else if own["procMount"].string == "Unmasked" {
            result.maskedPaths = []
            result.readonlyPaths = []
        }
        return result
    }

    /// The user by name that a container of the Mesos agent's API asks for; a name of the image's own.
    private func namedUser(_ container: ContainerSpec) -> String? {
        guard pod.labels["mesos.apus.dev/container"] != nil,
            let options = pod.annotations["process.apus.dev/options"].flatMap({ try? JSON.parse($0) })
        else { return nil }
        return options[container.name]["user"].string
    }

    private func checkNonRoot(_ container: ContainerSpec, user: Int64?, image: ImageStatus) throws(ConfigurationError) {
        guard container.security["runAsNonRoot"].bool ?? pod.spec.security.runAsNonRoot ?? false else { return }
        let place = "(pod: \"\(pod.name)_\(pod.namespace)(\(pod.uid))\", container: \(container.name))"
        if let user {
            if user == 0 { throw ConfigurationError("container's runAsUser breaks non-root policy \(place)") }
            return
        }
        if let id = image.userID {
            if id == 0 { throw ConfigurationError("container has runAsNonRoot and image will run as root \(place)") }
            return
        }
        if image.username.isEmpty || image.username == "root" {
            throw ConfigurationError("container has runAsNonRoot and image will run as root \(place)")
        }
        throw ConfigurationError(
            "container has runAsNonRoot and image has non-numeric user (\(image.username)), "
                + "cannot verify user is non-root \(place)")
    }

    private static func profile(_ json: JSON) -> SecurityProfile? {
        switch json["type"].string {
        case "RuntimeDefault": .runtimeDefault
        case "Unconfined": .unconfined
        case "Localhost": .localhost(json["localhostProfile"].string ?? "")
        default: nil
        }
    }
}
