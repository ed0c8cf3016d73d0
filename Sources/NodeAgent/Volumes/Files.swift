import Glibc
import NIOPosix

/// A failed system call on a file.
struct FileError: Error, Sendable, CustomStringConvertible {
    let operation: String
    let path: String
    let code: Int32
    init(_ operation: String, _ path: String, _ code: Int32 = errno) {
        self.operation = operation
        self.path = path
        self.code = code
    }
    var description: String { "\(operation) \(path): \(String(cString: strerror(code)))" }
}

/// Threads for file work: more than cores, because they wait more than they work.
private let fileThreads: NIOThreadPool = {
    let pool = NIOThreadPool(numberOfThreads: 4)
    pool.start()
    return pool
}()

/// Runs blocking file work on threads of its own, away from the tasks.
func blocking<T: Sendable>(_ work: @escaping @Sendable () throws -> T) async throws -> T {
    try await fileThreads.runIfActive(work)
}

/// Plain blocking file operations. Call them inside `blocking`.
enum Files {
    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Creates a directory and its parents; the mode goes to those that are made.
    static func makeDirectories(_ path: String, mode: mode_t = 0o750) throws(FileError) {
        if mkdir(path, mode) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            throw FileError("mkdir", path)
        }
        try makeDirectories(String(path[..<slash]), mode: mode)
        if mkdir(path, mode) != 0, errno != EEXIST { throw FileError("mkdir", path) }
    }

    /// The whole file, or its first `limit` bytes.
    static func read(_ path: String, limit: Int = 16 << 20) throws(FileError) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw FileError("open", path) }
        defer { close(file) }
        var out: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while out.count < limit {
            let count = Glibc.read(file, &chunk, min(chunk.count, limit - out.count))
            if count < 0 {
                if errno == EINTR { continue }
                throw FileError("read", path)
            }
            if count == 0 { break }
            out.append(contentsOf: chunk[..<count])
        }
        return out
    }
    static func text(_ path: String, limit: Int = 16 << 20) -> String? {
        guard let bytes = try? read(path, limit: limit) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Writes a new or emptied file with exactly this mode.
    static func write(_ path: String, _ bytes: [UInt8], mode: mode_t) throws(FileError) {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard file >= 0 else { throw FileError("open", path) }
        defer { close(file) }
        guard fchmod(file, mode) == 0 else { throw FileError("chmod", path) }
        try writeAll(file, bytes, path)
    }
    /// Writes into an existing file, for example a cgroup's.
    static func put(_ path: String, _ text: String) throws(FileError) {
        let file = open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { throw FileError("open", path) }
        defer { close(file) }
        try writeAll(file, Array(text.utf8), path)
    }
    private static func writeAll(_ file: Int32, _ bytes: [UInt8], _ path: String) throws(FileError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                throw FileError("write", path)
            }
            rest = rest.dropFirst(count)
        }
    }

    static func names(in directory: String) -> [String] {
        guard let handle = opendir(directory) else { return [] }
        defer { closedir(handle) }
        var result: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { result.append(name) }
        }
        return result
    }

    static func status(_ path: String, follow: Bool = true) -> stat? {
        var result = stat()
        return (follow ? stat(path, &result) : lstat(path, &result)) == 0 ? result : nil
    }
    static func isDirectory(_ path: String, follow: Bool = true) -> Bool {
        status(path, follow: follow).map { $0.st_mode & S_IFMT == S_IFDIR } ?? false
    }
    static func realPath(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }
    static func link(_ path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { bytes in
            bytes.bindMemory(to: CChar.self).baseAddress.map { readlink(path, $0, bytes.count) } ?? -1
        }
        return count >= 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }

    /// Removes a file or a tree; never crosses into another file system.
    static func removeTree(_ path: String) throws(FileError) {
        guard let root = status(path, follow: false) else { return }
        try remove(path, device: root.st_dev)
    }
    private static func remove(_ path: String, device: dev_t) throws(FileError) {
        guard let entry = status(path, follow: false) else { return }
        guard entry.st_mode & S_IFMT == S_IFDIR else {
            if unlink(path) != 0, errno != ENOENT { throw FileError("unlink", path) }
            return
        }
        guard entry.st_dev == device else { throw FileError("remove", path, EBUSY) }
        for name in names(in: path) { try remove("\(path)/\(name)", device: device) }
        if rmdir(path) != 0, errno != ENOENT { throw FileError("rmdir", path) }
    }

    /// Bytes that a tree takes on the disk; what another file system holds is left out.
    static func usage(_ path: String) -> Int {
        guard let root = status(path, follow: false) else { return 0 }
        var blocks = 0
        var waiting = [path]
        while let directory = waiting.popLast() {
            for name in names(in: directory) {
                let child = "\(directory)/\(name)"
                guard let entry = status(child, follow: false), entry.st_dev == root.st_dev else { continue }
                blocks += Int(entry.st_blocks)
                if entry.st_mode & S_IFMT == S_IFDIR { waiting.append(child) }
            }
        }
        return blocks * 512
    }

    /// Every file and directory below, the top included, links not followed.
    static func walk(_ path: String, _ visit: (String, stat) throws(FileError) -> Void) throws(FileError) {
        guard let entry = status(path, follow: false) else { return }
        try visit(path, entry)
        guard entry.st_mode & S_IFMT == S_IFDIR else { return }
        for name in names(in: path) { try walk("\(path)/\(name)", visit) }
    }
}

/// mount(2) and what is mounted.
enum Mounts {
    /// Mounts a tmpfs unless one is mounted there already.
    static func tmpfs(_ path: String, sizeBytes: Int?, mode: String = "0777") throws(FileError) {
        if isMountPoint(path) { return }
        var options = "mode=\(mode)"
        if let sizeBytes, sizeBytes > 0 { options += ",size=\(sizeBytes)" }
        let result = options.withCString { mount("tmpfs", path, "tmpfs", UInt(MS_NODEV | MS_NOSUID), $0) }
        if result != 0 { throw FileError("mount tmpfs on", path) }
    }
    /// Shows `source` at `target` too.
    static func bind(_ source: String, on target: String) throws(FileError) {
        if mount(source, target, nil, UInt(MS_BIND | MS_REC), nil) != 0 { throw FileError("bind mount on", target) }
    }
    static func isMountPoint(_ path: String) -> Bool {
        guard let own = Files.status(path, follow: false), let parent = Files.status(path + "/..", follow: false) else {
            return false
        }
        return own.st_dev != parent.st_dev
    }
    /// Mount points at or below a directory, deepest first.
    static func below(_ directory: String) -> [String] {
        guard let table = Files.text("/proc/self/mountinfo") else { return [] }
        var result: [String] = []
        for line in table.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 4 else { continue }
            let path = unescape(String(fields[4]))
            if path == directory || path.hasPrefix(directory + "/") { result.append(path) }
        }
        return result.reversed()
    }
    static func unmountAll(below directory: String) throws(FileError) {
        for path in below(directory) where umount2(path, Int32(MNT_DETACH)) != 0 && errno != EINVAL && errno != ENOENT {
            throw FileError("umount", path)
        }
    }
    private static func unescape(_ path: String) -> String {
        guard path.contains("\\") else { return path }
        var out: [UInt8] = []
        var bytes = Array(path.utf8)[...]
        while let byte = bytes.popFirst() {
            if byte == UInt8(ascii: "\\"), bytes.count >= 3,
                let value = UInt8(String(decoding: bytes.prefix(3), as: UTF8.self), radix: 8)
            {
                out.append(value)
                bytes = bytes.dropFirst(3)
            } else {
                out.append(byte)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
