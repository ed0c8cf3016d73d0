import Dispatch
import Glibc
import JSON
public import Logging
import NIOPosix
import ProcessShim
public import ServiceLifecycle
import Synchronization

/// Containers that are plain programs of the machine: no image, but a cgroup, PID and mount namespaces, a sandbox
/// directory and limits of their own. Image `host` is the machine's file system.
///
/// Each program has a supervisor (`ProcessShim`) that outlives this process; what happened meanwhile is read from its
/// files. Pods with a network of their own get it from another runtime's sandbox, so that there is one pod network.
public final class ProcessRuntime: Runtime, Service {
    /// The handler that RuntimeClasses name.
    public static let handler = "process"
    /// How ids of this runtime begin.
    public static let idPrefix = "process-"
    /// The only image.
    public static let image = "host"
    /// Label on the sandboxes of the other runtime that only hold a network.
    static let networkLabel = "process.apus.dev/network"

    public struct Settings: Sendable {
        public var layout: ProcessLayout
        /// The program that is the helper, and its arguments.
        public var helper: String
        public var helperArguments: [String]
        /// Size at which `stdout` and `stderr` in the sandbox are rotated, in bytes; one old file of each is kept.
        public var rotationBytes = 10 << 20
        /// How long a pod's folder stays when the pod is gone.
        public var retention: Duration = .seconds(24 * 3600)

        /// - Parameters:
        ///   - dataDirectory: absolute.
        ///   - helper: by default this very program.
        public init(
            dataDirectory: String, helper: String? = nil, helperArguments: [String] = []
        ) {
            layout = ProcessLayout(dataDirectory: dataDirectory)
            self.helper = helper ?? "/proc/thread-self/exe"
            self.helperArguments = helper == nil ? [ProcessShim.argument] : helperArguments
        }
    }

    struct State {
        var sandboxes: [String: ProcessSandbox] = [:]
        /// Ids of sandboxes that are being made.
        var coming: Set<String> = []
        var containers: [String: ProcessContainer] = [:]
        var launches: [String: Launch] = [:]
        var readers: [Int: AsyncThrowingStream<RuntimeEvent, any Error>.Continuation] = [:]
        var lastReader = 0
        /// Bytes in sandbox directories, measured now and then.
        var diskUse: [String: (bytes: UInt64, at: ContinuousClock.Instant)] = [:]
    }

    public let settings: Settings
    let logger: Logger
    let network: (any Runtime)?
    let networkNamespace: @Sendable (String) async throws -> String?
    let cgroups = ProcessCgroups()
    let helper: ShimHelper
    let state = Mutex(State())
    let entries = Atomic(0)

    var layout: ProcessLayout { settings.layout }

    /// Reads what earlier processes left. Blocks for a moment.
    /// - Parameters:
    ///   - network: makes the networks of pods; nil refuses pods that want their own.
    ///   - networkNamespace: path of the network namespace of a sandbox of that runtime.
    public init(
        _ settings: Settings, network: (any Runtime)? = nil,
        networkNamespace: @escaping @Sendable (String) async throws -> String? = { _ in nil }, logger: Logger
    ) {
        self.settings = settings
        self.network = network
        self.networkNamespace = networkNamespace
        self.logger = logger
        helper = ShimHelper(
            program: settings.helper, arguments: settings.helperArguments, logPath: settings.layout.root + "/helper.log"
        )
        try? HostFiles.makeDirectory(settings.layout.root)
        load()
    }

    /// With the pod network of a CRI runtime.
    public convenience init(_ settings: Settings, network: CRIRuntime, logger: Logger) {
        self.init(
            settings, network: network, networkNamespace: { try await network.networkNamespace(ofSandbox: $0) },
            logger: logger)
    }

    /// Removes the folders of pods that are gone for long.
    public func run() async throws {
        try? await cancelWhenGracefulShutdown {
            while true {
                await blocking { self.collect() }
                try await Task.sleep(for: .seconds(60))
            }
        }
    }

    public func version() async throws(RuntimeError) -> RuntimeVersion {
        RuntimeVersion(name: "process", version: "1")
    }
    public func status() async throws(RuntimeError) -> [RuntimeCondition] {
        [RuntimeCondition(type: "RuntimeReady", isTrue: true, reason: "", message: "")]
    }

    // MARK: What is there

    private func load() {
        for uid in HostFiles.entries(layout.root) where HostFiles.isDirectory(layout.state(uid)) {
            for name in HostFiles.entries(layout.state(uid)) where name.hasPrefix(Self.idPrefix) {
                let path = "\(layout.state(uid))/\(name)"
                if name.hasSuffix(".json") {
                    if let sandbox = Self.json(path).flatMap({ ProcessSandbox($0) }) {
                        state.withLock { $0.sandboxes[sandbox.id] = sandbox }
                    }
                } else if HostFiles.isDirectory(path) {
                    adopt(path)
                }
            }
        }
    }

