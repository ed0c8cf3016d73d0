import ContainerRuntime

/// Names of the labels and annotations that the agent writes on what it starts, so that it knows it again.
enum RuntimeLabel {
    static let podName = "io.kubernetes.pod.name"
    static let podNamespace = "io.kubernetes.pod.namespace"
    static let podUID = "io.kubernetes.pod.uid"
    static let containerName = "io.kubernetes.container.name"
    static let hash = "io.kubernetes.container.hash"
    static let restartCount = "io.kubernetes.container.restartCount"
    static let terminationMessagePath = "io.kubernetes.container.terminationMessagePath"
    static let terminationMessagePolicy = "io.kubernetes.container.terminationMessagePolicy"
    static let gracePeriod = "io.kubernetes.pod.terminationGracePeriod"
}

/// One container as the runtime has it.
struct ContainerRecord: Sendable, Hashable {
    var id: String
    var sandbox: String
    var name: String
    /// The restart count: 0 for the first.
    var attempt: Int
    var hash: String
    var state: ContainerState
    /// Nanoseconds since 1970; 0 when it did not happen.
    var createdAt: Int64 = 0
    var startedAt: Int64 = 0
    var finishedAt: Int64 = 0
    var exitCode = 0
    var reason = ""
    var message = ""
    var image = ""
    var imageReference = ""

    init(id: String, sandbox: String, name: String, attempt: Int, hash: String, state: ContainerState) {
        self.id = id
        self.sandbox = sandbox
        self.name = name
        self.attempt = attempt
        self.hash = hash
        self.state = state
    }

    /// From the runtime's two views of it; nil when it was not started by an agent.
    init?(_ summary: ContainerSummary, _ status: ContainerStatus) {
        guard let name = summary.labels[RuntimeLabel.containerName] else { return nil }
        self.init(
            id: summary.id, sandbox: summary.sandbox, name: name,
            attempt: summary.annotations[RuntimeLabel.restartCount].flatMap { Int($0) } ?? Int(summary.attempt),
            hash: summary.annotations[RuntimeLabel.hash] ?? "", state: status.state)
        update(status)
    }

    mutating func update(_ status: ContainerStatus) {
        state = status.state
        createdAt = status.createdAt
        startedAt = status.startedAt
        finishedAt = status.finishedAt
        exitCode = status.exitCode
        reason = status.reason
        message = status.message
        image = status.image
        imageReference = status.imageReference
    }

    var isRunning: Bool { state == .running }
    var isExited: Bool { state == .exited }
}

struct SandboxRecord: Sendable, Hashable {
    var id: String
    var attempt: UInt32
    var isReady: Bool
    var addresses: [String]
    var createdAt: Int64
}

/// What the runtime has of one pod.
struct PodRuntime: Sendable, Hashable {
    /// The newest sandbox.
    var sandbox: SandboxRecord?
    /// Older ones, to be removed.
    var oldSandboxes: [String] = []
    var containers: [ContainerRecord] = []

    /// The newest container of that name.
    func latest(_ name: String) -> ContainerRecord? {
        containers.filter { $0.name == name }.max { ($0.attempt, $0.createdAt) < ($1.attempt, $1.createdAt) }
    }
    /// The newest ended container before a given one.
    func previous(_ record: ContainerRecord) -> ContainerRecord? {
        containers.filter {
            $0.name == record.name && $0.id != record.id && $0.isExited && $0.attempt <= record.attempt
        }
        .max { ($0.attempt, $0.createdAt) < ($1.attempt, $1.createdAt) }
    }
    /// Containers that are neither the newest of their name nor the last ended one before it.
    var superfluous: [ContainerRecord] {
        containers.filter { record in
            guard let latest = latest(record.name), record.id != latest.id, !record.isRunning else { return false }
            return previous(latest)?.id != record.id
        }
    }
    var running: [ContainerRecord] { containers.filter { $0.isRunning || $0.state == .unknown } }

    subscript(id: String) -> ContainerRecord? {
        get { containers.first { $0.id == id } }
        set {
            if let index = containers.firstIndex(where: { $0.id == id }) {
                if let newValue { containers[index] = newValue } else { containers.remove(at: index) }
            } else if let newValue {
                containers.append(newValue)
            }
        }
    }
}
