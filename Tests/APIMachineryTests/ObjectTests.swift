import APIMachinery
import ClusterClient
import JSON
import ObjectModel
import Security
import Store
import Testing

@Suite struct ObjectTests {
    @Test("A created object has the server's metadata, and is what get returns")
    func create() async throws {
        let cluster = try await Cluster()
        let made = try await cluster.create(.configMaps, Fixture.configMap("a", ["k": "v"]))
        #expect(made.uid.utf8.count == 36)
        #expect(made.metadata.creationTimestamp != nil)
        #expect(made.metadata.resourceVersion > 1)
        let read = try await cluster.get(.configMaps, "a")
        #expect(read === made)
        #expect(try JSON.parse(read.bytes) == read.tree)
        #expect(read.tree["metadata"]["resourceVersion"].string == String(read.metadata.resourceVersion))
        #expect(
            await message { try await cluster.create(.configMaps, Fixture.configMap("a")) }
                == "409 configmaps \"a\" already exists")
        #expect(await message { try await cluster.get(.configMaps, "nope") } == "404 configmaps \"nope\" not found")
    }

    @Test("Generated names have the base and five letters")
    func generateName() async throws {
        let cluster = try await Cluster()
        var body = Fixture.configMap("")
        body["metadata"].removeMember("name")
        body["metadata"]["generateName"] = "web-"
        let made = try await cluster.create(.configMaps, body)
        #expect(made.name.hasPrefix("web-") && made.name.utf8.count == 9)
    }

    @Test("An update with an old version conflicts; without one it wins; one that changes nothing writes nothing")
    func update() async throws {
        let cluster = try await Cluster()
        let first = try await cluster.create(.configMaps, Fixture.configMap("a", ["k": "1"]))
        var body = first.tree
        body["data"]["k"] = "2"
        let second = try await cluster.update(.configMaps, body)
        #expect(second.metadata.resourceVersion > first.metadata.resourceVersion)
        #expect(second.uid == first.uid)
        body["data"]["k"] = "3"
        let stale = await message { [body] in try await cluster.update(.configMaps, body) }
        #expect(
            stale
                == "409 Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your "
                + "changes to the latest version and try again")
        body["metadata"].removeMember("resourceVersion")
        let third = try await cluster.update(.configMaps, body)
        #expect(third.tree["data"]["k"].string == "3")
        let same = try await cluster.update(.configMaps, third.tree)
        #expect(same.metadata.resourceVersion == third.metadata.resourceVersion)
    }

    @Test("Unknown fields are refused when strict, and warned of otherwise")
    func fieldValidation() async throws {
        let cluster = try await Cluster()
        let body = Fixture.deployment("a", ["replica": 1])
        let strict = RequestContext(user: .system, fieldValidation: .strict)
        #expect(
            await message { try await cluster.create(.deployments, body, strict) }
                == "400 Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: "
                + "unknown field \"spec.replica\"")
        let warn = RequestContext(user: .system)
        let made = try await cluster.create(.deployments, body, warn)
        #expect(warn.warnings == ["unknown field \"spec.replica\""])
        #expect(made.tree["spec"]["replica"].isNull)
    }

    @Test("A dry run answers as the write would, and stores nothing")
    func dryRun() async throws {
        let cluster = try await Cluster()
        let dry = RequestContext(user: .system, isDryRun: true)
        let shown = try await cluster.create(.services, Fixture.service("a"), dry)
        #expect(shown.tree["spec"]["clusterIP"].string?.hasPrefix("10.") == true)
        #expect(shown.tree["metadata"]["resourceVersion"].isNull)
        #expect(await message { try await cluster.get(.services, "a") } == "404 services \"a\" not found")
        let made = try await cluster.create(.configMaps, Fixture.configMap("a", ["k": "1"]))
        var body = made.tree
        body["data"]["k"] = "2"
        #expect(try await cluster.update(.configMaps, body, dry).tree["data"]["k"].string == "2")
        #expect(try await cluster.get(.configMaps, "a").tree["data"]["k"].string == "1")
    }

    @Test("Spec changes count a generation, status and metadata do not; each endpoint changes its own part")
    func statusAndGeneration() async throws {
        let cluster = try await Cluster()
        var body = Fixture.deployment("a")
        body["status"] = ["replicas": 7]
        let first = try await cluster.create(.deployments, body)
        #expect(first.metadata.generation == 1)
        #expect(first.tree["status"]["replicas"].isNull)
        var changed = first.tree
        changed["status"] = ["replicas": 2, "observedGeneration": 1]
        changed["spec"]["replicas"] = 5
        let second = try await cluster.update(.deployments, changed, subresource: "status")
        #expect(second.tree["status"]["replicas"].int == 2)
        #expect(second.tree["spec"]["replicas"].int == 1)
        #expect(second.metadata.generation == 1)
        changed["metadata"]["resourceVersion"] = .string(String(second.metadata.resourceVersion))
        changed["status"] = [:]
        let third = try await cluster.update(.deployments, changed)
        #expect(third.metadata.generation == 2)
        #expect(third.tree["spec"]["replicas"].int == 5)
        #expect(third.tree["status"]["replicas"].int == 2)
        let fourth = try await cluster.patch(.deployments, "a", ["metadata": ["labels": ["x": "y"]]])
        #expect(fourth.metadata.generation == 2)
        var labeled = fourth.tree
        labeled["metadata"]["labels"] = ["x": "z"]
        labeled["metadata"]["annotations"] = ["seen": "yes"]
        let fifth = try await cluster.update(.deployments, labeled, subresource: "status")
        #expect(fifth.metadata.labels == ["x": "y"], "a deployment's labels are not written through its status")
        #expect(fifth.tree["metadata"]["annotations"]["seen"] == "yes" && fifth.metadata.generation == 2)
        let sixth = try await cluster.patch(.deployments, "a", ["metadata": ["annotations": ["seen": "no"]]])
        #expect(sixth.metadata.generation == 3, "its annotations are copied to replica sets")
    }

    @Test("What one client spells out empty and another leaves out is the same object: no new generation, no write")
    func emptyMembers() async throws {
        let cluster = try await Cluster()
        var body = Fixture.deployment("a")
        body["spec"]["template"]["spec"]["tolerations"] = []
        body["metadata"]["annotations"] = [:]
        let made = try await cluster.create(.deployments, body)
        #expect(made.tree["spec"]["template"]["spec"]["tolerations"].isNull)
        var tree = made.tree
        tree["spec"]["template"]["spec"]["nodeSelector"] = [:]
        tree["spec"]["template"]["spec"]["containers"][0]["env"] = []
        tree["spec"]["paused"] = false
        #expect(try await cluster.update(.deployments, tree) === made)
        let patch: JSON = ["spec": ["template": ["spec": ["volumes": [], "hostNetwork": false]]]]
        #expect(try await cluster.patch(.deployments, "a", patch) === made)
        // As a last finalizer goes.
        let held = try await cluster.patch(.deployments, "a", ["metadata": ["finalizers": ["x.y/z"]]])
        #expect(held.tree["metadata"]["finalizers"] == ["x.y/z"])
        let free = try await cluster.patch(.deployments, "a", ["metadata": ["finalizers": []]])
        #expect(free.tree["metadata"]["finalizers"].isNull && free.metadata.generation == 1)
    }

    @Test("Who makes an object owns what it said, not what the server added nor what is there when nothing is said")
    func ownersOfNewObjects() async throws {
        let cluster = try await Cluster()
        let claims = GroupVersionResource(group: "", version: "v1", resource: "persistentvolumeclaims")
        let claim = try await cluster.create(
            claims,
            [
                "metadata": ["name": "a", "namespace": "default"],
                "spec": [
                    "accessModes": ["ReadWriteOnce"], "storageClassName": "",
                    "resources": ["requests": ["storage": "1Gi"]],
                ],
            ])
        #expect(claim.tree["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"])
        #expect(
            claim.tree["metadata"]["managedFields"][0]["fieldsV1"] == [
                "f:spec": [
                    "f:accessModes": [:], "f:resources": ["f:requests": [".": [:], "f:storage": [:]]],
                    "f:storageClassName": [:], "f:volumeMode": [:],
                ]
            ])
        let classes = GroupVersionResource(group: "scheduling.k8s.io", version: "v1", resource: "priorityclasses")
        let bare = try await cluster.create(classes, ["metadata": ["name": "a"], "value": 0])
        #expect(bare.tree["metadata"]["managedFields"][0]["fieldsV1"] == ["f:preemptionPolicy": [:]])
    }

    @Test("All three kinds of patch")
    func patches() async throws {
        let cluster = try await Cluster()
        try await cluster.create(.deployments, Fixture.deployment("a"))
        let merged = try await cluster.patch(.deployments, "a", .merge, ["spec": ["replicas": 3]])
        #expect(merged.tree["spec"]["replicas"].int == 3)
        let strategic = try await cluster.patch(
            .deployments, "a", .strategicMerge,
            [
                "spec": [
                    "template": [
                        "spec": ["containers": [["name": "main", "image": "two"], ["name": "side", "image": "x"]]]
                    ]
                ]
            ])
        #expect(strategic.tree["spec"]["template"]["spec"]["containers"].elements.count == 2)
        let json = try await cluster.patch(
            .deployments, "a", .json, [["op": "replace", "path": "/spec/replicas", "value": 9]])
        #expect(json.tree["spec"]["replicas"].int == 9)
        let failed = await message {
            try await cluster.patch(.deployments, "a", .json, [["op": "test", "path": "/spec/replicas", "value": 1]])
        }
        #expect(failed.hasPrefix("422 "))
        let stale = await message {
            try await cluster.patch(.deployments, "a", .merge, ["metadata": ["resourceVersion": "1"]])
        }
        #expect(stale.hasPrefix("409 "))
    }

    @Test("Concurrent patches of one object are all applied")
    func concurrentPatches() async throws {
        let cluster = try await Cluster()
        try await cluster.create(.configMaps, Fixture.configMap("a"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<24 {
                group.addTask { try await cluster.patch(.configMaps, "a", .merge, ["data": ["k\(index)": "v"]]) }
            }
            try await group.waitForAll()
        }
        #expect(try await cluster.get(.configMaps, "a").tree["data"].members.count == 24)
    }

    @Test("What was written is there after a restart, in the documented place")
    func restart() async throws {
        let store = MemoryStore()
        let before = try await Cluster(store: store)
        try await before.create(.configMaps, Fixture.configMap("a", ["k": "u"]))
        let made = try await before.patch(.configMaps, "a", ["data": ["k": "v"]])
        await before.machinery.stop()
        let stored = try #require(try await store.get("/registry/configmaps/default/a"))
        let text = String(decoding: stored.value, as: UTF8.self)
        #expect(!text.contains("resourceVersion") && !text.contains("null"))
        let after = try await Cluster(store: store)
        let read = try await after.get(.configMaps, "a")
        #expect(read.bytes == made.bytes)
        #expect(read.metadata == made.metadata)
    }

    @Test("A watch goes on over a restart: changes and removals before it are told, as selectors see them")
    func watchOverRestart() async throws {
        let store = MemoryStore()
        let before = try await Cluster(store: store)
        let first = try await before.create(.configMaps, Fixture.configMap("a", labels: ["x": "1"]))
        try await before.create(.configMaps, Fixture.configMap("b", labels: ["x": "1"]))
        try await before.patch(.configMaps, "a", ["metadata": ["labels": ["x": "2"]]])
        try await before.delete(.configMaps, "b")
        await before.machinery.stop()
        let after = try await Cluster(store: store)
        var query = WatchQuery()
        query.resourceVersion = String(first.metadata.resourceVersion)
        query.labelSelector = try LabelSelector(parsing: "x=1")
        let resource = try #require(after.machinery.catalog.resource(.configMaps))
        let watch = try await after.machinery.watch(resource, namespace: "default", query: query)
        defer { watch.cancel() }
        var seen: [String] = []
        for try await batch in watch.events {
            seen += batch.map { "\($0.kind.rawValue) \($0.object.name)" }
            if seen.count >= 3 { break }
        }
        #expect(seen == ["ADDED b", "DELETED a", "DELETED b"])
    }

    @Test("Leases need the version; an absent one is created by an update")
    func leases() async throws {
        let cluster = try await Cluster()
        let body: JSON = ["metadata": ["name": "a", "namespace": "default"], "spec": ["holderIdentity": "x"]]
        let made = try await cluster.update(.leases, body)
        #expect(made.metadata.resourceVersion > 0)
        #expect(
            await message { try await cluster.update(.leases, body) }.contains(
                "metadata.resourceVersion: Invalid value: 0x0"))
    }

    @Test("Both versions of events are one object")
    func eventVersions() async throws {
        let cluster = try await Cluster()
        try await cluster.create(
            .events,
            [
                "metadata": ["name": "e", "namespace": "default"], "involvedObject": ["kind": "Pod", "name": "p"],
                "message": "hello", "reason": "Test", "type": "Normal",
            ])
        let other = GroupVersionResource(group: "events.k8s.io", version: "v1", resource: "events")
        let read = try await cluster.get(other, "e").tree
        #expect(read["note"].string == "hello")
        #expect(read["regarding"]["name"].string == "p")
        #expect(read["apiVersion"].string == "events.k8s.io/v1")
    }
}
