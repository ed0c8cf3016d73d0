import CustomResources
import Logging
import ObjectModel
import Schema
import Store
import Synchronization

/// All watch caches and the one task that feeds them from the store, in commit order.
///
/// A write is answered only once its event went through here (`RevisionGate`), so that whoever was told of a write
/// finds it in every later read.
final class CacheSet: Sendable {
    let gate = RevisionGate()
    let pending = PendingWrites()
    let store: any Store
    private let logger: Logger
    private let secrets: (any ValueTransformer)?
    private let caches: Mutex<[String: WatchCache]>
    private let limits: WatchCache.Limits
    /// The definitions of the custom resources among them, by place.
    private let customs = Mutex<[String: CustomDefinition]>([:])
    private let definitionReader = Mutex<(@Sendable ([Object]) -> [CustomDefinition])?>(nil)
    private let observers = Mutex<[String: [@Sendable (_ old: Object?, _ new: Object?) -> Void]]>([:])
    private let task = Mutex<Task<Void, Never>?>(nil)

    init(
        store: any Store, resources: [ResourceDefinition], limits: WatchCache.Limits,
        secrets: (any ValueTransformer)?, logger: Logger
    ) {
        self.store = store
        self.limits = limits
        self.secrets = secrets
        self.logger = logger
        var caches: [String: WatchCache] = [:]
        for definition in resources where definition.hasVerb("list") {
            let place = StorageLayout.place(of: definition.resource.groupResource)
            // The first version in discovery order is the preferred one, and that which is stored.
            guard caches[place.description] == nil, place == definition.resource.groupResource else { continue }
            caches[place.description] = WatchCache(definition: definition, limits: limits)
        }
        self.caches = Mutex(caches)
    }

    subscript(place: GroupResource) -> WatchCache? { caches.withLock { $0[place.description] } }

    subscript(place place: String) -> WatchCache? { caches.withLock { $0[place] } }

    /// Every cache, in no order.
    var all: [WatchCache] { caches.withLock { Array($0.values) } }

    /// Calls back for every change of a resource, in order, before the change is visible; and for all that is there
    /// after each load.
    func observe(_ place: GroupResource, _ body: @escaping @Sendable (_ old: Object?, _ new: Object?) -> Void) {
        observers.withLock { $0[place.description, default: []].append(body) }
    }

    // MARK: Feeding

    /// Loads everything and starts to follow the store.
    func start() async throws {
        let stream = try await open()
        let task = Task { await self.follow(stream) }
        self.task.withLock { $0 = task }
    }

    /// Stops following; watches end and waiting calls return.
    func stop() async {
        let task = task.withLock { task in
            defer { task = nil }
            return task
        }
        task?.cancel()
        await task?.value
        gate.close()
        for cache in all { cache.endWatches() }
    }

    private func open() async throws -> StoreWatch {
        let revision = try await load()
        await recall(before: revision)
        return try await store.watch(prefix: StorageLayout.root, after: revision)
    }

