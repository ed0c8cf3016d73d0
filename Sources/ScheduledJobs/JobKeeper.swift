public import ClusterClient
public import JSON
public import Logging
import MesosModel
import ObjectModel
public import ServiceLifecycle
import Synchronization

/// Looks at a window's definitions whenever something about them changed, and does with their runs what every window does.
public struct JobKeeper<Definition: JobDefinition>: Sendable {
    public let state: JobState<Definition>
    public let client: ClusterClient
    public let logger: Logger
    /// Names of definitions to look at.
    public let queue = WorkQueue<String>()
    private let written = Written()
    private var names: JobNames { state.names }

    public init(_ state: JobState<Definition>, client: ClusterClient, logger: Logger) {
        self.state = state
        self.client = client
        self.logger = logger
        let queue = queue
        state.definitions.subscribe { event in
            switch event {
            case .added(let definition), .deleted(let definition), .modified(_, let definition):
                queue.add(definition.name)
                for child in state.children(of: definition.name) { queue.add(child.name) }
            }
        }
        state.runs.subscribe { event in
            switch event {
            case .added(let run), .deleted(let run), .modified(_, let run): queue.add(run.job)
            }
        }
    }

    /// Keeps the local copies and looks at definitions until the task is cancelled.
    /// - Parameters:
    ///   - others: further local copies that are looked at.
    ///   - synced: returns when those are complete.
    public func run(
        with others: [any Service] = [], synced: @escaping @Sendable () async -> Void = {},
        _ reconcile: @escaping @Sendable (String) async throws -> Void
    ) async {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                for service in self.state.services + others { group.addTask { try? await service.run() } }
                group.addTask {
                    await self.state.waitUntilSynced()
                    await synced()
                    await self.queue.run(workers: 2) { try await self.look(at: $0, reconcile) }
                }
            }
        }
    }

    private func look(at name: String, _ reconcile: (String) async throws -> Void) async throws {
        // What was decided must not be decided again on an old picture.
        guard written.isShown(name, definitions: state.definitions.revision, runs: state.runs.revision) else {
            return queue.add(name, after: .milliseconds(5))
        }
        do {
            try await reconcile(name)
        } catch let error as StatusError where error.reason == .conflict || error.reason == .notFound {
            throw error
        } catch {
            logger.warning("a job is looked at again later", metadata: ["job": "\(name)", "error": "\(error)"])
            throw error
        }
    }

    // MARK: Runs

    /// Makes a Job unless it is there already.
    public func start(_ job: JSON) async throws {
        do {
            let made = try await client.create(.jobs, job)
            written.run(of: job["metadata"]["annotations"][names.annotation].string ?? "", made)
            await state.show(made, in: state.runs)
        } catch let error as StatusError where error.reason == .alreadyExists {
            logger.debug("a run was started already", metadata: ["run": "\(job["metadata"]["name"].string ?? "")"])
        }
    }

    /// Ends a run: its Job fails, its pods are ended with their grace period.
    public func stop(_ run: JobRun, because reason: String) async throws {
        let annotation = names.stopAnnotation
        try await client.modify(.jobs, run.key) { tree in
            guard tree["metadata"]["uid"].string == run.uid, tree["metadata"]["annotations"][annotation].isNull
            else { return false }
            tree["metadata"]["annotations"][annotation] = .string(reason)
            tree["spec"]["activeDeadlineSeconds"] = 0
            return true
        }
    }

    public func remove(_ run: JobRun) async throws {
        do {
            try await client.delete(.jobs, run.key, options: DeleteOptions(uid: run.uid, propagation: .background))
        } catch let error as StatusError where error.reason == .conflict {
            // Another one has its name by now.
            return
        }
    }

    /// Removes the oldest of what ended, so that the newest of each outcome can still be looked at with kubectl.
    public func trim(_ runs: [JobRun], keeping number: Int) async throws {
        for isSuccess in [true, false] {
            let ended = runs.filter { $0.isCounted && $0.isSuccess == isSuccess }
            for run in ended.dropLast(number) { try await remove(run) }
        }
    }

    /// Counts the ends of runs, each once: first the definition says that it does, then the run that it was.
    /// - Returns: true when there were some.
    public func count(_ runs: [JobRun], of definition: Definition) async throws -> Bool {
        let ended = runs.filter { $0.finished != nil && !$0.isCounted }
        guard !ended.isEmpty else { return false }
        let state = state
        try await record(definition) { record in
            let counting = record.counting
            let new = ended.filter { !counting.contains($0.uid) }
            guard !new.isEmpty else { return false }
            for run in new { definition.count(run, state.tasks(of: run), in: &record) }
            record.setCounting(ended)
            return true
        }
        let annotation = names.countedAnnotation
        for run in ended {
            try await client.modify(.jobs, run.key) { tree in
                guard tree["metadata"]["uid"].string == run.uid else { return false }
                tree["metadata"]["annotations"][annotation] = "true"
                return true
            }
        }
        return true
    }

    /// Changes what is known of a definition's runs.
    /// - Parameter change: false leaves it as it is.
    public func record(
        _ definition: Definition, _ change: @Sendable (inout Definition.Record) -> Bool
    ) async throws {
        let object = try await client.modify(names.definitions, definition.object.key) { tree in
            guard tree["metadata"]["uid"].string == definition.object.uid else { return false }
            var record = Definition.Record(tree["status"])
            guard change(&record) else { return false }
            tree["status"] = record.json
            return true
        }
        if let object { written.definition(definition.name, object) }
    }

    // MARK: Parents

    /// Starts a definition when everything that it follows has completed again.
    /// - Parameter start: given the end of the run's name, which says for which ends it is, so that no crash starts it
    ///   twice; false: not yet.
    public func followParents(
        _ definition: Definition, start: (_ suffix: String) async throws -> Bool
    ) async throws {
        let parents = definition.parents
        guard !parents.isEmpty else { return }
        var counts: [String: Int] = [:]
        for parent in parents { counts[parent] = state.definition(parent)?.record.completions ?? 0 }
        if let seen = definition.record.parents, Set(seen.keys) == Set(parents) {
            guard parents.allSatisfy({ (counts[$0] ?? 0) > (seen[$0] ?? 0) }) else { return }
            let which = counts.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
            guard try await start("dep-" + MesosNames.uuid(of: definition.object.uid, which).prefix(8)) else { return }
        }
        let known = counts
        try await record(definition) { record in
            guard record.parents != known else { return false }
            record.setParents(known)
            return true
        }
    }
}

/// What was written last of each definition and its runs, until the local copies show it.
private final class Written: Sendable {
    private struct Entry {
        var definition: Revision = 0
        var run: Revision = 0
        var at = ContinuousClock.now
    }
    private let entries = Mutex<[String: Entry]>([:])
    /// After so long a write is no longer waited for: a restored backup may have taken revisions back.
    private static let patience: Duration = .seconds(300)

    func definition(_ name: String, _ object: Object) { note(name, object, \.definition) }
    func run(of name: String, _ object: Object) { note(name, object, \.run) }

    private func note(_ name: String, _ object: Object, _ part: WritableKeyPath<Entry, Revision>) {
        entries.withLock { entries in
            var entry = entries[name] ?? Entry()
            entry[keyPath: part] = max(entry[keyPath: part], object.metadata.resourceVersion)
            entry.at = .now
            entries[name] = entry
        }
    }

    func isShown(_ name: String, definitions: Revision, runs: Revision) -> Bool {
        entries.withLock { entries in
            guard let entry = entries[name] else { return true }
            if entry.definition > definitions || entry.run > runs, entry.at + Self.patience > .now { return false }
            entries[name] = nil
            return true
        }
    }
}
