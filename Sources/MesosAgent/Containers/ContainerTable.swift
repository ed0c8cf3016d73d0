import HTTPWindow
import Streaming

/// A program that was started beside a container's own, in its namespaces and files, for as long as somebody looks at it:
/// the nested container of a session.
struct NestedContainer: Sendable {
    let path: ContainerPath
    /// The container that it runs in.
    let place: ContainerReference
    let session: any ProcessSession
    let output: OutputLog

    /// Set in its environment, and by that in all that it starts: how its processes are found.
    var marker: String { Self.marker(path) }
    static let markerName = "APUS_NESTED_CONTAINER"
    static func marker(_ path: ContainerPath) -> String { "\(markerName)=\(path)" }
}

/// The sessions of this process. They end with it, as the connections to their programs do.
actor ContainerTable {
    static let maximumRunning = 512
    static let maximumEnded = 1000

    private var live: [ContainerPath: NestedContainer] = [:]
    private var starting: Set<ContainerPath> = []
    private var ended: [ContainerPath: ProcessExit] = [:]
    private var endedOrder: [ContainerPath] = []
    private var waiters: [ContainerPath: [UInt64: CheckedContinuation<Void, Never>]] = [:]
    private var nextWaiter: UInt64 = 0

    var running: [ContainerPath] { live.keys.sorted { $0.description < $1.description } }
    func container(_ path: ContainerPath) -> NestedContainer? { live[path] }
    func isKnown(_ path: ContainerPath) -> Bool { isStartingOrRunning(path) || ended[path] != nil }
    func isStarting(_ path: ContainerPath) -> Bool { starting.contains(path) }
    private func isStartingOrRunning(_ path: ContainerPath) -> Bool { live[path] != nil || starting.contains(path) }

    /// Takes the id for a container that is about to start.
    /// - Returns: false when the id is taken.
    func begin(_ path: ContainerPath) throws -> Bool {
        if isKnown(path) { return false }
        guard live.count + starting.count < Self.maximumRunning else {
            throw WindowError(503, "there are \(Self.maximumRunning) sessions already")
        }
        starting.insert(path)
        return true
    }
    func abandon(_ path: ContainerPath) {
        starting.remove(path)
        wake(path)
    }

    /// A container runs: reads its output and waits for its end.
    func add(_ container: NestedContainer) {
        starting.remove(container.path)
        live[container.path] = container
        Task {
            do {
                for try await piece in container.session.output { await container.output.append(piece) }
            } catch {
                // How it ended says `exit`.
            }
            let exit: ProcessExit
            do {
                exit = try await container.session.exit()
            } catch {
                exit = .failed("\(error)")
            }
            finish(container.path, exit)
            container.output.end()
            await container.session.close()
        }
    }

    private func finish(_ path: ContainerPath, _ exit: ProcessExit) {
        live[path] = nil
        ended[path] = exit
        endedOrder.append(path)
        if endedOrder.count > Self.maximumEnded { ended[endedOrder.removeFirst()] = nil }
        wake(path)
    }
    private func wake(_ path: ContainerPath) {
        for waiter in (waiters.removeValue(forKey: path) ?? [:]).values { waiter.resume() }
    }

    /// How a container ended; waits for that. Nil when nobody knows it.
    func exit(of path: ContainerPath) async -> ProcessExit? {
        while isStartingOrRunning(path), !Task.isCancelled {
            nextWaiter += 1
            let id = nextWaiter
            await withTaskCancellationHandler {
                await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                    if Task.isCancelled { return continuation.resume() }
                    waiters[path, default: [:]][id] = continuation
                }
            } onCancel: {
                Task { await self.stopWaiting(path, id) }
            }
        }
        return ended[path]
    }
    private func stopWaiting(_ path: ContainerPath, _ id: UInt64) {
        waiters[path]?.removeValue(forKey: id)?.resume()
    }

    /// Forgets one that has ended.
    /// - Returns: false when it runs.
    func remove(_ path: ContainerPath) -> Bool {
        if isStartingOrRunning(path) { return false }
        if ended.removeValue(forKey: path) != nil { endedOrder.removeAll { $0 == path } }
        return true
    }
}
