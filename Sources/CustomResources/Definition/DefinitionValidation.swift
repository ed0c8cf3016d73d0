public import JSON
public import ObjectModel

/// What a CustomResourceDefinition must be, in the words of Kubernetes.
public enum DefinitionValidation {
    /// Where groups of Kubernetes itself say who reviewed a kind.
    public static let approvalAnnotation = "api-approved.kubernetes.io"

    /// Whether a group belongs to Kubernetes itself.
    public static func isProtected(_ group: String) -> Bool {
        ["k8s.io", "kubernetes.io"].contains { group == $0 || group.hasSuffix("." + $0) }
    }

    /// Problems of a definition by itself.
    public static func problems(of definition: JSON) -> [FieldError] {
        problems(of: definition, old: .null)
    }

    /// Problems of a definition that replaces another; parts that did not change may stay as they were.
    /// - Parameter old: null for a new definition.
    public static func problems(of definition: JSON, old: JSON) -> [FieldError] {
        let spec = definition["spec"]
        if !old.isNull, spec == old["spec"], definition["metadata"]["annotations"] == old["metadata"]["annotations"] {
            return []
        }
        var check = DefinitionCheck()
        check.names(definition)
        check.approval(definition, old)
        check.versions(spec, old["spec"])
        check.conversion(spec["conversion"])
        if !old.isNull { check.changes(definition, old) }
        return check.problems
    }

    /// Problems of a new status.
    public static func statusProblems(of definition: JSON, old: JSON) -> [FieldError] {
        var check = DefinitionCheck()
        check.storedVersions(definition)
        return check.problems
    }

    /// What is not wrong, but was probably not meant: formats that nobody checks.
    public static func warnings(of definition: JSON) -> [String] {
        var found: [String] = []
        func walk(_ schema: JSON, _ path: String) {
            guard found.count < 20 else { return }
            if let format = schema["format"].string, !format.isEmpty, !Formats.isRecognized(format) {
                found.append("unrecognized format \"\(format)\"")
            }
            for (name, part) in schema["properties"].members { walk(part, "\(path).\(name)") }
            for name in ["items", "additionalProperties"] where schema[name].object != nil { walk(schema[name], path) }
        }
        for version in definition["spec"]["versions"].elements { walk(version["schema"]["openAPIV3Schema"], "") }
        return found
    }
}

/// One check of a definition.
struct DefinitionCheck {
    private(set) var problems: [FieldError] = []

    mutating func add(_ problem: FieldError) {
        if problems.count < 100 { problems.append(problem) }
    }

    private mutating func syntax(_ field: String, _ value: JSON, _ messages: [String], prefix: String = "") {
        if !messages.isEmpty { add(.invalid(field, value, prefix + messages.joined(separator: ","))) }
    }

    // MARK: Names

    mutating func names(_ definition: JSON) {
        let spec = definition["spec"]
        let names = spec["names"]
        let group = spec["group"].string ?? "", plural = names["plural"].string ?? ""
        let name = definition["metadata"]["name"]
        if name.string != "\(plural).\(group)" {
            add(.invalid("metadata.name", name, "must be spec.names.plural+\".\"+spec.group"))
        }
        if group.isEmpty {
            add(.required("spec.group"))
        } else {
            let messages = Names.dns1123SubdomainProblems(group)
            if !messages.isEmpty {
                syntax("spec.group", spec["group"], messages)
            } else if !group.contains(".") {
                add(.invalid("spec.group", spec["group"], "should be a domain with at least one dot"))
            }
        }
        switch spec["scope"].string {
        case "Cluster", "Namespaced": break
        case nil, "": add(.required("spec.scope"))
        default: add(.notSupported("spec.scope", spec["scope"], ["Cluster", "Namespaced"]))
        }
        for field in ["plural", "singular", "kind", "listKind"] where (names[field].string ?? "").isEmpty {
            add(.required("spec.names.\(field)"))
        }
        for field in ["plural", "singular"] {
            guard let text = names[field].string, !text.isEmpty else { continue }
            syntax("spec.names.\(field)", names[field], Names.dns1035LabelProblems(text))
        }
        for field in ["kind", "listKind"] {
            guard let text = names[field].string, !text.isEmpty else { continue }
            syntax(
                "spec.names.\(field)", names[field], Names.dns1035LabelProblems(text.lowercased()),
                prefix: "may have mixed case, but should otherwise match: ")
        }
        for field in ["shortNames", "categories"] {
            for (index, word) in names[field].elements.enumerated() {
                syntax("spec.names.\(field)[\(index)]", word, Names.dns1035LabelProblems(word.string ?? ""))
            }
        }
        if let kind = names["kind"].string, !kind.isEmpty, kind == names["listKind"].string {
            add(.invalid("spec.names.listKind", names["listKind"], "kind and listKind may not be the same"))
        }
    }

