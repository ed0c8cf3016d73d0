import ClusterClient
import JSON
import Logging
import ObjectModel
import Synchronization

/// Deletes what lost its owners, and carries out foreground and orphaning deletion, for every resource that can be
/// listed, watched and deleted, those that appear later included.
///
/// The graph is fed by informers; it only says where to look. Before anything is deleted the object is read live, and
/// an owner counts as absent only when a live read says so (or finds another uid).
final class GarbageCollector: Controller {
    /// Not collected: too many, and they expire by themselves.
    private static let ignored: Set<GroupResource> = [
        GroupResource(group: "", resource: "events"), GroupResource(group: "events.k8s.io", resource: "events"),
    ]

    private struct Monitor: Sendable {
        var feed: MetadataFeed
        var served: ServedResource
        /// Nil for shared informers, which their owner runs.
        var task: Task<Void, Never>?
    }
    private struct State {
        var graph = OwnerGraph()
        var monitors: [GroupResource: Monitor] = [:]
        /// Owner references name a kind.
        var resources: [GroupVersionKind: ServedResource] = [:]
        /// The first discovery happened; before it no owner can be looked up.
        var isReady = false
    }

    private let context: ControllerContext
    private let logger: Logger
    private let queue = WorkQueue<ObjectIdentity>()
    private let state = Mutex(State())
    private let shared: [GroupResource: MetadataFeed]

    init(_ context: ControllerContext) {
        self.context = context
        logger = context.logger(for: "garbage-collector-controller")
        shared = Dictionary(
            context.informers.feeds.map { ($0.resource.groupResource, $0) }, uniquingKeysWith: { first, _ in first })
        for feed in context.informers.feeds { follow(feed) }
    }

    private func follow(_ feed: MetadataFeed) {
        feed.subscribe { [weak self] old, new in self?.note(feed.resource, old, new) }
    }

