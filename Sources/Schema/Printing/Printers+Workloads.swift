import JSON
import ObjectModel

extension Printers {
    static let apps: [String: Printer] = [
        "deployments": deployment,
        "replicasets": replicaSet,
        "statefulsets": statefulSet,
        "daemonsets": daemonSet,
        "controllerrevisions": Printer("Name|Controller|Revision:integer|Age") { object in
            let owner = object.metadata["ownerReferences"].elements.first { $0["controller"].bool == true }
            var text = "<none>"
            if let owner {
                let reference = OwnerReference(owner)
                let kind = GroupVersionKind(apiVersion: reference.apiVersion, kind: reference.kind)
                text = reference.kind.lowercased() + (kind.group.isEmpty ? "" : ".\(kind.group)") + "/\(reference.name)"
            }
            return [object.name, .string(text), object.count(object.tree["revision"]), object.age]
        },
    ]
    static let batch: [String: Printer] = ["jobs": job, "cronjobs": cronJob]

    private static let deployment = Printer(
        "Name|Ready|Up-to-date:integer|Available:integer|Age|*Containers|*Images|*Selector"
    ) { object in
        let template = object.spec["template"]["spec"]
        return [
            object.name, .string("\(object.status["readyReplicas"].int ?? 0)/\(object.spec["replicas"].int ?? 0)"),
            object.count(object.status["updatedReplicas"]), object.count(object.status["availableReplicas"]),
            object.age, object.containers(template), object.images(template), object.selector(object.spec["selector"]),
        ]
    }

    /// Replica sets and replication controllers; the latter's selector is a plain map.
    static let replicaSet = Printer(
        "Name|Desired:integer|Current:integer|Ready:integer|Age|*Containers|*Images|*Selector"
    ) { object in
        let template = object.spec["template"]["spec"]
        let selector = object.spec["selector"]
        let isPlain = selector["matchLabels"].isNull && selector["matchExpressions"].isNull
        return [
            object.name, object.count(object.spec["replicas"]), object.count(object.status["replicas"]),
            object.count(object.status["readyReplicas"]), object.age, object.containers(template),
            object.images(template), isPlain ? object.labels(selector) : object.selector(selector),
        ]
    }

    private static let statefulSet = Printer("Name|Ready|Age|*Containers|*Images") { object in
        let template = object.spec["template"]["spec"]
        return [
            object.name, .string("\(object.status["readyReplicas"].int ?? 0)/\(object.spec["replicas"].int ?? 0)"),
            object.age, object.containers(template), object.images(template),
        ]
    }

    private static let daemonSet = Printer(
        "Name|Desired:integer|Current:integer|Ready:integer|Up-to-date:integer|Available:integer|Node Selector|Age"
            + "|*Containers|*Images|*Selector"
    ) { object in
        let template = object.spec["template"]["spec"]
        let status = object.status
        return [
            object.name, object.count(status["desiredNumberScheduled"]), object.count(status["currentNumberScheduled"]),
            object.count(status["numberReady"]), object.count(status["updatedNumberScheduled"]),
            object.count(status["numberAvailable"]), object.labels(template["nodeSelector"]), object.age,
            object.containers(template), object.images(template), object.selector(object.spec["selector"]),
        ]
    }

    private static let job = Printer("Name|Status|Completions|Duration|Age|*Containers|*Images|*Selector") { object in
        let spec = object.spec, status = object.status
        let succeeded = status["succeeded"].int ?? 0
        let completions: String
        if let wanted = spec["completions"].int {
            completions = "\(succeeded)/\(wanted)"
        } else if let parallelism = spec["parallelism"].int, parallelism > 1 {
            completions = "\(succeeded)/1 of \(parallelism)"
        } else {
            completions = "\(succeeded)/1"
        }
        var duration = ""
        if let start = status["startTime"].string.flatMap({ Timestamp($0) }) {
            let end = status["completionTime"].string.flatMap { Timestamp($0) } ?? object.now
            duration = humanDuration(microseconds: end.microseconds - start.microseconds)
        }
        let state: String
        if object.isTrue("Complete") {
            state = "Complete"
        } else if object.isTrue("Failed") {
            state = "Failed"
        } else if object.isTerminating {
            state = "Terminating"
        } else {
            state = ["Suspended", "FailureTarget", "SuccessCriteriaMet"].first(where: object.isTrue) ?? "Running"
        }
        let template = spec["template"]["spec"]
        return [
            object.name, .string(state), .string(completions), .string(duration), object.age,
            object.containers(template), object.images(template), object.selector(spec["selector"]),
        ]
    }

