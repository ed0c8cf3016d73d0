public import JSON
public import ObjectModel

/// Why bytes are not a Kubernetes protobuf document.
public struct ProtobufError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String
    init(_ description: String) {
        self.description = description
    }
}

extension Catalog {
    /// Decodes an object in the protobuf form of the API: `k8s\0`, then a `runtime.Unknown` message
    /// (kubernetes-api.md §3). The members get the names and shapes they have in JSON.
    ///
    /// Protobuf does not tell a member that is zero from one that was never set when Go holds it by value; such members
    /// are left out, as Go's JSON does. Which zeros mean something is in `ProtobufZeros`.
    /// - Parameter kind: what the document is when it does not say so itself.
    /// - Throws: `ProtobufError` for malformed bytes and kinds that are not known.
    public func decodeProtobuf(_ bytes: [UInt8], expecting kind: GroupVersionKind) throws(ProtobufError) -> JSON {
        try ProtobufDecoder(schema: schema).document(bytes[...], expecting: kind)
    }
}

/// Turns messages into JSON by the field numbers of the schema tables.
struct ProtobufDecoder {
    let schema: Schema
    /// JSON schemas of custom resources nest; nothing else is deeper than about twenty.
    private static let maximumDepth = 100

    init(schema: Schema) {
        self.schema = schema
    }

    func document(_ bytes: ArraySlice<UInt8>, expecting kind: GroupVersionKind) throws(ProtobufError) -> JSON {
        guard bytes.starts(with: [0x6B, 0x38, 0x73, 0x00]) else {
            throw ProtobufError("the document does not start with k8s\\0")
        }
        var kind = kind
        var raw: ArraySlice<UInt8> = []
        var wire = ProtobufWire(bytes.dropFirst(4))
        while let field = try wire.next() {
            switch (field.number, field.value) {
            case (1, .bytes(let typeMeta)):
                let (version, name) = try self.typeMeta(typeMeta)
                if !name.isEmpty { kind = GroupVersionKind(apiVersion: version, kind: name) }
            case (2, .bytes(let bytes)): raw = bytes
            case (3, .bytes(let encoding)) where !encoding.isEmpty:
                throw ProtobufError("documents with a content encoding are not read")
            default: break
            }
        }
        guard let place = schema.place(of: kind) else { throw ProtobufError("no kind \(kind) is known") }
        var members: JSONObject = ["apiVersion": .string(kind.apiVersion), "kind": .string(kind.kind)]
        try message(raw, schema.types[place], into: &members, depth: 0)
        return .object(members)
    }

    private func typeMeta(_ bytes: ArraySlice<UInt8>) throws(ProtobufError) -> (apiVersion: String, kind: String) {
        var wire = ProtobufWire(bytes)
        var version = "", kind = ""
        while let field = try wire.next() {
            if field.number == 1 { version = try field.text() }
            if field.number == 2 { kind = try field.text() }
        }
        return (version, kind)
    }

    // MARK: Messages

    /// - Parameter outer: the type whose JSON object the message's members are written into, when it is not `type`.
    private func message(
        _ bytes: ArraySlice<UInt8>, _ type: SchemaType, into members: inout JSONObject, outer: SchemaType? = nil,
        depth: Int
    ) throws(ProtobufError) {
        guard depth < Self.maximumDepth else { throw ProtobufError("nested too deeply") }
        var wire = ProtobufWire(bytes)
        while let field = try wire.next() {
            if let member = type.fields.first(where: { $0.protoNumber == field.number }) {
                try put(field, member, type, into: &members, depth: depth)
            } else if let nested = type.nestedMessages.first(where: { $0.number == field.number }) {
                try inline(field, nested, type, outer ?? type, into: &members, depth: depth)
            }
            // Numbers that the tables do not have are newer than they are: unknown members of a typed format.
        }
    }

