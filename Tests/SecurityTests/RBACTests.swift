import JSON
import ObjectModel
import Testing

@testable import Security

private func attributes(
    _ user: UserInfo, _ verb: String, _ resource: String, in namespace: String = "", name: String = "",
    group: String = ""
) -> AuthorizationAttributes {
    let parts = resource.split(separator: "/").map(String.init)
    return AuthorizationAttributes(
        user: user, verb: verb,
        resource: .init(
            group: group, version: "v1", resource: parts[0], subresource: parts.count > 1 ? parts[1] : "",
            namespace: namespace, name: name))
}

private func role(_ kind: String, _ name: String, in namespace: String = "", _ rules: [PolicyRule]) -> Object {
    var json: JSON = [
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": .string(kind), "rules": .array(rules.map(\.json)),
    ]
    json["metadata"] = ["name": .string(name), "namespace": .string(namespace)]
    return Object(json)
}

private func binding(
    _ kind: String, _ name: String, in namespace: String = "", to role: (String, String), _ subjects: JSON
) -> Object {
    Object([
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": .string(kind),
        "metadata": ["name": .string(name), "namespace": .string(namespace)],
        "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": .string(role.0), "name": .string(role.1)],
        "subjects": subjects,
    ])
}

@Suite struct PolicyRuleTests {
    private static let anna = UserInfo(name: "anna")

    @Test(
        "a rule matches verbs, groups, resources, subresources and names",
        arguments: [
            (PolicyRule(verbs: ["get"], apiGroups: [""], resources: ["pods"]), "get", "pods", "", "x", true),
            (PolicyRule(verbs: ["get"], apiGroups: [""], resources: ["pods"]), "list", "pods", "", "", false),
            (PolicyRule(verbs: ["get"], apiGroups: [""], resources: ["pods"]), "get", "pods/log", "", "x", false),
            (PolicyRule(verbs: ["get"], apiGroups: [""], resources: ["pods/log"]), "get", "pods/log", "", "x", true),
            (PolicyRule(verbs: ["get"], apiGroups: [""], resources: ["pods/log"]), "get", "pods", "", "x", false),
            (PolicyRule(verbs: ["get"], apiGroups: [""], resources: ["podsXlog"]), "get", "pods/log", "", "x", false),
            (PolicyRule(verbs: ["*"], apiGroups: ["*"], resources: ["*"]), "delete", "pods/log", "apps", "x", true),
            (
                PolicyRule(verbs: ["get"], apiGroups: ["*"], resources: ["*/scale"]), "get", "deployments/scale",
                "apps", "x", true
            ),
            (
                PolicyRule(verbs: ["get"], apiGroups: ["*"], resources: ["*/scale"]), "get", "deployments", "apps", "x",
                false
            ),
            (PolicyRule(verbs: ["get"], apiGroups: ["apps"], resources: ["pods"]), "get", "pods", "", "x", false),
            (
                PolicyRule(verbs: ["get"], apiGroups: [""], resources: ["pods"], resourceNames: ["a"]), "get", "pods",
                "", "a", true
            ),
            (
                PolicyRule(verbs: ["get"], apiGroups: [""], resources: ["pods"], resourceNames: ["a"]), "get", "pods",
                "", "b", false
            ),
            (
                PolicyRule(verbs: ["*"], apiGroups: [""], resources: ["pods"], resourceNames: ["a"]), "create", "pods",
                "", "", false
            ),
            (PolicyRule(verbs: ["*"], nonResourceURLs: ["*"]), "get", "pods", "", "x", false),
        ])
    func matching(_ rule: PolicyRule, verb: String, resource: String, group: String, name: String, expected: Bool) {
        #expect(rule.allows(attributes(Self.anna, verb, resource, name: name, group: group)) == expected)
    }

