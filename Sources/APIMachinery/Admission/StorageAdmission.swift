import JSON
import ObjectModel

/// A claim grows only when it is bound and its class says that its volumes can.
struct PersistentVolumeClaimResize: AdmissionPlugin {
    func validate(_ request: AdmissionRequest, in machinery: Machinery) throws {
        guard request.operation == .update, request.subresource == nil,
            request.place == GroupVersionResource.persistentVolumeClaims.groupResource, let old = request.old?.tree,
            let before = Quantity(old["spec"]["resources"]["requests"]["storage"]),
            let after = Quantity(request.object["spec"]["resources"]["requests"]["storage"]), after > before
        else { return }
        guard old["status"]["phase"].string == "Bound" else {
            throw request.forbidden("Only bound persistent volume claims can be expanded")
        }
        let classes = GroupVersionResource(group: "storage.k8s.io", version: "v1", resource: "storageclasses")
        let name =
            request.object["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"].string
            ?? request.object["spec"]["storageClassName"].string ?? ""
        guard !name.isEmpty,
            machinery.cached(classes, ObjectKey(name: name))?.tree["allowVolumeExpansion"].bool == true
        else {
            throw request.forbidden(
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support "
                    + "resize")
        }
    }
}

/// There is one default priority class.
struct PriorityClassAdmission: AdmissionPlugin {
    func validate(_ request: AdmissionRequest, in machinery: Machinery) throws {
        let classes = GroupVersionResource(group: "scheduling.k8s.io", version: "v1", resource: "priorityclasses")
        guard request.place == classes.groupResource, request.operation != .delete,
            request.object["globalDefault"].bool == true
        else { return }
        for other in machinery.cache(classes)?.all() ?? []
        where other.name != request.key.name && other.tree["globalDefault"].bool == true {
            throw request.forbidden(
                "PriorityClass \(other.name) is already marked as default. Only one default can exist")
        }
    }
}

/// A mirror pod stands for one that its node runs by itself: it gets nothing from the API.
struct MirrorPodAdmission: AdmissionPlugin {
    func validate(_ request: AdmissionRequest, in machinery: Machinery) throws {
        guard request.creates(.pods),
            !request.object["metadata"]["annotations"]["kubernetes.io/config.mirror"].isNull
        else { return }
        let spec = request.object["spec"]
        if !(spec["serviceAccountName"].string ?? "").isEmpty {
            throw request.forbidden("a mirror pod may not reference service accounts")
        }
        let containers =
            spec["initContainers"].elements + spec["containers"].elements + spec["ephemeralContainers"].elements
        let sources = containers.flatMap { container in
            container["envFrom"].elements + container["env"].elements.map { $0["valueFrom"] }
        }
        func mentions(_ names: [String], volume: String) -> Bool {
            sources.contains { source in names.contains { !source[$0].isNull } }
                || spec["volumes"].elements.contains { entry in
                    !entry[volume].isNull
                        || entry["projected"]["sources"].elements.contains { !$0[volume].isNull }
                }
        }
        if mentions(["secretRef", "secretKeyRef"], volume: "secret") || !spec["imagePullSecrets"].elements.isEmpty {
            throw request.forbidden("a mirror pod may not reference secrets")
        }
        if mentions(["configMapRef", "configMapKeyRef"], volume: "configMap") {
            throw request.forbidden("a mirror pod may not reference configmaps")
        }
        if mentions([], volume: "persistentVolumeClaim") {
            throw request.forbidden("a mirror pod may not reference persistentvolumeclaims")
        }
        if mentions([], volume: "serviceAccountToken") {
            throw request.forbidden("a mirror pod may not use ServiceAccountToken volume projections")
        }
        if !spec["resourceClaims"].elements.isEmpty {
            throw request.forbidden("a mirror pod may not reference resource claims")
        }
    }
}
