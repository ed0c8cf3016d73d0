import JSON
import ObjectModel

/// Status arithmetic of replica sets and replication controllers.
enum ReplicaSetStatus {
    /// The status that the pods give.
    /// - Parameters:
    ///   - active: pods that count as replicas.
    ///   - terminating: owned pods that are being deleted and have not finished.
    ///   - failure: why the last attempt to make or remove pods failed.
    static func compute(
        of set: ReplicaSetView, old: JSON, templateLabels: [String: String], active: [PodView], terminating: Int,
        failure: (reason: String, message: String)?, now: Timestamp
    ) -> JSON {
        var status = old
        var labelled = 0
        var ready = 0
        var available = 0
        for pod in active {
            if templateLabels.allSatisfy({ pod.labels[$0.key] == $0.value }) { labelled += 1 }
            if pod.isReady { ready += 1 }
            if pod.isAvailable(minReadySeconds: set.minReadySeconds, now: now) { available += 1 }
        }
        status["replicas"] = JSON(active.count)
        status.setCount("fullyLabeledReplicas", labelled)
        status.setCount("readyReplicas", ready)
        status.setCount("availableReplicas", available)
        // ReplicationController has no such field.
        if set.object.kind.kind == "ReplicaSet" { status["terminatingReplicas"] = JSON(terminating) }
        status["observedGeneration"] = JSON(set.object.metadata.generation)
        var conditions = Conditions(old["conditions"])
        if let failure {
            // Messages name the pod that could not be made, another one every time: following them would write the
            // status on every attempt, and each write brings the set back at once, past its back-off.
            conditions.set(
                "ReplicaFailure", "True", reason: failure.reason, message: failure.message, now: now,
                ignoresMessage: true)
        } else {
            conditions.remove("ReplicaFailure")
        }
        status.setMember("conditions", conditions.json)
        return status
    }

    /// How long until the next ready pod becomes available; nil when none is on its way.
    static func nextAvailability(of active: [PodView], minReadySeconds: Int, now: Timestamp) -> Duration? {
        guard minReadySeconds > 0 else { return nil }
        return active.compactMap { pod -> Duration? in
            guard pod.isReady, let since = pod.readyTransition else { return nil }
            let due = since + .seconds(minReadySeconds)
            return due > now ? due - now : nil
        }.min()
    }
}
