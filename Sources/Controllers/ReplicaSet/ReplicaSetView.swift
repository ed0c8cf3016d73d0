import JSON
import ObjectModel

/// What the controllers read of a ReplicaSet or a ReplicationController. The template stays in the object: it is needed
/// only when pods are made.
final class ReplicaSetView: Sendable {
    let object: Object
    let replicas: Int
    let selector: LabelSelector
    let minReadySeconds: Int
    let status: Status
    /// Finds the replica set of a deployment's template; see `TemplateHash.fingerprint`.
    let templateFingerprint: UInt64
    /// `deployment.kubernetes.io/revision`.
    let revision: Int
    /// `deployment.kubernetes.io/desired-replicas` and `max-replicas`.
    let desiredReplicas: Int?
    let maxReplicas: Int?
    /// The ReplicaFailure condition, when there is one.
    let failure: JSON?

    struct Status: Sendable, Hashable {
        var replicas = 0
        var ready = 0
        var available = 0
        var terminating = 0
        var observedGeneration = 0
    }

    /// - Throws: `SelectorError` when the selector cannot be read.
    init(_ object: Object) throws {
        self.object = object
        let tree = object.tree
        let spec = tree["spec"]
        replicas = spec["replicas"].int ?? 1
        if object.kind.kind == "ReplicationController" {
            selector = LabelSelector(matching: spec["selector"].stringMap)
        } else {
            selector = try LabelSelector(labelSelector: spec["selector"]) ?? LabelSelector()
        }
        minReadySeconds = spec["minReadySeconds"].int ?? 0
        let status = tree["status"]
        self.status = Status(
            replicas: status["replicas"].int ?? 0, ready: status["readyReplicas"].int ?? 0,
            available: status["availableReplicas"].int ?? 0, terminating: status["terminatingReplicas"].int ?? 0,
            observedGeneration: status["observedGeneration"].int ?? 0)
        failure = Conditions(status["conditions"])["ReplicaFailure"]
        templateFingerprint = TemplateHash.fingerprint(spec["template"])
        let annotations = tree["metadata"]["annotations"]
        // Anybody may write them; so far no sum overflows.
        func number(_ name: String) -> Int? {
            annotations[name].string.flatMap { Int($0) }.map { min(max($0, -(1 << 53)), 1 << 53) }
        }
        revision = number(DeploymentAnnotations.revision) ?? 0
        desiredReplicas = number(DeploymentAnnotations.desiredReplicas)
        maxReplicas = number(DeploymentAnnotations.maxReplicas)
    }

    var key: ObjectKey { object.key }
    var name: String { object.metadata.name }
    var uid: String { object.metadata.uid }
    var created: Timestamp { object.metadata.creationTimestamp ?? Timestamp(seconds: 0) }
    var isTerminating: Bool { object.metadata.isTerminating }
    /// Selectors that match everything select nothing here: no controller owns a whole namespace by accident.
    func selects(_ labels: [String: String]) -> Bool { !selector.isEmpty && selector.matches(labels) }
}
