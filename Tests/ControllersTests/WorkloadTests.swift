import ClusterClient
import JSON
import ObjectModel
import Testing

/// The controllers against the real API, with pods that run at once.
@Suite struct WorkloadTests {
    @Test("A deployment rolls out, rolls forward, keeps its history and rolls back")
    func rollout() async throws {
        try await TestCluster.run { cluster in
            var manifest = TestCluster.deployment("web")
            manifest["metadata"]["annotations"] = ["kubernetes.io/change-cause": "first"]
            try await cluster.client.create(.deployments, manifest)
            try await cluster.eventually("three available replicas", { try await cluster.find(.deployments, "web") }) {
                let status = $0?["status"] ?? .null
                return status["availableReplicas"].int == 3 && status["observedGeneration"].int == 1
                    && status["conditions"].elements.contains { $0["reason"].string == "NewReplicaSetAvailable" }
            }
            let first = try #require(try await cluster.list(.replicaSets).first)
            #expect(first.tree["metadata"]["annotations"]["deployment.kubernetes.io/revision"].string == "1")
            #expect(first.tree["metadata"]["annotations"]["kubernetes.io/change-cause"].string == "first")
            let hash = first.metadata.labels["pod-template-hash"] ?? ""
            #expect(first.name == "web-\(hash)")

            try await cluster.setImage("web", "i:2", cause: "second")
            try await cluster.eventually("the new template alone", { try await cluster.list(.pods) }) { pods in
                pods.count == 3 && pods.allSatisfy { $0.tree["spec"]["containers"][0]["image"].string == "i:2" }
            }
            try await cluster.eventually("two revisions", { try await cluster.revisions() }) { $0 == [1, 2] }
            #expect(try await cluster.find(.deployments, "web")?.revision == "2")

            // What `kubectl rollout undo` does: the template of the old set again.
            try await cluster.setImage("web", "i:1", cause: nil)
            try await cluster.eventually("the old template again", { try await cluster.list(.pods) }) { pods in
                pods.count == 3 && pods.allSatisfy { $0.tree["spec"]["containers"][0]["image"].string == "i:1" }
            }
            try await cluster.eventually("a bumped revision", { try await cluster.revisions() }) { $0 == [2, 3] }
            let sets = try await cluster.list(.replicaSets)
            #expect(sets.count == 2)
            let again = sets.first { $0.uid == first.uid }?.tree["metadata"]["annotations"]
            #expect(again?["deployment.kubernetes.io/revision-history"].string == "1")
        }
    }

    @Test("A broken template takes nothing down and reports what is missing")
    func brokenTemplate() async throws {
        try await TestCluster.run { cluster in
            let strategy: JSON = ["type": "RollingUpdate", "rollingUpdate": ["maxSurge": 1, "maxUnavailable": 0]]
            try await cluster.client.create(.deployments, TestCluster.deployment("web", strategy: strategy))
            try await cluster.eventually("three available", { try await cluster.find(.deployments, "web") }) {
                $0?["status"]["availableReplicas"].int == 3
            }
            try await cluster.setImage("web", "broken", cause: nil)
            try await cluster.eventually("one surge pod", { try await cluster.find(.deployments, "web") }) {
                $0?["status"]["replicas"].int == 4 && $0?["status"]["updatedReplicas"].int == 1
                    && $0?["status"]["unavailableReplicas"].int == 1 && $0?["status"]["availableReplicas"].int == 3
            }
            try await cluster.setImage("web", "i:1", cause: nil)
            try await cluster.eventually("three again", { try await cluster.find(.deployments, "web") }) {
                $0?["status"]["replicas"].int == 3 && $0?["status"]["updatedReplicas"].int == 3
            }
        }
    }

    @Test("Recreate never runs two templates at a time, and scaling follows")
    func recreate() async throws {
        try await TestCluster.run { cluster in
            try await cluster.client.create(
                .deployments, TestCluster.deployment("web", replicas: 2, strategy: ["type": "Recreate"]))
            try await cluster.eventually("two", { try await cluster.list(.pods).count }) { $0 == 2 }
            try await cluster.setImage("web", "i:2", cause: nil)
            try await cluster.eventually("the new ones", { try await cluster.list(.pods) }) { pods in
                let images = Set(pods.map { $0.tree["spec"]["containers"][0]["image"].string ?? "" })
                #expect(images.count <= 1)
                return pods.count == 2 && images == ["i:2"]
            }
            try await cluster.client.patch(
                .deployments, ObjectKey(namespace: "default", name: "web"), .merge, ["spec": ["replicas": 5]])
            try await cluster.eventually("five", { try await cluster.find(.deployments, "web") }) {
                $0?["status"]["availableReplicas"].int == 5
            }
        }
    }

