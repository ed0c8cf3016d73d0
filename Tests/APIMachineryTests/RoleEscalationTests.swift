import APIMachinery
import ClusterClient
import JSON
import ObjectModel
import Security
import Testing

@Suite struct RoleEscalationTests {
    private static func resource(_ plural: String) -> GroupVersionResource {
        GroupVersionResource(group: "rbac.authorization.k8s.io", version: "v1", resource: plural)
    }
    private static let bob = RequestContext(user: UserInfo(name: "bob", groups: ["dev", "system:authenticated"]))

    private static func role(_ name: String, _ rules: JSON, kind: String = "Role") -> JSON {
        var role: JSON = [
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": .string(kind), "metadata": ["name": .string(name)],
            "rules": rules,
        ]
        if kind == "Role" { role["metadata"]["namespace"] = "default" }
        return role
    }
    private static func binding(_ name: String, _ kind: String, _ role: String) -> JSON {
        [
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": ["name": .string(name), "namespace": "default"],
            "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": .string(kind), "name": .string(role)],
            "subjects": [["kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "bob"]],
        ]
    }
    private static let pods: JSON = [["verbs": ["get"], "apiGroups": [""], "resources": ["pods"]]]
    private static let everything: JSON = [["verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]]]
    private static let held =
        "user \"bob\" (groups=[\"dev\" \"system:authenticated\"]) is attempting to grant RBAC permissions not currently "
        + "held:\n"

    /// A cluster whose authorizer knows these roles and bindings; bob may get pods in `default`.
    private static func cluster(_ more: JSON...) async throws -> Cluster {
        let roles = RBACAuthorizer()
        roles.replace(with: ([role("pods", pods), binding("pods", "Role", "pods")] + more).map { Object($0) })
        return try await Cluster { $0.roles = roles }
    }

    @Test("A role holds no more than its author")
    func roles() async throws {
        let cluster = try await Self.cluster()
        let roles = Self.resource("roles")
        try await cluster.create(roles, Self.role("mine", Self.pods), Self.bob)
        #expect(
            await message { try await cluster.create(roles, Self.role("big", Self.everything), Self.bob) }
                == "403 roles.rbac.authorization.k8s.io \"big\" is forbidden: " + Self.held
                + "{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}")
        #expect(
            await message { try await cluster.patch(roles, "mine", ["rules": Self.everything], Self.bob) }
                .hasPrefix("403 roles.rbac.authorization.k8s.io \"mine\" is forbidden: user \"bob\""))
        #expect(
            await message { () async throws -> Object in
                var context = Self.role("applied", Self.everything)
                context["metadata"]["namespace"] = "default"
                return try await cluster.machinery.patch(
                    try cluster.definition(roles), ObjectKey(namespace: "default", name: "applied"), subresource: nil,
                    type: .apply, patch: context, force: false,
                    context: RequestContext(user: Self.bob.user, fieldManager: "bob")
                ).object
            }.hasPrefix("403 "))
        // What somebody else put there may stay, and be relabelled.
        try await cluster.create(roles, Self.role("strong", Self.everything))
        try await cluster.patch(roles, "strong", ["metadata": ["labels": ["a": "b"]]], Self.bob)
        #expect(
            await message {
                try await cluster.create(
                    Self.resource("clusterroles"),
                    ["metadata": ["name": "all"], "aggregationRule": ["clusterRoleSelectors": []]], Self.bob)
            }.contains("must have cluster-admin privileges to use the aggregationRule"))
    }

    @Test("A binding gives no more than its author has, unless they may bind or escalate")
    func bindings() async throws {
        let verbs: JSON = [
            ["verbs": ["bind"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"]],
            ["verbs": ["escalate"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"]],
        ]
        let bindings = Self.resource("rolebindings")
        let admin = Self.role("admin", Self.everything, kind: "ClusterRole")
        let plain = try await Self.cluster(admin)
        try await plain.create(bindings, Self.binding("mine", "Role", "pods"), Self.bob)
        #expect(
            await message {
                try await plain.create(bindings, Self.binding("more", "ClusterRole", "admin"), Self.bob)
            }.hasPrefix("403 rolebindings.rbac.authorization.k8s.io \"more\" is forbidden: " + Self.held))
        #expect(
            await message { try await plain.create(bindings, Self.binding("none", "Role", "gone"), Self.bob) }
                == "404 roles.rbac.authorization.k8s.io \"gone\" not found")
        let trusted = try await Self.cluster(admin, Self.role("v", verbs), Self.binding("v", "Role", "v"))
        try await trusted.create(bindings, Self.binding("more", "ClusterRole", "admin"), Self.bob)
        try await trusted.create(Self.resource("roles"), Self.role("big", Self.everything), Self.bob)
    }
}
