public import JSON
public import ObjectModel

extension Catalog {
    /// What an object of a built-in kind has when nothing is set, as clients with types of their own expect it of a watch's
    /// bookmark: `spec` and `status`, and the members that are always there. Pods: `{"spec": {"containers": null}, "status": {}}`.
    /// - Returns: an object without `kind`, `apiVersion` and `metadata`; empty for kinds without a type.
    public func emptyMembers(of kind: GroupVersionKind) -> JSON {
        guard resource(for: kind) != nil, custom(kind) == nil, let place = schema.place(of: kind) else { return [:] }
        return empty(schema.types[place], isRoot: true)
    }

    private func empty(_ type: SchemaType, isRoot: Bool = false) -> JSON {
        var members: JSON = [:]
        for field in type.fields where !isRoot || !["kind", "apiVersion", "metadata"].contains(field.name) {
            guard field.isRequired || isRoot && ["spec", "status"].contains(field.name) else { continue }
            members[field.name] = empty(field.value)
        }
        return members
    }

    private func empty(_ value: SchemaValue) -> JSON {
        switch value {
        case .string: ""
        case .bool: false
        case .int32, .int64, .double: 0
        case .quantity: "0"
        case .intOrString: 0
        case .object(let place): empty(schema.types[place])
        default: .null
        }
    }
}
