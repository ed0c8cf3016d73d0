import JSON
import ObjectModel

/// RBAC roles and bindings.
enum AccessValidation {
    private static let group = "rbac.authorization.k8s.io"

    static func role(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let isNamespaced = tree["kind"].string == "Role"
        for (index, rule) in tree["rules"].elements.enumerated() {
            let path = "rules[\(index)]"
            if rule["verbs"].elements.isEmpty {
                problems.add(.required("\(path).verbs", "verbs must contain at least one value"))
            }
            if !rule["nonResourceURLs"].elements.isEmpty {
                if isNamespaced {
                    problems.add(
                        .invalid(
                            "\(path).nonResourceURLs", rule["nonResourceURLs"],
                            "namespaced rules cannot apply to non-resource URLs"))
                }
                if !rule["apiGroups"].elements.isEmpty || !rule["resources"].elements.isEmpty
                    || !rule["resourceNames"].elements.isEmpty
                {
                    problems.add(
                        .invalid(
                            "\(path).nonResourceURLs", rule["nonResourceURLs"],
                            "rules cannot apply to both regular resources and non-resource URLs"))
                }
                continue
            }
            if rule["apiGroups"].elements.isEmpty {
                problems.add(.required("\(path).apiGroups", "resource rules must supply at least one api group"))
            }
            if rule["resources"].elements.isEmpty {
                problems.add(.required("\(path).resources", "resource rules must supply at least one resource"))
            }
        }
        for (index, selector) in tree["aggregationRule"]["clusterRoleSelectors"].elements.enumerated() {
            problems.labelSelector("aggregationRule.clusterRoleSelectors[\(index)]", selector)
        }
        return problems.list
    }

    static func binding(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let reference = tree["roleRef"]
        if reference["apiGroup"].string != group {
            problems.add(
                .notSupported("roleRef.apiGroup", reference["apiGroup"].isNull ? "" : reference["apiGroup"], [group]))
        }
        let kinds = tree["kind"].string == "RoleBinding" ? ["Role", "ClusterRole"] : ["ClusterRole"]
        if !kinds.contains(reference["kind"].string ?? "") {
            problems.add(
                .notSupported("roleRef.kind", reference["kind"].isNull ? "" : reference["kind"], kinds, isSorted: false)
            )
        }
        let name = reference["name"].string ?? ""
        if name.isEmpty {
            problems.add(.required("roleRef.name"))
        } else {
            problems.syntax("roleRef.name", name, Names.pathSegmentProblems(name))
        }
        for (index, subject) in tree["subjects"].elements.enumerated() {
            let path = "subjects[\(index)]"
            problems.need("\(path).name", subject["name"])
            switch subject["kind"].string ?? "" {
            case "ServiceAccount":
                if let name = subject["name"].string, !name.isEmpty {
                    problems.syntax("\(path).name", name, Names.dns1123SubdomainProblems(name))
                }
                if !(subject["apiGroup"].string ?? "").isEmpty {
                    problems.add(.notSupported("\(path).apiGroup", subject["apiGroup"], [""]))
                }
                if (subject["namespace"].string ?? "").isEmpty { problems.add(.required("\(path).namespace")) }
            case "User", "Group":
                if subject["apiGroup"].string != group {
                    problems.add(
                        .notSupported(
                            "\(path).apiGroup", subject["apiGroup"].isNull ? "" : subject["apiGroup"], [group]))
                }
            default:
                problems.add(
                    .notSupported(
                        "\(path).kind", subject["kind"].isNull ? "" : subject["kind"],
                        ["ServiceAccount", "User", "Group"], isSorted: false))
            }
        }
        return problems.list
    }

    static func bindingUpdate(_ new: JSON, _ old: JSON) -> [FieldError] {
        new["roleRef"] == old["roleRef"] ? [] : [.invalid("roleRef", new["roleRef"], "cannot change roleRef")]
    }
}
