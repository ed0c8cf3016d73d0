import MesosModel
import ObjectModel
import Synchronization

/// Names of Mesos tasks and agents, as Mesos-DNS and DC/OS give them, from what runs. Nothing is rendered ahead: a
/// question looks its tasks up by their label and asks them for their records.
final class MesosZone: Sendable {
    struct State {
        var pods: [ObjectKey: MesosPodView] = [:]
        /// Tasks of custom executors, which are objects of their own.
        var objects: [ObjectKey: MesosPodView] = [:]
        /// Names of frameworks by their ids, as they gave them.
        var frameworks: [String: String] = [:]
        /// Numbers of agents by node: `s0` in the names of tasks.
        var agents: [String: Int] = [:]
        /// Addresses by node.
        var nodes: [String: String] = [:]
        /// Who has a task of a label.
        var byLabel: [String: Set<Reference>] = [:]
        /// Cluster addresses of services that balance over a VIP, by `name.framework`.
        var virtual: [String: [String]] = [:]
        var virtualOfService: [ObjectKey: [String]] = [:]
        /// Grows with every change: the zone's serial number.
        var changes: UInt32 = 0
    }
    /// A pod or a task object.
    struct Reference: Hashable, Comparable {
        var key: ObjectKey
        var isObject: Bool
        static func < (left: Reference, right: Reference) -> Bool {
            left.key != right.key ? left.key < right.key : !left.isObject && right.isObject
        }
    }
    /// Where the special names point.
    struct Settings: Sendable {
        /// `mesos`
        var domain: String
        /// Address of the master, of Marathon and of the name server.
        var address: String
        var masterPort: UInt16
        var agentPort: UInt16
    }
    let state = Mutex(State())
    let settings: Settings
    let domain: DNSName
    let directory = DNSName("dcos.thisdcos.directory")
    let virtual = DNSName("l4lb.thisdcos.directory")
    /// Seconds; short, because tasks come and go.
    let timeToLive: UInt32 = 5
    /// Tasks of one name that a single answer may list.
    private static let maximumTasks = 1000

    init(_ settings: Settings) {
        self.settings = settings
        domain = DNSName(settings.domain)
    }

    // MARK: Content

    func put(_ view: MesosPodView, isObject: Bool = false) {
        state.withLock { state in
            let reference = Reference(key: view.key, isObject: isObject)
            remove(reference, in: &state)
            guard !view.tasks.isEmpty else { return }
            if isObject { state.objects[view.key] = view } else { state.pods[view.key] = view }
            for task in view.tasks { state.byLabel[task.label, default: []].insert(reference) }
            state.changes &+= 1
        }
    }

    func remove(_ key: ObjectKey, isObject: Bool = false) {
        state.withLock { remove(Reference(key: key, isObject: isObject), in: &$0) }
    }

    private func remove(_ reference: Reference, in state: inout State) {
        let old =
            reference.isObject
            ? state.objects.removeValue(forKey: reference.key) : state.pods.removeValue(forKey: reference.key)
        guard let old else { return }
        for task in old.tasks {
            state.byLabel[task.label]?.remove(reference)
            if state.byLabel[task.label]?.isEmpty == true { state.byLabel[task.label] = nil }
        }
        state.changes &+= 1
    }

    /// - Parameter name: nil when the framework is forgotten.
    func setFramework(_ id: String, name: String?) {
        state.withLock { $0.frameworks[id] = name }
    }

    /// - Parameter id: an agent's id ends in its number, `…-S0`.
    func setAgent(_ node: String, id: String?) {
        let number = id.flatMap { $0.split(separator: "-").last }.flatMap { Int($0.drop { $0 == "S" || $0 == "s" }) }
        state.withLock { $0.agents[node] = number }
    }

    func setNode(_ name: String, address: String?) {
        state.withLock { $0.nodes[name] = address }
    }

    /// Virtual addresses that a service serves: names `name.framework`, lower case.
    func setVirtual(_ service: ObjectKey, names: [String], addresses: [String]) {
        state.withLock { state in
            for old in state.virtualOfService.removeValue(forKey: service) ?? [] { state.virtual[old] = nil }
            guard !names.isEmpty, !addresses.isEmpty else { return }
            state.virtualOfService[service] = names
            for name in names { state.virtual[name] = addresses }
        }
    }

    // MARK: Answers

    /// The answer, or nil when the name is not ours and has to be asked elsewhere.
    func answer(_ question: DNSQuestion) -> DNSResponse? {
        for zone in [domain, directory, virtual] {
            guard let labels = question.name.labels(under: zone) else { continue }
            let found = state.withLock { lookup(Array(labels), question.name, zone, $0) }
            return finish(question, found, zone)
        }
        return nil
    }

