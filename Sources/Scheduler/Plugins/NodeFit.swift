import Ledger

/// NodeResourcesFit and NodePorts for one node, in full.
enum NodeFit {
    enum Problem: Sendable, Hashable {
        case ports
        /// Not enough ports of the range that ports are chosen from.
        case dynamicPorts
        case insufficient(String)
        /// Not enough of it is reserved for the pod's role, and it wants nothing else.
        case unreserved(String)

        /// kube-scheduler's words.
        var reason: String {
            switch self {
            case .ports: "node(s) didn't have free ports for the requested pod ports"
            case .dynamicPorts: "node(s) didn't have free host ports"
            case .insufficient("pods"): "Too many pods"
            case .insufficient(let name): "Insufficient \(name)"
            case .unreserved(let name): "node(s) didn't have enough \(name) reserved for the resource role"
            }
        }
        var rejectedBy: RejectedBy { self == .ports || self == .dynamicPorts ? .ports : .fit }
    }

    /// The same for a node of the table.
    static func problems(
        _ template: PodTemplate, _ table: NodeTable, _ slot: Int, excluding uid: String, removed: [PodView] = [],
        isOffered: Bool = true
    ) -> [Problem] {
        let role = table.extras[slot].reserves.isEmpty ? "" : table.role(ofNamespace: template.namespace)
        return problems(
            template, table.extras[slot], role: role, excluding: uid, removed: removed, isOffered: isOffered)
    }

    /// What keeps the pod from the node; nominated pods of its priority or higher count as if they were there.
    /// - Parameters:
    ///   - role: the pod's, when something is reserved on the node.
    ///   - uid: the pod itself, which may be nominated here.
    ///   - removed: pods that are taken to be gone.
    ///   - isOffered: whether outstanding offers count.
    static func problems(
        _ template: PodTemplate, _ extras: NodeTable.Extras, role: String, excluding uid: String,
        removed: [PodView] = [], isOffered: Bool = true
    ) -> [Problem] {
        var used = extras.used
        var ports = extras.ports
        var ranges = extras.portRanges
        if !isOffered {
            used -= extras.offered
            for range in extras.offeredRanges {
                if let index = ranges.firstIndex(of: range) { ranges.remove(at: index) }
            }
        }
        var drawn = ResourceVector()
        if template.reserveUse != .none {
            // What pods that go leave of a reservation is the reservation's again.
            let room = extras.reserves.reduce(into: ResourceVector()) { sum, reserve in
                guard reserve.serves(role) else { return }
                let own = removed.filter { $0.template.reserveUse != .none && $0.key.namespace == template.namespace }
                let left = own.reduce(into: ResourceVector()) { $0 += $1.template.requests }
                sum += reserve.idle + left.minimum(reserve.whole - reserve.idle)
            }
            drawn = template.requests.minimum(room)
            if template.reserveUse == .only {
                let missing = (template.requests - drawn).names
                if !missing.isEmpty { return missing.map(Problem.unreserved) }
            }
        }
        used -= drawn
        for pod in removed {
            used -= pod.template.requests
            for port in pod.hostPorts {
                if let index = ports.firstIndex(of: port) { ports.remove(at: index) }
            }
        }
        for pod in extras.nominated where pod.uid != uid && pod.priority >= template.priority {
            used += pod.template.requests
            ports += pod.template.hostPorts
            if pod.template.choosesPorts {
                var free = PortChoice(ports, ranges)
                ports += pod.template.hostPorts(assigned: free.choose(pod.template) ?? [])
            }
        }
        for wanted in template.hostPorts {
            if ports.contains(where: wanted.conflicts) || ranges.contains(where: { $0.contains(wanted.port) }) {
                return [.ports]
            }
        }
        if template.choosesPorts {
            var free = PortChoice(ports, ranges)
            if free.choose(template) == nil { return [.dynamicPorts] }
        }
        return template.requests.insufficient(allocatable: extras.allocatable, used: used).map(Problem.insufficient)
    }
}
