import Glibc
import HTTPWindow
import NIOPosix

/// A file or folder of a sandbox, opened so that no link can lead out of it. Blocking: for the thread pool.
struct SandboxFile: ~Copyable {
    /// What clients see of a file.
    struct Entry: Sendable {
        var name: String
        var size: Int
        var links: Int
        /// Type and permissions.
        var mode: UInt32
        /// Nanoseconds since 1970.
        var modified: Int64
        var user: String
        var group: String

        var isFolder: Bool { mode & S_IFMT == S_IFDIR }
        var isFile: Bool { mode & S_IFMT == S_IFREG }
        /// As `ls -l` prints it.
        var modeText: String {
            let type =
                switch mode & S_IFMT {
                case S_IFDIR: "d"
                case S_IFLNK: "l"
                case S_IFIFO: "p"
                case S_IFSOCK: "s"
                case S_IFCHR: "c"
                case S_IFBLK: "b"
                default: "-"
                }
            let bits = Array("rwxrwxrwx")
            return type
                + String(
                    bits.indices.map { mode & (1 << UInt32(8 - $0)) != 0 ? bits[$0] : "-" })
        }
    }
    /// `O_PATH`, which the C library's module does not show.
    private static let pathOnly: Int32 = 0o10000000
    private let descriptor: Int32
    let entry: Entry

    /// - Parameters:
    ///   - root: a folder that is trusted.
    ///   - path: below it; whatever its links say, what is opened lies below the root.
    /// - Throws: `WindowError` 404 when there is nothing, or what there is lies elsewhere.
    init(root: String, path: String) throws {
        let full = path.isEmpty ? root : "\(root)/\(path)"
        // O_PATH touches nothing: no device is opened, no pipe waits.
        let descriptor = open(full, Self.pathOnly | O_CLOEXEC)
        guard descriptor >= 0 else { throw WindowError(404, "No such file or directory") }
        var status = stat()
        guard let place = Self.link("/proc/self/fd/\(descriptor)"), let real = Self.real(root),
            place == real || place.hasPrefix(real + "/"), fstat(descriptor, &status) == 0
        else {
            close(descriptor)
            throw WindowError(404, "No such file or directory")
        }
        self.descriptor = descriptor
        let name = path.split(separator: "/").last.map(String.init) ?? ""
        entry = Self.entry(name, status)
    }
    deinit { close(descriptor) }

    /// Bytes of a regular file from an offset on.
    func read(offset: Int, length: Int) throws -> [UInt8] {
        guard entry.isFile else { throw WindowError(400, "Not a regular file") }
        let file = open("/proc/self/fd/\(descriptor)", O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw WindowError(404, "No such file or directory") }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: max(0, min(length, entry.size - offset)))
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeMutableBytes { buffer in
                pread(file, buffer.baseAddress?.advanced(by: done), buffer.count - done, offset + done)
            }
            if count <= 0 { break }
            done += count
        }
        return Array(bytes.prefix(done))
    }

    /// What a folder holds, by name; at most 10,000 entries.
    func entries() throws -> [Entry] {
        guard entry.isFolder else { return [] }
        let copy = open("/proc/self/fd/\(descriptor)", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0, let folder = fdopendir(copy) else {
            if copy >= 0 { close(copy) }
            throw WindowError(404, "No such file or directory")
        }
        defer { closedir(folder) }
        var entries: [Entry] = []
        while entries.count < 10_000, let next = readdir(folder) {
            let name = withUnsafeBytes(of: next.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            var status = stat()
            guard name != ".", name != "..", fstatat(copy, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            entries.append(Self.entry(name, status))
        }
        return entries.sorted { $0.name < $1.name }
    }

    private static func entry(_ name: String, _ status: stat) -> Entry {
        Entry(
            name: name, size: Int(status.st_size), links: Int(status.st_nlink), mode: status.st_mode,
            modified: Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec),
            user: userName(status.st_uid), group: String(status.st_gid))
    }
    private static func userName(_ id: uid_t) -> String {
        var record = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 4096)
        guard getpwuid_r(id, &record, &buffer, buffer.count, &found) == 0, found != nil, let name = record.pw_name
        else { return String(id) }
        return String(cString: name)
    }
    private static func link(_ path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = buffer.withUnsafeMutableBytes { raw in
            raw.baseAddress.map { readlink(path, $0.assumingMemoryBound(to: CChar.self), raw.count) } ?? -1
        }
        return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : nil
    }
    private static func real(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }

    /// Runs what blocks where that harms nobody.
    static func blocking<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await NIOThreadPool.singleton.runIfActive(work)
    }
}
