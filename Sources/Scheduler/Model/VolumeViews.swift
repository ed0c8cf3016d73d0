import JSON
import ObjectModel

/// What the scheduler reads of a PersistentVolumeClaim.
struct ClaimView: Sendable {
    var key: ObjectKey
    var isTerminating: Bool
    /// Name of the volume; empty until bound.
    var volumeName: String
    var isLost: Bool

    init(_ object: Object) {
        let tree = object.tree
        key = object.key
        isTerminating = object.metadata.isTerminating
        let phase = tree["status"]["phase"].string
        volumeName = phase == "Bound" || phase == "Lost" ? tree["spec"]["volumeName"].string ?? "" : ""
        isLost = phase == "Lost"
    }
}

/// What the scheduler reads of a PersistentVolume.
struct VolumeView: Sendable {
    var name: String
    /// Where the volume can be reached from; nil for everywhere.
    var nodes: [NodeSelectorTerm]?

    init(_ object: Object) {
        name = object.name
        let required = object.tree["spec"]["nodeAffinity"]["required"]
        nodes = required.isNull ? nil : required["nodeSelectorTerms"].elements.map(NodeSelectorTerm.init)
    }
}

/// What preemption reads of a PodDisruptionBudget.
struct BudgetView: Sendable {
    var key: ObjectKey
    var selector: LabelSelector?
    var allowed: Int

    init(_ object: Object) {
        let tree = object.tree
        key = object.key
        selector = (try? LabelSelector(labelSelector: tree["spec"]["selector"])) ?? nil
        allowed = tree["status"]["disruptionsAllowed"].int ?? 0
    }
}
