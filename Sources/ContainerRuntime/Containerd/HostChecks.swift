import Glibc
import Logging

/// `oom_score_adj`, which runc sets for every container.
enum OOMScore {
    /// Whether this process may lower its score (CAP_SYS_RESOURCE in the machine's own user namespace). Tries it, because
    /// inside a user namespace the capability alone says nothing; the old value is put back at once.
    static func mayBeLowered() -> Bool {
        let path = "/proc/self/oom_score_adj"
        guard let text = HostFiles.readText(path), let value = Int(text.filter { !$0.isWhitespace }) else {
            return false
        }
        if value > -1000, !put(value - 1, path) { return false }
        return put(value, path)
    }

    private static func put(_ value: Int, _ path: String) -> Bool {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { Glibc.close(descriptor) }
        let bytes = Array("\(value)\n".utf8)
        return write(descriptor, bytes, bytes.count) == bytes.count
    }
}

enum HostNetwork {
    /// Lets the kernel route between pods. Repeating it is harmless.
    static func enableForwarding(_ logger: Logger) {
        let path = "/proc/sys/net/ipv4/ip_forward"
        if HostFiles.readText(path)?.hasPrefix("1") == true { return }
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        defer { if descriptor >= 0 { Glibc.close(descriptor) } }
        if descriptor < 0 || write(descriptor, "1\n", 2) != 2 {
            logger.warning(
                "cannot switch on packet forwarding: pods reach each other only after `sysctl -w net.ipv4.ip_forward=1`",
                metadata: ["error": "\(String(cString: strerror(errno)))"])
        }
    }
}

enum LogTail {
    /// Keeps one old log, of at most 16 MiB.
    static func rotate(_ path: String) {
        var info = stat()
        if stat(path, &info) == 0, info.st_size > 16 << 20 { rename(path, path + ".1") }
    }

    static func lastLine(_ path: String) -> String {
        let text = HostFiles.readText(path) ?? ""
        return text.split(separator: "\n").last.map(String.init) ?? "(empty)"
    }
}
