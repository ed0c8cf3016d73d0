/// Reads the tables of types (`Tables/Generated+….swift`) into types.
///
/// One line per type, then one line per member that starts with a space; columns are separated by one space:
///
///     @io.k8s.api.core.v1 core.v1
///     ServicePort
///      port int32 3 req default=0
///      targetPort intorstring 4
///     ServiceSpec
///      ports []ServicePort 1 list=map:port,protocol patch=merge:port
///      selector map:string 2 map=atomic
///
/// - `@package alias` opens a package. A type line is `Name`, then `group/version/Kind` of a root type, `*Kind` for one
///   that every group has, `atomic`, or `protobuf` for a message that JSON does not show.
/// - A member is its name, type, protobuf number (`-`: none; `number:type` where the type does not follow), attributes:
///   `req`, `list=atomic|set|map:keys`, `map=atomic`, `patch=strategy,…:mergeKey`, `default=JSON`.
/// - A type is a scalar, `[]T`, `map:T`, a name of the same package or `alias.Name`. `inline` marks a protobuf message
///   whose members JSON writes into the surrounding object.
struct SchemaReader {
    private(set) var types: [SchemaType?] = []
    private(set) var places: [String: Int] = [:]
    private var packages: [Substring: Substring] = [:]
    private var values: [Substring: SchemaValue] = [:]

    /// Reads one table.
    mutating func read(_ table: StaticString) {
        read(table.withUTF8Buffer { String(decoding: $0, as: UTF8.self) })
    }

    private mutating func read(_ text: String) {
        var package: Substring = "", alias: Substring = ""
        var heading: [Substring] = []
        var fields: [SchemaField] = []
        var nested: [SchemaType.NestedMessage] = []
        func finish(_ reader: inout SchemaReader) {
            guard let name = heading.first else { return }
            let flags = heading.dropFirst()
            // Members of messages that JSON writes in line are listed with these.
            let owners = ["\(alias).\(name)"] + nested.map { "\(alias).\($0.protoType)" }
            func listed(_ table: [Substring: Set<Substring>]) -> Set<Substring> {
                owners.reduce(into: []) { $0.formUnion(table[$1[...]] ?? []) }
            }
            let pointers = listed(Presence.pointers)
            let written = listed(Presence.alwaysWritten)
            for index in fields.indices {
                fields[index].isPointer = pointers.contains(fields[index].name[...])
                fields[index].isAlwaysWritten = written.contains(fields[index].name[...])
            }
            let type = SchemaType(
                name: "\(package).\(name)", alias: "\(alias).\(name)",
                kinds: flags.filter { $0.contains("/") || $0.hasPrefix("*") }.map(String.init),
                isAtomic: flags.contains("atomic"), isProtobufOnly: flags.contains("protobuf"), fields: fields,
                nestedMessages: nested)
            let place = reader.place(of: type.alias)
            reader.types[place] = type
            heading = []
            fields = []
            nested = []
        }
        for line in Self.split(text.utf8[...], at: UInt8(ascii: "\n")) {
            let columns = Self.split(line.utf8, at: UInt8(ascii: " "))
            guard let first = columns.first else { continue }
            if first.isEmpty {
                readMember(columns.dropFirst(), alias: alias, fields: &fields, nested: &nested)
                continue
            }
            finish(&self)
            if first.hasPrefix("@") {
                package = first.dropFirst()
                alias = columns.count > 1 ? columns[1] : package
                values = [:]  // Short names mean something else in the next package.
            } else {
                heading = columns
            }
        }
        finish(&self)
    }

    private mutating func readMember(
        _ columns: ArraySlice<Substring>, alias: Substring, fields: inout [SchemaField],
        nested: inout [SchemaType.NestedMessage]
    ) {
        var rest = columns[...]
        guard let name = rest.popFirst(), let type = rest.popFirst(), let proto = rest.popFirst() else { return }
        let protoParts = Self.split(proto.utf8, at: UInt8(ascii: ":"))
        let number = protoParts.first.flatMap { Int($0) } ?? 0
        let protoType = protoParts.count > 1 ? String(protoParts[1]) : nil
        if type == "inline" {
            nested.append(.init(name: String(name), number: number, protoType: protoType ?? ""))
            return
        }
        fields.append(
            SchemaField(
                name: String(name), value: value(type, alias: alias), isRequired: rest.first == "req",
                protoNumber: number, protoType: protoType, details: Self.details(rest)))
    }

    private static func details(_ attributes: ArraySlice<Substring>) -> SchemaField.Details? {
        guard let last = attributes.last, last != "req" else { return nil }
        var listKind: SchemaField.Details.ListKind?
        var listMapKeys: [String] = [], patchStrategies: [String] = []
        var mapKind: String?, patchMergeKey: String?, defaultText: String?
        for attribute in attributes {
            guard let equals = attribute.firstIndex(of: "=") else { continue }
            let text = attribute[attribute.index(after: equals)...]
            let parts = text.split(separator: ":", maxSplits: 1)
            switch attribute[..<equals] {
            case "list":
                listKind = parts.first.flatMap { .init(rawValue: String($0)) }
                listMapKeys = parts.count > 1 ? parts[1].split(separator: ",").map(String.init) : []
            case "map": mapKind = String(text)
            case "patch":
                patchStrategies = (parts.first ?? "").split(separator: ",").map(String.init)
                patchMergeKey = parts.count > 1 ? String(parts[1]) : nil
            case "default": defaultText = String(text)
            default: break
            }
        }
        return SchemaField.Details(
            listKind: listKind, listMapKeys: listMapKeys, mapKind: mapKind, patchStrategies: patchStrategies,
            patchMergeKey: patchMergeKey, defaultText: defaultText)
    }

    private mutating func value(_ text: Substring, alias: Substring) -> SchemaValue {
        if let known = values[text] { return known }
        let value: SchemaValue
        if text.hasPrefix("[]") {
            value = .list(self.value(text.dropFirst(2), alias: alias))
        } else if text.hasPrefix("map:") {
            value = .map(self.value(text.dropFirst(4), alias: alias))
        } else if let scalar = Self.scalars[text] {
            value = scalar
        } else {
            value = .object(place(of: text.contains(".") ? String(text) : "\(alias).\(text)"))
        }
        values[text] = value
        return value
    }

    private static let scalars: [Substring: SchemaValue] = [
        "string": .string, "bool": .bool, "int32": .int32, "int64": .int64, "double": .double, "bytes": .bytes,
        "quantity": .quantity, "time": .time, "microtime": .microTime, "intorstring": .intOrString, "raw": .raw,
        "fields": .fields, "json": .json, "any": .any, "schemaorarray": .schemaOrArray, "schemaorbool": .schemaOrBool,
        "schemaorstrings": .schemaOrStrings,
    ]

    /// The place of a type, reserved at its first mention.
    private mutating func place(of alias: String) -> Int {
        if let place = places[alias] { return place }
        places[alias] = types.count
        types.append(nil)
        return types.count - 1
    }

    /// Parts of a line; works on bytes, which is several times faster than on characters.
    static func split(_ text: Substring.UTF8View, at separator: UInt8) -> [Substring] {
        var parts: [Substring] = []
        var start = text.startIndex
        var at = start
        while at < text.endIndex {
            if text[at] == separator {
                parts.append(Substring(text[start..<at]))
                start = text.index(after: at)
            }
            at = text.index(after: at)
        }
        parts.append(Substring(text[start...]))
        return parts
    }
}
