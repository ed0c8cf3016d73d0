import JSON

/// Reads the rows of the generated tables.
///
/// A row is a line and the lines after it that begin with a space. `enum NAME VALUE=NUMBER…` is an enum; anything else
/// is `MESSAGE FIELD…` with fields written `name:number:type` and then marks: `!` required, `*` repeated, `~` deprecated,
/// `=DEFAULT`. A type is a scalar, `{string,TYPE}` for a map, or the name of a message or enum without `mesos.v1.`.
struct MesosSchemaReader {
    private(set) var messages: [MesosSchema.Message] = []
    private(set) var enums: [MesosSchema.Enumeration] = []
    private(set) var mapValues: [MesosSchema.Kind] = []
    private(set) var places: [String: Int] = [:]
    private(set) var enumPlaces: [String: Int] = [:]
    /// Fields whose types wait for all names to be known, by message.
    private var pending: [[Substring]] = []

    private enum Row {
        case message(Int)
        case enumeration(Int)
    }

    mutating func read(_ table: StaticString) {
        let text = table.withUTF8Buffer { String(decoding: $0, as: UTF8.self) }
        var current: Row?
        for line in text.split(separator: "\n") {
            var words = line.split(separator: " ")[...]
            if line.first != " " {
                guard let first = words.popFirst() else { continue }
                if first == "enum" {
                    let name = words.popFirst().map(String.init) ?? ""
                    enumPlaces[name] = enums.count
                    current = .enumeration(enums.count)
                    enums.append(MesosSchema.Enumeration(name: name))
                } else {
                    places[String(first)] = messages.count
                    current = .message(messages.count)
                    messages.append(MesosSchema.Message(name: String(first)))
                    pending.append([])
                }
            }
            switch current {
            case .message(let place): pending[place] += words
            case .enumeration(let place): for word in words { addValue(word, to: place) }
            case nil: break
            }
        }
    }

    private mutating func addValue(_ word: Substring, to place: Int) {
        let parts = word.split(separator: "=")
        guard parts.count == 2, let number = Int32(parts[1]) else { return }
        let name = String(parts[0])
        enums[place].values.append((name, number))
        enums[place].byName[name] = number
        if enums[place].byNumber[number] == nil { enums[place].byNumber[number] = name }
        if name == "UNKNOWN" || name.hasSuffix("_UNKNOWN") && number == 0 { enums[place].unknown = name }
    }

    /// Finds the types of all fields, once every table is read.
    mutating func resolve() {
        for place in messages.indices {
            for word in pending[place] {
                guard let field = field(word) else { continue }
                let index = messages[place].fields.count
                messages[place].byName[field.name] = index
                let missing = field.number + 1 - messages[place].byNumber.count
                if missing > 0 { messages[place].byNumber += Array(repeating: -1, count: missing) }
                messages[place].byNumber[field.number] = Int16(index)
                if field.label == .required { messages[place].required.append(index) }
                messages[place].fields.append(field)
            }
        }
        pending = []
    }

    private mutating func field(_ word: Substring) -> MesosSchema.Field? {
        let parts = word.split(separator: ":", maxSplits: 2)
        guard parts.count == 3, let number = Int(parts[1]) else { return nil }
        let type = parts[2].prefix { !"!*~=".contains($0) }
        let marks = parts[2].dropFirst(type.count)
        let flags = marks.prefix { $0 != "=" }
        let isDeprecated = flags.contains("~")
        let kind = self.kind(type)
        var value: JSON?
        if flags.count < marks.count, !isDeprecated { value = Self.value(marks.dropFirst(flags.count + 1), kind) }
        return MesosSchema.Field(
            name: String(parts[0]), number: number, kind: kind,
            label: flags.contains("!") ? .required : flags.contains("*") ? .repeated : .optional,
            isDeprecated: isDeprecated, writtenDefault: value)
    }

    private mutating func kind(_ type: Substring) -> MesosSchema.Kind {
        switch type {
        case "string": return .string
        case "bytes": return .bytes
        case "bool": return .bool
        case "double": return .double
        case "float": return .float
        case "int32": return .int32
        case "int64": return .int64
        case "uint32": return .uint32
        case "uint64": return .uint64
        case "google.protobuf.Duration": return .duration
        default: break
        }
        if type.first == "{", let comma = type.firstIndex(of: ",") {
            let value = self.kind(type[type.index(after: comma)...].dropLast())
            if let place = mapValues.firstIndex(of: value) { return .map(place) }
            mapValues.append(value)
            return .map(mapValues.count - 1)
        }
        if let place = places[String(type)] { return .message(place) }
        if let place = enumPlaces[String(type)] { return .enumeration(place) }
        preconditionFailure("the generated tables name a type that they do not have: \(type)")
    }

    private static func value(_ text: Substring, _ kind: MesosSchema.Kind) -> JSON {
        switch kind {
        case .bool: .bool(text == "true")
        case .double, .float: .number(JSONNumber(text: (Double(text) ?? 0).description))
        case .int32, .int64, .uint32, .uint64: .integer(Int64(text) ?? 0)
        default: .string(String(text))
        }
    }
}
