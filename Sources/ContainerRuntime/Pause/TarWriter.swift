/// Composes a tar archive (POSIX ustar) in memory. The same input gives the same bytes: times and owners are zero.
struct TarWriter {
    private(set) var bytes: [UInt8] = []

    /// - Precondition: the path has at most 100 bytes.
    mutating func addFile(_ path: String, mode: Int = 0o644, _ content: [UInt8]) {
        addHeader(path, mode: mode, size: content.count, type: "0")
        bytes += content
        bytes += [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
    }

    mutating func addDirectory(_ path: String) {
        addHeader(path.hasSuffix("/") ? path : path + "/", mode: 0o755, size: 0, type: "5")
    }

    /// Ends the archive.
    mutating func finish() -> [UInt8] {
        bytes += [UInt8](repeating: 0, count: 1024)
        return bytes
    }

    private mutating func addHeader(_ path: String, mode: Int, size: Int, type: Character) {
        precondition(path.utf8.count <= 100, "path too long for ustar")
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: some Collection<UInt8>, at offset: Int) {
            for (index, byte) in text.enumerated() { header[offset + index] = byte }
        }
        func octal(_ value: Int, digits: Int) -> [UInt8] {
            let text = String(value, radix: 8)
            return Array((String(repeating: "0", count: digits - text.count) + text).utf8)
        }
        put(path.utf8, at: 0)
        put(octal(mode, digits: 7), at: 100)
        put(octal(0, digits: 7), at: 108)
        put(octal(0, digits: 7), at: 116)
        put(octal(size, digits: 11), at: 124)
        put(octal(0, digits: 11), at: 136)
        put([UInt8](repeating: 0x20, count: 8), at: 148)
        put(String(type).utf8, at: 156)
        put(Array("ustar\u{0}00".utf8), at: 257)
        let sum = header.reduce(0) { $0 + Int($1) }
        put(octal(sum, digits: 6) + [0, 0x20], at: 148)
        bytes += header
    }
}
