import JSON
import ObjectModel

/// What may change in a pod after its creation.
enum PodUpdateValidation {
    private static let allowed =
        "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
        + "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
        + "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

    static func update(_ new: JSON, _ old: JSON) -> [FieldError] {
        let before = old["spec"]
        let after = new["spec"]
        if after == before { return [] }
        var problems: [FieldError] = []
        for list in ["containers", "initContainers"]
        where after[list].elements.count != before[list].elements.count {
            return [.forbidden("spec.\(list)", "pod updates may not add or remove containers")]
        }
        var rest = after
        for list in ["containers", "initContainers"] {
            for index in before[list].elements.indices { rest[list][index]["image"] = before[list][index]["image"] }
        }
        problems += deadline(after["activeDeadlineSeconds"], before["activeDeadlineSeconds"])
        rest.setMember("activeDeadlineSeconds", before["activeDeadlineSeconds"])
        if let grace = before["terminationGracePeriodSeconds"].int, grace < 0,
            after["terminationGracePeriodSeconds"].int == 1
        {
            rest["terminationGracePeriodSeconds"] = before["terminationGracePeriodSeconds"]
        }
        problems += tolerations(after["tolerations"].elements, before["tolerations"].elements)
        rest.setMember("tolerations", before["tolerations"])
        problems += gates(after, before, &rest)
        if rest != before {
            let fields = Set(rest.members.keys).union(before.members.keys).filter { rest[$0] != before[$0] }.sorted()
            problems.append(.forbidden("spec", "\(allowed)\nchanged: \(fields.joined(separator: ", "))"))
        }
        return problems
    }

    private static func deadline(_ new: JSON, _ old: JSON) -> [FieldError] {
        let field = "spec.activeDeadlineSeconds"
        guard new != old else { return [] }
        guard let after = new.int else {
            return [.invalid(field, .null, "must not update from a positive integer to nil value")]
        }
        if let before = old.int, after > before {
            return [.invalid(field, new, "must be less than or equal to previous value")]
        }
        return []
    }

    private static func tolerations(_ new: [JSON], _ old: [JSON]) -> [FieldError] {
        func rule(_ toleration: JSON) -> JSON {
            var rule = toleration
            rule.removeMember("tolerationSeconds")
            return rule
        }
        for toleration in old where !new.contains(where: { $0 == toleration || rule($0) == rule(toleration) }) {
            return [
                .forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
            ]
        }
        return []
    }

    /// Gates may only go; while one is left, the node selector may be narrowed.
    private static func gates(_ after: JSON, _ before: JSON, _ rest: inout JSON) -> [FieldError] {
        let known = before["schedulingGates"].elements
        for gate in after["schedulingGates"].elements where !known.contains(gate) {
            return [
                .forbidden(
                    "spec.schedulingGates",
                    "only deletion is allowed, but found new scheduling gate '\(gate["name"].string ?? "")'")
            ]
        }
        rest.setMember("schedulingGates", before["schedulingGates"])
        guard !known.isEmpty else { return [] }
        let selector = after["nodeSelector"]
        if before["nodeSelector"].members.allSatisfy({ selector[$0.key] == $0.value }) {
            rest.setMember("nodeSelector", before["nodeSelector"])
        }
        if before["affinity"]["nodeAffinity"].isNull, !after["affinity"]["nodeAffinity"].isNull {
            rest.setMember("affinity", before["affinity"])
        }
        return []
    }

    /// `pods/ephemeralcontainers`: the list only grows.
    static func ephemeralContainers(_ new: JSON, _ old: JSON) -> [FieldError] {
        let field = "spec.ephemeralContainers"
        var problems = Problems()
        problems.podSpec(new["spec"], "spec", isTemplate: false)
        let after = new["spec"]["ephemeralContainers"].elements
        for container in old["spec"]["ephemeralContainers"].elements {
            let name = container["name"].string ?? ""
            guard let index = after.firstIndex(where: { $0["name"] == container["name"] }) else {
                problems.add(.forbidden(field, "existing ephemeral containers \"\(name)\" may not be removed\n"))
                continue
            }
            if after[index] != container {
                problems.add(.forbidden(field, "existing ephemeral containers \"\(name)\" may not be changed\n"))
            }
        }
        for (index, container) in after.enumerated() {
            for part in ["ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle"]
            where !container[part].isNull {
                problems.add(.forbidden("\(field)[\(index)].\(part)", "cannot be set for an Ephemeral Container"))
            }
            if !container["resources"].members.isEmpty {
                problems.add(.forbidden("\(field)[\(index)].resources", "cannot be set for an Ephemeral Container"))
            }
        }
        return problems.list
    }

    /// `pods/resize`: CPU and memory, within the pod's quality of service.
    static func resize(_ new: JSON, _ old: JSON) -> [FieldError] {
        var problems = Problems()
        problems.podSpec(new["spec"], "spec", isTemplate: false)
        if PodKind.qualityOfService(new["spec"]) != PodKind.qualityOfService(old["spec"]) {
            problems.add(
                .invalid(
                    "spec", .string(PodKind.qualityOfService(old["spec"])),
                    "Pod QOS Class may not change as a result of resizing"))
        }
        for list in ["containers", "initContainers"] {
            for (index, container) in new["spec"][list].elements.enumerated() {
                let before = old["spec"][list][index]["resources"]
                for part in ["requests", "limits"] {
                    let names = Set(container["resources"][part].members.keys).union(before[part].members.keys)
                    for name in names.sorted() where !["cpu", "memory"].contains(name) {
                        if container["resources"][part][name] != before[part][name] {
                            problems.add(
                                .forbidden(
                                    "spec.\(list)[\(index)].resources.\(part)",
                                    "only cpu and memory resources are mutable"))
                        }
                    }
                }
            }
        }
        return problems.list
    }
}
