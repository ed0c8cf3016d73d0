import ClusterClient
import JSON
import ObjectModel

/// Joins claims and volumes, and follows volumes through Available, Bound, Released.
///
/// A binding is four guarded writes (volume, its status, claim, its status), in this order; whatever a crash leaves half
/// done is completed by the next pass, because a volume that refers to a claim is that claim's. Keys of claims have a
/// namespace, keys of volumes have none. One worker: two claims never reach for the same volume at the same time.
struct VolumeBinder: Controller {
    static let component = "persistentvolume-controller"

    let context: ControllerContext
    let loop: ReconcileLoop
    var informers: SharedInformers { context.informers }

    init(_ context: ControllerContext) {
        self.context = context
        let informers = context.informers
        let loop = ReconcileLoop(
            workers: 1, logger: context.logger(for: Self.component),
            prepare: {
                await informers.claims.waitUntilSynced()
                await informers.volumes.waitUntilSynced()
                await informers.storageClasses.waitUntilSynced()
                await informers.pods.waitUntilSynced()
            },
            resync: { informers.claims.keys + informers.volumes.keys })
        self.loop = loop
        @Sendable func addUnbound() {
            for claim in informers.claims.all where Self.isUnbound(claim) { loop.queue.add(claim.key) }
        }
        informers.claims.subscribe { event in
            guard let claim = event.versions.new ?? event.versions.old else { return }
            loop.queue.add(claim.key)
            if let volume = claim.tree["spec"]["volumeName"].string, !volume.isEmpty {
                loop.queue.add(ObjectKey(name: volume))
            }
        }
        informers.volumes.subscribe { event in
            guard let volume = event.versions.new ?? event.versions.old else { return }
            loop.queue.add(volume.key)
            for version in [event.versions.old, event.versions.new] {
                if let claim = version.flatMap({ VolumeMatch.claim(of: $0.tree) }) { loop.queue.add(claim) }
            }
            if volume.tree["status"]["phase"].string == "Available" { addUnbound() }
        }
        informers.storageClasses.subscribe { _ in addUnbound() }
    }

    func run() async {
        await loop.run(resyncEvery: .seconds(120)) { key in
            if key.namespace.isEmpty {
                try await reconcileVolume(key)
            } else {
                try await reconcileClaim(key)
            }
        }
    }

    static func isUnbound(_ claim: Object) -> Bool {
        claim.tree["metadata"]["annotations"][VolumeMatch.bindCompleted].isNull
    }

    // MARK: Claims

    private func reconcileClaim(_ key: ObjectKey) async throws {
        guard let claim = informers.claims[key] else {
            for volume in informers.volumesByClaim.keys(of: key) { loop.queue.add(volume) }
            return
        }
        if !Self.isUnbound(claim) { return try await reconcileBound(claim) }
        guard !claim.metadata.isTerminating else { return }
        let name = claim.tree["spec"]["volumeName"].string ?? ""
        if name.isEmpty { return try await findVolume(for: claim) }
        guard let volume = informers.volumes[ObjectKey(name: name)] else { return try await pend(claim) }
        if volume.tree["spec"]["claimRef"].isNull {
            if let problem = VolumeMatch.mismatch(volume.tree, claim.tree) {
                record(claim, .warning, "VolumeMismatch", "Cannot bind to requested volume \"\(name)\": \(problem)")
                return try await pend(claim)
            }
            return try await bind(volume, claim)
        }
        if VolumeMatch.refers(volume.tree, to: claim) { return try await bind(volume, claim) }
        record(claim, .warning, "FailedBinding", "volume \"\(name)\" already bound to a different claim.")
        try await pend(claim)
    }

    private func findVolume(for claim: Object) async throws {
        var claim = claim
        if VolumeMatch.className(claim.tree) == nil, let name = defaultClass {
            // The default class appeared after the claim.
            var tree = claim.tree
            tree["spec"]["storageClassName"] = .string(name)
            claim = try await context.client.update(.persistentVolumeClaims, tree)
        }
        let className = VolumeMatch.className(claim.tree) ?? ""
        let storageClass = informers.storageClasses[ObjectKey(name: className)]
        let isDelayed = storageClass?.tree["volumeBindingMode"].string == "WaitForFirstConsumer"
        if let volume = VolumeMatch.best(for: claim, among: informers.volumes.all, onlyReserved: isDelayed) {
            return try await bind(volume, claim)
        }
        let isSelected = claim.tree["metadata"]["annotations"][VolumeMatch.selectedNode].string != nil
        if isDelayed, !isSelected {
            tellWhatIsWaitedFor(claim)
        } else if className.isEmpty {
            record(
                claim, .normal, "FailedBinding",
                "no persistent volumes available for this claim and no storage class is set")
        } else {
            claim = try await requestProvisioning(claim, className, storageClass)
        }
        try await pend(claim)
    }

    private var defaultClass: String? {
        informers.storageClasses.all.filter {
            $0.tree["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"].string == "true"
        }
        .max {
            let left = $0.metadata.creationTimestamp?.microseconds ?? 0
            let right = $1.metadata.creationTimestamp?.microseconds ?? 0
            return left == right ? $0.name > $1.name : left < right
        }?.name
    }

