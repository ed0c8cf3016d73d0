import Ledger

/// NodeResourcesFit and NodePorts for one node, in full.
enum NodeFit {
    enum Problem: Sendable, Hashable {
        case ports
        case insufficient(String)

        /// kube-scheduler's words.
        var reason: String {
            switch self {
            case .ports: "node(s) didn't have free ports for the requested pod ports"
            case .insufficient("pods"): "Too many pods"
            case .insufficient(let name): "Insufficient \(name)"
            }
        }
        var rejectedBy: RejectedBy { self == .ports ? .ports : .fit }
    }

    /// What keeps the pod from the node; nominated pods of its priority or higher count as if they were there.
    /// - Parameters:
    ///   - uid: the pod itself, which may be nominated here.
    ///   - removed: pods that are taken to be gone.
    static func problems(
        _ template: PodTemplate, _ extras: NodeTable.Extras, excluding uid: String, removed: [PodView] = []
    ) -> [Problem] {
        var used = extras.used
        var ports = extras.ports
        for pod in removed {
            used -= pod.template.requests
            for port in pod.template.hostPorts {
                if let index = ports.firstIndex(of: port) { ports.remove(at: index) }
            }
        }
        for pod in extras.nominated where pod.uid != uid && pod.priority >= template.priority {
            used += pod.template.requests
            ports += pod.template.hostPorts
        }
        if template.hostPorts.contains(where: { wanted in ports.contains(where: wanted.conflicts) }) { return [.ports] }
        return template.requests.insufficient(allocatable: extras.allocatable, used: used).map(Problem.insufficient)
    }
}
