import Ledger

/// NodeResourcesFit and NodePorts for one node, in full.
enum NodeFit {
    enum Problem: Sendable, Hashable {
        case ports
        /// Not enough ports of the range that ports are chosen from.
        case dynamicPorts
        case insufficient(String)

        /// kube-scheduler's words.
        var reason: String {
            switch self {
            case .ports: "node(s) didn't have free ports for the requested pod ports"
            case .dynamicPorts: "node(s) didn't have free host ports"
            case .insufficient("pods"): "Too many pods"
            case .insufficient(let name): "Insufficient \(name)"
            }
        }
        var rejectedBy: RejectedBy { self == .ports || self == .dynamicPorts ? .ports : .fit }
    }

    /// What keeps the pod from the node; nominated pods of its priority or higher count as if they were there.
    /// - Parameters:
    ///   - uid: the pod itself, which may be nominated here.
    ///   - removed: pods that are taken to be gone.
    ///   - isOffered: whether outstanding offers count.
    static func problems(
        _ template: PodTemplate, _ extras: NodeTable.Extras, excluding uid: String, removed: [PodView] = [],
        isOffered: Bool = true
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