    @Test(
        "a rule matches paths",
        arguments: [
            ("/healthz", "/healthz", true), ("/healthz", "/healthz/etcd", false), ("/api/*", "/api/v1", true),
            ("/api/*", "/api", false), ("/api*", "/apis", true), ("*", "/x", true), ("/", "/x", false),
        ])
    func paths(_ url: String, path: String, expected: Bool) {
        let rule = PolicyRule(verbs: ["get"], apiGroups: ["*"], resources: ["*"], nonResourceURLs: [url])
        #expect(rule.allows(AuthorizationAttributes(user: Self.anna, verb: "get", path: path)) == expected)
        #expect(!rule.allows(AuthorizationAttributes(user: Self.anna, verb: "post", path: path)))
    }

    @Test("rules survive the way through JSON")
    func json() {
        let rule = PolicyRule(verbs: ["get"], apiGroups: [""], resources: ["pods"], resourceNames: ["a"])
        #expect(PolicyRule(rule.json) == rule)
        let path = PolicyRule(verbs: ["get"], nonResourceURLs: ["/x"])
        #expect(path.json == ["nonResourceURLs": ["/x"], "verbs": ["get"]])
    }
}

@Suite struct RBACAuthorizerTests {
    private let authorizer = RBACAuthorizer()
    private let reader = PolicyRule(verbs: ["get", "list"], apiGroups: [""], resources: ["pods"])

