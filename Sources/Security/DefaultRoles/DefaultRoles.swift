public import JSON

/// The roles and bindings that every cluster starts with (kubernetes-api.md §15), as objects to create or reconcile.
///
/// All carry the label `kubernetes.io/bootstrapping=rbac-defaults` and the annotation that asks for reconciling at start
/// (`rbac.authorization.kubernetes.io/autoupdate=true`): missing rules and subjects are put back, extra ones stay.
public enum DefaultRoles {
    /// ClusterRoles, `admin`, `edit` and `view` with their aggregation rule and the rules it gives.
    public static let clusterRoles: [JSON] = {
        var roles = allClusterRoles.map { role in
            let labels = role.aggregatesTo.map { ("rbac.authorization.k8s.io/aggregate-to-\($0)", "true") }
            return object("ClusterRole", role.name, labels: labels, rules: role.rules)
        }
        for (name, to) in [("admin", nil), ("edit", "admin"), ("view", "edit")] as [(String, String?)] {
            let labels = to.map { [("rbac.authorization.k8s.io/aggregate-to-\($0)", "true")] } ?? []
            var role = object("ClusterRole", name, labels: labels, rules: rules(ofClusterRole: name))
            let selector: JSON = [
                "matchLabels": ["rbac.authorization.k8s.io/aggregate-to-\(name)": "true"]
            ]
            role["aggregationRule"] = ["clusterRoleSelectors": [selector]]
            roles.append(role)
        }
        return roles
    }()

    /// ClusterRoleBindings; `system:node` has no subjects, as the node authorizer takes its place.
    public static let clusterRoleBindings: [JSON] = {
        let bindings: [(String, [JSON])] = [
            ("cluster-admin", [group("system:masters")]),
            ("system:monitoring", [group("system:monitoring")]),
            ("system:discovery", [group("system:authenticated")]),
            ("system:basic-user", [group("system:authenticated")]),
            ("system:public-info-viewer", [group("system:authenticated"), group("system:unauthenticated")]),
            ("system:node-proxier", [user("system:kube-proxy")]),
            ("system:kube-controller-manager", [user("system:kube-controller-manager")]),
            ("system:kube-scheduler", [user("system:kube-scheduler")]),
            ("system:volume-scheduler", [user("system:kube-scheduler")]),
            ("system:kube-dns", [account("kube-dns")]),
            ("system:service-account-issuer-discovery", [group("system:serviceaccounts")]),
            ("system:cluster-trust-bundle-discovery", [group("system:serviceaccounts")]),
            ("system:node", []),
        ]
        let controllers = controllerTable.roles.map { role in
            (role.name, [account(String(role.name.dropFirst("system:controller:".count)))])
        }
        return (bindings + controllers).map { name, subjects in
            binding("ClusterRoleBinding", name, namespace: "", role: ("ClusterRole", name), subjects)
        }
    }()

    /// Roles in `kube-system` and `kube-public`; both namespaces must exist first.
    public static let roles: [JSON] = namespacedTables.flatMap { namespace, table in
        table.roles.map { object("Role", $0.name, namespace: namespace, rules: $0.rules) }
    }

    /// RoleBindings in `kube-system` and `kube-public`.
    public static let roleBindings: [JSON] = [
        binding(
            "RoleBinding", "system::extension-apiserver-authentication-reader", namespace: "kube-system",
            role: ("Role", "extension-apiserver-authentication-reader"),
            [user("system:kube-controller-manager"), user("system:kube-scheduler")]),
        binding(
            "RoleBinding", "system::leader-locking-kube-controller-manager", namespace: "kube-system",
            role: ("Role", "system::leader-locking-kube-controller-manager"),
            [user("system:kube-controller-manager"), account("kube-controller-manager")]),
        binding(
            "RoleBinding", "system::leader-locking-kube-scheduler", namespace: "kube-system",
            role: ("Role", "system::leader-locking-kube-scheduler"),
            [user("system:kube-scheduler"), account("kube-scheduler")]),
        binding(
            "RoleBinding", "system:controller:bootstrap-signer", namespace: "kube-system",
            role: ("Role", "system:controller:bootstrap-signer"), [account("bootstrap-signer")]),
        binding(
            "RoleBinding", "system:controller:cloud-provider", namespace: "kube-system",
            role: ("Role", "system:controller:cloud-provider"), [account("cloud-provider")]),
        binding(
            "RoleBinding", "system:controller:token-cleaner", namespace: "kube-system",
            role: ("Role", "system:controller:token-cleaner"), [account("token-cleaner")]),
        binding(
            "RoleBinding", "system:controller:bootstrap-signer", namespace: "kube-public",
            role: ("Role", "system:controller:bootstrap-signer"), [account("bootstrap-signer")]),
    ]

    /// The four lists together, roles before the bindings that refer to them.
    public static var all: [JSON] { clusterRoles + roles + clusterRoleBindings + roleBindings }

    /// The rules of a default ClusterRole; empty for an unknown name.
    public static func rules(ofClusterRole name: String) -> [PolicyRule] {
        func own(_ name: String) -> [PolicyRule] { allClusterRoles.first { $0.name == name }?.rules ?? [] }
        return switch name {
        case "view": own("system:aggregate-to-view")
        case "edit": own("system:aggregate-to-edit") + own("system:aggregate-to-view")
        case "admin":
            own("system:aggregate-to-admin") + own("system:aggregate-to-edit") + own("system:aggregate-to-view")
        default: own(name)
        }
    }

    private static let allClusterRoles = userTable.roles + componentTable.roles + controllerTable.roles

    // MARK: Objects

    private static let group = "rbac.authorization.k8s.io"

    private static func metadata(_ name: String, namespace: String, labels: [(String, String)]) -> JSON {
        var metadata: JSON = [
            "annotations": ["rbac.authorization.kubernetes.io/autoupdate": "true"],
            "labels": ["kubernetes.io/bootstrapping": "rbac-defaults"],
            "name": .string(name),
        ]
        for (key, value) in labels { metadata["labels"][key] = .string(value) }
        if !namespace.isEmpty { metadata["namespace"] = .string(namespace) }
        return metadata
    }

    private static func object(
        _ kind: String, _ name: String, namespace: String = "", labels: [(String, String)] = [], rules: [PolicyRule]
    ) -> JSON {
        [
            "apiVersion": .string("\(group)/v1"), "kind": .string(kind),
            "metadata": metadata(name, namespace: namespace, labels: labels), "rules": .array(rules.map(\.json)),
        ]
    }

    private static func binding(
        _ kind: String, _ name: String, namespace: String, role: (kind: String, name: String), _ subjects: [JSON]
    ) -> JSON {
        var json: JSON = [
            "apiVersion": .string("\(group)/v1"), "kind": .string(kind),
            "metadata": metadata(name, namespace: namespace, labels: []),
            "roleRef": ["apiGroup": .string(group), "kind": .string(role.kind), "name": .string(role.name)],
        ]
        if !subjects.isEmpty { json["subjects"] = .array(subjects) }
        return json
    }

    private static func group(_ name: String) -> JSON {
        ["apiGroup": .string(group), "kind": "Group", "name": .string(name)]
    }
    private static func user(_ name: String) -> JSON {
        ["apiGroup": .string(group), "kind": "User", "name": .string(name)]
    }
    private static func account(_ name: String) -> JSON {
        ["kind": "ServiceAccount", "name": .string(name), "namespace": "kube-system"]
    }
}
