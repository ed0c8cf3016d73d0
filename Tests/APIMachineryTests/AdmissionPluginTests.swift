import APIMachinery
import ClusterClient
import JSON
import ObjectModel
import Security
import Testing

/// What the built-in plugins refuse and fill in.
@Suite struct AdmissionPluginTests {
    private static let node = RequestContext(
        user: UserInfo(name: "system:node:n1", groups: ["system:nodes", "system:authenticated"]))

    @Test("A node changes itself, its pods and its lease, and nothing that steers others")
    func nodeRestriction() async throws {
        let cluster = try await Cluster()
        let own: JSON = ["metadata": ["name": "n1", "labels": ["kubernetes.io/os": "linux"]]]
        try await cluster.create(.nodes, own, Self.node)
        #expect(
            await message { try await cluster.create(.nodes, ["metadata": ["name": "n2"]], Self.node) }
                == "403 nodes \"n2\" is forbidden: node \"n1\" is not allowed to modify node \"n2\"")
        func patch(_ patch: JSON) async -> String {
            await message { try await cluster.patch(.nodes, "n1", patch, Self.node) }
        }
        #expect(
            await patch(["spec": ["taints": nil]])
                == "403 nodes \"n1\" is forbidden: node \"n1\" is not allowed to modify taints")
        #expect(
            await patch(["metadata": ["labels": ["node-restriction.kubernetes.io/team": "a", "free": "yes"]]])
                == "403 nodes \"n1\" is forbidden: is not allowed to modify labels: node-restriction.kubernetes.io/team"
        )
        #expect(
            await patch(["metadata": ["labels": ["free": "yes", "topology.kubernetes.io/zone": "z"]]]) == "no error")

        try await cluster.create(.pods, Fixture.pod("mine", spec: ["nodeName": "n1"]))
        try await cluster.create(.pods, Fixture.pod("theirs", spec: ["nodeName": "n2"]))
        let running: JSON = ["status": ["phase": "Running"]]
        try await cluster.patch(.pods, "mine", running, subresource: "status", Self.node)
        #expect(
            await message { try await cluster.patch(.pods, "theirs", running, subresource: "status", Self.node) }
                == "403 pods \"theirs\" is forbidden: node \"n1\" can only update pod status for pods with spec.nodeName "
                + "set to itself")
        #expect(
            await message { try await cluster.create(.pods, Fixture.pod("new"), Self.node) }.contains(
                "node \"n1\" can only create mirror pods"))
        let accounts = try cluster.definition(.serviceAccounts)
        let token: JSON = ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": ["audiences": []]]
        #expect(
            await message {
                try await cluster.machinery.create(
                    accounts, namespace: "default", name: "default", subresource: "token", body: token,
                    context: Self.node
                ).object
            } == "403 serviceaccounts \"default\" is forbidden: node requested token not bound to a pod")
    }

    @Test("Pod security standards refuse pods and warn about their templates")
    func podSecurity() async throws {
        let cluster = try await Cluster()
        func label(_ labels: JSON) async -> String {
            await message {
                try await cluster.patch(.namespaces, "default", ["metadata": ["labels": labels]])
            }
        }
        #expect(
            await label(["pod-security.kubernetes.io/enforce": "strict"])
                == "422 Namespace \"default\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "
                + "\"strict\": must be one of privileged, baseline, restricted")
        try await cluster.create(.pods, Fixture.pod("before", spec: ["hostNetwork": true]))
        let context = RequestContext.test
        try await cluster.patch(
            .namespaces, "default",
            [
                "metadata": [
                    "labels": [
                        "pod-security.kubernetes.io/enforce": "baseline",
                        "pod-security.kubernetes.io/warn": "restricted",
                    ]
                ]
            ], context)
        #expect(
            context.warnings == [
                "existing pods in namespace \"default\" violate the new PodSecurity enforce level \"baseline:latest\"",
                "before: host namespaces",
            ])
        let bad: JSON = [
            "hostPID": true, "volumes": [["name": "v", "hostPath": ["path": "/"]]],
            "containers": [
                [
                    "name": "main", "image": "i",
                    "securityContext": ["privileged": true, "capabilities": ["add": ["NET_ADMIN"]]],
                    "ports": [["containerPort": 80, "hostPort": 80]],
                ]
            ],
        ]
        #expect(
            await message { try await cluster.create(.pods, Fixture.pod("bad", spec: bad)) }
                == "403 pods \"bad\" is forbidden: violates PodSecurity \"baseline:latest\": non-default capabilities "
                + "(container \"main\" must not include \"NET_ADMIN\" in securityContext.capabilities.add), host namespaces "
                + "(hostPID=true), hostPath volumes (volume \"v\"), hostPort (container \"main\" uses hostPort 80), "
                + "privileged (container \"main\" must not set securityContext.privileged=true)")
        let told = RequestContext.test
        try await cluster.create(.deployments, Fixture.deployment("web"), told)
        #expect(
            told.warnings == [
                "would violate PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"main\" must "
                    + "set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"main\" must "
                    + "set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"main\" must "
                    + "set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"main\" must set "
                    + "securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
            ])
        let good: JSON = [
            "securityContext": ["runAsNonRoot": true, "seccompProfile": ["type": "RuntimeDefault"]],
            "containers": [
                [
                    "name": "main", "image": "i",
                    "securityContext": ["allowPrivilegeEscalation": false, "capabilities": ["drop": ["ALL"]]],
                ]
            ],
        ]
        let quiet = RequestContext.test
        try await cluster.create(.pods, Fixture.pod("good", spec: good), quiet)
        #expect(quiet.warnings.isEmpty)
    }

    @Test("Limit ranges say what they filled in, and bound claims that grow")
    func limits() async throws {
        let cluster = try await Cluster()
        try await cluster.create(
            GroupVersionResource(group: "", version: "v1", resource: "limitranges"),
            [
                "metadata": ["name": "l", "namespace": "default"],
                "spec": [
                    "limits": [
                        [
                            "type": "Container", "default": ["cpu": "1"],
                            "defaultRequest": ["cpu": "100m", "memory": "1Mi"],
                        ],
                        ["type": "PersistentVolumeClaim", "max": ["storage": "2Gi"]],
                    ]
                ],
            ])
        let pod = try await cluster.create(.pods, Fixture.pod("p")).tree
        #expect(
            pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"].string
                == "LimitRanger plugin set: cpu, memory request for container main; cpu limit for container main")
        let classes = GroupVersionResource(group: "storage.k8s.io", version: "v1", resource: "storageclasses")
        try await cluster.create(classes, ["metadata": ["name": "fixed"], "provisioner": "x"])
        try await cluster.create(
            classes, ["metadata": ["name": "elastic"], "provisioner": "x", "allowVolumeExpansion": true])
        func claim(_ name: String, _ className: String) async throws {
            try await cluster.create(
                .persistentVolumeClaims,
                [
                    "metadata": ["name": .string(name), "namespace": "default"],
                    "spec": [
                        "accessModes": ["ReadWriteOnce"], "storageClassName": .string(className), "volumeName": "v",
                        "resources": ["requests": ["storage": "1Gi"]],
                    ],
                ])
        }
        func grow(_ name: String, _ size: String) async -> String {
            await message {
                try await cluster.patch(
                    .persistentVolumeClaims, name, ["spec": ["resources": ["requests": ["storage": .string(size)]]]])
            }
        }
        try await claim("a", "fixed")
        try await claim("b", "elastic")
        #expect(await grow("a", "2Gi").contains("for bound claims"))
        for name in ["a", "b"] {
            try await cluster.patch(
                .persistentVolumeClaims, name, ["status": ["phase": "Bound"]], subresource: "status")
        }
        #expect(await grow("a", "2Gi").contains("the storageclass that provisions the pvc must support resize"))
        #expect(
            await grow("b", "3Gi").contains(
                "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"))
        #expect(await grow("b", "2Gi") == "no error")
    }

    @Test("One default priority class, no overhead without a runtime class, nothing of the API in mirror pods")
    func smallRefusals() async throws {
        let cluster = try await Cluster()
        let classes = GroupVersionResource(group: "scheduling.k8s.io", version: "v1", resource: "priorityclasses")
        try await cluster.create(classes, ["metadata": ["name": "one"], "value": 1, "globalDefault": true])
        #expect(
            await message {
                try await cluster.create(classes, ["metadata": ["name": "two"], "value": 2, "globalDefault": true])
            }
                == "403 priorityclasses.scheduling.k8s.io \"two\" is forbidden: PriorityClass one is already marked as default. "
                + "Only one default can exist")
        #expect(
            await message { try await cluster.create(.pods, Fixture.pod("o", spec: ["overhead": ["cpu": "1"]])) }
                == "403 pods \"o\" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined "
                + "Overhead")
        var mirror = Fixture.pod("m", spec: ["volumes": [["name": "s", "secret": ["secretName": "x"]]]])
        mirror["metadata"]["annotations"] = ["kubernetes.io/config.mirror": "abc"]
        #expect(
            await message { try await cluster.create(.pods, mirror) }
                == "403 pods \"m\" is forbidden: a mirror pod may not reference secrets")
    }

    @Test("Approving and signing certificates needs the signer's permission")
    func certificates() async throws {
        let roles = RBACAuthorizer()
        let cluster = try await Cluster { $0.roles = roles }
        let requests = GroupVersionResource(
            group: "certificates.k8s.io", version: "v1", resource: "certificatesigningrequests")
        try await cluster.create(
            requests,
            [
                "metadata": ["name": "c"],
                "spec": [
                    "request": Fixture.certificateRequest, "signerName": "example.com/own", "usages": ["client auth"],
                ],
            ])
        let jane = RequestContext(user: UserInfo(name: "jane"))
        let verdict: JSON = [
            "status": ["conditions": [["type": "Approved", "status": "True", "reason": "x", "message": "y"]]]
        ]
        func approve() async -> String {
            await message { try await cluster.patch(requests, "c", verdict, subresource: "approval", jane) }
        }
        #expect(
            await approve()
                == "403 certificatesigningrequests.certificates.k8s.io \"c\" is forbidden: user not permitted to approve "
                + "requests with signerName \"example.com/own\"")
        for (kind, tree) in [
            (
                "ClusterRole",
                [
                    "rules": [
                        [
                            "apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "verbs": ["approve"],
                            "resourceNames": ["example.com/*"],
                        ]
                    ]
                ]
            ),
            (
                "ClusterRoleBinding",
                [
                    "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "approver"],
                    "subjects": [["kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"]],
                ] as JSON
            ),
        ] {
            var object = tree
            object["apiVersion"] = "rbac.authorization.k8s.io/v1"
            object["kind"] = .string(kind)
            object["metadata"]["name"] = "approver"
            roles.upsert(Object(object))
        }
        #expect(await approve() == "no error")
    }

    @Test("Who replaces the tolerations of a pod keeps those that every pod has")
    func defaultTolerations() async throws {
        let cluster = try await Cluster()
        var pod = try await cluster.create(.pods, Fixture.pod("p")).tree
        #expect(pod["spec"]["tolerations"].elements.count == 2)
        pod["spec"]["tolerations"] = [["key": "own", "operator": "Exists"]]
        let updated = try await cluster.update(.pods, pod).tree
        #expect(updated["spec"]["tolerations"].elements.count == 3)
    }

    @Test("A quota may count only the claims of a volume attributes class")
    func claimScope() async throws {
        let cluster = try await Cluster()
        try await cluster.create(
            GroupVersionResource(group: "", version: "v1", resource: "resourcequotas"),
            [
                "metadata": ["name": "q", "namespace": "default"],
                "spec": [
                    "hard": ["persistentvolumeclaims": "0"],
                    "scopeSelector": [
                        "matchExpressions": [
                            ["scopeName": "VolumeAttributesClass", "operator": "In", "values": ["gold"]]
                        ]
                    ],
                ],
            ])
        func claim(_ name: String, _ attributes: String) async -> String {
            await message {
                try await cluster.create(
                    .persistentVolumeClaims,
                    [
                        "metadata": ["name": .string(name), "namespace": "default"],
                        "spec": [
                            "accessModes": ["ReadWriteOnce"], "volumeAttributesClassName": .string(attributes),
                            "resources": ["requests": ["storage": "1Gi"]],
                        ],
                    ])
            }
        }
        #expect(await claim("a", "iron") == "no error")
        #expect(await claim("b", "gold").contains("exceeded quota: q, requested: persistentvolumeclaims=1"))
    }
}
