import JSON
import ObjectModel

/// What one object takes out of a resource quota.
enum QuotaUsage {
    /// Amounts by quota key; empty when the quota's scopes leave the object out.
    static func of(_ place: GroupResource, _ tree: JSON, spec: JSON) -> [String: Quantity] {
        guard applies(spec, place, tree) else { return [:] }
        let one = Quantity(1)
        var used: [String: Quantity] = ["count/\(place)": one]
        switch place.description {
        case "pods":
            if ["Succeeded", "Failed"].contains(tree["status"]["phase"].string ?? "") { return used }
            used["pods"] = one
            let total = PodResources.total(of: tree["spec"])
            for part in ["requests", "limits"] {
                for (name, value) in total[part].members {
                    let amount = Quantity(value)
                    used["\(part).\(name)"] = amount
                    if part == "requests", ["cpu", "memory", "ephemeral-storage"].contains(name) {
                        used[name] = amount
                    }
                }
            }
        case "services":
            used["services"] = one
            let type = tree["spec"]["type"].string ?? ""
            if type == "NodePort" || type == "LoadBalancer" {
                let withPorts = tree["spec"]["allocateLoadBalancerNodePorts"].bool != false || type == "NodePort"
                let count = tree["spec"]["ports"].elements.count { withPorts || ($0["nodePort"].int ?? 0) != 0 }
                used["services.nodeports"] = Quantity(count)
            }
            if type == "LoadBalancer" { used["services.loadbalancers"] = one }
        case "persistentvolumeclaims":
            used["persistentvolumeclaims"] = one
            let size = Quantity(tree["spec"]["resources"]["requests"]["storage"])
            used["requests.storage"] = size
            if let name = tree["spec"]["storageClassName"].string, !name.isEmpty {
                used["\(name).storageclass.storage.k8s.io/persistentvolumeclaims"] = one
                used["\(name).storageclass.storage.k8s.io/requests.storage"] = size
            }
        case "secrets", "configmaps", "replicationcontrollers", "resourcequotas": used[place.resource] = one
        default: break
        }
        return used
    }

    /// Whether a quota's scopes take an object in. Scopes speak of pods (and, for volumes, of claims).
    static func applies(_ spec: JSON, _ place: GroupResource, _ tree: JSON) -> Bool {
        var tests: [(scope: String, op: String, values: [String])] =
            spec["scopes"].elements.compactMap { $0.string.map { ($0, "Exists", []) } }
        tests += spec["scopeSelector"]["matchExpressions"].elements.map {
            ($0["scopeName"].string ?? "", $0["operator"].string ?? "", $0["values"].elements.compactMap(\.string))
        }
        if tests.isEmpty { return true }
        if place == GroupVersionResource.persistentVolumeClaims.groupResource {
            let name = tree["spec"]["volumeAttributesClassName"].string ?? ""
            return tests.allSatisfy { test in
                guard test.scope == "VolumeAttributesClass" else { return false }
                switch test.op {
                case "In": return test.values.contains(name)
                case "NotIn": return !test.values.contains(name)
                case "DoesNotExist": return name.isEmpty
                default: return !name.isEmpty
                }
            }
        }
        guard place.description == "pods" else { return false }
        let pod = tree["spec"]
        return tests.allSatisfy { test in
            switch test.scope {
            case "Terminating": return !pod["activeDeadlineSeconds"].isNull
            case "NotTerminating": return pod["activeDeadlineSeconds"].isNull
            case "BestEffort": return PodKind.qualityOfService(pod) == "BestEffort"
            case "NotBestEffort": return PodKind.qualityOfService(pod) != "BestEffort"
            case "PriorityClass":
                let name = pod["priorityClassName"].string ?? ""
                switch test.op {
                case "In": return test.values.contains(name)
                case "NotIn": return !test.values.contains(name)
                case "DoesNotExist": return name.isEmpty
                default: return !name.isEmpty
                }
            case "CrossNamespacePodAffinity":
                return ["podAffinity", "podAntiAffinity"].contains { kind in
                    let affinity = pod["affinity"][kind]
                    let terms =
                        affinity["requiredDuringSchedulingIgnoredDuringExecution"].elements
                        + affinity["preferredDuringSchedulingIgnoredDuringExecution"].elements.map {
                            $0["podAffinityTerm"]
                        }
                    return terms.contains { !$0["namespaces"].elements.isEmpty || !$0["namespaceSelector"].isNull }
                }
            default: return false
            }
        }
    }

    /// Amounts a quota limits that a pod's containers do not state: `requests.cpu for: web`; nil when all are there.
    static func missing(_ pod: JSON, hard: [String: Quantity]) -> String? {
        var texts: [String] = []
        for key in hard.keys.sorted() {
            let (part, name): (String, String)
            switch key {
            case "cpu", "memory": (part, name) = ("requests", key)
            case "requests.cpu", "requests.memory": (part, name) = ("requests", String(key.dropFirst(9)))
            case "limits.cpu", "limits.memory": (part, name) = ("limits", String(key.dropFirst(7)))
            default: continue
            }
            if !pod["spec"]["resources"][part][name].isNull { continue }
            let containers = pod["spec"]["containers"].elements + pod["spec"]["initContainers"].elements
            let without = containers.filter { $0["resources"][part][name].isNull }.compactMap { $0["name"].string }
            if !without.isEmpty { texts.append("\(key) for: \(without.joined(separator: ","))") }
        }
        return texts.isEmpty ? nil : texts.joined(separator: "; ")
    }
}
