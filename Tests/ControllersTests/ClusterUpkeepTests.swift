import ClusterClient
import JSON
import ObjectModel
import Testing

/// Namespaces, garbage and nodes against the real API.
@Suite struct ClusterUpkeepTests {
    @Test("A namespace gets its defaults, and with everything in it goes away")
    func namespace() async throws {
        try await TestCluster.run { cluster in
            try await cluster.client.create(
                .namespaces, ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": "shop"]])
            let account = ObjectKey(namespace: "shop", name: "default")
            let certificate = ObjectKey(namespace: "shop", name: "kube-root-ca.crt")
            try await cluster.eventually(
                "account and certificate",
                {
                    let found = try await cluster.client.find(.serviceAccounts, account) != nil
                    return try await cluster.client.find(.configMaps, certificate)?.tree["data"]["ca.crt"].string
                        == "PEM"
                        && found
                }
            ) { $0 }
            try await cluster.client.delete(.configMaps, certificate)
            try await cluster.client.delete(.serviceAccounts, account)
            try await cluster.eventually(
                "both again",
                {
                    let found = try await cluster.client.find(.serviceAccounts, account) != nil
                    return try await cluster.client.find(.configMaps, certificate) != nil && found
                }
            ) { $0 }
            var manifest = TestCluster.deployment("web")
            manifest["metadata"]["namespace"] = "shop"
            try await cluster.client.create(.deployments, manifest)
            try await cluster.eventually("pods", { try await cluster.list(.pods, namespace: "shop").count }) { $0 == 3 }
            try await cluster.client.delete(.namespaces, ObjectKey(name: "shop"))
            try await cluster.eventually(
                "the namespace gone",
                {
                    try await cluster.client.find(.namespaces, ObjectKey(name: "shop"))?.tree["status"]
                }
            ) { $0 == nil }
            #expect(try await cluster.list(.pods, namespace: "shop").isEmpty)
            #expect(try await cluster.list(.replicaSets, namespace: "shop").isEmpty)
            #expect(try await cluster.list(.configMaps, namespace: "shop").isEmpty)
        }
    }

    @Test("Dependents go with their last owner, and never before")
    func background() async throws {
        try await TestCluster.run { cluster in
            let a = try await cluster.owner("a")
            let b = try await cluster.owner("b")
            try await cluster.client.create(.configMaps, TestCluster.configMap("both", owners: [a, b]))
            try await cluster.client.create(.configMaps, TestCluster.configMap("one", owners: [a]))
            var stranger = a
            stranger.uid = "00000000-0000-0000-0000-000000000000"
            try await cluster.client.create(.configMaps, TestCluster.configMap("stray", owners: [stranger]))
            try await cluster.eventually("the stray gone", { try await cluster.find(.configMaps, "stray") }) {
                $0 == nil
            }
            try await cluster.delete("a", .background)
            try await cluster.eventually("one gone", { try await cluster.find(.configMaps, "one") }) { $0 == nil }
            try await cluster.eventually("one owner left", { try await cluster.find(.configMaps, "both") }) {
                $0?["metadata"]["ownerReferences"].elements.map { $0["name"].string } == ["b"]
            }
            try await cluster.delete("b", .background)
            try await cluster.eventually("both gone", { try await cluster.find(.configMaps, "both") }) { $0 == nil }
        }
    }

    @Test("Objects that own each other in a circle are deleted in the foreground all the same")
    func circle() async throws {
        try await TestCluster.run { cluster in
            var owners: [OwnerReference] = []
            for name in ["a", "b", "c"] {
                let made = try await cluster.client.create(
                    .configMaps, TestCluster.configMap(name, owners: owners.suffix(1).map { $0 }))
                owners.append(
                    OwnerReference(
                        apiVersion: "v1", kind: "ConfigMap", name: name, uid: made.uid, controller: false,
                        blockOwnerDeletion: true))
            }
            try await cluster.client.patch(
                .configMaps, ObjectKey(namespace: "default", name: "a"), .merge,
                ["metadata": ["ownerReferences": .array([owners[2].json])]])
            try await cluster.delete("a", .foreground)
            for name in ["a", "b", "c"] {
                try await cluster.eventually("\(name) gone", { try await cluster.find(.configMaps, name) }) {
                    $0 == nil
                }
            }
        }
    }

    @Test("Foreground deletion waits for dependents, orphaning sets them free")
    func foregroundAndOrphan() async throws {
        try await TestCluster.run { cluster in
            let a = try await cluster.owner("a")
            var held = TestCluster.configMap("held", owners: [a])
            held["metadata"]["finalizers"] = ["example.org/hold"]
            try await cluster.client.create(.configMaps, held)
            try await cluster.delete("a", .foreground)
            try await cluster.eventually("the dependent terminating", { try await cluster.find(.configMaps, "held") }) {
                $0?["metadata"]["deletionTimestamp"].string != nil
            }
            #expect(try await cluster.find(.configMaps, "a") != nil)
            try await cluster.client.patch(
                .configMaps, ObjectKey(namespace: "default", name: "held"), .merge, ["metadata": ["finalizers": nil]])
            try await cluster.eventually("the owner gone", { try await cluster.find(.configMaps, "a") }) { $0 == nil }

            let b = try await cluster.owner("b")
            try await cluster.client.create(.configMaps, TestCluster.configMap("free", owners: [b]))
            try await cluster.eventually("it is there", { try await cluster.find(.configMaps, "free") }) { $0 != nil }
            try await cluster.delete("b", .orphan)
            try await cluster.eventually("the owner gone", { try await cluster.find(.configMaps, "b") }) { $0 == nil }
            #expect(
                try await cluster.find(.configMaps, "free")?["metadata"]["ownerReferences"].elements.isEmpty == true)
        }
    }

