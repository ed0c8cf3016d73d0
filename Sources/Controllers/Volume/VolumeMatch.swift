import JSON
import ObjectModel

/// Which volume a claim gets. Pure.
enum VolumeMatch {
    static let boundByController = "pv.kubernetes.io/bound-by-controller"
    static let bindCompleted = "pv.kubernetes.io/bind-completed"
    static let provisionedBy = "pv.kubernetes.io/provisioned-by"
    static let selectedNode = "volume.kubernetes.io/selected-node"
    static let provisioner = "volume.kubernetes.io/storage-provisioner"
    static let oldProvisioner = "volume.beta.kubernetes.io/storage-provisioner"
    private static let oldClass = "volume.beta.kubernetes.io/storage-class"

    /// The storage class that a claim or volume names: empty for none, nil when nothing is said.
    static func className(_ tree: JSON) -> String? {
        tree["metadata"]["annotations"][oldClass].string ?? tree["spec"]["storageClassName"].string
    }

    /// The claim that a volume is bound to, or reserved for.
    static func claim(of volume: JSON) -> ObjectKey? {
        let reference = volume["spec"]["claimRef"]
        guard let name = reference["name"].string else { return nil }
        return ObjectKey(namespace: reference["namespace"].string ?? "", name: name)
    }

    /// Whether the volume's reference means exactly this claim; one without a uid means whoever has the name.
    static func refers(_ volume: JSON, to claim: Object) -> Bool {
        guard self.claim(of: volume) == claim.key else { return false }
        let uid = volume["spec"]["claimRef"]["uid"].string ?? ""
        return uid.isEmpty || uid == claim.uid
    }

    /// Why a volume cannot serve a claim; nil when it can.
    static func mismatch(_ volume: JSON, _ claim: JSON) -> String? {
        if capacity(volume) < request(claim) { return "requested PV is too small" }
        if (className(volume) ?? "") != (className(claim) ?? "") { return "storageClassName does not match" }
        if isBlock(volume) != isBlock(claim) { return "incompatible volumeMode" }
        let offered = Set(volume["spec"]["accessModes"].elements.compactMap(\.string))
        if !claim["spec"]["accessModes"].elements.compactMap(\.string).allSatisfy(offered.contains) {
            return "incompatible accessMode"
        }
        return nil
    }

    /// The volume reserved for the claim, else the smallest free one that serves it.
    /// - Parameter onlyReserved: the scheduler chooses among the free ones.
    static func best(for claim: Object, among volumes: [Object], onlyReserved: Bool) -> Object? {
        let tree = claim.tree
        if let reserved = volumes.filter({ refers($0.tree, to: claim) && capacity($0.tree) >= request(tree) })
            .min(by: { $0.name < $1.name })
        {
            return isBlock(reserved.tree) == isBlock(tree) ? reserved : nil
        }
        if onlyReserved { return nil }
        let selector = (try? LabelSelector(labelSelector: tree["spec"]["selector"])) ?? nil
        return volumes.filter { volume in
            let candidate = volume.tree
            return candidate["status"]["phase"].string == "Available" && candidate["spec"]["claimRef"].isNull
                && !volume.metadata.isTerminating && selector?.matches(volume.metadata.labels) ?? true
                && mismatch(candidate, tree) == nil
        }
        .min { (capacity($0.tree), $0.name) < (capacity($1.tree), $1.name) }
    }

    static func capacity(_ volume: JSON) -> Quantity { Quantity(volume["spec"]["capacity"]["storage"]) ?? .zero }
    static func request(_ claim: JSON) -> Quantity {
        Quantity(claim["spec"]["resources"]["requests"]["storage"]) ?? .zero
    }
    private static func isBlock(_ tree: JSON) -> Bool { tree["spec"]["volumeMode"].string == "Block" }
}
