public import JSON
import ObjectModel
import Synchronization

/// One served version of a kind that a CustomResourceDefinition declares, beside the kinds of the tables.
///
/// Implementations are immutable; a changed definition is another object, which the catalog that follows has.
public protocol CustomKind: AnyObject, Sendable {
    /// Its row of discovery.
    var definition: ResourceDefinition { get }
    /// Tells kinds apart, also from those that are gone.
    var serial: UInt64 { get }
    /// What answers of a deprecated version warn of; nil for any other.
    var deprecationWarning: String? { get }
    /// The kind of its lists.
    var listKind: String { get }
    /// Drops the members that the schema does not have. `apiVersion`, `kind` and `metadata` are not touched.
    /// - Returns: paths of what was dropped, at most a hundred.
    func prune(_ object: inout JSON) -> [String]
    /// Fills in defaults, and drops nulls where none may stand.
    func applyDefaults(to object: inout JSON)
    /// How server-side apply sees its objects, without `apiVersion`, `kind` and `metadata`.
    var fieldType: CustomFieldType { get }
    /// Columns behind the name, and the raw value of each for an object; null when there is none.
    var columns: [CustomColumn] { get }
    func columnValues(_ object: JSON) -> [JSON]
    /// Fields beside name and namespace that may stand in field selectors, and their values.
    var selectableFields: Set<String> { get }
    func selectableValue(_ field: String, of object: JSON) -> JSON
    /// Its schema for clients, without `apiVersion`, `kind` and `metadata` of the root.
    /// - Parameter isV2: for OpenAPI 2.0, which knows fewer words.
    func openAPISchema(isV2: Bool) -> JSON
}

/// Numbers that never repeat in a process: addresses of objects do.
public enum SerialNumber {
    private static let last = Atomic<UInt64>(0)
    public static func next() -> UInt64 { last.wrappingAdd(1, ordering: .relaxed).newValue }
}

/// A printed column of a custom kind.
public struct CustomColumn: Sendable, Hashable {
    public var name: String
    /// `integer`, `number`, `string`, `boolean`, `date`.
    public var type: String
    public var format: String
    public var description: String
    /// 0: always shown; more: only with `-o wide`.
    public var priority: Int
    public init(name: String, type: String, format: String = "", description: String = "", priority: Int = 0) {
        self.name = name
        self.type = type
        self.format = format
        self.description = description
        self.priority = priority
    }

    var json: JSON {
        [
            "name": .string(name), "type": .string(type), "format": .string(format),
            "description": .string(description), "priority": JSON(priority),
        ]
    }
}

/// How server-side apply sees a value of a custom kind.
public indirect enum CustomFieldType: Sendable {
    /// A member of a record.
    public struct Field: Sendable {
        public var name: String
        public var type: CustomFieldType
        public var defaultValue: JSON?
        public init(name: String, type: CustomFieldType, defaultValue: JSON? = nil) {
            self.name = name
            self.type = type
            self.defaultValue = defaultValue
        }
    }
    /// Owned as a whole.
    case leaf
    /// No type: objects are maps, everything else is a leaf.
    case deduced
    /// Members that are not named are deduced.
    case record([Field])
    /// An object that carries `apiVersion`, `kind` and `metadata` beside its own members.
    case resource([Field])
    case map(CustomFieldType)
    /// A list of scalars without order.
    case set
    /// A list whose items are known by some members.
    case keyed([String], CustomFieldType)
}

/// Makes types of the tables' form from those of custom kinds, so that field ownership walks both alike.
struct CustomTypes {
    private(set) var types: [SchemaType]
    private let metadata: Int

    /// Types that come behind those of a schema.
    init(behind base: Schema) {
        types = base.types
        metadata = base.place(alias: "meta.v1.ObjectMeta") ?? 0
    }

    /// The place of the root type of a kind.
    mutating func add(_ type: CustomFieldType, name: String) -> Int {
        switch type {
        case .record(let fields), .resource(let fields): record(fields, name: name, isResource: true)
        default: record([], name: name, isResource: true)
        }
    }

    private mutating func record(_ fields: [CustomFieldType.Field], name: String, isResource: Bool) -> Int {
        var rows: [SchemaField] = []
        if isResource {
            rows = [
                row("apiVersion", .string, nil), row("kind", .string, nil), row("metadata", .object(metadata), nil),
            ]
        }
        for field in fields {
            guard let (value, list, keys) = value(field.type, name: "\(name).\(field.name)") else { continue }
            let text = field.defaultValue.map { "\($0)" }
            let details =
                list == nil && text == nil
                ? nil
                : SchemaField.Details(
                    listKind: list, listMapKeys: keys, mapKind: nil, patchStrategies: [], patchMergeKey: nil,
                    defaultText: text)
            rows.append(row(field.name, value, details))
        }
        types.append(
            SchemaType(
                name: name, alias: name, kinds: [], isAtomic: false, isProtobufOnly: false, fields: rows,
                nestedMessages: []))
        return types.count - 1
    }

    private func row(_ name: String, _ value: SchemaValue, _ details: SchemaField.Details?) -> SchemaField {
        SchemaField(
            name: name, value: value, isRequired: false, protoNumber: 0, protoType: nil, details: details,
            isCustom: true)
    }

    /// Nil for what has no type: a member that a record does not name is deduced.
    private mutating func value(_ type: CustomFieldType, name: String) -> (
        SchemaValue, SchemaField.Details.ListKind?, [String]
    )? {
        switch type {
        case .leaf: return (.json, nil, [])
        case .deduced: return nil
        case .record(let fields): return (.object(record(fields, name: name, isResource: false)), nil, [])
        case .resource(let fields): return (.object(record(fields, name: name, isResource: true)), nil, [])
        case .map(let element):
            // A map of untyped values is owned like an untyped object. Lists in maps are atomic there.
            guard let (value, _, _) = value(element, name: name + ".*") else { return nil }
            return (.map(value), nil, [])
        case .set: return (.list(.json), .set, [])
        case .keyed(let keys, let element):
            guard let (value, _, _) = value(element, name: name + ".*") else { return (.json, nil, []) }
            return (.list(value), .map, keys)
        }
    }
}