    /// Records of a name of any type; nil when there is no such name.
    private func lookup(_ labels: [String], _ name: DNSName, _ zone: DNSName, _ state: State) -> [DNSRecord]? {
        if labels.isEmpty { return [authority(zone), server(zone)] }
        if zone == virtual { return virtualRecords(labels, name, state) }
        if zone == directory {
            // The same tasks under the network that is asked for.
            guard let last = labels.last, ["autoip", "containerip", "agentip"].contains(last) else { return nil }
            return taskRecords(Array(labels.dropLast()), name, zone, state)
        }
        if let special = specialRecords(labels, name, state) { return special }
        return taskRecords(labels, name, zone, state) ?? dottedRecords(labels, name, zone, state)
    }

    /// `api.shop.marathon` as well as `api-shop.marathon`: a published name is served as it was given, too.
    private func dottedRecords(_ labels: [String], _ name: DNSName, _ zone: DNSName, _ state: State) -> [DNSRecord]? {
        // Where the task's name begins, and where it may end.
        let transport = labels.firstIndex { $0 == "_tcp" || $0 == "_udp" }
        let begin = transport.flatMap { labels[..<$0].lastIndex { $0.hasPrefix("_") } } ?? 0
        let ends = transport.map { $0...$0 } ?? 2...max(2, labels.count - 1)
        for end in ends where end > begin + 1 && end < labels.count {
            let label = labels[begin..<end].joined(separator: "-")
            let folded = labels[..<begin] + [label] + labels[end...]
            let found = taskRecords(Array(folded), DNSName(labels: folded + zone.labels), zone, state)
            if let found { return found.map { record(name, $0.data) } }
        }
        return nil
    }

    /// Records at a name, of the tasks whose label is in it.
    private func taskRecords(_ labels: [String], _ name: DNSName, _ zone: DNSName, _ state: State) -> [DNSRecord]? {
        guard let first = labels.first else { return nil }
        var wanted: [String] = []
        if first.hasPrefix("_") {
            let transport = labels.firstIndex { $0 == "_tcp" || $0 == "_udp" } ?? 1
            guard transport >= 1, labels[transport - 1].hasPrefix("_") else { return nil }
            wanted = [String(labels[transport - 1].dropFirst())]
        } else {
            wanted = [first]
            let parts = first.split(separator: "-", omittingEmptySubsequences: false)
            if parts.count > 2 { wanted.append(parts.dropLast(2).joined(separator: "-")) }
        }
        var records: [DNSRecord] = []
        for label in wanted {
            // A different order each time spreads the load.
            for reference in (state.byLabel[label] ?? []).shuffled().prefix(Self.maximumTasks) {
                guard let pod = reference.isObject ? state.objects[reference.key] : state.pods[reference.key] else {
                    continue
                }
                for task in pod.tasks where task.label == label {
                    records += self.records(of: task, pod, zone, state).filter { $0.name == name }
                }
            }
        }
        if records.isEmpty { return nil }
        var seen: Set<DNSRecord> = []
        return records.filter { seen.insert($0).inserted }
    }

    /// `name.framework.l4lb…`: the service's address, or without one the tasks that it would balance over.
    private func virtualRecords(_ labels: [String], _ name: DNSName, _ state: State) -> [DNSRecord]? {
        if let addresses = state.virtual[labels.joined(separator: ".")] { return self.addresses(name, addresses) }
        guard let first = labels.first else { return nil }
        let framework = labels.dropFirst().joined(separator: ".")
        var found: Set<String> = []
        for pod in [state.pods.values, state.objects.values].joined() where self.framework(of: pod, state) == framework
        {
            for task in pod.tasks {
                for port in task.ports where port.vips.contains(where: { Self.virtualName($0) == first }) {
                    found.formUnion(port.isOfAgent ? [agentAddress(pod, state)] : pod.containerAddresses)
                }
            }
        }
        // The address that the service proxy balances over them.
        return found.isEmpty ? nil : addresses(name, [NamedVIP.address(name: first, framework: framework)])
    }

    /// `/name:80` → `name`; nil for a VIP that is an address.
    static func virtualName(_ vip: String) -> String? {
        let host = vip.split(separator: ":").first.map(String.init) ?? ""
        let name = host.hasPrefix("/") ? String(host.dropFirst()) : host
        return name.isEmpty || IPAddress(name) != nil ? nil : name.lowercased()
    }

    /// Picks the records of the asked type, and says no in the way resolvers cache (RFC 2308).
    private func finish(_ question: DNSQuestion, _ found: [DNSRecord]?, _ zone: DNSName) -> DNSResponse {
        var response = DNSResponse()
        if let found {
            response.answers = found.filter { $0.type == question.type || question.type == .any }
        } else {
            response.code = .nameError
        }
        if response.answers.isEmpty { response.authority = [authority(zone)] }
        return response
    }

    func serial() -> UInt32 { state.withLock { $0.changes } }
}
