import ClusterClient
import JSON
import Logging
import MesosModel
import ObjectModel
import ServiceLifecycle
import Synchronization

/// Keeps the virtual addresses of tasks (labels `VIP_<n>` of their discovery ports) for the service proxy.
///
/// Tasks are pods of frameworks and of Marathon: two watches by label, so that a node does not hold all pods. A named
/// address depends on the framework's name, which its object has.
final class VirtualAddresses: Sendable {
    private let tasks: Informer<Keyed<VirtualAddressView?>>
    private let apps: Informer<Keyed<VirtualAddressView?>>
    private let frameworks: Informer<FrameworkName>

    private struct State {
        var pods: [ObjectKey: VirtualAddressView] = [:]
        var names: [String: String] = [:]
        var targets: [VirtualAddress: [ObjectKey: [VirtualAddressView.Port]]] = [:]
        /// Every address that a pod stands for, ready or not.
        var addresses: [ObjectKey: Set<VirtualAddress>] = [:]
    }
    private let state = Mutex(State())

    init(client: ClusterClient, logger: Logger) {
        func pods(_ label: String) -> Informer<Keyed<VirtualAddressView?>> {
            var options = ListOptions()
            options.labelSelector = LabelSelector([.init(key: label, op: .exists)])
            return Informer(.pods, client: client, options: options, logger: logger) {
                Keyed(key: $0.key, view: VirtualAddressView($0))
            }
        }
        tasks = pods(MesosNames.taskLabel)
        apps = pods(MesosNames.marathonAppLabel)
        frameworks = Informer(MesosNames.frameworks, client: client, logger: logger) { FrameworkName($0) }
    }

    /// What must run. The proxy does not wait for them: services come first, and there may be no Mesos window.
    var services: [any Service] { [tasks, apps, frameworks] }

    /// Calls with the addresses that changed.
    func subscribe(_ changed: @escaping @Sendable (Set<VirtualAddress>) -> Void) {
        for informer in [tasks, apps] {
            informer.subscribe { [self] event in
                switch event {
                case .added(let pod), .modified(_, let pod): changed(file(pod.key, pod.view))
                case .deleted(let pod): changed(file(pod.key, nil))
                }
            }
        }
        frameworks.subscribe { [self] event in
            switch event {
            case .added(let framework), .modified(_, let framework):
                changed(name(framework.id, framework.name))
            case .deleted: break  // Its tasks go with it.
            }
        }
    }

    private func name(_ id: String, _ name: String) -> Set<VirtualAddress> {
        state.withLock { state in
            guard state.names[id] != name else { return [] }
            state.names[id] = name
            var changed: Set<VirtualAddress> = []
            for (key, view) in state.pods where view.framework == id { changed.formUnion(Self.file(key, view, &state)) }
            return changed
        }
    }

    private func file(_ key: ObjectKey, _ view: VirtualAddressView?) -> Set<VirtualAddress> {
        state.withLock { state in
            guard state.pods[key] != view else { return [] }
            state.pods[key] = view
            return Self.file(key, view, &state)
        }
    }

    private static func file(_ key: ObjectKey, _ view: VirtualAddressView?, _ state: inout State)
        -> Set<VirtualAddress>
    {
        let old = state.addresses.removeValue(forKey: key) ?? []
        for vip in old {
            state.targets[vip]?[key] = nil
            if state.targets[vip]?.isEmpty == true { state.targets[vip] = nil }
        }
        guard let view else { return old }
        let framework = view.framework.isEmpty ? "marathon" : state.names[view.framework]
        var new: Set<VirtualAddress> = []
        for port in view.ports {
            guard !port.vip.literal.isEmpty || framework != nil else { continue }
            let vip = VirtualAddress(
                address: port.vip.address(framework: framework ?? ""), port: port.vip.port, transport: port.transport)
            new.insert(vip)
            // Known while somebody asks for it; reached when somebody is ready.
            state.targets[vip, default: [:]][key, default: []] += view.isReady ? [port] : []
        }
        if !new.isEmpty { state.addresses[key] = new }
        return old.union(new)
    }

    /// All addresses that somebody asks for.
    var all: [VirtualAddress] { state.withLock { Array($0.targets.keys) } }

    /// Where an address leads; nil when nobody asks for it.
    func targets(of vip: VirtualAddress) -> [VirtualAddressView.Port]? {
        state.withLock { state in
            guard let pods = state.targets[vip] else { return nil }
            return pods.sorted { $0.key < $1.key }.flatMap(\.value)
        }
    }
}

/// What is read of a framework's object.
private struct FrameworkName: Sendable {
    var id: String
    var name: String

    init(_ object: Object) {
        id = object.name
        name = object.tree["spec"]["info"]["name"].string ?? ""
    }
}
