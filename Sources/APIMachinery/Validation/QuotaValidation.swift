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
            if quantity.isNegative { problems.add(.invalid(field, value, "must be greater than or equal to 0")) }
        }
        for (index, scope) in tree["spec"]["scopes"].elements.enumerated() where !scopes.contains(scope.string ?? "") {
            problems.add(.invalid("spec.scopes[\(index)]", scope, "unsupported scope"))
        }
        return problems.list
    }

    static func limitRange(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        var types: Set<String> = []
        for (index, limit) in tree["spec"]["limits"].elements.enumerated() {
            let path = "spec.limits[\(index)]"
            let type = limit["type"].string ?? ""
            if !types.insert(type).inserted { problems.add(.duplicate("\(path).type", .string(type))) }
            for part in ["default", "defaultRequest"] where type == "Pod" && !limit[part].members.isEmpty {
                problems.add(.forbidden("\(path).\(part)", "may not be specified when `type` is 'Pod'"))
            }
            func amount(_ part: String, _ name: String) -> Quantity? { Quantity(limit[part][name]) }
            let names = Set(["min", "max", "default", "defaultRequest"].flatMap { limit[$0].members.keys })
            for name in names.sorted() {
                func check(_ low: String, _ high: String, _ shown: String) {
                    if let a = amount(low, name), let b = amount(high, name), a > b {
                        let value = shown == low ? a : b
                        problems.add(
                            .invalid(
                                "\(path).\(shown)[\(name)]", .string(value.canonical),
                                "\(low) value \(a.canonical) is greater than \(high) value \(b.canonical)"))
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
