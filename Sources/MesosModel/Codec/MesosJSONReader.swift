import JSON
import ObjectModel

/// Makes a message of a JSON tree: types checked, unknown members and nulls dropped, every value in its own form.
enum MesosJSONReader {
    static func message(_ value: JSON, _ place: Int, depth: Int) throws(CodecProblem) -> JSON {
        guard case .object(let members) = value else { throw .wrongType("an object", value) }
        guard depth < MesosCodec.maximumDepth else { throw .tooDeep }
        let type = MesosSchema.shared.messages[place]
        var result = JSONObject(minimumCapacity: members.count)
        for (key, member) in members {
            guard !member.isNull, let index = type.byName[key] else { continue }
            do throws(CodecProblem) {
                if let read = try field(member, type.fields[index], depth: depth) { result[key] = read }
            } catch {
                throw error.under(key)
            }
        }
        for index in type.required where result[type.fields[index].name] == nil {
            throw .missing(type.fields[index].name)
        }
        return .object(result)
    }

    /// Nil for what counts as unset: an empty list, an unknown value of an enum.
    private static func field(_ value: JSON, _ field: MesosSchema.Field, depth: Int) throws(CodecProblem) -> JSON? {
        if case .map(let place) = field.kind {
            guard case .object(let entries) = value else { throw .wrongType("an object", value) }
            var result = JSONObject(minimumCapacity: entries.count)
            for (key, entry) in entries where !entry.isNull {
                do throws(CodecProblem) {
                    result[key] = try scalar(entry, MesosSchema.shared.mapValues[place], depth: depth)
                } catch {
                    throw error.under(key)
                }
            }
            return result.isEmpty ? nil : .some(.object(result))
        }
        guard field.label == .repeated else { return try scalar(value, field.kind, depth: depth) }
        guard case .array(let elements) = value else { throw .wrongType("an array", value) }
        var result: [JSON] = []
        result.reserveCapacity(elements.count)
        for (index, element) in elements.enumerated() where !element.isNull {
            do throws(CodecProblem) {
                if let read = try scalar(element, field.kind, depth: depth) { result.append(read) }
            } catch {
                throw error.under(index)
            }
        }
        return result.isEmpty ? nil : .some(.array(result))
    }

    private static func scalar(_ value: JSON, _ kind: MesosSchema.Kind, depth: Int) throws(CodecProblem) -> JSON? {
        switch kind {
        case .string:
            guard case .string = value else { throw .wrongType("a string", value) }
            return value
        case .bytes:
            let bytes = try MesosScalars.bytes(value)
            return .string(Base64.encode(bytes))
        case .bool:
            guard case .bool = value else { throw .wrongType("a boolean", value) }
            return value
        case .double, .float:
            let number = try MesosScalars.double(value)
            if case .string = value { return MesosScalars.json(number) }
            return value
        case .int32: return .integer(try MesosScalars.signed(value, Int64(Int32.min)...Int64(Int32.max)))
        case .int64: return .integer(try MesosScalars.signed(value, .min ... .max))
        case .uint32: return MesosScalars.json(try MesosScalars.unsigned(value, UInt64(UInt32.max)))
        case .uint64: return MesosScalars.json(try MesosScalars.unsigned(value, .max))
        case .duration:
            let (seconds, nanos) = try MesosScalars.duration(value)
            return .string(MesosScalars.durationText(seconds: seconds, nanos: nanos))
        case .enumeration(let place):
            guard let number = try MesosScalars.enumeration(value, place) else { return nil }
            return MesosSchema.shared.enums[place].byNumber[number].map(JSON.string)
        case .message(let place): return try message(value, place, depth: depth + 1)
        case .map: return nil
        }
    }
}

/// Fills in the explicit defaults of messages.
enum MesosDefaults {
    static func filled(_ value: JSON, _ place: Int, depth: Int) -> JSON {
        guard case .object(var members) = value, depth < MesosCodec.maximumDepth else { return value }
        for field in MesosSchema.shared.messages[place].fields {
            guard let member = members[field.name] else {
                if let written = field.writtenDefault { members[field.name] = written }
                continue
            }
            switch field.kind {
            case .message(let inner):
                if case .array(let elements) = member {
                    members[field.name] = .array(elements.map { filled($0, inner, depth: depth + 1) })
                } else {
                    members[field.name] = filled(member, inner, depth: depth + 1)
                }
            case .map(let map):
                guard case .message(let inner) = MesosSchema.shared.mapValues[map] else { continue }
                members[field.name] = .object(member.members.mapValues { filled($0, inner, depth: depth + 1) })
            default: continue
            }
        }
        return .object(members)
    }
}
