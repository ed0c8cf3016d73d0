/// How a pod stands to what is reserved for its role.
public enum ReserveUse: Sendable, Hashable {
    /// Takes nothing of it: what it uses of reservations is accounted for elsewhere, or it does not want them.
    case none
    /// Takes it first, then what is nobody's.
    case first
    /// Takes nothing else.
    case only
}

extension LedgerSnapshot {
    /// What is reserved on a node for a role and for pods that come without offers.
    public struct Reserve: Sendable, Hashable {
        /// The whole path; roles below may use it, too.
        public var role: String
        public internal(set) var whole: ResourceVector
        /// What no pod uses; it counts as used by the node's sums.
        public internal(set) var idle: ResourceVector

        /// Notes that a pod is about to use so much of it.
        public mutating func draw(_ amount: ResourceVector) { idle -= amount }

        /// True when pods of the role may take of it.
        public func serves(_ role: String) -> Bool {
            role == self.role || role.utf8.count > self.role.utf8.count && role.hasPrefix(self.role + "/")
        }
    }
}

extension LedgerSnapshot.Node {
    /// What of reservations a pod of a role could take here.
    public func reserved(for role: String) -> ResourceVector {
        reserves.reduce(into: ResourceVector()) { if $1.serves(role) { $0 += $1.idle } }
    }

    /// What could be given to anybody: nothing on a node that is not known.
    var open: ResourceVector { isRegistered ? (allocatable - used).positive : ResourceVector() }
}

extension Ledger.NodeState {
    /// Shares out reservations to the pods that use them, and counts the rest as used.
    ///
    /// Pods of the deepest roles take first, and of the deepest reservations: so most of them find something.
    mutating func shareReserves() {
        var wholes: [String: ResourceVector] = [:]
        var demands: [String: ResourceVector] = [:]
        for claim in claims.values {
            if claim.isReserve {
                wholes[claim.role, default: ResourceVector()] += claim.resources
            } else if claim.isOfPod, claim.reserveUse != .none {
                demands[claim.role, default: ResourceVector()] += claim.resources
            }
        }
        var idle = wholes
        for role in demands.keys.sorted(by: { ($0.utf8.count, $0) > ($1.utf8.count, $1) }) {
            var left = demands[role] ?? ResourceVector()
            var owner: Substring? = role[...]
            while let name = owner {
                if let room = idle[String(name)] {
                    let taken = left.minimum(room)
                    left -= taken
                    idle[String(name)] = room - taken
                }
                owner = name.lastIndex(of: "/").map { name[..<$0] }
            }
        }
        for reserve in node.reserves { node.used -= reserve.idle }
        node.reserves = wholes.keys.sorted().map { role in
            LedgerSnapshot.Reserve(
                role: role, whole: wholes[role] ?? ResourceVector(), idle: idle[role] ?? ResourceVector())
        }
        for reserve in node.reserves { node.used += reserve.idle }
    }
}
