import JSON
import ObjectModel

/// The counts of a deployment's status.
struct DeploymentCounts: Sendable, Hashable {
    var replicas = 0
    var updated = 0
    var ready = 0
    var available = 0
    var unavailable = 0
    var terminating = 0
    var observedGeneration = 0

    init() {}

    /// The counts in a status.
    init(_ status: JSON) {
        replicas = status["replicas"].int ?? 0
        updated = status["updatedReplicas"].int ?? 0
        ready = status["readyReplicas"].int ?? 0
        available = status["availableReplicas"].int ?? 0
        unavailable = status["unavailableReplicas"].int ?? 0
        terminating = status["terminatingReplicas"].int ?? 0
        observedGeneration = status["observedGeneration"].int ?? 0
    }

    /// The counts its replica sets give.
    init(new: ReplicaSetView?, all: [ReplicaSetView], generation: Int) {
        for set in all {
            replicas += set.status.replicas
            ready += set.status.ready
            available += set.status.available
            terminating += set.status.terminating
            unavailable += set.replicas
        }
        unavailable = max(unavailable - available, 0)
        updated = new?.status.replicas ?? 0
        observedGeneration = generation
    }

    func write(to status: inout JSON) {
        status["observedGeneration"] = JSON(observedGeneration)
        status.setCount("replicas", replicas)
        status.setCount("updatedReplicas", updated)
        status.setCount("readyReplicas", ready)
        status.setCount("availableReplicas", available)
        status.setCount("unavailableReplicas", unavailable)
        status["terminatingReplicas"] = JSON(terminating)
    }

    /// Every replica is of the new template and available, and no other is left.
    func isComplete(replicas desired: Int, generation: Int) -> Bool {
        updated == desired && replicas == desired && available == desired && observedGeneration >= generation
    }

    /// Something moved forward since `old`.
    func hasProgressed(since old: DeploymentCounts) -> Bool {
        updated > old.updated || replicas - updated < old.replicas - old.updated || ready > old.ready
            || available > old.available
    }
}

/// The conditions of a deployment, decided from counts. Reasons and messages are what kubectl's `rollout status` and
/// people read.
enum DeploymentConditions {
    /// - Parameters:
    ///   - newSet: name of the replica set of the current template, when there is one.
    ///   - failure: a ReplicaFailure condition of one of the replica sets.
    static func update(
        _ conditions: inout Conditions, old: DeploymentCounts, new: DeploymentCounts, plan: RolloutPlan,
        generation: Int, progressDeadlineSeconds: Int?, name: String, newSet: String?, failure: JSON?, now: Timestamp
    ) {
        if new.available >= plan.replicas - plan.maxUnavailable {
            conditions.set(
                "Available", "True", reason: "MinimumReplicasAvailable",
                message: "Deployment has minimum availability.", now: now, tracksUpdates: true, ignoresMessage: true)
        } else {
            conditions.set(
                "Available", "False", reason: "MinimumReplicasUnavailable",
                message: "Deployment does not have minimum availability.", now: now, tracksUpdates: true,
                ignoresMessage: true)
        }
        let current = conditions["Progressing"]
        if let progressDeadlineSeconds {
            let wasComplete =
                new.replicas == new.updated && current?["reason"].string == "NewReplicaSetAvailable"
            if !wasComplete {
                progress(
                    &conditions, old: old, new: new, plan: plan, generation: generation,
                    deadline: progressDeadlineSeconds,
                    subject: newSet.map { "ReplicaSet \"\($0)\"" } ?? "Deployment \"\(name)\"", now: now)
            }
        } else {
            conditions.remove("Progressing")
        }
        if let failure {
            conditions.set(
                "ReplicaFailure", failure["status"].string ?? "True", reason: failure["reason"].string ?? "",
                message: failure["message"].string ?? "", now: now, tracksUpdates: true, ignoresMessage: true)
        } else {
            conditions.remove("ReplicaFailure")
        }
    }

    private static func progress(
        _ conditions: inout Conditions, old: DeploymentCounts, new: DeploymentCounts, plan: RolloutPlan,
        generation: Int, deadline: Int, subject: String, now: Timestamp
    ) {
        if new.isComplete(replicas: plan.replicas, generation: generation) {
            conditions.set(
                "Progressing", "True", reason: "NewReplicaSetAvailable",
                message: "\(subject) has successfully progressed.", now: now, tracksUpdates: true,
                ignoresMessage: true)
        } else if new.hasProgressed(since: old) {
            // Set anew every time: lastUpdateTime is what the deadline counts from.
            let transition = conditions["Progressing"].flatMap { old in
                old["status"].string == "True" ? old["lastTransitionTime"].string : nil
            }
            conditions.remove("Progressing")
            conditions.set(
                "Progressing", "True", reason: "ReplicaSetUpdated", message: "\(subject) is progressing.", now: now,
                tracksUpdates: true)
            if let transition { conditions.keepTransition("Progressing", transition) }
        } else if isTimedOut(conditions["Progressing"], deadline: deadline, now: now) {
            conditions.set(
                "Progressing", "False", reason: "ProgressDeadlineExceeded",
                message: "\(subject) has timed out progressing.", now: now, tracksUpdates: true, ignoresMessage: true)
        }
    }

    /// No progress since longer than the deadline.
    static func isTimedOut(_ progressing: JSON?, deadline: Int, now: Timestamp) -> Bool {
        guard let progressing else { return false }
        switch progressing["reason"].string {
        case "NewReplicaSetAvailable": return false
        case "ProgressDeadlineExceeded": return true
        default:
            guard let since = progressing["lastUpdateTime"].string.flatMap({ Timestamp($0) }) else { return false }
            return since + .seconds(deadline) < now
        }
    }

    /// When to look again whether the deadline passed; nil when nothing is under way.
    static func deadlineCheck(_ progressing: JSON?, deadline: Int?, now: Timestamp) -> Duration? {
        guard let deadline, let progressing,
            let since = progressing["lastUpdateTime"].string.flatMap({ Timestamp($0) })
        else { return nil }
        switch progressing["reason"].string {
        case "NewReplicaSetAvailable", "ProgressDeadlineExceeded", "DeploymentPaused": return nil
        default: return max(since + .seconds(deadline + 1) - now, .seconds(1))
        }
    }
}

extension Conditions {
    /// Gives a condition the transition time it had before.
    mutating func keepTransition(_ type: String, _ time: String) {
        edit(type) { $0["lastTransitionTime"] = .string(time) }
    }
}
