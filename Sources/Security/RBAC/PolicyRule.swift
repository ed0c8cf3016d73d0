public import JSON

/// One rule of a role (kubernetes-api.md §15): which verbs on which resources or paths.
public struct PolicyRule: Sendable, Hashable {
    public var verbs: [String]
    public var apiGroups: [String]
    /// Plurals, `plural/subresource`, `*`, or `*/subresource`.
    public var resources: [String]
    /// Empty: all names.
    public var resourceNames: [String]
    /// Paths; a trailing `*` stands for anything.
    public var nonResourceURLs: [String]

    /// A rule; parts that are left out are empty.
    public init(
        verbs: [String], apiGroups: [String] = [], resources: [String] = [], resourceNames: [String] = [],
        nonResourceURLs: [String] = []
    ) {
        self.verbs = verbs
        self.apiGroups = apiGroups
        self.resources = resources
        self.resourceNames = resourceNames
        self.nonResourceURLs = nonResourceURLs
    }

    /// Reads one element of `rules`.
    public init(_ json: JSON) {
        func strings(_ key: String) -> [String] { json[key].elements.compactMap(\.string) }
        verbs = strings("verbs")
        apiGroups = strings("apiGroups")
        resources = strings("resources")
        resourceNames = strings("resourceNames")
        nonResourceURLs = strings("nonResourceURLs")
    }

    /// The wire form; empty parts are left out, except verbs.
    public var json: JSON {
        var json: JSON = [:]
        if !apiGroups.isEmpty { json["apiGroups"] = JSON(apiGroups) }
        if !nonResourceURLs.isEmpty { json["nonResourceURLs"] = JSON(nonResourceURLs) }
        if !resourceNames.isEmpty { json["resourceNames"] = JSON(resourceNames) }
        if !resources.isEmpty { json["resources"] = JSON(resources) }
        json["verbs"] = JSON(verbs)
        return json
    }

    // MARK: Matching

    /// True when the rule allows a request.
    public func allows(_ attributes: AuthorizationAttributes) -> Bool {
        guard Self.matches(verbs, attributes.verb) else { return false }
        guard let resource = attributes.resource else {
            return nonResourceURLs.contains { Self.matches(path: $0, attributes.path) }
        }
        return Self.matches(apiGroups, resource.group)
            && matches(resource: resource.resource, subresource: resource.subresource)
            && (resourceNames.isEmpty || (!resource.name.isEmpty && resourceNames.contains(resource.name)))
    }

    private static func matches(_ list: [String], _ value: String) -> Bool {
        list.contains { $0 == "*" || $0 == value }
    }

    private func matches(resource: String, subresource: String) -> Bool {
        for entry in resources {
            if entry == "*" { return true }
            if subresource.isEmpty {
                if entry == resource { return true }
            } else if entry.utf8.count == resource.utf8.count + subresource.utf8.count + 1 {
                if entry.hasPrefix(resource), entry.hasSuffix(subresource), entry == "\(resource)/\(subresource)" {
                    return true
                }
            }
            if !subresource.isEmpty, entry.hasPrefix("*/"), entry.dropFirst(2) == subresource { return true }
        }
        return false
    }

    private static func matches(path rule: String, _ path: String) -> Bool {
        if rule == "*" || rule == path { return true }
        return rule.hasSuffix("*") && path.hasPrefix(rule.dropLast())
    }

    // MARK: Comparing

    /// The rule taken apart, so that each part has one verb and one resource (with one name) or one path.
    var parts: [PolicyRule] {
        var parts: [PolicyRule] = []
        for verb in verbs {
            for group in apiGroups {
                for resource in resources {
                    for name in resourceNames.isEmpty ? [nil] : resourceNames.map(Optional.some) {
                        parts.append(
                            PolicyRule(
                                verbs: [verb], apiGroups: [group], resources: [resource],
                                resourceNames: name.map { [$0] } ?? []))
                    }
                }
            }
            for path in nonResourceURLs { parts.append(PolicyRule(verbs: [verb], nonResourceURLs: [path])) }
        }
        return parts
    }

    /// True when everything that one part (of `parts`) allows is allowed by this rule too.
    func covers(part: PolicyRule) -> Bool {
        guard let verb = part.verbs.first, Self.matches(verbs, verb) else { return false }
        if let path = part.nonResourceURLs.first {
            return nonResourceURLs.contains { rule in
                // A pattern covers a pattern that is longer.
                rule == path || (rule.hasSuffix("*") && path.hasPrefix(rule.dropLast()))
            }
        }
        guard let group = part.apiGroups.first, let resource = part.resources.first else { return false }
        guard Self.matches(apiGroups, group) else { return false }
        let pieces = resource.split(separator: "/", maxSplits: 1)
        let subresource = pieces.count == 2 ? String(pieces[1]) : ""
        guard resources.contains(resource) || matches(resource: String(pieces.first ?? ""), subresource: subresource)
        else { return false }
        if resourceNames.isEmpty { return true }
        guard let name = part.resourceNames.first else { return false }
        return resourceNames.contains(name)
    }

    /// What of `wanted` is not allowed by `held`; empty when everything is. Each element has one verb and one resource
    /// or path.
    public static func uncovered(_ wanted: [PolicyRule], by held: [PolicyRule]) -> [PolicyRule] {
        wanted.flatMap(\.parts).filter { part in !held.contains { $0.covers(part: part) } }
    }
}

extension PolicyRule: CustomStringConvertible {
    /// As Kubernetes prints rules in messages: `{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}`.
    public var description: String {
        var parts: [String] = []
        func add(_ name: String, _ values: [String]) {
            if values.isEmpty { return }
            parts.append("\(name):[\(values.map { "\"\($0)\"" }.joined(separator: " "))]")
        }
        add("APIGroups", apiGroups)
        add("Resources", resources)
        add("ResourceNames", resourceNames)
        add("NonResourceURLs", nonResourceURLs)
        add("Verbs", verbs)
        return "{\(parts.joined(separator: ", "))}"
    }
}
