import ClusterClient
import JSON
import ObjectModel

/// The kinds in which the windows keep what is theirs: custom resources like any other, so that kubectl shows and
/// changes them.
struct WindowKinds {
    private struct Kind {
        var group: String
        var plural: String
        var singular: String
        var kind: String
        var isNamespaced: Bool
        var columns: [(name: String, type: String, path: String)] = []
        /// Where the number is that `kubectl scale` changes.
        var scale: String?

        var name: String { "\(plural).\(group)" }
    }

    private static let mesos = "mesos.apus.dev"
    private static let marathon = "marathon.apus.dev"
    private static let all = [
        Kind(
            group: mesos, plural: "frameworks", singular: "framework", kind: "Framework", isNamespaced: false,
            columns: [
                ("Framework", "string", ".spec.info.name"), ("Principal", "string", ".spec.principal"),
                ("Completed", "boolean", ".status.completed"),
            ]),
        Kind(
            group: mesos, plural: "tasks", singular: "task", kind: "Task", isNamespaced: true,
            columns: [
                ("Executor", "string", ".spec.executorID"), ("Node", "string", ".spec.node"),
                ("State", "string", ".status.state"),
            ]),
        Kind(
            group: mesos, plural: "roles", singular: "role", kind: "Role", isNamespaced: false,
            columns: [("Role", "string", ".spec.role"), ("Weight", "number", ".spec.weight")]),
        Kind(
            group: mesos, plural: "agents", singular: "agent", kind: "Agent", isNamespaced: false,
            columns: [("ID", "string", ".spec.id"), ("State", "string", ".spec.state")]),
        Kind(
            group: mesos, plural: "maintenances", singular: "maintenance", kind: "Maintenance", isNamespaced: false),
        Kind(
            group: marathon, plural: "marathonapps", singular: "marathonapp", kind: "MarathonApp", isNamespaced: true,
            columns: [("App", "string", ".spec.id"), ("Instances", "integer", ".spec.instances")],
            scale: ".spec.instances"),
        Kind(
            group: marathon, plural: "marathonpods", singular: "marathonpod", kind: "MarathonPod", isNamespaced: true,
            columns: [("Pod", "string", ".spec.id"), ("Instances", "integer", ".spec.scaling.instances")],
            scale: ".spec.scaling.instances"),
        Kind(
            group: marathon, plural: "marathongroups", singular: "marathongroup", kind: "MarathonGroup",
            isNamespaced: true, columns: [("Group", "string", ".spec.id")]),
        Kind(
            group: marathon, plural: "marathondeployments", singular: "marathondeployment",
            kind: "MarathonDeployment", isNamespaced: true),
        Kind(
            group: "metronome.apus.dev", plural: "metronomejobs", singular: "metronomejob", kind: "MetronomeJob",
            isNamespaced: true,
            columns: [
                ("Schedule", "string", ".spec.schedules[0].cron"), ("Successes", "integer", ".status.successCount"),
                ("Failures", "integer", ".status.failureCount"), ("Last", "string", ".status.lastSuccessAt"),
            ]),
        Kind(
            group: "chronos.apus.dev", plural: "chronosjobs", singular: "chronosjob", kind: "ChronosJob",
            isNamespaced: true,
            columns: [
                ("Schedule", "string", ".spec.schedule"), ("Successes", "integer", ".status.successCount"),
                ("Errors", "integer", ".status.errorCount"), ("Last", "string", ".status.lastSuccess"),
            ]),
    ]

    private static let definitions = GroupVersionResource(
        group: "apiextensions.k8s.io", version: "v1", resource: "customresourcedefinitions")

    /// Makes or renews the definitions, and waits until all of them are served.
    static func ensure(_ client: ClusterClient) async throws {
        for kind in all {
            let wanted = definition(kind)
            let written = try await client.modify(definitions, ObjectKey(name: kind.name)) { tree in
                // Only what is said here: defaults that the server filled in stay.
                guard tree["spec"]["versions"] != wanted["spec"]["versions"] else { return false }
                tree["spec"] = wanted["spec"]
                return true
            }
            if written == nil { try await client.create(definitions, wanted) }
        }
        // The API answers for a kind once it is established; a start that waits forever would help nobody.
        for kind in all {
            for _ in 0..<1000 {
                let object = try await client.find(definitions, ObjectKey(name: kind.name))
                let isServed = object?.tree["status"]["conditions"].elements.contains {
                    $0["type"].string == "Established" && $0["status"].string == "True"
                }
                if isServed == true { break }
                try await Task.sleep(for: .milliseconds(10))
            }
        }
    }

    private static func definition(_ kind: Kind) -> JSON {
        let free: JSON = ["type": "object", "x-kubernetes-preserve-unknown-fields": true]
        var version: JSON = [
            "name": "v1", "served": true, "storage": true,
            "schema": [
                "openAPIV3Schema": [
                    "type": "object", "properties": ["spec": free, "status": free],
                    "x-kubernetes-preserve-unknown-fields": true,
                ]
            ],
        ]
        if !kind.columns.isEmpty {
            version["additionalPrinterColumns"] = .array(
                kind.columns.map { ["name": .string($0.name), "type": .string($0.type), "jsonPath": .string($0.path)] })
        }
        if let path = kind.scale {
            version["subresources"] = [
                "scale": ["specReplicasPath": .string(path), "statusReplicasPath": ".status.instances"]
            ]
        }
        return [
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": ["name": .string(kind.name)],
            "spec": [
                "group": .string(kind.group), "scope": kind.isNamespaced ? "Namespaced" : "Cluster",
                "names": [
                    "plural": .string(kind.plural), "singular": .string(kind.singular), "kind": .string(kind.kind),
                    "listKind": .string(kind.kind + "List"),
                ],
                "versions": [version],
            ],
        ]
    }
}