    @Test("bindings give roles to users, groups and accounts, in their namespace or everywhere")
    func bindings() {
        authorizer.replace(with: [
            role("Role", "reader", in: "a", [reader]),
            role("ClusterRole", "reader", [reader, PolicyRule(verbs: ["get"], apiGroups: [""], resources: ["nodes"])]),
            role("ClusterRole", "health", [PolicyRule(verbs: ["get"], nonResourceURLs: ["/healthz"])]),
            binding("RoleBinding", "one", in: "a", to: ("Role", "reader"), [["kind": "User", "name": "anna"]]),
            binding("RoleBinding", "two", in: "b", to: ("ClusterRole", "reader"), [["kind": "Group", "name": "devs"]]),
            binding(
                "ClusterRoleBinding", "three", to: ("ClusterRole", "reader"),
                [["kind": "ServiceAccount", "name": "robot", "namespace": "x"]]),
            binding("ClusterRoleBinding", "four", to: ("ClusterRole", "health"), [["kind": "User", "name": "anna"]]),
            // Not a role of its own namespace.
            binding("RoleBinding", "five", in: "c", to: ("Role", "reader"), [["kind": "User", "name": "anna"]]),
        ])
        let anna = UserInfo(name: "anna")
        let dev = UserInfo(name: "bob", groups: ["devs"])
        let robot = UserInfo(name: "system:serviceaccount:x:robot")
        func allowed(_ user: UserInfo, _ verb: String, _ resource: String, _ namespace: String) -> Bool {
            authorizer.authorize(attributes(user, verb, resource, in: namespace)).isAllowed
        }
        #expect(allowed(anna, "list", "pods", "a"))
        #expect(
            !allowed(anna, "list", "pods", "b") && !allowed(anna, "list", "pods", "")
                && !allowed(anna, "list", "pods", "c"))
        #expect(!allowed(anna, "delete", "pods", "a"))
        #expect(
            allowed(dev, "get", "pods", "b") && !allowed(dev, "get", "pods", "a") && !allowed(dev, "get", "nodes", ""))
        #expect(
            allowed(robot, "get", "pods", "any") && allowed(robot, "get", "nodes", "")
                && allowed(robot, "list", "pods", ""))
        #expect(authorizer.authorize(.init(user: anna, verb: "get", path: "/healthz")).isAllowed)
        #expect(!authorizer.authorize(.init(user: dev, verb: "get", path: "/healthz")).isAllowed)
        #expect(allowed(UserInfo(name: "x", groups: ["system:masters"]), "delete", "anything", "z"))
        #expect(!allowed(.anonymous, "get", "pods", "a"))
        let verdict = authorizer.authorize(attributes(robot, "list", "pods"))
        #expect(
            verdict.reason
                == "RBAC: allowed by ClusterRoleBinding \"three\" of ClusterRole \"reader\" to User \"\(robot.name)\"")
        let missing = authorizer.authorize(attributes(anna, "list", "pods", in: "c"))
        #expect(missing == .noOpinion(reason: "RBAC: role.rbac.authorization.k8s.io \"reader\" not found"))
    }

    @Test("changes count at once")
    func changes() {
        let anna = UserInfo(name: "anna")
        let request = attributes(anna, "list", "pods", in: "a")
        let bound = binding(
            "RoleBinding", "one", in: "a", to: ("ClusterRole", "r"), [["kind": "User", "name": "anna"]])
        authorizer.upsert(bound)
        #expect(!authorizer.authorize(request).isAllowed)
        authorizer.upsert(role("ClusterRole", "r", [reader]))
        #expect(authorizer.authorize(request).isAllowed)
        authorizer.upsert(
            binding("RoleBinding", "one", in: "a", to: ("ClusterRole", "r"), [["kind": "User", "name": "bob"]]))
        #expect(!authorizer.authorize(request).isAllowed)
        authorizer.upsert(bound)
        authorizer.upsert(role("ClusterRole", "r", []))
        #expect(!authorizer.authorize(request).isAllowed)
        authorizer.upsert(role("ClusterRole", "r", [reader]))
        authorizer.remove(bound)
        #expect(!authorizer.authorize(request).isAllowed)
    }

    @Test("nobody hands out what they do not hold")
    func escalation() {
        authorizer.replace(with: [
            role(
                "ClusterRole", "r",
                [
                    PolicyRule(verbs: ["get", "list"], apiGroups: ["", "apps"], resources: ["*"]),
                    PolicyRule(verbs: ["*"], apiGroups: [""], resources: ["secrets"], resourceNames: ["mine"]),
                    PolicyRule(verbs: ["get"], nonResourceURLs: ["/api/*"]),
                ]),
            binding("RoleBinding", "one", in: "a", to: ("ClusterRole", "r"), [["kind": "User", "name": "anna"]]),
        ])
        let anna = UserInfo(name: "anna", groups: ["g"])
        func problem(_ rule: PolicyRule) -> String? {
            authorizer.escalationProblem(granting: [rule], by: anna, namespace: "a")
        }
        #expect(
            problem(PolicyRule(verbs: ["list"], apiGroups: ["apps"], resources: ["deployments", "pods/log"])) == nil)
        #expect(
            problem(PolicyRule(verbs: ["delete"], apiGroups: [""], resources: ["secrets"], resourceNames: ["mine"]))
                == nil)
        #expect(problem(PolicyRule(verbs: ["get"], nonResourceURLs: ["/api/v1/*"])) == nil)
        for rule in [
            PolicyRule(verbs: ["*"], apiGroups: ["apps"], resources: ["deployments"]),
            PolicyRule(verbs: ["get"], apiGroups: ["*"], resources: ["pods"]),
            PolicyRule(verbs: ["delete"], apiGroups: [""], resources: ["secrets"]),
            PolicyRule(verbs: ["delete"], apiGroups: [""], resources: ["secrets"], resourceNames: ["mine", "yours"]),
            PolicyRule(verbs: ["get"], nonResourceURLs: ["*"]),
        ] {
            #expect(problem(rule) != nil, "\(rule)")
        }
        #expect(
            problem(PolicyRule(verbs: ["get", "update", "patch"], apiGroups: ["apps"], resources: ["deployments"]))
                == "user \"anna\" (groups=[\"g\"]) is attempting to grant RBAC permissions not currently held:\n"
                + "{APIGroups:[\"apps\"], Resources:[\"deployments\"], Verbs:[\"update\" \"patch\"]}")
        let admin = UserInfo(name: "root", groups: ["system:masters"])
        #expect(
            authorizer.escalationProblem(
                granting: [PolicyRule(verbs: ["*"], apiGroups: ["*"], resources: ["*"])], by: admin, namespace: "")
                == nil)
    }

    @Test("the refusal reads as in Kubernetes")
    func refusal() {
        let user = UserInfo(name: "u")
        #expect(
            attributes(user, "get", "pods", in: "ns", name: "x").refusal
                == "User \"u\" cannot get resource \"pods\" in API group \"\" in the namespace \"ns\"")
        #expect(
            attributes(user, "update", "nodes/status", group: "g").refusal
                == "User \"u\" cannot update resource \"nodes/status\" in API group \"g\" at the cluster scope")
        #expect(
            AuthorizationAttributes(user: user, verb: "get", path: "/metrics").refusal
                == "User \"u\" cannot get path \"/metrics\"")
    }
}