    mutating func approval(_ definition: JSON, _ old: JSON) {
        guard DefinitionValidation.isProtected(definition["spec"]["group"].string ?? "") else { return }
        let annotation = DefinitionValidation.approvalAnnotation
        let value = definition["metadata"]["annotations"][annotation]
        if !old.isNull, value == old["metadata"]["annotations"][annotation] { return }
        let field = "metadata.annotations[\(annotation)]"
        switch value.string {
        case nil, "":
            add(
                .required(
                    field,
                    "protected groups must have approval annotation \"\(annotation)\", see "
                        + "https://github.com/kubernetes/enhancements/pull/1111"))
        case let text? where !text.hasPrefix("unapproved") && !text.hasPrefix("https://"):
            add(
                .invalid(
                    field, value,
                    "protected groups must have approval annotation \"\(annotation)\" with either a URL or a reason "
                        + "starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111"))
        default: return
        }
    }

    // MARK: Versions

    mutating func versions(_ spec: JSON, _ old: JSON) {
        let versions = spec["versions"].elements
        let names = versions.map { $0["name"].string ?? "" }
        if Set(names).count != names.count {
            add(.invalid("spec.versions", spec["versions"], "must contain unique version names"))
        }
        if versions.filter({ $0["storage"].bool == true }).count != 1 {
            add(
                .invalid(
                    "spec.versions", spec["versions"], "must have exactly one version marked as storage version"))
        }
        if spec["preserveUnknownFields"].bool == true, old["preserveUnknownFields"].bool != true {
            add(
                .invalid(
                    "spec.preserveUnknownFields", true,
                    "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
                        + "spec.versions[*].schema instead"))
        }
        for (index, version) in versions.enumerated() {
            let path = "spec.versions[\(index)]"
            syntax("\(path).name", version["name"], Names.dns1035LabelProblems(names[index]))
            let before = old["versions"].elements.first { $0["name"] == version["name"] } ?? .null
            if let text = version["deprecationWarning"].string, !(version["deprecated"].bool ?? false) {
                add(
                    .invalid(
                        "\(path).deprecationWarning", .string(text), "can only be set for deprecated versions"))
            }
            schema(version, before, path)
            if version["additionalPrinterColumns"] != before["additionalPrinterColumns"] {
                for (place, column) in version["additionalPrinterColumns"].elements.enumerated() {
                    self.column(column, "\(path).additionalPrinterColumns[\(place)]")
                }
            }
            if version["subresources"] != before["subresources"] {
                scale(version["subresources"]["scale"], "\(path).subresources.scale")
            }
        }
    }

    private mutating func schema(_ version: JSON, _ old: JSON, _ path: String) {
        let schema = version["schema"]["openAPIV3Schema"]
        let place = "\(path).schema.openAPIV3Schema"
        guard !schema.isNull else {
            add(.required(place, "schemas are required"))
            return
        }
        if schema != old["schema"]["openAPIV3Schema"] {
            var check = SchemaCheck()
            check.root(schema, place)
            for problem in check.problems { add(problem) }
            if check.problems.isEmpty {
                for problem in RuleCheck.problems(of: schema, path: place) { add(problem) }
            }
        }
        if version["selectableFields"] != old["selectableFields"] {
            selectable(version["selectableFields"].elements, schema, "\(path).selectableFields")
        }
    }

    private mutating func column(_ column: JSON, _ path: String) {
        if (column["name"].string ?? "").isEmpty { add(.required("\(path).name")) }
        let types = ["boolean", "date", "integer", "number", "string"]
        switch column["type"].string {
        case nil, "": add(.required("\(path).type", "must be one of \(types.joined(separator: ","))"))
        case let type? where !types.contains(type):
            add(.invalid("\(path).type", column["type"], "must be one of \(types.joined(separator: ","))"))
        default: break
        }
        let formats = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"]
        if let format = column["format"].string, !format.isEmpty, !formats.contains(format) {
            add(.invalid("\(path).format", column["format"], "must be one of \(formats.joined(separator: ","))"))
        }
        simplePath(column["jsonPath"], "\(path).jsonPath", isOptional: false)
    }

    @discardableResult
    private mutating func simplePath(_ value: JSON, _ field: String, isOptional: Bool) -> JSONPath? {
        guard let text = value.string, !text.isEmpty else {
            if !isOptional { add(.required(field)) }
            return nil
        }
        guard text.hasPrefix(".") else {
            add(.invalid(field, value, "must be a simple json path starting with ."))
            return nil
        }
        do {
            return try JSONPath(text)
        } catch {
            add(.invalid(field, value, "is an invalid path: \(error.description)"))
            return nil
        }
    }

