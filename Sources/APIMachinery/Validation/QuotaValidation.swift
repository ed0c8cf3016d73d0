import JSON
import ObjectModel

/// Resource quotas and limit ranges.
enum QuotaValidation {
    private static let scopes = [
        "Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity",
        "VolumeAttributesClass",
    ]

    static func quota(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        for (name, value) in tree["spec"]["hard"].members {
            let field = "spec.hard[\(name)]"
            let plain = name.hasPrefix("count/") ? String(name.dropFirst(6)) : name
            problems.syntax(
                field, name, Names.qualifiedNameProblems(plain.split(separator: "/").count > 2 ? name : plain))
            guard let quantity = Quantity(value) else { continue }
            if !name.contains("/"), !isKnown(name) {
                problems.add(.invalid(field, .string(name), "must be a standard resource type or fully qualified"))
                problems.add(.invalid(field, .string(name), "must be a standard resource for quota"))
            }
            if quantity.isNegative { problems.add(.invalid(field, value, "must be greater than or equal to 0")) }
            if counted.contains(name) || name.hasPrefix("count/"), Quantity(quantity.value) != quantity {
                problems.add(.invalid(field, .string(quantity.canonical), "must be an integer"))
            }
        }
        scoped(tree["spec"], &problems)
        return problems.list
    }

    private static let counted: Set<String> = [
        "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps",
        "persistentvolumeclaims", "services.nodeports", "services.loadbalancers",
    ]
    private static let amounts: Set<String> = [
        "cpu", "memory", "ephemeral-storage", "storage", "requests.cpu", "requests.memory", "requests.storage",
        "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage",
    ]

    private static func isKnown(_ name: String) -> Bool {
        counted.contains(name) || amounts.contains(name)
            || ["hugepages-", "requests.hugepages-", "limits.hugepages-"].contains { name.hasPrefix($0) }
    }

    /// Scopes, and whether they fit what is limited and each other.
    private static func scoped(_ spec: JSON, _ problems: inout Problems) {
        let given = Set(spec["scopes"].elements.compactMap(\.string))
        if !given.isSubset(of: scopes) {
            problems.add(.invalid("spec.scopes", spec["scopes"], "unsupported scope"))
        } else {
            let ofPods = given.intersection(scopes.dropLast())
            let isPodResource: (String) -> Bool = { name in
                name == "pods" || name == "count/pods" || ["cpu", "memory", "ephemeral-storage"].contains(name)
                    || name.hasPrefix("requests.") && name != "requests.storage" || name.hasPrefix("limits.")
            }
            if !ofPods.isEmpty {
                for name in spec["hard"].members.keys where !isPodResource(name) {
                    problems.add(.invalid("spec.scopes", spec["scopes"], "unsupported scope applied to resource"))
                }
            }
            for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]]
            where given.isSuperset(of: pair) {
                problems.add(.invalid("spec.scopes", spec["scopes"], "conflicting scopes"))
            }
        }
        for expression in spec["scopeSelector"]["matchExpressions"].elements {
            let path = "spec.scopeSelector.matchExpressions"
            let isEmpty = expression["values"].elements.isEmpty
            switch expression["operator"].string ?? "" {
            case "In", "NotIn":
                if isEmpty {
                    problems.add(
                        .required(
                            "\(path).values",
                            "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"))
                }
            case "Exists", "DoesNotExist":
                if !isEmpty {
                    problems.add(
                        .invalid(
                            "\(path).values", expression["values"],
                            "must be no value when `operator` is 'Exists' or 'DoesNotExist' for scope selector"))
                }
            default:
                problems.add(.invalid("\(path).operator", expression["operator"], "not a valid selector operator"))
            }
        }
    }

    static func limitRange(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        var types: Set<String> = []
        for (index, limit) in tree["spec"]["limits"].elements.enumerated() {
            let path = "spec.limits[\(index)]"
            let type = limit["type"].string ?? ""
            if !type.contains("/"), !["Pod", "Container", "PersistentVolumeClaim"].contains(type) {
                problems.add(
                    .invalid("\(path).type", .string(type), "must be a standard limit type or fully qualified"))
            }
            if !types.insert(type).inserted { problems.add(.duplicate("\(path).type", .string(type))) }
            if type == "PersistentVolumeClaim", limit["min"]["storage"].isNull, limit["max"]["storage"].isNull {
                problems.add(
                    .required(
                        "\(path).limits",
                        "either minimum or maximum storage value is required, but neither was provided"))
            }
            for (name, value) in limit["maxLimitRequestRatio"].members {
                guard let ratio = Quantity(value), ratio < Quantity(1) else { continue }
                problems.add(
                    .invalid(
                        "\(path).maxLimitRequestRatio[\(name)]", .string(ratio.canonical),
                        "ratio \(ratio.canonical) is less than 1"))
            }
            for part in ["default", "defaultRequest"] where type == "Pod" && !limit[part].members.isEmpty {
                problems.add(.forbidden("\(path).\(part)", "may not be specified when `type` is 'Pod'"))
            }
            func words(_ part: String) -> String { part == "defaultRequest" ? "default request" : part }
            func amount(_ part: String, _ name: String) -> Quantity? { Quantity(limit[part][name]) }
            let names = Set(["min", "max", "default", "defaultRequest"].flatMap { limit[$0].members.keys })
            for name in names.sorted() {
                func check(_ low: String, _ high: String, _ shown: String) {
                    if let a = amount(low, name), let b = amount(high, name), a > b {
                        let value = shown == low ? a : b
                        problems.add(
                            .invalid(
                                "\(path).\(shown)[\(name)]", .string(value.canonical),
                                "\(words(low)) value \(a.canonical) is greater than \(words(high)) value "
                                    + b.canonical))
                    }
                }
                check("min", "max", "min")
                check("min", "defaultRequest", "defaultRequest")
                check("defaultRequest", "max", "defaultRequest")
                check("defaultRequest", "default", "defaultRequest")
                check("min", "default", "default")
                check("default", "max", "default")
            }
        }
        return problems.list
    }
}
