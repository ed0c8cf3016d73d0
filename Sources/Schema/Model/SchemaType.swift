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
    /// A member of a custom kind: nothing of it is there unless somebody wrote it.
    var isCustom = false

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
    /// The steps of `fields` in field sets (`f:name`), and whether who first sets one owns the bare container too.
    let steps: [String]
    let ownsContainer: [Bool]
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
        ownsContainer = fields.map(Self.ownsContainer)
        places = Dictionary(fields.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// `PodSpec`
    var shortName: Substring { name.split(separator: ".").last ?? name[...] }
    /// `v1.PodSpec`, as Go prints it in error messages.
    var goName: String { alias.split(separator: ".").suffix(2).joined(separator: ".") }

    func field(_ name: String) -> SchemaField? { places[name].map { fields[$0] } }
    func place(of name: String) -> Int? { places[name] }
}
