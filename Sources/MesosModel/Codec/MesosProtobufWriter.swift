import JSON
import ObjectModel

/// Writes a tree in the binary form (proto2).
struct MesosProtobufWriter {
    private(set) var out: [UInt8] = []

    mutating func message(_ value: JSON, _ place: Int, depth: Int) throws(CodecProblem) {
        guard case .object(let members) = value else { throw .wrongType("an object", value) }
        guard depth < MesosCodec.maximumDepth else { throw .tooDeep }
        let type = MesosSchema.shared.messages[place]
        for (key, member) in members {
            guard !member.isNull, let index = type.byName[key] else { continue }
            do throws(CodecProblem) {
                try field(member, type.fields[index], depth: depth)
            } catch {
                throw error.under(key)
            }
        }
        for index in type.required where members[type.fields[index].name]?.isNull ?? true {
            throw .missing(type.fields[index].name)
        }
    }

    private mutating func field(_ value: JSON, _ field: MesosSchema.Field, depth: Int) throws(CodecProblem) {
        if case .map(let place) = field.kind {
            guard case .object(let entries) = value else { throw .wrongType("an object", value) }
            for (key, entry) in entries {
                tag(field.number, 2)
                let start = out.count
                do throws(CodecProblem) {
                    try scalar(.string(key), .string, 1, depth: depth)
                    try scalar(entry, MesosSchema.shared.mapValues[place], 2, depth: depth)
                } catch {
                    throw error.under(key)
                }
                insertLength(from: start)
            }
            return
        }
        guard field.label == .repeated else { return try scalar(value, field.kind, field.number, depth: depth) }
        guard case .array(let elements) = value else { throw .wrongType("an array", value) }
        for (index, element) in elements.enumerated() {
            do throws(CodecProblem) {
                try scalar(element, field.kind, field.number, depth: depth)
            } catch {
                throw error.under(index)
            }
        }
    }

    private mutating func scalar(
        _ value: JSON, _ kind: MesosSchema.Kind, _ number: Int, depth: Int
    ) throws(CodecProblem) {
        switch kind {
        case .string:
            guard case .string(let text) = value else { throw .wrongType("a string", value) }
            tag(number, 2)
            varint(UInt64(text.utf8.count))
            out.append(contentsOf: text.utf8)
        case .bytes:
            let bytes = try MesosScalars.bytes(value)
            tag(number, 2)
            varint(UInt64(bytes.count))
            out.append(contentsOf: bytes)
        case .bool:
            guard case .bool(let flag) = value else { throw .wrongType("a boolean", value) }
            tag(number, 0)
            varint(flag ? 1 : 0)
        case .double:
            let bits = try MesosScalars.double(value).bitPattern
            tag(number, 1)
            for shift in stride(from: UInt64(0), to: 64, by: 8) { out.append(UInt8(truncatingIfNeeded: bits >> shift)) }
        case .float:
            let bits = Float(try MesosScalars.double(value)).bitPattern
            tag(number, 5)
            for shift in stride(from: UInt32(0), to: 32, by: 8) { out.append(UInt8(truncatingIfNeeded: bits >> shift)) }
        case .int32:
            let integer = try MesosScalars.signed(value, Int64(Int32.min)...Int64(Int32.max))
            tag(number, 0)
            varint(UInt64(bitPattern: integer))
        case .int64:
            let integer = try MesosScalars.signed(value, .min ... .max)
            tag(number, 0)
            varint(UInt64(bitPattern: integer))
        case .uint32:
            let integer = try MesosScalars.unsigned(value, UInt64(UInt32.max))
            tag(number, 0)
            varint(integer)
        case .uint64:
            let integer = try MesosScalars.unsigned(value, .max)
            tag(number, 0)
            varint(integer)
        case .duration:
            let (seconds, nanos) = try MesosScalars.duration(value)
            tag(number, 2)
            let start = out.count
            if seconds != 0 {
                tag(1, 0)
                varint(UInt64(bitPattern: seconds))
            }
            if nanos != 0 {
                tag(2, 0)
                varint(UInt64(bitPattern: Int64(nanos)))
            }
            insertLength(from: start)
        case .enumeration(let place):
            guard let known = try MesosScalars.enumeration(value, place) else {
                throw CodecProblem(.invalid, "\(value) is no value of \(MesosSchema.shared.enums[place].name)")
            }
            tag(number, 0)
            varint(UInt64(bitPattern: Int64(known)))
        case .message(let place):
            tag(number, 2)
            let start = out.count
            try message(value, place, depth: depth + 1)
            insertLength(from: start)
        case .map: break
        }
    }

    private mutating func tag(_ number: Int, _ wire: UInt64) {
        varint(UInt64(number) << 3 | wire)
    }

    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            out.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        out.append(UInt8(truncatingIfNeeded: rest))
    }

    /// Puts the length of what was written since before it.
    private mutating func insertLength(from start: Int) {
        var length = UInt64(out.count - start)
        if length < 0x80 {
            out.insert(UInt8(length), at: start)
            return
        }
        var prefix: [UInt8] = []
        while length >= 0x80 {
            prefix.append(UInt8(truncatingIfNeeded: length) | 0x80)
            length >>= 7
        }
        prefix.append(UInt8(length))
        out.insert(contentsOf: prefix, at: start)
    }
}
