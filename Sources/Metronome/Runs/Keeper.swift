import ClusterClient
import JSON
import Logging
import MesosModel
import ObjectModel

/// Keeps what the cluster has of a job in step with its definition: the CronJob of its schedule, deadlines of its runs,
/// their history, and runs that other jobs' successes start.
struct Keeper: Sendable {
    let state: MetronomeState
    let client: ClusterClient
    let logger: Logger
    let queue = WorkQueue<String>()

    init(state: MetronomeState, client: ClusterClient, logger: Logger) {
        self.state = state
        self.client = client
        self.logger = logger
        let queue = queue
        state.definitions.subscribe { event in
            switch event {
            case .added(let definition), .deleted(let definition), .modified(_, let definition):
                queue.add(definition.spec.id)
                for child in state.children(of: definition.spec.id) { queue.add(child.spec.id) }
            }
        }
        state.runs.subscribe { event in
            switch event {
            case .added(let run), .deleted(let run), .modified(_, let run): queue.add(run.jobID)
            }
        }
        state.cronJobs.subscribe { event in
            switch event {
            case .added(let object), .deleted(let object), .modified(_, let object):
                if let id = Self.jobID(of: object) { queue.add(id) }
            }
        }
    }

    private static func jobID(of object: Object) -> String? {
        object.tree["metadata"]["annotations"][MetronomeNames.jobAnnotation].string
    }

    func run() async {
        await state.waitUntilSynced()
        await queue.run(workers: 2) { id in
            do {
                try await reconcile(id)
            } catch let error as StatusError where error.reason == .conflict || error.reason == .notFound {
                throw error
            } catch {
                logger.warning("a job is looked at again later", metadata: ["job": "\(id)", "error": "\(error)"])
                throw error
            }
        }
    }

    private func reconcile(_ id: String) async throws {
        let runs = state.runs(of: id)
        guard let definition = state.definition(id), !definition.object.metadata.isTerminating else {
            // Runs that outlived their CronJob have no owner that takes them along.
            for run in runs { try await remove(run) }
            return
        }
        try await keepSchedule(definition)
        for run in runs where run.finished == nil && !run.isStopped {
            try await keepDeadlines(run)
            try await forgetFailures(run)
        }
        try await count(runs, id)
        try await trim(runs)
        try await followParents(definition)
    }

    // MARK: The schedule

    private func keepSchedule(_ definition: Definition) async throws {
        let key = ObjectKey(
            namespace: MetronomeNames.namespace, name: MetronomeNames.cronJob(of: definition.spec.id))
        let found = state.cronJobs[key]
        guard let wanted = JobMaker(definition).cronJob else {
            // The runs go on.
            guard let found else { return }
            try await client.delete(
                MetronomeNames.cronJobs, key, options: DeleteOptions(uid: found.uid, propagation: .orphan))
            return
        }
        guard let found else {
            do {
                try await client.create(MetronomeNames.cronJobs, wanted)
            } catch let error as StatusError where error.reason == .alreadyExists {
                return
            }
            return
        }
        let digest = wanted["metadata"]["annotations"][MetronomeNames.digestAnnotation]
        if found.metadata.isTerminating
            || found.tree["metadata"]["annotations"][MetronomeNames.digestAnnotation] == digest
                && found.metadata.controller?.uid == definition.object.uid
        {
            return
        }
        try await client.modify(MetronomeNames.cronJobs, key) { tree in
            tree["spec"] = wanted["spec"]
            tree["metadata"]["annotations"][MetronomeNames.digestAnnotation] = digest
            tree["metadata"]["ownerReferences"] = wanted["metadata"]["ownerReferences"]
            return true
        }
    }

    // MARK: Deadlines

    private func keepDeadlines(_ run: Run) async throws {
        let tasks = state.tasks(of: run)
        if let seconds = run.launchWithin, !tasks.contains(where: \.isPlaced) {
            if try await isOver(run, seconds) {
                return try await stop(run, because: "it had no node within \(seconds) seconds")
            }
        }
        if let seconds = run.retryWithin, run.failures > 0, !tasks.contains(where: \.isRunning) {
            if try await isOver(run, seconds) {
                return try await stop(run, because: "it failed, and is not tried again after \(seconds) seconds")
            }
        }
    }

