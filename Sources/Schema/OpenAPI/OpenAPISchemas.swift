import JSON
import ObjectModel

/// Writes the types as OpenAPI schemas, for version 2.0 (`#/definitions/…`) or 3.0 (`#/components/schemas/…`).
struct OpenAPISchemas {
    enum Version { case v2, v3 }
    let schema: Schema
    let version: Version
    let descriptions: FieldDescriptions
    /// Every served group version, for the kinds that all of them have.
    let groupVersions: [(group: String, version: String)]

    private static let meta = "io.k8s.apimachinery.pkg.apis.meta.v1"
    private static let extensions = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1"

    var prefix: String { version == .v2 ? "#/definitions/" : "#/components/schemas/" }
    func reference(_ name: String) -> JSON { ["$ref": .string(prefix + name)] }

    /// Schemas of types and of all that they refer to, by name.
    func closure(of roots: [Int]) -> JSONObject {
        var seen = Set(roots)
        var queue = roots
        var special: Set<String> = []
        var found: [(String, JSON)] = []
        while let place = queue.popLast() {
            let type = schema.types[place]
            found.append((type.name, object(type)))
            for field in type.fields {
                if let target = field.value.typeIndex {
                    if seen.insert(target).inserted { queue.append(target) }
                } else if let name = Self.specialName(Self.leaf(field.value)) {
                    special.insert(name)
                }
            }
        }
        found += special.map { ($0, specialSchema($0)) }
        return JSONObject(uniqueKeysWithValues: found.sorted { $0.0 < $1.0 })
    }

    private func object(_ type: SchemaType) -> JSON {
        var result: JSONObject = [:]
        if let text = descriptions.type(type.alias) { result["description"] = .string(text) }
        let required = type.fields.filter(\.isRequired).map(\.name)
        if !required.isEmpty { result["required"] = JSON(required) }
        var properties = JSONObject(minimumCapacity: type.fields.count)
        for field in type.fields { properties[field.name] = property(field, of: type) }
        result["type"] = "object"
        if !properties.isEmpty { result["properties"] = .object(properties) }
        let kinds = type.kinds.flatMap(expandedKinds)
        if !kinds.isEmpty { result["x-kubernetes-group-version-kind"] = .array(kinds) }
        if type.isAtomic { result["x-kubernetes-map-type"] = "atomic" }
        if let union = Self.unions[type.alias] { result["x-kubernetes-unions"] = [union] }
        return .object(result)
    }

    /// Of some of the members only the one that the discriminator names may be set.
    private static let unions: [String: JSON] = [
        "core.v1.AppArmorProfile": union("type", ["localhostProfile": "LocalhostProfile"]),
        "core.v1.SeccompProfile": union("type", ["localhostProfile": "LocalhostProfile"]),
        "core.v1.PodSchedulingGroup": union(nil, ["podGroupName": "PodGroupName"]),
        "flowcontrol.v1.LimitResponse": union("type", ["queuing": "Queuing"]),
        "flowcontrol.v1.PriorityLevelConfigurationSpec": union("type", ["exempt": "Exempt", "limited": "Limited"]),
        "flowcontrol.v1.Subject": union(
            "kind", ["group": "Group", "serviceAccount": "ServiceAccount", "user": "User"]),
    ]

    private static func union(_ discriminator: String?, _ fields: JSON) -> JSON {
        var json: JSON = ["fields-to-discriminateBy": fields]
        if let discriminator { json["discriminator"] = .string(discriminator) }
        return json
    }

    private func expandedKinds(_ text: String) -> [JSON] {
        if text.hasPrefix("*") {
            return groupVersions.map { Self.kind($0.group, $0.version, String(text.dropFirst())) }
        }
        let kind = GroupVersionKind(table: text[...])
        return [Self.kind(kind.group, kind.version, kind.kind)]
    }

    static func kind(_ group: String, _ version: String, _ kind: String) -> JSON {
        ["group": .string(group), "version": .string(version), "kind": .string(kind)]
    }

