import JSON
import ObjectModel

/// Reads the binary form (proto2) of a message into a tree.
///
/// As protobuf demands: unknown fields are skipped, the last of a repeated singular scalar wins, repeated singular messages
/// are merged, numbers may come packed.
struct MesosProtobufReader {
    private let bytes: [UInt8]
    private let schema = MesosSchema.shared
    private var position = 0
    private var valuesLeft: Int

    private init(_ bytes: [UInt8], maximumValues: Int) {
        self.bytes = bytes
        valuesLeft = maximumValues
    }

    static func read(
        _ bytes: [UInt8], _ place: Int, maximumValues: Int = MesosCodec.maximumValues
    ) throws(CodecProblem) -> JSON {
        var reader = MesosProtobufReader(bytes, maximumValues: maximumValues)
        return .object(try reader.message(place, end: bytes.count, onto: JSONObject(), depth: 0))
    }

    private static var truncated: CodecProblem { CodecProblem(.malformed, "not protobuf: the message ends too early") }

    private mutating func message(
        _ place: Int, end: Int, onto base: JSONObject, depth: Int
    ) throws(CodecProblem) -> JSONObject {
        guard depth < MesosCodec.maximumDepth else { throw .tooDeep }
        let type = schema.messages[place]
        var result = base
        var lists: [Int: [JSON]] = [:]
        while position < end {
            let key = try varint(end)
            guard key >> 3 > 0, key >> 3 < 1 << 29 else {
                throw CodecProblem(.malformed, "not protobuf: a field number is out of range")
            }
            let wire = Int(key & 7)
            guard let index = type.field(number: Int(key >> 3)) else {
                try skip(wire, number: key >> 3, end: end, depth: depth)
                continue
            }
            let field = type.fields[index]
            do throws(CodecProblem) {
                if field.label == .repeated {
                    var list = lists.removeValue(forKey: index) ?? base[field.name]?.array ?? []
                    try append(field, wire, to: &list, number: key >> 3, end: end, depth: depth)
                    lists[index] = list
                } else if case .map(let map) = field.kind {
                    try entry(
                        schema.mapValues[map], wire, number: key >> 3, end: end, depth: depth, into: &result, field)
                } else if case .message(let inner) = field.kind, wire == 2 {
                    let stop = try length(end)
                    try count()
                    let known = result[field.name]?.object ?? JSONObject()
                    result[field.name] = .object(try message(inner, end: stop, onto: known, depth: depth + 1))
                } else if let value = try scalar(field.kind, wire, number: key >> 3, end: end, depth: depth) {
                    result[field.name] = value
                }
            } catch {
                throw error.under(field.name)
            }
        }
        for (index, list) in lists where !list.isEmpty { result[type.fields[index].name] = .array(list) }
        for index in type.required where result[type.fields[index].name] == nil {
            throw .missing(type.fields[index].name)
        }
        return result
    }

    private mutating func append(
        _ field: MesosSchema.Field, _ wire: Int, to list: inout [JSON], number: UInt64, end: Int, depth: Int
    ) throws(CodecProblem) {
        if wire == 2, Self.canBePacked(field.kind) {
            let stop = try length(end)
            let single = field.kind == .double ? 1 : field.kind == .float ? 5 : 0
            while position < stop {
                try count()
                if let value = try scalar(field.kind, single, number: number, end: stop, depth: depth) {
                    list.append(value)
                }
            }
            return
        }
        try count()
        if case .message(let inner) = field.kind, wire == 2 {
            let stop = try length(end)
            do throws(CodecProblem) {
                list.append(.object(try message(inner, end: stop, onto: JSONObject(), depth: depth + 1)))
            } catch {
                throw error.under(list.count)
            }
        } else if let value = try scalar(field.kind, wire, number: number, end: end, depth: depth) {
            list.append(value)
        }
    }

    /// One entry of a map: a message of a key (1) and a value (2); what is absent is the type's zero.
    private mutating func entry(
        _ kind: MesosSchema.Kind, _ wire: Int, number: UInt64, end: Int, depth: Int, into result: inout JSONObject,
        _ field: MesosSchema.Field
    ) throws(CodecProblem) {
        guard wire == 2 else { return try skip(wire, number: number, end: end, depth: depth) }
        let stop = try length(end)
        try count()
        var key = ""
        var value: JSON?
        while position < stop {
            let tag = try varint(stop)
            switch tag {
            case 1 << 3 | 2:
                if case .string(let text)? = try scalar(.string, 2, number: 1, end: stop, depth: depth) { key = text }
            case 2 << 3 | 2:
                if case .message(let inner) = kind {
                    let last = try length(stop)
                    value = .object(try message(inner, end: last, onto: JSONObject(), depth: depth + 1))
                } else {
                    value = try scalar(kind, 2, number: 2, end: stop, depth: depth)
                }
            default: try skip(Int(tag & 7), number: tag >> 3, end: stop, depth: depth)
            }
        }
        if value == nil {
            if case .message(let inner) = kind {
                value = .object(try message(inner, end: position, onto: JSONObject(), depth: depth + 1))
            } else {
                value = ""
            }
        }
        var entries = result[field.name]?.object ?? JSONObject()
        result[field.name] = .null
        entries[key] = value
        result[field.name] = .object(entries)
    }