    @Test("A silent node is marked, its pods evicted when another node lives; a ready one loses its taints")
    func silentNode() async throws {
        try await TestCluster.run(
            nodes: false,
            {
                $0.nodeMonitorGracePeriod = .milliseconds(1500)
                $0.nodeMonitorPeriod = .milliseconds(50)
                $0.podCIDR = "10.64.0.0/16"
            }
        ) { cluster in
            for name in ["n1", "n2"] {
                try await cluster.client.create(
                    .nodes, ["apiVersion": "v1", "kind": "Node", "metadata": ["name": .string(name)]])
                try await cluster.heartbeat(name)
            }
            try await cluster.eventually(
                "pod ranges and no taints",
                {
                    try await cluster.client.list(.nodes).items.map { $0.tree["spec"] }
                }
            ) { specs in
                Set(specs.compactMap { $0["podCIDR"].string }) == ["10.64.0.0/24", "10.64.1.0/24"]
                    && specs.allSatisfy { $0["taints"].elements.isEmpty }
            }
            var manifest = TestCluster.pod("p")
            manifest["spec"]["nodeName"] = "n1"
            manifest["spec"]["tolerations"] = [
                [
                    "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
                    "tolerationSeconds": 0,
                ]
            ]
            try await cluster.client.create(.pods, manifest)
            try await cluster.eventually(
                "the eviction",
                {
                    try await cluster.heartbeat("n2")
                    return try await cluster.find(.pods, "p")
                }
            ) { pod in
                // No node agent confirms here: the pod stays terminating.
                pod == nil || pod?["metadata"]["deletionTimestamp"].string != nil
            }
            let node = try await cluster.client.get(.nodes, ObjectKey(name: "n1")).tree
            #expect(
                node["status"]["conditions"].elements.first { $0["type"].string == "Ready" }?["status"] == "Unknown")
            #expect(Set(node["spec"]["taints"].elements.map { $0["effect"].string }) == ["NoSchedule", "NoExecute"])
            try await cluster.heartbeat("n1")
            try await cluster.eventually(
                "no taints",
                {
                    try await cluster.client.get(.nodes, ObjectKey(name: "n1")).tree["spec"]["taints"]
                }
            ) { $0.elements.isEmpty }
        }
    }
}

extension TestCluster {
    fileprivate func owner(_ name: String) async throws -> OwnerReference {
        let made = try await client.create(.configMaps, TestCluster.configMap(name))
        return OwnerReference(apiVersion: "v1", kind: "ConfigMap", name: name, uid: made.uid, controller: false)
    }
    fileprivate func delete(_ name: String, _ propagation: DeleteOptions.Propagation) async throws {
        try await client.delete(
            .configMaps, ObjectKey(namespace: "default", name: name), options: DeleteOptions(propagation: propagation))
    }
    fileprivate func heartbeat(_ node: String) async throws {
        try await client.modify(.nodes, ObjectKey(name: node), subresource: "status") { tree in
            tree["status"]["conditions"] = [
                [
                    "type": "Ready", "status": "True", "reason": "KubeletReady",
                    "lastHeartbeatTime": .string(Timestamp.now.rfc3339),
                    "lastTransitionTime": .string(Timestamp.now.rfc3339),
                ]
            ]
            return true
        }
    }
}
