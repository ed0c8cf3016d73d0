import Glibc

/// Puts fetched files into a sandbox that belongs to somebody else: no link that lies there is followed. Blocks.
struct FetchPlace {
    /// The sandbox directory.
    let directory: String
    let user: uid_t
    let group: gid_t

    /// Moves a file, or everything in a folder, to a path below the sandbox.
    func move(_ source: String, to parts: [String]) throws {
        let root = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard root >= 0 else { throw FileError("open", directory) }
        defer { close(root) }
        var folder = root
        var opened: [Int32] = []
        defer { for descriptor in opened { close(descriptor) } }
        for part in parts.dropLast() {
            folder = try enter(folder, part)
            opened.append(folder)
        }
        try place(source, in: folder, as: parts.last ?? "")
    }

    /// Moves the entries of a folder into the sandbox's folder at `parts`.
    func merge(_ source: String, into parts: [String]) throws {
        for name in Files.names(in: source) { try move("\(source)/\(name)", to: parts + [name]) }
    }

    private func enter(_ parent: Int32, _ name: String) throws -> Int32 {
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        var descriptor = openat(parent, name, flags)
        if descriptor < 0, errno == ENOENT {
            guard mkdirat(parent, name, 0o755) == 0 || errno == EEXIST else { throw FileError("mkdir", name) }
            descriptor = openat(parent, name, flags)
            if descriptor >= 0 { _ = fchown(descriptor, user, group) }
        }
        guard descriptor >= 0 else { throw FileError("open folder", name) }
        return descriptor
    }

    private func place(_ source: String, in folder: Int32, as name: String) throws {
        var info = stat()
        guard lstat(source, &info) == 0 else { throw FileError("stat", source) }
        if info.st_mode & S_IFMT == S_IFDIR {
            // Into a folder that is there; anything else of that name makes way.
            var there = stat()
            if fstatat(folder, name, &there, AT_SYMLINK_NOFOLLOW) == 0, there.st_mode & S_IFMT != S_IFDIR {
                unlinkat(folder, name, 0)
            }
            let descriptor = try enter(folder, name)
            defer { close(descriptor) }
            _ = fchmod(descriptor, info.st_mode & 0o777)
            for child in Files.names(in: source) { try place("\(source)/\(child)", in: descriptor, as: child) }
            return
        }
        // Ownership first: it takes set-user-id bits away.
        guard lchown(source, user, group) == 0 else { throw FileError("chown", source) }
        if renameat(AT_FDCWD, source, folder, name) == 0 { return }
        guard errno == EXDEV else { throw FileError("move", name) }
        try copy(source, info, folder, name)
    }

    /// To another file system.
    private func copy(_ source: String, _ info: stat, _ folder: Int32, _ name: String) throws {
        unlinkat(folder, name, 0)
        if info.st_mode & S_IFMT == S_IFLNK {
            var target = [CChar](repeating: 0, count: 4096)
            guard readlink(source, &target, target.count - 1) > 0, symlinkat(target, folder, name) == 0 else {
                throw FileError("copy link", name)
            }
            return
        }
        guard info.st_mode & S_IFMT == S_IFREG else { throw FileError("copy", name, EINVAL) }
        let target = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard target >= 0 else { throw FileError("create", name) }
        defer { close(target) }
        try Self.copy(source, to: target)
        _ = fchown(target, user, group)
        _ = fchmod(target, info.st_mode & 0o777)
    }

    /// - Parameter user: who must be allowed to read the source; nil for us.
    static func copy(_ source: String, to target: Int32, as user: uid_t? = nil, _ group: gid_t = 0) throws {
        let file = open(source, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw FileError("open", source) }
        defer { close(file) }
        if let user, user != 0, !mayRead(file, user, group) { throw FileError("open", source, EACCES) }
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = read(file, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw FileError("read", source) }
            if count == 0 { return }
            try write(chunk[..<count], to: target)
        }
    }
    /// Whether a user may come to an open file and read it, by the plain permission bits.
    private static func mayRead(_ file: Int32, _ user: uid_t, _ group: gid_t) -> Bool {
        guard let path = Files.link("/proc/thread-self/fd/\(file)") else { return false }
        func allows(_ info: stat, _ bit: mode_t) -> Bool {
            if info.st_uid == user { return info.st_mode & bit << 6 != 0 }
            if info.st_gid == group { return info.st_mode & bit << 3 != 0 }
            return info.st_mode & bit != 0
        }
        var info = stat()
        guard fstat(file, &info) == 0, allows(info, 4) else { return false }
        var folder = ""
        for part in path.split(separator: "/").dropLast() {
            folder += "/\(part)"
            guard let entry = Files.status(folder), allows(entry, 1) else { return false }
        }
        return true
    }

    static func write(_ bytes: ArraySlice<UInt8>, to target: Int32) throws {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(target, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw FileError("write", "fetched file") }
            rest = rest.dropFirst(count)
        }
    }
}
