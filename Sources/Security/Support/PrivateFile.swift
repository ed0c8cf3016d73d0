import Glibc

/// Small files that only their owner may read, replaced as a whole: after a crash there is the old content or the new.
enum PrivateFile {
    /// The content; nil when there is no such file.
    /// - Throws: `SecurityError` when it cannot be read or is larger than 1 MiB.
    static func read(_ path: String) throws(SecurityError) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 {
            if errno == ENOENT { return nil }
            throw SecurityError("\(path) cannot be read: \(reason())")
        }
        defer { close(descriptor) }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw SecurityError("\(path) cannot be read: \(reason())")
            }
            if count == 0 { return content }
            content += buffer.prefix(count)
            if content.count > 1 << 20 {
                throw SecurityError("\(path) is larger than 1 MiB; it is no key or certificate")
            }
        }
    }

    /// Replaces a file: written beside it with mode 0600, synced, renamed, and the directory synced.
    static func write(_ path: String, _ content: some Collection<UInt8>) throws(SecurityError) {
        let temporary = "\(path).new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        if descriptor < 0 { throw SecurityError("\(temporary) cannot be created: \(reason())") }
        let bytes = Array(content)
        var written = 0
        var failed = false
        while written < bytes.count, !failed {
            let count = bytes[written...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 { written += count } else if errno != EINTR { failed = true }
        }
        failed = failed || fsync(descriptor) != 0
        let problem = failed ? reason() : ""
        close(descriptor)
        if failed {
            unlink(temporary)
            throw SecurityError("\(temporary) cannot be written: \(problem)")
        }
        if rename(temporary, path) != 0 { throw SecurityError("\(path) cannot be replaced: \(reason())") }
        try syncDirectory(of: path)
    }

    /// Makes a directory (and those above it) for the owner alone; nothing happens when it exists.
    static func makeDirectory(_ path: String) throws(SecurityError) {
        if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        let parent = directory(of: path)
        guard errno == ENOENT, parent != path, parent != "." else {
            throw SecurityError("the directory \(path) cannot be made: \(reason())")
        }
        try makeDirectory(parent)
        if mkdir(path, 0o700) != 0, errno != EEXIST {
            throw SecurityError("the directory \(path) cannot be made: \(reason())")
        }
    }

    private static func syncDirectory(of path: String) throws(SecurityError) {
        let parent = directory(of: path)
        let descriptor = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if descriptor < 0 { throw SecurityError("\(parent) cannot be synced: \(reason())") }
        defer { close(descriptor) }
        if fsync(descriptor) != 0 { throw SecurityError("\(parent) cannot be synced: \(reason())") }
    }

    private static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func reason() -> String { String(cString: strerror(errno)) }
}
