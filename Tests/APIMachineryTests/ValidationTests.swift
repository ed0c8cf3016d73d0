import APIMachinery
import ClusterClient
import JSON
import ObjectModel
import Security
import Store
import Testing

/// What is refused, and in which words. One cluster serves each table: refused objects leave nothing behind.
@Suite struct ValidationTests {
    private static let roles = GroupVersionResource(
        group: "rbac.authorization.k8s.io", version: "v1", resource: "roles")

    private func pod(_ spec: JSON) -> JSON { Fixture.pod("p", spec: spec) }
    private func container(_ part: JSON) -> JSON {
        var container: JSON = ["name": "main", "image": "busybox"]
        for (key, value) in part.members { container[key] = value }
        return Fixture.pod("p", spec: ["containers": [container]])
    }

    @Test("Names and labels")
    func metadata() async throws {
        let cluster = try await Cluster()
        let bad = await message { try await cluster.create(.namespaces, ["metadata": ["name": "Not_OK"]]) }
        #expect(
            bad.hasPrefix(
                "422 Namespace \"Not_OK\" is invalid: metadata.name: Invalid value: \"Not_OK\": a lowercase RFC 1123 label must consist of lower case alphanumeric"
            ))
        let none = await message { try await cluster.create(.configMaps, ["metadata": ["namespace": "default"]]) }
        #expect(
            none == "422 ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required")
        let label = await message { try await cluster.create(.configMaps, Fixture.configMap("a", labels: ["x": "-"])) }
        #expect(label.hasPrefix("422 ConfigMap \"a\" is invalid: metadata.labels: Invalid value: \"-\": a valid label"))
        let service = await message { try await cluster.create(.services, Fixture.service("a.b")) }
        #expect(service.hasSuffix("metadata.name: Invalid value: \"a.b\": must not contain dots"), "\(service)")
        let addresses = GroupVersionResource(group: "networking.k8s.io", version: "v1", resource: "ipaddresses")
        func address(_ name: String) -> JSON {
            ["metadata": ["name": .string(name)], "spec": ["parentRef": ["resource": "services", "name": "s"]]]
        }
        let long = await message { try await cluster.create(addresses, address("fe80:0::1")) }
        #expect(long.hasSuffix("metadata.name: Invalid value: \"fe80:0::1\": must be in canonical form (\"fe80::1\")"))
        try await cluster.create(addresses, address("fe80::1"))
        try await cluster.create(
            Self.roles,
            [
                "metadata": ["name": "system:x", "namespace": "default"],
                "rules": [["verbs": ["get"], "apiGroups": [""], "resources": ["pods"]]],
            ])
    }

    @Test("Pods")
    func pods() async throws {
        let cluster = try await Cluster()
        let table: [(JSON, String)] = [
            (pod(["containers": []]), "spec.containers: Required value"),
            (
                pod([
                    "securityContext": [
                        "sysctls": [["name": "kernel.shm_rmid_forced"], ["name": "net/ipv4.a-b"], ["name": "bar.."]]
                    ]
                ]),
                "spec.securityContext.sysctls[2].name: Invalid value: \"bar..\": must have at most 253 characters"
            ),
            (
                pod(["hostNetwork": true, "securityContext": ["sysctls": [["name": "net.ipv4.ip_forward"]]]]),
                "spec.securityContext.sysctls[0].name: Invalid value: \"net.ipv4.ip_forward\": may not be specified"
            ),
            (container(["name": ""]), "spec.containers[0].name: Required value"),
            (container(["image": ""]), "spec.containers[0].image: Required value"),
            (
                container(["imagePullPolicy": "Often"]),
                "spec.containers[0].imagePullPolicy: Unsupported value: \"Often\": supported values: \"Always\", \"IfNotPresent\", \"Never\""
            ),
            (
                container(["ports": [["containerPort": 70000]]]),
                "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"
            ),
            (container(["env": [["name": "a=b"]]]), "spec.containers[0].env[0].name: Invalid value: \"a=b\""),
            (
                container(["volumeMounts": [["name": "x", "mountPath": "/x"]]]),
                "spec.containers[0].volumeMounts[0].name: Not found: \"x\""
            ),
            (
                container(["resources": ["requests": ["cpu": "2"], "limits": ["cpu": "1"]]]),
                "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"
            ),
            (
                container(["livenessProbe": ["periodSeconds": 1]]),
                "spec.containers[0].livenessProbe: Required value: must specify a handler type"
            ),
            (
                pod(["restartPolicy": "Maybe"]),
                "spec.restartPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \"OnFailure\", \"Never\""
            ),
            (
                pod(["volumes": [["name": "v", "emptyDir": [:], "hostPath": ["path": "/"]]]]),
                "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"
            ),
            (
                pod(["containers": [["name": "a", "image": "i"], ["name": "a", "image": "i"]]]),
                "spec.containers[1].name: Duplicate value: \"a\""
            ),
            (pod(["tolerations": [["effect": "NoExecute"]]]), "spec.tolerations[0].operator: Invalid value"),
            (
                container(["env": [["name": "A", "valueFrom": ["fieldRef": ["fieldPath": "spec.foo"]]]]]),
                "fieldRef.fieldPath: Invalid value: \"spec.foo\": error converting fieldPath: field label not supported"
            ),
            (
                container(["resources": ["requests": ["example.com/x": "1"]]]),
                "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources"
            ),
            (
                container(["lifecycle": ["preStop": ["sleep": ["seconds": 31]]]]),
                "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than"
            ),
            (
                pod(["dnsConfig": ["searches": ["_ldap._tcp.a", "-x"]]]),
                "spec.dnsConfig.searches[1]: Invalid value: \"-x\": a lowercase RFC 1123 subdomain must consist of"
            ),
            (
                pod(["ephemeralContainers": [["name": "e", "image": "i"]]]),
                "spec.ephemeralContainers: Forbidden: cannot be set on create"
            ),
            (
                pod(["hostNetwork": true, "hostUsers": false]),
                "spec.hostNetwork: Forbidden: when `hostUsers` is false"
            ),
        ]
        for (body, expected) in table {
            let text = await message { try await cluster.create(.pods, body) }
            #expect(text.hasPrefix("422 Pod \"p\" is invalid: ") && text.contains(expected), "\(text)")
        }
    }

    private static func kind(_ group: String, _ resource: String) -> GroupVersionResource {
        GroupVersionResource(group: group, version: "v1", resource: resource)
    }

    @Test("A pod's spec is nearly immutable")
    func podUpdate() async throws {
        let cluster = try await Cluster()
        try await cluster.create(.pods, Fixture.pod("p"))
        let text = await message { try await cluster.patch(.pods, "p", ["spec": ["hostname": "x"]]) }
        #expect(
            text.hasPrefix("422 Pod \"p\" is invalid: spec: Forbidden: pod updates may not change fields other than"))
        let image: JSON = ["spec": ["containers": [["name": "main", "image": "other"]]]]
        let changed = try await cluster.patch(.pods, "p", .strategicMerge, image)
        #expect(changed.metadata.generation == 2)
    }

    @Test("Workloads")
    func workloads() async throws {
        let cluster = try await Cluster()
        let table: [(JSON, String)] = [
            (["selector": nil], "spec.selector: Required value"),
            (
                ["selector": ["matchLabels": ["app": "other"]]],
                "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`"
            ),
            (["replicas": -1], "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
            (
                ["strategy": ["type": "RollingUpdate", "rollingUpdate": ["maxSurge": 0, "maxUnavailable": 0]]],
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"
            ),
            (
                ["strategy": ["type": "Odd"]],
                "spec.strategy: Unsupported value: {\"Type\":\"Odd\",\"RollingUpdate\":null}: supported values: "
                    + "\"Recreate\", \"RollingUpdate\""
            ),
        ]
        for (spec, expected) in table {
            let text = await message { try await cluster.create(.deployments, Fixture.deployment("d", spec)) }
            #expect(text == "422 Deployment.apps \"d\" is invalid: \(expected)")
        }
        try await cluster.create(.deployments, Fixture.deployment("d"))
        let other = Fixture.deployment(
            "d",
            [
                "selector": ["matchLabels": ["app": "other"]],
                "template": [
                    "metadata": ["labels": ["app": "other"]], "spec": ["containers": [["name": "m", "image": "i"]]],
                ],
            ])
        #expect(
            await message { try await cluster.update(.deployments, other) }
                == "422 Deployment.apps \"d\" is invalid: spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"other\"}}: field "
                + "is immutable")
    }

    @Test("Other kinds")
    func others() async throws {
        let cluster = try await Cluster()
        let bindings = GroupVersionResource(group: "rbac.authorization.k8s.io", version: "v1", resource: "rolebindings")
        let policies = GroupVersionResource(group: "networking.k8s.io", version: "v1", resource: "networkpolicies")
        let meta: JSON = ["name": "x", "namespace": "default"]
        let table: [(GroupVersionResource, JSON, String)] = [
            (
                .services, Fixture.service("x", ["ports": [["port": 0]]]),
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"
            ),
            (
                .services, Fixture.service("x", ["type": "ExternalName", "ports": []]),
                "spec.externalName: Required value"
            ),
            (
                .configMaps, Fixture.configMap("x", ["a/b": "c"]),
                "data[a/b]: Invalid value: \"a/b\": a valid config key"
            ),
            (
                .secrets, ["metadata": meta, "type": "kubernetes.io/tls", "data": ["tls.crt": ""]],
                "data[tls.key]: Required value"
            ),
            (
                Self.roles, ["metadata": meta, "rules": [["apiGroups": [""], "resources": ["pods"]]]],
                "rules[0].verbs: Required value: verbs must contain at least one value"
            ),
            (
                bindings,
                [
                    "metadata": meta,
                    "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "Thing", "name": "a"],
                ], "roleRef.kind: Unsupported value: \"Thing\": supported values: \"Role\", \"ClusterRole\""
            ),
            (
                policies,
                [
                    "metadata": meta,
                    "spec": ["podSelector": [:], "ingress": [["from": [["ipBlock": ["cidr": "1.2.3"]]]]]],
                ], "spec.ingress[0].from[0].ipBlock.cidr: Invalid value: \"1.2.3\": must be a valid CIDR value"
            ),
            (
                .persistentVolumeClaims, ["metadata": meta, "spec": ["accessModes": []]],
                "spec.accessModes: Required value: at least 1 access mode is required"
            ),
            (
                .services, Fixture.service("x", ["ports": [["port": 80]], "loadBalancerSourceRanges": ["1.2.3.0/24"]]),
                "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'"
            ),
            (
                Self.kind("storage.k8s.io", "storageclasses"), ["metadata": ["name": "x"]],
                "provisioner: Required value"
            ),
            (
                Self.kind("networking.k8s.io", "ingressclasses"),
                ["metadata": ["name": "x"], "spec": ["controller": "bad"]],
                "spec.controller: Invalid value: \"bad\": must be a domain-prefixed path (such as \"acme.io/foo\")"
            ),
            (
                Self.kind("", "resourcequotas"), ["metadata": meta, "spec": ["hard": ["pods": "1.5"]]],
                "spec.hard[pods]: Invalid value: \"1500m\": must be an integer"
            ),
            (
                Self.kind("", "limitranges"), ["metadata": meta, "spec": ["limits": [["type": "Thing"]]]],
                "spec.limits[0].type: Invalid value: \"Thing\": must be a standard limit type or fully qualified"
            ),
        ]
        for (resource, body, expected) in table {
            let text = await message { try await cluster.create(resource, body) }
            #expect(text.hasPrefix("422 ") && text.contains(expected), "\(text)")
        }
        try await cluster.create(.configMaps, ["metadata": meta, "immutable": true, "data": ["k": "v"]])
        #expect(
            await message { try await cluster.patch(.configMaps, "x", ["data": ["k": "w"]]) }
                == "422 ConfigMap \"x\" is invalid: data: Forbidden: field is immutable when `immutable` is set")
    }
}
