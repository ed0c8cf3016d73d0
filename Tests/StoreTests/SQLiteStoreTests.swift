import Glibc
import Testing

@testable import Store

/// What only the file on disk can get wrong.
@Suite struct SQLiteStoreTests {
    @Test("everything is there after closing and opening again, also when the newest write was a removal")
    func reopening() async throws {
        try await withDirectory { directory in
            var store = try await openStore(directory)
            let first = try await store.create("/a", "1")
            let second = try await store.create("/b", "2")
            let third = try await store.write(.delete(key: "/b", expected: second))
            try await store.compact(to: third)
            await store.close()

            store = try await openStore(directory)
            #expect(try await store.currentRevision() == third)
            #expect(try await store.get("/a")?.modRevision == first)
            #expect(try await store.keys("/", at: third) == ["/a"])
            guard case .compacted = await storeError({ _ = try await store.keys("/", at: second) }) else {
                Issue.record("the floor was forgotten")
                return
            }
            #expect(try await store.create("/b") == third + 1)
            try await store.compact(to: third + 1)
            #expect(try await store.integrityCheck() == ["ok"])
            await store.close()
            #expect(try rows(directory, "SELECT count(*) FROM log") == 2, "the spared removal is compacted later")
        }
    }

    @Test("a watch goes on where it ended before a restart")
    func watchAcrossRestart() async throws {
        try await withDirectory { directory in
            var store = try await openStore(directory)
            var revision = try await store.create("/a", "0")
            for index in 1...2500 { revision = try await store.update("/a", "\(index)", revision) }
            await store.close()
            store = try await openStore(directory)
            let watch = try await store.watch(prefix: "/", after: 2)
            #expect(try await take(2500, from: watch).map(\.revision) == Array(3...revision))
            await store.close()
        }
    }

    @Test("only the owner can read the files")
    func modes() async throws {
        try await withDirectory { directory in
            let store = try await openStore(directory)
            _ = try await store.create("/a")
            for name in ["state.db", "state.db-wal", "state.db-shm", "state.db.lock"] {
                var status = stat()
                let result = stat(directory + "/" + name, &status)
                #expect(result == 0 && status.st_mode & 0o777 == 0o600, "\(name)")
            }
            await store.close()
        }
    }

    @Test("two stores cannot have one file")
    func lock() async throws {
        try await withDirectory { directory in
            let store = try await openStore(directory)
            let error = await storeError { _ = try await openStore(directory) }
            #expect(error?.description.contains("in use by process \(getpid())") == true)
            await store.close()
            await (try openStore(directory)).close()
        }
    }

    @Test("foreign, newer and damaged files are refused and left alone")
    func foreign() async throws {
        let cases: [(name: String, make: (String) throws -> Void, says: String)] = [
            ("text", { try write(Array("hello, I am a letter to my aunt".utf8), to: $0) }, "is no Apus database"),
            ("other", { try sql($0, "CREATE TABLE songs (name TEXT)") }, "of another program"),
            (
                "newer",
                { try sql($0, "PRAGMA application_id = 1097889139; PRAGMA user_version = 99; CREATE TABLE log (a)") },
                "newer Apus"
            ),
            (
                "stripped",
                {
                    try sql(
                        $0,
                        "PRAGMA application_id = 1097889139; PRAGMA user_version = 1; CREATE TABLE meta (name, value)")
                }, "is damaged"
            ),
            (
                "overwritten",
                { path in
                    try sql(path, "PRAGMA application_id = 1097889139; CREATE TABLE log (a)")
                    let descriptor = open(path, O_WRONLY)
                    let junk = [UInt8](repeating: 0x5A, count: 3000)
                    pwrite(descriptor, junk, junk.count, 40)
                    close(descriptor)
                }, "is damaged"
            ),
        ]
        #expect(DatabaseFormat.applicationID == 1_097_889_139)
        for (name, make, says) in cases {
            try await withDirectory { directory in
                let path = directory + "/state.db"
                try make(path)
                let before = try bytes(of: path)
                let error = await storeError { _ = try await openStore(directory) }
                guard case .foreign(let text) = error else {
                    Issue.record("\(name): \(String(describing: error))")
                    return
                }
                #expect(text.contains(says) && text.contains(path), "\(name): \(text)")
                #expect(try bytes(of: path) == before, "\(name) was changed")
            }
        }
    }

