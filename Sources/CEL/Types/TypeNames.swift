/// Types by the names that expressions give them.
enum TypeNames {
    /// The type that an identifier denotes as a value: `int`, `google.protobuf.Timestamp`, `net.IP`.
    static func type(_ name: String, _ libraries: CELLibraries) -> CELType? {
        switch name {
        case "bool": .bool
        case "int": .int
        case "uint": .uint
        case "double": .double
        case "string": .string
        case "bytes": .bytes
        case "list": .list(.dyn)
        case "map": .map(.dyn, .dyn)
        case "null_type": .null
        case "type": .type(.dyn)
        case "google.protobuf.Timestamp": .timestamp
        case "google.protobuf.Duration": .duration
        case "optional_type": .optional(.dyn)
        case "net.IP", "net.CIDR", "kubernetes.URL", "kubernetes.Quantity", "kubernetes.Semver",
            "kubernetes.NamedFormat":
            .opaque(name)
        default: nil
        }
    }

    /// The type that `name{…}` makes.
    static func constructible(_ name: String, _ libraries: CELLibraries) -> CELType? {
        guard libraries.contains(.mutation) else { return nil }
        if name == "JSONPatch" { return .object(jsonPatch) }
        if name == "Object" || name.hasPrefix("Object.") { return .object(CELObjectType(openName: name)) }
        return nil
    }

    static let jsonPatch = CELObjectType(name: "JSONPatch") {
        ["op": .init(.string), "path": .init(.string), "from": .init(.string), "value": .init(.dyn)]
    }

    /// The type's name as `string(type(x))` prints it; parameters do not show.
    static func name(_ type: CELType) -> String {
        switch type {
        case .list: "list"
        case .map: "map"
        case .null: "null_type"
        case .timestamp: "google.protobuf.Timestamp"
        case .duration: "google.protobuf.Duration"
        case .optional: "optional_type"
        case .type: "type"
        default: type.description
        }
    }

    /// The type of a value.
    static func type(of value: CELValue) -> CELType {
        switch value {
        case .null: .null
        case .bool: .bool
        case .int: .int
        case .uint: .uint
        case .double: .double
        case .string: .string
        case .bytes: .bytes
        case .timestamp: .timestamp
        case .duration: .duration
        case .list: .list(.dyn)
        case .map: .map(.dyn, .dyn)
        case .object(.json(_, let type)), .object(.fields(_, let type)): .object(type)
        case .optional: .optional(.dyn)
        case .type: .type(.dyn)
        case .opaque(let value): .opaque(value.typeName)
        }
    }
}