@Suite struct DefaultRolesTests {
    private let authorizer = RBACAuthorizer()
    init() {
        authorizer.replace(with: DefaultRoles.all.map(Object.init))
        for (name, role) in [("vera", "view"), ("ed", "edit"), ("ada", "admin")] {
            authorizer.upsert(
                binding(
                    "RoleBinding", name, in: "ns", to: ("ClusterRole", role), [["kind": "User", "name": .string(name)]])
            )
        }
    }

    @Test("every role and binding is complete and refers to what there is")
    func complete() {
        let roles = Set(DefaultRoles.clusterRoles.compactMap { $0["metadata"]["name"].string })
        #expect(roles.count == DefaultRoles.clusterRoles.count)
        for name in [
            "cluster-admin", "admin", "edit", "view", "system:discovery", "system:basic-user",
            "system:public-info-viewer", "system:monitoring", "system:node", "system:node-proxier",
            "system:node-bootstrapper", "system:node-problem-detector", "system:auth-delegator",
            "system:kube-aggregator", "system:kube-controller-manager", "system:kube-scheduler", "system:kube-dns",
            "system:volume-scheduler", "system:persistent-volume-provisioner", "system:kubelet-api-admin",
            "system:service-account-issuer-discovery", "system:heapster", "system:cluster-trust-bundle-discovery",
            "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
            "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
            "system:certificates.k8s.io:kube-apiserver-client-approver",
            "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
            "system:certificates.k8s.io:kubelet-serving-approver",
            "system:certificates.k8s.io:legacy-unknown-approver", "system:controller:deployment-controller",
        ] {
            #expect(roles.contains(name), "\(name)")
        }
        for json in DefaultRoles.all {
            let metadata = json["metadata"]
            #expect(metadata["labels"]["kubernetes.io/bootstrapping"].string == "rbac-defaults")
            #expect(metadata["annotations"]["rbac.authorization.kubernetes.io/autoupdate"].string == "true")
            for rule in json["rules"].elements.map(PolicyRule.init) {
                let isResource = !rule.apiGroups.isEmpty && !rule.resources.isEmpty && rule.nonResourceURLs.isEmpty
                let isPath =
                    rule.nonResourceURLs.allSatisfy { $0.hasPrefix("/") || $0 == "*" } && rule.resources.isEmpty
                #expect(!rule.verbs.isEmpty && (isResource || (isPath && !rule.nonResourceURLs.isEmpty)), "\(rule)")
            }
        }
        for json in DefaultRoles.clusterRoleBindings {
            #expect(roles.contains(json["roleRef"]["name"].string ?? ""))
        }
        let named = Set(DefaultRoles.roles.map { "\($0["metadata"]["namespace"])/\($0["metadata"]["name"])" })
        for json in DefaultRoles.roleBindings {
            #expect(named.contains("\(json["metadata"]["namespace"])/\(json["roleRef"]["name"])"))
        }
    }

    @Test("admin, edit and view hold what aggregation by their labels gives")
    func aggregation() {
        for name in ["admin", "edit", "view"] {
            let role = DefaultRoles.clusterRoles.first { $0["metadata"]["name"].string == name } ?? .null
            let label = "rbac.authorization.k8s.io/aggregate-to-\(name)"
            #expect(role["aggregationRule"]["clusterRoleSelectors"][0]["matchLabels"][label].string == "true")
            let parts = DefaultRoles.clusterRoles.filter { $0["metadata"]["labels"][label].string == "true" }
            let expected = Set(parts.flatMap { $0["rules"].elements.map(PolicyRule.init) })
            #expect(!expected.isEmpty && Set(role["rules"].elements.map(PolicyRule.init)) == expected, "\(name)")
        }
    }

