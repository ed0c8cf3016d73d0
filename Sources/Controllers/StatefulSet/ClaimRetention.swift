import ClusterClient
import JSON
import ObjectModel

/// `persistentVolumeClaimRetentionPolicy` by owner references: a claim that should go with its set is owned by the set,
/// one that should go with its pod when the set shrinks is owned by that pod. The garbage collector does the rest.
struct ClaimRetention: Sendable {
    let client: ClusterClient
    let informers: SharedInformers

    private func claims(of pod: PodView, _ set: Object) -> [Object] {
        set.tree["spec"]["volumeClaimTemplates"].elements.compactMap { template in
            let name = "\(template["metadata"]["name"].string ?? "")-\(pod.name)"
            return informers.claims[ObjectKey(namespace: set.namespace, name: name)]
        }
    }

    private func deletes(_ set: Object, _ when: String) -> Bool {
        set.tree["spec"]["persistentVolumeClaimRetentionPolicy"][when].string == "Delete"
    }

    /// Makes the set own the claims of a pod, or own them no more, as the policy says now.
    func followPolicy(_ pod: PodView, _ set: Object) async throws {
        let owns = deletes(set, "whenDeleted")
        for claim in claims(of: pod, set) {
            let isOwned = claim.metadata.ownerReferences.contains { $0.uid == set.uid }
            guard owns != isOwned else { continue }
            try await edit(claim) { references in
                references.removeAll { $0["uid"].string == set.uid }
                if owns { references.append(OwnerReference(controller: set).json) }
            }
        }
    }

    /// Before a pod goes because the set shrinks: its claims go after it, if the policy says so.
    func scaleDown(_ pod: PodView, _ set: Object) async throws {
        guard deletes(set, "whenScaled") else { return }
        for template in set.tree["spec"]["volumeClaimTemplates"].elements {
            // Live: one that the cache does not show yet would stay for ever.
            let name = "\(template["metadata"]["name"].string ?? "")-\(pod.name)"
            let key = ObjectKey(namespace: set.namespace, name: name)
            guard let claim = try await client.find(.persistentVolumeClaims, key),
                !claim.metadata.ownerReferences.contains(where: { $0.uid == pod.uid })
            else { continue }
            try await edit(claim) { references in
                references.append(
                    OwnerReference(
                        apiVersion: "v1", kind: "Pod", name: pod.name, uid: pod.uid, controller: false,
                        blockOwnerDeletion: false
                    ).json)
            }
        }
    }

    /// A claim that is used again must not go with a pod that was removed before.
    func keep(_ claim: Object) async throws {
        guard claim.metadata.ownerReferences.contains(where: { $0.kind == "Pod" }) else { return }
        try await edit(claim) { references in references.removeAll { $0["kind"].string == "Pod" } }
    }

    private func edit(_ claim: Object, _ change: @Sendable (inout [JSON]) -> Void) async throws {
        try await client.modify(.persistentVolumeClaims, claim.key) { tree in
            guard tree["metadata"]["uid"].string == claim.uid else { return false }
            let before = tree["metadata"]["ownerReferences"].elements
            var references = before
            change(&references)
            tree["metadata"].setMember("ownerReferences", references.isEmpty ? nil : .array(references))
            return references != before
        }
    }
}
