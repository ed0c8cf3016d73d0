import JSON
import ObjectModel

/// Defaults that depend on other members, by type. `before` runs on the way down, `after` on the way up.
enum ComputedDefaults {
    static let before: [String: ComputedDefault] = [
        "core.v1.Volume": volume,
        "core.v1.Container": container,
        "core.v1.EphemeralContainer": container,
        "core.v1.PodSpec": podSpec,
        "core.v1.Secret": secret,
        "core.v1.ServiceSpec": serviceSpec,
        "core.v1.Namespace": namespace,
        "apps.v1.DeploymentStrategy": rollingUpdate,
        "apps.v1.StatefulSetUpdateStrategy": rollingUpdate,
        "apps.v1.DaemonSetUpdateStrategy": rollingUpdate,
        "apps.v1.StatefulSetSpec": claimTemplates,
        "autoscaling.v2.HorizontalPodAutoscalerSpec": autoscalerSpec,
        "autoscaling.v2.HorizontalPodAutoscalerBehavior": autoscalerBehavior,
        "core.v1.ClientIPConfig": { members in members.fill("timeoutSeconds", 10_800) },
    ]
    static let after: [String: ComputedDefault] = [
        "core.v1.Pod": pod,
        "core.v1.ReplicationController": replicationController,
        "core.v1.Service": service,
        "core.v1.ServicePort": servicePort,
        "core.v1.NodeStatus": nodeStatus,
        "core.v1.LimitRangeItem": limitRangeItem,
        "batch.v1.Job": job,
        "networking.v1.NetworkPolicySpec": networkPolicySpec,
        "rbac.v1.Subject": subject,
        "apiextensions.v1.CustomResourceDefinition": customResourceDefinition,
        "apiextensions.v1.CustomResourceDefinitionNames": customResourceNames,
        "resource.v1.ExactDeviceRequest": deviceRequest,
        "resource.v1.DeviceSubRequest": deviceRequest,
    ]

    // MARK: Small kinds

    /// `stringData` is write-only: it lands in `data`, where it wins.
    private static let secret: ComputedDefault = { members in
        guard let plain = members.removeValue(forKey: "stringData") else { return }
        var data = members["data"]?.object ?? [:]
        for (key, value) in plain.members { data[key] = .string(Base64.encode((value.string ?? "").utf8)) }
        if !data.isEmpty { members["data"] = .object(data) }
    }

    private static let namespace: ComputedDefault = { members in
        // Emptying the finalizers is how a deleted namespace is let go, and clients leave out an empty list.
        if members["metadata"]?["deletionTimestamp"].isNull ?? true, members["spec"]?["finalizers"].isNull ?? true {
            members["spec", default: [:]]["finalizers"] = ["kubernetes"]
        }
        guard let name = members["metadata"]?["name"].string, !name.isEmpty else { return }
        if members["metadata"]?["labels"]["kubernetes.io/metadata.name"].string != name {
            members["metadata", default: [:]]["labels"]["kubernetes.io/metadata.name"] = .string(name)
        }
    }

    private static let nodeStatus: ComputedDefault = { members in
        if members["allocatable"] == nil, let capacity = members["capacity"] { members["allocatable"] = capacity }
    }

    private static let limitRangeItem: ComputedDefault = { members in
        guard members["type"]?.string == "Container" else { return }
        func fill(_ name: String, from source: String) {
            guard let values = members[source]?.object else { return }
            for (resource, value) in values where members[name]?[resource].isNull ?? true {
                members[name, default: [:]][resource] = value
            }
        }
        fill("default", from: "max")
        fill("defaultRequest", from: "default")
        fill("defaultRequest", from: "min")
    }

    private static let networkPolicySpec: ComputedDefault = { members in
        guard members["policyTypes"]?.elements.isEmpty ?? true else { return }
        let hasEgress = !(members["egress"]?.elements.isEmpty ?? true)
        members["policyTypes"] = hasEgress ? ["Ingress", "Egress"] : ["Ingress"]
    }

    private static let subject: ComputedDefault = { members in
        guard members["apiGroup"]?.string?.isEmpty ?? true else { return }
        switch members["kind"]?.string {
        case "User", "Group": members["apiGroup"] = "rbac.authorization.k8s.io"
        default: break
        }
    }

    private static let deviceRequest: ComputedDefault = { members in
        if members["allocationMode"]?.string == "ExactCount" { members.fill("count", 1) }
    }

    private static let customResourceNames: ComputedDefault = { members in
        guard let kind = members["kind"]?.string, !kind.isEmpty else { return }
        members.fillEmpty("singular", kind.lowercased())
        members.fillEmpty("listKind", kind + "List")
    }

    private static let customResourceDefinition: ComputedDefault = { members in
        guard let status = members["status"], status["storedVersions"].elements.isEmpty else { return }
        let stored = (members["spec"]?["versions"].elements ?? []).filter { $0["storage"].bool == true }.map {
            $0["name"]
        }
        members["status", default: [:]]["storedVersions"] = .array(stored)
        if status["conditions"].isNull { members["status", default: [:]]["conditions"] = [] }
    }

    // MARK: Autoscaling

    private static let autoscalerSpec: ComputedDefault = { members in
        guard members["metrics"]?.elements.isEmpty ?? true else { return }
        members["metrics"] = [
            [
                "type": "Resource",
                "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": 80]],
            ]
        ]
    }

    private static let autoscalerBehavior: ComputedDefault = { members in
        func fill(_ direction: String, _ rules: JSONObject) {
            var own = members[direction]?.object ?? [:]
            for (name, value) in rules where own[name] == nil { own[name] = value }
            members[direction] = .object(own)
        }
        let percent: JSON = ["type": "Percent", "value": 100, "periodSeconds": 15]
        let pods: JSON = ["type": "Pods", "value": 4, "periodSeconds": 15]
        fill("scaleUp", ["stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [pods, percent]])
        fill("scaleDown", ["selectPolicy": "Max", "policies": [percent]])
    }
}

extension JSONObject {
    /// Sets a member that is absent.
    mutating func fill(_ name: String, _ value: JSON) {
        if self[name] == nil { self[name] = value }
    }
    /// Sets a text that is absent or empty.
    mutating func fillEmpty(_ name: String, _ text: String) {
        if self[name]?.string?.isEmpty ?? true { self[name] = .string(text) }
    }
}
