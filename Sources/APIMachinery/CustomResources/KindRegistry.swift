import CustomResources
import ObjectModel
import Schema
import Synchronization

/// What is served now: the built-in kinds, and those of the definitions that were published. Readers take a whole
/// catalog or table at a time, and keep it for their request.
final class KindRegistry: Sendable {
    private struct State {
        var catalog: Catalog
        var kinds: KindTable
        var definitions: [GroupResource: CustomDefinition] = [:]
    }
    private let state: Mutex<State>
    private let builtinCatalog: Catalog
    private let builtinKinds: KindTable

    init(catalog: Catalog) {
        builtinCatalog = catalog
        builtinKinds = KindTable(catalog: catalog)
        state = Mutex(State(catalog: catalog, kinds: builtinKinds))
    }

    var catalog: Catalog { state.withLock { $0.catalog } }
    var kinds: KindTable { state.withLock { $0.kinds } }

    /// The definition that is served for a resource.
    func definition(of place: GroupResource) -> CustomDefinition? {
        state.withLock { $0.definitions.isEmpty ? nil : $0.definitions[place] }
    }

    /// The served definition of a name.
    func definition(named name: String) -> CustomDefinition? {
        state.withLock { state in state.definitions.values.first { $0.name == name } }
    }

    /// Whether a resource is built in.
    func isBuiltin(_ place: GroupResource) -> Bool {
        builtinCatalog.resources.contains { $0.resource.groupResource == place }
    }

    func publish(_ definition: CustomDefinition) {
        change { $0[definition.groupResource] = definition }
    }

    func withdraw(_ place: GroupResource) {
        change { $0.removeValue(forKey: place) }
    }

    /// Serves exactly these.
    func replace(with definitions: [CustomDefinition]) {
        change { known in
            known = Dictionary(definitions.map { ($0.groupResource, $0) }, uniquingKeysWith: { first, _ in first })
        }
    }

    private func change(_ body: (inout [GroupResource: CustomDefinition]) -> Void) {
        state.withLock { state in
            body(&state.definitions)
            let definitions = state.definitions.values
            state.catalog =
                definitions.isEmpty
                ? builtinCatalog : Catalog(customs: definitions.flatMap(\.served), previous: state.catalog)
            state.kinds = builtinKinds.with(definitions)
        }
    }
}

extension Machinery {
    /// The definition of a custom resource; nil for built-in ones.
    func customDefinition(_ resource: ResourceDefinition) -> CustomDefinition? {
        registry.definition(of: resource.resource.groupResource)
    }

    /// The version of a custom resource; nil for built-in ones.
    func custom(_ resource: ResourceDefinition) -> CustomVersion? {
        kinds[resource.resource.groupResource, resource.kind].custom
    }

    /// The representation in which a write is checked: the stored one for built-in kinds, the client's for custom ones.
    func working(_ cache: WatchCache, _ kind: GroupVersionKind) -> ResourceDefinition {
        catalog.custom(kind)?.definition ?? cache.definition
    }
}
