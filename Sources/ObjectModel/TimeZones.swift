import Glibc
import Synchronization

/// The time zones of the machine's IANA database, each read once.
public enum TimeZones {
    /// Names are remembered with what was found, so that asking for unknown ones costs little; not more than these, as
    /// clients may invent them.
    private static let limit = 1000
    private static let known = Mutex<[String: TimeZoneRules?]>([:])

    /// The rules of a zone such as `Europe/Berlin`; nil when the machine does not know it.
    public static func rules(_ name: String) -> TimeZoneRules? {
        if name == "UTC" || name == "Etc/UTC" { return .utc }
        if let found = known.withLock({ $0[name] }) { return found }
        let rules = isPlain(name) ? read("/usr/share/zoneinfo/" + name).flatMap { TimeZoneRules(file: $0) } : nil
        known.withLock { known in
            if known.count >= limit { known.removeAll() }
            known[name] = .some(rules)
        }
        return rules
    }

    /// Names are parts of a path: they must not lead out of the database.
    private static func isPlain(_ name: String) -> Bool {
        name.utf8.count < 64
            && name.split(separator: "/", omittingEmptySubsequences: false).allSatisfy {
                !$0.isEmpty && !$0.hasPrefix(".")
            }
            && name.utf8.allSatisfy {
                ($0 | 0x20 >= UInt8(ascii: "a") && $0 | 0x20 <= UInt8(ascii: "z")) || $0 == UInt8(ascii: "_")
                    || ($0 >= UInt8(ascii: "+") && $0 <= UInt8(ascii: "9"))
            }
    }

    /// Files of zones have a few kilobytes.
    private static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 8192)
        while bytes.count < 1 << 20 {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 { return nil }
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        return bytes
    }
}
