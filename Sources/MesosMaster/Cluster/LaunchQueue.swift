import ClusterClient
import JSON
import Logging
import MesosModel
import ObjectModel
import Synchronization

/// Creates the pods of launched tasks, many at once, so that the store commits many at once.
final class LaunchQueue: Sendable {
    typealias Done = @Sendable (MasterState.Launch, Result<String, any Error>) -> Void

    /// Waits for the launches of one ACCEPT.
    final class Batch: Sendable {
        private struct State {
            var left: Int
            var waiter: CheckedContinuation<Void, Never>?
        }
        private let state: Mutex<State>
        init(_ count: Int) { state = Mutex(State(left: count)) }

        func done() {
            let waiter = state.withLock { state in
                state.left -= 1
                return state.left == 0 ? state.waiter.take() : nil
            }
            waiter?.resume()
        }
        /// Returns when all are done, or after so long.
        func wait(atMost patience: Duration) async {
            let ticket = TimerQueue.shared.schedule(after: patience) { [self] in giveUp() }
            await withCheckedContinuation { continuation in
                let isDone = state.withLock { state in
                    if state.left <= 0 { return true }
                    state.waiter = continuation
                    return false
                }
                if isDone { continuation.resume() }
            }
            TimerQueue.shared.cancel(ticket)
        }
        private func giveUp() { state.withLock { $0.waiter.take() }?.resume() }
    }

    private let client: ClusterClient
    private let logger: Logger
    private let (jobs, queue) = AsyncStream.makeStream(of: (MasterState.Launch, Batch).self)
    /// Namespaces in which pods can be made.
    private let ready = Mutex<Set<String>>([])
    private static let workers = 64

    init(client: ClusterClient, logger: Logger) {
        self.client = client
        self.logger = logger
    }

    /// Has them created; in order for those that depend on each other, as the executor's pod comes before its tasks.
    func add(_ launches: [MasterState.Launch]) -> Batch {
        let batch = Batch(launches.count)
        for launch in launches { queue.yield((launch, batch)) }
        return batch
    }

    func run(_ done: @escaping Done) async {
        await withTaskGroup(of: Void.self) { group in
            var running = 0
            for await (launch, batch) in jobs {
                if running >= Self.workers {
                    await group.next()
                    running -= 1
                }
                running += 1
                group.addTask {
                    let result: Result<String, any Error>
                    do {
                        result = .success(try await self.create(launch))
                    } catch {
                        result = .failure(error)
                    }
                    if !Task.isCancelled { done(launch, result) }
                    batch.done()
                }
            }
        }
    }

    private func create(_ launch: MasterState.Launch) async throws -> String {
        guard let made = launch.pod ?? launch.object else { return "" }
        try await ensureNamespace(made.key.namespace, role: launch.role)
        let resource = launch.pod == nil ? MesosNames.tasks : .pods
        var tree = made.tree
        // Nobody owns the fields of what only programs write: two fifths of what would be stored of a task.
        tree["metadata"]["managedFields"] = [[:]]
        let end = ContinuousClock.now + .seconds(15)
        while true {
            do {
                return try await client.create(resource, tree).uid
            } catch let error as StatusError where error.reason == .alreadyExists && ContinuousClock.now < end {
                try await makeRoom(resource, made.key, for: made.tree)
            } catch let error as StatusError
                where error.code >= 500 || error.code == 429
                || error.code == 403 && error.message.contains("serviceaccount")
            {
                guard ContinuousClock.now < end else { throw error }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    /// Removes what is left of an earlier task of the same id.
    private func makeRoom(_ resource: GroupVersionResource, _ key: ObjectKey, for tree: JSON) async throws {
        guard let old = try await client.find(resource, key) else { return }
        let phase = old.tree["status"]["phase"].string ?? ""
        let state = old.tree["status"]["state"].string ?? ""
        let isOver = resource == .pods ? phase == "Succeeded" || phase == "Failed" : TaskState.isTerminal(state)
        if isOver, !old.metadata.isTerminating {
            try await client.delete(resource, key, options: DeleteOptions(gracePeriodSeconds: 0, uid: old.uid))
        }
        try await Task.sleep(for: .milliseconds(20))
    }

    /// Makes a role's namespace, and waits until pods can be made in it.
    private func ensureNamespace(_ name: String, role: String) async throws {
        if ready.withLock({ $0.contains(name) }) { return }
        if try await client.find(.namespaces, ObjectKey(name: name)) == nil {
            let metadata: JSON = [
                "name": .string(name), "annotations": [MesosNames.roleAnnotation: .string(role)],
            ]
            do {
                try await client.create(.namespaces, ["apiVersion": "v1", "kind": "Namespace", "metadata": metadata])
            } catch let error as StatusError where error.reason == .alreadyExists {
                // Another launch made it.
            }
        }
        let account = ObjectKey(namespace: name, name: "default")
        for _ in 0..<500 {
            if try await client.find(.serviceAccounts, account) != nil { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        ready.withLock { _ = $0.insert(name) }
    }
}