    @Test(
        "people may do what their role says",
        arguments: [
            ("vera", "list", "pods", "", true), ("vera", "get", "pods/log", "", true),
            ("vera", "get", "secrets", "", false),
            ("vera", "create", "pods", "", false), ("vera", "list", "roles", "rbac.authorization.k8s.io", false),
            ("ed", "create", "deployments", "apps", true), ("ed", "get", "secrets", "", true),
            ("ed", "get", "roles", "rbac.authorization.k8s.io", false), ("ed", "update", "resourcequotas", "", false),
            ("ed", "create", "pods/exec", "", true), ("ed", "update", "namespaces", "", false),
            ("ada", "create", "rolebindings", "rbac.authorization.k8s.io", true),
            ("ada", "update", "resourcequotas", "", false),
            ("ada", "create", "localsubjectaccessreviews", "authorization.k8s.io", true),
            ("ada", "delete", "pods", "", true),
        ])
    func people(_ name: String, verb: String, resource: String, group: String, expected: Bool) {
        let request = attributes(UserInfo(name: name), verb, resource, in: "ns", name: "x", group: group)
        #expect(authorizer.authorize(request).isAllowed == expected)
        var elsewhere = request
        elsewhere.resource?.namespace = "other"
        #expect(!authorizer.authorize(elsewhere).isAllowed)
    }

    @Test("anonymous sees health and version, an authenticated user discovery, nobody more")
    func everybody() {
        func sees(_ user: UserInfo, _ path: String) -> Bool {
            authorizer.authorize(.init(user: user, verb: "get", path: path)).isAllowed
        }
        let anna = UserInfo(name: "anna", groups: ["system:authenticated"])
        for path in ["/healthz", "/livez", "/readyz", "/version"] {
            #expect(sees(.anonymous, path) && sees(anna, path))
        }
        for path in ["/api", "/apis/apps/v1", "/openapi/v3"] { #expect(!sees(.anonymous, path) && sees(anna, path)) }
        for path in ["/metrics", "/logs", "/"] { #expect(!sees(.anonymous, path) && !sees(anna, path)) }
        #expect(
            authorizer.authorize(
                attributes(anna, "create", "selfsubjectaccessreviews", group: "authorization.k8s.io")
            ).isAllowed)
        let account = UserInfo(
            name: "system:serviceaccount:kube-system:deployment-controller",
            groups: ["system:serviceaccounts", "system:authenticated"])
        #expect(authorizer.authorize(attributes(account, "create", "replicasets", in: "x", group: "apps")).isAllowed)
        #expect(!authorizer.authorize(attributes(account, "create", "secrets", in: "x")).isAllowed)
        #expect(!authorizer.rules(for: anna, namespace: "ns").isEmpty)
    }
}

@Suite struct NodeAuthorizerTests {
    private struct Graph: NodeGraph {
        func isNeeded(_ resource: GroupVersionResource, _ key: ObjectKey, byPodsOn node: String) async -> Bool {
            node == "n1" && key.name == "needed"
        }
    }
    private static let node = UserInfo(name: "system:node:n1", groups: ["system:nodes", "system:authenticated"])

