import ClusterClient
import JSON
import MesosModel
import ObjectModel
import Synchronization

/// Starting and killing.
extension Executor {
    /// Instances of one version that wait for a place at once.
    private static let mostWaiting = 1000

    func launch(_ spec: RunSpec, _ count: Int) async throws {
        let now = Timestamp.now
        if let delay = backoff.delay(spec), delay.until > now {
            specs.add(spec.id, after: delay.until - now + .milliseconds(10))
            return
        }
        // Of a number that no cluster holds, the others are made as these find a place.
        let waiting = state.instances(of: spec.id).count { !$0.isBound && $0.isActive && spec.isCurrent($0.version) }
        let count = min(count, Self.mostWaiting - waiting)
        guard count > 0 else { return }
        let builder = PodBuilder(
            frameworkID: frameworkID(), enforcesRole: Documents.standardRole(of: spec.id, in: state) != nil)
        let revision = Mutex<Revision>(0)
        defer {
            let written = revision.withLock { $0 }
            memories.withLock { $0[spec.id, default: Memory()].written = max($0[spec.id]?.written ?? 0, written) }
        }
        try await forEachConcurrently(residency.places(spec, count, target: target(spec))) {
            [client, residency] place in
            if spec.isResident { try await residency.claim(spec, place) }
            let made = try await client.create(.pods, builder.pod(spec, at: place))
            revision.withLock { $0 = max($0, made.metadata.resourceVersion) }
        }
    }

    /// Ends instances; the reason goes with the pod, so that everybody knows who asked.
    func kill(_ instances: [Instance], reason: String) async throws {
        for instance in instances {
            memories.withLock { _ = $0[instance.spec, default: Memory()].killed.insert(instance.uid) }
        }
        try await forEachConcurrently(instances) { [client, weak self] instance in
            do {
                try await Self.kill(instance, reason: reason, client)
            } catch {
                // It lives, and is to be killed again.
                self?.memories.withLock { _ = $0[instance.spec]?.killed.remove(instance.uid) }
                throw error
            }
        }
    }

    private static func kill(_ instance: Instance, reason: String, _ client: ClusterClient) async throws {
        do {
            if instance.killReason == nil {
                try await client.patch(
                    .pods, instance.key, .merge,
                    [
                        "metadata": [
                            "uid": .string(instance.uid), "annotations": [MesosNames.killAnnotation: .string(reason)],
                        ]
                    ])
            }
            try await client.transport.delete(.pods, instance.key, options: DeleteOptions(uid: instance.uid))
        } catch let error as StatusError where error.reason == .notFound || error.reason == .conflict {
            return
        }
    }

    /// Ends an instance that cannot start: its pod says why, and another is tried after the delay for failures.
    func giveUp(_ instance: Instance, _ failure: String) async throws {
        do {
            let noted = try await client.patch(
                .pods, instance.key, .merge,
                [
                    "metadata": [
                        "uid": .string(instance.uid),
                        "annotations": [MarathonNames.failureAnnotation: .string(failure)],
                    ],
                    // The node ends what is older than it may be.
                    "spec": ["activeDeadlineSeconds": 1],
                ])
            failed(instance)
            let revision = noted.metadata.resourceVersion
            memories.withLock {
                $0[instance.spec, default: Memory()].written = max($0[instance.spec]?.written ?? 0, revision)
            }
        } catch let error as StatusError where error.reason == .notFound || error.reason == .conflict {
            return
        }
    }

    func killUnhealthy(_ instance: Instance, reason: String) async throws {
        bus.publish(
            "unhealthy_instance_kill_event",
            [
                "appId": .string(instance.spec.text), "taskId": .string(instance.tasks.first?.id ?? ""),
                "instanceId": .string(instance.id), "version": .string(instance.version), "reason": .string(reason),
                "host": .string(state.host(of: instance)), "slaveId": .string(state.agentID(of: instance)),
            ])
        failed(instance)
        try await kill([instance], reason: reason)
    }

    /// Removes the pods of instances that ended, except the newest failures: they say what went wrong.
    func sweep(_ id: PathID, _ all: [Instance], keep: Int) async throws {
        let ended = all.filter { $0.isTerminal && !$0.isTerminating }.sorted { $0.stagedAt > $1.stagedAt }
        for instance in ended.dropFirst(keep) {
            try await client.delete(
                .pods, instance.key, options: DeleteOptions(gracePeriodSeconds: 0, uid: instance.uid))
        }
    }
}
