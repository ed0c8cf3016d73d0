import ClusterClient
import JSON
import Logging
import ObjectModel
import ScheduledJobs

/// Keeps what the cluster has of a job in step with its definition: the CronJob of its schedule, deadlines of its runs,
/// their history, and runs that other jobs' successes start.
struct Keeper: Sendable {
    let jobs: JobKeeper<Definition>
    let cronJobs: Informer<Object>
    private var state: JobState<Definition> { jobs.state }
    private var client: ClusterClient { jobs.client }

    init(state: JobState<Definition>, client: ClusterClient, logger: Logger) {
        jobs = JobKeeper(state, client: client, logger: logger)
        cronJobs = Informer(
            MetronomeNames.cronJobs, client: client, namespace: JobNames.namespace,
            options: JobState<Definition>.marked(.metronome), logger: logger
        ) { $0 }
        let queue = jobs.queue
        cronJobs.subscribe { event in
            switch event {
            case .added(let object), .deleted(let object), .modified(_, let object):
                let id = object.tree["metadata"]["annotations"][JobNames.metronome.annotation].string
                if let id { queue.add(id) }
            }
        }
    }

    func run() async {
        let cronJobs = cronJobs
        await jobs.run(with: [cronJobs], synced: { await cronJobs.waitUntilSynced() }) { try await reconcile($0) }
    }

    private func reconcile(_ id: String) async throws {
        let runs = state.runs(of: id)
        guard let definition = state.definition(id), !definition.object.metadata.isTerminating else {
            // Runs that outlived their CronJob have no owner that takes them along. The copy of definitions may be
            // behind that of runs.
            if !runs.isEmpty, let live = try await client.find(state.names.definitions, state.names.key(id)),
                !live.metadata.isTerminating
            {
                return jobs.queue.add(id, after: .milliseconds(20))
            }
            for run in runs { try await jobs.remove(run) }
            return
        }
        try await keepSchedule(definition)
        for run in runs where run.finished == nil && !run.isStopped {
            try await keepDeadlines(run)
            try await forgetFailures(run)
        }
        _ = try await jobs.count(runs, of: definition)
        try await jobs.trim(runs, keeping: History.kept)
        try await jobs.followParents(definition) { suffix in
            try await jobs.start(JobMaker(definition).job(suffix: suffix))
            return true
        }
    }

    // MARK: The schedule

    private func keepSchedule(_ definition: Definition) async throws {
        let key = ObjectKey(namespace: JobNames.namespace, name: MetronomeNames.cronJob(of: definition.spec.id))
        let found = cronJobs[key]
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

    private func keepDeadlines(_ run: JobRun) async throws {
        let tasks = state.tasks(of: run)
        if let seconds = run.launchWithin, !tasks.contains(where: \.isPlaced), isOver(run, seconds) {
            return try await jobs.stop(run, because: "it had no node within \(seconds) seconds")
        }
        if let seconds = run.retryWithin, run.failures > 0, !tasks.contains(where: { $0.phase == "Running" }),
            isOver(run, seconds)
        {
            try await jobs.stop(run, because: "it failed, and is not tried again after \(seconds) seconds")
        }
    }

    /// Removes all but the newest pods that failed: a run may be tried for ever.
    private func forgetFailures(_ run: JobRun) async throws {
        for task in state.tasks(of: run).filter({ $0.phase == "Failed" }).dropLast(History.kept) {
            do {
                try await client.delete(.pods, task.key, options: DeleteOptions(uid: task.uid))
            } catch let error as StatusError where error.reason == .conflict {
                continue
            }
        }
    }

    /// Whether so many seconds of a run are over; when not, it is looked at again then.
    private func isOver(_ run: JobRun, _ seconds: Int) -> Bool {
        let due = run.created + .seconds(seconds)
        let now = Timestamp.now
        if due <= now { return true }
        jobs.queue.add(run.job, after: due - now + .milliseconds(100))
        return false
    }
}
