import CSQLite
import Logging

/// What the writer thread does between batches, in steps small enough that no write waits long: removing expired keys,
/// forgetting old history, giving free pages back.
final class SQLiteHousekeeping {
    let connection: Connection
    private let writer: SQLiteWriter
    private let hub: WatchHub
    private let options: SQLiteStore.Options
    private let logger: Logger

    private let expired: Statement
    private let superseded: Statement
    private let replaced: Statement
    private let tombstones: Statement
    private let setFloor: Statement

    private(set) var floor: UInt64
    /// Asked for by `compact`.
    private var wanted: UInt64 = 0
    private var samples: HistorySamples
    private var nextRun: Int64 = 0

    init(
        connection: Connection, writer: SQLiteWriter, floor: UInt64, hub: WatchHub, options: SQLiteStore.Options,
        logger: Logger
    ) throws(SQLiteFailure) {
        self.connection = connection
        self.writer = writer
        self.floor = floor
        self.hub = hub
        self.options = options
        self.logger = logger
        samples = HistorySamples(limits: options.history)
        expired = try Statement(
            connection, "SELECT key, revision FROM current WHERE expires <= ?1 ORDER BY expires LIMIT ?2")
        superseded = try Statement(
            connection, "SELECT previous FROM log WHERE revision BETWEEN ?1 AND ?2 AND previous <> 0")
        replaced = try Statement(connection, "DELETE FROM log WHERE revision = ?1")
        tombstones = try Statement(
            connection, "DELETE FROM log WHERE revision BETWEEN ?1 AND ?2 AND value IS NULL")
        setFloor = try Statement(connection, "UPDATE meta SET value = ?1 WHERE name = 'floor'")
    }

    /// Does one step when it is time.
    /// - Returns: milliseconds until the next one is wanted.
    func runIfDue() -> Int {
        let now = monotonicMilliseconds()
        if now >= nextRun {
            var more = false
            do throws(SQLiteFailure) {
                more = try expireSome()
                samples.note(revision: writer.revision, bytes: writer.writtenBytes, at: now)
                let target = max(wanted, samples.target(now: now, revision: writer.revision))
                if target > floor { more = try compactSome(to: target) || more }
                if !more { try vacuumSome() }
            } catch {
                writer.rollback()
                _ = writer.report(error)
            }
            nextRun = monotonicMilliseconds() + (more ? options.housekeepingPause : options.housekeepingPeriod)
        }
        return Int(max(1, nextRun - monotonicMilliseconds()))
    }

    /// Removes keys whose time is over, as ordinary writes, until none is left.
    func expireAll() throws(SQLiteFailure) {
        while try expireSome() {}
    }

    private func expireSome() throws(SQLiteFailure) -> Bool {
        let limit = 256
        expired.bind(1, options.clock())
        expired.bind(2, Int64(limit))
        var deletes: [StoreWrite] = []
        while try expired.step() { deletes.append(.delete(key: expired.text(0), expected: expired.revision(1))) }
        if deletes.isEmpty { return false }
        _ = try writer.transact(deletes)
        return deletes.count == limit
    }

    /// Forgets history up to a revision, all of it.
    func compact(to revision: UInt64) throws(SQLiteFailure) {
        wanted = max(wanted, min(revision, writer.revision))
        do {
            while floor < wanted { _ = try compactSome(to: wanted) }
        } catch {
            writer.rollback()
            throw error
        }
    }

    /// Moves the floor by a bounded number of revisions.
    /// - Returns: true when there is more to do.
    private func compactSome(to target: UInt64) throws(SQLiteFailure) -> Bool {
        let next = min(target, floor + options.compactionStep)
        try connection.execute("BEGIN IMMEDIATE")
        // From `floor` inclusive: when it was the newest revision and a removal, its row was spared the last time, because
        // the newest row is where the revision is read from at the next start.
        superseded.bind(1, floor)
        superseded.bind(2, next)
        var garbage: [UInt64] = []
        while try superseded.step() { garbage.append(superseded.revision(0)) }
        for revision in garbage {
            replaced.bind(1, revision)
            try replaced.run()
        }
        tombstones.bind(1, floor)
        tombstones.bind(2, min(next, writer.revision - 1))
        try tombstones.run()
        setFloor.bind(1, next)
        try setFloor.run()
        try connection.execute("COMMIT")
        floor = next
        hub.compacted(to: next)
        return next < target
    }

    /// Returns free pages at the end of the file to the disk when there are many.
    private func vacuumSome() throws(SQLiteFailure) {
        let free = try connection.integer("PRAGMA freelist_count") ?? 0
        let pages = try connection.integer("PRAGMA page_count") ?? 0
        if free > 4096, free > pages / 4 { try connection.execute("PRAGMA incremental_vacuum(512)") }
    }
}

/// How much history there is by age and bytes: a few samples of (time, revision, bytes written).
struct HistorySamples {
    private struct Sample {
        var time: Int64
        var revision: UInt64
        var bytes: Int
    }
    private var samples: [Sample] = []
    private let limits: SQLiteStore.HistoryLimits

    init(limits: SQLiteStore.HistoryLimits) {
        self.limits = limits
    }

    /// Remembers where history stands now; at most one sample in five seconds.
    mutating func note(revision: UInt64, bytes: Int, at now: Int64) {
        if let last = samples.last, now - last.time < 5000 { return }
        samples.append(Sample(time: now, revision: revision, bytes: bytes))
        // Only the newest of those that are already too old is of use.
        while samples.count > 1, samples[1].time <= now - limits.age { samples.removeFirst() }
    }

    /// The revision up to which history may be forgotten. Age forgets only beyond the always-kept number.
    func target(now: Int64, revision: UInt64) -> UInt64 {
        func back(_ count: UInt64) -> UInt64 { revision > count ? revision - count : 0 }
        var target = back(limits.maximumRevisions)
        if let first = samples.first, first.time <= now - limits.age { target = max(target, first.revision) }
        target = min(target, back(limits.minimumRevisions))
        // Bytes are a hard bound.
        if let last = samples.last {
            for sample in samples where last.bytes - sample.bytes > limits.maximumBytes {
                target = max(target, sample.revision)
            }
        }
        return target
    }
}
