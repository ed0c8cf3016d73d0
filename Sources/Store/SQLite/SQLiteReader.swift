import CSQLite

/// Owns the reading connection; lives on the reader thread. Every reading is one snapshot.
final class SQLiteReader {
    private let connection: Connection
    private let getOne: Statement
    private let valueAt: Statement
    private let listNow: Statement
    private let changedSince: Statement
    private let newest: Statement
    private let floorRow: Statement
    private let historyRows: Statement

    init(path: String) throws(SQLiteFailure) {
        connection = try Connection(path: path, readOnly: true)
        try connection.execute("PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;")
        getOne = try Statement(
            connection,
            """
            SELECT c.revision, c.created, l.value FROM current c JOIN log l ON l.revision = c.revision WHERE c.key = ?1
            """)
        valueAt = try Statement(connection, "SELECT value FROM log WHERE revision = ?1")
        // CROSS JOIN keeps this order of loops: keys in order, then the value of each.
        listNow = try Statement(
            connection,
            """
            SELECT c.key, c.revision, c.created, l.value FROM current c CROSS JOIN log l ON l.revision = c.revision
            WHERE c.key >= ?1 AND c.key < ?2 ORDER BY c.key
            """)
        changedSince = try Statement(
            connection,
            "SELECT key, previous, created FROM log WHERE revision > ?1 AND key >= ?2 AND key < ?3 ORDER BY revision")
        newest = try Statement(connection, "SELECT max(revision) FROM log")
        floorRow = try Statement(connection, "SELECT value FROM meta WHERE name = 'floor'")
        historyRows = try Statement(
            connection,
            """
            SELECT l.revision, l.key, l.value, l.previous, p.value FROM log l LEFT JOIN log p ON p.revision = l.previous
            WHERE l.revision > ?1 AND l.revision <= ?2 AND l.key >= ?3 AND l.key < ?4 ORDER BY l.revision
            """)
    }

    /// Runs a reading in one read transaction.
    private func snapshot<T>(_ body: () throws -> T) throws -> T {
        try connection.execute("BEGIN")
        defer {
            for statement in [getOne, valueAt, listNow, changedSince, newest, floorRow, historyRows] {
                statement.reset()
            }
            try? connection.execute("COMMIT")
        }
        return try body()
    }

    func get(_ key: String) throws -> StoredValue? {
        getOne.bind(1, text: key)
        defer { getOne.reset() }
        guard try getOne.step() else { return nil }
        return StoredValue(
            key: key, value: getOne.blob(2) ?? [], modRevision: getOne.revision(0), createRevision: getOne.revision(1))
    }

    func list(prefix: String, after: String?, limit: Int?, revision: UInt64?) throws -> StoreListing {
        try snapshot {
            let current = try currentRevision()
            let at = revision ?? current
            if at > current { throw StoreError.futureRevision(current: current) }
            let floor = try floor()
            if at < floor { throw StoreError.compacted(oldest: floor) }
            let range = KeyRange(prefix: prefix, after: after)
            let changes = at == current ? PastKeys() : try changed(since: at, in: range)
            return try list(range, limit: limit ?? .max, revision: at, changes: changes)
        }
    }

    /// Merges the present keys, minus those written since, with what those keys were then.
    private func list(_ range: KeyRange, limit: Int, revision: UInt64, changes: PastKeys) throws -> StoreListing {
        var values: [StoredValue] = []
        var hasMore = false
        var past = changes.existing[...]
        func add(_ value: @autoclosure () throws -> StoredValue) rethrows -> Bool {
            if values.count == limit {
                hasMore = true
                return false
            }
            values.append(try value())
            return true
        }
        func addPast(before key: String?) throws -> Bool {
            while let first = past.first, key.map({ String.keyOrder(first.key, $0) }) ?? true {
                guard try add(try self.past(first)) else { return false }
                past.removeFirst()
            }
            return true
        }
        listNow.bind(range, lower: 1, upper: 2)
        while try listNow.step() {
            let key = listNow.text(0)
            if changes.keys.contains(key) { continue }
            guard
                try addPast(before: key),
                add(
                    StoredValue(
                        key: key, value: listNow.blob(3) ?? [], modRevision: listNow.revision(1),
                        createRevision: listNow.revision(2)))
            else { return StoreListing(values: values, revision: revision, hasMore: hasMore) }
        }
        _ = try addPast(before: nil)
        return StoreListing(values: values, revision: revision, hasMore: hasMore)
    }

    private struct PastKeys {
        struct Version {
            var key: String
            var revision: UInt64
            var created: UInt64
        }
        /// Keys whose present state is newer than the listing.
        var keys: Set<String> = []
        /// Those of them that existed then, in key order.
        var existing: [Version] = []
    }

    /// The first write of a key after a revision tells what the key was at that revision.
    private func changed(since revision: UInt64, in range: KeyRange) throws -> PastKeys {
        var result = PastKeys()
        changedSince.bind(1, revision)
        changedSince.bind(range, lower: 2, upper: 3)
        while try changedSince.step() {
            let key = changedSince.text(0)
            guard result.keys.insert(key).inserted else { continue }
            let previous = changedSince.revision(1)
            if previous == 0 { continue }
            result.existing.append(
                PastKeys.Version(key: key, revision: previous, created: changedSince.revision(2)))
        }
        result.existing.sort { String.keyOrder($0.key, $1.key) }
        return result
    }

    private func past(_ version: PastKeys.Version) throws -> StoredValue {
        valueAt.bind(1, version.revision)
        defer { valueAt.reset() }
        guard try valueAt.step(), let value = valueAt.blob(0) else {
            throw StoreError.foreign(
                "\(connection.path) is damaged: revision \(version.revision) of \(version.key) is missing; restore a backup"
            )
        }
        return StoredValue(
            key: version.key, value: value, modRevision: version.revision, createRevision: version.created)
    }

    /// A page of events `(after, through]`, bounded by number and bytes.
    func history(prefix: String, after: UInt64, through: UInt64) throws -> WatchHub.HistoryPage {
        try snapshot {
            let floor = try floor()
            if after < floor { throw StoreError.compacted(oldest: floor) }
            historyRows.bind(1, after)
            historyRows.bind(2, through)
            historyRows.bind(KeyRange(prefix: prefix), lower: 3, upper: 4)
            var events: [StoreEvent] = []
            var bytes = 0
            while try historyRows.step() {
                let previous = historyRows.revision(3)
                let event = StoreEvent(
                    key: historyRows.text(1), value: historyRows.blob(2),
                    previous: previous == 0 ? nil : historyRows.blob(4), revision: historyRows.revision(0),
                    previousRevision: previous)
                events.append(event)
                bytes += (event.value?.count ?? 0) + (event.previous?.count ?? 0)
                if events.count == 1000 || bytes > 4 << 20 {
                    return WatchHub.HistoryPage(events: events, through: event.revision)
                }
            }
            return WatchHub.HistoryPage(events: events, through: through)
        }
    }

    /// SQLite's own check of the whole file; `ok` or the problems.
    func integrityCheck() throws -> [String] {
        try connection.texts("PRAGMA integrity_check")
    }

    private func currentRevision() throws -> UInt64 {
        defer { newest.reset() }
        return try newest.step() && !newest.isNull(0) ? newest.revision(0) : 1
    }

    private func floor() throws -> UInt64 {
        defer { floorRow.reset() }
        return try floorRow.step() ? floorRow.revision(0) : 1
    }
}
