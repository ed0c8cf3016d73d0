import APIMachinery
import ClusterClient
import JSON
import ObjectModel
import Security
import Store
import Testing

@Suite struct AdmissionTests {
    @Test("A new pod has its account, its token volume, its priority and its tolerations")
    func podDefaults() async throws {
        let cluster = try await Cluster()
        let pod = try await cluster.create(.pods, Fixture.pod("p")).tree
        let spec = pod["spec"]
        #expect(spec["serviceAccountName"].string == "default")
        let volume = try #require(spec["volumes"].elements.first)
        #expect(volume["name"].string?.hasPrefix("kube-api-access-") == true)
        #expect(volume["projected"]["sources"].elements.count == 3)
        #expect(
            spec["containers"][0]["volumeMounts"][0]["mountPath"].string
                == "/var/run/secrets/kubernetes.io/serviceaccount")
        #expect(spec["priority"].int == 0 && spec["preemptionPolicy"].string == "PreemptLowerPriority")
        #expect(spec["tolerations"].elements.count == 2)
        #expect(pod["status"]["phase"].string == "Pending" && pod["status"]["qosClass"].string == "BestEffort")
        #expect(pod["metadata"]["generation"].int == 1)
        #expect(
            await message { try await cluster.create(.pods, Fixture.pod("q", spec: ["serviceAccountName": "robot"])) }
                == "403 pods \"q\" is forbidden: error looking up service account default/robot: serviceaccount \"robot\" not "
                + "found")
    }

    @Test("Priority classes")
    func priority() async throws {
        let cluster = try await Cluster()
        let critical = try await cluster.create(
            .pods, Fixture.pod("c", spec: ["priorityClassName": "system-cluster-critical"]))
        #expect(critical.tree["spec"]["priority"].int == 2_000_000_000)
        #expect(
            await message { try await cluster.create(.pods, Fixture.pod("x", spec: ["priorityClassName": "nope"])) }
                == "403 pods \"x\" is forbidden: no PriorityClass with name nope was found")
        let classes = GroupVersionResource(group: "scheduling.k8s.io", version: "v1", resource: "priorityclasses")
        try await cluster.create(classes, ["metadata": ["name": "usual"], "value": 7, "globalDefault": true])
        #expect(try await cluster.create(.pods, Fixture.pod("d")).tree["spec"]["priority"].int == 7)
    }

    @Test("Limit ranges fill in and bound")
    func limits() async throws {
        let cluster = try await Cluster()
        let ranges = GroupVersionResource(group: "", version: "v1", resource: "limitranges")
        try await cluster.create(
            ranges,
            [
                "metadata": ["name": "l", "namespace": "default"],
                "spec": [
                    "limits": [
                        [
                            "type": "Container", "default": ["cpu": "500m"], "defaultRequest": ["cpu": "100m"],
                            "max": ["cpu": "1"],
                        ]
                    ]
                ],
            ])
        let pod = try await cluster.create(.pods, Fixture.pod("p")).tree
        #expect(pod["spec"]["containers"][0]["resources"] == ["limits": ["cpu": "500m"], "requests": ["cpu": "100m"]])
        let big: JSON = ["containers": [["name": "main", "image": "i", "resources": ["limits": ["cpu": "2"]]]]]
        #expect(
            await message { try await cluster.create(.pods, Fixture.pod("b", spec: big)) }
                == "403 pods \"b\" is forbidden: maximum cpu usage per Container is 1, but limit is 2")
    }

    @Test("A quota is never exceeded, also not by creates at the same time, and is free again after deletes")
    func quota() async throws {
        let cluster = try await Cluster()
        let quotas = GroupVersionResource(group: "", version: "v1", resource: "resourcequotas")
        try await cluster.create(
            quotas,
            [
                "metadata": ["name": "q", "namespace": "default"],
                "spec": ["hard": ["pods": "3", "requests.cpu": "1", "count/configmaps": "1", "resourcequotas": "1"]],
            ])
        let second: JSON = ["metadata": ["name": "q2", "namespace": "default"], "spec": ["hard": [:]]]
        #expect(
            await message { try await cluster.create(quotas, second) }.contains(
                "requested: resourcequotas=1, used: resourcequotas=1"))
        #expect(
            await message { try await cluster.create(.pods, Fixture.pod("p")) }
                == "403 pods \"p\" is forbidden: failed quota: q: must specify requests.cpu for: main")
        let spec: JSON = ["containers": [["name": "main", "image": "i", "resources": ["requests": ["cpu": "300m"]]]]]
        let made = await withTaskGroup(of: Bool.self) { group in
            for index in 0..<10 {
                group.addTask { (try? await cluster.create(.pods, Fixture.pod("p\(index)", spec: spec))) != nil }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(made == 3)
        let text = await message { try await cluster.create(.pods, Fixture.pod("more", spec: spec)) }
        #expect(
            text.contains(
                "exceeded quota: q, requested: pods=1,requests.cpu=300m, used: pods=3,requests.cpu=900m, limited: pods=3,requests.cpu=1"
            ))
        let pods = try await cluster.list(.pods).items
        try await cluster.delete(.pods, try #require(pods.first).name)
        try await cluster.create(.pods, Fixture.pod("again", spec: spec))
        try await cluster.create(.configMaps, Fixture.configMap("one"))
        #expect(
            await message { try await cluster.create(.configMaps, Fixture.configMap("two")) }.contains("exceeded quota")
        )
    }

    @Test("New nodes are tainted until they were seen ready; new claims are protected")
    func others() async throws {
        let cluster = try await Cluster()
        let node = try await cluster.create(.nodes, ["metadata": ["name": "n"], "status": ["capacity": ["cpu": "2"]]])
            .tree
        #expect(node["spec"]["taints"] == [["key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"]])
        #expect(node["status"]["capacity"]["cpu"].string == "2")
        let classes = GroupVersionResource(group: "storage.k8s.io", version: "v1", resource: "storageclasses")
        try await cluster.create(
            classes,
            [
                "metadata": ["name": "fast", "annotations": ["storageclass.kubernetes.io/is-default-class": "true"]],
                "provisioner": "example.com/disk",
            ])
        let claim = try await cluster.create(
            .persistentVolumeClaims,
            [
                "metadata": ["name": "c", "namespace": "default"],
                "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]]],
            ])
        #expect(claim.metadata.finalizers == ["kubernetes.io/pvc-protection"])
        #expect(claim.tree["spec"]["storageClassName"].string == "fast")
    }

    @Test("A node's agent changes only what is its own")
    func nodeRestriction() async throws {
        let cluster = try await Cluster()
        let agent = RequestContext(user: UserInfo(name: "system:node:n1", groups: ["system:nodes"]))
        try await cluster.create(.nodes, ["metadata": ["name": "n1"]], agent)
        #expect(
            await message { try await cluster.create(.nodes, ["metadata": ["name": "n2"]], agent) }.hasPrefix("403 "))
        try await cluster.create(.pods, Fixture.pod("mine", spec: ["nodeName": "n1"]))
        try await cluster.create(.pods, Fixture.pod("other", spec: ["nodeName": "n2"]))
        try await cluster.patch(.pods, "mine", ["status": ["phase": "Running"]], subresource: "status", agent)
        let refused = await message {
            try await cluster.patch(.pods, "other", ["status": ["phase": "Running"]], subresource: "status", agent)
        }
        #expect(refused.hasPrefix("403 "))
    }

    @Test("Pod security levels of a namespace")
    func podSecurity() async throws {
        let cluster = try await Cluster()
        try await cluster.patch(
            .namespaces, "default", ["metadata": ["labels": ["pod-security.kubernetes.io/enforce": "baseline"]]])
        let text = await message { try await cluster.create(.pods, Fixture.pod("p", spec: ["hostNetwork": true])) }
        #expect(
            text
                == "403 pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)"
        )
        try await cluster.create(.pods, Fixture.pod("q"))
    }
}
