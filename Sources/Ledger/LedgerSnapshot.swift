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
        /// The sum of all claims but nominations; may exceed `allocatable`.
        public internal(set) var used = ResourceVector()
        /// Room that is kept for pods which somebody makes it for.
        public internal(set) var nominated = ResourceVector()
        /// The part of `used` that outstanding offers hold.
        public internal(set) var offered = ResourceVector()
        public internal(set) var hostPorts: [HostPort] = []
        /// Ranges that are held as a whole, those of offers included; in no order.
        public internal(set) var portRanges: [ClosedRange<Int>] = []
        public internal(set) var offeredPortRanges: [ClosedRange<Int>] = []
        /// What is reserved for roles and may be used by their pods; their `idle` parts are in `used`.
        public internal(set) var reserves: [Reserve] = []
        public internal(set) var attributes: [String: String] = [:]

        init(name: String) {
            self.name = name
        }

        /// What nobody holds and no pod waits for; negative where over-committed.
        public var free: ResourceVector { allocatable - used - nominated }

        /// The ports of a range that nobody holds on any transport or address, as ranges in order.
        public func freePorts(in range: ClosedRange<Int>) -> [ClosedRange<Int>] {
            var taken = hostPorts.compactMap { range.contains($0.port) ? $0.port...$0.port : nil }
            taken += portRanges.filter { $0.overlaps(range) }
            taken.sort { $0.lowerBound < $1.lowerBound }
            var result: [ClosedRange<Int>] = []
            var next = range.lowerBound
            for part in taken {
                if part.lowerBound > next { result.append(next...(part.lowerBound - 1)) }
                next = max(next, part.upperBound + 1)
            }
            if next <= range.upperBound { result.append(next...range.upperBound) }
            return result
        }
    }

    /// By slot; a slot stays a node's own as long as the node is known, and may be another's afterwards.
    public internal(set) var nodes: [Node?] = []
    /// The newest change it shows.
    public internal(set) var generation: UInt64 = 0

    /// A snapshot of nothing, to be filled by `Ledger.update`.
    public init() {}
}
