import ClusterClient
import JSON
import MesosModel
import ObjectModel
import Synchronization

/// Stores what becomes of the tasks of custom executors, in their objects.
struct StatusStore: Sendable {
    /// The most updates that wait for a framework's acknowledgement, for each task.
    static let maximumUpdates = 64
    /// … and their size as JSON.
    static let maximumBytes = 512 << 10
    /// The longest single update.
    static let maximumUpdateBytes = 256 << 10

    let client: ClusterClient
    let agentID: @Sendable () -> String?

    enum Outcome: Sendable {
        /// In the store at this revision, now or already.
        case stored(Revision)
        /// The framework has acknowledged it already, or the task ended before.
        case obsolete
        /// There is no such task.
        case unknown
    }

    /// Appends a status. Safe to repeat: a uuid is stored once.
    func append(_ status: JSON, to key: ObjectKey) async throws -> Outcome {
        let uuid = status["uuid"].string ?? ""
        let result = Mutex(Outcome.unknown)
        let object = try await client.modify(MesosNames.tasks, key) { tree in
            var updates = tree["status"]["updates"].elements
            if updates.contains(where: { $0["uuid"].string == uuid }) {
                result.withLock { $0 = .stored(0) }
                return false
            }
            let state = tree["status"]["state"].string ?? "TASK_STAGING"
            if tree["status"]["acknowledged"].string == uuid || TaskStates.isTerminal(state) {
                result.withLock { $0 = .obsolete }
                return false
            }
            updates.append(status)
            Self.shorten(&updates)
            tree["status"]["updates"] = .array(updates)
            tree["status"]["state"] = status["state"]
            result.withLock { $0 = .stored(0) }
            return true
        }
        guard let object else { return .unknown }
        let outcome = result.withLock { $0 }
        if case .stored = outcome { return .stored(object.metadata.resourceVersion) }
        return outcome
    }

    /// Leaves out what lies between the oldest, which the framework may be reading, and the newest: a framework that does
    /// not acknowledge learns where its task is, not every step on the way.
    private static func shorten(_ updates: inout [JSON]) {
        func size() -> Int { updates.reduce(0) { $0 + $1.encoded().count } }
        while updates.count > 2, updates.count > maximumUpdates || size() > maximumBytes { updates.remove(at: 1) }
    }

    /// A status of our own about a task.
    func status(
        of record: TaskRecord, _ state: String, reason: String, message: String, pod: NodePod? = nil,
        limitation: JSON = .null
    ) -> JSON {
        var status: JSON = [
            "task_id": ["value": .string(record.id)], "state": .string(state), "source": "SOURCE_AGENT",
            "reason": .string(reason), "message": .string(message),
            "executor_id": ["value": .string(record.executorID)],
            "timestamp": Self.now,
            // The same for the same end of the same task, so that doing it twice does it once.
            "uuid": .string(Self.uuid(record.key.description, record.created?.rfc3339 ?? "", state)),
        ]
        if let agent = agentID() { status["agent_id"] = ["value": .string(agent)] }
        if let pod { status["container_status"] = pod.containerStatus }
        if !limitation.isNull { status["limitation"] = limitation }
        return status
    }

    /// Seconds since 1970, with a fraction.
    static var now: JSON {
        .number(JSONNumber(text: String(Double(Timestamp.now.microseconds) / 1e6)))
    }

    /// Sixteen bytes in base64 that are the same for the same texts.
    private static func uuid(_ parts: String...) -> String {
        let hex = MesosNames.uuid(of: parts[0], parts[1], parts[2]).filter { $0 != "-" }
        var bytes: [UInt8] = []
        var rest = hex[...]
        while rest.count >= 2 {
            if let byte = UInt8(rest.prefix(2), radix: 16) { bytes.append(byte) }
            rest = rest.dropFirst(2)
        }
        return Base64.encode(bytes)
    }
}
