public import JSON

/// OpenAPI v2 documents as protobuf: what older Go clients ask for, and nothing else.
///
/// The messages are those of gnostic (`openapiv2/OpenAPIv2.proto` of github.com/google/gnostic, package `openapi.v2`). Only
/// the part that API servers write is here: no headers, examples, XML, contacts.
public enum OpenAPIProtobuf {
    /// - Parameter document: an OpenAPI v2 document. Members that the messages do not have are left out.
    public static func encode(_ document: JSON) -> [UInt8] {
        var bytes: [UInt8] = []
        write(document, as: .document, into: &bytes)
        return bytes
    }

    private enum Message: Sendable {
        case document, info, pathItem, operation, parameters, body, query, path, header, response, schema
        case apiKey, primitives
    }

    /// How a member becomes a field.
    private indirect enum Form: Sendable {
        case text, flag, number, integer, texts
        /// Any JSON, as YAML text in a message `Any`.
        case any, anys
        case message(Message)
        case messages(Message)
        /// A map as a message of named entries; the number is that of the entries' field.
        case named(Form, Int)
        /// The value in a message of its own: its field's number.
        case wrapped(Form, Int)
    }

    private static func fields(_ message: Message) -> [String: (number: Int, form: Form)] {
        switch message {
        case .document:
            [
                "swagger": (1, .text), "info": (2, .message(.info)), "host": (3, .text), "basePath": (4, .text),
                "schemes": (5, .texts), "consumes": (6, .texts), "produces": (7, .texts),
                "paths": (8, .named(.message(.pathItem), 2)), "definitions": (9, .named(.message(.schema), 1)),
                "securityDefinitions": (13, .named(.wrapped(.message(.apiKey), 2), 1)),
            ]
        case .info: ["title": (1, .text), "version": (2, .text), "description": (3, .text)]
        case .apiKey: ["type": (1, .text), "name": (2, .text), "in": (3, .text), "description": (4, .text)]
        case .pathItem:
            [
                "get": (2, .message(.operation)), "put": (3, .message(.operation)), "post": (4, .message(.operation)),
                "delete": (5, .message(.operation)), "options": (6, .message(.operation)),
                "head": (7, .message(.operation)), "patch": (8, .message(.operation)),
                "parameters": (9, .messages(.parameters)),
            ]
        case .operation:
            [
                "tags": (1, .texts), "summary": (2, .text), "description": (3, .text), "operationId": (5, .text),
                "produces": (6, .texts), "consumes": (7, .texts), "parameters": (8, .messages(.parameters)),
                "responses": (9, .named(.wrapped(.message(.response), 1), 1)), "schemes": (10, .texts),
                "deprecated": (11, .flag),
            ]
        case .parameters: [:]
        case .body:
            [
                "description": (1, .text), "name": (2, .text), "in": (3, .text), "required": (4, .flag),
                "schema": (5, .message(.schema)),
            ]
        case .query:
            parameter.merging(constraints(from: 6)) { first, _ in first }
                .merging(["allowEmptyValue": (5, .flag)]) { first, _ in first }
        case .path, .header: parameter.merging(constraints(from: 5)) { first, _ in first }
        case .primitives: constraints(from: 1)
        case .response: ["description": (1, .text), "schema": (2, .wrapped(.message(.schema), 1))]
        case .schema:
            [
                "$ref": (1, .text), "format": (2, .text), "title": (3, .text), "description": (4, .text),
                "default": (5, .any), "multipleOf": (6, .number), "maximum": (7, .number),
                "exclusiveMaximum": (8, .flag), "minimum": (9, .number), "exclusiveMinimum": (10, .flag),
                "maxLength": (11, .integer), "minLength": (12, .integer), "pattern": (13, .text),
                "maxItems": (14, .integer), "minItems": (15, .integer), "uniqueItems": (16, .flag),
                "maxProperties": (17, .integer), "minProperties": (18, .integer), "required": (19, .texts),
                "enum": (20, .anys), "additionalProperties": (21, .wrapped(.message(.schema), 1)),
                "type": (22, .wrapped(.text, 1)), "items": (23, .wrapped(.message(.schema), 1)),
                "allOf": (24, .messages(.schema)), "properties": (25, .named(.message(.schema), 1)),
                "discriminator": (26, .text), "readOnly": (27, .flag), "example": (30, .any),
            ]
        }
    }

    private static let parameter: [String: (number: Int, form: Form)] = [
        "required": (1, .flag), "in": (2, .text), "description": (3, .text), "name": (4, .text),
    ]
    /// What parameters that are no bodies say about their values.
    private static func constraints(from first: Int) -> [String: (number: Int, form: Form)] {
        let forms: [(String, Form)] = [
            ("type", .text), ("format", .text), ("items", .message(.primitives)), ("collectionFormat", .text),
            ("default", .any), ("maximum", .number), ("exclusiveMaximum", .flag), ("minimum", .number),
            ("exclusiveMinimum", .flag), ("maxLength", .integer), ("minLength", .integer), ("pattern", .text),
            ("maxItems", .integer), ("minItems", .integer), ("uniqueItems", .flag), ("enum", .anys),
            ("multipleOf", .number),
        ]
        var result: [String: (number: Int, form: Form)] = [:]
        for (offset, (name, form)) in forms.enumerated() { result[name] = (first + offset, form) }
        return result
    }

