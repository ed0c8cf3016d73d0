public import JSON
import Ledger
public import MesosModel
import ObjectModel

/// A node as Mesos sees it.
public struct AgentRecord: Sendable {
    public let id: String
    public internal(set) var node: MasterNode
    /// `active`, `deactivated`, `draining`, `drained` or `gone`.
    public internal(set) var state = "active"
    /// What the operator said when it was drained; null otherwise.
    public internal(set) var drain: JSON = .null
    /// What the whole node has, reservations among it.
    public internal(set) var total = Resources()
    /// All that is reserved of it, persistent volumes among it.
    public internal(set) var reserved = Resources()
    public internal(set) var registeredTime: Double
    public internal(set) var reregisteredTime: Double?
    /// Seconds since 1970; nil while it answers.
    public internal(set) var unreachableTime: Double?
    public internal(set) var offers: Set<String> = []
    public internal(set) var inverseOffers: Set<String> = []
    public internal(set) var tasks: Set<TaskKey> = []
    public internal(set) var executors: Set<ExecutorKey> = []
    /// What offer constraints look at.
    private(set) var facts = OfferConstraints.Agent(hostname: "")

    init(id: String, node: MasterNode, registeredTime: Double) {
        self.id = id
        self.node = node
        self.registeredTime = registeredTime
        refreshFacts()
    }

    /// Reads the node anew; its labels are sorted for that.
    mutating func refreshFacts() {
        let domain = node.domain["fault_domain"]
        facts = OfferConstraints.Agent(
            hostname: hostname, region: domain["region"]["name"].string, zone: domain["zone"]["name"].string,
            attributes: node.attributes)
    }

    public var hostname: String { node.name }
    /// Its persistent volumes.
    public var volumes: Resources {
        let parts = reserved.json.elements.filter { $0["disk"]["persistence"].object != nil }
        return (try? Resources(.array(parts))) ?? Resources()
    }
    /// True when its node answers.
    public var isReachable: Bool { unreachableTime == nil }
    /// True when something may be offered of it.
    public var isOfferable: Bool { isReachable && node.isSchedulable && state == "active" }
    /// What the operator API calls active.
    public var isActive: Bool { isReachable }
    public var isDeactivated: Bool { state != "active" || !node.isSchedulable }

    /// AgentInfo.
    public func info(port: Int) -> JSON {
        var info: JSON = [
            "hostname": .string(hostname), "port": JSON(port), "resources": total.json, "id": Message.id(id),
        ]
        let attributes = node.attributes
        if !attributes.isEmpty { info["attributes"] = .array(attributes) }
        info.setMember("domain", node.domain)
        return info
    }
}

/// Resources that a framework may use, until it answers.
public struct OfferRecord: Sendable {
    public let id: String
    public let frameworkID: String
    public let agentID: String
    public let role: String
    /// With their allocation to the role.
    public let resources: Resources
    /// The offer as it was sent.
    public let json: JSON
    public let madeAt: ContinuousClock.Instant

    /// False when all of it is reserved: quotas count that anyway.
    var isBoundByQuota: Bool { !resources.unreserved.scalarQuantities.isEmpty }
}

/// A question to a framework whether its resources may be taken for maintenance.
public struct InverseOfferRecord: Sendable {
    public let id: String
    public let frameworkID: String
    public let agentID: String
    public let unavailability: JSON
}

/// What a framework's answer to a maintenance was.
public struct InverseOfferAnswer: Sendable {
    public let frameworkID: String
    /// `ACCEPT` or `DECLINE`.
    public let status: String
    public let seconds: Double
    /// Until then it is not asked again.
    let untilSeconds: Double
}

/// An operation on resources that somebody wants to hear the end of.
public struct OperationRecord: Sendable {
    public let uuid: String
    /// Nil for an operator's.
    public let frameworkID: String?
    /// The framework's own name for it; nil: no feedback is asked for.
    public let operationID: String?
    public let agentID: String
    /// Offer.Operation.
    public let info: JSON
    /// OperationStatus, with a uuid when it must be acknowledged.
    public internal(set) var status: JSON
    var sentAt: ContinuousClock.Instant?
    var retry = TaskRecord.firstRetry
}

/// A pod that is, or will be, made for tasks.
struct PodRecord: Sendable {
    enum Kind: Sendable { case command, group, executor }
    let key: ObjectKey
    let kind: Kind
    let frameworkID: String
    let agentID: String
    let node: String
    /// In the order of its containers; empty for the pod of a custom executor.
    var tasks: [TaskKey]
    /// The newest version; nil until it is seen.
    var view: MasterPod?
    var executor: ExecutorKey?
    /// Why it has to end; nil: it may run.
    var kill: Kill?
    /// The API says that it is there, or was.
    var isStored = false
    /// Of the pod that was made for it; nil: none is yet, or another process made it.
    var uid: String?
    /// Of the pod of an earlier task of the same name, of which may still be heard.
    var earlierUID: String?

    /// Whether a pod of its name is the earlier one, which the local copy shows late.
    func isEarlier(_ pod: MasterPod) -> Bool {
        guard view == nil else { return false }
        if let uid { return pod.uid != uid }
        return pod.uid == earlierUID
    }
    /// Its finalizer may go.
    var isReleased = false

    struct Kill: Sendable {
        var reason: String
        /// Seconds.
        var grace: Int?
    }
}

/// What is known of an agent's reservations and its object does not show yet. Until it does, what is known counts: an
/// older object must not take back what was given.
struct UnseenReservations: Sendable {
    /// How often they were changed.
    var changes = 0
    /// The object shows them from this revision on; nil: they are not stored yet.
    var shownAt: Revision?
}
