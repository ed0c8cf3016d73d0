import JSON
import ObjectModel

/// The two classes that system pods use.
enum SystemPriorityClasses {
    static let all: [(name: String, value: Int, description: String)] = [
        (
            "system-cluster-critical", 2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."
        ),
        (
            "system-node-critical", 2_000_001_000,
            "Used for system critical pods that must not be moved from their current node."
        ),
    ]
}

/// Resolves `priorityClassName` into `priority` and `preemptionPolicy`.
struct PriorityAdmission: AdmissionPlugin {
    private static let resource = GroupVersionResource(
        group: "scheduling.k8s.io", version: "v1", resource: "priorityclasses")

    func admit(_ request: inout AdmissionRequest, in machinery: Machinery) throws {
        guard request.creates(.pods), let cache = machinery.cache(Self.resource) else { return }
        let name = request.object["spec"]["priorityClassName"].string ?? ""
        var priority = 0
        var policy = "PreemptLowerPriority"
        var className = name
        if name.isEmpty {
            let defaults = cache.all().lazy.map(\.tree).filter { $0["globalDefault"].bool == true }
            if let best = defaults.min(by: { ($0["value"].int ?? 0) < ($1["value"].int ?? 0) }) {
                priority = best["value"].int ?? 0
                policy = best["preemptionPolicy"].string ?? policy
                className = best["metadata"]["name"].string ?? ""
            }
        } else if let found = cache.get(ObjectKey(name: name))?.tree {
            priority = found["value"].int ?? 0
            policy = found["preemptionPolicy"].string ?? policy
        } else {
            throw request.forbidden("no PriorityClass with name \(name) was found")
        }
        if let given = request.object["spec"]["priority"].int, given != priority {
            throw request.forbidden(
                "the integer value of priority (\(given)) must not be provided in pod spec; priority admission controller computed "
                    + "\(priority) from the given PriorityClass name")
        }
        request.object["spec"]["priority"] = JSON(priority)
        if !className.isEmpty { request.object["spec"]["priorityClassName"] = .string(className) }
        if let given = request.object["spec"]["preemptionPolicy"].string, given != policy {
            throw request.forbidden(
                "the string value of PreemptionPolicy (\(given)) must not be provided in pod spec; priority admission controller "
                    + "computed \(policy) from the given PriorityClass name")
        }
        request.object["spec"]["preemptionPolicy"] = .string(policy)
    }
}

/// Pods stay five minutes on a node that is not ready or not reachable, unless they say otherwise.
struct DefaultTolerationSeconds: AdmissionPlugin {
    func admit(_ request: inout AdmissionRequest, in machinery: Machinery) throws {
        // Updates too: who replaces the list of a pod gets the two added again, as they may not go.
        guard request.place == GroupVersionResource.pods.groupResource, request.subresource == nil,
            request.operation == .create || request.operation == .update
        else { return }
        var tolerations = request.object["spec"]["tolerations"].elements
        let given = tolerations.count
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            let isCovered = tolerations.prefix(given).contains { toleration in
                let known = toleration["key"].string ?? ""
                let effect = toleration["effect"].string ?? ""
                return (known == key || known.isEmpty) && (effect == "NoExecute" || effect.isEmpty)
            }
            if isCovered { continue }
            tolerations.append([
                "key": .string(key), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            ])
        }
        if tolerations.count != given { request.object["spec"]["tolerations"] = .array(tolerations) }
    }
}

/// Overhead and placement of a pod's runtime class.
struct RuntimeClassAdmission: AdmissionPlugin {
    private static let resource = GroupVersionResource(group: "node.k8s.io", version: "v1", resource: "runtimeclasses")

    func admit(_ request: inout AdmissionRequest, in machinery: Machinery) throws {
        guard request.creates(.pods) else { return }
        guard let name = request.object["spec"]["runtimeClassName"].string, !name.isEmpty else {
            if request.object["spec"]["overhead"].members.isEmpty { return }
            throw request.forbidden(
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
        }
        guard let found = machinery.cached(Self.resource, ObjectKey(name: name))?.tree else {
            throw request.forbidden("pod rejected: RuntimeClass \"\(name)\" not found")
        }
        let overhead = found["overhead"]["podFixed"]
        if !overhead.isNull {
            let given = request.object["spec"]["overhead"]
            if !given.isNull, given != overhead {
                throw request.forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
            }
            request.object["spec"]["overhead"] = overhead
        }
        let scheduling = found["scheduling"]
        for (key, value) in scheduling["nodeSelector"].members {
            let given = request.object["spec"]["nodeSelector"][key]
            if !given.isNull, given != value {
                throw request.forbidden("pod rejected: conflict: runtimeClass.scheduling.nodeSelector[\(key)]")
            }
            request.object["spec"]["nodeSelector"][key] = value
        }
        let missing = scheduling["tolerations"].elements.filter {
            !request.object["spec"]["tolerations"].elements.contains($0)
        }
        if !missing.isEmpty {
            request.object["spec"]["tolerations"] = .array(request.object["spec"]["tolerations"].elements + missing)
        }
    }
}
