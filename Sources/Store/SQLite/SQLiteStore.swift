public import Logging

/// The embedded store: one SQLite file in WAL mode with `synchronous=FULL`.
///
/// Two threads of its own do all disk work, never the Swift pool. The *writer* takes everything that waits, commits it as
/// one transaction (group commit: one `fsync` for all), publishes the events to watchers, then resumes the callers: an
/// acknowledged write is durable and visible. The *reader* answers gets, lists and the history part of watches from
/// snapshots of a second connection. Between batches the writer expires keys and compacts history in small steps.
/// `SIGKILL` at any moment loses no acknowledged write (Tests/StoreTests/KillTests.swift).
public final class SQLiteStore: Store {
    private typealias Read = @Sendable (SQLiteReader) -> Void
    private enum WriterJob: Sendable {
        case write(PendingWrite)
        case task(@Sendable (SQLiteHousekeeping) -> Void)
    }

    /// How much history is kept for watches and past listings.
    public struct HistoryLimits: Sendable {
        /// Older history than this, in milliseconds, is forgotten.
        public var age: Int64 = 5 * 60 * 1000
        /// So many revisions are kept however old they are, for clients that come back after a quiet time.
        public var minimumRevisions: UInt64 = 10_000
        /// Never more revisions than this.
        public var maximumRevisions: UInt64 = 100_000
        /// Written bytes after which history is forgotten whatever its age.
        public var maximumBytes = 256 << 20
        /// The defaults: 5 minutes, at least 10,000 and at most 100,000 revisions, 256 MiB.
        public init() {}
    }

    /// Bounds and timing; the defaults suit a server.
    public struct Options: Sendable {
        public var history = HistoryLimits()
        /// Writes in one transaction at most.
        public var batchWrites = 512
        /// Bytes in one transaction, about.
        public var batchBytes = 8 << 20
        /// Writes that may wait; more are refused.
        public var waitingWrites = 65_536
        /// Events that may wait for one watcher before its stream ends with `.compacted`.
        public var watcherEvents = 20_000
        /// Recent events kept in memory, so that a watch from a recent revision needs no disk.
        public var ringEvents = 2_000
        /// Bytes of recent events kept in memory.
        public var ringBytes = 4 << 20
        /// Revisions forgotten per step.
        public var compactionStep: UInt64 = 1000
        /// Milliseconds between two looks for expired keys and old history.
        public var housekeepingPeriod: Int64 = 1000
        /// Milliseconds between two steps while there is much to do.
        public var housekeepingPause: Int64 = 50
        /// Wall clock in milliseconds since 1970, for expiry.
        public var clock: @Sendable () -> Int64 = { StoreClock.wall() }
        /// Bounds as documented at each field.
        public init() {}
    }

    private let path: String
    private let hub: WatchHub
    private let writes: Mailbox<WriterJob>
    private let reads: Mailbox<Read>
    private let finished: Gate

    private init(path: String, hub: WatchHub, writes: Mailbox<WriterJob>, reads: Mailbox<Read>, finished: Gate) {
        self.path = path
        self.hub = hub
        self.writes = writes
        self.reads = reads
        self.finished = finished
    }

    deinit {
        writes.close()
        reads.close()
    }

    /// Opens a database file, or creates it; its directory must exist. Takes the lock `PATH.lock`.
    /// - Throws: `.foreign` when the file is not ours, damaged or newer; `.backend` when another process has it, or it
    ///   cannot be opened; `.full`.
    public static func open(path: String, options: Options = Options(), logger: Logger) async throws(StoreError)
        -> SQLiteStore
    {
        let result: Result<SQLiteStore, StoreError> = await withCheckedContinuation { continuation in
            let started = startThread(named: "apus-store-w") {
                Self.runWriter(path: path, options: options, logger: logger, opened: continuation)
            }
            if !started {
                continuation.resume(returning: .failure(.backend("the system has no thread left for the store")))
            }
        }
        return try result.get()
    }

    // MARK: Store

