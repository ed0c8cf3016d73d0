import JSON
import ObjectModel

/// What the controllers read of a pod. A class, so that a hundred thousand of them are pointers in the cache, and the
/// events and indexes share them.
final class PodView: Sendable {
    enum Phase: String, Sendable {
        case pending = "Pending"
        case unknown = "Unknown"
        case running = "Running"
        case succeeded = "Succeeded"
        case failed = "Failed"

        /// Place in the deletion order: the less it runs the earlier it goes.
        var rank: Int {
            switch self {
            case .pending: 0
            case .unknown: 1
            default: 2
            }
        }
    }
    struct NamedPort: Sendable, Hashable {
        var name: String
        var protocolName: String
        var number: Int
    }

    /// The version this view was made of, shared with the API server's cache when both live in one process.
    let object: Object
    let phase: Phase
    let isReady: Bool
    /// When the Ready condition last changed.
    let readyTransition: Timestamp?
    let nodeName: String
    let podIPs: [String]
    let hostname: String
    let subdomain: String
    let restartCount: Int
    /// `controller.kubernetes.io/pod-deletion-cost`, 0 when absent or malformed.
    let deletionCost: Int
    let namedPorts: [NamedPort]
    /// Persistent volume claims the pod mounts, by name; those of generic ephemeral volumes included.
    let claims: [String]

    init(_ object: Object) {
        self.object = object
        let tree = object.tree
        let status = tree["status"]
        let spec = tree["spec"]
        phase = status["phase"].string.flatMap(Phase.init) ?? .pending
        let ready = status["conditions"].elements.first { $0["type"].string == "Ready" }
        isReady = ready?["status"].string == "True"
        readyTransition = ready?["lastTransitionTime"].string.flatMap { Timestamp($0) }
        nodeName = spec["nodeName"].string ?? ""
        let many = status["podIPs"].elements.compactMap { $0["ip"].string }
        podIPs = many.isEmpty ? status["podIP"].string.map { $0.isEmpty ? [] : [$0] } ?? [] : many
        hostname = spec["hostname"].string ?? ""
        subdomain = spec["subdomain"].string ?? ""
        restartCount = status["containerStatuses"].elements.reduce(0) { max($0, $1["restartCount"].int ?? 0) }
        deletionCost =
            tree["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"].string.flatMap { Int($0) }
            ?? 0
        namedPorts = Self.namedPorts(spec)
        claims = spec["volumes"].elements.compactMap { volume in
            if let name = volume["persistentVolumeClaim"]["claimName"].string { return name }
            guard !volume["ephemeral"].isNull, let name = volume["name"].string else { return nil }
            return "\(object.name)-\(name)"
        }
    }

    private static func namedPorts(_ spec: JSON) -> [NamedPort] {
        var found: [NamedPort] = []
        let sidecars = spec["initContainers"].elements.filter { $0["restartPolicy"].string == "Always" }
        for container in spec["containers"].elements + sidecars {
            for port in container["ports"].elements {
                guard let name = port["name"].string, let number = port["containerPort"].int else { continue }
                found.append(
                    NamedPort(name: name, protocolName: port["protocol"].string ?? "TCP", number: number))
            }
        }
        return found
    }

    /// Restarts of all its containers together.
    var allRestarts: Int {
        object.tree["status"]["containerStatuses"].elements.reduce(0) { $0 + ($1["restartCount"].int ?? 0) }
    }
    var key: ObjectKey { object.key }
    var name: String { object.metadata.name }
    var namespace: String { object.metadata.namespace }
    var uid: String { object.metadata.uid }
    var labels: [String: String] { object.metadata.labels }
    var controller: OwnerReference? { object.metadata.controller }
    var isTerminating: Bool { object.metadata.deletionTimestamp != nil }
    var created: Timestamp { object.metadata.creationTimestamp ?? Timestamp(seconds: 0) }
    /// All containers ended for good.
    var isFinished: Bool { phase == .succeeded || phase == .failed }
    /// Counts as a replica.
    var isActive: Bool { !isFinished && !isTerminating }

    /// Ready for at least so long.
    func isAvailable(minReadySeconds: Int, now: Timestamp) -> Bool {
        guard isReady else { return false }
        guard minReadySeconds > 0 else { return true }
        guard let readyTransition else { return false }
        return readyTransition + .seconds(minReadySeconds) <= now
    }
}
