import JSON
import ObjectModel

/// Lays the agent's status over what the API has: conditions of others stay, and a condition keeps its transition time
/// while its value stays.
enum StatusMerge {
    /// Members that belong to the agent alone: absent in the new status means removed.
    private static let owned = [
        "phase", "reason", "message", "hostIP", "hostIPs", "podIP", "podIPs", "startTime", "qosClass",
        "initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses", "observedGeneration",
    ]

    static func merge(_ existing: JSON, with ours: JSON, now: Timestamp) -> JSON {
        var result = existing.object == nil ? [:] : existing
        for member in owned { result.setMember(member, ours[member].isNull ? nil : ours[member]) }
        let old = existing["conditions"].elements
        var conditions = ours["conditions"].elements.map { condition in
            var condition = condition
            let before = old.first { $0["type"] == condition["type"] }
            condition["lastProbeTime"] = .null
            if let before, before["status"] == condition["status"], let since = before["lastTransitionTime"].string {
                condition["lastTransitionTime"] = .string(since)
            } else {
                condition["lastTransitionTime"] = .string(now.rfc3339)
            }
            return condition
        }
        let types = Set(conditions.compactMap { $0["type"].string })
        conditions += old.filter {
            let type = $0["type"].string ?? ""
            return !types.contains(type) && type != Resize.pending && type != Resize.inProgress
        }
        result["conditions"] = .array(conditions)
        return result
    }
}