    private func adopt(_ directory: String) {
        guard var container = Self.json(directory + "/container.json").flatMap({ ProcessContainer($0) }),
            let launch = Self.json(directory + "/" + ShimFile.launch).map({ Launch($0) })
        else {
            // Its creation did not come to an end.
            HostFiles.remove(directory)
            return
        }
        container.started = Self.json(directory + "/" + ShimFile.started).flatMap { ShimStarted($0) }
        container.exit = Self.json(directory + "/" + ShimFile.exit).flatMap { ShimExit($0) }
        let adopted = container
        state.withLock {
            $0.containers[adopted.id] = adopted
            $0.launches[adopted.id] = launch
        }
        if adopted.exit == nil, let started = adopted.started { watch(adopted.id, started) }
    }

    static func json(_ path: String) -> JSON? {
        HostFiles.read(path, limit: 16 << 20).flatMap { try? JSON.parse($0) }
    }

    func directory(_ container: ProcessContainer) -> String {
        layout.state(container.podUID, container: container.id)
    }
    func container(_ id: String, _ operation: String) throws(RuntimeError) -> ProcessContainer {
        guard let found = state.withLock({ $0.containers[id] }) else {
            throw RuntimeError(.notFound, operation: operation, "container \"\(id)\" does not exist")
        }
        return found
    }
    /// Whether a sandbox is there, or is being made.
    func owns(_ id: String) -> Bool { state.withLock { $0.sandboxes[id] != nil || $0.coming.contains(id) } }
    /// Whether labels name one pod, and that pod is here: then nobody else needs to be asked for it.
    func hasPod(_ labels: [String: String]) -> Bool {
        guard let uid = labels[PodLabel.uid] else { return false }
        return state.withLock { $0.sandboxes.values.contains { $0.uid == uid } }
    }
    func sandbox(_ id: String, _ operation: String) throws(RuntimeError) -> ProcessSandbox {
        guard let found = state.withLock({ $0.sandboxes[id] }) else {
            throw RuntimeError(.notFound, operation: operation, "sandbox \"\(id)\" does not exist")
        }
        return found
    }

    /// Threads of its own: a start that hangs, for example on a dead network file system, must hold up nobody else.
    private static let threads: NIOThreadPool = {
        let pool = NIOThreadPool(numberOfThreads: 16)
        pool.start()
        return pool
    }()

    /// Runs a job on a thread that may block, with errors in our terms.
    func onThread<Result: Sendable>(_ operation: String, _ job: @escaping @Sendable () throws -> Result)
        async throws(RuntimeError) -> Result
    {
        do {
            return try await Self.threads.runIfActive(job)
        } catch let error as RuntimeError {
            throw error
        } catch {
            throw RuntimeError(.other, operation: operation, "\(error)")
        }
    }

    static func newID() -> String {
        var text = idPrefix
        for _ in 0..<2 {
            let half = String(UInt64.random(in: 0...UInt64.max), radix: 16)
            text += String(repeating: "0", count: 16 - half.count) + half
        }
        return text
    }
    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    // MARK: Events

    public func events() -> AsyncThrowingStream<RuntimeEvent, any Error> {
        let (stream, continuation) = AsyncThrowingStream.makeStream(
            of: RuntimeEvent.self, bufferingPolicy: .bufferingNewest(256))
        let id = state.withLock { state in
            state.lastReader += 1
            state.readers[state.lastReader] = continuation
            return state.lastReader
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { $0.readers[id] = nil }
        }
        return stream
    }

    func tell(_ container: ProcessContainer) {
        let readers = state.withLock { Array($0.readers.values) }
        for reader in readers {
            let event = RuntimeEvent(podUID: container.podUID, containerID: container.id)
            // What is dropped was another pod's news: those that read look at everything now and then.
            if case .dropped = reader.yield(event) { reader.yield(RuntimeEvent(podUID: "", containerID: "")) }
        }
    }

    // MARK: Images

    public func image(_ reference: String) async throws(RuntimeError) -> ImageStatus? {
        Self.isHost(reference) ? Self.hostImage : nil
    }
    public func images() async throws(RuntimeError) -> [ImageStatus] { [] }
    public func pullImage(_ reference: String, credentials: RegistryCredentials?)
        async throws(RuntimeError) -> String
    {
        guard Self.isHost(reference) else {
            throw RuntimeError(
                .invalidArgument, operation: "PullImage",
                "the process runtime runs programs of the machine: the image must be \"\(Self.image)\"")
        }
        return Self.image
    }
    public func removeImage(_ reference: String) async throws(RuntimeError) {}
    public func imageFilesystem() async throws(RuntimeError) -> FilesystemUsage {
        FilesystemUsage(path: layout.root, usedBytes: 0, usedInodes: 0)
    }

    /// Whether a reference is the image `host`, plain or as its full name is written.
    public static func isHost(_ reference: String) -> Bool {
        [image, "\(image):latest", "docker.io/library/\(image)", "docker.io/library/\(image):latest"]
            .contains(reference)
    }
    private static let hostImage = ImageStatus(
        id: image, tags: [image], digests: [], sizeBytes: 0, userID: nil, username: "")
}

/// Tells once when a process ends.
enum ExitWatch {
    private static let queue = DispatchQueue(label: "apus.process.exits")

    /// - Parameter descriptor: a pidfd, owned from now on.
    static func begin(descriptor: Int32, _ handler: @escaping @Sendable () -> Void) {
        let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue)
        source.setEventHandler {
            // On its own queue: nothing comes after it.
            source.cancel()
            handler()
        }
        source.setCancelHandler { close(descriptor) }
        source.activate()
    }
}
