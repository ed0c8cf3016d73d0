import JSON
public import Logging
public import ObjectModel
import ServiceLifecycle

/// Lets one of several processes work at a time, by a Lease object (the protocol of client-go's leader election).
///
/// A holder renews every `retryPeriod`; one that could not renew for `renewDeadline` stops its work by itself, and
/// another may take over when `leaseDuration` passed since *it* last saw the lease change (its own clock: the clocks of
/// the processes need not agree).
public struct LeaderElector: Sendable {
    private let client: ClusterClient
    private let lease: ObjectKey
    private let identity: String
    private let leaseDuration: Duration
    private let renewDeadline: Duration
    private let retryPeriod: Duration
    private let logger: Logger

    /// - Parameters:
    ///   - lease: for example `kube-system/kube-controller-manager`.
    ///   - identity: unique per process, for example host name and a random part.
    public init(
        client: ClusterClient, lease: ObjectKey, identity: String, leaseDuration: Duration = .seconds(15),
        renewDeadline: Duration = .seconds(10), retryPeriod: Duration = .seconds(2), logger: Logger
    ) {
        self.client = client
        self.lease = lease
        self.identity = identity
        self.leaseDuration = leaseDuration
        self.renewDeadline = renewDeadline
        self.retryPeriod = retryPeriod
        self.logger = logger
    }

    /// Waits for the lease, works while it is held, and waits again when it was lost; gives the lease back at the end.
    /// Returns when `work` returns by itself, or when the task is cancelled; rethrows what `work` throws.
    public func run(_ work: @escaping @Sendable () async throws -> Void) async throws {
        while !Task.isCancelled {
            try await acquire()
            logger.info("became leader", metadata: ["lease": "\(lease)", "identity": "\(identity)"])
            let isFinished = try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask {
                    try await work()
                    return true
                }
                group.addTask {
                    await self.keep()
                    return false
                }
                let first = try await group.next() ?? true
                group.cancelAll()
                return first
            }
            if isFinished || Task.isCancelled {
                await release()
                return
            }
            logger.warning("lost the lead", metadata: ["lease": "\(lease)", "identity": "\(identity)"])
        }
    }

    private func acquire() async throws {
        var lastSeen: (revision: Revision, at: ContinuousClock.Instant)?
        while true {
            do {
                if let current = try await client.find(.leases, lease) {
                    let spec = current.tree["spec"]
                    let holder = spec["holderIdentity"].string ?? ""
                    if lastSeen?.revision != current.metadata.resourceVersion {
                        lastSeen = (current.metadata.resourceVersion, .now)
                    }
                    let duration = spec["leaseDurationSeconds"].int.map { Duration.seconds($0) } ?? leaseDuration
                    let isExpired = lastSeen.map { $0.at + duration < .now } ?? false
                    if holder.isEmpty || holder == identity || isExpired {
                        try await take(current.tree, from: holder)
                        return
                    }
                } else {
                    let tree: JSON = [
                        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                        "metadata": ["namespace": .string(lease.namespace), "name": .string(lease.name)],
                        "spec": spec(acquired: .now, transitions: 0),
                    ]
                    try await client.create(.leases, tree)
                    return
                }
            } catch let error as StatusError {
                logger.debug("the lease could not be taken", metadata: ["lease": "\(lease)", "error": "\(error)"])
            }
            try await Task.sleep(for: retryPeriod)
        }
    }

    private func take(_ current: JSON, from holder: String) async throws {
        var tree = current
        let transitions = (current["spec"]["leaseTransitions"].int ?? 0) + (holder == identity ? 0 : 1)
        let acquired = holder == identity ? current["spec"]["acquireTime"].string.flatMap { Timestamp($0) } : nil
        tree["spec"] = spec(acquired: acquired ?? .now, transitions: transitions)
        try await client.update(.leases, tree)
    }

    private func spec(acquired: Timestamp, transitions: Int) -> JSON {
        [
            "holderIdentity": .string(identity), "leaseDurationSeconds": JSON(Int(leaseDuration.components.seconds)),
            "acquireTime": .string(acquired.rfc3339Micro), "renewTime": .string(Timestamp.now.rfc3339Micro),
            "leaseTransitions": JSON(transitions),
        ]
    }

    /// Renews until the lease is lost or the task is cancelled.
    private func keep() async {
        var renewed = ContinuousClock.now
        while !Task.isCancelled, renewed + renewDeadline > .now {
            try? await Task.sleep(for: retryPeriod)
            do {
                guard let current = try await client.find(.leases, lease) else { return }
                guard current.tree["spec"]["holderIdentity"].string == identity else { return }
                try await take(current.tree, from: identity)
                renewed = .now
            } catch {
                logger.debug("the lease could not be renewed", metadata: ["lease": "\(lease)", "error": "\(error)"])
            }
        }
    }

    /// Lets another process take over at once. Runs in a task of its own because ours is cancelled by now.
    private func release() async {
        await Task { [client, lease, identity] in
            _ = try? await client.modify(.leases, lease) { tree in
                guard tree["spec"]["holderIdentity"].string == identity else { return false }
                tree["spec"]["holderIdentity"] = ""
                tree["spec"]["leaseDurationSeconds"] = 1
                return true
            }
        }.value
    }
}
