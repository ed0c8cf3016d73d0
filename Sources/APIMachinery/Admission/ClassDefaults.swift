import JSON
import ObjectModel

/// The newest class that is annotated as default.
private func defaultClass(_ resource: GroupVersionResource, annotation: String, _ machinery: Machinery) -> String? {
    let marked = (machinery.cache(resource)?.all() ?? []).filter {
        $0.tree["metadata"]["annotations"][annotation].string == "true"
    }
    return marked.max {
        let left = $0.metadata.creationTimestamp?.microseconds ?? 0
        let right = $1.metadata.creationTimestamp?.microseconds ?? 0
        return left == right ? $0.name > $1.name : left < right
    }?.name
}

/// A claim that names no storage class gets the default one.
struct DefaultStorageClass: AdmissionPlugin {
    func admit(_ request: inout AdmissionRequest, in machinery: Machinery) throws {
        guard request.creates(.persistentVolumeClaims), request.object["spec"]["storageClassName"].isNull,
            request.object["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"].isNull
        else { return }
        let classes = GroupVersionResource(group: "storage.k8s.io", version: "v1", resource: "storageclasses")
        if let name = defaultClass(classes, annotation: "storageclass.kubernetes.io/is-default-class", machinery) {
            request.object["spec"]["storageClassName"] = .string(name)
        }
    }
}

/// An ingress that names no class gets the default one.
struct DefaultIngressClass: AdmissionPlugin {
    func admit(_ request: inout AdmissionRequest, in machinery: Machinery) throws {
        let ingresses = GroupVersionResource(group: "networking.k8s.io", version: "v1", resource: "ingresses")
        guard request.creates(ingresses), request.object["spec"]["ingressClassName"].isNull,
            request.object["metadata"]["annotations"]["kubernetes.io/ingress.class"].isNull
        else { return }
        let classes = GroupVersionResource(group: "networking.k8s.io", version: "v1", resource: "ingressclasses")
        if let name = defaultClass(classes, annotation: "ingressclass.kubernetes.io/is-default-class", machinery) {
            request.object["spec"]["ingressClassName"] = .string(name)
        }
    }
}

/// Volumes and claims that are in use are not removed under their users.
struct StorageObjectInUseProtection: AdmissionPlugin {
    func admit(_ request: inout AdmissionRequest, in machinery: Machinery) throws {
        let finalizer: String
        if request.creates(.persistentVolumeClaims) {
            finalizer = "kubernetes.io/pvc-protection"
        } else if request.creates(.persistentVolumes) {
            finalizer = "kubernetes.io/pv-protection"
        } else if request.creates(
            GroupVersionResource(group: "storage.k8s.io", version: "v1", resource: "volumeattributesclasses"))
        {
            finalizer = "kubernetes.io/vac-protection"
        } else {
            return
        }
        let known = request.object["metadata"]["finalizers"].elements
        if known.contains(.string(finalizer)) { return }
        request.object["metadata"]["finalizers"] = .array(known + [.string(finalizer)])
    }
}