    /// A member of a message that JSON does not show: a whole message of members, or one of them.
    private func inline(
        _ field: ProtobufWire.Field, _ nested: SchemaType.NestedMessage, _ type: SchemaType, _ outer: SchemaType,
        into members: inout JSONObject, depth: Int
    ) throws(ProtobufError) {
        if type.isProtobufOnly, let member = outer.field(nested.name) {
            return try put(field, member, outer, into: &members, depth: depth)
        }
        let package = type.alias.split(separator: ".").dropLast().joined(separator: ".")
        guard let place = schema.place(alias: "\(package).\(nested.protoType)") else { return }
        try message(try field.bytes(), schema.types[place], into: &members, outer: outer, depth: depth + 1)
    }

    private func put(
        _ field: ProtobufWire.Field, _ member: SchemaField, _ type: SchemaType, into members: inout JSONObject,
        depth: Int
    ) throws(ProtobufError) {
        switch member.value {
        case .list(let element):
            var elements = members[member.name]?.elements ?? []
            members[member.name] = .null
            if case .bytes(let packed) = field.value, Self.isNumber(element) {
                var numbers = ProtobufWire(packed)
                while let number = try numbers.nextVarint() { elements.append(Self.integer(number, element)) }
            } else {
                elements.append(try value(field, element, type, depth: depth) ?? .string(""))
            }
            members[member.name] = .array(elements)
        case .map(let element):
            var entries = members[member.name]?.members ?? [:]
            members[member.name] = .null
            let (key, entry) = try mapEntry(try field.bytes(), element, type, depth: depth)
            entries[key] = entry
            members[member.name] = .object(entries)
        default:
            guard let value = try value(field, member.value, type, depth: depth),
                !ProtobufZeros.isUnset(value, member)
            else { return }
            members[member.name] = value
        }
    }

    private func mapEntry(
        _ bytes: ArraySlice<UInt8>, _ element: SchemaValue, _ type: SchemaType, depth: Int
    ) throws(ProtobufError) -> (String, JSON) {
        var key = ""
        var entry: JSON?
        var wire = ProtobufWire(bytes)
        while let field = try wire.next() {
            if field.number == 1 { key = try field.text() }
            guard field.number == 2 else { continue }
            if case .list(let item) = element {
                // A list as a map's value is a message around it (`ExtraValue`).
                var items: [JSON] = []
                var inner = ProtobufWire(try field.bytes())
                while let part = try inner.next() { items.append(try value(part, item, type, depth: depth) ?? .null) }
                entry = .array(items)
            } else {
                entry = try value(field, element, type, depth: depth)
            }
        }
        return (key, entry ?? Self.empty(element))
    }

    private static func empty(_ value: SchemaValue) -> JSON {
        switch value {
        case .list: []
        case .object, .map: [:]
        case .quantity: "0"
        case .int32, .int64: 0
        case .bool: false
        default: ""
        }
    }

    private static func isNumber(_ value: SchemaValue) -> Bool {
        switch value {
        case .int32, .int64, .bool: true
        default: false
        }
    }

    private static func integer(_ number: UInt64, _ value: SchemaValue) -> JSON {
        if case .bool = value { return .bool(number != 0) }
        return .integer(Int64(bitPattern: number))
    }

    // MARK: Values

    /// Nil for a value that stands for nothing (the zero time).
    private func value(
        _ field: ProtobufWire.Field, _ value: SchemaValue, _ type: SchemaType, depth: Int
    ) throws(ProtobufError) -> JSON? {
        switch value {
        case .string: return .string(try field.text())
        case .bool, .int32, .int64:
            guard case .varint(let number) = field.value else { throw ProtobufError("a number was expected") }
            return Self.integer(number, value)
        case .double:
            guard case .fixed64(let bits) = field.value else { throw ProtobufError("a double was expected") }
            let number = Double(bitPattern: bits)
            guard number.isFinite else { throw ProtobufError("a number is not finite") }
            return Int64(exactly: number).map(JSON.integer) ?? .number(JSONNumber(text: "\(number)"))
        case .bytes: return .string(ProtobufScalars.base64(try field.bytes()))
        case .quantity: return .string(try firstText(try field.bytes(), orElse: "0"))
        case .time: return try time(try field.bytes()).map { .string($0.rfc3339) }
        case .microTime: return try time(try field.bytes()).map { .string($0.rfc3339Micro) }
        case .intOrString: return try intOrString(try field.bytes())
        case .raw, .fields, .json: return try embedded(try field.bytes())
        case .any: return nil
        case .schemaOrArray, .schemaOrBool, .schemaOrStrings:
            return try schemaOr(value, try field.bytes(), type, depth: depth)
        case .object(let place):
            var members: JSONObject = [:]
            try message(try field.bytes(), schema.types[place], into: &members, depth: depth + 1)
            return .object(members)
        case .list, .map: throw ProtobufError("a list of lists is not known")
        }
    }