    func run() async {
        for feed in shared.values { await feed.waitUntilSynced() }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.discover() }
            group.addTask {
                await self.start()
                await self.queue.run(workers: 8) { identity in
                    do {
                        try await self.process(identity)
                    } catch {
                        self.logger.debug(
                            "collecting again", metadata: ["object": "\(identity.key)", "error": "\(error)"])
                        throw error
                    }
                }
            }
        }
        for monitor in state.withLock({ Array($0.monitors.values) }) { monitor.task?.cancel() }
    }

    /// Waits until the graph is as complete as it gets (a resource whose list fails must not stop the others), then
    /// looks at everything whose owner the caches do not show.
    private func start() async {
        let patience = ContinuousClock.now + .seconds(30)
        while !Task.isCancelled {
            let isComplete = state.withLock { state in
                state.isReady && state.monitors.values.allSatisfy { $0.feed.isSynced() }
            }
            if isComplete || (patience < .now && state.withLock(\.isReady)) { break }
            try? await Task.sleep(for: .milliseconds(20))
        }
        for dependent in state.withLock({ $0.graph.all }) {
            guard let object = cached(dependent) else { continue }
            if !object.metadata.ownerReferences.allSatisfy({ isCached($0, dependent: object) }) { queue.add(dependent) }
        }
    }

    // MARK: Discovery

    /// Follows what the server serves: resources come and go with custom resource definitions.
    private func discover() async {
        var wait: Duration = .milliseconds(100)
        while !Task.isCancelled {
            do {
                refresh(try await context.client.transport.resources())
                wait = .seconds(5)
            } catch {
                logger.warning("discovery failed; trying again", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: wait)
        }
    }

    private func refresh(_ all: [ServedResource]) {
        var wanted: [GroupResource: ServedResource] = [:]
        var kinds: [GroupVersionKind: ServedResource] = [:]
        for served in all {
            let resource = served.resource
            kinds[GroupVersionKind(group: resource.group, version: resource.version, kind: served.kind)] = served
            guard ["list", "watch", "delete"].allSatisfy(served.verbs.contains),
                !Self.ignored.contains(resource.groupResource)
            else { continue }
            // The preferred version comes first; one informer per resource is enough.
            if wanted[resource.groupResource] == nil { wanted[resource.groupResource] = served }
        }
        let (added, removed): ([ServedResource], [Monitor]) = state.withLock { state in
            state.resources = kinds
            let removed = state.monitors.filter { wanted[$0.key] == nil }
            for key in removed.keys {
                state.monitors.removeValue(forKey: key)
                state.graph.removeAll(of: key)
            }
            return (wanted.values.filter { state.monitors[$0.resource.groupResource] == nil }, Array(removed.values))
        }
        for monitor in removed { monitor.task?.cancel() }
        for served in added { monitor(served) }
        state.withLock { $0.isReady = true }
    }

    private func monitor(_ served: ServedResource) {
        let monitor: Monitor
        if let feed = shared[served.resource.groupResource] {
            monitor = Monitor(feed: feed, served: served, task: nil)
        } else {
            let informer = Informer(served.resource, client: context.client, logger: logger) { $0 }
            let feed = MetadataFeed(informer) { $0 }
            follow(feed)
            // Owned by `monitors`: cancelled when the resource goes away or the collector stops.
            monitor = Monitor(feed: feed, served: served, task: Task { try? await informer.run() })
        }
        state.withLock { $0.monitors[served.resource.groupResource] = monitor }
    }

    // MARK: Events

    private func note(_ resource: GroupVersionResource, _ old: Object?, _ new: Object?) {
        guard let object = new ?? old else { return }
        let identity = ObjectIdentity(resource: resource, key: object.key)
        let before = old?.metadata.ownerReferences ?? []
        let after = new?.metadata.ownerReferences ?? []
        let (dependents, owners, isReady): (Set<OwnerGraph.Dependent>, [ObjectIdentity], Bool) = state.withLock {
            state in
            state.graph.change(identity, old: before, new: after)
            // A dependent that left or no longer blocks may be what an owner waits for.
            let waited = before == after ? [] : before
            let owners = waited.compactMap { Self.identity(of: $0, dependent: object, state.resources) }
            return (new == nil ? state.graph.dependents(of: object.uid) : [], owners, state.isReady)
        }
        for dependent in dependents { queue.add(dependent.identity) }
        for owner in owners where isForeground(owner) { queue.add(owner) }
        guard let new else { return }
        if Self.isForeground(new) || Self.isOrphaning(new) {
            queue.add(identity)
        } else if isReady, !after.isEmpty, old == nil || before != after,
            !after.allSatisfy({ isCached($0, dependent: new) })
        {
            queue.add(identity)
        }
    }

    private static func isForeground(_ object: Object) -> Bool {
        object.metadata.isTerminating && object.metadata.finalizers.contains(GarbageFinalizer.foreground)
    }
    private static func isOrphaning(_ object: Object) -> Bool {
        object.metadata.isTerminating && object.metadata.finalizers.contains(GarbageFinalizer.orphan)
    }

    private func isForeground(_ identity: ObjectIdentity) -> Bool {
        cached(identity).map(Self.isForeground) ?? false
    }

    private func cached(_ identity: ObjectIdentity) -> Object? {
        let feed =
            state.withLock { $0.monitors[identity.resource.groupResource]?.feed }
            ?? shared[identity.resource.groupResource]
        return feed?.find(identity.key)
    }

    /// True when the cache has the owner, alive and well: nothing to check.
    private func isCached(_ reference: OwnerReference, dependent: Object) -> Bool {
        let identity = state.withLock { Self.identity(of: reference, dependent: dependent, $0.resources) }
        guard let identity, let owner = cached(identity) else { return false }
        return owner.uid == reference.uid && !Self.isForeground(owner)
    }

    /// Where an owner lives; nil when its kind is not served, or is namespaced while the dependent is not.
    private static func identity(
        of reference: OwnerReference, dependent: Object, _ resources: [GroupVersionKind: ServedResource]
    ) -> ObjectIdentity? {
        let kind = GroupVersionKind(apiVersion: reference.apiVersion, kind: reference.kind)
        guard let served = resources[kind], !served.isNamespaced || !dependent.namespace.isEmpty else { return nil }
        let namespace = served.isNamespaced ? dependent.namespace : ""
        return ObjectIdentity(
            resource: served.resource, key: ObjectKey(namespace: namespace, name: reference.name))
    }

    // MARK: Work

    private func process(_ identity: ObjectIdentity) async throws {
        guard let object = cached(identity) else { return }
        if Self.isOrphaning(object) { return try await orphan(identity, object) }
        if Self.isForeground(object) { return try await finishForeground(identity, object) }
        if !object.metadata.isTerminating && !object.metadata.ownerReferences.isEmpty { try await collect(identity) }
    }

    /// Deletes an object without owners, or drops the owners that are gone.
    private func collect(_ identity: ObjectIdentity) async throws {
        guard let live = try await context.client.find(identity.resource, identity.key),
            !live.metadata.isTerminating
        else { return }
        var owners: [(reference: OwnerReference, state: CollectionDecision.OwnerState)] = []
        for reference in live.metadata.ownerReferences {
            guard let state = try await ownerState(reference, dependent: live) else {
                // A kind that is not served now; it may come back, so nothing is concluded.
                queue.add(identity, after: .seconds(30))
                return
            }
            owners.append((reference, state))
        }
        let hasDependents = state.withLock { !$0.graph.dependents(of: live.uid).isEmpty }
        switch CollectionDecision.decide(
            owners: owners, finalizers: live.metadata.finalizers, hasDependents: hasDependents)
        {
        case .keep: return
        case .dropOwners(let uids): try await dropOwners(Set(uids), from: identity, uid: live.uid)
        case .delete(let propagation):
            // One of its dependents waits already: a circle, in which each would wait for the next for ever.
            let closesCircle = state.withLock { $0.graph.dependents(of: live.uid) }
                .contains { isForeground($0.identity) }
            if propagation == .foreground, closesCircle {
                try await unblockOwners(of: identity, uid: live.uid)
            }
            logger.debug(
                "deleting an object without owners",
                metadata: ["resource": "\(identity.resource)", "object": "\(identity.key)"])
            var options = DeleteOptions(uid: live.uid, propagation: propagation)
            // Somebody may adopt it this very moment.
            if !closesCircle { options.resourceVersion = live.metadata.resourceVersion }
            do {
                try await context.client.delete(identity.resource, identity.key, options: options)
            } catch let error as StatusError where error.reason == .conflict {
                queue.addRateLimited(identity)
            }
        }
    }

    private func ownerState(_ reference: OwnerReference, dependent: Object) async throws
        -> CollectionDecision.OwnerState?
    {
        let found = state.withLock { Self.identity(of: reference, dependent: dependent, $0.resources) }
        guard let found else { return nil }
        var owner = cached(found)
        if owner?.uid != reference.uid { owner = try await context.client.find(found.resource, found.key) }
        guard let owner, owner.uid == reference.uid else { return .absent }
        return Self.isForeground(owner) ? .waitsForDependents : .exists
    }

    /// Deletes the dependents of a waiting owner; when no blocking one is left, lets the owner go.
    private func finishForeground(_ identity: ObjectIdentity, _ owner: Object) async throws {
        let dependents = state.withLock { $0.graph.dependents(of: owner.uid) }
        for dependent in dependents {
            guard let object = cached(dependent.identity) else { continue }
            if !object.metadata.isTerminating { queue.add(dependent.identity) }
        }
        if dependents.contains(where: \.blocksOwnerDeletion) { return }
        try await context.client.removeFinalizer(
            GarbageFinalizer.foreground, identity.resource, identity.key, uid: owner.uid)
    }

    /// Takes the owner out of its dependents, then lets it go.
    private func orphan(_ identity: ObjectIdentity, _ owner: Object) async throws {
        // Live: a dependent that was made a moment ago, and that the graph does not know, would be collected later.
        let dependents = try await liveDependents(of: owner)
        try await forEachConcurrently(dependents) { dependent in
            try await self.dropOwners([owner.uid], from: dependent.identity, uid: dependent.uid)
        }
        try await context.client.removeFinalizer(
            GarbageFinalizer.orphan, identity.resource, identity.key, uid: owner.uid)
    }

    /// Everything that names an owner, wherever something can; a resource that is not served any more has none.
    private func liveDependents(of owner: Object) async throws -> [(identity: ObjectIdentity, uid: String)] {
        let all = state.withLock { $0.monitors.values.map(\.served) }
        var found: [(identity: ObjectIdentity, uid: String)] = []
        for served in all where served.isNamespaced || owner.namespace.isEmpty {
            var options = ListOptions()
            options.limit = 500
            let namespace = served.isNamespaced && !owner.namespace.isEmpty ? owner.namespace : nil
            repeat {
                let page: ObjectList
                do {
                    page = try await context.client.list(served.resource, namespace: namespace, options: options)
                } catch let error as StatusError where error.reason == .notFound {
                    break
                }
                for object in page.items where object.metadata.ownerReferences.contains(where: { $0.uid == owner.uid })
                {
                    found.append((ObjectIdentity(resource: served.resource, key: object.key), object.uid))
                }
                options.continueToken = page.continueToken
            } while !(options.continueToken ?? "").isEmpty
        }
        return found
    }

    /// Lets the owners of an object go before it.
    private func unblockOwners(of identity: ObjectIdentity, uid: String) async throws {
        try await context.client.modify(identity.resource, identity.key) { tree in
            guard tree["metadata"]["uid"].string == uid else { return false }
            let references = tree["metadata"]["ownerReferences"].elements
            guard references.contains(where: { $0["blockOwnerDeletion"].bool == true }) else { return false }
            let free = references.map { reference in
                var reference = reference
                reference["blockOwnerDeletion"] = false
                return reference
            }
            tree["metadata"]["ownerReferences"] = .array(free)
            return true
        }
    }

    private func dropOwners(_ uids: Set<String>, from identity: ObjectIdentity, uid: String) async throws {
        try await context.client.modify(identity.resource, identity.key) { tree in
            guard tree["metadata"]["uid"].string == uid else { return false }
            let references = tree["metadata"]["ownerReferences"].elements
            let left = references.filter { !uids.contains($0["uid"].string ?? "") }
            guard left.count != references.count else { return false }
            tree["metadata"].setMember("ownerReferences", left.isEmpty ? nil : .array(left))
            return true
        }
    }
}
