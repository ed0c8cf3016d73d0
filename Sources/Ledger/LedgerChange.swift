extension Ledger {
    /// Something that happened to a node's shares, for those who wait for it.
    public struct Change: Sendable, Hashable {
        /// Which changes an observer hears of.
        public struct Kinds: OptionSet, Sendable, Hashable {
            public let rawValue: UInt8
            public init(rawValue: UInt8) { self.rawValue = rawValue }

            /// A pod got a share, bound or assumed.
            public static let podPlaced = Kinds(rawValue: 1)
            /// A pod's share became free.
            public static let podGone = Kinds(rawValue: 2)
            /// An offer, reservation or volume took a share.
            public static let shareTaken = Kinds(rawValue: 4)
            /// An offer, reservation or volume let a share go.
            public static let shareReleased = Kinds(rawValue: 8)
            /// The node came, went, or offers other amounts.
            public static let node = Kinds(rawValue: 16)
            /// Room is kept for a pod, or no longer.
            public static let nomination = Kinds(rawValue: 32)

            /// What may allow more to somebody whom a quota holds back.
            static let easing: Kinds = [.podGone, .shareReleased, .node]
        }

        /// Name of the node.
        public var node: String
        /// The one kind that it is.
        public var kind: Kinds
    }
}

extension LedgerSnapshot.Node {
    mutating func add(_ claim: Claim) {
        if claim.isNomination {
            nominated += claim.resources
            return
        }
        // What is reserved for pods is counted by what they leave of it.
        if !claim.isReserve { used += claim.resources }
        hostPorts += claim.hostPorts
        portRanges += claim.portRanges
        if claim.isOffer {
            offered += claim.resources
            offeredPortRanges += claim.portRanges
        }
    }

    mutating func remove(_ claim: Claim) {
        if claim.isNomination {
            nominated -= claim.resources
            return
        }
        if !claim.isReserve { used -= claim.resources }
        hostPorts.removeEach(claim.hostPorts)
        portRanges.removeEach(claim.portRanges)
        if claim.isOffer {
            offered -= claim.resources
            offeredPortRanges.removeEach(claim.portRanges)
        }
    }

    func holds(_ port: HostPort) -> Bool {
        hostPorts.contains(where: port.conflicts) || portRanges.contains { $0.contains(port.port) }
    }

    func holds(_ range: ClosedRange<Int>) -> Bool {
        portRanges.contains { $0.overlaps(range) } || hostPorts.contains { range.contains($0.port) }
    }
}

extension Array where Element: Equatable {
    /// Removes one equal element for each.
    fileprivate mutating func removeEach(_ others: [Element]) {
        for other in others {
            if let index = firstIndex(of: other) { remove(at: index) }
        }
    }
}