    /// A value that is no message and no map; nil when it counts as unset: another wire type, an unknown value of an enum.
    private mutating func scalar(
        _ kind: MesosSchema.Kind, _ wire: Int, number: UInt64, end: Int, depth: Int
    ) throws(CodecProblem) -> JSON? {
        switch (kind, wire) {
        case (.string, 2): return .string(String(decoding: bytes[try slice(end)], as: UTF8.self))
        case (.bytes, 2): return .string(Base64.encode(bytes[try slice(end)]))
        case (.bool, 0): return .bool(try varint(end) != 0)
        case (.double, 1): return MesosScalars.json(Double(bitPattern: try fixed(8, end)))
        case (.float, 5):
            return MesosScalars.json(Double(Float(bitPattern: UInt32(truncatingIfNeeded: try fixed(4, end)))))
        case (.int32, 0): return .integer(Int64(Int32(truncatingIfNeeded: try varint(end))))
        case (.int64, 0): return .integer(Int64(bitPattern: try varint(end)))
        case (.uint32, 0): return .integer(Int64(UInt32(truncatingIfNeeded: try varint(end))))
        case (.uint64, 0): return MesosScalars.json(try varint(end))
        case (.enumeration(let place), 0):
            let type = schema.enums[place]
            return (type.byNumber[Int32(truncatingIfNeeded: try varint(end))] ?? type.unknown).map(JSON.string)
        case (.duration, 2): return try duration(end)
        default:
            try skip(wire, number: number, end: end, depth: depth)
            return nil
        }
    }

    private mutating func duration(_ end: Int) throws(CodecProblem) -> JSON {
        let stop = try length(end)
        var seconds: Int64 = 0, nanos: Int32 = 0
        while position < stop {
            let tag = try varint(stop)
            switch tag {
            case 1 << 3: seconds = Int64(bitPattern: try varint(stop))
            case 2 << 3: nanos = Int32(truncatingIfNeeded: try varint(stop))
            default: try skip(Int(tag & 7), number: tag >> 3, end: stop, depth: 0)
            }
        }
        return .string(MesosScalars.durationText(seconds: seconds, nanos: nanos))
    }

    // MARK: Bytes

    private static func canBePacked(_ kind: MesosSchema.Kind) -> Bool {
        switch kind {
        case .string, .bytes, .message, .map, .duration: false
        default: true
        }
    }

    private mutating func count() throws(CodecProblem) {
        valuesLeft -= 1
        if valuesLeft < 0 { throw CodecProblem(.tooLarge, "the message has too many values") }
    }

    private mutating func varint(_ end: Int) throws(CodecProblem) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard position < end else { throw Self.truncated }
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw CodecProblem(.malformed, "not protobuf: a number is too long")
    }

    /// Reads a length and gives the position where what it measures ends.
    private mutating func length(_ end: Int) throws(CodecProblem) -> Int {
        let length = try varint(end)
        guard length <= UInt64(end - position) else { throw Self.truncated }
        return position + Int(length)
    }

    private mutating func slice(_ end: Int) throws(CodecProblem) -> Range<Int> {
        let stop = try length(end)
        defer { position = stop }
        return position..<stop
    }

    private mutating func fixed(_ count: Int, _ end: Int) throws(CodecProblem) -> UInt64 {
        guard end - position >= count else { throw Self.truncated }
        var value: UInt64 = 0
        for offset in (0..<count).reversed() { value = value << 8 | UInt64(bytes[position + offset]) }
        position += count
        return value
    }

    private mutating func skip(_ wire: Int, number: UInt64, end: Int, depth: Int) throws(CodecProblem) {
        switch wire {
        case 0: _ = try varint(end)
        case 1: _ = try fixed(8, end)
        case 2: position = try length(end)
        case 3:
            guard depth < MesosCodec.maximumDepth else { throw .tooDeep }
            while true {
                let key = try varint(end)
                if key & 7 == 4 {
                    guard key >> 3 == number else {
                        throw CodecProblem(.malformed, "not protobuf: a group ends that did not begin")
                    }
                    return
                }
                try skip(Int(key & 7), number: key >> 3, end: end, depth: depth + 1)
            }
        case 5: _ = try fixed(4, end)
        default: throw CodecProblem(.malformed, "not protobuf: a wire type is not known")
        }
    }
}
