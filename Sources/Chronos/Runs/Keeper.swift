import ClusterClient
import Logging
import ObjectModel
import ScheduledJobs

/// Starts runs when they are due or when what a job follows has ended, and keeps the history.
struct Keeper: Sendable {
    /// Ended runs of each outcome that stay for kubectl.
    private static let keptRuns = 5
    /// Runs of a job that may overlap.
    private static let mostRuns = 1000

    let jobs: JobKeeper<Definition>
    private var state: JobState<Definition> { jobs.state }

    init(state: JobState<Definition>, client: ClusterClient, logger: Logger) {
        jobs = JobKeeper(state, client: client, logger: logger)
    }

    func run() async { await jobs.run { try await reconcile($0) } }

    private func reconcile(_ name: String) async throws {
        guard let definition = state.definition(name), !definition.object.metadata.isTerminating else { return }
        let runs = state.runs(of: name)
        // What is written is heard of, and looked at then.
        if try await jobs.count(runs, of: definition) { return }
        try await keepSchedule(definition)
        try await jobs.followParents(definition) { suffix in
            // One that runs is started again when it ended.
            if !definition.spec.mayOverlap, !state.activeRuns(of: name).isEmpty { return false }
            if !definition.spec.isDisabled { try await start(definition, due: .now, suffix: suffix) }
            return true
        }
        try await jobs.trim(runs, keeping: Self.keptRuns)
    }

    /// Starts a run unless it was started already.
    func start(_ definition: Definition, due: Timestamp, suffix: String, arguments: [String] = []) async throws {
        var maker = JobMaker(spec: definition.spec, owner: definition.object, due: due)
        maker.arguments = arguments
        try await jobs.start(maker.job(suffix: suffix))
    }

    private func keepSchedule(_ definition: Definition) async throws {
        let spec = definition.spec
        guard let interval = spec.interval, !spec.isDisabled else { return }
        let now = Timestamp.now
        guard let known = definition.record.plan(of: spec) else {
            // Written before anything is started: a run that is due at once is named by the same moment whenever it is
            // looked at again, by a copy that is behind or after a crash.
            let first = JobStatus.Plan(next: interval.start ?? now, left: interval.count)
            return try await setPlan(first, of: definition, from: nil)
        }
        var plan = known
        // What was missed for longer than epsilon is left out.
        let (next, skipped) = interval.skip(from: plan.next, to: now + .microseconds(-spec.epsilon))
        plan.next = next
        plan.left = plan.left.map { max(0, $0 - skipped) }
        if plan.left != 0, plan.next <= now {
            let active = state.activeRuns(of: spec.name).count
            if active == 0 || spec.mayOverlap && active < Self.mostRuns {
                // The name says for which time: no crash starts it twice.
                try await start(definition, due: plan.next, suffix: String(plan.next.microseconds / 1000, radix: 36))
            }
            plan.next = interval.next(after: plan.next)
            plan.left = plan.left.map { $0 - 1 }
        }
        if plan != known { try await setPlan(plan, of: definition, from: known) }
        guard plan.left != 0 else { return }
        // Clocks are set now and then: no wait is longer than a minute.
        jobs.queue.add(spec.name, after: min(max(plan.next - .now, .zero), .seconds(60)) + .milliseconds(1))
    }

    /// Writes a plan unless another one was made meanwhile.
    private func setPlan(_ plan: JobStatus.Plan, of definition: Definition, from known: JobStatus.Plan?) async throws {
        let spec = definition.spec
        try await jobs.record(definition) { record in
            guard record.plan(of: spec) == known else { return false }
            record.setPlan(plan, of: spec)
            return true
        }
    }
}
