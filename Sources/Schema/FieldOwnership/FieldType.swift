import JSON

/// How server-side apply sees a value: what it can own apart.
enum FieldShape {
    /// A scalar, or a value that is owned as a whole.
    case leaf
    /// An object of declared members.
    case record(SchemaType)
    /// An object of any members, each owned apart.
    case map(FieldType)
    /// A list of scalars without order, each owned apart.
    case set
    /// A list whose items are known by the values of some members.
    case keyed([String], FieldType)
    /// No type at all: objects are maps, lists and scalars are leaves.
    case deduced
}

/// The type of a value together with what its field says of it.
enum FieldType {
    case declared(SchemaValue, SchemaField.Details?)
    case deduced

    func shape(_ schema: Schema) -> FieldShape {
        guard case .declared(let value, let details) = self else { return .deduced }
        switch value {
        case .object(let place):
            let type = schema.types[place]
            return type.isAtomic || details?.mapKind == "atomic" ? .leaf : .record(type)
        case .map(let element): return details?.mapKind == "atomic" ? .leaf : .map(.declared(element, nil))
        case .list(let element):
            switch details?.listKind {
            case .set?: return .set
            case .map?: return .keyed(details?.listMapKeys ?? [], .declared(element, nil))
            case .atomic?, nil: return .leaf
            }
        default: return .leaf
        }
    }

    /// What stands for an absent key of a list item.
    func defaultKey(_ name: String, _ schema: Schema) -> JSON? {
        guard case .declared(.object(let place), _) = self,
            let text = schema.types[place].field(name)?.details?.defaultText
        else { return nil }
        return try? JSON.parse(text)
    }
}
