import DequeModule
import HTTPWindow
import JSON
import MesosModel
import ObjectModel
import Synchronization

/// The event stream of one subscribed executor: a bounded queue of records, and what the executor is known to know.
///
/// An executor that does not read loses its stream when the queue is full; it subscribes again and is told what it missed,
/// because everything that matters is in the store.
final class ExecutorSession: Sendable {
    /// The most that waits for a reader.
    static let maximumRecords = 16_384
    static let maximumBytes = 32 << 20

    let key: ExecutorKey
    let pod: ObjectKey
    let podUID: String
    let format: MesosFormat

    private struct State {
        var queue: Deque<[UInt8]> = []
        var bytes = 0
        var isClosed = false
        /// Closed, and what still waits is dropped.
        var isBroken = false
        var reader: CheckedContinuation<[UInt8]?, Never>?
        var breakers: [CheckedContinuation<Void, Never>] = []
        /// Tasks that the executor was given, now or before it subscribed.
        var launched: Set<String> = []
        /// Tasks that it was told to kill.
        var killed: Set<String> = []
        /// Updates that wait for their acknowledgement: task, uuid, and the revision that holds the update.
        var waiting: [String: [String: Revision]] = [:]
        var isShuttingDown = false
    }
    private let state = Mutex(State())

    init(key: ExecutorKey, pod: NodePod, format: MesosFormat) {
        self.key = key
        self.pod = pod.key
        podUID = pod.uid
        self.format = format
    }

    var isOpen: Bool { !state.withLock { $0.isClosed } }

    // MARK: What the executor knows

    /// - Returns: true when the executor had not been given the task yet.
    func launch(_ task: String) -> Bool { state.withLock { $0.launched.insert(task).inserted } }
    /// - Returns: which of several tasks the executor had not been given yet.
    func launch(_ tasks: [String]) -> Set<String> {
        state.withLock { state in
            let fresh = Set(tasks).subtracting(state.launched)
            state.launched.formUnion(fresh)
            return fresh
        }
    }
    func isLaunched(_ task: String) -> Bool { state.withLock { $0.launched.contains(task) } }
    /// - Returns: true when the executor had not been told yet.
    func kill(_ task: String) -> Bool { state.withLock { $0.killed.insert(task).inserted } }
    /// - Returns: true the first time.
    func beginShutdown() -> Bool {
        state.withLock { state in
            defer { state.isShuttingDown = true }
            return !state.isShuttingDown
        }
    }
    /// Remembers an update that was stored, to acknowledge it later.
    func wait(for uuid: String, of task: String, since revision: Revision) {
        state.withLock { $0.waiting[task, default: [:]][uuid] = revision }
    }
    /// Uuids of a task that the store, as it was at a revision, does not hold any more: acknowledged.
    func takeAcknowledged(_ task: String, record: TaskRecord?, at revision: Revision) -> [String] {
        state.withLock { state in
            guard let waiting = state.waiting[task] else { return [] }
            let done = waiting.filter { uuid, since in since <= revision && !(record?.isPending(uuid: uuid) ?? false) }
            for uuid in done.keys { state.waiting[task]?[uuid] = nil }
            if state.waiting[task]?.isEmpty ?? false { state.waiting[task] = nil }
            if record == nil, state.waiting[task] == nil {
                state.launched.remove(task)
                state.killed.remove(task)
            }
            return done.sorted { ($0.value, $0.key) < ($1.value, $1.key) }.map(\.key)
        }
    }
    // MARK: Events

    /// Puts an event on the stream.
    /// - Returns: false when the stream is closed, or closes now because its reader is too slow.
    @discardableResult
    func send(_ event: JSON) -> Bool {
        guard let bytes = try? MesosCodec.encode(event, as: "mesos.v1.executor.Event", format: format) else {
            return false
        }
        let record = RecordWriter.frame(bytes)
        let (reader, isSent, breakers):
            (CheckedContinuation<[UInt8]?, Never>?, Bool, [CheckedContinuation<Void, Never>]) =
                state.withLock { state in
                    if state.isClosed { return (nil, false, []) }
                    if let reader = state.reader {
                        state.reader = nil
                        return (reader, true, [])
                    }
                    guard state.queue.count < Self.maximumRecords, state.bytes + record.count <= Self.maximumBytes
                    else {
                        return (nil, false, Self.breakUp(&state))
                    }
                    state.queue.append(record)
                    state.bytes += record.count
                    return (nil, true, [])
                }
        reader?.resume(returning: record)
        for breaker in breakers { breaker.resume() }
        return isSent
    }

    /// Ends the stream once what waits was read.
    func close() {
        let reader = state.withLock { state in
            state.isClosed = true
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume(returning: nil)
    }

    /// Ends the stream at once.
    func abort() {
        let (reader, breakers) = state.withLock { state in
            let breakers = Self.breakUp(&state)
            defer { state.reader = nil }
            return (state.reader, breakers)
        }
        reader?.resume(returning: nil)
        for breaker in breakers { breaker.resume() }
    }

    private static func breakUp(_ state: inout State) -> [CheckedContinuation<Void, Never>] {
        state.isClosed = true
        state.isBroken = true
        state.queue = []
        state.bytes = 0
        defer { state.breakers = [] }
        return state.breakers
    }

    // MARK: The stream

    /// Writes events until the stream ends, with a sign of life now and then.
    func stream(to writer: WindowWriter, heartbeat: Duration) async throws {
        defer { abort() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while let record = await self.next() { try await writer.write(record) }
            }
            group.addTask {
                while true {
                    try await Task.sleep(for: heartbeat)
                    self.send(["type": "HEARTBEAT"])
                }
            }
            group.addTask {
                // A reader that stopped reading blocks the writer: only breaking the connection frees it.
                await self.untilBroken()
                throw WindowError(503, "the executor does not read its events")
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func next() async -> [UInt8]? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready: [UInt8]?? = state.withLock { state in
                    if Task.isCancelled { return .some(nil) }
                    if let record = state.queue.popFirst() {
                        state.bytes -= record.count
                        return record
                    }
                    if state.isClosed { return .some(nil) }
                    state.reader = continuation
                    return nil
                }
                if let ready { continuation.resume(returning: ready) }
            }
        } onCancel: {
            let reader = state.withLock { state in
                defer { state.reader = nil }
                return state.reader
            }
            reader?.resume(returning: nil)
        }
    }

    private func untilBroken() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.isBroken || Task.isCancelled { return true }
                    state.breakers.append(continuation)
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let breakers = state.withLock { state in
                defer { state.breakers = [] }
                return state.breakers
            }
            for breaker in breakers { breaker.resume() }
        }
    }
}
