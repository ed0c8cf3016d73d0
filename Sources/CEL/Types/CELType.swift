/// The static type of an expression, as the type checker sees it.
public indirect enum CELType: Sendable, Hashable {
    /// Known only at run time; compatible with every type.
    case dyn
    case null
    case bool
    case int
    case uint
    case double
    case string
    case bytes
    case timestamp
    case duration
    case list(CELType)
    case map(CELType, CELType)
    /// A declared object: named fields over a JSON object.
    case object(CELObjectType)
    /// `optional_type(T)`: a value or none.
    case optional(CELType)
    /// The type of types; the parameter is the type that is denoted, `dyn` when unknown.
    case type(CELType)
    /// A type that only its library can look into, for example `net.IP` or `kubernetes.Quantity`.
    case opaque(String)
    /// A type variable: in signatures of functions, and of literals such as `[]` whose type the use decides.
    case parameter(String)
}

extension CELType: CustomStringConvertible {
    /// The type as cel-go prints it in messages: `list(string)`, `google.protobuf.Timestamp`.
    public var description: String {
        switch self {
        case .dyn: "dyn"
        case .null: "null"
        case .bool: "bool"
        case .int: "int"
        case .uint: "uint"
        case .double: "double"
        case .string: "string"
        case .bytes: "bytes"
        case .timestamp: "timestamp"
        case .duration: "duration"
        case .list(let element): "list(\(element))"
        case .map(let key, let value): "map(\(key), \(value))"
        case .object(let type): type.name
        case .optional(let value): "optional_type(\(value))"
        case .type(.dyn): "type"
        case .type(let value): "type(\(value))"
        case .opaque(let name): name
        case .parameter(let name): name
        }
    }
}

/// How lists of a field compare and add, from `x-kubernetes-list-type`.
public enum CELListKind: Sendable, Hashable {
    /// Order matters; `+` appends.
    case atomic
    /// Order does not matter for `==`; `+` appends what is not in the left list.
    case set
    /// Elements are identified by these fields: `==` ignores order, `+` replaces elements with equal keys.
    case map(keys: [String])
}
