import APIMachinery
import JSON
import ObjectModel
import Testing

@Suite struct MutatingWebhookTests {
    @Test("A webhook behind a service sees the whole request, and its patch and warnings count")
    func patch() async throws {
        let server = try await WebhookServer { _, review in
            allowed(
                review,
                patch: [["op": "add", "path": "/data/added", "value": "yes"]],
                ["warnings": ["be careful"], "auditAnnotations": ["seen": "once"]])
        }
        let cluster = try await HookedCluster()
        try await cluster.serve(server)
        try await cluster.hook(HookedCluster.mutating, "add", at: server, path: "/add")
        let context = RequestContext.test
        let made = try await cluster.create(.configMaps, .configMap("a", ["x": "1"]), context)
        #expect(made["data"].stringMap == ["x": "1", "added": "yes"])
        #expect(context.warnings == ["be careful"])
        #expect(context.auditAnnotations == ["add.example.com/seen": "once"])

        let (path, review) = try #require(server.reviews.first)
        #expect(path == "/add?timeout=10s")
        let request = review["request"]
        #expect(review["apiVersion"].string == "admission.k8s.io/v1" && request["uid"].string?.isEmpty == false)
        #expect(request["kind"] == ["group": "", "version": "v1", "kind": "ConfigMap"])
        #expect(request["requestResource"] == ["group": "", "version": "v1", "resource": "configmaps"])
        #expect(request["operation"].string == "CREATE" && request["namespace"].string == "default")
        #expect(request["name"].string == "a" && request["dryRun"].bool == false && request["oldObject"].isNull)
        #expect(request["userInfo"] == ["username": "jane", "uid": "7", "groups": ["dev"]])
        #expect(request["options"]["kind"].string == "CreateOptions")
        #expect(request["options"]["fieldManager"].string == "test")
        // The server gives a new object its identity after this.
        #expect(request["object"]["metadata"]["uid"].isNull && request["object"]["data"]["x"].string == "1")

        let changed = try await cluster.patch(.configMaps, "a", ["data": ["added": nil, "y": "2"]])
        #expect(changed["data"].stringMap == ["x": "1", "y": "2", "added": "yes"])
        let update = try #require(server.reviews.last).review["request"]
        #expect(update["operation"].string == "UPDATE" && update["options"]["kind"].string == "PatchOptions")
        #expect(update["oldObject"]["data"]["added"].string == "yes")
        // All of that on one connection.
        #expect(server.connections == 1)
        await server.stop()
    }

    @Test("Webhooks run in the order of their names, and those that want it run again after a change")
    func order() async throws {
        let server = try await WebhookServer { path, review in
            let step = path.dropFirst().prefix { $0 != "?" }
            let before = review["request"]["object"]["data"]["order"].string ?? ""
            if step == "b", before.contains("b") { return allowed(review) }
            return allowed(
                review, patch: [["op": "add", "path": "/data/order", "value": .string(before + step)]])
        }
        let cluster = try await HookedCluster()
        try await cluster.hook(HookedCluster.mutating, "b", at: server, path: "/b", byURL: true)
        try await cluster.hook(
            HookedCluster.mutating, "a", at: server, path: "/a", byURL: true, ["reinvocationPolicy": "IfNeeded"])
        let made = try await cluster.create(.configMaps, .configMap("m", ["order": ""]))
        #expect(made["data"]["order"].string == "aba")
        await server.stop()
    }

