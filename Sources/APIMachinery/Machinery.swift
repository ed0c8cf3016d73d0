public import Logging
import ObjectModel
public import Schema
public import ServiceLifecycle
public import Store
import Synchronization

/// The Kubernetes API without HTTP: `APIBackend` over a `Store`.
///
/// The life of a write: the body is conformed to its kind (`Catalog`), gets its metadata (`Metadata/`), its kind's own
/// preparation (`Kinds/`) and defaults, passes mutating admission (`Admission/`), validation (`Validation/`) and
/// validating admission, and is written guarded by the version it was made from; another writer in between means to
/// begin again from the newer state. The store's event brings it into the watch cache (`Cache/`), which answers every
/// read; only then is the writer answered.
///
/// Call `start()` before use; `run()` does the background work until it is cancelled.
public final class Machinery: Service {
    /// Everything that is served now; custom resource definitions change it.
    public var catalog: Catalog { registry.catalog }
    /// What the cluster is like.
    public let configuration: Configuration
    let store: any Store
    let logger: Logger
    let caches: CacheSet
    var kinds: KindTable { registry.kinds }
    let registry: KindRegistry
    let customResources: CustomResourceKeeper
    let admission: AdmissionChain
    let allocator: ServiceAllocator
    let quotas = QuotaLedger()
    let dynamic = DynamicAdmission()

    /// - Throws: `StatusError` when the configuration makes no sense (a service CIDR that is none).
    public init(
        store: any Store, catalog: Catalog = .builtin, configuration: Configuration = Configuration(), logger: Logger
    ) throws {
        self.store = store
        self.configuration = configuration
        self.logger = logger
        allocator = try ServiceAllocator(serviceCIDR: configuration.serviceCIDR, nodePorts: configuration.nodePorts)
        var limits = WatchCache.Limits()
        limits.ringEvents = configuration.rememberedEvents
        limits.ringBytes = configuration.rememberedBytes
        limits.watcherBuffer = configuration.watcherBuffer
        caches = CacheSet(
            store: store, resources: catalog.resources, limits: limits, secrets: configuration.secrets, logger: logger)
        registry = KindRegistry(catalog: catalog)
        customResources = CustomResourceKeeper(registry: registry, caches: caches, logger: logger)
        admission = AdmissionChain.standard
        allocator.follow(caches)
        quotas.follow(caches)
        dynamic.follow(caches)
        customResources.follow()
    }

    /// Loads the watch caches and makes what every cluster has. Serve requests only after it returned.
    public func start() async throws {
        try await caches.start()
        customResources.start(self)
        try await bootstrap()
        dynamic.open()
    }

    /// Bookmarks, compaction, and quota recounts, until cancelled; then ends all watches.
    public func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.sendBookmarks() }
                group.addTask { await self.compact() }
                group.addTask { await self.recountQuotas() }
                group.addTask { await self.checkPolicies() }
            }
        }
        await customResources.stop()
        await caches.stop()
    }

    /// Ends all watches and stops following the store, for those who do not `run()`.
    public func stop() async {
        await customResources.stop()
        await caches.stop()
    }

    private func sendBookmarks() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: configuration.bookmarkInterval)
            let applied = caches.gate.applied
            for cache in caches.all { cache.sendBookmarks(applied: applied) }
        }
    }

    /// Keeps one interval of history, so that lists in progress and returning watchers find their past.
    private func compact() async {
        var mark = caches.gate.applied
        while !Task.isCancelled {
            try? await Task.sleep(for: configuration.compactionInterval)
            if Task.isCancelled { return }
            do {
                if mark > 1 { try await store.compact(to: mark) }
            } catch {
                logger.warning("history could not be compacted", metadata: ["error": "\(error)"])
            }
            mark = caches.gate.applied
        }
    }
}

/// What one of the server's own caches knows, for admission and subresources.
extension Machinery {
    /// The cached objects of a resource.
    func cache(_ resource: GroupVersionResource) -> WatchCache? {
        caches[StorageLayout.place(of: resource.groupResource)]
    }

    func cached(_ resource: GroupVersionResource, _ key: ObjectKey) -> Object? { cache(resource)?.get(key) }

    /// The cache of a resource, or the error for one that is not stored.
    func stored(_ resource: ResourceDefinition, verb: String) throws -> WatchCache {
        guard resource.hasVerb(verb), let cache = cache(resource.resource) else {
            throw StatusError.methodNotAllowed(
                "\(verb) is not supported on resources of kind \"\(resource.resource.groupResource)\"")
        }
        return cache
    }
}
