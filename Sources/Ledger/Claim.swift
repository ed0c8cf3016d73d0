/// A share of one node that somebody holds.
public struct Claim: Sendable, Hashable {
    /// Who holds it, and how firmly.
    public enum Owner: Sendable, Hashable {
        /// A pod whose binding is stored: the API says so.
        case boundPod(uid: String)
        /// A pod whose binding is on its way.
        case assumedPod(uid: String)
        /// A pod for which room is being made: others must not take what becomes free. Whoever binds the pod decides
        /// about such claims of other pods itself, so pods may be committed over them; offers may not.
        case nominatedPod(uid: String)
        /// A Mesos offer that a framework has not answered yet.
        case offer(id: String)
        /// A dynamic reservation for a role.
        case reservation(id: String)
        /// What is reserved for a role and no framework holds: pods of the role may use it, see `ReserveUse`.
        case reserve(id: String)
        /// A persistent volume on the node's disk.
        case volume(id: String)
    }

    /// What identifies a claim: an assumed and a bound pod are the same one.
    public enum ID: Sendable, Hashable {
        case pod(uid: String)
        case nomination(uid: String)
        case offer(id: String)
        case reservation(id: String)
        case reserve(id: String)
        case volume(id: String)
    }

    public var owner: Owner
    /// Name of the node.
    public var node: String
    public var resources: ResourceVector
    public var hostPorts: [HostPort]
    /// Whole ranges of ports, of every transport on every address: what offers and reservations hold.
    public var portRanges: [ClosedRange<Int>]
    /// The node's generation that the holder looked at; set it to lose against any change made since. Without it the
    /// claim only has to fit.
    public var expectedGeneration: UInt64?
    /// The Mesos role that it counts for, as a whole path; empty for none.
    public var role = ""
    /// Of a pod: how it stands to what is reserved for its role.
    public var reserveUse = ReserveUse.none
    /// Of a pod: it leaves the room that guarantees of other roles need.
    public var heedsGuarantees = false

    /// A claim of so much on a node.
    public init(
        _ owner: Owner, node: String, resources: ResourceVector, hostPorts: [HostPort] = [],
        portRanges: [ClosedRange<Int>] = [], expectedGeneration: UInt64? = nil, role: String = ""
    ) {
        self.owner = owner
        self.node = node
        self.resources = resources
        self.hostPorts = hostPorts
        self.portRanges = portRanges
        self.expectedGeneration = expectedGeneration
        self.role = role
    }

    /// True for the share of a pod, bound or assumed.
    var isOfPod: Bool {
        switch owner {
        case .boundPod, .assumedPod: true
        default: false
        }
    }
    var isNomination: Bool {
        if case .nominatedPod = owner { true } else { false }
    }
    var isOffer: Bool {
        if case .offer = owner { true } else { false }
    }
    var isReserve: Bool {
        if case .reserve = owner { true } else { false }
    }
    func holdsSame(as other: Claim) -> Bool {
        resources == other.resources && hostPorts == other.hostPorts && portRanges == other.portRanges
            && role == other.role && reserveUse == other.reserveUse
    }

    /// The identity of the claim.
    public var id: ID {
        switch owner {
        case .boundPod(let uid), .assumedPod(let uid): .pod(uid: uid)
        case .nominatedPod(let uid): .nomination(uid: uid)
        case .offer(let id): .offer(id: id)
        case .reservation(let id): .reservation(id: id)
        case .reserve(let id): .reserve(id: id)
        case .volume(let id): .volume(id: id)
        }
    }
}

/// A port of the node that is given to one holder.
public struct HostPort: Sendable, Hashable {
    /// Empty and `0.0.0.0` mean every address.
    public var address: String
    /// `TCP`, `UDP` or `SCTP`.
    public var transport: String
    public var port: Int

    /// A port on an address.
    public init(address: String = "", transport: String = "TCP", port: Int) {
        self.address = address == "0.0.0.0" ? "" : address
        self.transport = transport
        self.port = port
    }

    /// True when both cannot be held at once.
    public func conflicts(with other: HostPort) -> Bool {
        port == other.port && transport == other.transport
            && (address == other.address || address.isEmpty || other.address.isEmpty)
    }
}

/// What became of one claim of a commit.
public enum CommitResult: Sendable, Hashable {
    case committed
    /// The node is not registered.
    case unknownNode
    /// These resources are not left.
    case insufficient([String])
    /// This port is taken.
    case portTaken(HostPort)
    /// A port of this range is taken.
    case rangeTaken(ClosedRange<Int>)
    /// A quota forbids it, on this node and most likely on any other.
    case overQuota(QuotaProblem)
    /// The node changed since the generation that the claim expected.
    case generationChanged
    /// The same owner holds a claim on another node.
    case claimedElsewhere(node: String)
    /// It would have been committed, but another claim of its group was not.
    case groupFailed

    /// True for `.committed`.
    public var isCommitted: Bool { self == .committed }
}

/// Which claims of a commit stand and fall together.
public enum CommitMode: Sendable {
    /// Each for itself.
    case perClaim
    /// Those of one node together.
    case perNode
    /// All of them together.
    case all
}
