import ClusterClient
import JSON
import ObjectModel

/// Runs jobs to completion, and removes finished ones when their time to live is over.
///
/// A finished pod is counted exactly once: its uid goes to `status.uncountedTerminatedPods`, then its finalizer is
/// removed, then the uid moves into the counts. Every step can be repeated after a crash.
struct JobController: Controller {
    static let component = "job-controller"
    static let finalizer = "batch.kubernetes.io/job-tracking"
    static let indexKey = "batch.kubernetes.io/job-completion-index"

    private let context: ControllerContext
    private let loop: ReconcileLoop
    private let writes = OwnWrites()
    /// Of the jobs themselves. A pod that was counted and let go shows in the copy of pods, maybe before its count
    /// shows in that of jobs: it would be replaced.
    private let statuses = OwnWrites()
    private let control: PodControl

    init(_ context: ControllerContext) {
        self.context = context
        control = PodControl(client: context.client, recorder: context.recorder, component: Self.component)
        let informers = context.informers
        let loop = ReconcileLoop(
            workers: 4, logger: context.logger(for: Self.component),
            prepare: {
                await informers.jobs.waitUntilSynced()
                await informers.pods.waitUntilSynced()
            },
            resync: { informers.jobs.keys })
        self.loop = loop
        informers.jobs.subscribe { event in
            if let job = event.versions.new ?? event.versions.old { loop.queue.add(job.key) }
        }
        informers.pods.subscribe { event in
            let (old, new) = event.versions
            // The old version too: a job may want back the pod that was taken from it.
            for pod in [old, new].compactMap(\.self) {
                if let owner = pod.controller {
                    guard owner.kind == "Job" else { continue }
                    loop.queue.add(ObjectKey(namespace: pod.namespace, name: owner.name))
                } else if let name = pod.labels[JobPass.nameLabel] {
                    loop.queue.add(ObjectKey(namespace: pod.namespace, name: name))
                }
            }
            // Its job may be gone: nobody counts it any more.
            if let new, new.isTerminating, new.object.metadata.finalizers.contains(Self.finalizer) {
                loop.queue.add(new.key)
            }
        }
    }

    func run() async {
        await loop.run { try await reconcile($0) }
    }

    private func reconcile(_ key: ObjectKey) async throws {
        guard let object = context.informers.jobs[key] else {
            writes.forget(key)
            statuses.forget(key)
            return try await freeOrphan(key)
        }
        guard statuses.isVisible(for: key, at: context.informers.jobs.revision) else { return }
        let job = JobView(object)
        if job.isManagedElsewhere { return }
        if let finished = job.finished {
            try await freePods(of: job)
            return try await expire(job, finished)
        }
        guard !object.metadata.isTerminating, writes.isVisible(for: key, in: context.informers.pods) else { return }
        let pass = JobPass(
            job: job, context: context, writes: writes, statuses: statuses, control: control, queue: loop.queue)
        try await pass.run()
    }

    /// Deletes the job when its time to live after finishing is over.
    private func expire(_ job: JobView, _ finished: Timestamp) async throws {
        guard let ttl = job.ttlSeconds, !job.object.metadata.isTerminating else { return }
        let due = finished + .seconds(ttl)
        let now = Timestamp.now
        if due > now {
            loop.queue.add(job.object.key, after: due - now)
            return
        }
        try await context.client.deleteExactly(
            .jobs, job.object.key, uid: job.object.uid, propagation: .foreground)
    }

    private func freePods(of job: JobView) async throws {
        let held = context.informers.podsByController[job.object.uid].filter {
            $0.object.metadata.finalizers.contains(Self.finalizer) && ($0.isFinished || $0.isTerminating)
        }
        try await forEachConcurrently(held) { [context] pod in
            try await context.client.removeFinalizer(Self.finalizer, .pods, pod.key, uid: pod.uid)
        }
    }

    /// The key may be a pod's: one held by our finalizer whose job is gone, or that no job took back in time.
    private func freeOrphan(_ key: ObjectKey) async throws {
        guard let pod = context.informers.pods[key], pod.isTerminating,
            pod.object.metadata.finalizers.contains(Self.finalizer)
        else { return }
        if let owner = pod.controller {
            let job = context.informers.jobs[ObjectKey(namespace: pod.namespace, name: owner.name)]
            guard owner.kind == "Job", job?.uid != owner.uid else { return }
        }
        try await context.client.removeFinalizer(Self.finalizer, .pods, pod.key, uid: pod.uid)
    }
}
