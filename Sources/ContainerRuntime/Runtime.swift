public import Streaming

/// What runs containers on a node: containerd through CRI v1, or (later) plain programs. Names and semantics follow the
/// CRI (`runtime.v1`); every call is safe to repeat.
public protocol Runtime: Sendable {
    /// Name and version, for example `containerd 1.6.20`.
    func version() async throws(RuntimeError) -> RuntimeVersion
    /// Conditions such as RuntimeReady and NetworkReady, with the reason when false.
    func status() async throws(RuntimeError) -> [RuntimeCondition]

    func runSandbox(_ config: SandboxConfig) async throws(RuntimeError) -> String
    func stopSandbox(_ id: String) async throws(RuntimeError)
    func removeSandbox(_ id: String) async throws(RuntimeError)
    func sandboxStatus(_ id: String) async throws(RuntimeError) -> SandboxStatus
    /// Sandboxes with all of these labels.
    func sandboxes(labels: [String: String]) async throws(RuntimeError) -> [SandboxSummary]

    func createContainer(sandbox: String, _ config: ContainerConfig, sandboxConfig: SandboxConfig)
        async throws(RuntimeError) -> String
    func startContainer(_ id: String) async throws(RuntimeError)
    /// Signals TERM (or the image's stop signal), then KILL after the grace.
    func stopContainer(_ id: String, grace: Duration) async throws(RuntimeError)
    func removeContainer(_ id: String) async throws(RuntimeError)
    func containerStatus(_ id: String) async throws(RuntimeError) -> ContainerStatus
    func containers(labels: [String: String]) async throws(RuntimeError) -> [ContainerSummary]
    /// Tells the runtime that the log file was renamed.
    func reopenLog(_ id: String) async throws(RuntimeError)
    /// Changes limits of a running container.
    func updateResources(_ id: String, _ resources: ContainerResources) async throws(RuntimeError)

    /// Runs a command in a container and waits for it.
    func execSync(_ id: String, command: [String], timeout: Duration) async throws(RuntimeError) -> ExecResult
    func exec(_ id: String, _ options: ExecOptions) async throws(RuntimeError) -> any ProcessSession
    func attach(_ id: String, _ options: ExecOptions) async throws(RuntimeError) -> any ProcessSession
    /// A connection to 127.0.0.1:port in the sandbox's network namespace.
    func connect(sandbox: String, port: Int) async throws(RuntimeError) -> any ByteConnection

    /// The image if it is present, else nil.
    func image(_ reference: String) async throws(RuntimeError) -> ImageStatus?
    func images() async throws(RuntimeError) -> [ImageStatus]
    /// - Returns: the reference (`repo@sha256:…`) that was pulled.
    func pullImage(_ reference: String, credentials: RegistryCredentials?) async throws(RuntimeError) -> String
    func removeImage(_ reference: String) async throws(RuntimeError)
    /// Bytes and inodes used by images.
    func imageFilesystem() async throws(RuntimeError) -> FilesystemUsage

    /// CPU and memory of all running containers.
    func containerStats() async throws(RuntimeError) -> [ContainerStats]
    /// Changes of containers as they happen. Only a hint: the reader lists now and then all the same.
    func events() -> AsyncThrowingStream<RuntimeEvent, any Error>
}

/// An error of the runtime, in its words.
public struct RuntimeError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable {
        case notFound
        case alreadyExists
        case unavailable
        case timedOut
        case invalidArgument
        case other
    }
    public var code: Code
    /// What was tried, for example `RunPodSandbox`.
    public var operation: String
    public var message: String
    public init(_ code: Code, operation: String, _ message: String) {
        self.code = code
        self.operation = operation
        self.message = message
    }
    public var description: String { message }
}

public struct RuntimeVersion: Sendable, Hashable {
    public var name: String
    public var version: String
    public init(name: String, version: String) {
        self.name = name
        self.version = version
    }
}

public struct RuntimeCondition: Sendable, Hashable {
    public var type: String
    public var isTrue: Bool
    public var reason: String
    public var message: String
    public init(type: String, isTrue: Bool, reason: String, message: String) {
        self.type = type
        self.isTrue = isTrue
        self.reason = reason
        self.message = message
    }
}

/// Which namespaces a sandbox or container shares.
public enum NamespaceMode: Sendable, Hashable {
    /// Shared by the containers of the pod.
    case pod
    /// Each container its own.
    case container
    /// The host's.
    case node
    /// The namespace of another container, by id.
    case target(String)
}