    private func tellWhatIsWaitedFor(_ claim: Object) {
        let waiting = informers.podsByNamespace[claim.namespace].filter {
            $0.claims.contains(claim.name) && $0.nodeName.isEmpty && $0.isActive
        }
        if waiting.isEmpty {
            record(
                claim, .normal, "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
        } else {
            let names = waiting.map(\.name).sorted().joined(separator: ",")
            let noun = waiting.count == 1 ? "pod" : "pods"
            record(claim, .normal, "WaitForPodScheduled", "waiting for \(noun) \(names) to be scheduled")
        }
    }

    /// Tells the class's provisioner that the claim wants a volume made.
    private func requestProvisioning(_ claim: Object, _ className: String, _ storageClass: Object?) async throws
        -> Object
    {
        guard let storageClass else {
            record(
                claim, .warning, "ProvisioningFailed", "storageclass.storage.k8s.io \"\(className)\" not found")
            return claim
        }
        let provisioner = storageClass.tree["provisioner"].string ?? ""
        guard provisioner != "kubernetes.io/no-provisioner" else {
            record(
                claim, .warning, "ProvisioningFailed",
                "no persistent volumes available for this claim, and class \"\(className)\" makes none")
            return claim
        }
        record(
            claim, .normal, "ExternalProvisioning",
            "Waiting for a volume to be created either by the external provisioner '\(provisioner)' or manually by "
                + "the system administrator. If volume creation is delayed, please verify that the provisioner is "
                + "running and correctly registered.")
        var tree = claim.tree
        tree["metadata"]["annotations"][VolumeMatch.oldProvisioner] = .string(provisioner)
        tree["metadata"]["annotations"][VolumeMatch.provisioner] = .string(provisioner)
        return tree == claim.tree ? claim : try await context.client.update(.persistentVolumeClaims, tree)
    }

    private func reconcileBound(_ claim: Object) async throws {
        let name = claim.tree["spec"]["volumeName"].string ?? ""
        if name.isEmpty {
            return try await lose(
                claim, "ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
        }
        guard let volume = informers.volumes[ObjectKey(name: name)] else {
            // Deletion is final only when the API says so; the cache may be late.
            guard try await context.client.find(.persistentVolumes, ObjectKey(name: name)) == nil else { return }
            return try await lose(
                claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
        }
        if volume.tree["spec"]["claimRef"].isNull || VolumeMatch.refers(volume.tree, to: claim) {
            return try await bind(volume, claim)
        }
        try await lose(
            claim, "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
    }

    private func lose(_ claim: Object, _ reason: String, _ message: String) async throws {
        guard claim.tree["status"]["phase"].string != "Lost" else { return }
        record(claim, .warning, reason, message)
        try await context.client.writeStatus(.persistentVolumeClaims, claim, ["phase": "Lost"])
    }

    private func pend(_ claim: Object) async throws {
        guard claim.tree["status"]["phase"].string != "Pending" else { return }
        try await context.client.writeStatus(.persistentVolumeClaims, claim, ["phase": "Pending"])
    }

    // MARK: Binding

    /// Completes what is missing of a binding.
    private func bind(_ volume: Object, _ claim: Object) async throws {
        var volume = volume
        var tree = volume.tree
        if tree["spec"]["claimRef"].isNull {
            tree["metadata"]["annotations"][VolumeMatch.boundByController] = "yes"
        }
        if tree["spec"]["claimRef"]["uid"].string != claim.uid {
            tree["spec"]["claimRef"] = [
                "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": .string(claim.namespace),
                "name": .string(claim.name), "uid": .string(claim.uid),
                "resourceVersion": .string(String(claim.metadata.resourceVersion)),
            ]
        }
        if tree != volume.tree { volume = try await context.client.update(.persistentVolumes, tree) }
        try await setPhase(volume, "Bound")

        var claim = claim
        tree = claim.tree
        if tree["spec"]["volumeName"].string ?? "" == "" {
            tree["spec"]["volumeName"] = .string(volume.name)
            tree["metadata"]["annotations"][VolumeMatch.boundByController] = "yes"
        }
        tree["metadata"]["annotations"][VolumeMatch.bindCompleted] = "yes"
        if tree != claim.tree { claim = try await context.client.update(.persistentVolumeClaims, tree) }
        var status = claim.tree["status"]
        status["phase"] = "Bound"
        status["accessModes"] = volume.tree["spec"]["accessModes"]
        // A volume that grows is told by whoever makes it grow.
        if status["capacity"]["storage"].isNull {
            status["capacity"] = ["storage": volume.tree["spec"]["capacity"]["storage"]]
        }
        try await context.client.writeStatus(.persistentVolumeClaims, claim, status)
    }

    func setPhase(_ volume: Object, _ phase: String, reason: String = "", message: String = "") async throws {
        let old = volume.tree["status"]
        guard old["phase"].string != phase || old["message"].string ?? "" != message else { return }
        var status: JSON = ["phase": .string(phase)]
        status["lastPhaseTransitionTime"] =
            old["phase"].string == phase ? old["lastPhaseTransitionTime"] : .string(Timestamp.now.rfc3339)
        if !reason.isEmpty { status["reason"] = .string(reason) }
        if !message.isEmpty { status["message"] = .string(message) }
        try await context.client.writeStatus(.persistentVolumes, volume, status)
    }

    func record(_ object: Object, _ kind: EventRecorder.Kind, _ reason: String, _ message: String) {
        context.recorder.record(
            EventRecorder.Reference(object), kind, reason: reason, message: message, component: Self.component)
    }
}
