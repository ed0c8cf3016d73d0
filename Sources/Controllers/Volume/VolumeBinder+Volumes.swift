import ClusterClient
import JSON
import ObjectModel

extension VolumeBinder {
    /// Follows one volume: free, bound, or left by its claim.
    func reconcileVolume(_ key: ObjectKey) async throws {
        guard let volume = informers.volumes[key] else { return }
        let tree = volume.tree
        guard let claimKey = VolumeMatch.claim(of: tree) else {
            guard !volume.metadata.isTerminating else { return }
            return try await setPhase(volume, "Available")
        }
        let uid = tree["spec"]["claimRef"]["uid"].string ?? ""
        // Reserved for a claim that has not come, or that the claim's own pass will bind.
        if uid.isEmpty {
            guard !volume.metadata.isTerminating else { return }
            return try await setPhase(volume, "Available")
        }
        guard let claim = try await claim(claimKey, uid: uid) else { return try await release(volume) }
        let wanted = claim.tree["spec"]["volumeName"].string ?? ""
        if wanted == volume.name { return try await setPhase(volume, "Bound") }
        if wanted.isEmpty {
            loop.queue.add(claimKey)
            return
        }
        // The claim went elsewhere while this volume was being bound to it.
        if tree["metadata"]["annotations"][VolumeMatch.provisionedBy].string != nil,
            tree["spec"]["persistentVolumeReclaimPolicy"].string == "Delete"
        {
            return try await release(volume)
        }
        try await unbind(volume)
    }

    /// The claim a volume is bound to; the API is asked when the cache does not have it, because data hangs on it.
    private func claim(_ key: ObjectKey, uid: String) async throws -> Object? {
        if let cached = informers.claims[key], cached.uid == uid { return cached }
        guard let live = try await context.client.find(.persistentVolumeClaims, key), live.uid == uid else {
            return nil
        }
        return live
    }

    private func unbind(_ volume: Object) async throws {
        var tree = volume.tree
        if tree["metadata"]["annotations"][VolumeMatch.boundByController].isNull {
            tree["spec"]["claimRef"].removeMember("uid")
            tree["spec"]["claimRef"].removeMember("resourceVersion")
        } else {
            tree["spec"].removeMember("claimRef")
            tree["metadata"]["annotations"].removeMember(VolumeMatch.boundByController)
        }
        let free = try await context.client.update(.persistentVolumes, tree)
        try await setPhase(free, "Available")
    }

    /// The claim is gone. Volumes that a provisioner made are removed by it; of the others nobody but their maker knows
    /// how.
    private func release(_ volume: Object) async throws {
        if volume.tree["status"]["phase"].string != "Failed" { try await setPhase(volume, "Released") }
        let policy = volume.tree["spec"]["persistentVolumeReclaimPolicy"].string ?? "Retain"
        let isProvisioned = volume.tree["metadata"]["annotations"][VolumeMatch.provisionedBy].string != nil
        guard policy != "Retain", !(policy == "Delete" && isProvisioned) else { return }
        let isRecycling = policy == "Recycle"
        let reason = isRecycling ? "VolumeFailedRecycle" : "VolumeFailedDelete"
        let message =
            isRecycling
            ? "No recycler plugin found for the volume!"
            : "error getting deleter volume plugin for volume \"\(volume.name)\": no deletable volume plugin matched"
        guard volume.tree["status"]["message"].string != message,
            let current = try await context.client.find(.persistentVolumes, volume.key), current.uid == volume.uid
        else { return }
        record(volume, .warning, reason, message)
        try await setPhase(current, "Failed", reason: reason, message: message)
    }
}
