import JSON
import ObjectModel

/// Between the stored and the other served versions of the few kinds that have two.
enum VersionConversion {
    static func objects(_ objects: [Object], as kind: GroupVersionKind) -> [Object] {
        guard let first = objects.first, first.kind != kind else { return objects }
        return objects.map { object($0, as: kind) }
    }

    /// The object in another version; the same reference when it already is.
    static func object(_ object: Object, as kind: GroupVersionKind) -> Object {
        object.kind == kind ? object : Object(tree(object.tree, as: kind))
    }

    /// The tree in another version of its kind. Unknown pairs only change their name.
    static func tree(_ tree: JSON, as kind: GroupVersionKind) -> JSON {
        if tree["apiVersion"].string == kind.apiVersion { return tree }
        var result = tree
        switch (tree["apiVersion"].string ?? "", kind.apiVersion) {
        case ("v1", "events.k8s.io/v1"): rename(&result, eventFields.map { ($0.core, $0.new) })
        case ("events.k8s.io/v1", "v1"): rename(&result, eventFields.map { ($0.new, $0.core) })
        case ("autoscaling/v2", "autoscaling/v1"): result = scalerV1(tree)
        case ("autoscaling/v1", "autoscaling/v2"): result = scalerV2(tree)
        default: break
        }
        result["apiVersion"] = .string(kind.apiVersion)
        result["kind"] = .string(kind.kind)
        return result
    }

    private static let eventFields: [(core: String, new: String)] = [
        ("involvedObject", "regarding"), ("message", "note"), ("source", "deprecatedSource"),
        ("firstTimestamp", "deprecatedFirstTimestamp"), ("lastTimestamp", "deprecatedLastTimestamp"),
        ("count", "deprecatedCount"), ("reportingComponent", "reportingController"),
    ]

    private static func rename(_ tree: inout JSON, _ names: [(String, String)]) {
        for (old, new) in names {
            if let value = tree.removeMember(old) { tree[new] = value }
        }
    }

    private static let metricsAnnotation = "autoscaling.alpha.kubernetes.io/metrics"
    private static let behaviorAnnotation = "autoscaling.alpha.kubernetes.io/behavior"

    /// v1 knows one CPU target; everything else travels in annotations.
    private static func scalerV1(_ tree: JSON) -> JSON {
        var result = tree
        var others: [JSON] = []
        result["spec"].removeMember("metrics")
        for metric in tree["spec"]["metrics"].elements {
            let target = metric["resource"]["target"]
            if metric["type"].string == "Resource", metric["resource"]["name"].string == "cpu",
                let percent = target["averageUtilization"].int
            {
                result["spec"]["targetCPUUtilizationPercentage"] = JSON(percent)
            } else {
                others.append(metric)
            }
        }
        if !others.isEmpty { result["metadata"]["annotations"][metricsAnnotation] = .string("\(JSON.array(others))") }
        if let behavior = result["spec"].removeMember("behavior") {
            result["metadata"]["annotations"][behaviorAnnotation] = .string("\(behavior)")
        }
        var status: JSON = tree["status"]
        status.removeMember("conditions")
        for metric in status.removeMember("currentMetrics")?.elements ?? [] {
            if metric["resource"]["name"].string == "cpu",
                let percent = metric["resource"]["current"]["averageUtilization"].int
            {
                status["currentCPUUtilizationPercentage"] = JSON(percent)
            }
        }
        if !status.isNull { result["status"] = status }
        return result
    }

    private static func scalerV2(_ tree: JSON) -> JSON {
        var result = tree
        var metrics: [JSON] = []
        if let percent = result["spec"].removeMember("targetCPUUtilizationPercentage")?.int {
            metrics.append([
                "type": "Resource",
                "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": JSON(percent)]],
            ])
        }
        var annotations = result["metadata"]["annotations"]
        if let text = annotations.removeMember(metricsAnnotation)?.string, let parsed = try? JSON.parse(text) {
            metrics += parsed.elements
        }
        if let text = annotations.removeMember(behaviorAnnotation)?.string, let parsed = try? JSON.parse(text) {
            result["spec"]["behavior"] = parsed
        }
        result["metadata"].setMember("annotations", annotations.members.isEmpty ? nil : annotations)
        if !metrics.isEmpty { result["spec"]["metrics"] = .array(metrics) }
        if let percent = result["status"].removeMember("currentCPUUtilizationPercentage")?.int {
            result["status"]["currentMetrics"] = [
                ["type": "Resource", "resource": ["name": "cpu", "current": ["averageUtilization": JSON(percent)]]]
            ]
        }
        return result
    }
}
