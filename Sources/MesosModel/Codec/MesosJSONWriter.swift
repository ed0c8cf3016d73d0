import JSON
import ObjectModel

/// Writes a tree as the JSON of a message: members in the order of the message's fields, explicit defaults written.
struct MesosJSONWriter {
    private(set) var out: [UInt8] = []

    mutating func message(_ value: JSON, _ place: Int, depth: Int) throws(CodecProblem) {
        guard case .object(let members) = value else { throw .wrongType("an object", value) }
        guard depth < MesosCodec.maximumDepth else { throw .tooDeep }
        let type = MesosSchema.shared.messages[place]
        out.append(UInt8(ascii: "{"))
        var isFirst = true
        for field in type.fields {
            guard let member = members[field.name] ?? field.writtenDefault, !member.isNull else {
                if field.label == .required { throw .missing(field.name) }
                continue
            }
            if case .array(let elements) = member, elements.isEmpty { continue }
            if !isFirst { out.append(UInt8(ascii: ",")) }
            isFirst = false
            name(field.name)
            do throws(CodecProblem) {
                try self.field(member, field, depth: depth)
            } catch {
                throw error.under(field.name)
            }
        }
        out.append(UInt8(ascii: "}"))
    }

    /// A field's name needs no escapes.
    private mutating func name(_ text: String) {
        out.append(UInt8(ascii: "\""))
        out.append(contentsOf: text.utf8)
        out.append(UInt8(ascii: "\""))
        out.append(UInt8(ascii: ":"))
    }

    private mutating func field(_ value: JSON, _ field: MesosSchema.Field, depth: Int) throws(CodecProblem) {
        if case .map(let place) = field.kind {
            guard case .object(let entries) = value else { throw .wrongType("an object", value) }
            out.append(UInt8(ascii: "{"))
            var isFirst = true
            for (key, entry) in entries {
                if !isFirst { out.append(UInt8(ascii: ",")) }
                isFirst = false
                JSON.string(key).encode(into: &out)
                out.append(UInt8(ascii: ":"))
                do throws(CodecProblem) {
                    try scalar(entry, MesosSchema.shared.mapValues[place], depth: depth)
                } catch {
                    throw error.under(key)
                }
            }
            out.append(UInt8(ascii: "}"))
            return
        }
        guard field.label == .repeated else { return try scalar(value, field.kind, depth: depth) }
        guard case .array(let elements) = value else { throw .wrongType("an array", value) }
        out.append(UInt8(ascii: "["))
        for (index, element) in elements.enumerated() {
            if index > 0 { out.append(UInt8(ascii: ",")) }
            do throws(CodecProblem) {
                try scalar(element, field.kind, depth: depth)
            } catch {
                throw error.under(index)
            }
        }
        out.append(UInt8(ascii: "]"))
    }

    private mutating func scalar(_ value: JSON, _ kind: MesosSchema.Kind, depth: Int) throws(CodecProblem) {
        switch kind {
        case .message(let place): try message(value, place, depth: depth + 1)
        case .string, .bytes:
            guard case .string = value else { throw .wrongType("a string", value) }
            value.encode(into: &out)
        case .bool:
            guard case .bool = value else { throw .wrongType("a boolean", value) }
            value.encode(into: &out)
        case .double, .float:
            switch value {
            case .integer:
                value.encode(into: &out)
                out.append(contentsOf: [UInt8(ascii: "."), UInt8(ascii: "0")])
            case .number: value.encode(into: &out)
            default: MesosScalars.json(try MesosScalars.double(value)).encode(into: &out)
            }
        case .int32:
            JSON.integer(try MesosScalars.signed(value, Int64(Int32.min)...Int64(Int32.max))).encode(into: &out)
        case .int64: JSON.integer(try MesosScalars.signed(value, .min ... .max)).encode(into: &out)
        case .uint32: MesosScalars.json(try MesosScalars.unsigned(value, UInt64(UInt32.max))).encode(into: &out)
        case .uint64: MesosScalars.json(try MesosScalars.unsigned(value, .max)).encode(into: &out)
        case .duration:
            let (seconds, nanos) = try MesosScalars.duration(value)
            JSON.string(MesosScalars.durationText(seconds: seconds, nanos: nanos)).encode(into: &out)
        case .enumeration(let place):
            let type = MesosSchema.shared.enums[place]
            guard case .string(let name) = value, type.byName[name] != nil else {
                throw CodecProblem(.invalid, "\(value) is no value of \(type.name)")
            }
            value.encode(into: &out)
        case .map: break
        }
    }
}
