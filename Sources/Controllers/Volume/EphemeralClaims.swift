import ClusterClient
import JSON
import ObjectModel

/// Makes the claims of generic ephemeral volumes: `POD-VOLUME`, owned by the pod and gone with it.
struct EphemeralClaims: Controller {
    private static let component = "ephemeral-volume-controller"
    private let context: ControllerContext
    private let loop: ReconcileLoop

    init(_ context: ControllerContext) {
        self.context = context
        let informers = context.informers
        let loop = ReconcileLoop(
            workers: 2, logger: context.logger(for: Self.component),
            prepare: {
                await informers.pods.waitUntilSynced()
                await informers.claims.waitUntilSynced()
            })
        self.loop = loop
        informers.pods.subscribe { event in
            guard let pod = event.versions.new, event.versions.old == nil, !Self.volumes(of: pod).isEmpty else {
                return
            }
            loop.queue.add(pod.key)
        }
        informers.claims.subscribe { event in
            // A claim that is gone is made again while its pod lives.
            guard case .deleted(let claim) = event, let owner = claim.metadata.controller, owner.kind == "Pod" else {
                return
            }
            loop.queue.add(ObjectKey(namespace: claim.namespace, name: owner.name))
        }
    }

    func run() async {
        await loop.run { try await reconcile($0) }
    }

    private static func volumes(of pod: PodView) -> [JSON] {
        if pod.claims.isEmpty { return [] }
        return pod.object.tree["spec"]["volumes"].elements.filter { !$0["ephemeral"].isNull }
    }

    private func reconcile(_ key: ObjectKey) async throws {
        guard let pod = context.informers.pods[key], pod.isActive else { return }
        for volume in Self.volumes(of: pod) {
            let name = "\(pod.name)-\(volume["name"].string ?? "")"
            let claimKey = ObjectKey(namespace: pod.namespace, name: name)
            if let known = context.informers.claims[claimKey] {
                if known.metadata.controller?.uid != pod.uid { throw Self.notOurs(claimKey, pod) }
                continue
            }
            let template = volume["ephemeral"]["volumeClaimTemplate"]
            var claim = template
            claim["apiVersion"] = "v1"
            claim["kind"] = "PersistentVolumeClaim"
            claim["metadata"]["name"] = .string(name)
            claim["metadata"]["namespace"] = .string(pod.namespace)
            claim["metadata"]["ownerReferences"] = [OwnerReference(controller: pod.object).json]
            do {
                try await context.client.create(.persistentVolumeClaims, claim)
            } catch let error as StatusError where error.reason == .alreadyExists {
                let live = try await context.client.find(.persistentVolumeClaims, claimKey)
                if let live, live.metadata.controller?.uid != pod.uid { throw Self.notOurs(claimKey, pod) }
            }
        }
    }

    private static func notOurs(_ claim: ObjectKey, _ pod: PodView) -> StatusError {
        .internalError("PVC \(claim) was not created for pod \(pod.key) (pod is not owner)")
    }
}