    private mutating func scale(_ scale: JSON, _ path: String) {
        if scale.isNull { return }
        func check(_ name: String, _ roots: [String], _ why: String, _ check: inout DefinitionCheck) {
            let value = scale[name]
            guard let text = value.string, !text.isEmpty else {
                if name != "labelSelectorPath" { check.add(.required("\(path).\(name)")) }
                return
            }
            if !text.hasPrefix(".") {
                check.add(.invalid("\(path).\(name)", value, "must be a simple json path starting with ."))
            } else if text.contains("[") || text.contains("*") {
                check.add(.invalid("\(path).\(name)", value, "must be a json path in the dot notation"))
            } else if !roots.contains(where: { text.hasPrefix($0) }) {
                check.add(.invalid("\(path).\(name)", value, why))
            }
        }
        check("specReplicasPath", [".spec."], "should be a json path under .spec", &self)
        check("statusReplicasPath", [".status."], "should be a json path under .status", &self)
        check(
            "labelSelectorPath", [".spec.", ".status."], "should be a json path under either .spec or .status", &self)
    }

    private mutating func selectable(_ fields: [JSON], _ schema: JSON, _ path: String) {
        var seen: Set<String> = []
        for (index, field) in fields.enumerated() {
            let place = "\(path)[\(index)].jsonPath"
            let value = field["jsonPath"]
            guard let members = simplePath(value, place, isOptional: false)?.members else { continue }
            if members.first == "metadata" {
                add(.invalid(place, value, "must not point to fields in metadata"))
                continue
            }
            var part = schema
            for name in members { part = part["properties"][name] }
            if !["string", "integer", "boolean"].contains(part["type"].string ?? "") {
                add(
                    .invalid(
                        place, value,
                        "must point to a field of type string, boolean or integer. Enum string fields and strings with "
                            + "formats are allowed."))
            }
            if !seen.insert(value.string ?? "").inserted { add(.duplicate(place, value)) }
        }
        if seen.count > 8 { add(.tooMany(path, count: seen.count, maximum: 8)) }
    }

    // MARK: Conversion, changes, status

    mutating func conversion(_ conversion: JSON) {
        let path = "spec.conversion"
        let webhook = conversion["webhook"]
        switch conversion["strategy"].string {
        case "None", nil:
            if !webhook["clientConfig"].isNull {
                add(.forbidden("\(path).webhook", "should not be set when strategy is not set to Webhook"))
            }
        case "Webhook":
            let config = webhook["clientConfig"]
            if config.isNull {
                add(.required("\(path).webhook.clientConfig", "required when strategy is set to Webhook"))
            } else if config["url"].isNull == config["service"].isNull {
                add(.required("\(path).webhook.clientConfig", "exactly one of url or service is required"))
            } else if let url = config["url"].string, !url.hasPrefix("https://") {
                add(
                    .invalid(
                        "\(path).webhook.clientConfig.url", config["url"],
                        "'https' is the only allowed URL scheme; desired format: https://host[/path]"))
            }
            let versions = webhook["conversionReviewVersions"].elements.compactMap(\.string)
            if versions.isEmpty {
                add(.required("\(path).webhook.conversionReviewVersions"))
            } else if !versions.contains("v1"), !versions.contains("v1beta1") {
                add(
                    .invalid(
                        "\(path).webhook.conversionReviewVersions", webhook["conversionReviewVersions"],
                        "must include at least one of v1, v1beta1"))
            }
        default: add(.notSupported("\(path).strategy", conversion["strategy"], ["None", "Webhook"]))
        }
    }

    mutating func changes(_ definition: JSON, _ old: JSON) {
        func immutable(_ field: String, _ new: JSON, _ old: JSON, _ check: inout DefinitionCheck) {
            if new != old { check.add(.invalid(field, new, "field is immutable")) }
        }
        let (spec, before) = (definition["spec"], old["spec"])
        immutable("spec.group", spec["group"], before["group"], &self)
        immutable("spec.names.plural", spec["names"]["plural"], before["names"]["plural"], &self)
        let isEstablished = old["status"]["conditions"].elements.contains {
            $0["type"].string == "Established" && $0["status"].string == "True"
        }
        if isEstablished {
            immutable("spec.scope", spec["scope"], before["scope"], &self)
            immutable("spec.names.kind", spec["names"]["kind"], before["names"]["kind"], &self)
        }
        storedVersions(definition)
    }

    mutating func storedVersions(_ definition: JSON) {
        let stored = definition["status"]["storedVersions"]
        let versions = definition["spec"]["versions"].elements
        if stored.elements.isEmpty {
            add(.invalid("status.storedVersions", stored, "must have at least one stored version"))
            return
        }
        for version in versions
        where version["storage"].bool == true && !stored.elements.contains(version["name"]) {
            add(
                .invalid(
                    "status.storedVersions", stored, "must have the storage version \(version["name"].string ?? "")"))
        }
        for (index, name) in stored.elements.enumerated() where !versions.contains(where: { $0["name"] == name }) {
            let text = name.string ?? ""
            add(
                .invalid(
                    "status.storedVersions[\(index)]", name,
                    "missing from spec.versions; \(text) was previously a storage version, and must remain in "
                        + "spec.versions until a storage migration ensures no data remains persisted in \(text) and "
                        + "removes \(text) from status.storedVersions"))
        }
    }
}
