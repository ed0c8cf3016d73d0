public import JSON
public import ObjectModel

/// What a pod, or a volume that it uses, refers to by name: the ground on which a node agent may read an object.
public enum PodReferences {
    /// True when the pod refers to an object of its own namespace.
    ///
    /// A mirror pod refers to nothing: a node makes those itself, and could make one that names any secret.
    /// - Parameter resource: `secrets`, `configmaps`, `persistentvolumeclaims`, `serviceaccounts` or `resourceclaims`.
    public static func refers(_ pod: JSON, to resource: String, name: String) -> Bool {
        guard pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].isNull else { return false }
        let spec = pod["spec"]
        switch resource {
        case "serviceaccounts": return spec["serviceAccountName"].string == name
        case "persistentvolumeclaims": return claims(of: pod).contains(name)
        case "resourceclaims":
            return spec["resourceClaims"].elements.contains { $0["resourceClaimName"].string == name }
                || pod["status"]["resourceClaimStatuses"].elements.contains {
                    $0["resourceClaimName"].string == name
                }
        case "configmaps":
            return environment(of: spec, "configMapKeyRef", "configMapRef", name)
                || sources(of: spec).contains { $0["configMap"]["name"].string == name }
        case "secrets":
            return environment(of: spec, "secretKeyRef", "secretRef", name)
                || spec["imagePullSecrets"].elements.contains { $0["name"].string == name }
                || sources(of: spec).contains { secrets(of: $0).contains(name) }
        default: return false
        }
    }

    /// Names of the persistent volume claims that a pod uses, in its own namespace.
    public static func claims(of pod: JSON) -> [String] {
        pod["spec"]["volumes"].elements.compactMap { volume in
            if let name = volume["persistentVolumeClaim"]["claimName"].string { return name }
            guard volume["ephemeral"].object != nil, let own = volume["name"].string else { return nil }
            return (pod["metadata"]["name"].string ?? "") + "-" + own
        }
    }

    /// Secrets that a persistent volume names; without a namespace they are in that of the claim.
    public static func secrets(ofVolume volume: JSON) -> [ObjectKey] {
        let spec = volume["spec"]
        let home = spec["claimRef"]["namespace"].string ?? ""
        var found: [ObjectKey] = []
        func add(_ reference: JSON) {
            guard let name = reference["name"].string, !name.isEmpty else { return }
            found.append(ObjectKey(namespace: reference["namespace"].string ?? home, name: name))
        }
        for (_, source) in spec.members {
            for member in [
                "secretRef", "nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef",
                "controllerPublishSecretRef", "controllerExpandSecretRef",
            ] {
                add(source[member])
            }
        }
        let azure = spec["azureFile"]
        if let name = azure["secretName"].string {
            found.append(ObjectKey(namespace: azure["secretNamespace"].string ?? home, name: name))
        }
        return found
    }

    /// A pod's volume sources, those of projected volumes taken apart.
    private static func sources(of spec: JSON) -> [JSON] {
        spec["volumes"].elements.flatMap { [$0] + $0["projected"]["sources"].elements }
    }

    private static func secrets(of source: JSON) -> [String] {
        var names = [source["secret"]["secretName"].string, source["secret"]["name"].string]
        names.append(source["azureFile"]["secretName"].string)
        for (_, volume) in source.members {
            for member in ["secretRef", "nodePublishSecretRef"] { names.append(volume[member]["name"].string) }
        }
        return names.compactMap(\.self)
    }

    private static func environment(of spec: JSON, _ one: String, _ all: String, _ name: String) -> Bool {
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            for container in spec[list].elements {
                if container["env"].elements.contains(where: { $0["valueFrom"][one]["name"].string == name }) {
                    return true
                }
                if container["envFrom"].elements.contains(where: { $0[all]["name"].string == name }) { return true }
            }
        }
        return false
    }
}
