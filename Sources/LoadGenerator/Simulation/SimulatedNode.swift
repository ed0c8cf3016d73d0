import JSON

/// What a simulated node says of itself.
struct SimulatedNode: Sendable {
    let name: String
    /// From the range for benchmarks (RFC 2544): nothing answers there.
    let address: String

    init(prefix: String, index: Int) {
        name = "\(prefix)-\(index)"
        address = "198.19.\(index / 250 % 256).\(index % 250 + 1)"
    }

    func manifest(_ settings: SimulatedNodes.Settings) -> JSON {
        var labels = settings.labels
        labels["kubernetes.io/hostname"] = name
        labels["kubernetes.io/os"] = "linux"
        labels[SimulatedNodes.label] = "true"
        return [
            "apiVersion": "v1", "kind": "Node", "metadata": ["name": .string(name), "labels": JSON(labels)],
            "spec": [:],
        ]
    }

    func status(_ settings: SimulatedNodes.Settings, now: String) -> JSON {
        let capacity: JSON = [
            "cpu": .string(settings.cpu), "memory": .string(settings.memory),
            "ephemeral-storage": .string(settings.disk), "pods": .string(String(settings.pods)),
        ]
        let conditions: [JSON] = [
            ("Ready", "True", "Simulated"), ("MemoryPressure", "False", "Simulated"),
            ("DiskPressure", "False", "Simulated"), ("PIDPressure", "False", "Simulated"),
        ].map { type, status, reason in
            [
                "type": .string(type), "status": .string(status), "reason": .string(reason),
                "lastHeartbeatTime": .string(now), "lastTransitionTime": .string(now),
            ]
        }
        return [
            "status": [
                "capacity": capacity, "allocatable": capacity, "conditions": .array(conditions),
                "addresses": [
                    ["type": "InternalIP", "address": .string(address)],
                    ["type": "Hostname", "address": .string(name)],
                ],
            ]
        ]
    }

    func lease(now: String) -> JSON {
        [
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": ["name": .string(name), "namespace": "kube-node-lease"],
            "spec": ["holderIdentity": .string(name), "leaseDurationSeconds": 40, "renewTime": .string(now)],
        ]
    }
}
