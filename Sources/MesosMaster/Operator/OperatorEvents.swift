import JSON
import MesosModel
import Synchronization

/// Who watches the master: the open answers to the operator API's SUBSCRIBE.
final class OperatorEvents: Sendable {
    private struct Watcher {
        let stream: FrameworkStream
        /// Events since it came, until its first picture of the state is written; nil after that.
        var waiting: [JSON]?
    }
    private struct State {
        var watchers: [(id: UInt64, watcher: Watcher)] = []
        var next: UInt64 = 0
    }
    private let state = Mutex(State())
    private let configuration: Master.Configuration
    /// More than this push the oldest out.
    static let maximumWatchers = 1000
    static let interval = Duration.seconds(15)

    init(configuration: Master.Configuration) {
        self.configuration = configuration
    }

    /// Streams that are open.
    var count: Int { state.withLock { $0.watchers.count } }

    /// Begins to gather events for a stream.
    func add(_ stream: FrameworkStream) -> UInt64 {
        let (id, old) = state.withLock { state -> (UInt64, FrameworkStream?) in
            state.next += 1
            var old: FrameworkStream?
            if state.watchers.count >= Self.maximumWatchers { old = state.watchers.removeFirst().watcher.stream }
            state.watchers.append((state.next, Watcher(stream: stream, waiting: [])))
            return (state.next, old)
        }
        old?.close()
        return id
    }

    /// Gives a stream what happened while its first event was written, and from now on everything else.
    /// - Returns: false when that was too much to keep: it has to begin anew.
    func start(_ id: UInt64) -> Bool {
        state.withLock { state in
            guard let index = state.watchers.firstIndex(where: { $0.id == id }) else { return false }
            let watcher = state.watchers[index].watcher
            for event in watcher.waiting ?? [] { watcher.stream.push(event) }
            state.watchers[index].watcher.waiting = nil
            return true
        }
    }

    func remove(_ id: UInt64) {
        state.withLock { $0.watchers.removeAll { $0.id == id } }
    }

    /// Tells everybody who watches. Streams that do not keep up are closed by their own bound.
    func publish(_ event: MasterEvent) {
        state.withLock { state in
            guard !state.watchers.isEmpty else { return }
            let json = json(event)
            for index in state.watchers.indices {
                if state.watchers[index].watcher.waiting != nil {
                    state.watchers[index].watcher.waiting?.append(json)
                } else {
                    state.watchers[index].watcher.stream.push(json)
                }
            }
            state.watchers.removeAll { $0.watcher.stream.isClosed || ($0.watcher.waiting?.count ?? 0) > 10_000 }
        }
    }

    private func json(_ event: MasterEvent) -> JSON {
        switch event {
        case .taskAdded(let task): Message.event("TASK_ADDED", "task_added", ["task": task.json])
        case .taskUpdated(let task, let status):
            Message.event(
                "TASK_UPDATED", "task_updated",
                [
                    "framework_id": Message.id(task.key.frameworkID), "status": status, "state": .string(task.state),
                ])
        case .agentAdded(let agent):
            Message.event("AGENT_ADDED", "agent_added", ["agent": OperatorReads.bare(agent, configuration)])
        case .agentRemoved(let id): Message.event("AGENT_REMOVED", "agent_removed", ["agent_id": Message.id(id)])
        case .frameworkAdded(let framework):
            Message.event("FRAMEWORK_ADDED", "framework_added", ["framework": OperatorReads.bare(framework)])
        case .frameworkUpdated(let framework):
            Message.event("FRAMEWORK_UPDATED", "framework_updated", ["framework": OperatorReads.bare(framework)])
        case .frameworkRemoved(let framework):
            Message.event("FRAMEWORK_REMOVED", "framework_removed", ["framework_info": framework.info])
        }
    }
}
