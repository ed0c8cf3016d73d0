import JSON
import ObjectModel

/// Turns messages into JSON by the field numbers of the schema tables.
struct ProtobufDecoder {
    private let plan: ProtobufPlan
    /// JSON schemas of custom resources nest; nothing else is deeper than about twenty.
    private static let maximumDepth = 100

    init(_ plan: ProtobufPlan) {
        self.plan = plan
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
        guard let place = plan.schema.place(of: kind) else { throw ProtobufError("no kind \(kind) is known") }
        var members: JSONObject = ["apiVersion": .string(kind.apiVersion), "kind": .string(kind.kind)]
        try message(raw, place, into: &members, depth: 0)
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

    /// - Parameter place: of the message in `ProtobufPlan.messages`.
    private func message(
        _ bytes: ArraySlice<UInt8>, _ place: Int, into members: inout JSONObject, depth: Int
    ) throws(ProtobufError) {
        guard depth < Self.maximumDepth else { throw ProtobufError("nested too deeply") }
        let message = plan.messages[place]
        var wire = ProtobufWire(bytes)
        while let field = try wire.next() {
            switch message.member(field.number) {
            case .field(let member): try put(field, member, into: &members, depth: depth)
            case .group(let group): try self.message(try field.bytes(), group, into: &members, depth: depth + 1)
            // A number that the tables do not have is newer than they are: an unknown member of a typed format.
            case nil: break
            }
        }
    }

    private func put(
        _ field: ProtobufWire.Field, _ member: ProtobufPlan.Field, into members: inout JSONObject, depth: Int
    ) throws(ProtobufError) {
        switch member.value {
        case .list(let element) where member.isWrapped:
            var items: [JSON] = []
            var inner = ProtobufWire(try field.bytes())
            while let part = try inner.next() { items.append(try value(part, element, depth: depth) ?? .null) }
            members[member.name] = .array(items)
        case .list(let element):
            var elements = members[member.name]?.elements ?? []
            members[member.name] = .null
            if case .bytes(let packed) = field.value, Self.isNumber(element) {
                var numbers = ProtobufWire(packed)
                while let number = try numbers.nextVarint() { elements.append(Self.integer(number, element)) }
            } else {
                elements.append(try value(field, element, depth: depth) ?? .string(""))
            }
            members[member.name] = .array(elements)
        case .map(let element):
            var entries = members[member.name]?.members ?? [:]
            members[member.name] = .null
            let (key, entry) = try mapEntry(try field.bytes(), element, depth: depth)
            entries[key] = entry
            members[member.name] = .object(entries)
        default:
            if member.isDuration {
                var nanoseconds = ProtobufWire(try field.bytes())
                guard let part = try nanoseconds.next(), case .varint(let number) = part.value else { return }
                members[member.name] = .string(GoDuration(nanoseconds: Int64(bitPattern: number)).description)
                return
            }
            guard let value = try value(field, member.value, depth: depth),
                member.keepsZero || !Self.isZero(value, member.value)
            else { return }
            members[member.name] = value
        }
    }

    private func mapEntry(
        _ bytes: ArraySlice<UInt8>, _ element: SchemaValue, depth: Int
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
                while let part = try inner.next() { items.append(try value(part, item, depth: depth) ?? .null) }
                entry = .array(items)
            } else {
                entry = try value(field, element, depth: depth)
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
        case .time, .microTime, .raw, .fields, .json: nil
        default: ""
        }
    }

    private static func isZero(_ value: JSON, _ type: SchemaValue) -> Bool {
        switch (value, type) {
        case (.string(let text), .string), (.string(let text), .bytes), (.string(let text), .intOrString):
            text.isEmpty
        case (.bool(let flag), .bool): !flag
        case (.integer(let number), .int32), (.integer(let number), .int64), (.integer(let number), .double),
            (.integer(let number), .intOrString):
            number == 0
        default: false
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
        _ field: ProtobufWire.Field, _ value: SchemaValue, depth: Int
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
        case .bytes: return .string(Base64.encode(try field.bytes()))
        case .quantity: return .string(try firstText(try field.bytes(), orElse: "0"))
        case .time: return try time(try field.bytes()).map { .string($0.rfc3339) }
        case .microTime: return try time(try field.bytes()).map { .string($0.rfc3339Micro) }
        case .intOrString: return try intOrString(try field.bytes())
        case .raw, .fields, .json: return try embedded(try field.bytes())
        case .any: return nil
        case .schemaOrArray, .schemaOrBool, .schemaOrStrings:
            return try schemaOr(value, try field.bytes(), depth: depth)
        case .object(let place):
            var members: JSONObject = [:]
            try message(try field.bytes(), place, into: &members, depth: depth + 1)
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
        _ value: SchemaValue, _ bytes: ArraySlice<UInt8>, depth: Int
    ) throws(ProtobufError) -> JSON {
        var wire = ProtobufWire(bytes)
        var allows = false
        var list: [JSON] = []
        while let field = try wire.next() {
            let isSchema = value == .schemaOrBool ? field.number == 2 : field.number == 1
            if isSchema || (value == .schemaOrArray && field.number == 2) {
                var members: JSONObject = [:]
                try message(try field.bytes(), plan.schemaProps, into: &members, depth: depth + 1)
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
