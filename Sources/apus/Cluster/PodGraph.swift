import ClusterClient
import JSON
import ObjectModel
import Security

/// Answers what a node's pods refer to from the server's own cache, which knows the pods of each node by an index. No
/// copy is kept: node agents ask seldom, and a node has about a hundred pods.
struct PodGraph: NodeGraph {
    let client: ClusterClient

    func isNeeded(_ resource: GroupVersionResource, _ key: ObjectKey, byPodsOn node: String) async -> Bool {
        switch (resource.group, resource.resource) {
        case ("", "pods"):
            return await find(.pods, key)?.tree["spec"]["nodeName"].string == node
        case ("storage.k8s.io", "volumeattachments"):
            return await find(Self.attachments, key)?.tree["spec"]["nodeName"].string == node
        case ("", "persistentvolumes"):
            guard let volume = await find(.persistentVolumes, key)?.tree else { return false }
            return await uses(volume["spec"]["claimRef"], await pods(on: node, namespace: nil))
        case ("", "secrets"):
            let all = await pods(on: node, namespace: nil)
            if all.contains(where: { $0.namespace == key.namespace && refers($0, resource, key) }) { return true }
            return await isNamedByVolume(key, all)
        default:
            return await pods(on: node, namespace: key.namespace).contains { refers($0, resource, key) }
        }
    }

    private static let attachments = GroupVersionResource(
        group: "storage.k8s.io", version: "v1", resource: "volumeattachments")

    private func refers(_ pod: Object, _ resource: GroupVersionResource, _ key: ObjectKey) -> Bool {
        PodReferences.refers(pod.tree, to: resource.resource, name: key.name)
    }

    /// Whether one of the pods uses the claim that a volume is bound to.
    private func uses(_ claim: JSON, _ pods: [Object]) async -> Bool {
        guard let namespace = claim["namespace"].string, let name = claim["name"].string else { return false }
        return pods.contains {
            $0.namespace == namespace && PodReferences.refers($0.tree, to: "persistentvolumeclaims", name: name)
        }
    }

    /// Volumes of storage drivers name secrets, which the node needs to mount them.
    private func isNamedByVolume(_ secret: ObjectKey, _ pods: [Object]) async -> Bool {
        for pod in pods {
            for name in PodReferences.claims(of: pod.tree) {
                let key = ObjectKey(namespace: pod.namespace, name: name)
                guard let claim = await find(.persistentVolumeClaims, key)?.tree,
                    let volumeName = claim["spec"]["volumeName"].string,
                    let volume = await find(.persistentVolumes, ObjectKey(name: volumeName))?.tree,
                    PodReferences.secrets(ofVolume: volume).contains(secret),
                    await uses(volume["spec"]["claimRef"], [pod])
                else { continue }
                return true
            }
        }
        return false
    }

    private func pods(on node: String, namespace: String?) async -> [Object] {
        var options = ListOptions(
            fieldSelector: FieldSelector([
                FieldSelector.Requirement(field: "spec.nodeName", value: node, isEqual: true)
            ]))
        options.resourceVersion = "0"
        return (try? await client.list(.pods, namespace: namespace, options: options).items) ?? []
    }

    private func find(_ resource: GroupVersionResource, _ key: ObjectKey) async -> Object? {
        try? await client.find(resource, key)
    }
}