    private func firstText(_ bytes: ArraySlice<UInt8>, orElse other: String) throws(ProtobufError) -> String {
        var wire = ProtobufWire(bytes)
        while let field = try wire.next() {
            guard field.number == 1 else { continue }
            let text = try field.text()
            return text.isEmpty ? other : text
        }
        return other
    }

    private func time(_ bytes: ArraySlice<UInt8>) throws(ProtobufError) -> Timestamp? {
        var wire = ProtobufWire(bytes)
        var seconds: Int64 = 0, nanoseconds: Int64 = 0
        while let field = try wire.next() {
            guard case .varint(let number) = field.value else { continue }
            if field.number == 1 { seconds = Int64(bitPattern: number) }
            if field.number == 2 { nanoseconds = Int64(bitPattern: number) }
        }
        if seconds == 0, nanoseconds == 0 { return nil }
        // Years 1 to 9999, the range of RFC 3339.
        guard (-62_135_596_800...253_402_300_799).contains(seconds), (0..<1_000_000_000).contains(nanoseconds) else {
            throw ProtobufError("a time is out of range")
        }
        return Timestamp(microseconds: seconds * 1_000_000 + nanoseconds / 1000)
    }

    private func intOrString(_ bytes: ArraySlice<UInt8>) throws(ProtobufError) -> JSON {
        var wire = ProtobufWire(bytes)
        var isString = false
        var number: Int64 = 0
        var text = ""
        while let field = try wire.next() {
            switch (field.number, field.value) {
            case (1, .varint(let kind)): isString = kind == 1
            case (2, .varint(let value)): number = Int64(bitPattern: value)
            case (3, _): text = try field.text()
            default: break
            }
        }
        return isString ? .string(text) : .integer(number)
    }

    /// A message whose first field is a document: JSON, or protobuf again.
    private func embedded(_ bytes: ArraySlice<UInt8>) throws(ProtobufError) -> JSON {
        var wire = ProtobufWire(bytes)
        while let field = try wire.next() {
            guard field.number == 1 else { continue }
            let raw = try field.bytes()
            if raw.isEmpty { return .null }
            do {
                return try JSON.parse(raw)
            } catch {
                throw ProtobufError("an embedded document is not JSON: \(error)")
            }
        }
        return .null
    }

    /// A JSON schema or something else in its place (apiextensions.k8s.io).
    private func schemaOr(
        _ value: SchemaValue, _ bytes: ArraySlice<UInt8>, _ type: SchemaType, depth: Int
    ) throws(ProtobufError) -> JSON {
        var wire = ProtobufWire(bytes)
        var allows = false
        var list: [JSON] = []
        while let field = try wire.next() {
            let isSchema = value == .schemaOrBool ? field.number == 2 : field.number == 1
            if isSchema || (value == .schemaOrArray && field.number == 2) {
                var members: JSONObject = [:]
                try message(try field.bytes(), type, into: &members, depth: depth + 1)
                if isSchema { return .object(members) }
                list.append(.object(members))
            } else if value == .schemaOrBool, case .varint(let number) = field.value {
                allows = number != 0
            } else if value == .schemaOrStrings {
                list.append(.string(try field.text()))
            }
        }
        return value == .schemaOrBool ? .bool(allows) : .array(list)
    }
}
