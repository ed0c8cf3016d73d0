import CEL
import JSON
import ObjectModel

/// Webhook configurations.
enum AdmissionValidation {
    static func mutatingWebhooks(_ tree: JSON) -> [FieldError] { webhooks(tree, isMutating: true) }
    static func validatingWebhooks(_ tree: JSON) -> [FieldError] { webhooks(tree, isMutating: false) }

    private static func webhooks(_ tree: JSON, isMutating: Bool) -> [FieldError] {
        var problems = Problems()
        var names: Set<String> = []
        for (index, webhook) in tree["webhooks"].elements.enumerated() {
            let path = "webhooks[\(index)]"
            problems.webhook(path, webhook, isMutating: isMutating)
            let name = webhook["name"].string ?? ""
            if !name.isEmpty, !names.insert(name).inserted {
                problems.add(.duplicate("\(path).name", .string(name)))
            }
        }
        return problems.list
    }
}

extension Problems {
    fileprivate mutating func webhook(_ path: String, _ webhook: JSON, isMutating: Bool) {
        let name = webhook["name"].string ?? ""
        if name.isEmpty {
            add(.required("\(path).name"))
        } else {
            syntax("\(path).name", name, Names.dns1123SubdomainProblems(name))
            if name.split(separator: ".").count < 3 {
                add(
                    .invalid(
                        "\(path).name", .string(name),
                        "should be a domain with at least three segments separated by dots"))
            }
        }
        for (index, rule) in webhook["rules"].elements.enumerated() {
            admissionRule("\(path).rules[\(index)]", rule)
        }
        choice("\(path).failurePolicy", webhook["failurePolicy"], ["Fail", "Ignore"])
        choice("\(path).matchPolicy", webhook["matchPolicy"], ["Exact", "Equivalent"])
        let sideEffects = webhook["sideEffects"]
        if sideEffects.string?.isEmpty ?? true {
            add(.required("\(path).sideEffects", "must specify one of None, NoneOnDryRun"))
        } else {
            choice("\(path).sideEffects", sideEffects, ["None", "NoneOnDryRun"])
        }
        if isMutating { choice("\(path).reinvocationPolicy", webhook["reinvocationPolicy"], ["Never", "IfNeeded"]) }
        if let seconds = webhook["timeoutSeconds"].int, !(1...30).contains(seconds) {
            add(
                .invalid(
                    "\(path).timeoutSeconds", JSON(seconds), "the timeout value must be between 1 and 30 seconds"))
        }
        labelSelector("\(path).namespaceSelector", webhook["namespaceSelector"])
        labelSelector("\(path).objectSelector", webhook["objectSelector"])
        webhookClient("\(path).clientConfig", webhook["clientConfig"])
        reviewVersions("\(path).admissionReviewVersions", webhook["admissionReviewVersions"].elements)
        matchConditions("\(path).matchConditions", webhook["matchConditions"], ExpressionScope.webhook)
    }

    private mutating func reviewVersions(_ path: String, _ versions: [JSON]) {
        let known = AdmissionReview.versions.joined(separator: ", ")
        if versions.isEmpty {
            add(.required(path, "must specify one of \(known)"))
            return
        }
        var seen: Set<String> = []
        for (index, version) in versions.enumerated() {
            let text = version.string ?? ""
            if !seen.insert(text).inserted { add(.invalid("\(path)[\(index)]", version, "duplicate version")) }
            syntax("\(path)[\(index)]", text, Names.dns1035LabelProblems(text))
        }
        if seen.isDisjoint(with: AdmissionReview.versions) {
            add(.invalid(path, .array(versions), "must include at least one of \(known)"))
        }
    }

    /// A `WebhookClientConfig`, of admission or of conversion.
    mutating func webhookClient(_ path: String, _ client: JSON) {
        let service = client["service"]
        switch (client["url"].string, service.isNull) {
        case (let url?, true):
            if WebhookURL(url) == nil {
                add(
                    .invalid(
                        "\(path).url", .string(url),
                        "must be an absolute https URL with a host; no other scheme is supported"))
            }
            if url.contains("?") {
                add(.invalid("\(path).url", .string(url), "query parameters are not permitted in the URL"))
            }
            if url.contains("#") {
                add(.invalid("\(path).url", .string(url), "fragments are not permitted in the URL"))
            }
            if url.dropFirst(8).prefix(while: { $0 != "/" }).contains("@") {
                add(.invalid("\(path).url", .string(url), "user information is not permitted in the URL"))
            }
        case (nil, false):
            need("\(path).service.name", service["name"], "service name is required")
            need("\(path).service.namespace", service["namespace"], "service namespace is required")
            if let port = service["port"].int, !(1...65535).contains(port) {
                add(
                    .invalid(
                        "\(path).service.port", JSON(port), "port is not valid: must be between 1 and 65535, inclusive")
                )
            }
            if let route = service["path"].string { servicePath("\(path).service.path", route) }
        default: add(.required(path, "exactly one of url or service is required"))
        }
        if let text = client["caBundle"].string, !text.isEmpty {
            let pem = Base64.decode(text.utf8).map { String(decoding: $0, as: UTF8.self) } ?? ""
            if !pem.contains("-----BEGIN CERTIFICATE-----") {
                add(
                    .invalid(
                        "\(path).caBundle", .string("\(text.prefix(64))"),
                        "unable to load root certificates: no PEM encoded certificate found"))
            }
        }
    }

