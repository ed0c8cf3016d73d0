import JSON
import ObjectModel

/// What the scheduler reads of a PersistentVolumeClaim.
struct ClaimView: Sendable {
    var key: ObjectKey
    var uid: String
    var isTerminating: Bool
    /// Name of the volume; empty until bound.
    var volumeName: String
    /// The volume that the claim asks for by name, bound or not.
    var wantedVolume: String
    var isLost: Bool
    var storageClass: String
    var request: Quantity
    var accessModes: [String]
    var isBlock: Bool
    /// Nil: any volume.
    var selector: LabelSelector?
    /// The node that a volume is being made for; empty for none.
    var selectedNode: String

    /// Only one pod may use it at a time.
    var isExclusive: Bool { accessModes == ["ReadWriteOncePod"] }

    init(_ object: Object) {
        let tree = object.tree
        let spec = tree["spec"]
        let annotations = tree["metadata"]["annotations"]
        key = object.key
        uid = object.uid
        isTerminating = object.metadata.isTerminating
        let phase = tree["status"]["phase"].string
        wantedVolume = spec["volumeName"].string ?? ""
        volumeName = phase == "Bound" || phase == "Lost" ? wantedVolume : ""
        isLost = phase == "Lost"
        storageClass =
            annotations["volume.beta.kubernetes.io/storage-class"].string ?? spec["storageClassName"].string ?? ""
        request = Quantity(spec["resources"]["requests"]["storage"]) ?? .zero
        accessModes = spec["accessModes"].elements.compactMap(\.string)
        isBlock = spec["volumeMode"].string == "Block"
        selector = (try? LabelSelector(labelSelector: spec["selector"])) ?? nil
        selectedNode = annotations["volume.kubernetes.io/selected-node"].string ?? ""
    }
}

/// What the scheduler reads of a PersistentVolume.
struct VolumeView: Sendable {
    var name: String
    /// Where the volume can be reached from; nil for everywhere.
    var nodes: [NodeSelectorTerm]?
    var labels: [String: String]
    var storageClass: String
    var capacity: Quantity
    var accessModes: Set<String>
    var isBlock: Bool
    /// Nobody has it or waits for it.
    var isFree: Bool
    /// The claim it is bound to or reserved for.
    var claim: ObjectKey?
    /// Empty: reserved for whoever has the name.
    var claimUID: String

    init(_ object: Object) {
        let tree = object.tree
        let spec = tree["spec"]
        name = object.name
        let required = spec["nodeAffinity"]["required"]
        nodes = required.isNull ? nil : required["nodeSelectorTerms"].elements.map(NodeSelectorTerm.init)
        labels = object.metadata.labels
        storageClass =
            tree["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"].string
            ?? spec["storageClassName"].string ?? ""
        capacity = Quantity(spec["capacity"]["storage"]) ?? .zero
        accessModes = Set(spec["accessModes"].elements.compactMap(\.string))
        isBlock = spec["volumeMode"].string == "Block"
        let reference = spec["claimRef"]
        claim = reference["name"].string.map { ObjectKey(namespace: reference["namespace"].string ?? "", name: $0) }
        claimUID = reference["uid"].string ?? ""
        isFree =
            reference.isNull && !object.metadata.isTerminating && tree["status"]["phase"].string == "Available"
    }

    func serves(_ claim: ClaimView) -> Bool {
        if self.claim == claim.key, claimUID.isEmpty || claimUID == claim.uid { return capacity >= claim.request }
        return isFree && storageClass == claim.storageClass && isBlock == claim.isBlock && capacity >= claim.request
            && claim.accessModes.allSatisfy(accessModes.contains) && claim.selector?.matches(labels) ?? true
    }
}

/// What the scheduler reads of a StorageClass.
struct StorageClassView: Sendable {
    var name: String
    /// Volumes are chosen or made once it is known where the pod goes.
    var isDelayed: Bool
    /// Somebody makes volumes of this class.
    var makesVolumes: Bool
    /// Where volumes can be made; nil for everywhere.
    var topologies: [NodeSelectorTerm]?

    init(_ object: Object) {
        let tree = object.tree
        name = object.name
        isDelayed = tree["volumeBindingMode"].string == "WaitForFirstConsumer"
        makesVolumes = tree["provisioner"].string != "kubernetes.io/no-provisioner"
        let allowed = tree["allowedTopologies"].elements
        topologies =
            allowed.isEmpty
            ? nil
            : allowed.map { term in
                NodeSelectorTerm(
                    expressions: term["matchLabelExpressions"].elements.map {
                        LabelSelector.Requirement(
                            key: $0["key"].string ?? "", op: .in, values: $0["values"].elements.compactMap(\.string))
                    })
            }
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
