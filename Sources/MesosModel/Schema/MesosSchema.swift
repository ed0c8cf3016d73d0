import JSON

/// The messages and enums of the Mesos v1 APIs, read once from the generated tables at first use.
///
/// Messages and enums are addressed by their place in the arrays, so that recursive ones (`ContainerID`) are no special case.
public final class MesosSchema: Sendable {
    /// All messages of `mesos.v1` and its sub-packages.
    public static let shared = MesosSchema(MesosTables.all)

    /// What a field holds.
    enum Kind: Sendable, Equatable {
        case string, bytes, bool, double, float
        case int32, int64, uint32, uint64
        /// `google.protobuf.Duration`: text such as `10s` in JSON, a message of two numbers on the wire.
        case duration
        case message(Int)
        case enumeration(Int)
        /// A map from text to a value of the kind at this place of `mapValues`.
        case map(Int)
    }

    enum Label: Sendable {
        case optional, required, repeated
    }

    struct Field: Sendable {
        var name: String
        var number: Int
        var kind: Kind
        var label: Label
        var isDeprecated: Bool
        /// The default that JSON output writes when the field is unset; nil for deprecated fields, too.
        var writtenDefault: JSON?
    }

    struct Message: Sendable {
        var name: String
        var fields: [Field] = []
        var byName: [String: Int] = [:]
        /// Place of a field by its number; -1 where there is none. Numbers are small.
        var byNumber: [Int16] = []
        /// Places of the required fields.
        var required: [Int] = []

        func field(number: Int) -> Int? {
            guard byNumber.indices.contains(number), byNumber[number] >= 0 else { return nil }
            return Int(byNumber[number])
        }
    }

    struct Enumeration: Sendable {
        var name: String
        var values: [(name: String, number: Int32)] = []
        var byName: [String: Int32] = [:]
        var byNumber: [Int32: String] = [:]
        /// What unknown values become; nil when the enum has no such value.
        var unknown: String?
    }

    let messages: [Message]
    let enums: [Enumeration]
    let mapValues: [Kind]
    private let places: [String: Int]
    private let enumPlaces: [String: Int]

    init(_ tables: [StaticString]) {
        var reader = MesosSchemaReader()
        for table in tables { reader.read(table) }
        reader.resolve()
        messages = reader.messages
        enums = reader.enums
        mapValues = reader.mapValues
        places = reader.places
        enumPlaces = reader.enumPlaces
    }

    /// Place of a message by its full name (`mesos.v1.scheduler.Call`) or the name without `mesos.v1.`.
    func place(of name: String) -> Int? {
        places[name] ?? (name.hasPrefix("mesos.v1.") ? places[String(name.dropFirst(9))] : nil)
    }

    /// Full names of all messages, in the order of the tables.
    public var messageNames: [String] { messages.map { "mesos.v1." + $0.name } }

    /// Names of the values of an enum such as `TaskState` or `scheduler.Call.Type`; empty when there is none of that name.
    public func values(ofEnum name: String) -> [String] {
        let short = name.hasPrefix("mesos.v1.") ? String(name.dropFirst(9)) : name
        return enumPlaces[short].map { enums[$0].values.map(\.name) } ?? []
    }

    /// The number of an enum's value, for example 6 for `TASK_STAGING` of `TaskState`; nil when there is none.
    public func number(of value: String, inEnum name: String) -> Int? {
        let short = name.hasPrefix("mesos.v1.") ? String(name.dropFirst(9)) : name
        return enumPlaces[short].flatMap { enums[$0].byName[value] }.map(Int.init)
    }
}