    @Test(
        "a node agent reads what its pods need and writes its own objects",
        arguments: [
            ("get", "secrets", "", "ns", "needed", true), ("get", "secrets", "", "ns", "other", false),
            ("list", "secrets", "", "ns", "", false), ("watch", "configmaps", "", "ns", "needed", true),
            ("update", "secrets", "", "ns", "needed", false),
            ("get", "persistentvolumeclaims", "", "ns", "needed", true),
            ("list", "persistentvolumeclaims", "", "ns", "needed", false),
            ("create", "serviceaccounts/token", "", "ns", "needed", true),
            ("create", "serviceaccounts/token", "", "ns", "other", false),
            ("update", "leases", "coordination.k8s.io", "kube-node-lease", "n1", true),
            ("update", "leases", "coordination.k8s.io", "kube-node-lease", "n2", false),
            ("update", "leases", "coordination.k8s.io", "kube-system", "n1", false),
            ("list", "pods", "", "", "", false), ("get", "pods", "", "ns", "needed", true),
            ("get", "pods", "", "ns", "other", false), ("update", "pods/status", "", "ns", "x", true),
            ("get", "nodes", "", "", "n1", true), ("get", "nodes", "", "", "n2", false),
            ("list", "nodes", "", "", "", false), ("get", "serviceaccounts", "", "ns", "other", false),
            ("patch", "nodes/status", "", "", "n1", true),
            ("delete", "nodes", "", "", "n1", false), ("create", "deployments", "apps", "ns", "", false),
            ("create", "events", "", "ns", "", true), ("list", "services", "", "", "", true),
        ])
    func agent(
        _ verb: String, resource: String, group: String, namespace: String, name: String, expected: Bool
    ) async {
        let authorizer = NodeAuthorizer(graph: Graph())
        let request = attributes(Self.node, verb, resource, in: namespace, name: name, group: group)
        #expect(await authorizer.authorize(request).isAllowed == expected)
        var stranger = request
        stranger.user = UserInfo(name: "system:node:n1", groups: ["system:authenticated"])
        #expect(await !authorizer.authorize(stranger).isAllowed, "without the group it is nobody")
    }

    @Test("a node agent lists its own pods")
    func ownPods() async {
        let authorizer = NodeAuthorizer(graph: Graph())
        for (name, expected) in [("n1", true), ("n2", false)] {
            let request = AuthorizationAttributes(
                user: Self.node, verb: "watch",
                resource: .init(
                    group: "", version: "v1", resource: "pods", selectedFields: ["spec.nodeName": name]))
            #expect(await authorizer.authorize(request).isAllowed == expected)
        }
    }

    @Test("what a pod refers to, wherever it says so")
    func references() throws {
        let pod = try JSON.parse(
            #"""
            {"metadata": {"name": "p"}, "spec": {"serviceAccountName": "robot",
             "imagePullSecrets": [{"name": "pull"}],
             "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "one"}}},
                                     {"valueFrom": {"configMapKeyRef": {"name": "c-one"}}}],
                             "envFrom": [{"configMapRef": {"name": "c-all"}}]}],
             "initContainers": [{"envFrom": [{"secretRef": {"name": "all"}}]}],
             "volumes": [{"name": "a", "secret": {"secretName": "mounted"}},
                         {"name": "b", "projected": {"sources": [{"secret": {"name": "projected"}},
                                                                 {"configMap": {"name": "c-projected"}}]}},
                         {"name": "c", "csi": {"nodePublishSecretRef": {"name": "published"}}},
                         {"name": "d", "persistentVolumeClaim": {"claimName": "claim"}},
                         {"name": "e", "ephemeral": {}}]}}
            """#)
        func refers(_ resource: String, _ name: String) -> Bool {
            PodReferences.refers(pod, to: resource, name: name)
        }
        for name in ["pull", "one", "all", "mounted", "projected", "published"] { #expect(refers("secrets", name)) }
        for name in ["c-one", "c-all", "c-projected"] { #expect(refers("configmaps", name)) }
        for name in ["claim", "p-e"] { #expect(refers("persistentvolumeclaims", name)) }
        #expect(refers("serviceaccounts", "robot"))
        #expect(!refers("secrets", "c-one") && !refers("secrets", "other") && !refers("configmaps", "one"))
        var mirror = pod
        mirror["metadata"]["annotations"] = ["kubernetes.io/config.mirror": "x"]
        #expect(!PodReferences.refers(mirror, to: "secrets", name: "one"))
        let volume = try JSON.parse(
            #"{"spec": {"claimRef": {"namespace": "n"}, "csi": {"nodeStageSecretRef": {"name": "s", "namespace": "m"}}}}"#
        )
        #expect(PodReferences.secrets(ofVolume: volume) == [ObjectKey(namespace: "m", name: "s")])
    }
}