    /// Where `x-…` members go.
    private static func extensions(_ message: Message) -> Int? {
        switch message {
        case .document: 16
        case .info: 7
        case .primitives: 18
        case .pathItem: 10
        case .operation: 13
        case .parameters: nil
        case .body: 6
        case .query: 23
        case .path, .header: 22
        case .response, .apiKey: 5
        case .schema: 31
        }
    }

    private static let tables: [Message: [String: (number: Int, form: Form)]] = {
        let all: [Message] = [
            .document, .info, .pathItem, .operation, .parameters, .body, .query, .path, .header, .response, .schema,
            .apiKey, .primitives,
        ]
        return Dictionary(uniqueKeysWithValues: all.map { ($0, fields($0)) })
    }()

    private static func write(_ json: JSON, as message: Message, into bytes: inout [UInt8]) {
        if message == .parameters { return writeParameter(json, into: &bytes) }
        let table = tables[message] ?? [:]
        for (name, value) in json.members {
            if let (number, form) = table[name] {
                write(value, number, form, into: &bytes)
            } else if name.hasPrefix("x-"), let number = extensions(message) {
                delimited(number, into: &bytes) { entry in
                    text(1, name, into: &entry)
                    write(value, 2, .any, into: &entry)
                }
            } else if message == .document, name == "security" {
                for requirement in value.elements { writeRequirement(requirement, into: &bytes) }
            }
        }
    }

    /// `ParametersItem`: a reference, a body, or one of the others.
    private static func writeParameter(_ json: JSON, into bytes: inout [UInt8]) {
        if let reference = json["$ref"].string {
            return delimited(2, into: &bytes) { text(1, reference, into: &$0) }
        }
        delimited(1, into: &bytes) { parameter in
            if json["in"].string == "body" { return write(json, 1, .message(.body), into: &parameter) }
            delimited(2, into: &parameter) { other in
                switch json["in"].string {
                case "path": write(json, 4, .message(.path), into: &other)
                case "header": write(json, 1, .message(.header), into: &other)
                default: write(json, 3, .message(.query), into: &other)
                }
            }
        }
    }

    /// `SecurityRequirement`: names with lists of scopes.
    private static func writeRequirement(_ json: JSON, into bytes: inout [UInt8]) {
        delimited(12, into: &bytes) { requirement in
            for (name, scopes) in json.members {
                delimited(1, into: &requirement) { entry in
                    text(1, name, into: &entry)
                    delimited(2, into: &entry) { write(scopes, 1, .texts, into: &$0) }
                }
            }
        }
    }

    private static func write(_ value: JSON, _ number: Int, _ form: Form, into bytes: inout [UInt8]) {
        switch form {
        case .text: if let string = value.string { text(number, string, into: &bytes) }
        case .texts: for element in value.elements { text(number, element.string ?? "", into: &bytes) }
        case .flag:
            guard value.bool == true else { return }
            varint(UInt64(number << 3), into: &bytes)
            bytes.append(1)
        case .integer:
            guard let integer = value.int else { return }
            varint(UInt64(number << 3), into: &bytes)
            varint(UInt64(bitPattern: Int64(integer)), into: &bytes)
        case .number:
            guard let double = value.double else { return }
            varint(UInt64(number << 3 | 1), into: &bytes)
            for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: double.bitPattern >> UInt64(shift * 8))) }
        case .any:
            // JSON is YAML.
            delimited(number, into: &bytes) { text(2, String(decoding: value.encoded(), as: UTF8.self), into: &$0) }
        case .anys: for element in value.elements { write(element, number, .any, into: &bytes) }
        case .message(let message): delimited(number, into: &bytes) { write(value, as: message, into: &$0) }
        case .messages(let message):
            for element in value.elements { write(element, number, .message(message), into: &bytes) }
        case .named(let form, let entries):
            delimited(number, into: &bytes) { map in
                for (name, member) in value.members {
                    delimited(entries, into: &map) { entry in
                        text(1, name, into: &entry)
                        write(member, 2, form, into: &entry)
                    }
                }
            }
        case .wrapped(.message(.schema), _) where value.bool != nil:
            // Whether any additional properties are allowed.
            delimited(number, into: &bytes) { write(value, 2, .flag, into: &$0) }
        case .wrapped(let form, let inner): delimited(number, into: &bytes) { write(value, inner, form, into: &$0) }
        }
    }

    // MARK: Bytes

    private static func varint(_ value: UInt64, into bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    private static func text(_ number: Int, _ text: String, into bytes: inout [UInt8]) {
        varint(UInt64(number << 3 | 2), into: &bytes)
        varint(UInt64(text.utf8.count), into: &bytes)
        bytes += text.utf8
    }

    private static func delimited(_ number: Int, into bytes: inout [UInt8], _ body: (inout [UInt8]) -> Void) {
        var inner: [UInt8] = []
        body(&inner)
        varint(UInt64(number << 3 | 2), into: &bytes)
        varint(UInt64(inner.count), into: &bytes)
        bytes += inner
    }
}
