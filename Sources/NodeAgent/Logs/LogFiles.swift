import Glibc
import ObjectModel

/// Where containers' logs are, and keeping them small.
struct LogFiles: Sendable {
    /// `{data}/logs`
    let root: String
    var maximumBytes = 10 << 20
    var maximumFiles = 5

    func directory(_ pod: Pod) -> String { "\(root)/\(pod.namespace)_\(pod.name)_\(pod.uid)" }
    func path(_ pod: Pod, container: String, attempt: Int) -> String {
        "\(directory(pod))/\(container)/\(attempt).log"
    }

    /// Renames a file that has grown too big, and removes the oldest beyond the number to keep. Blocking.
    /// - Returns: true when the runtime must open a new file.
    func rotate(_ path: String) throws -> Bool {
        guard let entry = Files.status(path), entry.st_size >= maximumBytes else { return false }
        let stamp = Timestamp.now.rfc3339.prefix(19).filter(\.isNumber)
        guard rename(path, "\(path).\(stamp)") == 0 else { throw FileError("rename", path) }
        prune(path)
        return true
    }
    private func prune(_ path: String) {
        guard let slash = path.lastIndex(of: "/") else { return }
        let directory = String(path[..<slash])
        let prefix = String(path[path.index(after: slash)...]) + "."
        let old = Files.names(in: directory).filter { $0.hasPrefix(prefix) }.sorted()
        for name in old.dropLast(maximumFiles - 1) { unlink("\(directory)/\(name)") }
    }

    /// The end of what the program wrote, for a termination message: 80 lines and 2048 bytes at most. Blocking.
    static func tail(_ path: String, lines: Int = 80, bytes: Int = 2048) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return "" }
        defer { close(file) }
        let size = lseek(file, 0, SEEK_END)
        let start = max(LogReader.tailOffset(file, lines: lines), size - 65_536)
        var block = [UInt8](repeating: 0, count: Int(size - start))
        let count = pread(file, &block, block.count, start)
        guard count > 0 else { return "" }
        var text: [UInt8] = []
        for line in block[..<count].split(separator: 10) {
            guard let parsed = LogLine(line) else { continue }
            text.append(contentsOf: parsed.text)
            if !parsed.isPartial { text.append(10) }
        }
        return String(decoding: text.suffix(bytes), as: UTF8.self)
    }
}
