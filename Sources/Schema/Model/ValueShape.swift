public import ObjectModel

/// The static type of a value of the API, as checkers of expressions need it.
public indirect enum ValueShape: Sendable {
    case string, bool, integer, double
    /// Base64 text.
    case bytes
    /// RFC 3339 text.
    case timestamp
    /// Anything, or one of several.
    case any
    case object(ObjectShape)
    case list(ValueShape)
    case map(ValueShape)
}

/// The declared fields of an object type. Types may contain themselves, so fields are looked up when they are asked for.
public struct ObjectShape: Sendable {
    private let schema: Schema
    private let index: Int

    init(_ schema: Schema, _ index: Int) {
        self.schema = schema
        self.index = index
    }

    /// For example `io.k8s.api.core.v1.PodSpec`.
    public var name: String { schema.types[index].name }

    /// Every field by its name in JSON.
    public var fields: [(name: String, shape: ValueShape)] {
        schema.types[index].fields.filter { !schema.types[index].isProtobufOnly && !$0.name.isEmpty }.map {
            ($0.name, Self.shape($0.value, schema))
        }
    }

    private static func shape(_ value: SchemaValue, _ schema: Schema) -> ValueShape {
        switch value {
        case .string, .quantity: .string
        case .bool: .bool
        case .int32, .int64: .integer
        case .double: .double
        case .bytes: .bytes
        case .time, .microTime: .timestamp
        case .object(let index): .object(ObjectShape(schema, index))
        case .list(let element): .list(shape(element, schema))
        case .map(let element): .map(shape(element, schema))
        case .intOrString, .raw, .fields, .json, .any, .schemaOrArray, .schemaOrBool, .schemaOrStrings: .any
        }
    }
}

extension Catalog {
    /// The fields of a kind; nil when it has no schema.
    public func shape(of kind: GroupVersionKind) -> ObjectShape? {
        schema.place(of: kind).map { ObjectShape(schema, $0) }
    }
}
