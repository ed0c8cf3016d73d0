public import JSON
public import ObjectModel
public import Schema
import Synchronization

/// One version of a custom kind: all that a catalog and the verbs need to know of it. The schema is compiled when it is
/// first needed, and then shared by all requests.
public final class CustomVersion: CustomKind {
    public let definition: ResourceDefinition
    public let serial = SerialNumber.next()
    public let listKind: String
    public let isServed: Bool
    public let isStorage: Bool
    /// Text for the warning that answers of a deprecated version carry.
    public let deprecationWarning: String?
    public let hasStatus: Bool
    public let scale: ScalePaths?
    public let columns: [CustomColumn]
    public let selectableFields: Set<String>
    private let columnPaths: [JSONPath?]
    private let selectablePaths: [String: JSONPath]
    private let source: JSON
    private let names: CustomNames
    private let compiled = Mutex<Compiled?>(nil)

    /// What is made of the schema.
    struct Compiled: Sendable {
        var schema: StructuralSchema
        var rules: RuleSet?
    }

    init(_ version: JSON, group: String, names: CustomNames, isNamespaced: Bool, isTerminating: Bool) {
        source = version
        self.names = names
        let name = version["name"].string ?? ""
        let kind = GroupVersionKind(group: group, version: name, kind: names.kind)
        let isDeprecated = version["deprecated"].bool ?? false
        isServed = version["served"].bool ?? false
        isStorage = version["storage"].bool ?? false
        listKind = names.listKind
        deprecationWarning =
            isDeprecated
            ? version["deprecationWarning"].string ?? "\(kind.apiVersion) \(kind.kind) is deprecated" : nil
        let subresources = version["subresources"]
        hasStatus = !subresources["status"].isNull
        scale = subresources["scale"].isNull ? nil : ScalePaths(subresources["scale"])
        // Nothing new comes to a kind that goes; what is there can still lose its finalizers.
        let writes = isTerminating ? ["patch", "update"] : ["patch", "create", "update"]
        var rows: [ResourceDefinition.Subresource] = []
        let partVerbs = ["get", "patch", "update"]
        if hasStatus { rows.append(.init(name: "status", kind: kind, verbs: partVerbs)) }
        if scale != nil {
            rows.append(
                .init(
                    name: "scale", kind: GroupVersionKind(group: "autoscaling", version: "v1", kind: "Scale"),
                    verbs: partVerbs))
        }
        definition = ResourceDefinition(
            resource: GroupVersionResource(group: group, version: name, resource: names.plural), kind: kind,
            singular: names.singular, isNamespaced: isNamespaced, shortNames: names.shortNames,
            categories: names.categories, verbs: ["delete", "deletecollection", "get", "list"] + writes + ["watch"],
            subresources: rows, typeName: "\(group).\(name).\(names.kind)")
        let printed = version["additionalPrinterColumns"].elements
        columns = printed.map { column in
            let path = column["jsonPath"].string ?? ""
            return CustomColumn(
                name: column["name"].string ?? "", type: column["type"].string ?? "string",
                format: column["format"].string ?? "",
                description: column["description"].string ?? "The value at \(path).",
                priority: column["priority"].int ?? 0)
        }
        columnPaths = printed.map { $0["jsonPath"].string.flatMap { try? JSONPath($0) } }
        var selectable: [String: JSONPath] = [:]
        for field in version["selectableFields"].elements {
            guard let text = field["jsonPath"].string, let path = try? JSONPath(text) else { continue }
            // Selectors name the field without the dot in front.
            selectable[String(text.drop { $0 == "." })] = path
        }
        selectablePaths = selectable
        selectableFields = Set(selectable.keys)
    }

    /// Whether both say the same, so that the older one can stay.
    func isSame(as other: CustomVersion) -> Bool {
        definition == other.definition && names == other.names && source == other.source
    }

    var parts: Compiled {
        compiled.withLock { compiled in
            if let compiled { return compiled }
            let schema = StructuralSchema(source["schema"]["openAPIV3Schema"])
            let made = Compiled(schema: schema, rules: schema.root.hasRules ? RuleSet(schema) : nil)
            compiled = made
            return made
        }
    }

    // MARK: CustomKind

    public func prune(_ object: inout JSON) -> [String] { parts.schema.prune(&object) }
    public func applyDefaults(to object: inout JSON) { parts.schema.applyDefaults(to: &object) }
    public var fieldType: CustomFieldType { parts.schema.fieldType }
    public func openAPISchema(isV2: Bool) -> JSON { parts.schema.published(isV2: isV2) }

    public func columnValues(_ object: JSON) -> [JSON] {
        zip(columns, columnPaths).map { column, path in
            guard let value = path?.first(in: object) else { return .null }
            return Self.cell(value, type: column.type)
        }
    }

    private static func cell(_ value: JSON, type: String) -> JSON {
        switch (type, value) {
        case (_, .null): return type == "string" ? "<nil>" : .null
        case ("string", .string), ("boolean", .bool), ("date", .string), ("integer", .integer): return value
        case ("string", _): return .string(value.description)
        case ("integer", .number(let number)):
            return Int64(exactly: number.doubleValue.rounded(.towardZero)).map(JSON.integer) ?? .null
        case ("number", .integer), ("number", .number): return value
        default: return .null
        }
    }

    public func selectableValue(_ field: String, of object: JSON) -> JSON {
        selectablePaths[field]?.first(in: object) ?? .null
    }

    // MARK: Verbs

    /// Whether a stored object is as this version would store it today: nothing to drop and nothing to fill in.
    public func isInOrder(_ object: JSON) -> Bool { parts.schema.isInOrder(object) }

    /// Problems of an object, or of a change: what did not change is not looked at again.
    public func problems(of object: JSON, old: JSON? = nil) -> [FieldError] {
        let parts = parts
        var validation = Validation(schema: parts.schema)
        validation.check(object, old: old)
        var problems = validation.problems
        if let rules = parts.rules {
            if validation.blocksRules {
                problems.append(
                    .invalid(
                        "<nil>", "null",
                        "some validation rules were not checked because the object was invalid; correct the existing "
                            + "errors to complete validation"))
            } else {
                problems += rules.problems(of: object, old: old)
            }
        }
        return problems
    }
}

/// Where a custom resource has what its `Scale` shows.
public struct ScalePaths: Sendable, Hashable {
    /// Member names, for example `spec`, `replicas`.
    public let specReplicas: [String]
    public let statusReplicas: [String]
    public let selector: [String]?

    init(_ json: JSON) {
        specReplicas = Self.members(json["specReplicasPath"].string ?? "")
        statusReplicas = Self.members(json["statusReplicasPath"].string ?? "")
        selector = json["labelSelectorPath"].string.flatMap { $0.isEmpty ? nil : Self.members($0) }
    }

    private static func members(_ path: String) -> [String] { path.split(separator: ".").map(String.init) }
}
