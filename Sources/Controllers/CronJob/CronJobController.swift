import ClusterClient
import JSON
import ObjectModel

/// Makes jobs by the clock. A job's name carries the minute it is for, so no restart makes one twice.
struct CronJobController: Controller {
    static let component = "cronjob-controller"
    private static let scheduledAt = "batch.kubernetes.io/cronjob-scheduled-timestamp"

    private let context: ControllerContext
    private let loop: ReconcileLoop
    /// Of the cron jobs themselves: what was started is not decided again on an old picture.
    private let statuses = OwnWrites()

    init(_ context: ControllerContext) {
        self.context = context
        let informers = context.informers
        let loop = ReconcileLoop(
            workers: 4, logger: context.logger(for: Self.component),
            prepare: {
                await informers.cronJobs.waitUntilSynced()
                await informers.jobs.waitUntilSynced()
            },
            resync: { informers.cronJobs.keys })
        self.loop = loop
        informers.cronJobs.subscribe { event in
            if let job = event.versions.new { loop.queue.add(job.key) }
        }
        informers.jobs.subscribe { event in
            guard let job = event.versions.new ?? event.versions.old, let owner = job.metadata.controller,
                owner.kind == "CronJob"
            else { return }
            loop.queue.add(ObjectKey(namespace: job.namespace, name: owner.name))
        }
    }

    func run() async {
        await loop.run(resyncEvery: .seconds(300)) { try await reconcile($0) }
    }

    private func reconcile(_ key: ObjectKey) async throws {
        guard let cron = context.informers.cronJobs[key] else { return statuses.forget(key) }
        guard statuses.isVisible(for: key, at: context.informers.cronJobs.revision) else { return }
        let jobs = context.informers.jobsByController[cron.uid]
        var status = cron.tree["status"]
        try await followJobs(cron, jobs, &status)
        if !cron.metadata.isTerminating, cron.tree["spec"]["suspend"].bool != true {
            try await runIfDue(cron, &status)
        }
        statuses.wrote(try await context.client.writeStatus(.cronJobs, cron, status), for: key)
        try await trimHistory(cron, jobs)
    }

    private func record(_ cron: Object, _ kind: EventRecorder.Kind, _ reason: String, _ message: String) {
        context.recorder.record(
            EventRecorder.Reference(cron), kind, reason: reason, message: message, component: Self.component)
    }

    // MARK: What runs

    /// Takes jobs that ended or vanished out of the list of active ones.
    private func followJobs(_ cron: Object, _ jobs: [Object], _ status: inout JSON) async throws {
        var active = status["active"].elements
        for job in jobs {
            let view = JobView(job)
            guard let index = active.firstIndex(where: { $0["uid"].string == job.uid }) else {
                // A job that `kubectl create job --from` made is its user's affair.
                let isManual =
                    job.tree["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"].string == "manual"
                if view.finished == nil, !isManual, status["lastScheduleTime"].string != nil,
                    job.tree["metadata"]["annotations"][Self.scheduledAt].isNull
                {
                    record(
                        cron, .warning, "UnexpectedJob",
                        "Saw a job that the controller did not create or forgot: \(job.name)")
                }
                continue
            }
            guard view.finished != nil else { continue }
            active.remove(at: index)
            let isComplete = view.conditions.isTrue("Complete")
            record(
                cron, .normal, "SawCompletedJob",
                "Saw completed job: \(job.name), condition: \(isComplete ? "Complete" : "Failed")")
            if isComplete, let end = job.tree["status"]["completionTime"].string {
                let known = status["lastSuccessfulTime"].string ?? ""
                if end > known { status["lastSuccessfulTime"] = .string(end) }
            }
        }
        let known = Set(jobs.map(\.uid))
        for reference in active where !known.contains(reference["uid"].string ?? "") {
            let name = reference["name"].string ?? ""
            let live = try await context.client.find(.jobs, ObjectKey(namespace: cron.namespace, name: name))
            if let live, live.uid == reference["uid"].string { continue }
            record(cron, .normal, "MissingJob", "Active job went missing: \(name)")
            active.removeAll { $0["uid"] == reference["uid"] }
        }
        status.setMember("active", active.isEmpty ? nil : .array(active))
    }

    private func trimHistory(_ cron: Object, _ jobs: [Object]) async throws {
        let finished = jobs.map(JobView.init).filter { $0.finished != nil && !$0.object.metadata.isTerminating }
        let spec = cron.tree["spec"]
        for (type, limit) in [
            ("Complete", spec["successfulJobsHistoryLimit"].int ?? 3),
            ("Failed", spec["failedJobsHistoryLimit"].int ?? 1),
        ] {
            let kind = finished.filter { $0.conditions.isTrue(type) }.sorted {
                let (left, right) = ($0.startTime, $1.startTime)
                return left == right
                    ? $0.object.name < $1.object.name
                    : (left ?? Timestamp(seconds: 0)) < (right ?? Timestamp(seconds: 0))
            }
            for job in kind.dropLast(max(limit, 0)) { try await remove(job.object, of: cron) }
        }
    }

