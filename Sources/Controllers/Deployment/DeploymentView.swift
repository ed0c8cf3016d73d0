import JSON
import ObjectModel

/// Annotations that the deployment controller and kubectl's rollout verbs share.
enum DeploymentAnnotations {
    static let revision = "deployment.kubernetes.io/revision"
    static let revisionHistory = "deployment.kubernetes.io/revision-history"
    static let desiredReplicas = "deployment.kubernetes.io/desired-replicas"
    static let maxReplicas = "deployment.kubernetes.io/max-replicas"
    /// Annotations of a deployment that are not copied to its replica sets.
    static let notCopied: Set<String> = [
        "kubectl.kubernetes.io/last-applied-configuration", revision, revisionHistory, desiredReplicas, maxReplicas,
        "deprecated.deployment.rollback.to",
    ]
}

/// What the controller reads of a Deployment.
final class DeploymentView: Sendable {
    let object: Object
    let plan: RolloutPlan
    let selector: LabelSelector
    let isPaused: Bool
    let minReadySeconds: Int
    /// Nil: unlimited.
    let revisionHistoryLimit: Int?
    /// Seconds; nil: no deadline.
    let progressDeadlineSeconds: Int?
    let collisionCount: Int?
    let templateFingerprint: UInt64

    /// - Throws: `SelectorError` when the selector cannot be read.
    init(_ object: Object) throws {
        self.object = object
        let tree = object.tree
        let spec = tree["spec"]
        plan = RolloutPlan(spec: spec)
        selector = try LabelSelector(labelSelector: spec["selector"]) ?? LabelSelector()
        isPaused = spec["paused"].bool ?? false
        minReadySeconds = spec["minReadySeconds"].int ?? 0
        revisionHistoryLimit = spec["revisionHistoryLimit"].int.flatMap { $0 == Int(Int32.max) ? nil : $0 }
        progressDeadlineSeconds = spec["progressDeadlineSeconds"].int.flatMap { $0 == Int(Int32.max) ? nil : $0 }
        collisionCount = tree["status"]["collisionCount"].int
        templateFingerprint = TemplateHash.fingerprint(spec["template"])
    }

    var key: ObjectKey { object.key }
    var name: String { object.metadata.name }
    var uid: String { object.metadata.uid }
    func selects(_ labels: [String: String]) -> Bool { !selector.isEmpty && selector.matches(labels) }
}