    @Test("A replica set adopts, releases, replaces and removes, never one too many")
    func replicaSet() async throws {
        try await TestCluster.run { cluster in
            try await cluster.client.create(.pods, TestCluster.pod("stray", labels: ["app": "rs"]))
            try await cluster.client.create(
                .replicaSets,
                [
                    "apiVersion": "apps/v1", "kind": "ReplicaSet",
                    "metadata": ["name": "rs", "namespace": "default"],
                    "spec": [
                        "replicas": 4, "selector": ["matchLabels": ["app": "rs"]],
                        "template": TestCluster.template("rs"),
                    ],
                ])
            try await cluster.eventually("four ready", { try await cluster.find(.replicaSets, "rs") }) {
                $0?["status"]["readyReplicas"].int == 4
            }
            var pods = try await cluster.list(.pods)
            #expect(pods.count == 4)
            #expect(pods.allSatisfy { $0.metadata.controller?.name == "rs" })
            // One leaves the selector: it is released and replaced.
            try await cluster.client.patch(
                .pods, ObjectKey(namespace: "default", name: "stray"), .merge, ["metadata": ["labels": ["app": "x"]]])
            try await cluster.eventually("a replacement", { try await cluster.list(.pods) }) { pods in
                pods.count == 5 && pods.first { $0.name == "stray" }?.metadata.ownerReferences.isEmpty == true
            }
            try await cluster.client.patch(
                .replicaSets, ObjectKey(namespace: "default", name: "rs"), .merge, ["spec": ["replicas": 1]])
            try await cluster.eventually("one left", { try await cluster.find(.replicaSets, "rs") }) {
                $0?["status"]["replicas"].int == 1
            }
            pods = try await cluster.list(.pods)
            #expect(pods.count { $0.metadata.labels["app"] == "rs" && !$0.metadata.isTerminating } == 1)
            try await cluster.eventually("events", { try await cluster.list(.events).map(\.tree) }) { events in
                events.contains { $0["reason"].string == "SuccessfulCreate" }
                    && events.contains { $0["message"].string?.hasPrefix("Deleted pod: rs-") == true }
            }
        }
    }

    @Test("Endpoints and slices follow pods, and mirror hand-made ones")
    func endpoints() async throws {
        try await TestCluster.run { cluster in
            try await cluster.client.create(
                .services,
                [
                    "apiVersion": "v1", "kind": "Service", "metadata": ["name": "web", "namespace": "default"],
                    "spec": ["selector": ["app": "web"], "ports": [["port": 80, "targetPort": "http"]]],
                ])
            try await cluster.eventually("an empty slice", { try await cluster.slices("web") }) { slices in
                slices.count == 1 && slices[0]["endpoints"].elements.isEmpty
            }
            try await cluster.client.create(.deployments, TestCluster.deployment("web", replicas: 2))
            try await cluster.eventually("two ready endpoints", { try await cluster.slices("web") }) { slices in
                slices.count == 1 && slices[0]["ports"][0]["port"].int == 8080
                    && slices[0]["endpoints"].elements.count { $0["conditions"]["ready"].bool == true } == 2
            }
            try await cluster.eventually("two addresses", { try await cluster.find(.endpoints, "web") }) {
                $0?["subsets"][0]["addresses"].elements.count == 2
            }
            try await cluster.client.create(
                .services,
                [
                    "apiVersion": "v1", "kind": "Service", "metadata": ["name": "ext", "namespace": "default"],
                    "spec": ["ports": [["port": 80]]],
                ])
            try await cluster.client.create(
                .endpoints,
                [
                    "apiVersion": "v1", "kind": "Endpoints", "metadata": ["name": "ext", "namespace": "default"],
                    "subsets": [["addresses": [["ip": "192.0.2.7"]], "ports": [["port": 8080]]]],
                ])
            try await cluster.eventually("a mirrored slice", { try await cluster.slices("ext") }) { slices in
                slices.count == 1 && slices[0]["endpoints"][0]["addresses"][0].string == "192.0.2.7"
            }
            try await cluster.client.delete(.services, ObjectKey(namespace: "default", name: "web"))
            try await cluster.eventually("nothing left", { try await cluster.slices("web") }) { $0.isEmpty }
            try await cluster.eventually("no endpoints", { try await cluster.find(.endpoints, "web") }) { $0 == nil }
        }
    }
}

extension JSON {
    fileprivate var revision: String? { self["metadata"]["annotations"]["deployment.kubernetes.io/revision"].string }
}

extension TestCluster {
    fileprivate func setImage(_ name: String, _ image: String, cause: String?) async throws {
        var patch: JSON = ["spec": ["template": ["spec": ["containers": [["name": "c", "image": .string(image)]]]]]]
        if let cause { patch["metadata"]["annotations"] = ["kubernetes.io/change-cause": .string(cause)] }
        try await client.patch(.deployments, ObjectKey(namespace: "default", name: name), .strategicMerge, patch)
    }
    fileprivate func revisions() async throws -> [Int] {
        try await list(.replicaSets).compactMap { $0.tree.revision.flatMap { Int($0) } }.sorted()
    }
    fileprivate func slices(_ service: String) async throws -> [JSON] {
        try await list(.endpointSlices).filter { $0.metadata.labels["kubernetes.io/service-name"] == service }
            .map(\.tree)
    }
}