    private func follow(_ first: StoreWatch) async {
        var next: StoreWatch? = first
        while !Task.isCancelled {
            do {
                let stream: StoreWatch
                if let ready = next { stream = ready } else { stream = try await open() }
                next = nil
                for try await batch in stream { apply(batch) }
                if Task.isCancelled { return }
                logger.warning("the store ended its watch; loading again")
            } catch StoreError.closed {
                return
            } catch {
                if Task.isCancelled { return }
                logger.warning("the watch of the store failed; loading again", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    private func apply(_ batch: [StoreEvent]) {
        var wakes: [WatchChannel] = []
        for event in batch {
            guard let (place, key) = StorageLayout.parse(event.key), let cache = caches.withLock({ $0[place] })
            else { continue }
            var entry: CacheEntry?
            if let value = event.value {
                entry = decode(value, storeKey: event.key, place: place, revision: event.revision).map {
                    CacheEntry($0)
                }
                if entry == nil { continue }
            }
            let observers = observers.withLock { $0[place] }
            if let observers {
                let old = cache.get(key)
                for observer in observers { observer(old, entry?.object) }
            }
            wakes += cache.apply(key: key, entry, revision: event.revision)
        }
        if let last = batch.last { gate.advance(to: last.revision) }
        WatchChannel.wake(wakes)
    }

    private func load() async throws -> Revision {
        var objects: [String: [CacheEntry]] = [:]
        var after: String?
        var revision: Revision? = try await loadDefinitions()
        while true {
            let page = try await store.list(prefix: StorageLayout.root, after: after, limit: 2000, revision: revision)
            revision = revision ?? page.revision
            for value in page.values {
                guard let (place, _) = StorageLayout.parse(value.key), caches.withLock({ $0[place] }) != nil,
                    let object = decode(value.value, storeKey: value.key, place: place, revision: value.modRevision)
                else { continue }
                objects[place, default: []].append(CacheEntry(object))
                // The trees of a whole cluster at once would be several times its bytes.
                object.releaseTree()
            }
            guard page.hasMore, let last = page.values.last?.key else { break }
            after = last
        }
        let loaded = revision ?? 1
        for cache in all {
            let place = cache.place.description
            let before = cache.all()
            cache.load(objects[place] ?? [], at: loaded)
            for observer in observers.withLock({ $0[place] ?? [] }) {
                for object in before { observer(object, nil) }
                for object in objects[place] ?? [] { observer(nil, object.object) }
            }
        }
        gate.advance(to: loaded)
        return loaded
    }

    func decode(_ value: [UInt8], storeKey: String, place: String, revision: Revision) -> Object? {
        if let write = pending.match(value, key: storeKey) { return write.object(at: revision) }
        do {
            let plain = try open(value, storeKey: storeKey, place: place)
            let object = try ObjectCodec.object(stored: plain, revision: revision)
            guard let custom = customs.withLock({ $0.isEmpty ? nil : $0[place] }) else { return object }
            return Self.read(object, custom)
        } catch {
            logger.error("a stored object cannot be read", metadata: ["key": "\(storeKey)", "error": "\(error)"])
            return nil
        }
    }

    // MARK: Sealing

    /// What the store is given for an object.
    func seal(_ plain: [UInt8], storeKey: String, place: GroupResource) throws -> [UInt8] {
        guard let secrets, place.resource == "secrets", place.group.isEmpty else { return plain }
        return try secrets.seal(plain, key: storeKey)
    }

    private func open(_ value: [UInt8], storeKey: String, place: String) throws -> [UInt8] {
        guard let secrets, place == "secrets" else { return value }
        return try secrets.open(value, key: storeKey)
    }

    /// A past state straight from the store, in key order.
    func past(of cache: WatchCache, at revision: Revision) async throws -> [CacheEntry] {
        let place = cache.place.description
        let listing = try await store.list(
            prefix: StorageLayout.prefix(of: cache.place), after: nil, limit: nil, revision: revision)
        return listing.values
            .compactMap { value in
                let object = decode(value.value, storeKey: value.key, place: place, revision: value.modRevision)
                return object.map { CacheEntry($0) }
            }
            .sorted { $0.object.key < $1.object.key }
    }
}

// MARK: Custom resources

extension CacheSet {
    /// Sets who reads the definitions of custom resources at each load, before anything else is loaded.
    /// - Parameter body: gives back those that are served.
    func readDefinitions(_ body: @escaping @Sendable ([Object]) -> [CustomDefinition]) {
        definitionReader.withLock { $0 = body }
    }

    /// Makes caches for the custom resources that the store has definitions of.
    /// - Returns: the revision to load everything else at.
    private func loadDefinitions() async throws -> Revision? {
        guard let reader = definitionReader.withLock({ $0 }) else { return nil }
        let place = CustomResourceKeeper.definitions
        let listing = try await store.list(
            prefix: StorageLayout.prefix(of: place), after: nil, limit: nil, revision: nil)
        let objects = listing.values.compactMap {
            decode($0.value, storeKey: $0.key, place: place.description, revision: $0.modRevision)
        }
        let definitions = reader(objects)
        let known = customs.withLock { customs in
            defer { customs = [:] }
            return customs
        }
        for definition in definitions { _ = cache(for: definition) }
        for place in known.keys where customs.withLock({ $0[place] }) == nil { drop(place) }
        return listing.revision
    }

    /// The cache of a custom resource, made empty if there is none.
    private func cache(for definition: CustomDefinition) -> (cache: WatchCache, isNew: Bool)? {
        guard let storage = definition.storage else { return nil }
        let place = definition.groupResource.description
        customs.withLock { $0[place] = definition }
        let (cache, isNew) = caches.withLock { caches in
            if let known = caches[place] { return (known, false) }
            let made = WatchCache(definition: storage.definition, limits: limits)
            caches[place] = made
            return (made, true)
        }
        if !isNew, cache.definition != storage.definition { cache.definition = storage.definition }
        return (cache, isNew)
    }

    /// Serves a custom resource from now on, or in the way that a changed definition says.
    func change(_ definition: CustomDefinition) { _ = cache(for: definition) }

    /// Serves a custom resource: when this returns, its cache has all that the store has.
    func add(_ definition: CustomDefinition) async throws {
        guard let (cache, isNew) = cache(for: definition), isNew else { return }
        // Events come in from now on. A listing that is older than one of them is too old.
        while true {
            let (entries, revision) = try await entries(of: cache.place)
            if cache.loadUnlessNewer(entries, at: revision) { return }
        }
    }

    /// Reads the stored objects again, because what is dropped and filled in on reading changed.
    func refresh(_ definition: CustomDefinition) async throws {
        guard let cache = self[definition.groupResource] else { return }
        cache.replaceSameVersions(try await entries(of: cache.place).entries)
    }

    private func entries(of place: GroupResource) async throws -> (entries: [CacheEntry], revision: Revision) {
        let listing = try await store.list(
            prefix: StorageLayout.prefix(of: place), after: nil, limit: nil, revision: nil)
        let entries = listing.values.compactMap { value in
            decode(value.value, storeKey: value.key, place: place.description, revision: value.modRevision)
                .map { CacheEntry($0) }
        }
        return (entries, listing.revision)
    }

    /// Serves a custom resource no more; its watches end.
    func drop(_ place: String) {
        customs.withLock { _ = $0.removeValue(forKey: place) }
        let cache = caches.withLock { $0.removeValue(forKey: place) }
        cache?.endWatches()
    }

    /// A stored object as its version reads it today: without what the schema no longer has, with its defaults.
    private static func read(_ object: Object, _ definition: CustomDefinition) -> Object {
        guard let version = definition.version(object.kind.version) else { return object }
        var tree = object.tree
        if version.isInOrder(tree) { return object }
        _ = version.prune(&tree)
        version.applyDefaults(to: &tree)
        return Object(tree)
    }
}
