import ClusterClient
import JSON
import ObjectModel
import Synchronization

/// Gives every node without one a range of pod addresses (`spec.podCIDR`) out of the cluster's.
struct NodeAddressController: Controller {
    private let context: ControllerContext
    private let loop: ReconcileLoop
    private let pool: AddressPool
    private let known = Known()
    private final class Known: Sendable {
        let ranges = Mutex(NodeRanges())
    }

    /// Nil when no range is configured, or the range is no IPv4 range that nodes' ranges fit in.
    init?(_ context: ControllerContext) {
        guard let range = context.configuration.podCIDR else { return nil }
        let logger = context.logger(for: "node-ipam-controller")
        guard let pool = AddressPool(range, maskSize: context.configuration.nodeCIDRMaskSize) else {
            logger.error(
                "the pod range cannot be divided among nodes",
                metadata: ["podCIDR": "\(range)", "nodeCIDRMaskSize": "\(context.configuration.nodeCIDRMaskSize)"])
            return nil
        }
        self.context = context
        self.pool = pool
        let informers = context.informers
        // One worker: two nodes must not be given the same range.
        let loop = ReconcileLoop(
            workers: 1, logger: logger, prepare: { await informers.nodes.waitUntilSynced() },
            resync: { informers.nodes.keys })
        self.loop = loop
        informers.nodes.subscribe { [known] event in
            switch event {
            case .added(let node), .modified(_, let node):
                // The range of a node never changes: most events have nothing that is looked for.
                if known.ranges.withLock({ $0.isSeen(node.name) }) { return }
                if let range = node.tree["spec"]["podCIDR"].string, !range.isEmpty {
                    known.ranges.withLock { $0.see(range, of: node.name) }
                } else {
                    loop.queue.add(node.key)
                }
            case .deleted(let node): known.ranges.withLock { $0.forget(node.name) }
            }
        }
    }

    func run() async {
        await loop.run { try await reconcile($0) }
    }

    private func reconcile(_ key: ObjectKey) async throws {
        guard let node = context.informers.nodes[key], !known.ranges.withLock({ $0.isSeen(key.name) }) else { return }
        guard let range = known.ranges.withLock({ $0.give(key.name, from: pool) }) else {
            context.recorder.record(
                EventRecorder.Reference(node), .warning, reason: "CIDRNotAvailable",
                message: "Node \(key.name) status is now: CIDRNotAvailable", component: "cidrAllocator")
            return
        }
        let written = try await context.client.modify(.nodes, key) { tree in
            guard tree["spec"]["podCIDR"].string ?? "" == "" else { return false }
            tree["spec"]["podCIDR"] = .string(range)
            tree["spec"]["podCIDRs"] = [.string(range)]
            return true
        }
        // It went meanwhile, and nothing will be heard of it again.
        if written == nil { known.ranges.withLock { $0.withdraw(key.name) } }
    }
}

/// Who has which range: nodes as they were seen, and what was given to those that do not show it yet. Pure.
///
/// Kept from event to event, so that a node costs the same however many there are.
struct NodeRanges: Sendable {
    private var seen: [String: String] = [:]
    private var given: [String: String] = [:]
    /// How many nodes have a range: people may give the same to two.
    private var owners: [String: Int] = [:]
    /// No part of the pool before this one is free.
    private var start = 0

    /// True when the node is known to have a range.
    func isSeen(_ node: String) -> Bool { seen[node] != nil }

    /// A node has this range.
    mutating func see(_ range: String, of node: String) {
        if given[node] == range {
            given[node] = nil
        } else {
            forget(node)
            owners[range, default: 0] += 1
        }
        seen[node] = range
    }

    /// A node does not exist any more.
    mutating func forget(_ node: String) {
        release(seen.removeValue(forKey: node))
        withdraw(node)
    }

    /// What was given to a node that does not show it is free again.
    mutating func withdraw(_ node: String) { release(given.removeValue(forKey: node)) }

    private mutating func release(_ range: String?) {
        guard let range, let count = owners[range] else { return }
        owners[range] = count > 1 ? count - 1 : nil
        if count == 1 { start = 0 }
    }

    /// The range of a node that has none yet: the first that is free, or what it was given before.
    /// - Returns: nil when all are taken.
    mutating func give(_ node: String, from pool: AddressPool) -> String? {
        if let mine = given[node] { return mine }
        while start < pool.count {
            let range = pool[start]
            start += 1
            guard owners[range] == nil else { continue }
            given[node] = range
            owners[range] = 1
            return range
        }
        return nil
    }
}

/// The equal parts of an IPv4 range, in order. Pure.
struct AddressPool: Sendable {
    private let base: UInt32
    private let maskSize: Int
    /// Number of parts.
    let count: Int

    /// - Parameter range: for example `10.64.0.0/16`.
    init?(_ range: String, maskSize: Int) {
        let parts = range.split(separator: "/")
        guard parts.count == 2, let prefix = Int(parts[1]), (1...32).contains(prefix), (prefix...32).contains(maskSize)
        else { return nil }
        let octets = parts[0].split(separator: ".", omittingEmptySubsequences: false).compactMap { UInt8($0) }
        guard octets.count == 4 else { return nil }
        let address = octets.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        base = address & (UInt32.max << UInt32(32 - prefix))
        self.maskSize = maskSize
        count = 1 << min(maskSize - prefix, 24)
    }

    subscript(index: Int) -> String {
        let address = base + UInt32(index) << UInt32(32 - maskSize)
        let octets = [24, 16, 8, 0].map { String(address >> UInt32($0) & 255) }
        return octets.joined(separator: ".") + "/\(maskSize)"
    }
}
