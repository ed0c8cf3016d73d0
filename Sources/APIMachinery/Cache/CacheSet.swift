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
    private let store: any Store
    private let logger: Logger
    private let secrets: (any ValueTransformer)?
    private let caches: Mutex<[String: WatchCache]>
    private let observers = Mutex<[String: [@Sendable (_ old: Object?, _ new: Object?) -> Void]]>([:])
    private let task = Mutex<Task<Void, Never>?>(nil)

    init(
        store: any Store, resources: [ResourceDefinition], limits: WatchCache.Limits,
        secrets: (any ValueTransformer)?, logger: Logger
    ) {
        self.store = store
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
        var wakes: [ObjectIdentifier: WatchChannel] = [:]
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
            for channel in cache.apply(key: key, entry, revision: event.revision) {
                wakes[ObjectIdentifier(channel)] = channel
            }
        }
        if let last = batch.last { gate.advance(to: last.revision) }
        for channel in wakes.values { channel.wake() }
    }

    private func load() async throws -> Revision {
        var objects: [String: [CacheEntry]] = [:]
        var after: String?
        var revision: Revision?
        while true {
            let page = try await store.list(prefix: StorageLayout.root, after: after, limit: 2000, revision: revision)
            revision = revision ?? page.revision
            for value in page.values {
                guard let (place, _) = StorageLayout.parse(value.key),
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

    private func decode(_ value: [UInt8], storeKey: String, place: String, revision: Revision) -> Object? {
        if let write = pending.match(value, key: storeKey) { return write.object(at: revision) }
        do {
            return try ObjectCodec.object(stored: open(value, storeKey: storeKey, place: place), revision: revision)
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