    private static let cronJob = Printer(
        "Name|Schedule|Timezone|Suspend|Active:integer|Last Schedule|Age|*Containers|*Images|*Selector"
    ) { object in
        let spec = object.spec
        let template = spec["jobTemplate"]["spec"]
        let last = object.status["lastScheduleTime"]
        return [
            object.name, spec["schedule"], object.orNone(spec["timeZone"]),
            spec["suspend"].bool.map { $0 ? "True" : "False" } ?? "<unset>",
            JSON(object.status["active"].elements.count), last.isNull ? "<none>" : object.since(last), object.age,
            object.containers(template["template"]["spec"]), object.images(template["template"]["spec"]),
            object.selector(template["selector"]),
        ]
    }

    // MARK: Autoscaling, disruption

    static let autoscaler = Printer("Name|Reference|Targets|MinPods|MaxPods:integer|Replicas:integer|Age") { object in
        let spec = object.spec, target = spec["scaleTargetRef"]
        var targets: [String]
        if spec["metrics"].isNull {  // autoscaling/v1
            targets =
                spec["targetCPUUtilizationPercentage"].int.map { wanted in
                    let current = object.status["currentCPUUtilizationPercentage"].int.map { "\($0)%" } ?? "<unknown>"
                    return ["cpu: \(current)/\(wanted)%"]
                } ?? []
        } else {
            let current = object.status["currentMetrics"].elements
            targets = spec["metrics"].elements.enumerated().map { index, metric in
                metricText(metric, current.indices.contains(index) ? current[index] : .null)
            }
        }
        let shown = object.first(2, of: targets, separator: ", ")
        return [
            object.name, .string("\(target["kind"].string ?? "")/\(target["name"].string ?? "")"),
            .string(targets.isEmpty ? "<none>" : shown),
            spec["minReplicas"].int.map { .string(String($0)) } ?? "<unset>",
            object.count(spec["maxReplicas"]), object.count(object.status["currentReplicas"]), object.age,
        ]
    }

    private static func metricText(_ metric: JSON, _ status: JSON) -> String {
        let members: [String: String] = [
            "Resource": "resource", "ContainerResource": "containerResource", "Pods": "pods", "Object": "object",
            "External": "external",
        ]
        guard let member = members[metric["type"].string ?? ""] else { return "<unknown type>" }
        let wanted = metric[member]["target"], current = status[member]["current"]
        let prefix =
            member == "resource" || member == "containerResource" ? "\(metric[member]["name"].string ?? ""): " : ""
        if let percent = wanted["averageUtilization"].int {
            return "\(prefix)\(current["averageUtilization"].int.map { "\($0)%" } ?? "<unknown>")/\(percent)%"
        }
        if let average = wanted["averageValue"].string {
            let suffix = member == "object" || member == "external" ? " (avg)" : ""
            return "\(prefix)\(current["averageValue"].string ?? "<unknown>")/\(average)\(suffix)"
        }
        return "\(prefix)\(current["value"].string ?? "<unknown>")/\(wanted["value"].string ?? "<unknown>")"
    }

    static let disruptionBudget = Printer(
        "Name|Min Available|Max Unavailable|Allowed Disruptions:integer|Age"
    ) { object in
        [
            object.name, object.or(object.spec["minAvailable"], "N/A"), object.or(object.spec["maxUnavailable"], "N/A"),
            object.count(object.status["disruptionsAllowed"]), object.age,
        ]
    }
}
