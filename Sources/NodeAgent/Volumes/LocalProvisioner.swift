import ClusterClient
import Glibc
import JSON
import ObjectModel

/// Makes volumes on this node for claims of the classes whose provisioner is `apus.dev/local`: a directory per claim
/// below the data directory, removed with the volume. It is what gives a one-machine cluster a default storage class.
///
/// The size of a claim is recorded, not enforced: the directory shares the disk with everything else.
struct LocalProvisioner: Sendable {
    static let name = "apus.dev/local"
    static let className = "local"
    private static let finalizer = "external-provisioner.volume.kubernetes.io/finalizer"
    private static let classes = GroupVersionResource(
        group: "storage.k8s.io", version: "v1", resource: "storageclasses")

    private let context: AgentContext
    /// Holds one directory per volume.
    private let root: String
    private let claims: Informer<Object>
    private let volumes: Informer<Object>
    private let queue = WorkQueue<ObjectKey>()

    init(context: AgentContext) {
        self.context = context
        root = context.configuration.dataDirectory + "/volumes"
        claims = Informer(.persistentVolumeClaims, client: context.client, logger: context.logger) { $0 }
        volumes = Informer(.persistentVolumes, client: context.client, logger: context.logger) { $0 }
        let queue = queue
        claims.subscribe { event in
            switch event {
            case .added(let claim), .modified(_, let claim): queue.add(claim.key)
            case .deleted: break
            }
        }
        volumes.subscribe { event in
            switch event {
            case .added(let volume), .modified(_, let volume): queue.add(volume.key)
            case .deleted: break
            }
        }
    }