    private mutating func servicePath(_ field: String, _ path: String) {
        if path.isEmpty { return }
        guard path.hasPrefix("/") else {
            add(.invalid(field, .string(path), "must start with a '/'"))
            return
        }
        let steps = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        for (index, step) in steps.enumerated() where step.isEmpty && index < steps.count - 1 {
            add(.invalid(field, .string(path), "segment[\(index)] may not be empty"))
        }
        if path.contains("?") || path.contains("#") {
            add(.invalid(field, .string(path), "must be a path without query and fragment"))
        }
    }

    /// One of `rules` or `resourceRules`.
    mutating func admissionRule(_ path: String, _ rule: JSON) {
        func texts(_ field: String) -> [String] { rule[field].elements.compactMap(\.string) }
        let operations = texts("operations")
        need("\(path).operations", rule["operations"])
        if operations.contains("*"), operations.count > 1 {
            add(
                .invalid(
                    "\(path).operations", rule["operations"], "if '*' is present, must not specify other operations"))
        }
        for (index, operation) in rule["operations"].elements.enumerated() {
            choice("\(path).operations[\(index)]", operation, ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"])
        }
        for (field, what) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
            let values = texts(field)
            need("\(path).\(field)", rule[field])
            if values.contains("*"), values.count > 1 {
                add(.invalid("\(path).\(field)", rule[field], "if '*' is present, must not specify other \(what)"))
            }
            for (index, value) in values.enumerated() where field == "apiVersions" && value.isEmpty {
                add(.required("\(path).\(field)[\(index)]"))
            }
        }
        resources("\(path).resources", rule["resources"])
        choice("\(path).scope", rule["scope"], ["*", "Cluster", "Namespaced"])
    }

    private mutating func resources(_ path: String, _ list: JSON) {
        need(path, list)
        let resources = list.elements.compactMap(\.string)
        for (index, resource) in resources.enumerated() where resource.isEmpty {
            add(.required("\(path)[\(index)]"))
        }
        if resources.contains("*/*"), resources.count > 1 {
            add(.invalid(path, list, "if '*/*' is present, must not specify other resources"))
        } else if resources.contains("*"), resources.contains(where: { $0 != "*" && !$0.contains("/") }) {
            add(.invalid(path, list, "if '*' is present, must not specify other resources without subresources"))
        }
    }

    /// Expressions that must all be true: named, at most 64, and compilable.
    mutating func matchConditions(_ path: String, _ list: JSON, _ environment: CELEnvironment) {
        let conditions = list.elements
        if conditions.count > 64 { add(.tooMany(path, count: conditions.count, maximum: 64)) }
        var names: Set<String> = []
        for (index, condition) in conditions.prefix(64).enumerated() {
            let place = "\(path)[\(index)]"
            let name = condition["name"].string ?? ""
            if name.isEmpty {
                add(.required("\(place).name"))
            } else {
                syntax("\(place).name", name, Names.qualifiedNameProblems(name))
                if !names.insert(name).inserted { add(.duplicate("\(place).name", .string(name))) }
            }
            expression("\(place).expression", condition["expression"], environment, .bool)
        }
    }

    /// One expression, compiled.
    /// - Returns: the type it gives, when it compiles.
    @discardableResult
    mutating func expression(
        _ path: String, _ value: JSON, _ environment: CELEnvironment, _ expected: CELType?
    ) -> CELType? {
        let source = value.string ?? ""
        if source.allSatisfy(\.isWhitespace) {
            add(.required(path))
            return nil
        }
        do {
            let type = try environment.compile(source).resultType
            // As upstream, `dyn` is not enough: whoever means a boolean can compare.
            guard let expected, type != expected else { return type }
            add(.invalid(path, .string(source), "compilation failed: must evaluate to \(expected)"))
            return nil
        } catch {
            add(.invalid(path, .string(source), "compilation failed: \(error.description)"))
            return nil
        }
    }
}
