import JSON
import ObjectModel

/// Why a document does not fit its type, in the words of Go's JSON decoder, which clients know.
struct ConformError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// One walk over a document that rebuilds it so that it conforms to its type. Slow path of `Catalog.conform`.
struct ConformingPass {
    let schema: Schema
    /// Empty members are kept.
    let isPartial: Bool
    /// Paths of members that no type has.
    private(set) var unknownFields: [String] = []
    /// Nobody reads more, and a warning goes out for each.
    private static let maximumReports = 100
    /// Where the walk is: `spec`, `containers`, `[0]`.
    private var path: [Step] = []
    /// The innermost object type, which error messages name.
    private var owner: SchemaType?

    private enum Step {
        case field(String)
        case key(String)
        case index(Int)
    }

    /// A pass over documents of a schema.
    init(schema: Schema, isPartial: Bool) {
        self.schema = schema
        self.isPartial = isPartial
    }

    /// The value as its type wants it.
    mutating func converted(_ json: JSON, _ value: SchemaValue) throws(ConformError) -> JSON {
        switch value {
        case .object(let place): return try object(json, place)
        case .list(let element):
            guard case .array(let elements) = json else { throw mismatch(json, value) }
            var result: [JSON] = []
            result.reserveCapacity(elements.count)
            for (index, item) in elements.enumerated() {
                path.append(.index(index))
                result.append(item.isNull ? zero(element) : try converted(item, element))
                path.removeLast()
            }
            return .array(result)
        case .map(let element):
            guard case .object(var members) = json else { throw mismatch(json, value) }
            for (index, entry) in members.elements.enumerated() {
                path.append(.key(entry.key))
                members.values[index] = entry.value.isNull ? zero(element) : try converted(entry.value, element)
                path.removeLast()
            }
            return .object(members)
        default: return try scalar(json, value)
        }
    }

    private mutating func object(_ json: JSON, _ place: Int) throws(ConformError) -> JSON {
        guard case .object(let members) = json else { throw mismatch(json, .object(place)) }
        let type = schema.types[place]
        let outer = owner
        owner = type
        defer { owner = outer }
        var result = JSONObject(minimumCapacity: members.count)
        for (key, member) in members {
            path.append(.field(key))
            if let field = type.field(key) {
                if !member.isNull {
                    let value = try converted(member, field.value)
                    if isPartial || !field.isLeftOut(value) { result[key] = value }
                }
            } else if unknownFields.count < Self.maximumReports {
                unknownFields.append(pathText)
            }
            path.removeLast()
        }
        return .object(result)
    }

    private mutating func scalar(_ json: JSON, _ value: SchemaValue) throws(ConformError) -> JSON {
        if schema.isInOrder(json, value, isPartial: isPartial) { return json }
        switch (value, json) {
        case (.bytes, .string(let text)): return .string(try Base64Text.canonical(text))
        case (.quantity, .string(let text)): return .string(try QuantityText.canonical(text))
        case (.quantity, .integer(let number)): return .string(try QuantityText.canonical(String(number)))
        case (.quantity, .number(let number)): return .string(try QuantityText.canonical(number.text))
        case (.quantity, _): throw QuantityText.formatError
        case (.time, .string(let text)): return .string(try TimeText.canonical(text, fractionDigits: 0))
        case (.microTime, .string(let text)): return .string(try TimeText.canonical(text, fractionDigits: 6))
        case (.time, _), (.microTime, _):
            throw ConformError("json: cannot unmarshal \(kindName(json)) into Go value of type string")
        case (.intOrString, _):
            throw ConformError("json: cannot unmarshal \(kindName(json)) into Go value of type int32")
        case (.schemaOrArray, .array): return try converted(json, .list(schemaProps))
        case (.schemaOrBool, .bool): return json
        case (.schemaOrStrings, .array): return try converted(json, .list(.string))
        case (.schemaOrArray, _), (.schemaOrBool, _), (.schemaOrStrings, _): return try converted(json, schemaProps)
        default: throw mismatch(json, value)
        }
    }

    private var schemaProps: SchemaValue {
        schema.place(alias: "apiextensions.v1.JSONSchemaProps").map(SchemaValue.object) ?? .any
    }

    /// What Go makes of a null inside a list or map.
    private func zero(_ value: SchemaValue) -> JSON {
        switch value {
        case .string, .bytes: ""
        case .bool: false
        case .int32, .int64, .double, .intOrString: 0
        case .quantity: "0"
        case .list: []
        case .object, .map: [:]
        default: .null
        }
    }

    private func mismatch(_ json: JSON, _ value: SchemaValue) -> ConformError {
        guard let owner else {
            return ConformError("json: cannot unmarshal \(kindName(json)) into Go value of type \(goName(value))")
        }
        // Go's field stack has neither list indexes nor map keys.
        let fields = path.compactMap { step in
            if case .field(let name) = step { name } else { nil }
        }
        let place = ([String(owner.shortName)] + fields).joined(separator: ".")
        return ConformError(
            "json: cannot unmarshal \(kindName(json, for: value)) into Go struct field \(place) of type \(goName(value))"
        )
    }

    private func kindName(_ json: JSON, for value: SchemaValue? = nil) -> String {
        switch json {
        case .null: return "null"
        case .bool: return "bool"
        case .integer, .number:
            switch value {  // A number of the wrong kind is quoted, one where none belongs is not.
            case .int32, .int64, .double: return "number \(json)"
            default: return "number"
            }
        case .string: return "string"
        case .array: return "array"
        case .object: return "object"
        }
    }

    private func goName(_ value: SchemaValue) -> String {
        switch value {
        case .string: "string"
        case .bool: "bool"
        case .int32: "int32"
        case .int64: "int64"
        case .double: "float64"
        case .bytes: "[]uint8"
        case .quantity: "resource.Quantity"
        case .time: "v1.Time"
        case .microTime: "v1.MicroTime"
        case .intOrString: "intstr.IntOrString"
        case .raw: "runtime.RawExtension"
        case .fields: "v1.FieldsV1"
        case .json, .any: "v1.JSON"
        case .schemaOrArray, .schemaOrBool, .schemaOrStrings: "v1.JSONSchemaProps"
        case .object(let place): schema.types[place].goName
        case .list(let element): "[]\(goName(element))"
        case .map(.quantity): "v1.ResourceList"
        case .map(let element): "map[string]\(goName(element))"
        }
    }

    private var pathText: String {
        var text = ""
        for step in path {
            switch step {
            case .index(let index): text += "[\(index)]"
            case .field(let name), .key(let name): text += text.isEmpty ? name : ".\(name)"
            }
        }
        return text
    }
}
