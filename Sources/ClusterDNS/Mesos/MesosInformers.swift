import ClusterClient
import JSON
import Logging
import MesosModel
import ObjectModel
import ServiceLifecycle

/// Keeps a `MesosZone` true: pods, tasks of custom executors, nodes, agents, frameworks and virtual addresses.
struct MesosInformers: Sendable {
    /// Key and one text of an object: all that names need of most kinds.
    private struct Named: Sendable {
        var key: ObjectKey
        var text: String?
    }
    /// A service that balances over virtual addresses.
    private struct VirtualService: Sendable {
        var key: ObjectKey
        var names: [String]
        var addresses: [String]
    }
    /// Annotation of a service: the named VIPs that it serves, `name.framework`, with commas between.
    static let virtualAnnotation = "mesos.apus.dev/vips"

    private let pods: Informer<MesosPodView>
    private let tasks: Informer<MesosPodView>
    private let nodes: Informer<Named>
    private let agents: Informer<Named>
    private let frameworks: Informer<Named>
    private let virtual: Informer<VirtualService>

    var all: [any Service] { [pods, tasks, nodes, agents, frameworks, virtual] }

    init(client: ClusterClient, logger: Logger) {
        pods = Informer(.pods, client: client, logger: logger) { MesosPodView($0) }
        tasks = Informer(MesosNames.tasks, client: client, logger: logger) { MesosPodView(taskObject: $0) }
        nodes = Informer(.nodes, client: client, logger: logger) { object in
            let address = object.tree["status"]["addresses"].elements.first { $0["type"].string == "InternalIP" }
            return Named(key: object.key, text: address?["address"].string)
        }
        agents = Informer(MesosNames.agents, client: client, logger: logger) {
            Named(key: $0.key, text: $0.tree["spec"]["id"].string)
        }
        frameworks = Informer(MesosNames.frameworks, client: client, logger: logger) {
            Named(key: $0.key, text: $0.tree["spec"]["info"]["name"].string)
        }
        virtual = Informer(.services, client: client, logger: logger) { object in
            VirtualService(
                key: object.key,
                names: (object.tree["metadata"]["annotations"][Self.virtualAnnotation].string ?? "").lowercased().split(
                    separator: ","
                )
                .map { String($0.filter { $0 != " " }) }.filter { !$0.isEmpty },
                addresses: object.tree["spec"]["clusterIPs"].elements.compactMap(\.string).filter { $0 != "None" })
        }
    }

    /// Passes every change on; before the informers run.
    func fill(_ zone: MesosZone) {
        pods.subscribe { event in
            switch event {
            case .added(let view), .modified(_, let view): zone.put(view)
            case .deleted(let view): zone.remove(view.key)
            }
        }
        tasks.subscribe { event in
            switch event {
            case .added(let view), .modified(_, let view): zone.put(view, isObject: true)
            case .deleted(let view): zone.remove(view.key, isObject: true)
            }
        }
        follow(nodes) { zone.setNode($0, address: $1) }
        follow(agents) { zone.setAgent($0, id: $1) }
        follow(frameworks) { zone.setFramework($0, name: $1) }
        virtual.subscribe { event in
            switch event {
            case .added(let view), .modified(_, let view):
                zone.setVirtual(view.key, names: view.names, addresses: view.addresses)
            case .deleted(let view): zone.setVirtual(view.key, names: [], addresses: [])
            }
        }
    }

    private func follow(_ informer: Informer<Named>, _ set: @escaping @Sendable (String, String?) -> Void) {
        informer.subscribe { event in
            switch event {
            case .added(let view), .modified(_, let view): set(view.key.name, view.text)
            case .deleted(let view): set(view.key.name, nil)
            }
        }
    }
}
