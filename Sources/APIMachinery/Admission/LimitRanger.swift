import JSON
import ObjectModel

/// Defaults and bounds for the resources of pods, containers and claims in a namespace (`LimitRange`).
struct LimitRanger: AdmissionPlugin {
    func admit(_ request: inout AdmissionRequest, in machinery: Machinery) throws {
        guard request.creates(.pods) else { return }
        let limits = items(request, machinery, type: "Container")
        guard !limits.isEmpty else { return }
        var notes: [String] = []
        for list in ["containers", "initContainers"] {
            for index in request.object["spec"][list].elements.indices {
                var filled: (limits: Set<String>, requests: Set<String>) = ([], [])
                for limit in limits {
                    let limited = fill("limits", limit["default"], &request.object["spec"][list][index]["resources"])
                    let asked = fill(
                        "requests", limit["defaultRequest"], &request.object["spec"][list][index]["resources"])
                    filled.limits.formUnion(limited)
                    filled.requests.formUnion(asked)
                }
                if request.object["spec"][list][index]["resources"].isNull {
                    request.object["spec"][list][index]["resources"] = [:]
                }
                let name = request.object["spec"][list][index]["name"].string ?? ""
                let who = "\(list == "containers" ? "container" : "init container") \(name)"
                for (what, names) in [("request", filled.requests), ("limit", filled.limits)] where !names.isEmpty {
                    notes.append("\(names.sorted().joined(separator: ", ")) \(what) for \(who)")
                }
            }
        }
        if !notes.isEmpty {
            request.object["metadata"]["annotations"]["kubernetes.io/limit-ranger"] = .string(
                "LimitRanger plugin set: \(notes.joined(separator: "; "))")
        }
    }

    /// - Returns: what was not said before.
    private func fill(_ part: String, _ values: JSON, _ resources: inout JSON) -> [String] {
        var changed: [String] = []
        for (name, value) in values.members where resources[part][name].isNull {
            resources[part][name] = value
            changed.append(name)
        }
        return changed
    }

    func validate(_ request: AdmissionRequest, in machinery: Machinery) throws {
        if request.operation == .delete || request.subresource != nil { return }
        var problems: [String] = []
        if request.creates(.pods) {
            let spec = request.object["spec"]
            for limit in items(request, machinery, type: "Container") {
                for container in spec["containers"].elements + spec["initContainers"].elements {
                    check(limit, container["resources"], "Container", &problems)
                }
            }
            for limit in items(request, machinery, type: "Pod") {
                check(limit, PodResources.total(of: spec), "Pod", &problems)
            }
        } else if request.place == GroupVersionResource.persistentVolumeClaims.groupResource {
            for limit in items(request, machinery, type: "PersistentVolumeClaim") {
                check(limit, request.object["spec"]["resources"], "PersistentVolumeClaim", &problems)
            }
        }
        if !problems.isEmpty {
            throw request.forbidden(problems.count == 1 ? problems[0] : "[\(problems.joined(separator: ", "))]")
        }
    }

    private func check(_ limit: JSON, _ resources: JSON, _ type: String, _ problems: inout [String]) {
        for (name, bound) in limit["min"].members {
            guard let least = Quantity(bound) else { continue }
            guard let request = Quantity(resources["requests"][name]) else {
                problems.append("minimum \(name) usage per \(type) is \(least.canonical).  No request is specified")
                continue
            }
            if request < least {
                problems.append(
                    "minimum \(name) usage per \(type) is \(least.canonical), but request is \(request.canonical)")
            }
        }
        for (name, bound) in limit["max"].members {
            guard let most = Quantity(bound) else { continue }
            let asked = Quantity(resources[type == "PersistentVolumeClaim" ? "requests" : "limits"][name])
            guard let asked else {
                problems.append("maximum \(name) usage per \(type) is \(most.canonical).  No limit is specified")
                continue
            }
            if asked > most {
                let word = type == "PersistentVolumeClaim" ? "request" : "limit"
                problems.append(
                    "maximum \(name) usage per \(type) is \(most.canonical), but \(word) is \(asked.canonical)")
            }
        }
        for (name, bound) in limit["maxLimitRequestRatio"].members {
            guard let ratio = Quantity(bound), let request = Quantity(resources["requests"][name]),
                let most = Quantity(resources["limits"][name]), request.doubleValue > 0
            else { continue }
            let actual = most.doubleValue / request.doubleValue
            if actual > ratio.doubleValue {
                problems.append(
                    "\(name) max limit to request ratio per \(type) is \(ratio.canonical), but provided ratio is \(actual)"
                )
            }
        }
    }

    private func items(_ request: AdmissionRequest, _ machinery: Machinery, type: String) -> [JSON] {
        guard let cache = machinery.caches[GroupResource(group: "", resource: "limitranges")] else { return [] }
        return cache.all(namespace: request.key.namespace).flatMap { $0.tree["spec"]["limits"].elements }
            .filter { $0["type"].string == type }
    }
}

/// What a pod asks for as a whole.
enum PodResources {
    /// `requests` and `limits` of a pod: the sum of its containers (and sidecars), or the largest init container, and
    /// its overhead.
    static func total(of spec: JSON) -> JSON {
        var result: JSON = [:]
        for part in ["requests", "limits"] {
            var running: [String: Quantity] = [:]
            var starting: [String: Quantity] = [:]
            var sidecars: [String: Quantity] = [:]
            for container in spec["initContainers"].elements {
                let isSidecar = container["restartPolicy"].string == "Always"
                for (name, value) in container["resources"][part].members {
                    guard let amount = Quantity(value) else { continue }
                    if isSidecar {
                        sidecars[name] = (sidecars[name] ?? .zero) + amount
                    } else {
                        starting[name] = max(starting[name] ?? .zero, amount + (sidecars[name] ?? .zero))
                    }
                }
            }
            running = sidecars
            for container in spec["containers"].elements {
                for (name, value) in container["resources"][part].members {
                    guard let amount = Quantity(value) else { continue }
                    running[name] = (running[name] ?? .zero) + amount
                }
            }
            var total = running.merging(starting) { max($0, $1) }
            for (name, value) in spec["resources"][part].members { total[name] = Quantity(value) ?? total[name] }
            for (name, value) in spec["overhead"].members {
                guard let amount = Quantity(value), part == "requests" || total[name] != nil else { continue }
                total[name] = (total[name] ?? .zero) + amount
            }
            result[part] = total.keys.sorted().reduce(into: [:]) { $0[$1] = .string(total[$1]?.canonical ?? "0") }
        }
        return result
    }
}