    /// See `Store.currentRevision`; answered from memory.
    public func currentRevision() async throws(StoreError) -> UInt64 { hub.revision }

    /// See `Store.get`.
    public func get(_ key: String) async throws(StoreError) -> StoredValue? {
        try await Self.read(reads, path: path) { try $0.get(key) }
    }

    /// See `Store.list`.
    public func list(prefix: String, after: String?, limit: Int?, revision: UInt64?) async throws(StoreError)
        -> StoreListing
    {
        try await Self.read(reads, path: path) {
            try $0.list(prefix: prefix, after: after, limit: limit, revision: revision)
        }
    }

    /// See `Store.write`.
    public func write(_ write: StoreWrite) async throws(StoreError) -> UInt64 {
        let result: Result<UInt64, StoreError> = await withCheckedContinuation { continuation in
            switch writes.put(.write(PendingWrite(write: write, done: continuation))) {
            case .accepted: break
            case .closed: continuation.resume(returning: .failure(.closed))
            case .full: continuation.resume(returning: .failure(Self.overloaded))
            }
        }
        return try result.get()
    }

    /// See `Store.watch`.
    public func watch(prefix: String, after revision: UInt64) async throws(StoreError) -> StoreWatch {
        try hub.watch(prefix: prefix, after: revision)
    }

    /// See `Store.compact`.
    public func compact(to revision: UInt64) async throws(StoreError) {
        try await onWriter { housekeeping throws(SQLiteFailure) in try housekeeping.compact(to: revision) }
    }

    /// See `Store.close`. Returns when the files are closed and the lock is free.
    public func close() async {
        reads.close()
        writes.close()
        await finished.wait()
        hub.close()
    }

    // MARK: For operators and tests

    /// SQLite's own check of the whole file: `["ok"]`, or the problems found. Reads everything.
    public func integrityCheck() async throws(StoreError) -> [String] {
        try await Self.read(reads, path: path) { try $0.integrityCheck() }
    }

    /// Runs work on the writer thread, after the writes that wait.
    func onWriter(_ work: @escaping @Sendable (SQLiteHousekeeping) throws(SQLiteFailure) -> Void)
        async
        throws(StoreError)
    {
        let path = path
        let result: Result<Void, StoreError> = await withCheckedContinuation { continuation in
            let put = writes.put(
                .task { housekeeping in
                    do throws(SQLiteFailure) {
                        try work(housekeeping)
                        continuation.resume(returning: .success(()))
                    } catch {
                        continuation.resume(returning: .failure(error.storeError(path: path)))
                    }
                })
            switch put {
            case .accepted: break
            case .closed: continuation.resume(returning: .failure(.closed))
            case .full: continuation.resume(returning: .failure(Self.overloaded))
            }
        }
        try result.get()
    }

    private static let overloaded = StoreError.backend("too many requests wait for the store; try again")

    private static func read<T: Sendable>(
        _ reads: Mailbox<Read>, path: String, _ body: @escaping @Sendable (SQLiteReader) throws -> T
    ) async throws(StoreError) -> T {
        let result: Result<T, StoreError> = await withCheckedContinuation { continuation in
            let put = reads.put { reader in
                do {
                    continuation.resume(returning: .success(try body(reader)))
                } catch let error as StoreError {
                    continuation.resume(returning: .failure(error))
                } catch let error as SQLiteFailure {
                    continuation.resume(returning: .failure(error.storeError(path: path)))
                } catch {
                    continuation.resume(returning: .failure(.backend("\(error)")))
                }
            }
            switch put {
            case .accepted: break
            case .closed: continuation.resume(returning: .failure(.closed))
            case .full: continuation.resume(returning: .failure(overloaded))
            }
        }
        return try result.get()
    }
}

// MARK: - The threads

extension SQLiteStore {
    private typealias Opened = CheckedContinuation<Result<SQLiteStore, StoreError>, Never>

