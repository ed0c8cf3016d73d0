import JSON

/// How a value of the API is written in JSON.
enum SchemaValue: Sendable, Hashable {
    case string, bool, int32, int64, double
    /// Base64 text.
    case bytes
    case quantity
    /// RFC 3339 with seconds, and with microseconds.
    case time, microTime
    case intOrString
    /// `runtime.RawExtension`: any document, untouched.
    case raw
    /// `FieldsV1`: the field sets of server-side apply.
    case fields
    /// Any JSON value (defaults and enums of custom resource schemas).
    case json
    /// An object of no declared type.
    case any
    /// A JSON schema or, instead, a list of schemas, a boolean, a list of names.
    case schemaOrArray, schemaOrBool, schemaOrStrings
    /// An object; the number is its type's place in `Schema.types`.
    case object(Int)
    indirect case list(SchemaValue)
    indirect case map(SchemaValue)

    /// Neither a list, nor a map, nor an object.
    var isScalar: Bool {
        switch self {
        case .object, .list, .map: false
        default: true
        }
    }

    /// The object type this value is or holds.
    var typeIndex: Int? {
        switch self {
        case .object(let index): index
        case .list(let element), .map(let element): element.typeIndex
        default: nil
        }
    }
}

/// One member of an object type.
struct SchemaField: Sendable {
    /// What only some fields have.
    final class Details: Sendable {
        enum ListKind: String, Sendable { case atomic, set, map }
        let listKind: ListKind?
        /// Keys of a list that is a map for server-side apply.
        let listMapKeys: [String]
        /// `atomic` or `granular`.
        let mapKind: String?
        /// `merge`, `replace`, `retainKeys`.
        let patchStrategies: [String]
        let patchMergeKey: String?
        /// JSON text of the value that stands for an absent member, as OpenAPI declares it.
        let defaultText: String?

        init(
            listKind: ListKind?, listMapKeys: [String], mapKind: String?, patchStrategies: [String],
            patchMergeKey: String?, defaultText: String?
        ) {
            self.listKind = listKind
            self.listMapKeys = listMapKeys
            self.mapKind = mapKind
            self.patchStrategies = patchStrategies
            self.patchMergeKey = patchMergeKey
            self.defaultText = defaultText
        }
    }

    let name: String
    let value: SchemaValue
    let isRequired: Bool
    /// Field number in protobuf; 0 when the member is nested in another message (see `SchemaType.nestedMessages`).
    let protoNumber: Int
    /// The protobuf type where it does not follow from `value`.
    let protoType: String?
    let details: Details?
    /// Its empty value is not the same as its absence, or it is in every document (see `Presence`).
    var isPointer = false
    var isAlwaysWritten = false
    /// A member of a custom kind: nothing of it is there unless somebody wrote it.
    var isCustom = false

    /// An object that Go holds by value: every document has it, `{}` when it says nothing.
    private var isHeldByValue: Bool {
        guard case .object = value else { return false }
        return details?.defaultText == "{}"
    }

    /// Its empty value is not left out.
    var keepsEmpty: Bool { isPointer || isAlwaysWritten }

    /// Whether the member is in an object in which nobody set anything.
    var isInEmptyObject: Bool {
        isCustom ? name == "metadata" : isHeldByValue || isAlwaysWritten || isRequired
    }

    /// Whether Go leaves the member out when it has this value.
    func isLeftOut(_ json: JSON) -> Bool {
        guard !keepsEmpty, !isRequired, !isCustom else { return false }
        return switch (json, value) {
        case (.array(let elements), .list): elements.isEmpty
        case (.object(let members), .map): members.isEmpty
        case (.string(let text), .string), (.string(let text), .bytes): text.isEmpty
        case (.integer(let number), .int32), (.integer(let number), .int64), (.integer(let number), .double):
            number == 0
        case (.bool(let flag), .bool): !flag
        default: false
        }
    }

    /// Whether a strategic merge patch merges this list element by element.
    var mergesLists: Bool { details?.patchStrategies.contains("merge") ?? false }
    /// Whether a strategic merge patch replaces this map as a whole.
    var replacesMaps: Bool { details?.patchStrategies.contains("replace") ?? false }
}

/// An object type: a row per member.
final class SchemaType: Sendable {
    /// A protobuf field whose message JSON writes in line.
    struct NestedMessage: Sendable {
        let name: String
        let number: Int
        let protoType: String
    }
    /// `io.k8s.api.core.v1.PodSpec`
    let name: String
    /// `core.v1.PodSpec`, the name in the tables of this module.
    let alias: String
    /// `group/version/Kind` of root types; `*Kind` for those in every group.
    let kinds: [String]
    /// Server-side apply treats it as one value.
    let isAtomic: Bool
    /// A message that exists in protobuf only; it has no JSON members.
    let isProtobufOnly: Bool
    let fields: [SchemaField]
    let nestedMessages: [NestedMessage]
    /// The steps of `fields` in field sets (`f:name`).
    let steps: [String]
    private let places: [String: Int]

    init(
        name: String, alias: String, kinds: [String], isAtomic: Bool, isProtobufOnly: Bool, fields: [SchemaField],
        nestedMessages: [NestedMessage]
    ) {
        self.name = name
        self.alias = alias
        self.kinds = kinds
        // The tables miss this one: an owner reference has no owner of its own per member.
        self.isAtomic = isAtomic || name.hasSuffix(".meta.v1.OwnerReference")
        self.isProtobufOnly = isProtobufOnly
        self.fields = fields
        self.nestedMessages = nestedMessages
        steps = fields.map { Steps.field($0.name) }
        places = Dictionary(fields.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// `PodSpec`
    var shortName: Substring { name.split(separator: ".").last ?? name[...] }
    /// `v1.PodSpec`, as Go prints it in error messages.
    var goName: String { alias.split(separator: ".").suffix(2).joined(separator: ".") }

    func field(_ name: String) -> SchemaField? { places[name].map { fields[$0] } }
    func place(of name: String) -> Int? { places[name] }
}
