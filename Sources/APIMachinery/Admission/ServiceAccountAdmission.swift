import JSON
import ObjectModel

/// Gives every pod a service account, its pull secrets, and a volume with a token to reach the API.
struct ServiceAccountAdmission: AdmissionPlugin {
    private static let mountPath = "/var/run/secrets/kubernetes.io/serviceaccount"

    func admit(_ request: inout AdmissionRequest, in machinery: Machinery) throws {
        guard request.creates(.pods) else { return }
        // A mirror pod stands for one that runs already, without an account.
        if !request.object["metadata"]["annotations"]["kubernetes.io/config.mirror"].isNull { return }
        var spec = request.object["spec"]
        request.object["spec"] = .null
        defer { request.object["spec"] = spec }
        var name = spec["serviceAccountName"].string ?? ""
        if name.isEmpty { name = spec["serviceAccount"].string ?? "" }
        if name.isEmpty { name = "default" }
        spec["serviceAccountName"] = .string(name)
        spec["serviceAccount"] = .string(name)
        let key = ObjectKey(namespace: request.key.namespace, name: name)
        guard let account = machinery.cached(.serviceAccounts, key) else {
            throw request.forbidden(
                "error looking up service account \(key): serviceaccount \"\(name)\" not found")
        }
        let tree = account.tree
        if spec["imagePullSecrets"].elements.isEmpty, !tree["imagePullSecrets"].elements.isEmpty {
            spec["imagePullSecrets"] = tree["imagePullSecrets"]
        }
        let isMounted = spec["automountServiceAccountToken"].bool ?? tree["automountServiceAccountToken"].bool ?? true
        if isMounted { mount(&spec) }
    }

    private func mount(_ spec: inout JSON) {
        let known = spec["volumes"].elements.first { ($0["name"].string ?? "").hasPrefix("kube-api-access-") }
        let name = known?["name"].string ?? "kube-api-access-\(NameGenerator.suffix())"
        var isUsed = false
        for list in ["initContainers", "containers"] {
            for index in spec[list].elements.indices {
                var mounts = spec[list][index]["volumeMounts"].elements
                if mounts.contains(where: { $0["mountPath"].string == Self.mountPath }) { continue }
                mounts.append(["name": .string(name), "readOnly": true, "mountPath": .string(Self.mountPath)])
                spec[list][index]["volumeMounts"] = .array(mounts)
                isUsed = true
            }
        }
        guard isUsed, known == nil else { return }
        let volume: JSON = [
            "name": .string(name),
            "projected": [
                "defaultMode": 420,
                "sources": [
                    ["serviceAccountToken": ["expirationSeconds": 3607, "path": "token"]],
                    ["configMap": ["name": "kube-root-ca.crt", "items": [["key": "ca.crt", "path": "ca.crt"]]]],
                    [
                        "downwardAPI": [
                            "items": [
                                [
                                    "path": "namespace",
                                    "fieldRef": ["apiVersion": "v1", "fieldPath": "metadata.namespace"],
                                ]
                            ]
                        ]
                    ],
                ],
            ],
        ]
        spec["volumes"] = .array(spec["volumes"].elements + [volume])
    }
}
