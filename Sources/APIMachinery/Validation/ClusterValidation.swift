import JSON
import ObjectModel

/// Nodes, leases, priority classes, disruption budgets and autoscalers.
enum ClusterValidation {
    static func node(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let spec = tree["spec"]
        var taints: Set<String> = []
        for (index, taint) in spec["taints"].elements.enumerated() {
            let field = "metadata.taints[\(index)]"
            let key = taint["key"].string ?? ""
            problems.syntax("\(field).key", key, Names.qualifiedNameProblems(key))
            if let value = taint["value"].string {
                problems.syntax("\(field).value", value, Names.labelValueProblems(value))
            }
            problems.choice(
                "\(field).effect", taint["effect"], ["NoSchedule", "PreferNoSchedule", "NoExecute"], isNeeded: true,
                isSorted: false)
            let identity = "\(key):\(taint["effect"].string ?? "")"
            if !taints.insert(identity).inserted {
                problems.add(
                    FieldError(
                        field: field, reason: .duplicate,
                        message: "Duplicate value: \(GoForm.taint(taint)): taints must be unique by key and effect pair"
                    ))
            }
        }
        for (index, range) in spec["podCIDRs"].elements.enumerated() where CIDR(range.string ?? "") == nil {
            problems.add(
                .invalid(
                    "spec.podCIDRs[\(index)]", range, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
            )
        }
        if let first = spec["podCIDRs"].elements.first, let one = spec["podCIDR"].string, first.string != one {
            problems.add(.invalid("spec.podCIDRs", spec["podCIDRs"], "the first must be the same as podCIDR"))
        }
        return problems.list
    }

    static func nodeUpdate(_ new: JSON, _ old: JSON) -> [FieldError] {
        var problems: [FieldError] = []
        if !old["spec"]["podCIDRs"].elements.isEmpty, new["spec"]["podCIDRs"] != old["spec"]["podCIDRs"] {
            problems.append(
                .forbidden("spec.podCIDRs", "node updates may not change podCIDR except from \"\" to valid"))
        }
        if let provider = old["spec"]["providerID"].string, !provider.isEmpty,
            new["spec"]["providerID"] != old["spec"]["providerID"]
        {
            problems.append(
                .forbidden("spec.providerID", "node updates may not change providerID except from \"\" to valid"))
        }
        return problems
    }

    static func lease(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        problems.positive("spec.leaseDurationSeconds", tree["spec"]["leaseDurationSeconds"])
        problems.notNegative("spec.leaseTransitions", tree["spec"]["leaseTransitions"])
        if let holder = tree["spec"]["holderIdentity"].string, holder.isEmpty {
            problems.add(.invalid("spec.holderIdentity", "", "must not be empty"))
        }
        return problems.list
    }

    static func priorityClass(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let name = tree["metadata"]["name"].string ?? ""
        let value = tree["value"].int ?? 0
        if name.hasPrefix("system-") {
            let known = SystemPriorityClasses.all.first { $0.name == name }
            if known == nil || known?.value != value || tree["globalDefault"].bool == true {
                problems.add(
                    .forbidden(
                        "metadata.name",
                        "priority class names with 'system-' prefix are reserved for system use only. error: "
                            + (known == nil
                                ? "\(name) is not a known system priority class"
                                : "value of \(name) PriorityClass must be \(known?.value ?? 0)")))
            }
        } else if value > 1_000_000_000 {
            problems.add(.forbidden("value", "maximum allowed value of a user defined priority is 1000000000"))
        }
        problems.choice(
            "preemptionPolicy", tree["preemptionPolicy"], ["PreemptLowerPriority", "Never"], isSorted: false)
        return problems.list
    }

    static func priorityClassUpdate(_ new: JSON, _ old: JSON) -> [FieldError] {
        var problems: [FieldError] = []
        if (new["value"].int ?? 0) != (old["value"].int ?? 0) {
            problems.append(.forbidden("value", "may not be changed in an update."))
        }
        problems += immutable("preemptionPolicy", new["preemptionPolicy"], old["preemptionPolicy"])
        return problems
    }

    static func disruptionBudget(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let spec = tree["spec"]
        if !spec["minAvailable"].isNull, !spec["maxUnavailable"].isNull {
            problems.add(
                .invalid("spec", GoForm.disruptionBudget(spec), "minAvailable and maxUnavailable cannot be both set"))
        }
        for field in ["minAvailable", "maxUnavailable"] {
            problems.share("spec.\(field)", spec[field])
        }
        problems.labelSelector("spec.selector", spec["selector"])
        problems.choice(
            "spec.unhealthyPodEvictionPolicy", spec["unhealthyPodEvictionPolicy"], ["AlwaysAllow", "IfHealthyBudget"])
        return problems.list
    }

    static func runtimeClass(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let handler = tree["handler"].string ?? ""
        if handler.isEmpty {
            problems.add(.required("handler"))
        } else {
            problems.syntax("handler", handler, Names.dns1123LabelProblems(handler))
        }
        return problems.list
    }

    /// An event is where the object is that it is about; those about objects of the cluster are in `default`.
    static func event(_ tree: JSON) -> [FieldError] {
        let namespace = tree["metadata"]["namespace"].string ?? ""
        let about = tree["involvedObject"]["namespace"].string ?? ""
        if about == namespace || about.isEmpty { return [] }
        return [.invalid("involvedObject.namespace", .string(about), "does not match event.namespace")]
    }
}
