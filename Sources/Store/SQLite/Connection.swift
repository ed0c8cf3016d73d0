import CSQLite

/// A failure of SQLite: extended result code and its message.
struct SQLiteFailure: Error {
    var code: Int32
    var message: String

    /// The primary result code.
    var primary: Int32 { code & 0xFF }
    /// A failed `fsync` (of a file or a directory): the kernel may have dropped the pages, so nothing written later can be
    /// trusted either.
    var isLostSync: Bool { code == SQLITE_IOERR | (4 << 8) || code == SQLITE_IOERR | (5 << 8) }

    /// The same in the words of the store's users.
    func storeError(path: String) -> StoreError {
        switch primary {
        case SQLITE_FULL:
            .full(
                "the disk that holds \(path) is full; free some space, then writes work again without a restart")
        case SQLITE_CORRUPT, SQLITE_NOTADB:
            .foreign(
                "\(path) is damaged or is no Apus database (SQLite: \(message)); restore a backup, or move the file away"
                    + " to start empty")
        case SQLITE_CANTOPEN:
            .backend("\(path) cannot be opened (SQLite: \(message)); check that its directory exists and is writable")
        case SQLITE_READONLY:
            .backend("\(path) cannot be written (SQLite: \(message)); check its owner and mode")
        default:
            .backend("SQLite error \(code) on \(path): \(message)")
        }
    }
}

/// One SQLite connection, used by one thread only.
final class Connection {
    let handle: OpaquePointer
    let path: String

    /// Opens or creates a database file.
    init(path: String, readOnly: Bool = false) throws(SQLiteFailure) {
        var handle: OpaquePointer?
        let flags =
            (readOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) | SQLITE_OPEN_NOMUTEX
            | SQLITE_OPEN_EXRESCODE
        let result = sqlite3_open_v2(path, &handle, flags, nil)
        guard let handle, result == SQLITE_OK else {
            let message = handle.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
            sqlite3_close_v2(handle)
            throw SQLiteFailure(code: result, message: message)
        }
        self.handle = handle
        self.path = path
        sqlite3_busy_timeout(handle, 5000)
    }

    deinit { sqlite3_close_v2(handle) }

    /// Runs statements that return nothing of interest.
    func execute(_ sql: String) throws(SQLiteFailure) {
        let result = sqlite3_exec(handle, sql, nil, nil, nil)
        if result != SQLITE_OK { throw failure(result) }
    }

    /// First column of the first row as an integer; nil when there is no row or it is NULL.
    func integer(_ sql: String) throws(SQLiteFailure) -> Int64? {
        let statement = try Statement(self, sql)
        guard try statement.step(), !statement.isNull(0) else { return nil }
        return statement.integer(0)
    }

    /// First column of all rows as text.
    func texts(_ sql: String) throws(SQLiteFailure) -> [String] {
        let statement = try Statement(self, sql)
        var result: [String] = []
        while try statement.step() { result.append(statement.text(0)) }
        return result
    }

    func failure(_ code: Int32) -> SQLiteFailure {
        SQLiteFailure(code: code, message: String(cString: sqlite3_errmsg(handle)))
    }
}

/// A prepared statement, kept for the life of its connection.
final class Statement {
    private let connection: Connection
    private let handle: OpaquePointer
    /// Tells SQLite to copy what is bound.
    private static let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    init(_ connection: Connection, _ sql: String) throws(SQLiteFailure) {
        var handle: OpaquePointer?
        let result = sqlite3_prepare_v3(
            connection.handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &handle, nil)
        guard let handle, result == SQLITE_OK else { throw connection.failure(result) }
        self.connection = connection
        self.handle = handle
    }

    deinit { sqlite3_finalize(handle) }

    // MARK: Parameters (numbered from 1)

    func bind(_ index: Int32, _ value: UInt64) { sqlite3_bind_int64(handle, index, Int64(value)) }
    func bind(_ index: Int32, _ value: Int64?) {
        if let value { sqlite3_bind_int64(handle, index, value) } else { sqlite3_bind_null(handle, index) }
    }
    func bind(_ index: Int32, text: String) {
        var text = text
        text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { characters in
                _ = sqlite3_bind_text(
                    handle, index, characters.baseAddress, Int32(characters.count), Self.transient)
            }
        }
    }
    /// Bytes that are compared as text; they need not be valid UTF-8 (an upper bound of a prefix is not).
    func bind(_ index: Int32, textBytes: [UInt8]) {
        textBytes.withUnsafeBytes { bytes in
            let base = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
            if let base {
                _ = sqlite3_bind_text(handle, index, base, Int32(bytes.count), Self.transient)
            } else {
                _ = sqlite3_bind_text(handle, index, "", 0, Self.transient)
            }
        }
    }
    /// Nil binds NULL; an empty array binds an empty blob, which is something else.
    func bind(_ index: Int32, blob: [UInt8]?) {
        guard let blob else {
            sqlite3_bind_null(handle, index)
            return
        }
        blob.withUnsafeBytes { bytes in
            if bytes.isEmpty {
                _ = sqlite3_bind_zeroblob(handle, index, 0)
            } else {
                _ = sqlite3_bind_blob64(handle, index, bytes.baseAddress, UInt64(bytes.count), Self.transient)
            }
        }
    }
    func bind(_ range: KeyRange, lower: Int32, upper: Int32) {
        bind(lower, textBytes: range.lower)
        bind(upper, textBytes: range.upper ?? [0xFF])
    }

    // MARK: Running

    /// True while there is a row. At the end, and on failure, the statement is reset.
    func step() throws(SQLiteFailure) -> Bool {
        let result = sqlite3_step(handle)
        switch result {
        case SQLITE_ROW: return true
        case SQLITE_DONE:
            sqlite3_reset(handle)
            return false
        default:
            let failure = connection.failure(result)
            sqlite3_reset(handle)
            throw failure
        }
    }

    /// Runs a statement without rows.
    func run() throws(SQLiteFailure) {
        while try step() {}
    }

    /// Ends a reading early.
    func reset() { sqlite3_reset(handle) }

    // MARK: Columns (numbered from 0)

    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }
    func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }
    func revision(_ column: Int32) -> UInt64 { UInt64(bitPattern: sqlite3_column_int64(handle, column)) }
    func text(_ column: Int32) -> String {
        guard let start = sqlite3_column_text(handle, column) else { return "" }
        let count = Int(sqlite3_column_bytes(handle, column))
        return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }
    /// Nil for NULL.
    func blob(_ column: Int32) -> [UInt8]? {
        if isNull(column) { return nil }
        guard let start = sqlite3_column_blob(handle, column) else { return [] }
        return [UInt8](UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column))))
    }
}
