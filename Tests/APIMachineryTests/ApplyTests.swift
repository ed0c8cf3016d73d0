import APIMachinery
import ClusterClient
import JSON
import ObjectModel
import Security
import Testing

extension Cluster {
    @discardableResult
    func apply(
        _ resource: GroupVersionResource, _ configuration: JSON, by manager: String, force: Bool = false,
        subresource: String? = nil, isDryRun: Bool = false
    ) async throws -> WriteResult {
        let metadata = configuration["metadata"]
        return try await machinery.patch(
            try definition(resource),
            ObjectKey(namespace: metadata["namespace"].string ?? "", name: metadata["name"].string ?? ""),
            subresource: subresource, type: .apply, patch: configuration, force: force,
            context: RequestContext(user: .system, fieldManager: manager, isDryRun: isDryRun))
    }
}

private func by(_ manager: String) -> RequestContext { RequestContext(user: .system, fieldManager: manager) }

/// `manager/operation/subresource` of every entry.
private func owners(_ object: Object) -> [String] {
    object.tree["metadata"]["managedFields"].elements.map {
        [$0["manager"], $0["operation"], $0["subresource"]].compactMap(\.string).joined(separator: "/")
    }.sorted()
}

private func fields(_ object: Object, _ manager: String) -> JSON {
    object.tree["metadata"]["managedFields"].elements.first { $0["manager"].string == manager }?["fieldsV1"] ?? .null
}

