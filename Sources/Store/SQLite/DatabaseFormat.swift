import CSQLite
import Glibc

/// The file format, and how a file is recognised before anything in it is changed.
///
/// - `log`: one row per kept revision, with the value of that write (NULL: the key was removed). The row of a key's newest
///   write is its current value, so a value is stored once. Rows of replaced values and of removals stay until history
///   is compacted past the write that replaced them.
/// - `current`: one row per existing key, pointing into `log`.
/// - `meta`: `format`, and `floor`: history up to this revision is gone.
enum DatabaseFormat {
    /// "Apus" in ASCII.
    static let applicationID: Int64 = 0x4170_7573
    /// Raised when the tables change in a way that older programs cannot read.
    static let version: Int64 = 1

    private static let schema = """
        CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
        CREATE TABLE log (
            revision INTEGER PRIMARY KEY,
            key TEXT NOT NULL,
            created INTEGER NOT NULL,
            previous INTEGER NOT NULL,
            value BLOB
        );
        CREATE TABLE current (
            key TEXT PRIMARY KEY,
            revision INTEGER NOT NULL,
            created INTEGER NOT NULL,
            expires INTEGER
        ) WITHOUT ROWID;
        CREATE INDEX current_expires ON current (expires) WHERE expires IS NOT NULL;
        INSERT INTO meta VALUES ('format', 'apus-cluster-state'), ('floor', 1);
        PRAGMA application_id = \(applicationID);
        PRAGMA user_version = \(version);
        """

    /// Opens the writing connection: creates a new database, or recognises an existing one as ours.
    /// - Throws: `.foreign` for files of others, damaged files and newer formats, untouched.
    static func open(path: String) throws(StoreError) -> Connection {
        try checkHeader(path)
        do {
            let connection = try Connection(path: path)
            let identity = try connection.integer("PRAGMA application_id") ?? 0
            let tables = try connection.texts("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            if identity == 0, tables.isEmpty {
                // New, or its creation was cut short before anything was in it.
                try connection.execute("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;")
                try tune(connection)
                try connection.execute("BEGIN IMMEDIATE; \(schema) COMMIT;")
                return connection
            }
            try recognise(connection, identity: identity, tables: tables)
            try connection.execute("PRAGMA journal_mode = WAL;")
            try tune(connection)
            return connection
        } catch let error as SQLiteFailure {
            // A header or a schema that makes no sense to SQLite is a plain SQLITE_ERROR.
            let code = error.primary == SQLITE_ERROR ? SQLITE_CORRUPT : error.code
            throw SQLiteFailure(code: code, message: error.message).storeError(path: path)
        } catch let error as StoreError {
            throw error
        } catch {
            throw .backend("\(error)")
        }
    }

    /// Settings of the writer. Durability first: FULL syncs the write-ahead log at every commit.
    private static func tune(_ connection: Connection) throws(SQLiteFailure) {
        try connection.execute(
            """
            PRAGMA synchronous = FULL;
            PRAGMA wal_autocheckpoint = 2000;
            PRAGMA journal_size_limit = 33554432;
            PRAGMA cache_size = -16384;
            PRAGMA temp_store = MEMORY;
            """)
    }

    /// A file that does not even start like SQLite's is never opened for writing.
    private static func checkHeader(_ path: String) throws(StoreError) {
        // Created here, so that only the owner can read it: it holds secrets, and SQLite gives its companions the same mode.
        let descriptor = Glibc.open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0o600)
        if descriptor < 0 {
            throw .backend(
                "\(path) cannot be opened: \(String(cString: strerror(errno))); check that its directory exists and is "
                    + "readable")
        }
        defer { close(descriptor) }
        var header = [UInt8](repeating: 0, count: 16)
        let count = pread(descriptor, &header, header.count, 0)
        if count < 0 {
            throw .backend("\(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        if count > 0, header != Array("SQLite format 3\0".utf8) {
            throw .foreign(
                "\(path) is no Apus database (it does not start like one); give another --data-dir, or move it away")
        }
    }

    private static func recognise(_ connection: Connection, identity: Int64, tables: [String]) throws {
        let path = connection.path
        guard identity == applicationID else {
            throw StoreError.foreign(
                "\(path) is a SQLite database of another program (application id \(identity), tables "
                    + "\(tables.prefix(3).joined(separator: ", "))); give another --data-dir, or move it away")
        }
        let found = try connection.integer("PRAGMA user_version") ?? 0
        guard found <= version else {
            throw StoreError.foreign(
                "\(path) was written by a newer Apus (format \(found), this one knows up to \(version)); "
                    + "start that version, or restore a backup made by this one")
        }
        let format = try connection.texts("SELECT value FROM meta WHERE name = 'format'").first
        guard found == version, format == "apus-cluster-state", Set(["current", "log", "meta"]).isSubset(of: tables)
        else {
            throw StoreError.foreign(
                "\(path) is damaged: its format row or a table is missing (format \(found)); restore a backup, or move it "
                    + "away to start empty")
        }
    }
}