    private func property(_ field: SchemaField, of type: SchemaType) -> JSON {
        var members = value(field.value).members
        let isReference = members["$ref"] != nil
        let defaultValue = field.details?.defaultText.flatMap { try? JSON.parse($0) }
        if isReference, version == .v3, let bare = members["$ref"] {
            // OpenAPI 3.0 ignores what stands beside a $ref, so it is wrapped.
            members = ["allOf": [["$ref": bare]]]
        }
        if let text = descriptions.field(type.alias, field.name) { members["description"] = .string(text) }
        if let defaultValue, version == .v3 { members["default"] = defaultValue }
        guard let details = field.details else { return .object(members) }
        if let kind = details.listKind { members["x-kubernetes-list-type"] = .string(kind.rawValue) }
        if !details.listMapKeys.isEmpty { members["x-kubernetes-list-map-keys"] = JSON(details.listMapKeys) }
        if let kind = details.mapKind { members["x-kubernetes-map-type"] = .string(kind) }
        if !details.patchStrategies.isEmpty {
            members["x-kubernetes-patch-strategy"] = .string(details.patchStrategies.joined(separator: ","))
        }
        if let key = details.patchMergeKey { members["x-kubernetes-patch-merge-key"] = .string(key) }
        return .object(members)
    }

    func value(_ value: SchemaValue) -> JSON {
        switch value {
        case .string: ["type": "string"]
        case .bool: ["type": "boolean"]
        case .int32: ["type": "integer", "format": "int32"]
        case .int64: ["type": "integer", "format": "int64"]
        case .double: ["type": "number", "format": "double"]
        case .bytes: ["type": "string", "format": "byte"]
        case .any: ["type": "object"]
        case .object(let place): reference(schema.types[place].name)
        case .list(let element): ["type": "array", "items": item(element)]
        case .map(let element): ["type": "object", "additionalProperties": item(element)]
        default: Self.specialName(value).map(reference) ?? ["type": "object"]
        }
    }

    /// Elements that are references get an empty default in version 3, as clients that generate code expect.
    private func item(_ element: SchemaValue) -> JSON {
        let members = self.value(element).members
        guard version == .v3 else { return .object(members) }
        if let bare = members["$ref"] { return ["allOf": [["$ref": bare]], "default": [:]] }
        if element == .string { return ["type": "string", "default": ""] }
        return .object(members)
    }

    // MARK: Types with a form of their own

    private static func leaf(_ value: SchemaValue) -> SchemaValue {
        switch value {
        case .list(let element), .map(let element): leaf(element)
        default: value
        }
    }

    private static func specialName(_ value: SchemaValue) -> String? {
        switch value {
        case .quantity: "io.k8s.apimachinery.pkg.api.resource.Quantity"
        case .time: "\(meta).Time"
        case .microTime: "\(meta).MicroTime"
        case .intOrString: "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
        case .raw: "io.k8s.apimachinery.pkg.runtime.RawExtension"
        case .fields: "\(meta).FieldsV1"
        case .json: "\(extensions).JSON"
        case .schemaOrArray: "\(extensions).JSONSchemaPropsOrArray"
        case .schemaOrBool: "\(extensions).JSONSchemaPropsOrBool"
        case .schemaOrStrings: "\(extensions).JSONSchemaPropsOrStringArray"
        default: nil
        }
    }

    private func specialSchema(_ name: String) -> JSON {
        switch name.split(separator: ".").last {
        case "Quantity":
            let text: JSON = "An amount: a decimal number with an optional suffix, such as 250m, 1.5Gi or 2e3."
            if version == .v2 { return ["description": text, "type": "string"] }
            return ["description": text, "oneOf": [["type": "string"], ["type": "number"]]]
        case "Time":
            return ["description": "A point in time: RFC 3339 in UTC.", "type": "string", "format": "date-time"]
        case "MicroTime":
            return ["description": "A point in time with microseconds.", "type": "string", "format": "date-time"]
        case "IntOrString":
            let text: JSON = "A whole number, or text such as a percentage or the name of a port."
            if version == .v2 { return ["description": text, "type": "string", "format": "int-or-string"] }
            return [
                "description": text, "format": "int-or-string", "oneOf": [["type": "integer"], ["type": "string"]],
            ]
        case "RawExtension": return ["description": "Any object.", "type": "object"]
        case "FieldsV1": return ["description": "A set of fields, as server-side apply tracks them.", "type": "object"]
        default: return ["description": "Any JSON value that fits here."]
        }
    }
}
