/// The id of an app, pod or group: an absolute path such as `/shop/db/redis`; the root group is `/`.
struct PathID: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The path with its leading `/`, without doubled or trailing ones.
    let text: String

    static let root = PathID(segments: [])
    /// Last segments that are words of the API.
    static let reserved: Set<String> = ["restart", "tasks", "versions", ".", ".."]

    init(segments: [String]) { text = "/" + segments.joined(separator: "/") }

    /// Resolves a path against a parent when it is relative; `.` and `..` are followed.
    init(_ path: String, in parent: PathID = .root) {
        var segments = path.hasPrefix("/") ? [] : parent.segments
        for part in path.split(separator: "/") {
            switch part {
            case ".": continue
            case "..": _ = segments.popLast()
            default: segments.append(String(part))
            }
        }
        self.init(segments: segments)
    }

    /// The path that an object's name stands for (`shop.db` is `/shop/db`, `root` is `/`).
    init(objectName: String) {
        self.init(segments: objectName == "root" ? [] : objectName.split(separator: ".").map(String.init))
    }

    var segments: [String] { text.split(separator: "/").map(String.init) }
    var isRoot: Bool { text == "/" }
    var description: String { text }
    /// The group that holds it; the root's is the root.
    var parent: PathID { PathID(segments: segments.dropLast()) }
    /// Groups above it, from the nearest to the root.
    var ancestors: [PathID] {
        var found: [PathID] = []
        var rest = segments
        while !rest.isEmpty {
            rest.removeLast()
            found.append(PathID(segments: rest))
        }
        return found
    }
    /// The first part of task and instance ids: `shop_db_redis`.
    var underscored: String { segments.joined(separator: "_") }
    /// The host-name form: `redis.db.shop`.
    var hostForm: String { segments.reversed().joined(separator: ".") }

    /// True for itself and everything below it.
    func contains(_ other: PathID) -> Bool {
        isRoot || other.text == text || (other.text.hasPrefix(text) && other.text.dropFirst(text.count).first == "/")
    }

    static func < (left: PathID, right: PathID) -> Bool { left.text < right.text }

    /// What is wrong with it as an id; nil when nothing is.
    var problem: String? {
        for segment in segments {
            for part in segment.split(separator: ".", omittingEmptySubsequences: false) where !Self.isLabel(part) {
                return "must fully match regular expression "
                    + "'^(([a-z0-9]|[a-z0-9][a-z0-9\\-]*[a-z0-9])\\.)*([a-z0-9]|[a-z0-9][a-z0-9\\-]*[a-z0-9])|(\\.|\\.\\.)$'"
            }
        }
        if let last = segments.last, Self.reserved.contains(last) {
            return "must not end with any of the following reserved keywords: restart, tasks, versions, ., .."
        }
        // The id is the name of an object, and a part of those of pods.
        return text.utf8.count > 250 ? "must not be longer than 250 characters" : nil
    }

    private static func isLabel(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, let last = text.utf8.last else { return false }
        let dash = UInt8(ascii: "-")
        guard first != dash, last != dash else { return false }
        return text.utf8.allSatisfy { byte in
            byte == dash || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
    }
}
