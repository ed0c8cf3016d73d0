import JSON
import ObjectModel

/// Horizontal pod autoscalers.
enum AutoscalerValidation {
    private static let sources = [
        ("ContainerResource", "containerResource"), ("External", "external"), ("Object", "object"), ("Pods", "pods"),
        ("Resource", "resource"),
    ]

    static func autoscaler(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let spec = tree["spec"]
        let most = spec["maxReplicas"].int ?? 0
        if let least = spec["minReplicas"].int, least < 1 {
            problems.add(.invalid("spec.minReplicas", JSON(least), "must be greater than or equal to 1"))
        }
        if most < 1 { problems.add(.required("spec.maxReplicas", "must be set and greater than 0")) }
        if let least = spec["minReplicas"].int, least > most {
            problems.add(.invalid("spec.maxReplicas", JSON(most), "must be greater than or equal to `minReplicas`"))
        }
        target(spec["scaleTargetRef"], "spec.scaleTargetRef", &problems)
        for (index, metric) in spec["metrics"].elements.enumerated() {
            self.metric(metric, "spec.metrics[\(index)]", &problems)
        }
        for direction in ["scaleUp", "scaleDown"] where !spec["behavior"][direction].isNull {
            rules(spec["behavior"][direction], "spec.behavior.\(direction)", &problems)
        }
        return problems.list
    }

    private static func target(_ reference: JSON, _ path: String, _ problems: inout Problems) {
        for member in ["kind", "name"] {
            let text = reference[member].string ?? ""
            if text.isEmpty {
                problems.add(.required("\(path).\(member)"))
            } else {
                problems.syntax("\(path).\(member)", text, Names.pathSegmentProblems(text))
            }
        }
        // Only replication controllers are of the core group.
        let version = reference["apiVersion"].string ?? ""
        if version.isEmpty, reference["kind"].string != "ReplicationController" {
            problems.add(.invalid("\(path).apiVersion", "", "apiVersion must specify API group"))
        }
    }

    private static func metric(_ metric: JSON, _ path: String, _ problems: inout Problems) {
        let type = metric["type"].string ?? ""
        guard let source = sources.first(where: { $0.0 == type })?.1 else {
            return problems.choice("\(path).type", metric["type"], sources.map(\.0), isNeeded: true)
        }
        guard !metric[source].isNull else {
            return problems.add(
                .required("\(path).\(source)", "must populate information for the given metric source"))
        }
        for (_, other) in sources where other != source && !metric[other].isNull {
            problems.add(
                .forbidden("\(path).\(other)", "must populate the given metric source only"))
        }
        let field = "\(path).\(source)"
        let goal = metric[source]["target"]
        switch source {
        case "resource", "containerResource":
            problems.need("\(field).name", metric[source]["name"], "must specify a resource name")
            if source == "containerResource" {
                problems.need("\(field).container", metric[source]["container"], "must specify a container")
            }
            if goal["averageUtilization"].isNull, goal["averageValue"].isNull {
                problems.add(
                    .required(
                        "\(field).target.averageUtilization",
                        "must set either a target raw value or a target utilization"))
            } else if !goal["averageUtilization"].isNull, !goal["averageValue"].isNull {
                problems.add(
                    .forbidden(
                        "\(field).target.averageValue", "may not set both a target raw value and a target utilization"))
            }
            if let share = goal["averageUtilization"].int, share < 1 {
                problems.add(
                    .invalid("\(field).target.averageUtilization", JSON(share), "must be greater than 0"))
            }
        case "pods":
            problems.need("\(field).metric.name", metric[source]["metric"]["name"])
            if goal["averageValue"].isNull {
                problems.add(.required("\(field).target.averageValue", "must specify a positive target averageValue"))
            }
        default:
            problems.need("\(field).metric.name", metric[source]["metric"]["name"])
            if goal["value"].isNull, goal["averageValue"].isNull {
                problems.add(
                    .required(
                        "\(field).target.averageValue", "must set either a target value or averageValue"))
            }
        }
    }

    private static func rules(_ rules: JSON, _ path: String, _ problems: inout Problems) {
        let window = rules["stabilizationWindowSeconds"]
        problems.notNegative("\(path).stabilizationWindowSeconds", window)
        if let seconds = window.int, seconds > 3600 {
            problems.add(.invalid("\(path).stabilizationWindowSeconds", window, "must be less than or equal to 3600"))
        }
        problems.choice("\(path).selectPolicy", rules["selectPolicy"], ["Disabled", "Max", "Min"])
        if rules["policies"].elements.isEmpty {
            problems.add(.required("\(path).policies", "must specify at least one Policy"))
        }
        for (index, policy) in rules["policies"].elements.enumerated() {
            let field = "\(path).policies[\(index)]"
            problems.choice("\(field).type", policy["type"], ["Percent", "Pods"], isNeeded: true)
            for member in ["value", "periodSeconds"] where (policy[member].int ?? 0) < 1 {
                problems.add(.invalid("\(field).\(member)", JSON(policy[member].int ?? 0), "must be greater than zero"))
            }
            if let seconds = policy["periodSeconds"].int, seconds > 1800 {
                problems.add(
                    .invalid("\(field).periodSeconds", JSON(seconds), "must be less than or equal to 1800"))
            }
        }
    }
}