    private func remove(_ job: Object, of cron: Object) async throws {
        if try await context.client.deleteExactly(.jobs, job.key, uid: job.uid, propagation: .background) {
            record(cron, .normal, "SuccessfulDelete", "Deleted job \(job.name)")
        }
    }

    // MARK: What is due

    private func runIfDue(_ cron: Object, _ status: inout JSON) async throws {
        let spec = cron.tree["spec"]
        let schedule: CronSchedule
        do {
            schedule = try CronSchedule(parsing: spec["schedule"].string ?? "")
        } catch {
            record(
                cron, .warning, "UnparseableSchedule",
                "unparseable schedule: \(spec["schedule"].string ?? "") : \(error)")
            return
        }
        let zoneName = spec["timeZone"].string
        guard let zone = TimeZones.rules(zoneName.flatMap { $0.isEmpty ? nil : $0 } ?? "UTC") else {
            record(cron, .warning, "UnknownTimeZone", "invalid timeZone: \"\(zoneName ?? "")\"")
            return
        }
        let now = Timestamp.now
        let last =
            status["lastScheduleTime"].string.flatMap { Timestamp($0) } ?? cron.metadata.creationTimestamp ?? now
        let deadline = spec["startingDeadlineSeconds"].int
        let plan = CronPlan(schedule, zone: zone, last: last, deadlineSeconds: deadline, now: now)
        if let next = plan.next { loop.queue.add(cron.key, after: next - now + .milliseconds(100)) }
        if plan.missedTooMany {
            record(
                cron, .warning, "TooManyMissedTimes",
                "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew")
        }
        guard let due = plan.due else { return }
        if let deadline, due + .seconds(deadline) < now {
            record(cron, .warning, "MissSchedule", "Missed scheduled time to start a job: \(due.rfc3339)")
            return
        }
        let active = status["active"].elements
        switch spec["concurrencyPolicy"].string {
        case "Forbid" where !active.isEmpty:
            record(
                cron, .normal, "JobAlreadyActive",
                "Not starting job because prior execution is running and concurrency policy is Forbid")
            return
        case "Replace":
            for reference in active {
                let key = ObjectKey(namespace: cron.namespace, name: reference["name"].string ?? "")
                guard let job = try await context.client.find(.jobs, key), job.uid == reference["uid"].string else {
                    continue
                }
                try await remove(job, of: cron)
            }
            status.removeMember("active")
        default: break
        }
        try await start(cron, due, zone: zone, isZoned: zoneName != nil, &status)
    }

    private func start(_ cron: Object, _ due: Timestamp, zone: TimeZoneRules, isZoned: Bool, _ status: inout JSON)
        async throws
    {
        let template = cron.tree["spec"]["jobTemplate"]
        let name = "\(cron.name)-\(due.seconds / 60)"
        var metadata: JSON = ["name": .string(name), "namespace": .string(cron.namespace)]
        for member in ["labels", "annotations"] where !template["metadata"][member].isNull {
            metadata[member] = template["metadata"][member]
        }
        metadata["annotations"][Self.scheduledAt] = .string(
            isZoned ? Self.text(due, offset: zone.offset(at: due.seconds)) : due.rfc3339)
        metadata["ownerReferences"] = [OwnerReference(controller: cron).json]
        let job: Object
        do {
            job = try await context.client.create(
                .jobs, ["apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]])
            record(cron, .normal, "SuccessfulCreate", "Created job \(name)")
        } catch let error as StatusError where error.reason == .alreadyExists {
            // Ours, from a pass whose status was not written.
            let key = ObjectKey(namespace: cron.namespace, name: name)
            guard let found = try await context.client.find(.jobs, key), found.metadata.controller?.uid == cron.uid
            else { throw error }
            job = found
        } catch let error as StatusError {
            if error.isNamespaceTerminating { return }
            record(cron, .warning, "FailedCreate", "Error creating job: \(error.message)")
            throw error
        }
        if JobView(job).finished == nil, !status["active"].elements.contains(where: { $0["uid"].string == job.uid }) {
            let reference: JSON = [
                "kind": "Job", "namespace": .string(job.namespace), "name": .string(job.name),
                "uid": .string(job.uid), "apiVersion": "batch/v1",
                "resourceVersion": .string(String(job.metadata.resourceVersion)),
            ]
            status["active"] = .array(status["active"].elements + [reference])
        }
        status["lastScheduleTime"] = .string(due.rfc3339)
    }

    /// RFC 3339 with an offset.
    static func text(_ moment: Timestamp, offset: Int64) -> String {
        if offset == 0 { return moment.rfc3339 }
        let local = Timestamp(seconds: moment.seconds + offset).rfc3339.dropLast()
        let minutes = abs(offset) / 60
        func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(local)\(offset < 0 ? "-" : "+")\(two(minutes / 60)):\(two(minutes % 60))"
    }
}
