import APIMachinery
import ClusterClient
import JSON
import ObjectModel
import Security
import Store
import Testing

@Suite struct DeletionTests {
    @Test("Finalizers hold an object until the last one goes")
    func finalizers() async throws {
        let cluster = try await Cluster()
        var body = Fixture.configMap("a")
        body["metadata"]["finalizers"] = ["example.com/hold"]
        try await cluster.create(.configMaps, body)
        let marked = try await cluster.delete(.configMaps, "a")
        #expect(!marked.isGone)
        #expect(marked.object.metadata.isTerminating)
        #expect(marked.object.metadata.deletionGracePeriodSeconds == 0)
        let more = await message {
            try await cluster.patch(
                .configMaps, "a", ["metadata": ["finalizers": ["example.com/hold", "example.com/more"]]])
        }
        #expect(
            more.contains(
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted"))
        try await cluster.patch(.configMaps, "a", ["metadata": ["finalizers": nil]])
        #expect(await message { try await cluster.get(.configMaps, "a") } == "404 configmaps \"a\" not found")
    }

    @Test("A pod that runs gets its grace period, and a second delete may only shorten it")
    func grace() async throws {
        let cluster = try await Cluster()
        try await cluster.create(.pods, Fixture.pod("p", spec: ["nodeName": "n1"]))
        let first = try await cluster.delete(.pods, "p")
        #expect(!first.isGone && first.object.metadata.deletionGracePeriodSeconds == 30)
        #expect(first.object.metadata.generation == 2)
        let again = try await cluster.delete(.pods, "p")
        #expect(again.object === first.object)
        let longer = try await cluster.delete(.pods, "p", DeleteOptions(gracePeriodSeconds: 100))
        #expect(longer.object.metadata.deletionGracePeriodSeconds == 30)
        let shorter = try await cluster.delete(.pods, "p", DeleteOptions(gracePeriodSeconds: 5))
        #expect(shorter.object.metadata.deletionGracePeriodSeconds == 5)
        let killed = try await cluster.delete(.pods, "p", DeleteOptions(gracePeriodSeconds: 0))
        #expect(killed.isGone)
    }

    @Test("A pod that runs nowhere goes at once")
    func pendingPod() async throws {
        let cluster = try await Cluster()
        try await cluster.create(.pods, Fixture.pod("p"))
        #expect(try await cluster.delete(.pods, "p").isGone)
    }

    @Test(
        "Propagation policies become finalizers",
        arguments: [
            (DeleteOptions.Propagation.foreground, ["foregroundDeletion"]), (.orphan, ["orphan"]), (.background, []),
        ])
    func propagation(policy: DeleteOptions.Propagation, expected: [String]) async throws {
        let cluster = try await Cluster()
        try await cluster.create(.deployments, Fixture.deployment("d"))
        let result = try await cluster.delete(.deployments, "d", DeleteOptions(propagation: policy))
        #expect(result.isGone == expected.isEmpty)
        if !expected.isEmpty { #expect(result.object.metadata.finalizers == expected) }
    }

    @Test("Preconditions guard against deleting another object of the same name")
    func preconditions() async throws {
        let cluster = try await Cluster()
        try await cluster.create(.configMaps, Fixture.configMap("a"))
        #expect(await message { try await cluster.delete(.configMaps, "a", DeleteOptions(uid: "x")) }.hasPrefix("409 "))
        var options = DeleteOptions()
        options.resourceVersion = 1
        let text = await message { [options] in try await cluster.delete(.configMaps, "a", options) }
        #expect(text.hasPrefix("409 "))
    }

    @Test("A namespace goes when its finalizers are emptied; meanwhile nothing is made in it; three never go")
    func namespaces() async throws {
        let cluster = try await Cluster()
        let made = try await cluster.create(.namespaces, ["metadata": ["name": "shop"]])
        #expect(made.metadata.labels["kubernetes.io/metadata.name"] == "shop")
        #expect(made.tree["status"]["phase"].string == "Active")
        let marked = try await cluster.delete(.namespaces, "shop")
        #expect(!marked.isGone && marked.object.tree["status"]["phase"].string == "Terminating")
        let refused = await message {
            try await cluster.create(.configMaps, ["metadata": ["name": "a", "namespace": "shop"]])
        }
        #expect(
            refused
                == "403 configmaps \"a\" is forbidden: unable to create new content in namespace shop because it is being "
                + "terminated")
        var body = marked.object.tree
        body["spec"]["finalizers"] = []
        try await cluster.update(.namespaces, body, subresource: "finalize")
        #expect(await message { try await cluster.get(.namespaces, "shop") } == "404 namespaces \"shop\" not found")
        #expect(
            await message { try await cluster.delete(.namespaces, "default") }
                == "403 namespaces \"default\" is forbidden: this namespace may not be deleted")
        #expect(
            await message { try await cluster.create(.configMaps, ["metadata": ["name": "a", "namespace": "shop"]]) }
                == "404 namespaces \"shop\" not found")
    }

    @Test("Deleting a collection deletes what the selector selects")
    func collection() async throws {
        let cluster = try await Cluster()
        for index in 0..<6 {
            try await cluster.create(.configMaps, Fixture.configMap("c\(index)", labels: ["x": index < 4 ? "y" : "n"]))
        }
        var options = ListOptions()
        options.labelSelector = LabelSelector(matching: ["x": "y"])
        let deleted = try await cluster.machinery.deleteCollection(
            try cluster.definition(.configMaps), namespace: "default", list: options, options: DeleteOptions(),
            context: .test)
        #expect(deleted.items.count == 4)
        #expect(try await cluster.list(.configMaps).items.map(\.name) == ["c4", "c5"])
    }

    @Test("An eviction spends the disruption budget and is refused when there is none left")
    func eviction() async throws {
        let cluster = try await Cluster()
        let budgets = GroupVersionResource(group: "policy", version: "v1", resource: "poddisruptionbudgets")
        try await cluster.create(
            budgets,
            [
                "metadata": ["name": "b", "namespace": "default"],
                "spec": ["minAvailable": 1, "selector": ["matchLabels": ["app": "web"]]],
            ])
        try await cluster.patch(
            budgets, "b",
            [
                "status": [
                    "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2,
                    "observedGeneration": 1,
                ]
            ],
            subresource: "status")
        for name in ["p1", "p2"] {
            try await cluster.create(.pods, Fixture.pod(name, labels: ["app": "web"], spec: ["nodeName": "n"]))
            try await cluster.patch(
                .pods, name,
                ["status": ["phase": "Running", "conditions": [["type": "Ready", "status": "True"]]]],
                subresource: "status")
        }
        _ = try await cluster.post(.pods, "p1", "eviction", ["metadata": ["name": "p1", "namespace": "default"]])
        let evicted = try await cluster.get(.pods, "p1")
        #expect(evicted.metadata.isTerminating)
        // Jobs tell by it that the pod did not fail.
        #expect(
            evicted.tree["status"]["conditions"].elements.contains {
                $0["type"] == "DisruptionTarget" && $0["reason"] == "EvictionByEvictionAPI"
            })
        do {
            _ = try await cluster.post(.pods, "p2", "eviction", ["metadata": ["name": "p2", "namespace": "default"]])
            Issue.record("the second eviction went through")
        } catch let error as StatusError {
            #expect(error.code == 429 && error.causes.first?.reason == "DisruptionBudget")
        }
    }
}

