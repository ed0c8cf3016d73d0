import JSON
public import Logging
public import ObjectModel
public import ServiceLifecycle
import Synchronization

/// Writes `v1 Event` objects in the background, repeated ones as a growing count, at most so many at a time.
public final class EventRecorder: Service {
    public enum Kind: String, Sendable {
        case normal = "Normal"
        case warning = "Warning"
    }

    /// What an event is about.
    public struct Reference: Sendable, Hashable {
        public var kind: GroupVersionKind
        public var key: ObjectKey
        public var uid: String
        public var resourceVersion: Revision
        /// For example `spec.containers{web}`.
        public var fieldPath: String

        public init(
            kind: GroupVersionKind, key: ObjectKey, uid: String, resourceVersion: Revision = 0, fieldPath: String = ""
        ) {
            self.kind = kind
            self.key = key
            self.uid = uid
            self.resourceVersion = resourceVersion
            self.fieldPath = fieldPath
        }
        /// A reference to an object as it is now.
        public init(_ object: Object, fieldPath: String = "") {
            self.init(
                kind: object.kind, key: object.key, uid: object.uid, resourceVersion: object.metadata.resourceVersion,
                fieldPath: fieldPath)
        }
    }

    private struct Item: Sendable, Hashable {
        var component: String
        var reference: Reference
        var kind: Kind
        var reason: String
        var message: String
    }
    private struct Seen {
        var name: ObjectKey
        var count: Int
    }
    /// Who talks about which object: so much of one source and object is written, the rest dropped.
    private struct Source: Hashable {
        var component: String
        var uid: String
        var name: ObjectKey
    }
    private struct Allowance {
        var tokens: Double
        var at: ContinuousClock.Instant
    }
    /// As in client-go: 25 events at once, then one in five minutes.
    private static let burst = 25.0
    private static let refillSeconds = 300.0

    private let client: ClusterClient
    private let host: String
    private let logger: Logger
    private let stream: AsyncStream<Item>
    private let continuation: AsyncStream<Item>.Continuation
    private let seen = Mutex<[Item: Seen]>([:])
    private let allowances = Mutex<[Source: Allowance]>([:])

    /// - Parameter host: the node the component runs on; empty for cluster components.
    public init(client: ClusterClient, host: String = "", logger: Logger) {
        self.client = client
        self.host = host
        self.logger = logger
        (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1000))
    }

    /// Records an event; never waits, and forgets the oldest when a thousand wait already.
    /// - Parameter component: the event's source, for example `replicaset-controller`; nil: the client's component.
    public func record(
        _ reference: Reference, _ kind: Kind, reason: String, message: String, component: String? = nil
    ) {
        var reference = reference
        reference.resourceVersion = 0
        continuation.yield(
            Item(
                component: component ?? client.component, reference: reference, kind: kind, reason: reason,
                message: String(message.prefix(1024))))
    }

    /// Takes one token of the source's bucket.
    private func isAllowed(_ item: Item) -> Bool {
        let source = Source(component: item.component, uid: item.reference.uid, name: item.reference.key)
        let now = ContinuousClock.now
        return allowances.withLock { allowances in
            if allowances.count > 4096 { allowances.removeAll() }
            var allowance = allowances[source] ?? Allowance(tokens: Self.burst, at: now)
            let elapsed = (now - allowance.at) / .seconds(1)
            allowance.tokens = min(Self.burst, allowance.tokens + elapsed / Self.refillSeconds)
            allowance.at = now
            defer { allowances[source] = allowance }
            guard allowance.tokens >= 1 else { return false }
            allowance.tokens -= 1
            return true
        }
    }

    public func run() async throws {
        await cancelWhenGracefulShutdown {
            for await item in self.stream {
                do {
                    try await self.write(item)
                } catch {
                    self.logger.debug("an event could not be written", metadata: ["error": "\(error)"])
                }
            }
        }
    }

    private func write(_ item: Item) async throws {
        guard isAllowed(item) else { return }
        let now = Timestamp.now
        let repeated: Seen? = seen.withLock { seen in
            if seen.count > 4096 { seen.removeAll() }
            guard var known = seen[item] else { return nil }
            known.count += 1
            seen[item] = known
            return known
        }
        if let repeated {
            do {
                try await client.patch(
                    .events, repeated.name, .merge,
                    ["count": .integer(Int64(repeated.count)), "lastTimestamp": .string(now.rfc3339)])
                return
            } catch let error as StatusError where error.reason == .notFound {
                seen.withLock { _ = $0.removeValue(forKey: item) }
            }
        }
        let namespace = item.reference.key.namespace.isEmpty ? "default" : item.reference.key.namespace
        let suffix = String(UInt64(bitPattern: now.microseconds) &* 1000 &+ UInt64.random(in: 0..<1000), radix: 16)
        let name = "\(item.reference.key.name.prefix(200)).\(suffix)"
        var involved: JSON = [
            "kind": .string(item.reference.kind.kind), "name": .string(item.reference.key.name),
            "uid": .string(item.reference.uid), "apiVersion": .string(item.reference.kind.apiVersion),
        ]
        if !item.reference.key.namespace.isEmpty { involved["namespace"] = .string(item.reference.key.namespace) }
        if !item.reference.fieldPath.isEmpty { involved["fieldPath"] = .string(item.reference.fieldPath) }
        var source: JSON = ["component": .string(item.component)]
        if !host.isEmpty { source["host"] = .string(host) }
        try await client.create(
            .events,
            [
                "apiVersion": "v1", "kind": "Event",
                "metadata": ["name": .string(name), "namespace": .string(namespace)],
                "involvedObject": involved, "reason": .string(item.reason), "message": .string(item.message),
                "type": .string(item.kind.rawValue), "source": source, "count": 1,
                "firstTimestamp": .string(now.rfc3339), "lastTimestamp": .string(now.rfc3339),
                "reportingComponent": .string(item.component), "reportingInstance": .string(host),
            ])
        seen.withLock { $0[item] = Seen(name: ObjectKey(namespace: namespace, name: name), count: 1) }
    }
}
