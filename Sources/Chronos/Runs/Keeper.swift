import ClusterClient
import JSON
import Logging
import MesosModel
import ObjectModel

/// Starts runs when they are due or when what a job follows has ended, and keeps the history.
struct Keeper: Sendable {
    /// Ended runs of each outcome that stay for kubectl.
    private static let keptRuns = 5

    let state: ChronosState
    let client: ClusterClient
    let logger: Logger
    /// Names of jobs.
    let queue = WorkQueue<String>()

    init(state: ChronosState, client: ClusterClient, logger: Logger) {
        self.state = state
        self.client = client
        self.logger = logger
        let queue = queue
        state.definitions.subscribe { event in
            switch event {
            case .added(let definition), .deleted(let definition), .modified(_, let definition):
                queue.add(definition.spec.name)
                for child in state.children(of: definition.spec.name) { queue.add(child.spec.name) }
            }
        }
        state.runs.subscribe { event in
            switch event {
            case .added(let run), .deleted(let run), .modified(_, let run): queue.add(run.job)
            }
        }
    }

    func run() async {
        await state.waitUntilSynced()
        await queue.run(workers: 2) { name in
            do {
                try await reconcile(name)
            } catch let error as StatusError where error.reason == .conflict || error.reason == .notFound {
                throw error
            } catch {
                logger.warning("a job is looked at again later", metadata: ["job": "\(name)", "error": "\(error)"])
                throw error
            }
        }
    }

    private func reconcile(_ name: String) async throws {
        guard let definition = state.definition(name), !definition.object.metadata.isTerminating else { return }
        let runs = state.runs(of: name)
        if try await count(runs, definition) { return }
        try await keepSchedule(definition)
        try await followParents(definition)
        try await trim(runs)
    }

    /// Starts a run unless it was started already.
    func start(_ definition: Definition, due: Timestamp, suffix: String, arguments: [String] = []) async throws {
        var maker = JobMaker(spec: definition.spec, owner: definition.object, due: due)
        maker.arguments = arguments
        do {
            let made = try await client.create(.jobs, maker.job(suffix: suffix))
            await state.show(made, in: state.runs)
        } catch let error as StatusError where error.reason == .alreadyExists {
            logger.debug("a run was started already", metadata: ["job": "\(definition.spec.name)"])
        }
    }

    // MARK: The schedule

    private func keepSchedule(_ definition: Definition) async throws {
        let spec = definition.spec
        guard let interval = spec.interval, !spec.isDisabled else { return }
        let now = Timestamp.now
        let known = definition.status.plan(of: spec)
        var plan = known ?? JobStatus.Plan(next: interval.start ?? now, left: interval.count)
        // What was missed for longer than epsilon is left out.
        let (next, skipped) = interval.skip(from: plan.next, to: now + .microseconds(-spec.epsilon))
        plan.next = next
        plan.left = plan.left.map { max(0, $0 - skipped) }
        if plan.left != 0, plan.next <= now {
            if spec.mayOverlap || state.activeRuns(of: spec.name).isEmpty {
                // The name says for which time: no crash starts it twice.
                try await start(definition, due: plan.next, suffix: String(plan.next.microseconds / 1000, radix: 36))
            }
            plan.next = interval.next(after: plan.next)
            plan.left = plan.left.map { $0 - 1 }
        }
        if plan != known {
            let decided = plan
            let uid = definition.object.uid
            try await client.modify(ChronosNames.definitions, definition.object.key) { tree in
                guard tree["metadata"]["uid"].string == uid else { return false }
                var status = JobStatus(tree["status"])
                status.setPlan(decided, of: spec)
                tree["status"] = status.json
                return true
            }
        }
        guard plan.left != 0 else { return }
        // Clocks are set now and then: no wait is longer than a minute.
        queue.add(spec.name, after: min(max(plan.next - .now, .zero), .seconds(60)) + .milliseconds(1))
    }

    // MARK: Ends

    /// Counts the ends of runs, each once: first the definition says that it does, then the run that it was.
    /// - Returns: true when there were some: what was written is waited for.
    private func count(_ runs: [ChronosRun], _ definition: Definition) async throws -> Bool {
        let ended = runs.filter { $0.finished != nil && !$0.isCounted }
        guard !ended.isEmpty else { return false }
        let (state, spec) = (state, definition.spec)
        try await client.modify(ChronosNames.definitions, definition.object.key) { tree in
            var status = JobStatus(tree["status"])
            let counting = status.counting
            let new = ended.filter { !counting.contains($0.uid) }
            guard !new.isEmpty else { return false }
            for run in new {
                let end = run.finished ?? run.created
                if run.isSuccess {
                    status.succeeded(at: end)
                } else {
                    status.failed(at: end, isSoft: spec.hasSoftErrors)
                }
                status.remember(run.entry(state.tasks(of: run)))
            }
            status.setCounting(ended)
            tree["status"] = status.json
            return true
        }
        for run in ended {
            try await client.modify(.jobs, run.key) { tree in
                guard tree["metadata"]["uid"].string == run.uid else { return false }
                tree["metadata"]["annotations"][ChronosNames.countedAnnotation] = "true"
                return true
            }
        }
        return true
    }

    /// Removes the oldest of what ended.
    private func trim(_ runs: [ChronosRun]) async throws {
        for isSuccess in [true, false] {
            let ended = runs.filter { $0.isCounted && $0.isSuccess == isSuccess }
            for run in ended.dropLast(Self.keptRuns) {
                do {
                    try await client.delete(
                        .jobs, run.key, options: DeleteOptions(uid: run.uid, propagation: .background))
                } catch let error as StatusError where error.reason == .conflict {
                    continue
                }
            }
        }
    }

    /// Ends a run: its Job fails, its pods are ended.
    func stop(_ run: ChronosRun) async throws {
        try await client.modify(.jobs, run.key) { tree in
            guard tree["metadata"]["uid"].string == run.uid,
                tree["metadata"]["annotations"][ChronosNames.stopAnnotation].isNull
            else { return false }
            tree["metadata"]["annotations"][ChronosNames.stopAnnotation] = "a client asked for it"
            tree["spec"]["activeDeadlineSeconds"] = 0
            return true
        }
    }

    // MARK: Parents

    /// Starts a job when everything that it follows has ended well again.
    private func followParents(_ definition: Definition) async throws {
        let parents = definition.spec.parents
        guard !parents.isEmpty else { return }
        var counts: [String: Int] = [:]
        for parent in parents { counts[parent] = state.definition(parent)?.status.completions ?? 0 }
        if let seen = definition.status.parents, Set(seen.keys) == Set(parents) {
            guard parents.allSatisfy({ (counts[$0] ?? 0) > (seen[$0] ?? 0) }) else { return }
            let isBusy = !definition.spec.mayOverlap && !state.activeRuns(of: definition.spec.name).isEmpty
            // One that runs is started again when it ended.
            if isBusy { return }
            if !definition.spec.isDisabled {
                let which = counts.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
                let suffix = "dep-" + MesosNames.uuid(of: definition.object.uid, which).prefix(8)
                try await start(definition, due: .now, suffix: suffix)
            }
        }
        let known = counts
        let uid = definition.object.uid
        try await client.modify(ChronosNames.definitions, definition.object.key) { tree in
            guard tree["metadata"]["uid"].string == uid else { return false }
            var status = JobStatus(tree["status"])
            guard status.parents != known else { return false }
            status.setParents(known)
            tree["status"] = status.json
            return true
        }
    }
}
