import JSON
import ObjectModel
import Schema

/// How a webhook or policy wants to see a request: one of the versions of its resource.
struct MatchedVersion: Sendable, Hashable {
    var resource: GroupVersionResource
    var kind: GroupVersionKind
}

/// Which operations on which resources are meant (`RuleWithOperations`, `NamedRuleWithOperations`).
struct HookRule: Sendable {
    private let operations: Set<String>
    private let groups: Set<String>
    private let versions: Set<String>
    private let resources: [(resource: Substring, subresource: Substring)]
    private let names: Set<String>
    private let scope: String

    init(_ json: JSON) {
        func texts(_ field: String) -> [String] { json[field].elements.compactMap(\.string) }
        operations = Set(texts("operations"))
        groups = Set(texts("apiGroups"))
        versions = Set(texts("apiVersions"))
        resources = texts("resources").map { text in
            let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            return (parts[0], parts.count > 1 ? parts[1] : "")
        }
        names = Set(texts("resourceNames"))
        scope = json["scope"].string ?? "*"
    }

    func matches(_ request: HookedRequest, as resource: GroupVersionResource) -> Bool {
        guard operations.contains("*") || operations.contains(request.operation.rawValue),
            groups.contains("*") || groups.contains(resource.group),
            versions.contains("*") || versions.contains(resource.version),
            names.isEmpty || names.contains(request.key.name)
        else { return false }
        switch scope {
        case "Namespaced": if !request.definition.isNamespaced { return false }
        case "Cluster": if request.definition.isNamespaced { return false }
        default: break
        }
        return resources.contains { rule in
            (rule.resource == "*" || rule.resource == resource.resource)
                && (rule.subresource == "*" || rule.subresource == request.subresource)
        }
    }
}

/// Rules and selectors of a webhook, a policy or a binding.
struct MatchCriteria: Sendable {
    private let rules: [HookRule]
    private let excluded: [HookRule]
    /// Absent rules take everything in: those of a binding narrow what its policy matches.
    private let takesEverything: Bool
    private let namespaces: LabelSelector
    private let objects: LabelSelector
    private let isExact: Bool

    /// - Parameter json: a webhook, or `MatchResources`.
    init(_ json: JSON, rules field: String, isOptional: Bool = false) {
        rules = json[field].elements.map(HookRule.init)
        excluded = json["excludeResourceRules"].elements.map(HookRule.init)
        takesEverything = isOptional && rules.isEmpty
        // What cannot be read was refused when it was written.
        namespaces = (try? LabelSelector(labelSelector: json["namespaceSelector"])) ?? nil ?? LabelSelector()
        objects = (try? LabelSelector(labelSelector: json["objectSelector"])) ?? nil ?? LabelSelector()
        isExact = json["matchPolicy"].string == "Exact"
    }

    /// How the request is meant by the rules; nil when it is not.
    /// - Throws: 404 when its namespace is needed and not there.
    func match(_ request: HookedRequest, in machinery: Machinery) throws -> MatchedVersion? {
        guard let matched = matchRules(request), matchesObject(request),
            try matchesNamespace(request, machinery)
        else { return nil }
        return matched
    }

    private func matchRules(_ request: HookedRequest) -> MatchedVersion? {
        let own = MatchedVersion(resource: request.definition.resource, kind: request.kind)
        let equivalents = isExact ? [] : request.equivalents
        if excluded.contains(where: { rule in
            rule.matches(request, as: own.resource)
                || equivalents.contains { rule.matches(request, as: $0.resource) }
        }) {
            return nil
        }
        if takesEverything || rules.contains(where: { $0.matches(request, as: own.resource) }) { return own }
        for version in equivalents where rules.contains(where: { $0.matches(request, as: version.resource) }) {
            return version
        }
        return nil
    }

    private func matchesObject(_ request: HookedRequest) -> Bool {
        if objects.isEmpty { return true }
        return [request.object, request.oldObject].contains { tree in
            !tree["metadata"].isNull && objects.matches(tree["metadata"]["labels"].stringMap)
        }
    }

    private func matchesNamespace(_ request: HookedRequest, _ machinery: Machinery) throws -> Bool {
        if namespaces.isEmpty { return true }
        if request.place == GroupVersionResource.namespaces.groupResource {
            let tree = request.object.isNull || request.operation == .delete ? request.oldObject : request.object
            return namespaces.matches(tree["metadata"]["labels"].stringMap)
        }
        // Objects of the whole cluster are in no namespace that could be left out.
        if request.key.namespace.isEmpty { return true }
        guard let namespace = machinery.cached(.namespaces, ObjectKey(name: request.key.namespace)) else {
            throw StatusError.notFound(
                GroupVersionResource.namespaces.groupResource, name: request.key.namespace)
        }
        return namespaces.matches(namespace.metadata.labels)
    }
}
