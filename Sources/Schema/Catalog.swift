public import ObjectModel

/// All kinds and types that are served: the built-in tables now, custom resources beside them later. Immutable once made.
///
/// Everything kind-specific that is a fact and not behaviour comes from here: pruning, type checks, defaults, strategic
/// merge, printed columns, selectable fields, discovery and OpenAPI. The rows are in `Tables/`, what is derived from them
/// in the folder of its name.
public final class Catalog: Sendable {
    /// The stable v1 kinds of Kubernetes, from the generated tables.
    public static let builtin = Catalog()

    let schema: Schema
    let defaults: DefaultsPlan
    private let byResource: [GroupVersionResource: ResourceDefinition]
    private let byKind: [GroupVersionKind: ResourceDefinition]
    private let groupList: [(group: String, versions: [String])]

    init() {
        let schema = Schema(
            types: GeneratedTables.types + [MetricsTables.types],
            resources: [GeneratedTables.resources, MetricsTables.resources])
        self.schema = schema
        defaults = DefaultsPlan(schema: schema)
        byResource = Dictionary(schema.resources.map { ($0.resource, $0) }, uniquingKeysWith: { first, _ in first })
        byKind = Dictionary(schema.resources.map { ($0.kind, $0) }, uniquingKeysWith: { first, _ in first })
        var groups: [(group: String, versions: [String])] = []
        for definition in schema.resources {
            let group = definition.resource.group, version = definition.resource.version
            if let place = groups.firstIndex(where: { $0.group == group }) {
                if !groups[place].versions.contains(version) { groups[place].versions.append(version) }
            } else {
                groups.append((group, [version]))
            }
        }
        groupList = groups
    }

    /// All resources, in discovery order.
    public var resources: [ResourceDefinition] { schema.resources }
    /// The definition of a resource; nil when it is not served.
    public func resource(_ resource: GroupVersionResource) -> ResourceDefinition? { byResource[resource] }
    /// The resource that serves a kind; nil for kinds without one (`Scale`, `DeleteOptions`, lists).
    public func resource(for kind: GroupVersionKind) -> ResourceDefinition? { byKind[kind] }
    /// API groups in discovery order with their served versions, preferred first; the core group is "".
    public var groups: [(group: String, versions: [String])] { groupList }
}