    @Test("a full disk fails the writes that do not fit and heals without a restart")
    func fullDisk() async throws {
        try await withDirectory { directory in
            let store = try await openStore(directory)
            let first = try await store.create("/first", String(repeating: "a", count: 2000))
            try await store.limitPages(to: 24)
            let big = await storeError { _ = try await store.create("/big", String(repeating: "x", count: 400_000)) }
            guard case .full(let text) = big else {
                Issue.record("\(String(describing: big))")
                return
            }
            #expect(text.contains("is full"))
            // In a batch with one that does not fit, the others are written.
            let results = await withTaskGroup(of: Bool.self) { group in
                for index in 0..<6 {
                    group.addTask {
                        let text = index == 3 ? String(repeating: "x", count: 400_000) : "small"
                        return (try? await store.create("/\(index)", text)) != nil
                    }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(results == 5)
            _ = try await store.write(.delete(key: "/first", expected: first))
            try await store.limitPages(to: 100_000)
            _ = try await store.create("/big", String(repeating: "x", count: 400_000))
            #expect(try await store.integrityCheck() == ["ok"])
            await store.close()
        }
    }

    @Test("history stays bounded by itself, in steps")
    func boundedHistory() async throws {
        try await withDirectory { directory in
            var options = SQLiteStore.Options()
            options.history.minimumRevisions = 50
            options.history.maximumRevisions = 100
            options.compactionStep = 40
            options.housekeepingPeriod = 1
            options.housekeepingPause = 1
            let store = try await openStore(directory, options)
            var revision = try await store.create("/a", "0")
            for index in 1...600 { revision = try await store.update("/a", "\(index)", revision) }
            // Level, not time: the floor gets there sooner or later.
            while await storeError({ _ = try await store.keys("/", at: revision - 101) }) == nil {
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(try await store.keys("/", at: revision - 49) == ["/a"])
            await store.close()
            #expect(try rows(directory, "SELECT count(*) FROM log") <= 101)
        }
    }
}

@Suite struct HistorySamplesTests {
    @Test("age forgets beyond the minimum, number and bytes always")
    func targets() {
        var limits = SQLiteStore.HistoryLimits()
        limits.age = 300_000
        limits.minimumRevisions = 100
        limits.maximumRevisions = 1000
        limits.maximumBytes = 5000
        var samples = HistorySamples(limits: limits)
        samples.note(revision: 10, bytes: 0, at: 0)
        #expect(samples.target(now: 1000, revision: 50) == 0)
        #expect(samples.target(now: 1000, revision: 1500) == 500)
        #expect(samples.target(now: 300_000, revision: 500) == 10)
        #expect(samples.target(now: 300_000, revision: 105) == 5)
        samples.note(revision: 400, bytes: 1000, at: 10_000)
        samples.note(revision: 500, bytes: 5500, at: 20_000)
        #expect(samples.target(now: 20_000, revision: 500) == 10, "more than 5000 bytes since revision 10")
    }
}

extension SQLiteStore {
    /// Makes SQLite itself report a full disk.
    fileprivate func limitPages(to count: Int) async throws {
        try await onWriter { housekeeping throws(SQLiteFailure) in
            _ = try housekeeping.connection.integer("PRAGMA max_page_count = \(count)")
        }
    }
}

private func sql(_ path: String, _ statements: String) throws {
    try Connection(path: path).execute(statements)
}
private func rows(_ directory: String, _ query: String) throws -> Int64 {
    try Connection(path: directory + "/state.db").integer(query) ?? -1
}
private func write(_ bytes: [UInt8], to path: String) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT, 0o600)
    defer { close(descriptor) }
    try #require(Glibc.write(descriptor, bytes, bytes.count) == bytes.count)
}
private func bytes(of path: String) throws -> [UInt8] {
    let descriptor = open(path, O_RDONLY)
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    let count = read(descriptor, &buffer, buffer.count)
    return Array(buffer.prefix(max(0, count)))
}