    private var node: String { context.configuration.nodeName }

    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await claims.run() }
            group.addTask { try? await volumes.run() }
            group.addTask { await offerClass() }
            group.addTask {
                await claims.waitUntilSynced()
                await volumes.waitUntilSynced()
                await queue.run(workers: 2) { key in
                    do {
                        if key.namespace.isEmpty { try await look(atVolume: key) } else { try await look(atClaim: key) }
                    } catch let error as StatusError where error.reason == .conflict {
                        throw error
                    } catch {
                        context.logger.warning(
                            "a local volume cannot be made or removed yet",
                            metadata: ["object": "\(key)", "error": "\(error)"])
                        throw error
                    }
                }
            }
            await group.waitForAll()
        }
    }

    /// Makes the default class unless there is one of that name, whatever it says.
    private func offerClass() async {
        let body: JSON = [
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": [
                "name": .string(Self.className),
                "annotations": ["storageclass.kubernetes.io/is-default-class": "true"],
            ],
            "provisioner": .string(Self.name), "reclaimPolicy": "Delete", "allowVolumeExpansion": true,
            "volumeBindingMode": "WaitForFirstConsumer",
        ]
        while !Task.isCancelled {
            do {
                try await context.client.create(Self.classes, body)
                return
            } catch let error as StatusError where error.reason == .alreadyExists {
                return
            } catch {
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    private func record(_ object: Object, _ kind: EventRecorder.Kind, _ reason: String, _ message: String) {
        context.recorder.record(
            EventRecorder.Reference(object), kind, reason: reason, message: message,
            component: "\(Self.name)_\(node)")
    }

    // MARK: Making

    private func look(atClaim key: ObjectKey) async throws {
        guard let claim = claims[key], !claim.metadata.isTerminating else { return }
        let tree = claim.tree
        let annotations = tree["metadata"]["annotations"]
        if tree["status"]["phase"].string == "Bound" { return try await grow(claim) }
        guard annotations["volume.kubernetes.io/storage-provisioner"].string == Self.name,
            tree["spec"]["volumeName"].string ?? "" == "",
            let storageClass = try await context.client.find(
                Self.classes, ObjectKey(name: tree["spec"]["storageClassName"].string ?? ""))
        else { return }
        let selected = annotations["volume.kubernetes.io/selected-node"].string
        let isDelayed = storageClass.tree["volumeBindingMode"].string == "WaitForFirstConsumer"
        // A claim that is bound at once can be made anywhere: the volume's name lets only one node win.
        guard selected == node || (selected == nil && !isDelayed) else { return }
        let name = "pvc-\(claim.uid)"
        guard volumes[ObjectKey(name: name)] == nil else { return }
        if let problem = Self.problem(tree) {
            record(
                claim, .warning, "ProvisioningFailed",
                "failed to provision volume with StorageClass \"\(storageClass.name)\": \(problem)")
            return
        }
        record(
            claim, .normal, "Provisioning",
            "External provisioner is provisioning volume for claim \"\(key)\"")
        let path = "\(root)/\(name)"
        try await blocking { [root] in
            try Files.makeDirectories(root, mode: 0o711)
            try Files.makeDirectories(path, mode: 0o777)
            // Programs run as any user, and the umask took the rights of others.
            if chmod(path, 0o777) != 0 { throw FileError("chmod", path) }
        }
        do {
            try await context.client.create(
                .persistentVolumes, volume(name, path, for: claim, storageClass.tree))
        } catch let error as StatusError where error.reason == .alreadyExists {
            return
        }
        record(claim, .normal, "ProvisioningSucceeded", "Successfully provisioned volume \(name)")
    }

    private static func problem(_ claim: JSON) -> String? {
        if claim["spec"]["volumeMode"].string == "Block" { return "block volumes are not supported by \(name)" }
        if !claim["spec"]["selector"].isNull { return "claim Selector is not supported" }
        let source =
            claim["spec"]["dataSourceRef"].isNull ? claim["spec"]["dataSource"] : claim["spec"]["dataSourceRef"]
        return source.isNull ? nil : "data sources are not supported by \(name)"
    }

    private func volume(_ name: String, _ path: String, for claim: Object, _ storageClass: JSON) -> JSON {
        let spec = claim.tree["spec"]
        return [
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": [
                "name": .string(name), "annotations": ["pv.kubernetes.io/provisioned-by": .string(Self.name)],
                "finalizers": [.string(Self.finalizer)],
            ],
            "spec": [
                "capacity": ["storage": spec["resources"]["requests"]["storage"]],
                "accessModes": spec["accessModes"], "volumeMode": "Filesystem",
                "storageClassName": spec["storageClassName"],
                "persistentVolumeReclaimPolicy": .string(storageClass["reclaimPolicy"].string ?? "Delete"),
                "claimRef": [
                    "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": .string(claim.namespace),
                    "name": .string(claim.name), "uid": .string(claim.uid),
                    "resourceVersion": .string(String(claim.metadata.resourceVersion)),
                ],
                "local": ["path": .string(path)],
                "nodeAffinity": [
                    "required": [
                        "nodeSelectorTerms": [
                            [
                                "matchExpressions": [
                                    [
                                        "key": "kubernetes.io/hostname", "operator": "In",
                                        "values": [.string(node)],
                                    ]
                                ]
                            ]
                        ]
                    ]
                ],
            ],
        ]
    }

    /// A directory has no size of its own: a claim that may grow has grown.
    private func grow(_ claim: Object) async throws {
        guard let wanted = Quantity(claim.tree["spec"]["resources"]["requests"]["storage"]),
            let has = Quantity(claim.tree["status"]["capacity"]["storage"]), wanted > has,
            let volume = volumes[ObjectKey(name: claim.tree["spec"]["volumeName"].string ?? "")], isOurs(volume)
        else { return }
        let size = JSON.string(wanted.canonical)
        try await context.client.modify(.persistentVolumes, volume.key) { tree in
            guard tree["spec"]["capacity"]["storage"] != size else { return false }
            tree["spec"]["capacity"]["storage"] = size
            return true
        }
        try await context.client.modify(.persistentVolumeClaims, claim.key, subresource: "status") { tree in
            guard tree["metadata"]["uid"].string == claim.uid else { return false }
            tree["status"]["capacity"]["storage"] = size
            return true
        }
        record(claim, .normal, "VolumeResizeSuccessful", "Resize volume succeeded")
    }

    // MARK: Removing

    /// Made here, by this provisioner.
    private func isOurs(_ volume: Object) -> Bool {
        let tree = volume.tree
        return tree["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"].string == Self.name
            && tree["spec"]["local"]["path"].string == "\(root)/\(volume.name)"
            && tree["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]["values"][0]
                .string == node
    }

    private func look(atVolume key: ObjectKey) async throws {
        guard let volume = volumes[key], isOurs(volume) else { return }
        let tree = volume.tree
        if let name = tree["spec"]["claimRef"]["name"].string {
            // The claim may have grown while its volume was not known here.
            queue.add(ObjectKey(namespace: tree["spec"]["claimRef"]["namespace"].string ?? "", name: name))
        }
        let isDeleted = tree["spec"]["persistentVolumeReclaimPolicy"].string == "Delete"
        let phase = tree["status"]["phase"].string
        guard volume.metadata.isTerminating ? phase != "Bound" : phase == "Released" && isDeleted else { return }
        if isDeleted {
            // First out of the way under another name: a half removed volume must never be mounted.
            let (path, doomed) = ("\(root)/\(volume.name)", "\(root)/.removing-\(volume.name)")
            try await blocking {
                if Files.exists(path), rename(path, doomed) != 0 { throw FileError("rename", path) }
                try Files.removeTree(doomed)
            }
        }
        try await context.client.delete(.persistentVolumes, key, options: DeleteOptions(uid: volume.uid))
        try await context.client.modify(.persistentVolumes, key) { tree in
            let finalizers = tree["metadata"]["finalizers"].elements
            guard tree["metadata"]["uid"].string == volume.uid, finalizers.contains(.string(Self.finalizer)) else {
                return false
            }
            tree["metadata"]["finalizers"] = .array(finalizers.filter { $0.string != Self.finalizer })
            return true
        }
    }
}
