import Glibc

/// What a cluster leaves on a machine when its processes are gone, and how it is removed. Failures are not errors:
/// what cannot be removed now is tried again by the next `apus down`.
enum NodeRemains {
    /// Unmounts everything below a folder, innermost first.
    static func unmount(below path: String) {
        guard let table = try? FileText.read("/proc/self/mountinfo") else { return }
        let points = table.split(separator: "\n").compactMap { line -> String? in
            let fields = line.split(separator: " ")
            guard fields.count > 4 else { return nil }
            let point = unescape(String(fields[4]))
            return point.hasPrefix(path + "/") ? point : nil
        }
        for point in points.sorted(by: { $0.count > $1.count }) { umount2(point, Int32(MNT_DETACH)) }
    }

    /// mountinfo writes spaces and the like as octal escapes.
    private static func unescape(_ text: String) -> String {
        guard text.contains("\\") else { return text }
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.count >= 3,
                let value = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Removes a cgroup and all below it, in every hierarchy (v1) or the one (v2).
    static func removeCgroups(named name: String) {
        var roots = ["/sys/fs/cgroup"]
        roots += entries("/sys/fs/cgroup").map { "/sys/fs/cgroup/\($0)" }
        for root in roots { removeCgroup("\(root)/\(name)") }
    }

    private static func removeCgroup(_ path: String) {
        guard isDirectory(path) else { return }
        for child in entries(path) { removeCgroup("\(path)/\(child)") }
        rmdir(path)
    }

    /// Removes a file or a folder with everything in it; does not follow links.
    static func removeTree(_ path: String) {
        if isDirectory(path) {
            for name in entries(path) { removeTree("\(path)/\(name)") }
            rmdir(path)
        } else {
            unlink(path)
        }
    }

    private static func isDirectory(_ path: String) -> Bool {
        var info = stat()
        return lstat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
    }

    private static func entries(_ path: String) -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }
}
