import ClusterClient
import JSON
import ObjectModel
import Synchronization

/// Gives every node without one a range of pod addresses (`spec.podCIDR`) out of the cluster's.
struct NodeAddressController: Controller {
    private let context: ControllerContext
    private let loop: ReconcileLoop
    private let pool: AddressPool
    /// Given out by this process, perhaps not in the cache yet: node by range.
    private let given = Given()
    private final class Given: Sendable {
        let nodes = Mutex<[String: String]>([:])
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
        informers.nodes.subscribe { event in
            if let node = event.versions.new { loop.queue.add(node.key) }
        }
    }

    func run() async {
        await loop.run { try await reconcile($0) }
    }

    private func reconcile(_ key: ObjectKey) async throws {
        let nodes = context.informers.nodes
        guard let node = nodes[key], node.tree["spec"]["podCIDR"].string ?? "" == "" else { return }
        var used: Set<String> = []
        for node in nodes.all { if let range = node.tree["spec"]["podCIDR"].string { used.insert(range) } }
        let pending = given.nodes.withLock { given in
            given = given.filter { nodes[ObjectKey(name: $0.value)] != nil }
            return given
        }
        let mine = pending.first { $0.value == key.name }?.key
        guard let range = mine ?? pool.first(where: { !used.contains($0) && pending[$0] == nil }) else {
            context.recorder.record(
                EventRecorder.Reference(node), .warning, reason: "CIDRNotAvailable",
                message: "Node \(key.name) status is now: CIDRNotAvailable", component: "cidrAllocator")
            return
        }
        given.nodes.withLock { $0[range] = key.name }
        try await context.client.modify(.nodes, key) { tree in
            guard tree["spec"]["podCIDR"].string ?? "" == "" else { return false }
            tree["spec"]["podCIDR"] = .string(range)
            tree["spec"]["podCIDRs"] = [.string(range)]
            return true
        }
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

    func first(where isFree: (String) -> Bool) -> String? {
        (0..<count).lazy.map { self[$0] }.first(where: isFree)
    }
}