public struct SandboxConfig: Sendable, Hashable {
    public var name = ""
    public var namespace = ""
    public var uid = ""
    /// Grows by one each time the sandbox is made anew.
    public var attempt: UInt32 = 0
    public var hostname = ""
    /// Directory on the host for the logs of the pod's containers.
    public var logDirectory = ""
    /// Nil leaves the runtime's default resolv.conf.
    public var dns: DNSConfig?
    public var portMappings: [PortMapping] = []
    public var labels: [String: String] = [:]
    public var annotations: [String: String] = [:]
    /// For example `/apus-ab12/burstable/podUID`.
    public var cgroupParent = ""
    public var sysctls: [String: String] = [:]
    public var network: NamespaceMode = .pod
    public var pid: NamespaceMode = .container
    public var ipc: NamespaceMode = .pod
    public var privileged = false
    public var runAsUser: Int64?
    public var runAsGroup: Int64?
    public var supplementalGroups: [Int64] = []
    public var seccomp: SecurityProfile = .unconfined
    /// Empty for the default handler.
    public var runtimeHandler = ""
    public var resources = ContainerResources()
    public init() {}
}

public struct DNSConfig: Sendable, Hashable {
    public var servers: [String]
    public var searches: [String]
    public var options: [String]
    public init(servers: [String] = [], searches: [String] = [], options: [String] = []) {
        self.servers = servers
        self.searches = searches
        self.options = options
    }
}

public struct PortMapping: Sendable, Hashable {
    /// `TCP`, `UDP` or `SCTP`.
    public var transport: String
    public var containerPort: Int
    public var hostPort: Int
    public var hostIP: String
    public init(transport: String, containerPort: Int, hostPort: Int, hostIP: String) {
        self.transport = transport
        self.containerPort = containerPort
        self.hostPort = hostPort
        self.hostIP = hostIP
    }
}

/// Seccomp or AppArmor profile.
public enum SecurityProfile: Sendable, Hashable {
    case runtimeDefault
    case unconfined
    /// Path or name on the node.
    case localhost(String)
}

public struct ContainerConfig: Sendable, Hashable {
    public var name = ""
    public var attempt: UInt32 = 0
    /// The image to run: an id or a digest reference from `pullImage`.
    public var image = ""
    /// The image as the user wrote it.
    public var userImage = ""
    /// Replaces the entrypoint when not empty.
    public var command: [String] = []
    public var arguments: [String] = []
    public var workingDirectory = ""
    /// In order.
    public var environment: [(name: String, value: String)] {
        get { environmentPairs.map { ($0[0], $0[1]) } }
        set { environmentPairs = newValue.map { [$0.name, $0.value] } }
    }
    private var environmentPairs: [[String]] = []
    public var mounts: [Mount] = []
    public var devices: [String] = []
    public var labels: [String: String] = [:]
    public var annotations: [String: String] = [:]
    /// Relative to the sandbox's log directory.
    public var logPath = ""
    public var stdin = false
    public var stdinOnce = false
    public var tty = false
    public var resources = ContainerResources()
    public var security = ContainerSecurity()
    public init() {}
}

public struct Mount: Sendable, Hashable {
    public enum Propagation: Sendable, Hashable { case none, hostToContainer, bidirectional }
    public var hostPath: String
    public var containerPath: String
    public var isReadOnly: Bool
    public var propagation: Propagation
    public init(hostPath: String, containerPath: String, isReadOnly: Bool = false, propagation: Propagation = .none) {
        self.hostPath = hostPath
        self.containerPath = containerPath
        self.isReadOnly = isReadOnly
        self.propagation = propagation
    }
}

/// Linux resource limits; nil is unlimited (or unchanged in `updateResources`).
public struct ContainerResources: Sendable, Hashable {
    public var cpuShares: Int64?
    /// Microseconds per period.
    public var cpuQuota: Int64?
    public var cpuPeriod: Int64?
    public var memoryLimitBytes: Int64?
    public var oomScoreAdjustment: Int64?
    public var cpusetCPUs = ""
    /// Page size such as `2MB` to bytes.
    public var hugepageLimits: [String: UInt64] = [:]
    /// cgroup v2 interface files, for example `memory.oom.group`.
    public var unified: [String: String] = [:]
    public init() {}
}

public struct ContainerSecurity: Sendable, Hashable {
    public var privileged = false
    public var addCapabilities: [String] = []
    public var dropCapabilities: [String] = []
    public var runAsUser: Int64?
    public var runAsGroup: Int64?
    public var runAsUsername = ""
    public var supplementalGroups: [Int64] = []
    public var readOnlyRootFilesystem = false
    public var noNewPrivileges = false
    public var network: NamespaceMode = .pod
    public var pid: NamespaceMode = .container
    public var ipc: NamespaceMode = .pod
    public var seccomp: SecurityProfile = .unconfined
    public var apparmor: SecurityProfile = .runtimeDefault
    /// Nil: the runtime's default masked and read-only paths (unmasked when privileged).
    public var maskedPaths: [String]?
    public var readonlyPaths: [String]?
    public init() {}
}

