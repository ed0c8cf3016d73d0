/// A versioned, watchable key-value store, modelled on what etcd offers.
///
/// Keys are paths such as `/registry/pods/default/web-1`; values are the bytes of one object. One global revision orders
/// all writes: every committed write gets the next revision, and a write is acknowledged only when it is durable.
/// Three backends share one conformance suite: memory, SQLite (default) and, later, etcd.
public protocol Store: Sendable {
    /// The revision of the newest committed write; 1 when the store is new (as in etcd).
    func currentRevision() async throws(StoreError) -> UInt64

    /// The newest version of a key, or nil.
    func get(_ key: String) async throws(StoreError) -> StoredValue?

    /// All keys with a prefix in byte order, with the revision at which the listing is true.
    /// - Parameters:
    ///   - prefix: key prefix, usually ending in `/`.
    ///   - after: list only keys greater than this one (for paging).
    ///   - limit: at most so many entries; nil for all.
    ///   - revision: list the past state at this revision; nil for now.
    /// - Throws: `.compacted` when that past is gone, `.futureRevision` when it has not come yet.
    func list(prefix: String, after: String?, limit: Int?, revision: UInt64?) async throws(StoreError) -> StoreListing

    /// One guarded write. Concurrent calls are committed together (group commit).
    /// - Returns: the revision of the write.
    /// - Throws: `.conflict` when the guard does not hold (with what is there now).
    func write(_ write: StoreWrite) async throws(StoreError) -> UInt64

    /// Committed writes with a revision greater than `revision`, in order, without gaps, one element per commit batch.
    /// The stream ends with `.compacted` when the past is gone, or when the reader falls too far behind.
    func watch(prefix: String, after revision: UInt64) async throws(StoreError) -> StoreWatch

    /// Forgets history before a revision.
    func compact(to revision: UInt64) async throws(StoreError)

    /// Stops accepting writes, finishes the waiting ones and closes. Safe to call twice.
    func close() async
}

/// The state of one key.
public struct StoredValue: Sendable, Hashable {
    public var key: String
    public var value: [UInt8]
    /// Revision of the write that made this version.
    public var modRevision: UInt64
    /// Revision of the write that created the key.
    public var createRevision: UInt64

    public init(key: String, value: [UInt8], modRevision: UInt64, createRevision: UInt64) {
        self.key = key
        self.value = value
        self.modRevision = modRevision
        self.createRevision = createRevision
    }
}

/// One page of a listing.
public struct StoreListing: Sendable {
    public var values: [StoredValue]
    /// The revision at which the listing is true.
    public var revision: UInt64
    /// True when the limit cut the listing.
    public var hasMore: Bool

    public init(values: [StoredValue], revision: UInt64, hasMore: Bool) {
        self.values = values
        self.revision = revision
        self.hasMore = hasMore
    }
}

/// One guarded write.
public enum StoreWrite: Sendable {
    /// Creates a key that must not exist.
    case create(key: String, value: [UInt8], expiresAfter: Duration? = nil)
    /// Replaces a key whose newest version must be `expected`.
    case update(key: String, value: [UInt8], expected: UInt64, expiresAfter: Duration? = nil)
    /// Removes a key whose newest version must be `expected`.
    case delete(key: String, expected: UInt64)

    public var key: String {
        switch self {
        case .create(let key, _, _), .update(let key, _, _, _), .delete(let key, _): key
        }
    }
}

/// A committed write, as a watcher sees it.
public struct StoreEvent: Sendable {
    public var key: String
    /// The new bytes; nil when the key was removed.
    public var value: [UInt8]?
    /// The bytes before; nil when the key was created.
    public var previous: [UInt8]?
    /// Revision of this write.
    public var revision: UInt64
    /// Revision of the version before; 0 when the key was created.
    public var previousRevision: UInt64

    public init(key: String, value: [UInt8]?, previous: [UInt8]?, revision: UInt64, previousRevision: UInt64) {
        self.key = key
        self.value = value
        self.previous = previous
        self.revision = revision
        self.previousRevision = previousRevision
    }
}

/// A stream of commit batches.
public typealias StoreWatch = AsyncThrowingStream<[StoreEvent], any Error>

/// What can go wrong in a store.
public enum StoreError: Error, Sendable, CustomStringConvertible {
    /// The guard of a write did not hold; carries what is there now (nil: nothing).
    case conflict(current: StoredValue?)
    /// The asked-for revision was compacted; carries the oldest one that is left.
    case compacted(oldest: UInt64)
    /// The asked-for revision is newer than the store.
    case futureRevision(current: UInt64)
    /// The data belongs to something else, or is damaged; says what and where.
    case foreign(String)
    /// The disk is full.
    case full(String)
    /// The store is closed.
    case closed
    /// Anything else of the backend, in its words.
    case backend(String)

    public var description: String {
        switch self {
        case .conflict(let current):
            current.map { "the key is at revision \($0.modRevision)" } ?? "the key does not exist"
        case .compacted(let oldest): "the revision has been compacted; the oldest is \(oldest)"
        case .futureRevision(let current): "the revision is in the future; the newest is \(current)"
        case .foreign(let text): text
        case .full(let text): text
        case .closed: "the store is closed"
        case .backend(let text): text
        }
    }
}