    @Test("What a patch adds gets its defaults, and what nobody may change stays")
    func defaults() async throws {
        let server = try await WebhookServer { _, review in
            allowed(
                review,
                patch: [
                    [
                        "op": "add", "path": "/spec/initContainers",
                        "value": [["name": "first", "image": "x", "resources": [:]]],
                    ],
                    ["op": "add", "path": "/metadata/uid", "value": "mine"],
                    ["op": "add", "path": "/status", "value": ["phase": "Running"]],
                ])
        }
        let cluster = try await HookedCluster()
        try await cluster.hook(
            HookedCluster.mutating, "pods", at: server, byURL: true,
            [
                "rules": [
                    ["apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]]
                ]
            ])
        let pod = try await cluster.create(
            .pods,
            [
                "metadata": ["generateName": "p-", "namespace": "default"],
                "spec": ["containers": [["name": "main", "image": "busybox"]]],
            ])
        let container = pod["spec"]["initContainers"][0]
        #expect(container["terminationMessagePath"].string == "/dev/termination-log")
        // The service account's token is mounted into it too: built-in plugins ran again.
        #expect(container["volumeMounts"].elements.count == 1)
        #expect(pod["metadata"]["uid"].string != "mine" && pod["status"]["phase"].string == "Pending")
        let request = try #require(server.reviews.first).review["request"]
        #expect(request["name"].isNull && request["object"]["metadata"]["name"].isNull)
        #expect(pod["metadata"]["name"].string?.hasPrefix("p-") == true)
        await server.stop()
    }

    @Test("An object is shown in the version that a rule asks for, and a scale as a scale")
    func versions() async throws {
        let server = try await WebhookServer { path, review in
            path.hasPrefix("/scale")
                ? allowed(review, patch: [["op": "replace", "path": "/spec/replicas", "value": 3]]) : allowed(review)
        }
        let cluster = try await HookedCluster()
        let scalers = GroupVersionResource(group: "autoscaling", version: "v2", resource: "horizontalpodautoscalers")
        let rule: JSON = [
            "apiGroups": ["autoscaling"], "apiVersions": ["v1"], "resources": ["horizontalpodautoscalers"],
            "operations": ["*"], "scope": "Namespaced",
        ]
        try await cluster.hook(
            HookedCluster.mutating, "equivalent", at: server, path: "/equivalent", byURL: true, ["rules": [rule]])
        try await cluster.hook(
            HookedCluster.mutating, "exact", at: server, path: "/exact", byURL: true,
            ["rules": [rule], "matchPolicy": "Exact"])
        try await cluster.hook(
            HookedCluster.mutating, "scale", at: server, path: "/scale", byURL: true,
            [
                "rules": [
                    [
                        "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments/scale"],
                        "operations": ["UPDATE"],
                    ]
                ]
            ])
        try await cluster.create(
            scalers,
            [
                "metadata": ["name": "h", "namespace": "default"],
                "spec": [
                    "maxReplicas": 3, "scaleTargetRef": ["apiVersion": "apps/v1", "kind": "Deployment", "name": "d"],
                    "metrics": [
                        [
                            "type": "Resource",
                            "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": 50]],
                        ]
                    ],
                ],
            ])
        #expect(server.reviews.count == 1)
        let request = try #require(server.reviews.first).review["request"]
        #expect(request["kind"]["version"].string == "v1" && request["requestKind"]["version"].string == "v2")
        #expect(request["object"]["spec"]["targetCPUUtilizationPercentage"].int == 50)

        try await cluster.create(
            .deployments,
            [
                "metadata": ["name": "d", "namespace": "default"],
                "spec": [
                    "selector": ["matchLabels": ["a": "b"]],
                    "template": [
                        "metadata": ["labels": ["a": "b"]], "spec": ["containers": [["name": "c", "image": "i"]]],
                    ],
                ],
            ])
        let scale = try await cluster.patch(.deployments, "d", ["spec": ["replicas": 2]], subresource: "scale")
        #expect(scale["spec"]["replicas"].int == 3)
        let asked = try #require(server.reviews.last).review["request"]
        #expect(asked["kind"]["kind"].string == "Scale" && asked["subResource"].string == "scale")
        #expect(asked["object"]["spec"]["replicas"].int == 2 && asked["oldObject"]["spec"]["replicas"].int == 1)
        await server.stop()
    }
}
