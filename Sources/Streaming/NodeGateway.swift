public import JSON

/// What the API server asks of the node a pod runs on: logs, exec, attach, port-forward, usage. A function call inside
/// `apus up`; the node's HTTPS port elsewhere. Errors meant for the client are `StatusError`s.
public protocol NodeGateway: Sendable {
    /// Log text as it is sent to the client, in chunks; ends at the end of the log, or never with `follow`.
    func logs(_ container: ContainerReference, options: LogOptions) async throws
        -> AsyncThrowingStream<[UInt8], any Error>
    func exec(_ container: ContainerReference, _ options: ExecOptions) async throws -> any ProcessSession
    /// Joins the container's main program; `options.command` is empty.
    func attach(_ container: ContainerReference, _ options: ExecOptions) async throws -> any ProcessSession
    /// A connection to 127.0.0.1:port inside the pod's network namespace.
    func connect(_ pod: PodReference, port: Int) async throws -> any ByteConnection
    /// Usage as metrics.k8s.io tells it: `NodeMetrics` without identity (`timestamp`, `window`, `usage`).
    func nodeUsage() async throws -> JSON
    /// One `PodMetrics`-shaped object per running pod: `metadata.{name,namespace}`, `timestamp`, `window`, `containers`.
    func podUsage() async throws -> [JSON]
}

/// One pod, by all its names.
public struct PodReference: Sendable, Hashable {
    public var namespace: String
    public var name: String
    public var uid: String
    public init(namespace: String, name: String, uid: String) {
        self.namespace = namespace
        self.name = name
        self.uid = uid
    }
}

/// One container of a pod.
public struct ContainerReference: Sendable, Hashable {
    public var pod: PodReference
    public var container: String
    public init(pod: PodReference, container: String) {
        self.pod = pod
        self.container = container
    }
}

/// Query of `pods/log`.
public struct LogOptions: Sendable, Hashable {
    public var follow = false
    public var previous = false
    public var timestamps = false
    public var sinceSeconds: Int?
    /// RFC 3339.
    public var sinceTime: String?
    public var tailLines: Int?
    public var limitBytes: Int?
    /// `All`, `Stdout` or `Stderr`.
    public var stream = "All"
    public init() {}
}

/// Query of `pods/exec` and `pods/attach`.
public struct ExecOptions: Sendable, Hashable {
    public var command: [String] = []
    public var stdin = false
    public var stdout = false
    public var stderr = false
    public var tty = false
    public init() {}
}