public struct SandboxSummary: Sendable, Hashable {
    public var id: String
    public var name: String
    public var namespace: String
    public var uid: String
    public var attempt: UInt32
    public var isReady: Bool
    /// Nanoseconds since 1970.
    public var createdAt: Int64
    public var labels: [String: String]
    public var annotations: [String: String]
    public var runtimeHandler: String
    public init(
        id: String, name: String, namespace: String, uid: String, attempt: UInt32, isReady: Bool, createdAt: Int64,
        labels: [String: String], annotations: [String: String], runtimeHandler: String
    ) {
        self.id = id
        self.name = name
        self.namespace = namespace
        self.uid = uid
        self.attempt = attempt
        self.isReady = isReady
        self.createdAt = createdAt
        self.labels = labels
        self.annotations = annotations
        self.runtimeHandler = runtimeHandler
    }
}

public struct SandboxStatus: Sendable, Hashable {
    public var id: String
    public var isReady: Bool
    /// Primary address first; empty with host networking.
    public var addresses: [String]
    public var createdAt: Int64
    public init(id: String, isReady: Bool, addresses: [String], createdAt: Int64) {
        self.id = id
        self.isReady = isReady
        self.addresses = addresses
        self.createdAt = createdAt
    }
}

public enum ContainerState: Sendable, Hashable { case created, running, exited, unknown }

public struct ContainerSummary: Sendable, Hashable {
    public var id: String
    public var sandbox: String
    public var name: String
    public var attempt: UInt32
    public var state: ContainerState
    public var createdAt: Int64
    public var image: String
    public var labels: [String: String]
    public var annotations: [String: String]
    public init(
        id: String, sandbox: String, name: String, attempt: UInt32, state: ContainerState, createdAt: Int64,
        image: String, labels: [String: String], annotations: [String: String]
    ) {
        self.id = id
        self.sandbox = sandbox
        self.name = name
        self.attempt = attempt
        self.state = state
        self.createdAt = createdAt
        self.image = image
        self.labels = labels
        self.annotations = annotations
    }
}

public struct ContainerStatus: Sendable, Hashable {
    public var id = ""
    public var name = ""
    public var attempt: UInt32 = 0
    public var state: ContainerState = .unknown
    /// Nanoseconds since 1970; 0 when it did not happen.
    public var createdAt: Int64 = 0
    public var startedAt: Int64 = 0
    public var finishedAt: Int64 = 0
    public var exitCode = 0
    /// `Completed`, `Error`, `OOMKilled`…
    public var reason = ""
    public var message = ""
    public var image = ""
    /// `repo@sha256:…`
    public var imageReference = ""
    public var labels: [String: String] = [:]
    public var annotations: [String: String] = [:]
    public var logPath = ""
    public init() {}
}

public struct ExecResult: Sendable, Hashable {
    public var exitCode: Int
    public var output: [UInt8]
    public var errorOutput: [UInt8]
    public init(exitCode: Int, output: [UInt8], errorOutput: [UInt8]) {
        self.exitCode = exitCode
        self.output = output
        self.errorOutput = errorOutput
    }
}

public struct ImageStatus: Sendable, Hashable {
    public var id: String
    public var tags: [String]
    public var digests: [String]
    public var sizeBytes: UInt64
    /// Numeric user of the image config, if numeric.
    public var userID: Int64?
    public var username: String
    /// The node itself needs it (the pause image): never to be removed to free space.
    public var isPinned = false
    public init(
        id: String, tags: [String], digests: [String], sizeBytes: UInt64, userID: Int64?, username: String
    ) {
        self.id = id
        self.tags = tags
        self.digests = digests
        self.sizeBytes = sizeBytes
        self.userID = userID
        self.username = username
    }
}

public struct RegistryCredentials: Sendable, Hashable {
    public var username: String
    public var password: String
    public var identityToken: String
    public init(username: String, password: String, identityToken: String = "") {
        self.username = username
        self.password = password
        self.identityToken = identityToken
    }
}

public struct FilesystemUsage: Sendable, Hashable {
    public var path: String
    public var usedBytes: UInt64
    public var usedInodes: UInt64
    public init(path: String, usedBytes: UInt64, usedInodes: UInt64) {
        self.path = path
        self.usedBytes = usedBytes
        self.usedInodes = usedInodes
    }
}

public struct ContainerStats: Sendable, Hashable {
    public var id: String
    public var labels: [String: String]
    /// Nanoseconds since 1970 of the CPU reading.
    public var timestamp: Int64
    public var cpuNanoseconds: UInt64
    public var workingSetBytes: UInt64
    /// Bytes written to the container's own layer.
    public var writableLayerBytes: UInt64
    public init(
        id: String, labels: [String: String], timestamp: Int64, cpuNanoseconds: UInt64, workingSetBytes: UInt64,
        writableLayerBytes: UInt64
    ) {
        self.id = id
        self.labels = labels
        self.timestamp = timestamp
        self.cpuNanoseconds = cpuNanoseconds
        self.workingSetBytes = workingSetBytes
        self.writableLayerBytes = writableLayerBytes
    }
}

/// A hint that a pod's containers changed.
public struct RuntimeEvent: Sendable, Hashable {
    /// From the pod labels; empty when unknown: look at everything.
    public var podUID: String
    public var containerID: String
    public init(podUID: String, containerID: String) {
        self.podUID = podUID
        self.containerID = containerID
    }
}
