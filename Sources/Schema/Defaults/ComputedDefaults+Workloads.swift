import JSON
import ObjectModel

// Pods and the kinds that make them.
extension ComputedDefaults {
    /// A volume without a source is an empty directory.
    static let volume: ComputedDefault = { members in
        if members.count == 1, members["name"] != nil { members["emptyDir"] = [:] }
        if let image = members["image"], image["pullPolicy"].string?.isEmpty ?? true {
            members["image", default: [:]]["pullPolicy"] = pullPolicy(of: image["reference"].string ?? "")
        }
    }

    static let container: ComputedDefault = { members in
        guard members["imagePullPolicy"]?.string?.isEmpty ?? true else { return }
        members["imagePullPolicy"] = pullPolicy(of: members["image"]?.string ?? "")
    }

    /// `latest`, also when it is only implied, is pulled each time; a fixed tag or digest only when it is absent.
    static func pullPolicy(of image: String) -> JSON {
        if image.contains("@") { return "IfNotPresent" }
        let last = image.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
        guard let colon = last.lastIndex(of: ":") else { return "Always" }
        return last[last.index(after: colon)...] == "latest" ? "Always" : "IfNotPresent"
    }

    /// The old name of the service account member is kept equal to the new one.
    static let podSpec: ComputedDefault = { members in
        if let name = members["serviceAccountName"]?.string, !name.isEmpty {
            if members["serviceAccount"]?.string != name { members["serviceAccount"] = .string(name) }
        } else if let name = members["serviceAccount"]?.string, !name.isEmpty {
            members["serviceAccountName"] = .string(name)
        }
    }

    /// What holds for pods but not for templates of pods.
    static let pod: ComputedDefault = { members in
        guard var spec = members["spec"]?.object else { return }
        members["spec"] = .null
        spec.fill("enableServiceLinks", true)
        let usesHostNetwork = spec["hostNetwork"]?.bool == true
        for list in ["containers", "initContainers"] {
            guard case .array(var containers)? = spec[list] else { continue }
            spec[list] = .null
            for index in containers.indices {
                fillRequests(&containers[index])
                if usesHostNetwork { fillHostPorts(&containers[index]) }
            }
            spec[list] = .array(containers)
        }
        if let limits = spec["resources"]?["limits"].object { fillPodRequests(&spec, limits) }
        members["spec"] = .object(spec)
    }

    /// A limit without a request is also the request.
    private static func fillRequests(_ container: inout JSON) {
        guard let limits = container["resources"]["limits"].object else { return }
        for (resource, limit) in limits where container["resources"]["requests"][resource].isNull {
            container["resources"]["requests"][resource] = limit
        }
    }

    /// Requests of the whole pod: the sum over its containers where they ask, else the pod's limit.
    private static func fillPodRequests(_ spec: inout JSONObject, _ limits: JSONObject) {
        let containers = spec["containers"]?.elements ?? []
        for (resource, limit) in limits where spec["resources"]?["requests"][resource].isNull ?? true {
            let asked = containers.compactMap { $0["resources"]["requests"][resource].string.flatMap(Quantity.init) }
            let request = asked.first.map { .string(asked.dropFirst().reduce($0, +).canonical) } ?? limit
            spec["resources", default: [:]]["requests"][resource] = request
        }
    }

    private static func fillHostPorts(_ container: inout JSON) {
        for index in container["ports"].elements.indices where (container["ports"][index]["hostPort"].int ?? 0) == 0 {
            container["ports"][index]["hostPort"] = container["ports"][index]["containerPort"]
        }
    }

    /// Parameters of a rolling update exist whenever that is the strategy.
    static let rollingUpdate: ComputedDefault = { members in
        members.fillEmpty("type", "RollingUpdate")
        if members["type"]?.string == "RollingUpdate" { members.fill("rollingUpdate", [:]) }
    }

    /// Claims in a template carry their own kind.
    static let claimTemplates: ComputedDefault = { members in
        guard case .array(var templates)? = members["volumeClaimTemplates"] else { return }
        for index in templates.indices {
            templates[index]["apiVersion"] = "v1"
            templates[index]["kind"] = "PersistentVolumeClaim"
        }
        members["volumeClaimTemplates"] = .array(templates)
    }

    /// Selector and labels come from the template when they are not given.
    static let replicationController: ComputedDefault = { members in
        guard let labels = members["spec"]?["template"]["metadata"]["labels"], !labels.members.isEmpty else { return }
        if members["spec"]?["selector"].members.isEmpty ?? true {
            members["spec", default: [:]]["selector"] = labels
        }
        if members["metadata"]?["labels"].members.isEmpty ?? true {
            members["metadata", default: [:]]["labels"] = labels
        }
    }

    static let job: ComputedDefault = { members in
        guard var spec = members["spec"]?.object else { return }
        members["spec"] = .null
        if spec["completions"] == nil, spec["parallelism"] == nil { spec["completions"] = 1 }
        spec.fill("parallelism", 1)
        spec.fill("backoffLimit", spec["backoffLimitPerIndex"] == nil ? 6 : 2_147_483_647)
        spec.fill("completionMode", "NonIndexed")
        spec.fill("suspend", false)
        spec.fill("manualSelector", false)
        spec.fill("podReplacementPolicy", spec["podFailurePolicy"] == nil ? "TerminatingOrFailed" : "Failed")
        let labels = spec["template"]?["metadata"]["labels"] ?? .null
        members["spec"] = .object(spec)
        if members["metadata"]?["labels"].members.isEmpty ?? true, !labels.members.isEmpty {
            members["metadata", default: [:]]["labels"] = labels
        }
    }
}
