import JSON
import RegularExpression
import Schema

/// An OpenAPI v3 schema of a custom resource, compiled once into a flat array of nodes.
///
/// Every part that may stand where a schema stands is a node, those inside of `allOf`, `anyOf`, `oneOf` and `not`
/// included; nodes name each other by their place. Pruning and defaulting follow `properties`, `additionalProperties` and
/// `items` only, as structural schemas ask for (KEP-1693's rules for custom resources); validation follows everything.
final class StructuralSchema: Sendable {
    enum Kind: UInt8, Sendable {
        case any, object, array, string, integer, number, boolean

        init(_ text: String?) {
            switch text {
            case "object": self = .object
            case "array": self = .array
            case "string": self = .string
            case "integer": self = .integer
            case "number": self = .number
            case "boolean": self = .boolean
            default: self = .any
            }
        }

        /// As OpenAPI calls it.
        var name: String {
            switch self {
            case .any: ""
            case .object: "object"
            case .array: "array"
            case .string: "string"
            case .integer: "integer"
            case .number: "number"
            case .boolean: "boolean"
            }
        }
    }

    enum ListKind: UInt8, Sendable { case atomic, set, map }

    /// What an object may have besides its properties.
    enum Additional: Sendable {
        case nothing
        case anything
        case node(Int)
    }

    struct Node: Sendable {
        var kind = Kind.any
        var isNullable = false
        var preservesUnknown = false
        var isIntOrString = false
        var isEmbedded = false
        var properties: [String: Int] = [:]
        /// Names of the properties, sorted: findings come in a stable order.
        var names: [String] = []
        var additional = Additional.nothing
        /// The node of items; -1: none.
        var items = -1
        var listKind = ListKind.atomic
        var listKeys: [String] = []
        var isAtomicMap = false
        var defaultValue: JSON?
        var checks: ValueChecks?
        /// `x-kubernetes-validations`, as written.
        var rules: [JSON] = []
        /// Something below (or here) has rules; defaults below.
        var hasRules = false
        var hasDefaults = false
        /// Something below or here can fail besides its type: list types, embedded resources.
        var hasUniqueLists = false
        var hasEmbedded = false
    }

    let nodes: [Node]
    /// The schema as the definition has it.
    let source: JSON

    /// - Parameter schema: `openAPIV3Schema`.
    init(_ schema: JSON) {
        var compiler = SchemaCompiler()
        _ = compiler.node(schema)
        nodes = compiler.nodes
        source = schema
    }

    var root: Node { nodes[0] }
}

/// The checks of a node beyond its type.
final class ValueChecks: Sendable {
    struct Bound: Sendable {
        var value: Double
        var isExclusive: Bool
    }
    let enumeration: [JSON]?
    let minimum: Bound?
    let maximum: Bound?
    let multipleOf: Double?
    let minLength: Int?
    let maxLength: Int?
    let pattern: (source: String, pattern: Pattern)?
    let format: String?
    let minItems: Int?
    let maxItems: Int?
    let minProperties: Int?
    let maxProperties: Int?
    let required: [String]
    let allOf: [Int]
    let anyOf: [Int]
    let oneOf: [Int]
    let not: Int?

    init(_ schema: JSON, allOf: [Int], anyOf: [Int], oneOf: [Int], not: Int?) {
        enumeration = schema["enum"].array
        minimum = schema["minimum"].double.map {
            Bound(value: $0, isExclusive: schema["exclusiveMinimum"].bool ?? false)
        }
        maximum = schema["maximum"].double.map {
            Bound(value: $0, isExclusive: schema["exclusiveMaximum"].bool ?? false)
        }
        multipleOf = schema["multipleOf"].double
        minLength = schema["minLength"].int
        maxLength = schema["maxLength"].int
        pattern = schema["pattern"].string.flatMap { source in
            guard !source.isEmpty, let pattern = try? Pattern(source) else { return nil }
            return (source, pattern)
        }
        format = schema["format"].string.flatMap { Formats.isKnown($0) ? $0 : nil }
        minItems = schema["minItems"].int
        maxItems = schema["maxItems"].int
        minProperties = schema["minProperties"].int
        maxProperties = schema["maxProperties"].int
        required = schema["required"].elements.compactMap(\.string)
        self.allOf = allOf
        self.anyOf = anyOf
        self.oneOf = oneOf
        self.not = not
    }

    var isEmpty: Bool {
        enumeration == nil && minimum == nil && maximum == nil && multipleOf == nil && minLength == nil
            && maxLength == nil && pattern == nil && format == nil && minItems == nil && maxItems == nil
            && minProperties == nil && maxProperties == nil && required.isEmpty && allOf.isEmpty && anyOf.isEmpty
            && oneOf.isEmpty && not == nil
    }
}

/// Turns schemas into nodes, parents before their parts.
struct SchemaCompiler {
    private(set) var nodes: [StructuralSchema.Node] = []

    mutating func node(_ schema: JSON) -> Int {
        let place = nodes.count
        nodes.append(StructuralSchema.Node())
        var node = StructuralSchema.Node()
        node.kind = .init(schema["type"].string)
        node.isNullable = schema["nullable"].bool ?? false
        node.preservesUnknown = schema["x-kubernetes-preserve-unknown-fields"].bool ?? false
        node.isIntOrString = schema["x-kubernetes-int-or-string"].bool ?? false
        node.isEmbedded = schema["x-kubernetes-embedded-resource"].bool ?? false
        for name in schema["properties"].members.keys.sorted() {
            node.properties[name] = self.node(schema["properties"][name])
            node.names.append(name)
        }
        switch schema["additionalProperties"] {
        case .bool(true): node.additional = .anything
        case .object: node.additional = .node(self.node(schema["additionalProperties"]))
        default: break
        }
        if case .object = schema["items"] { node.items = self.node(schema["items"]) }
        switch schema["x-kubernetes-list-type"].string {
        case "set": node.listKind = .set
        case "map": node.listKind = .map
        default: node.listKind = .atomic
        }
        node.listKeys = schema["x-kubernetes-list-map-keys"].elements.compactMap(\.string)
        node.isAtomicMap = schema["x-kubernetes-map-type"].string == "atomic"
        let value = schema["default"]
        if !value.isNull { node.defaultValue = value }
        node.rules = schema["x-kubernetes-validations"].elements
        let junctors = ["allOf", "anyOf", "oneOf"].map { name in schema[name].elements.map { self.node($0) } }
        let not = schema["not"].object == nil ? nil : self.node(schema["not"])
        let checks = ValueChecks(schema, allOf: junctors[0], anyOf: junctors[1], oneOf: junctors[2], not: not)
        if !checks.isEmpty { node.checks = checks }
        summarize(&node)
        nodes[place] = node
        return place
    }

    /// What is below, so that whoever looks for it need not go there.
    private func summarize(_ node: inout StructuralSchema.Node) {
        var parts = node.properties.values.map { $0 }
        if case .node(let part) = node.additional { parts.append(part) }
        if node.items >= 0 { parts.append(node.items) }
        node.hasRules = !node.rules.isEmpty
        node.hasUniqueLists = node.listKind != .atomic
        node.hasEmbedded = node.isEmbedded
        for part in parts {
            let below = nodes[part]
            node.hasRules = node.hasRules || below.hasRules
            node.hasDefaults = node.hasDefaults || below.hasDefaults || below.defaultValue != nil
            node.hasUniqueLists = node.hasUniqueLists || below.hasUniqueLists
            node.hasEmbedded = node.hasEmbedded || below.hasEmbedded
        }
    }
}
