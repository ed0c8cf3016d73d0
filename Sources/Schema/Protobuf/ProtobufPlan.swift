/// What the encoder and the decoder need of every message: members by their JSON names and by their numbers.
final class ProtobufPlan: Sendable {
    /// One member of a message.
    struct Field: Sendable {
        let name: String
        let number: Int
        let value: SchemaValue
        /// The list is a message of its own with its elements as field 1 (`Verbs`).
        let isWrapped: Bool
        /// The text is a Go duration, a message of nanoseconds.
        let isDuration: Bool
        /// Its zero is not the same as its absence.
        let keepsZero: Bool
    }
    enum Member: Sendable {
        case field(Field)
        /// A message whose members JSON writes into the surrounding object; the number is its place in `messages`.
        case group(Int)
    }
    struct Message: Sendable {
        var fields: [String: Field] = [:]
        /// Numbers and places of the messages that JSON does not show.
        var groups: [(number: Int, place: Int)] = []
        /// Members at their numbers.
        var byNumber: [Member?] = []

        func member(_ number: Int) -> Member? { number < byNumber.count ? byNumber[number] : nil }

        fileprivate mutating func put(_ member: Member, at number: Int) {
            while byNumber.count <= number { byNumber.append(nil) }
            byNumber[number] = member
        }
    }

    /// The messages of the built-in kinds; custom resources have none.
    static let builtin = ProtobufPlan(Catalog.builtin.schema)

    let schema: Schema
    /// First those of `Schema.types`, at their places, then those that exist in protobuf only.
    let messages: [Message]
    /// The place of `JSONSchemaProps`, which stands behind three scalar forms.
    let schemaProps: Int
    let metadata: Int
    let listMetadata: Int

    init(_ schema: Schema) {
        self.schema = schema
        var builder = Builder(schema: schema)
        for place in schema.types.indices { builder.build(place) }
        messages = builder.messages
        guard let props = schema.place(alias: "apiextensions.v1.JSONSchemaProps"),
            let metadata = schema.place(alias: "meta.v1.ObjectMeta"),
            let list = schema.place(alias: "meta.v1.ListMeta")
        else { preconditionFailure("the schema tables miss the types of metadata") }
        schemaProps = props
        self.metadata = metadata
        listMetadata = list
    }

    private struct Builder {
        let schema: Schema
        var messages: [Message]

        init(schema: Schema) {
            self.schema = schema
            messages = Array(repeating: Message(), count: schema.types.count)
        }

        mutating func build(_ place: Int) {
            let type = schema.types[place]
            guard !type.isProtobufOnly else { return }
            var message = Message()
            for field in type.fields where field.protoNumber > 0 {
                add(self.field(field, number: field.protoNumber, of: type), to: &message)
            }
            for nested in type.nestedMessages { addGroup(nested, of: type, to: &message) }
            messages[place] = message
        }

        private func add(_ field: Field, to message: inout Message) {
            message.fields[field.name] = field
            message.put(.field(field), at: field.number)
        }

        /// - Parameter outer: the type whose JSON object the members stand in.
        private mutating func addGroup(
            _ nested: SchemaType.NestedMessage, of outer: SchemaType, to message: inout Message
        ) {
            let package = outer.alias.split(separator: ".").dropLast().joined(separator: ".")
            guard let place = schema.place(alias: "\(package).\(nested.protoType)") else {
                preconditionFailure("the schema tables have no message \(nested.protoType)")
            }
            let inner = schema.types[place]
            var at = place
            if inner.isProtobufOnly {
                var group = Message()
                for row in inner.nestedMessages {
                    if let member = outer.field(row.name) {
                        add(field(member, number: row.number, of: outer), to: &group)
                    } else {
                        addGroup(row, of: outer, to: &group)
                    }
                }
                at = messages.count
                messages.append(group)
            }
            message.groups.append((nested.number, at))
            message.put(.group(at), at: nested.number)
        }

        private func field(_ field: SchemaField, number: Int, of type: SchemaType) -> Field {
            Field(
                name: field.name, number: number, value: field.value, isWrapped: field.protoType == "Verbs",
                isDuration: field.protoType?.hasSuffix(".Duration") ?? false,
                keepsZero: field.keepsEmpty && field.value.isScalar)
        }
    }
}