    /// Removes all but the newest pods that failed: a run may be tried for ever.
    private func forgetFailures(_ run: Run) async throws {
        for task in state.tasks(of: run).filter(\.isFailed).dropLast(History.kept) {
            do {
                try await client.delete(.pods, task.key, options: DeleteOptions(uid: task.uid))
            } catch let error as StatusError where error.reason == .conflict {
                continue
            }
        }
    }

    /// Whether so many seconds of a run are over; when not, it is looked at again then.
    private func isOver(_ run: Run, _ seconds: Int) async throws -> Bool {
        let due = run.created + .seconds(seconds)
        let now = Timestamp.now
        if due <= now { return true }
        queue.add(run.jobID, after: due - now + .milliseconds(100))
        return false
    }

    /// Ends a run: its Job fails, its pods are ended with their grace period.
    func stop(_ run: Run, because reason: String) async throws {
        try await client.modify(.jobs, run.key) { tree in
            guard tree["metadata"]["uid"].string == run.uid,
                tree["metadata"]["annotations"][MetronomeNames.stopAnnotation].isNull
            else { return false }
            tree["metadata"]["annotations"][MetronomeNames.stopAnnotation] = .string(reason)
            tree["spec"]["activeDeadlineSeconds"] = 0
            return true
        }
    }

    // MARK: History

    /// Counts the ends of runs, each once: first the definition says that it does, then the run that it was.
    private func count(_ runs: [Run], _ id: String) async throws {
        let ended = runs.filter { $0.finished != nil && !$0.isCounted }
        guard !ended.isEmpty else { return }
        let state = state
        try await client.modify(MetronomeNames.definitions, MetronomeNames.key(id)) { tree in
            var history = History(tree["status"])
            let counting = history.counting
            let new = ended.filter { !counting.contains($0.uid) }
            guard !new.isEmpty else { return false }
            for run in new { history.add(run, state.tasks(of: run)) }
            history.setCounting(ended)
            tree["status"] = history.json
            return true
        }
        for run in ended {
            try await client.modify(.jobs, run.key) { tree in
                guard tree["metadata"]["uid"].string == run.uid else { return false }
                tree["metadata"]["annotations"][MetronomeNames.countedAnnotation] = "true"
                return true
            }
        }
    }

    /// Removes the oldest of what ended, so that the newest can still be looked at with kubectl.
    private func trim(_ runs: [Run]) async throws {
        for isSuccess in [true, false] {
            let ended = runs.filter { $0.isCounted && $0.isSuccess == isSuccess }
            for run in ended.dropLast(History.kept) { try await remove(run) }
        }
    }

    private func remove(_ run: Run) async throws {
        do {
            try await client.delete(.jobs, run.key, options: DeleteOptions(uid: run.uid, propagation: .background))
        } catch let error as StatusError where error.reason == .conflict {
            // Another one has its name by now.
            return
        }
    }

    // MARK: Dependencies

    /// Starts a job when all that it depends on succeeded again.
    private func followParents(_ definition: Definition) async throws {
        let parents = definition.spec.dependencies
        guard !parents.isEmpty else { return }
        var counts: [String: Int] = [:]
        for parent in parents { counts[parent] = state.definition(parent)?.history.successCount ?? 0 }
        if let seen = definition.history.parents, Set(seen.keys) == Set(parents) {
            guard parents.allSatisfy({ (counts[$0] ?? 0) > (seen[$0] ?? 0) }) else { return }
            // The name says for which successes: no crash starts it twice.
            let which = counts.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
            let suffix = "dep-" + MesosNames.uuid(of: definition.object.uid, which).prefix(8)
            do {
                try await client.create(.jobs, JobMaker(definition).job(suffix: suffix))
            } catch let error as StatusError where error.reason == .alreadyExists {
                logger.debug(
                    "a job was started for these successes already", metadata: ["job": "\(definition.spec.id)"])
            }
        }
        let known = counts
        try await client.modify(MetronomeNames.definitions, definition.object.key) { tree in
            guard tree["metadata"]["uid"].string == definition.object.uid else { return false }
            var history = History(tree["status"])
            guard history.parents != known else { return false }
            history.setParents(known)
            tree["status"] = history.json
            return true
        }
    }
}
