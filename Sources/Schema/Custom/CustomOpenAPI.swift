import JSON
import ObjectModel

/// The types of custom kinds in OpenAPI documents.
enum CustomOpenAPI {
    /// `com.example.harbour.v1.Boat`
    static func name(_ kind: GroupVersionKind) -> String {
        let group = kind.group.split(separator: ".").reversed().joined(separator: ".")
        return "\(group).\(kind.version).\(kind.kind)"
    }

    /// Names of the types of kinds and of their lists.
    static func names(of customs: [any CustomKind]) -> [GroupVersionKind: String] {
        var names: [GroupVersionKind: String] = [:]
        for custom in customs {
            let kind = custom.definition.kind
            names[kind] = name(kind)
            names[kind.list] = name(kind.list)
        }
        return names
    }

    /// Adds the types of a kind and its list.
    static func add(_ custom: any CustomKind, to definitions: inout JSONObject, _ schemas: OpenAPISchemas) {
        let kind = custom.definition.kind
        var type = custom.openAPISchema(isV2: schemas.version == .v2)
        let isUntyped = type.members.isEmpty
        type["type"] = "object"
        if !isUntyped || schemas.version == .v3 {
            var properties: JSON = [:]
            properties["apiVersion"] = apiVersion
            properties["kind"] = kindName
            properties["metadata"] = metadata("ObjectMeta", schemas)
            for (name, value) in type["properties"].members where properties[name].isNull { properties[name] = value }
            type["properties"] = properties
        }
        type["x-kubernetes-group-version-kind"] = [OpenAPISchemas.kind(kind.group, kind.version, kind.kind)]
        definitions[name(kind)] = type
        definitions[name(kind.list)] = [
            "description": .string("A list of \(kind.kind)."), "type": "object", "required": ["items"],
            "properties": [
                "apiVersion": apiVersion,
                "items": [
                    "description": .string("The objects of the list."), "type": "array",
                    "items": schemas.reference(name(kind)),
                ],
                "kind": kindName, "metadata": metadata("ListMeta", schemas),
            ],
            "x-kubernetes-group-version-kind": [OpenAPISchemas.kind(kind.group, kind.version, custom.listKind)],
        ]
    }

    private static let apiVersion: JSON = ["description": "Group and version of this document.", "type": "string"]
    private static let kindName: JSON = ["description": "The kind of this document.", "type": "string"]

    private static func metadata(_ name: String, _ schemas: OpenAPISchemas) -> JSON {
        let reference = schemas.reference("io.k8s.apimachinery.pkg.apis.meta.v1.\(name)")
        let text: JSON = "What every object has: name, labels, owners."
        if schemas.version == .v2 { return ["description": text, "$ref": reference["$ref"]] }
        return ["description": text, "allOf": [reference]]
    }
}
