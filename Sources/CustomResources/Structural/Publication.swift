import JSON

extension StructuralSchema {
    /// The schema for OpenAPI documents, without `apiVersion`, `kind` and `metadata` of the root.
    func published(isV2: Bool) -> JSON {
        var schema = source
        for name in ["apiVersion", "kind", "metadata"] where !schema["properties"].isNull {
            schema["properties"].removeMember(name)
        }
        if schema["properties"].members.isEmpty { schema.removeMember("properties") }
        return isV2 ? Self.v2(schema) : schema
    }

    private static let unknownToV2 = ["oneOf", "anyOf", "not", "nullable"]

    /// What OpenAPI 2.0 can say of it: no alternatives, no nulls, and nothing of a value that may be of several types.
    /// Old kubectls validate with this document, so that it must not be stricter than the server.
    private static func v2(_ schema: JSON) -> JSON {
        guard case .object(var members) = schema else { return schema }
        let isOpen = members["x-kubernetes-preserve-unknown-fields"]?.bool == true
        let isUntyped =
            isOpen || members["nullable"]?.bool == true || members["x-kubernetes-int-or-string"]?.bool == true
        for name in unknownToV2 { members.removeValue(forKey: name) }
        if isUntyped {
            for name in ["type", "items", "properties", "additionalProperties", "required"] {
                members.removeValue(forKey: name)
            }
        }
        for name in ["properties"] {
            guard case .object(let properties)? = members[name] else { continue }
            members[name] = .object(properties.mapValues(v2))
        }
        for name in ["items", "additionalProperties"] {
            if let part = members[name], part.object != nil { members[name] = v2(part) }
        }
        if case .array(let parts)? = members["allOf"] { members["allOf"] = .array(parts.map(v2)) }
        return .object(members)
    }
}
