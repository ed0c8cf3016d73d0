import CSQLite
import Logging

/// A write that waits for its commit.
struct PendingWrite: Sendable {
    var write: StoreWrite
    var done: CheckedContinuation<Result<UInt64, StoreError>, Never>
}

/// Owns the writing connection; lives on the writer thread.
final class SQLiteWriter {
    private let connection: Connection
    private let hub: WatchHub
    private let options: SQLiteStore.Options
    private let logger: Logger

    private let find: Statement
    private let findValue: Statement
    private let append: Statement
    private let put: Statement
    private let remove: Statement

    /// The newest committed revision.
    private(set) var revision: UInt64
    /// Bytes written since the start, for the history's size limit.
    private(set) var writtenBytes = 0
    /// Why nothing is written any more: a sync that failed.
    private var broken: StoreError?
    private var isFullReported = false

    init(connection: Connection, revision: UInt64, hub: WatchHub, options: SQLiteStore.Options, logger: Logger)
        throws(SQLiteFailure)
    {
        self.connection = connection
        self.hub = hub
        self.options = options
        self.logger = logger
        self.revision = revision
        find = try Statement(connection, "SELECT revision, created FROM current WHERE key = ?1")
        findValue = try Statement(connection, "SELECT value FROM log WHERE revision = ?1")
        append = try Statement(
            connection, "INSERT INTO log (revision, key, created, previous, value) VALUES (?1, ?2, ?3, ?4, ?5)")
        put = try Statement(
            connection, "INSERT OR REPLACE INTO current (key, revision, created, expires) VALUES (?1, ?2, ?3, ?4)")
        remove = try Statement(connection, "DELETE FROM current WHERE key = ?1")
    }

    // MARK: Batches

    /// Commits waiting writes, many in one transaction, and resumes their callers.
    func commit(_ writes: [PendingWrite]) {
        var start = 0
        while start < writes.count {
            var end = start
            var bytes = 0
            while end < writes.count, end - start < options.batchWrites, bytes < options.batchBytes {
                bytes += writes[end].write.byteCount
                end += 1
            }
            commitOne(writes[start..<end])
            start = end
        }
    }

    private func commitOne(_ writes: ArraySlice<PendingWrite>) {
        do throws(SQLiteFailure) {
            finish(writes, try transact(writes.map(\.write)))
        } catch {
            guard error.primary == SQLITE_FULL else { return fail(writes, report(error)) }
            // Folding the log into the file lets the log start over, which often is room enough. Then one by one: a big
            // write must not take down the small ones, nor the removals that make room.
            try? connection.execute("PRAGMA wal_checkpoint(RESTART)")
            for index in writes.indices {
                let write = writes[index...index]
                do throws(SQLiteFailure) {
                    finish(write, try transact(write.map(\.write)))
                } catch {
                    fail(write, report(error))
                }
            }
        }
    }

    private func finish(_ writes: ArraySlice<PendingWrite>, _ results: [Result<UInt64, StoreError>]) {
        for (write, result) in zip(writes, results) { write.done.resume(returning: result) }
    }

    private func fail(_ writes: ArraySlice<PendingWrite>, _ reason: StoreError) {
        for write in writes { write.done.resume(returning: .failure(reason)) }
    }

    /// Applies guarded writes in one durable transaction and publishes what was committed.
    func transact(_ writes: [StoreWrite]) throws(SQLiteFailure) -> [Result<UInt64, StoreError>] {
        if let broken { return writes.map { _ in .failure(broken) } }
        var results: [Result<UInt64, StoreError>] = []
        results.reserveCapacity(writes.count)
        var events: [LoggedEvent] = []
        events.reserveCapacity(writes.count)
        var next = revision
        let now = options.clock()
        try connection.execute("BEGIN IMMEDIATE")
        do {
            for write in writes {
                switch try apply(write, revision: next + 1, now: now) {
                case .success(let event):
                    next += 1
                    events.append(event)
                    results.append(.success(next))
                case .failure(let error):
                    results.append(.failure(error))
                }
            }
            try connection.execute("COMMIT")
        } catch {
            rollback()
            throw error
        }
        revision = next
        for event in events { writtenBytes += event.bytes }
        isFullReported = false
        hub.publish(events)
        return results
    }

    private func apply(_ write: StoreWrite, revision: UInt64, now: Int64) throws(SQLiteFailure)
        -> Result<LoggedEvent, StoreError>
    {
        let key = write.key
        find.bind(1, text: key)
        var current: (revision: UInt64, created: UInt64)?
        if try find.step() {
            current = (find.revision(0), find.revision(1))
            find.reset()
        }
        let value: [UInt8]?
        var expires: Int64?
        var holds: Bool
        switch write {
        case .create(_, let bytes, let expiresAfter):
            holds = current == nil
            value = bytes
            expires = expiresAfter.map { now + $0.milliseconds }
        case .update(_, let bytes, let expected, let expiresAfter):
            holds = current?.revision == expected
            value = bytes
            expires = expiresAfter.map { now + $0.milliseconds }
        case .delete(_, let expected):
            holds = current?.revision == expected
            value = nil
        }
        var previous: [UInt8]?
        if let current {
            findValue.bind(1, current.revision)
            if try findValue.step() {
                previous = findValue.blob(0)
                findValue.reset()
            }
        }
        guard holds else {
            let there = current.map {
                StoredValue(key: key, value: previous ?? [], modRevision: $0.revision, createRevision: $0.created)
            }
            return .failure(.conflict(current: there))
        }
        let created = current?.created ?? revision
        append.bind(1, revision)
        append.bind(2, text: key)
        append.bind(3, created)
        append.bind(4, current?.revision ?? 0)
        append.bind(5, blob: value)
        try append.run()
        if value != nil {
            put.bind(1, text: key)
            put.bind(2, revision)
            put.bind(3, created)
            put.bind(4, expires)
            try put.run()
        } else {
            remove.bind(1, text: key)
            try remove.run()
        }
        let event = StoreEvent(
            key: key, value: value, previous: previous, revision: revision, previousRevision: current?.revision ?? 0)
        return .success(LoggedEvent(event: event, previousCreate: created))
    }

    // MARK: Failures

    /// Undoes an open transaction; SQLite has often done it already.
    func rollback() {
        if sqlite3_get_autocommit(connection.handle) == 0 { try? connection.execute("ROLLBACK") }
    }

    /// Logs a failed commit once per state and gives it the words of the store.
    func report(_ failure: SQLiteFailure) -> StoreError {
        let error = failure.storeError(path: connection.path)
        if failure.isLostSync {
            let text =
                "\(connection.path) could not be synced to disk (\(failure.message)); check the disk, then restart: until "
                + "then nothing is written"
            broken = .backend(text)
            logger.critical("store stopped writing", metadata: ["error": "\(text)"])
            return .backend(text)
        }
        if failure.primary == SQLITE_FULL {
            if !isFullReported { logger.error("disk full", metadata: ["error": "\(error)"]) }
            isFullReported = true
        } else {
            logger.error("commit failed", metadata: ["error": "\(error)"])
        }
        return error
    }
}

extension StoreWrite {
    /// Roughly what it adds to a transaction.
    var byteCount: Int {
        switch self {
        case .create(let key, let value, _), .update(let key, let value, _, _): key.utf8.count + value.count
        case .delete(let key, _): key.utf8.count
        }
    }
}

extension Duration {
    /// Whole milliseconds, saturating far beyond any lifetime.
    var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        return min(max(seconds, -1_000_000_000_000), 1_000_000_000_000) * 1000 + attoseconds / 1_000_000_000_000_000
    }
}