    private static func runWriter(path: String, options: Options, logger: Logger, opened: Opened) {
        let lock: DataLock
        do throws(StoreError) {
            lock = try DataLock(path: path + ".lock")
        } catch {
            opened.resume(returning: .failure(error))
            return
        }
        let finished = Gate()
        do {
            try serve(path: path, options: options, logger: logger, finished: finished, opened: opened)
        } catch let error as StoreError {
            opened.resume(returning: .failure(error))
        } catch let error as SQLiteFailure {
            opened.resume(returning: .failure(error.storeError(path: path)))
        } catch {
            opened.resume(returning: .failure(.backend("\(error)")))
        }
        lock.release()
        finished.open()
    }

    /// Opens, tells so, and works until the mailbox is closed. The connection is closed when this returns.
    /// - Throws: only before `opened` was told.
    private static func serve(path: String, options: Options, logger: Logger, finished: Gate, opened: Opened) throws {
        let connection = try DatabaseFormat.open(path: path)
        let revision = UInt64(try connection.integer("SELECT max(revision) FROM log") ?? 1)
        let floor = UInt64(try connection.integer("SELECT value FROM meta WHERE name = 'floor'") ?? 1)
        let writes = Mailbox<WriterJob>(capacity: options.waitingWrites)
        let reads = Mailbox<Read>(capacity: 65_536)
        let hub = WatchHub(
            revision: revision, floor: floor, ringEvents: options.ringEvents, ringBytes: options.ringBytes,
            watcherCapacity: options.watcherEvents,
            history: { prefix, after, through async throws(StoreError) in
                try await read(reads, path: path) { try $0.history(prefix: prefix, after: after, through: through) }
            })
        let writer = try SQLiteWriter(
            connection: connection, revision: revision, hub: hub, options: options, logger: logger)
        let housekeeping = try SQLiteHousekeeping(
            connection: connection, writer: writer, floor: floor, hub: hub, options: options, logger: logger)
        let readerGone = try startReader(path: path, reads: reads)
        opened.resume(
            returning: .success(SQLiteStore(path: path, hub: hub, writes: writes, reads: reads, finished: finished)))

        var pause = housekeeping.runIfDue()
        while let jobs = writes.take(timeoutMilliseconds: pause) {
            run(jobs, writer: writer, housekeeping: housekeeping)
            pause = housekeeping.runIfDue()
        }
        // The reader goes first, so that closing the last connection can fold the write-ahead log into the file.
        while readerGone.take(timeoutMilliseconds: 60_000) != nil {}
    }

    private static func run(_ jobs: [WriterJob], writer: SQLiteWriter, housekeeping: SQLiteHousekeeping) {
        var batch: [PendingWrite] = []
        batch.reserveCapacity(jobs.count)
        for job in jobs {
            switch job {
            case .write(let write):
                batch.append(write)
            case .task(let task):
                writer.commit(batch)
                batch.removeAll(keepingCapacity: true)
                task(housekeeping)
            }
        }
        writer.commit(batch)
    }

    /// Carries the reader from the thread that opened it to the one that uses it.
    private final class Handover: @unchecked Sendable {
        // `@unchecked`: written before the thread starts, taken once by it.
        private var reader: SQLiteReader?
        init(_ reader: SQLiteReader) { self.reader = reader }
        func take() -> SQLiteReader? {
            defer { reader = nil }
            return reader
        }
    }

    /// - Returns: a mailbox that closes when the reader's connection is closed.
    private static func startReader(path: String, reads: Mailbox<Read>) throws -> Mailbox<Never> {
        let gone = Mailbox<Never>(capacity: 0)
        let handover = Handover(try SQLiteReader(path: path))
        let started = startThread(named: "apus-store-r") {
            serveReads(reads, handover)
            gone.close()
        }
        if !started { throw StoreError.backend("the system has no thread left for the store") }
        return gone
    }

    private static func serveReads(_ reads: Mailbox<Read>, _ handover: Handover) {
        guard let reader = handover.take() else { return }
        while let jobs = reads.take(timeoutMilliseconds: 60_000) {
            for job in jobs { job(reader) }
        }
    }
}
