public import ObjectModel
import Synchronization

/// All kinds and types that are served: those of the built-in tables, and custom kinds beside them. Immutable once made:
/// when custom kinds come, change or go, there is another catalog.
///
/// Everything kind-specific that is a fact and not behaviour comes from here: pruning, type checks, defaults, strategic
/// merge, printed columns, selectable fields, discovery and OpenAPI. The rows are in `Tables/`, what is derived from them
/// in the folder of its name.
public final class Catalog: Sendable {
    /// The stable v1 kinds of Kubernetes, from the generated tables.
    public static let builtin = Catalog()

    /// Tells catalogs apart, also from those that are gone.
    public let serial = SerialNumber.next()

    let schema: Schema
    let defaults: DefaultsPlan
    /// Groups of the tables alone, which is what the documents of built-in groups depend on.
    let builtinGroups: [(group: String, versions: [String])]
    private let byResource: [GroupVersionResource: ResourceDefinition]
    private let byKind: [GroupVersionKind: ResourceDefinition]
    private let groupList: [(group: String, versions: [String])]
    private let definitions: [ResourceDefinition]
    private let customKinds: [GroupVersionKind: any CustomKind]
    private let customFields: [CustomFamily: CustomFieldTypes]

    init() {
        let schema = Schema(
            types: GeneratedTables.types + [MetricsTables.types],
            resources: [GeneratedTables.resources, MetricsTables.resources])
        self.schema = schema
        defaults = DefaultsPlan(schema: schema)
        definitions = schema.resources
        byResource = Dictionary(schema.resources.map { ($0.resource, $0) }, uniquingKeysWith: { first, _ in first })
        byKind = Dictionary(schema.resources.map { ($0.kind, $0) }, uniquingKeysWith: { first, _ in first })
        groupList = Self.groups(of: schema.resources)
        builtinGroups = groupList
        customKinds = [:]
        customFields = [:]
    }

    /// A catalog of the built-in kinds and custom ones.
    /// - Parameter customs: every served version of every custom kind; one whose resource is built in is left out.
    /// - Parameter previous: the catalog that this one follows; what it worked out and is still true is kept.
    public init(customs: [any CustomKind], previous: Catalog = .builtin) {
        let builtin = Catalog.builtin
        schema = builtin.schema
        defaults = builtin.defaults
        builtinGroups = builtin.builtinGroups
        let added = customs.filter { builtin.resource($0.definition.resource) == nil }
            .map { ($0, VersionOrder($0.definition.resource.version)) }
            .sorted { left, right in
                let (a, b) = (left.0.definition.resource, right.0.definition.resource)
                if a.group != b.group { return a.group < b.group }
                if left.1 != right.1 { return left.1 < right.1 }
                return a.resource < b.resource
            }
            .map(\.0)
        definitions = schema.resources + added.map(\.definition)
        var byResource = builtin.byResource
        var byKind = builtin.byKind
        var kinds: [GroupVersionKind: any CustomKind] = [:]
        var families: [CustomFamily: [any CustomKind]] = [:]
        for custom in added {
            let definition = custom.definition
            byResource[definition.resource] = definition
            if byKind[definition.kind] == nil { byKind[definition.kind] = definition }
            kinds[definition.kind] = custom
            families[CustomFamily(definition.kind), default: []].append(custom)
        }
        self.byResource = byResource
        self.byKind = byKind
        customKinds = kinds
        customFields = families.reduce(into: [:]) { result, family in
            let known = previous.customFields[family.key]
            result[family.key] = known?.isOf(family.value) == true ? known : CustomFieldTypes(family.value)
        }
        groupList = Self.groups(of: definitions)
    }

    private static func groups(of definitions: [ResourceDefinition]) -> [(group: String, versions: [String])] {
        var groups: [(group: String, versions: [String])] = []
        var places: [String: Int] = [:]
        for definition in definitions {
            let group = definition.resource.group, version = definition.resource.version
            if let place = places[group] {
                if !groups[place].versions.contains(version) { groups[place].versions.append(version) }
            } else {
                places[group] = groups.count
                groups.append((group, [version]))
            }
        }
        return groups
    }

    /// All resources, in discovery order.
    public var resources: [ResourceDefinition] { definitions }
    /// The definition of a resource; nil when it is not served.
    public func resource(_ resource: GroupVersionResource) -> ResourceDefinition? { byResource[resource] }
    /// The resource that serves a kind; nil for kinds without one (`Scale`, `DeleteOptions`, lists).
    public func resource(for kind: GroupVersionKind) -> ResourceDefinition? { byKind[kind] }
    /// API groups in discovery order with their served versions, preferred first; the core group is "".
    public var groups: [(group: String, versions: [String])] { groupList }
    /// The custom kind of that name; nil for built-in ones.
    public func custom(_ kind: GroupVersionKind) -> (any CustomKind)? {
        customKinds.isEmpty ? nil : customKinds[kind]
    }
    /// The kind of lists of a resource: `PodList`, or what a custom resource definition calls it.
    public func listKind(_ definition: ResourceDefinition) -> String {
        custom(definition.kind)?.listKind ?? definition.kind.kind + "List"
    }

    /// The schema whose types field ownership walks for a kind.
    func fieldSchema(of kind: GroupVersionKind) -> Schema {
        if customFields.isEmpty { return schema }
        return customFields[CustomFamily(kind)]?.schema(behind: schema) ?? schema
    }
}

/// A custom kind in all its versions.
private struct CustomFamily: Hashable {
    var group: String
    var kind: String
    init(_ kind: GroupVersionKind) {
        group = kind.group
        self.kind = kind.kind
    }
}

/// The field types of a custom kind in all its versions, made when somebody needs them.
private final class CustomFieldTypes: Sendable {
    private let kinds: [any CustomKind]
    private let made = Mutex<Schema?>(nil)

    init(_ kinds: [any CustomKind]) { self.kinds = kinds }

    func isOf(_ others: [any CustomKind]) -> Bool {
        kinds.count == others.count && zip(kinds, others).allSatisfy { $0 === $1 }
    }

    func schema(behind base: Schema) -> Schema {
        made.withLock { made in
            if let made { return made }
            var types = CustomTypes(behind: base)
            var places: [GroupVersionKind: Int] = [:]
            for kind in kinds {
                places[kind.definition.kind] = types.add(kind.fieldType, name: kind.definition.typeName)
            }
            let schema = Schema(types: types.types, placesByKind: places)
            made = schema
            return schema
        }
    }
}