@Suite struct ApplyTests {
    @Test("Applying makes the object, changes it, and is no write when nothing changes")
    func configMap() async throws {
        let cluster = try await Cluster()
        let dry = try await cluster.apply(.configMaps, Fixture.configMap("a", ["k": "1"]), by: "red", isDryRun: true)
        #expect(dry.isCreated && owners(dry.object) == ["red/Apply"])
        let made = try await cluster.apply(.configMaps, Fixture.configMap("a", ["k": "1", "l": "2"]), by: "red")
        #expect(made.isCreated && owners(made.object) == ["red/Apply"])
        let same = try await cluster.apply(.configMaps, Fixture.configMap("a", ["k": "1", "l": "2"]), by: "red")
        #expect(!same.isCreated && same.object === made.object)
        let less = try await cluster.apply(.configMaps, Fixture.configMap("a", ["k": "1"]), by: "red")
        #expect(less.object.tree["data"] == ["k": "1"])
        #expect(less.object.metadata.resourceVersion > made.object.metadata.resourceVersion)
        #expect(
            await message { try await cluster.apply(.configMaps, Fixture.configMap("a", ["k": "2"]), by: "blue") }
                == "409 Apply failed with 1 conflict: conflict with \"red\": .data.k")
        let forced = try await cluster.apply(.configMaps, Fixture.configMap("a", ["k": "2"]), by: "blue", force: true)
        #expect(owners(forced.object) == ["blue/Apply"] || owners(forced.object) == ["blue/Apply", "red/Apply"])
        #expect(try await cluster.get(.configMaps, "a") === forced.object)
    }

    @Test("A deployment's defaults belong to nobody; status and scale have owners of their own")
    func deployment() async throws {
        let cluster = try await Cluster()
        let made = try await cluster.apply(.deployments, Fixture.deployment("a", ["replicas": 2]), by: "red").object
        #expect(owners(made) == ["red/Apply"])
        #expect(made.tree["spec"]["revisionHistoryLimit"].int == 10)
        #expect(fields(made, "red")["f:spec"]["f:revisionHistoryLimit"].isNull)
        let scaled = try await cluster.patch(
            .deployments, "a", .merge, ["spec": ["replicas": 5]], subresource: "scale", by("kubectl"))
        #expect(scaled.tree["spec"]["replicas"].int == 5)
        var status = try await cluster.get(.deployments, "a").tree
        status["status"]["replicas"] = 5
        let reported = try await cluster.update(.deployments, status, subresource: "status", by("controller"))
        #expect(owners(reported) == ["controller/Update/status", "kubectl/Update/scale", "red/Apply"])
        #expect(fields(reported, "kubectl") == ["f:spec": ["f:replicas": [:]]])
        #expect(fields(reported, "controller") == ["f:status": ["f:replicas": [:]]])
        let conflict = await message {
            try await cluster.apply(.deployments, Fixture.deployment("a", ["replicas": 2]), by: "red")
        }
        #expect(
            conflict.hasPrefix(
                "409 Apply failed with 1 conflict: conflict with \"kubectl\" with subresource \"scale\" using apps/v1 at "
            ))
        // Who does not name the replicas any more leaves them to whoever scales.
        let left = try await cluster.apply(.deployments, Fixture.deployment("a"), by: "red").object
        #expect(left.tree["spec"]["replicas"].int == 5)
        let scale: JSON = [
            "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": ["name": "a", "namespace": "default"],
            "spec": ["replicas": 3],
        ]
        try await cluster.apply(.deployments, scale, by: "hpa", force: true, subresource: "scale")
        let final = try await cluster.get(.deployments, "a")
        #expect(final.tree["spec"]["replicas"].int == 3 && final.metadata.generation > left.metadata.generation)
        #expect(owners(final) == ["controller/Update/status", "hpa/Apply/scale", "red/Apply"])
    }

    @Test("Conditions of several appliers live beside each other in a status")
    func status() async throws {
        let cluster = try await Cluster()
        try await cluster.create(.pods, Fixture.pod("p"), by("one"))
        func report(_ type: String) -> JSON {
            [
                "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p", "namespace": "default"],
                "spec": ["nodeName": "ignored"], "status": ["conditions": [["type": .string(type), "status": "True"]]],
            ]
        }
        try await cluster.apply(.pods, report("example.com/A"), by: "a", subresource: "status")
        let both = try await cluster.apply(.pods, report("example.com/B"), by: "b", subresource: "status").object
        let types = both.tree["status"]["conditions"].elements.compactMap { $0["type"].string }
        #expect(types.contains("example.com/A") && types.contains("example.com/B"))
        #expect(both.tree["spec"]["nodeName"].isNull)
        #expect(owners(both).filter { $0.hasSuffix("status") } == ["a/Apply/status", "b/Apply/status"])
    }

    @Test("What the server's own parts create untracked is nobody's until somebody applies to it")
    func untracked() async throws {
        let cluster = try await Cluster()
        let client = ClusterClient(transport: LocalTransport(machinery: cluster.machinery), component: "maker")
        var tree = Fixture.configMap("a", ["k": "1"])
        tree["metadata"]["managedFields"] = [[:]]
        #expect(owners(try await client.create(.configMaps, tree)) == [])
        let changed = try await client.patch(
            .configMaps, ObjectKey(namespace: "default", name: "a"), .merge, ["data": ["l": "2"]])
        #expect(changed.tree["data"] == ["k": "1", "l": "2"] && owners(changed) == [])
        let applied = try await cluster.apply(.configMaps, Fixture.configMap("a", ["m": "3"]), by: "red").object
        #expect(owners(applied) == ["before-first-apply/Update", "red/Apply"])
        // Everybody else is tracked, whatever they send.
        tree["metadata"]["name"] = "b"
        #expect(owners(try await cluster.create(.configMaps, tree, by("other"))) == ["other/Update"])
    }

    @Test("A bad configuration is refused with the API server's words")
    func refusals() async throws {
        let cluster = try await Cluster()
        func refused(_ change: (inout JSON) -> Void, by manager: String = "red") async -> String {
            var configuration = Fixture.deployment("a")
            change(&configuration)
            return await message { [configuration] in
                try await cluster.apply(.deployments, configuration, by: manager)
            }
        }
        #expect(
            await refused({ _ in }, by: "")
                == "422 PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
        )
        #expect(await refused { $0["metadata"]["managedFields"] = [[:]] } == "400 metadata.managedFields must be nil")
        #expect(
            await refused { $0["spec"]["foo"] = 1 }
                == "500 failed to create typed patch object (default/a; apps/v1, Kind=Deployment): .spec.foo: field not "
                + "declared in schema")
        #expect(await refused { $0["metadata"]["resourceVersion"] = "12" }.hasPrefix("409 "))
    }

    @Test("Clients may rewrite the owners, as kubectl does when it moves to server-side apply")
    func migration() async throws {
        let cluster = try await Cluster()
        let made = try await cluster.create(
            .configMaps, Fixture.configMap("a", ["k": "1"]), by("kubectl-client-side-apply"))
        #expect(owners(made) == ["kubectl-client-side-apply/Update"])
        var managed = made.tree["metadata"]["managedFields"]
        managed[0]["manager"] = "kubectl"
        managed[0]["operation"] = "Apply"
        let moved = try await cluster.patch(
            .configMaps, "a", .json,
            [
                ["op": "replace", "path": "/metadata/managedFields", "value": managed],
                [
                    "op": "replace", "path": "/metadata/resourceVersion",
                    "value": made.tree["metadata"]["resourceVersion"],
                ],
            ], by("kubectl"))
        #expect(owners(moved) == ["kubectl/Apply"])
        let emptied = try await cluster.apply(.configMaps, Fixture.configMap("a"), by: "kubectl").object
        #expect(emptied.tree["data"]["k"].isNull)
        let cleared = try await cluster.patch(.configMaps, "a", ["metadata": ["managedFields": [[:]]]])
        #expect(cleared.tree["metadata"]["managedFields"].isNull)
    }

    @Test("Two versions of a kind know each other's owners")
    func versions() async throws {
        let cluster = try await Cluster()
        let old = GroupVersionResource(group: "autoscaling", version: "v1", resource: "horizontalpodautoscalers")
        let new = GroupVersionResource(group: "autoscaling", version: "v2", resource: "horizontalpodautoscalers")
        func scaler(_ version: String, _ maximum: Int) -> JSON {
            [
                "apiVersion": .string("autoscaling/" + version), "kind": "HorizontalPodAutoscaler",
                "metadata": ["name": "h", "namespace": "default"],
                "spec": [
                    "maxReplicas": JSON(maximum),
                    "scaleTargetRef": ["kind": "Deployment", "name": "a", "apiVersion": "apps/v1"],
                ],
            ]
        }
        try await cluster.apply(old, scaler("v1", 3), by: "red")
        #expect(
            await message { try await cluster.apply(new, scaler("v2", 4), by: "blue") }
                == "409 Apply failed with 1 conflict: conflict with \"red\": .spec.maxReplicas")
        let taken = try await cluster.apply(new, scaler("v2", 4), by: "blue", force: true).object
        #expect(fields(taken, "red")["f:spec"]["f:maxReplicas"].isNull)
        #expect(try await cluster.apply(old, scaler("v1", 4), by: "red").object.tree["spec"]["maxReplicas"].int == 4)
    }

    @Test("Appliers that write at the same time all get through")
    func concurrency() async throws {
        let cluster = try await Cluster()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<20 {
                group.addTask {
                    try await cluster.apply(.configMaps, Fixture.configMap("a", ["k\(index)": "1"]), by: "m\(index)")
                }
            }
            try await group.waitForAll()
        }
        let all = try await cluster.get(.configMaps, "a")
        #expect(all.tree["data"].members.count == 20 && owners(all).count == 20)
    }
}
