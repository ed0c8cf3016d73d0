import JSON
import ObjectModel

/// Which pods a rule between pods is about, and over which node label it is counted.
struct PodSelection: Sendable, Hashable {
    /// nil selects nothing.
    var selector: LabelSelector?
    /// Explicit namespaces, sorted.
    var namespaces: [String]
    /// More namespaces by their labels; empty selects all, nil none.
    var namespaceSelector: LabelSelector?
    /// Node label whose values are the domains.
    var topologyKey: String
    /// Spread constraints do not count pods that are being deleted, affinity does.
    var countsTerminating: Bool

    /// True when a pod is meant.
    func matches(namespace: String, labels: [String: String], namespaceLabels: [String: String]?) -> Bool {
        guard let selector else { return false }
        if !namespaces.contains(namespace) {
            guard let namespaceSelector, namespaceSelector.isEmpty || namespaceSelector.matches(namespaceLabels ?? [:])
            else { return false }
        }
        return selector.matches(labels)
    }
}

/// The two strengths of pod affinity or anti-affinity.
struct PodAffinityTerms: Sendable, Hashable {
    var required: [PodSelection] = []
    var preferred: [Preferred<PodSelection>] = []

    var isEmpty: Bool { required.isEmpty && preferred.isEmpty }

    init() {}
    init(_ json: JSON, _ metadata: ObjectMetadata) {
        guard !json.isNull else { return }
        required = json["requiredDuringSchedulingIgnoredDuringExecution"].elements.map {
            Self.selection($0, metadata)
        }
        preferred = json["preferredDuringSchedulingIgnoredDuringExecution"].elements.map {
            Preferred(weight: $0["weight"].int ?? 0, Self.selection($0["podAffinityTerm"], metadata))
        }
    }

    private static func selection(_ json: JSON, _ metadata: ObjectMetadata) -> PodSelection {
        var selector = lenientSelector(json["labelSelector"])
        selector?.add(keys: json["matchLabelKeys"], of: metadata.labels, op: .in)
        selector?.add(keys: json["mismatchLabelKeys"], of: metadata.labels, op: .notIn)
        var namespaces = json["namespaces"].elements.compactMap(\.string).sorted()
        let namespaceSelector = lenientSelector(json["namespaceSelector"])
        if namespaces.isEmpty, namespaceSelector == nil { namespaces = [metadata.namespace] }
        return PodSelection(
            selector: selector, namespaces: namespaces, namespaceSelector: namespaceSelector,
            topologyKey: json["topologyKey"].string ?? "", countsTerminating: true)
    }
}

/// `topologySpreadConstraints[]`.
struct SpreadConstraint: Sendable, Hashable {
    var selection: PodSelection
    var maxSkew: Int
    /// True for DoNotSchedule, false for ScheduleAnyway.
    var isHard: Bool
    var minDomains: Int
    /// Count only nodes that the pod's node affinity and selector allow.
    var honorsAffinity: Bool
    /// Count only nodes whose taints the pod tolerates.
    var honorsTaints: Bool

    init?(_ json: JSON, _ metadata: ObjectMetadata) {
        guard let key = json["topologyKey"].string else { return nil }
        var selector = lenientSelector(json["labelSelector"])
        selector?.add(keys: json["matchLabelKeys"], of: metadata.labels, op: .in)
        selection = PodSelection(
            selector: selector, namespaces: [metadata.namespace], namespaceSelector: nil, topologyKey: key,
            countsTerminating: false)
        maxSkew = json["maxSkew"].int ?? 1
        isHard = json["whenUnsatisfiable"].string != "ScheduleAnyway"
        minDomains = json["minDomains"].int ?? 1
        honorsAffinity = json["nodeAffinityPolicy"].string != "Ignore"
        honorsTaints = json["nodeTaintsPolicy"].string == "Honor"
    }
}

/// A label selector of a stored object; one that cannot be read selects nothing, like a missing one.
private func lenientSelector(_ json: JSON) -> LabelSelector? {
    guard let parsed = try? LabelSelector(labelSelector: json) else { return nil }
    return parsed
}

extension LabelSelector {
    fileprivate mutating func add(keys: JSON, of labels: [String: String], op: Requirement.Operator) {
        for key in keys.elements.compactMap(\.string) {
            guard let value = labels[key] else { continue }
            requirements.append(Requirement(key: key, op: op, values: [value]))
        }
    }
}
