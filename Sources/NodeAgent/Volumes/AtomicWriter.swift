import Glibc
import ObjectModel

/// One file of a volume made from API objects.
struct ProjectedFile: Sendable, Hashable {
    var bytes: [UInt8]
    var mode: UInt32
    /// Owner of the file; nil leaves root.
    var user: UInt32?

    init(_ bytes: [UInt8], mode: UInt32, user: UInt32? = nil) {
        self.bytes = bytes
        self.mode = mode
        self.user = user
    }
}

/// Writes a set of files so that a reader sees either all of the old or all of the new: the files live in a directory
/// of their own, `..data` is a link to it that is swapped by rename, and the visible names are links through `..data`.
struct AtomicWriter: Sendable {
    let directory: String
    /// Group that gets read access, from `fsGroup`.
    var group: Int64?

    /// - Parameter files: by relative path without `..`.
    /// - Returns: whether anything changed.
    @discardableResult
    func write(_ files: [String: ProjectedFile]) throws -> Bool {
        for path in files.keys { try Self.check(path) }
        let dataLink = directory + "/..data"
        let old = Files.link(dataLink)
        if let old, isCurrent("\(directory)/\(old)", files) {
            try linkNames(files)
            return false
        }
        let name = Self.stampedName()
        let fresh = "\(directory)/\(name)"
        try Files.makeDirectories(fresh, mode: 0o755)
        try own(fresh, mode: 0o755)
        for (path, file) in files.sorted(by: { $0.key < $1.key }) {
            let full = "\(fresh)/\(path)"
            try makeParents(of: path, in: fresh)
            try Files.write(full, file.bytes, mode: effectiveMode(file))
            if chown(full, file.user ?? 0, group.map { UInt32(truncatingIfNeeded: $0) } ?? 0) != 0 {
                throw FileError("chown", full)
            }
        }
        let temporary = directory + "/..data_tmp"
        unlink(temporary)
        guard symlink(name, temporary) == 0 else { throw FileError("symlink", temporary) }
        guard rename(temporary, dataLink) == 0 else { throw FileError("rename", dataLink) }
        try linkNames(files)
        if let old, old != name { try Files.removeTree("\(directory)/\(old)") }
        return true
    }

    private static func check(_ path: String) throws(ConfigurationError) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        if path.isEmpty || path.hasPrefix("/") || parts.contains("..") || path.hasPrefix("..") {
            throw ConfigurationError("invalid path \"\(path)\": must be relative and without '..'")
        }
    }

    private func isCurrent(_ data: String, _ files: [String: ProjectedFile]) -> Bool {
        var found = 0
        var isSame = true
        try? Files.walk(data) { path, entry throws(FileError) in
            guard entry.st_mode & S_IFMT == S_IFREG, isSame else { return }
            found += 1
            let relative = String(path.dropFirst(data.utf8.count + 1))
            guard let file = files[relative], entry.st_mode & 0o7777 == effectiveMode(file),
                entry.st_size == file.bytes.count, (try? Files.read(path)) == file.bytes
            else {
                isSame = false
                return
            }
        }
        return isSame && found == files.count && Files.isDirectory(data)
    }

    /// Visible links for the first part of every path; names that are gone lose theirs.
    private func linkNames(_ files: [String: ProjectedFile]) throws {
        let wanted = Set(files.keys.compactMap { $0.split(separator: "/").first.map(String.init) })
        for name in wanted {
            let path = "\(directory)/\(name)"
            if Files.link(path) == "..data/\(name)" { continue }
            try Files.removeTree(path)
            guard symlink("..data/\(name)", path) == 0 else { throw FileError("symlink", path) }
        }
        for name in Files.names(in: directory) where !name.hasPrefix("..") && !wanted.contains(name) {
            try Files.removeTree("\(directory)/\(name)")
        }
    }

    private func makeParents(of path: String, in root: String) throws {
        var current = root
        for part in path.split(separator: "/").dropLast() {
            current += "/\(part)"
            try Files.makeDirectories(current, mode: 0o755)
            try own(current, mode: 0o755)
        }
    }
    private func own(_ path: String, mode: mode_t) throws(FileError) {
        var mode = mode
        if let group {
            if chown(path, 0, UInt32(truncatingIfNeeded: group)) != 0 { throw FileError("chown", path) }
            mode |= 0o2050
        }
        if chmod(path, mode) != 0 { throw FileError("chmod", path) }
    }
    private func effectiveMode(_ file: ProjectedFile) -> mode_t {
        // The group gets what the owner may read.
        group == nil ? mode_t(file.mode & 0o777) : mode_t(file.mode & 0o777) | 0o440
    }

    /// `..2026_01_02_03_04_05.123456789`
    private static func stampedName() -> String {
        let stamp = Timestamp.now.rfc3339.prefix(19).map { "-:T".contains($0) ? "_" : $0 }
        return "..\(String(stamp)).\(UInt32.random(in: 100_000_000...999_999_999))"
    }
}
