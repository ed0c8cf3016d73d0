/// The ledger at one moment: a value that its holder reads without any lock.
public struct LedgerSnapshot: Sendable {
    /// One node.
    public struct Node: Sendable {
        public let name: String
        /// False for a node that is claimed on but not (or no longer) known.
        public internal(set) var isRegistered = false
        /// Grows with every change of this node.
        public internal(set) var generation: UInt64 = 0
        public internal(set) var allocatable = ResourceVector()
        /// The sum of all claims; may exceed `allocatable`.
        public internal(set) var used = ResourceVector()
        public internal(set) var hostPorts: [HostPort] = []
        public internal(set) var attributes: [String: String] = [:]

        init(name: String) {
            self.name = name
        }

        /// What is left; negative where over-committed.
        public var free: ResourceVector { allocatable - used }
    }

    /// By slot; a slot stays a node's own as long as the node is known, and may be another's afterwards.
    public internal(set) var nodes: [Node?] = []
    /// The newest change it shows.
    public internal(set) var generation: UInt64 = 0

    /// A snapshot of nothing, to be filled by `Ledger.update`.
    public init() {}
}
