import JSON
import ObjectModel

/// Turns JSON trees into messages by the field numbers of the schema tables. What the tables do not know is left out, as
/// are values of another type than theirs: trees of the API were conformed before.
struct ProtobufEncoder {
    private let plan: ProtobufPlan

    init(_ plan: ProtobufPlan) {
        self.plan = plan
    }

    /// - Parameter place: of the message in `ProtobufPlan.messages`.
    func message(_ tree: JSON, _ place: Int) -> [UInt8] {
        var writer = ProtobufWriter(capacity: 2048)
        if case .object(let members) = tree { write(members, place, &writer) }
        return writer.bytes
    }

    private func write(_ members: JSONObject, _ place: Int, _ writer: inout ProtobufWriter) {
        let message = plan.messages[place]
        for (name, value) in members.elements.reversed() {
            if let field = message.fields[name] { write(value, field, &writer) }
        }
        for group in message.groups.reversed() {
            let mark = writer.count
            write(members, group.place, &writer)
            if writer.count > mark { writer.close(group.number, since: mark) }
        }
    }

    private func write(_ json: JSON, _ field: ProtobufPlan.Field, _ writer: inout ProtobufWriter) {
        switch (json, field.value) {
        case (.null, _): break
        case (.array(let elements), .list(let element)):
            let mark = writer.count
            for item in elements.reversed() {
                write(item, element, field.isWrapped ? 1 : field.number, isElement: true, &writer)
            }
            if field.isWrapped { writer.close(field.number, since: mark) }
        case (.object(let entries), .map(let element)):
            for (key, value) in entries.elements.reversed() {
                let mark = writer.count
                if case .list(let item) = element {
                    let inner = writer.count
                    for part in value.elements.reversed() { write(part, item, 1, isElement: true, &writer) }
                    writer.close(2, since: inner)
                } else {
                    write(value, element, 2, isElement: true, &writer)
                }
                writer.text(1, key)
                writer.close(field.number, since: mark)
            }
        case (.string(let text), .string) where field.isDuration:
            let mark = writer.count
            writer.number(1, UInt64(bitPattern: GoDuration(text)?.nanoseconds ?? 0))
            writer.close(field.number, since: mark)
        default: write(json, field.value, field.number, isElement: false, &writer)
        }
    }

    /// - Parameter isElement: of a list or map, where nothing may be left out.
    private func write(
        _ json: JSON, _ value: SchemaValue, _ number: Int, isElement: Bool, _ writer: inout ProtobufWriter
    ) {
        switch value {
        case .string: if let text = json.string ?? (isElement ? "" : nil) { writer.text(number, text) }
        case .bool: if let flag = json.bool ?? (isElement ? false : nil) { writer.number(number, flag ? 1 : 0) }
        case .int32, .int64:
            if let integer = json.int ?? (isElement ? 0 : nil) {
                writer.number(number, UInt64(bitPattern: Int64(integer)))
            }
        case .double:
            if let double = json.double ?? (isElement ? 0 : nil) {
                writer.fixed64(double.bitPattern)
                writer.tag(number, 1)
            }
        case .bytes: writer.bytes(number, Base64.decode((json.string ?? "").utf8) ?? [])
        case .quantity:
            let mark = writer.count
            writer.text(1, json.string ?? (json.isNull ? "0" : "\(json)"))
            writer.close(number, since: mark)
        case .time: time(json, number, isMicro: false, &writer)
        case .microTime: time(json, number, isMicro: true, &writer)
        case .intOrString:
            let mark = writer.count
            writer.text(3, json.string ?? "")
            writer.number(2, UInt64(bitPattern: Int64(json.int ?? 0)))
            writer.number(1, json.string == nil ? 0 : 1)
            writer.close(number, since: mark)
        case .raw, .fields, .json:
            let mark = writer.count
            if !json.isNull { writer.bytes(1, json.encoded()) }
            writer.close(number, since: mark)
        case .any: break
        case .schemaOrArray, .schemaOrBool, .schemaOrStrings: schemaOr(json, value, number, &writer)
        case .object(let place):
            let mark = writer.count
            if case .object(let members) = json { write(members, place, &writer) }
            writer.close(number, since: mark)
        case .list, .map: break
        }
    }

    private func time(_ json: JSON, _ number: Int, isMicro: Bool, _ writer: inout ProtobufWriter) {
        guard let text = json.string, let time = Timestamp(text) else { return }
        let mark = writer.count
        let seconds = time.seconds
        writer.number(2, isMicro ? UInt64(bitPattern: (time.microseconds - seconds * 1_000_000) * 1000) : 0)
        writer.number(1, UInt64(bitPattern: seconds))
        writer.close(number, since: mark)
    }

    /// A JSON schema, or a list of them, a boolean, or names in its place (apiextensions.k8s.io).
    private func schemaOr(_ json: JSON, _ value: SchemaValue, _ number: Int, _ writer: inout ProtobufWriter) {
        let mark = writer.count
        switch json {
        case .object(let members):
            let inner = writer.count
            write(members, plan.schemaProps, &writer)
            writer.close(value == .schemaOrBool ? 2 : 1, since: inner)
            if value == .schemaOrBool { writer.number(1, 1) }
        case .bool(let allows): writer.number(1, allows ? 1 : 0)
        case .array(let elements):
            let element: SchemaValue = value == .schemaOrStrings ? .string : .object(plan.schemaProps)
            for item in elements.reversed() { write(item, element, 2, isElement: true, &writer) }
        default: break
        }
        writer.close(number, since: mark)
    }
}
