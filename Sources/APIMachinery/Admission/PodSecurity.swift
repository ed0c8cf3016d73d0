import JSON
import ObjectModel

/// The pod security standards that a namespace asks for by its labels (KEP-2579): pods are refused (`enforce`), and
/// whoever writes them or their templates is warned (`warn`) and noted (`audit`).
struct PodSecurity: AdmissionPlugin {
    private static let prefix = "pod-security.kubernetes.io/"
    private typealias Level = PodSecurityStandards.Level

    func validate(_ request: AdmissionRequest, in machinery: Machinery) throws {
        if request.operation == .delete { return }
        let place = request.place
        if place == GroupVersionResource.namespaces.groupResource {
            if request.subresource == nil { try namespace(request, machinery) }
            return
        }
        let isPod = place == GroupVersionResource.pods.groupResource
        let isNew =
            request.subresource == nil
            ? request.operation == .create || !isPod : request.subresource == "ephemeralcontainers"
        guard isNew, let spec = Self.podSpec(request.object, place),
            let labels = machinery.cached(.namespaces, ObjectKey(name: request.key.namespace))?.metadata.labels,
            labels.keys.contains(where: { $0.hasPrefix(Self.prefix) }), !Self.isUnchanged(request, spec, isPod)
        else { return }
        if isPod, let (level, texts) = Self.violations(labels, "enforce", spec) {
            throw request.forbidden("violates PodSecurity \"\(level)\": \(texts)")
        }
        if let (level, texts) = Self.violations(labels, "audit", spec) {
            request.context.annotate(
                "\(Self.prefix)audit-violations", "would violate PodSecurity \"\(level)\": \(texts)")
        }
        if let (level, texts) = Self.violations(labels, "warn", spec) {
            request.context.warn("would violate PodSecurity \"\(level)\": \(texts)")
        }
    }

    /// The pod that an object is, or makes.
    private static func podSpec(_ object: JSON, _ place: GroupResource) -> JSON? {
        switch place.description {
        case "pods": object["spec"]
        case "podtemplates": object["template"]["spec"]
        case "replicationcontrollers", "replicasets.apps", "deployments.apps", "statefulsets.apps", "daemonsets.apps",
            "jobs.batch":
            object["spec"]["template"]["spec"]
        case "cronjobs.batch": object["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        default: nil
        }
    }

    private static func isUnchanged(_ request: AdmissionRequest, _ spec: JSON, _ isPod: Bool) -> Bool {
        guard !isPod, let old = request.old?.tree else { return false }
        return podSpec(old, request.place) == spec
    }

    /// `restricted:latest` and all that violates it; nil when nothing does.
    private static func violations(_ labels: [String: String], _ mode: String, _ spec: JSON) -> (String, String)? {
        guard let name = labels[prefix + mode] else { return nil }
        // What is no level was refused when the label was written; if it is there, the strictest counts.
        let level = Level(rawValue: name) ?? .restricted
        let texts = PodSecurityStandards.violations(spec, level: level)
        if texts.isEmpty { return nil }
        return ("\(level.rawValue):\(labels["\(prefix)\(mode)-version"] ?? "latest")", texts.joined(separator: ", "))
    }

    // MARK: Namespaces

    private func namespace(_ request: AdmissionRequest, _ machinery: Machinery) throws {
        let labels = request.object["metadata"]["labels"].stringMap
        let old = request.old?.metadata.labels ?? [:]
        var problems: [FieldError] = []
        for mode in ["enforce", "audit", "warn"] {
            let (level, version) = (Self.prefix + mode, "\(Self.prefix)\(mode)-version")
            if let value = labels[level], value != old[level], Level(rawValue: value) == nil {
                problems.append(
                    .invalid(
                        "metadata.labels[\(level)]", .string(value), "must be one of privileged, baseline, restricted"))
            }
            if let value = labels[version], value != old[version], !Self.isVersion(value) {
                problems.append(
                    .invalid("metadata.labels[\(version)]", .string(value), "must be \"latest\" or \"v1.x\""))
            }
        }
        if !problems.isEmpty {
            throw StatusError.invalid(request.resource.kind, name: request.key.name, problems)
        }
        let key = Self.prefix + "enforce"
        if request.operation == .update, let value = labels[key], value != old[key] {
            warnAboutPods(request, labels, machinery)
        }
    }

    private static func isVersion(_ text: String) -> Bool {
        text == "latest"
            || (text.hasPrefix("v1.") && text.dropFirst(3).first != "0" && UInt16(text.dropFirst(3)) != nil)
            || text == "v1.0"
    }

    /// Pods that run already are not touched, but whoever raises the level is told of them.
    private func warnAboutPods(_ request: AdmissionRequest, _ labels: [String: String], _ machinery: Machinery) {
        var groups: [(texts: String, pods: [String])] = []
        var level = ""
        // Enough to tell; a namespace may hold any number.
        for pod in machinery.cache(.pods)?.all(namespace: request.key.name).prefix(3000) ?? [] {
            guard let (found, _) = Self.violations(labels, "enforce", pod.tree["spec"]) else { continue }
            level = found
            // Only what was violated, without who: pods of one controller are one group.
            let reasons = PodSecurityStandards.violations(
                pod.tree["spec"], level: Level(rawValue: labels[Self.prefix + "enforce"] ?? "") ?? .restricted
            ).map { String($0.prefix { $0 != "(" }).trimmed }.joined(separator: ", ")
            if let index = groups.firstIndex(where: { $0.texts == reasons }) {
                groups[index].pods.append(pod.name)
            } else if groups.count < 32 {
                groups.append((reasons, [pod.name]))
            }
        }
        if groups.isEmpty { return }
        request.context.warn(
            "existing pods in namespace \"\(request.key.name)\" violate the new PodSecurity enforce level \"\(level)\"")
        for group in groups {
            let others = group.pods.count - 1
            let more = others == 0 ? "" : " (and \(others) other pod\(others == 1 ? "" : "s"))"
            request.context.warn("\(group.pods[0])\(more): \(group.texts)")
        }
    }
}
