import Glibc

/// Small file jobs of the supervisor. They block: call them on a thread that may.
enum HostFiles {
    static func makeDirectory(_ path: String, mode: mode_t = 0o755) throws(RuntimeError) {
        var current = ""
        for part in path.split(separator: "/") {
            current += "/\(part)"
            if mkdir(current, mode) != 0, errno != EEXIST { throw failure("mkdir", current) }
        }
    }

    /// Nil when the file does not exist or cannot be read. `/proc` files included.
    static func read(_ path: String, limit: Int = 1 << 20) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { Glibc.close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16384)
        while bytes.count < limit {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        return bytes
    }

    static func readText(_ path: String) -> String? {
        read(path).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Replaces a file so that a reader, or a crash at any moment, finds the old or the new content.
    static func write(_ path: String, _ bytes: [UInt8]) throws(RuntimeError) {
        let temporary = path + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure("open", temporary) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                let error = failure("write", temporary)
                Glibc.close(descriptor)
                throw error
            }
            rest = rest.dropFirst(count)
        }
        let isSynced = fsync(descriptor) == 0
        let isClosed = Glibc.close(descriptor) == 0
        guard isSynced, isClosed else { throw failure("fsync", temporary) }
        guard rename(temporary, path) == 0 else { throw failure("rename", path) }
    }

    static func entries(_ directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func isDirectory(_ path: String) -> Bool {
        var info = stat()
        return lstat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
    }

    /// Removes a file or a whole tree; what is gone already is fine.
    static func remove(_ path: String) {
        if isDirectory(path) {
            for name in entries(path) { remove(path + "/" + name) }
            rmdir(path)
        } else {
            unlink(path)
        }
    }

    /// Removes a cgroup and those below it: only directories can be removed there.
    static func removeCgroup(_ path: String) {
        for name in entries(path) where isDirectory(path + "/" + name) { removeCgroup(path + "/" + name) }
        rmdir(path)
    }

    /// The first program of that name in `PATH`, or the path itself when it has a slash; nil when it is not there.
    static func findProgram(_ name: String) -> String? {
        if name.contains("/") { return access(name, X_OK) == 0 ? name : nil }
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        let places = path.split(separator: ":").map(String.init) + ["/usr/local/bin", "/usr/bin", "/usr/sbin", "/sbin"]
        return places.map { $0 + "/" + name }.first { access($0, X_OK) == 0 }
    }

    /// Mount points below a directory, innermost last.
    static func mountPoints(below directory: String) -> [String] {
        let prefix = directory + "/"
        return (read("/proc/self/mountinfo", limit: 64 << 20) ?? []).split(separator: 0x0A).compactMap { line in
            let fields = line.split(separator: 0x20)
            guard fields.count > 4 else { return nil }
            let point = unescape(fields[4])
            return point == directory || point.hasPrefix(prefix) ? point : nil
        }
    }

    /// Detaches every mount below a directory.
    static func unmountAll(below directory: String) {
        // Mounts may be stacked on one point, so look again until nothing is left.
        for _ in 0..<8 {
            let points = mountPoints(below: directory)
            if points.isEmpty { return }
            for point in points.reversed() { umount2(point, Int32(MNT_DETACH)) }
        }
    }

    /// Space, tab, newline and backslash are three octal digits in mountinfo.
    private static func unescape(_ field: ArraySlice<UInt8>) -> String {
        var out: [UInt8] = []
        var index = field.startIndex
        while index < field.endIndex {
            if field[index] == 0x5C, index + 3 < field.endIndex,
                let value = UInt8(String(decoding: field[(index + 1)...(index + 3)], as: UTF8.self), radix: 8)
            {
                out.append(value)
                index += 4
            } else {
                out.append(field[index])
                index += 1
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    static func failure(_ operation: String, _ path: String) -> RuntimeError {
        RuntimeError(.other, operation: operation, "cannot \(operation) \(path): \(String(cString: strerror(errno)))")
    }
}
