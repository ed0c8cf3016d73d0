import ClusterClient
import JSON
import ObjectModel

/// Holds claims while pods mount them, volumes while they are bound, and volume attributes classes while claims or
/// volumes name them, by a finalizer.
struct VolumeProtection: Controller {
    private let context: ControllerContext
    private let resource: GroupVersionResource
    private let finalizer: String
    private let objects: Informer<Object>
    private let loop: ReconcileLoop
    private let isInUse: @Sendable (Object) -> Bool

    init(claims context: ControllerContext) {
        let informers = context.informers
        self.init(
            context, .persistentVolumeClaims, "kubernetes.io/pvc-protection", informers.claims,
            isInUse: { claim in
                informers.podsByNamespace[claim.namespace].contains { pod in
                    !pod.isFinished && !pod.nodeName.isEmpty && pod.claims.contains(claim.name)
                }
            })
        informers.pods.subscribe { [loop] event in
            guard let pod = event.versions.old, !pod.claims.isEmpty, event.versions.new.map(\.isFinished) ?? true
            else { return }
            for name in pod.claims { loop.queue.add(ObjectKey(namespace: pod.namespace, name: name)) }
        }
    }

    init(volumes context: ControllerContext) {
        self.init(
            context, .persistentVolumes, "kubernetes.io/pv-protection", context.informers.volumes,
            isInUse: { $0.tree["status"]["phase"].string == "Bound" })
    }

    init(classes context: ControllerContext) {
        let informers = context.informers
        self.init(
            context, .volumeAttributesClasses, "kubernetes.io/vac-protection", informers.volumeAttributesClasses,
            isInUse: { object in
                [informers.claims, informers.volumes].contains { users in
                    users.keys.contains { users[$0].map { Self.classes(of: $0).contains(object.name) } ?? false }
                }
            })
        for users in [informers.claims, informers.volumes] {
            users.subscribe { [loop] event in
                guard let old = event.versions.old else { return }
                for name in Self.classes(of: old) { loop.queue.add(ObjectKey(name: name)) }
            }
        }
    }

    /// The volume attributes classes that a claim or a volume has, wants or is changed to.
    private static func classes(of user: Object) -> Set<String> {
        let (spec, status) = (user.tree["spec"], user.tree["status"])
        return Set(
            [
                spec["volumeAttributesClassName"], status["currentVolumeAttributesClassName"],
                status["modifyVolumeStatus"]["targetVolumeAttributesClassName"],
            ].compactMap(\.string).filter { !$0.isEmpty })
    }

    private init(
        _ context: ControllerContext, _ resource: GroupVersionResource, _ finalizer: String,
        _ objects: Informer<Object>, isInUse: @escaping @Sendable (Object) -> Bool
    ) {
        self.context = context
        self.resource = resource
        self.finalizer = finalizer
        self.objects = objects
        self.isInUse = isInUse
        let informers = context.informers
        let loop = ReconcileLoop(
            workers: 2, logger: context.logger(for: finalizer),
            prepare: {
                await objects.waitUntilSynced()
                await informers.pods.waitUntilSynced()
                await informers.claims.waitUntilSynced()
                await informers.volumes.waitUntilSynced()
            },
            resync: { objects.keys })
        self.loop = loop
        objects.subscribe { event in
            if let object = event.versions.new { loop.queue.add(object.key) }
        }
    }

    func run() async {
        await loop.run { try await reconcile($0) }
    }

    private func reconcile(_ key: ObjectKey) async throws {
        guard let object = objects[key] else { return }
        let isHeld = object.metadata.finalizers.contains(finalizer)
        if object.metadata.isTerminating {
            guard isHeld, !isInUse(object) else { return }
            try await context.client.removeFinalizer(finalizer, resource, key, uid: object.uid)
        } else if !isHeld {
            try await context.client.modify(resource, key) { tree in
                let metadata = ObjectMetadata(tree["metadata"])
                guard metadata.uid == object.uid, !metadata.isTerminating, !metadata.finalizers.contains(finalizer)
                else { return false }
                tree["metadata"]["finalizers"] = JSON(metadata.finalizers + [finalizer])
                return true
            }
        }
    }
}
