import Glibc

/// Mounts parts of volumes safely: what a container could have put in the way (a link out of the volume) is refused.
enum SubPath {
    /// `O_PATH` of the kernel, the same on all our architectures; Glibc's module leaves it out.
    private static let pathOnly: Int32 = 0o10000000

    /// Makes `relative` of a volume visible at a place of our own, which is then mounted into the container.
    /// - Parameter target: path to bind on; made as a file or directory as the source is.
    static func prepare(volume: String, relative: String, target: String, isReadOnly: Bool) throws {
        let parts = relative.split(separator: "/").map(String.init)
        if relative.hasPrefix("/") || parts.contains("..") {
            throw ConfigurationError("subPath \"\(relative)\" must be relative and without '..'")
        }
        guard let base = Files.realPath(volume) else { throw FileError("realpath", volume) }
        let wanted = "\(base)/\(parts.joined(separator: "/"))"
        if !Files.exists(wanted), !isReadOnly { try create(base: base, parts: parts) }
        guard let real = Files.realPath(wanted) else { throw FileError("subPath", wanted) }
        guard real == base || real.hasPrefix(base + "/") else {
            throw ConfigurationError("subPath \"\(relative)\" leads out of the volume")
        }
        let file = try openInside(base, real)
        defer { close(file) }
        var entry = stat()
        guard fstat(file, &entry) == 0 else { throw FileError("stat", real) }
        if Mounts.below(target).contains(target) { umount2(target, Int32(MNT_DETACH)) }
        if entry.st_mode & S_IFMT == S_IFDIR {
            try Files.makeDirectories(target)
        } else {
            if let slash = target.lastIndex(of: "/") { try Files.makeDirectories(String(target[..<slash])) }
            if !Files.exists(target) { try Files.write(target, [], mode: 0o640) }
        }
        try Mounts.bind("/proc/self/fd/\(file)", on: target)
    }

    /// Opens a path part by part without following links, so that nobody can swap one in meanwhile.
    private static func openInside(_ base: String, _ path: String) throws(FileError) -> Int32 {
        var current = open(base, pathOnly | O_CLOEXEC)
        guard current >= 0 else { throw FileError("open", base) }
        for part in path.dropFirst(base.count).split(separator: "/") {
            let next = openat(current, String(part), pathOnly | O_NOFOLLOW | O_CLOEXEC)
            let code = errno
            close(current)
            guard next >= 0 else { throw FileError("open", path, code) }
            current = next
        }
        return current
    }

    private static func create(base: String, parts: [String]) throws(FileError) {
        var current = open(base, pathOnly | O_DIRECTORY | O_CLOEXEC)
        guard current >= 0 else { throw FileError("open", base) }
        defer { close(current) }
        // New directories get the volume's permissions, as users expect of a volume of theirs.
        let mode = (Files.status(base)?.st_mode ?? 0o750) & 0o777
        for part in parts {
            if mkdirat(current, part, mode) == 0 { fchmodat(current, part, mode, 0) }
            let next = openat(current, part, pathOnly | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC)
            guard next >= 0 else { throw FileError("open", "\(base)/\(parts.joined(separator: "/"))") }
            close(current)
            current = next
        }
    }
}
