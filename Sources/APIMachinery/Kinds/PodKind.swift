import JSON
import ObjectModel

/// Pods: a new one is pending, knows its quality of service, and may be gated.
enum PodKind {
    static func customize(_ rules: inout KindRules) {
        rules.prepareCreate = { pod, _ in
            var status: JSON = ["phase": "Pending", "qosClass": .string(qualityOfService(pod["spec"]))]
            if !pod["spec"]["schedulingGates"].elements.isEmpty {
                status["conditions"] = [
                    [
                        "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
                        "message": "Scheduling is blocked due to non-empty scheduling gates",
                        "lastTransitionTime": .string(Timestamp.now.rfc3339), "observedGeneration": 1,
                    ]
                ]
            }
            pod["status"] = status
        }
        rules.validate = { pod in
            var problems = Problems()
            problems.podSpec(pod["spec"], "spec", isTemplate: false)
            if pod["metadata"]["resourceVersion"].isNull, !pod["spec"]["ephemeralContainers"].elements.isEmpty {
                problems.add(.forbidden("spec.ephemeralContainers", "cannot be set on create"))
            }
            return problems.list
        }
        rules.validateUpdate = PodUpdateValidation.update
    }

    /// `Guaranteed`, `Burstable` or `BestEffort` (node QoS, KEP-2570's predecessor rules): from CPU and memory of all
    /// containers, or of the pod when it states them itself.
    static func qualityOfService(_ spec: JSON) -> String {
        let podLevel = spec["resources"]
        let holders =
            podLevel["requests"].members.isEmpty && podLevel["limits"].members.isEmpty
            ? (spec["containers"].elements + spec["initContainers"].elements).map { $0["resources"] } : [podLevel]
        var hasAny = false
        var isGuaranteed = true
        for resources in holders {
            for name in ["cpu", "memory"] {
                let request = Quantity(resources["requests"][name]).flatMap { $0.isZero ? nil : $0 }
                let limit = Quantity(resources["limits"][name]).flatMap { $0.isZero ? nil : $0 }
                if request != nil || limit != nil { hasAny = true }
                if limit == nil || (request ?? limit) != limit { isGuaranteed = false }
            }
        }
        return hasAny ? (isGuaranteed ? "Guaranteed" : "Burstable") : "BestEffort"
    }
}
