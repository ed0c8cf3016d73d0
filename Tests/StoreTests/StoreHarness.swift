import Glibc
import Logging
import Synchronization
import Testing

@testable import Store

/// The backends that the conformance suite runs over.
enum Backend: String, CaseIterable, CustomTestStringConvertible {
    case memory
    case sqlite
    var testDescription: String { rawValue }
}

/// A clock that tests move by hand; milliseconds.
final class TestClock: Sendable {
    private let now = Mutex<Int64>(1_000_000)
    var read: @Sendable () -> Int64 { { [self] in now.withLock { $0 } } }
    func advance(_ milliseconds: Int64) { now.withLock { $0 += milliseconds } }
}

/// A fresh directory, removed after the body.
func withDirectory<T>(_ body: (String) async throws -> T) async throws -> T {
    var template = Array("/tmp/apus-store-XXXXXX".utf8CString)
    let path = try #require(mkdtemp(&template).map { String(cString: $0) })
    defer { remove(directory: path) }
    return try await body(path)
}

private func remove(directory path: String) {
    guard let directory = opendir(path) else { return }
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { unlink(path + "/" + name) }
    }
    closedir(directory)
    rmdir(path)
}

/// A new store of one backend, closed after the body.
func withStore(
    _ backend: Backend, clock: TestClock = TestClock(), watcherEvents: Int = 20_000,
    _ body: (any Store) async throws -> Void
) async throws {
    switch backend {
    case .memory:
        let store = MemoryStore(watcherEvents: watcherEvents, clock: clock.read)
        try await body(store)
        await store.close()
    case .sqlite:
        try await withDirectory { directory in
            var options = SQLiteStore.Options()
            options.clock = clock.read
            options.watcherEvents = watcherEvents
            // A short ring, so that the suite goes through history on disk too.
            options.ringEvents = 8
            let store = try await openStore(directory, options)
            try await body(store)
            await store.close()
        }
    }
}

func openStore(_ directory: String, _ options: SQLiteStore.Options = .init()) async throws -> SQLiteStore {
    try await SQLiteStore.open(
        path: directory + "/state.db", options: options,
        logger: Logger(label: "test") { _ in
            SwiftLogNoOpLogHandler()
        })
}

extension Store {
    func create(_ key: String, _ text: String = "", expiresAfter: Duration? = nil) async throws -> UInt64 {
        try await write(.create(key: key, value: Array(text.utf8), expiresAfter: expiresAfter))
    }
    func update(_ key: String, _ text: String, _ expected: UInt64, expiresAfter: Duration? = nil) async throws -> UInt64
    {
        try await write(.update(key: key, value: Array(text.utf8), expected: expected, expiresAfter: expiresAfter))
    }
    func keys(_ prefix: String, after: String? = nil, limit: Int? = nil, at revision: UInt64? = nil) async throws
        -> [String]
    {
        try await list(prefix: prefix, after: after, limit: limit, revision: revision).values.map(\.key)
    }
    func expireNow() async throws {
        switch self {
        case let store as MemoryStore: store.expire()
        case let store as SQLiteStore:
            try await store.onWriter { housekeeping throws(SQLiteFailure) in try housekeeping.expireAll() }
        default: Issue.record("unknown backend")
        }
    }
}

extension StoredValue {
    var text: String { String(decoding: value, as: UTF8.self) }
}

/// Reads a watch until so many events have come.
func take(_ count: Int, from watch: StoreWatch) async throws -> [StoreEvent] {
    var events: [StoreEvent] = []
    if count == 0 { return [] }
    for try await batch in watch {
        events += batch
        if events.count >= count { break }
    }
    return events
}

/// The store error that a body throws.
func storeError(_ body: () async throws -> Void) async -> StoreError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? StoreError
    }
}