@Suite struct SubresourceTests {
    @Test("Binding puts a pod on a node once")
    func binding() async throws {
        let cluster = try await Cluster()
        try await cluster.create(.pods, Fixture.pod("p"))
        let body: JSON = ["target": ["kind": "Node", "name": "n1"]]
        #expect(try await cluster.post(.pods, "p", "binding", body).tree["status"].string == "Success")
        let pod = try await cluster.get(.pods, "p").tree
        #expect(pod["spec"]["nodeName"].string == "n1")
        #expect(pod["status"]["conditions"][0]["type"].string == "PodScheduled")
        #expect(
            await message { try await cluster.post(.pods, "p", "binding", body) }
                == "409 Operation cannot be fulfilled on pods \"p\": pod p is already assigned to node \"n1\"")
    }

    @Test("Scale reads and changes the replicas")
    func scale() async throws {
        let cluster = try await Cluster()
        try await cluster.create(.deployments, Fixture.deployment("d"))
        let key = ObjectKey(namespace: "default", name: "d")
        let scale = try await cluster.machinery.getSubresource(
            try cluster.definition(.deployments), key, subresource: "scale")
        #expect(scale["spec"]["replicas"].int == 1 && scale["status"]["selector"].string == "app=web")
        let patched = try await cluster.patch(.deployments, "d", ["spec": ["replicas": 4]], subresource: "scale")
        #expect(patched.kind.kind == "Scale")
        #expect(try await cluster.get(.deployments, "d").tree["spec"]["replicas"].int == 4)
        #expect(
            await message {
                try await cluster.patch(.deployments, "d", ["spec": ["replicas": -1]], subresource: "scale")
            }
                == "422 Scale.autoscaling \"d\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0"
        )
    }

    @Test("Ephemeral containers only grow")
    func ephemeralContainers() async throws {
        let cluster = try await Cluster()
        try await cluster.create(.pods, Fixture.pod("p"))
        let body: JSON = ["spec": ["ephemeralContainers": [["name": "debug", "image": "busybox"]]]]
        let debugged = try await cluster.patch(.pods, "p", .strategicMerge, body, subresource: "ephemeralcontainers")
        #expect(debugged.tree["spec"]["ephemeralContainers"].elements.count == 1)
        let removed = await message {
            try await cluster.patch(
                .pods, "p", .merge, ["spec": ["ephemeralContainers": nil]], subresource: "ephemeralcontainers")
        }
        #expect(removed.hasPrefix("422 "))
    }
}
