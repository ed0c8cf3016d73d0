import Glibc
import SystemPackage

/// Small files, read and written whole.
enum FileText {
    static func read(_ path: String) throws -> String {
        String(decoding: try bytes(path), as: UTF8.self)
    }

    static func bytes(_ path: String) throws -> [UInt8] {
        let file = try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec)
        return try file.closeAfter {
            var result: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 64 << 10)
            while true {
                let count = try buffer.withUnsafeMutableBytes { try file.read(into: $0) }
                if count == 0 { return result }
                result += buffer[..<count]
            }
        }
    }

    /// Replaces a file so that a crash leaves the old or the new one, never a part.
    static func replace(_ path: String, with text: String, mode: FilePermissions = .ownerReadWrite) throws {
        let temporary = "\(path).new"
        let file = try FileDescriptor.open(
            FilePath(temporary), .writeOnly, options: [.create, .truncate, .closeOnExec], permissions: mode)
        try file.closeAfter {
            _ = try file.writeAll(text.utf8)
            guard fsync(file.rawValue) == 0 else { throw Errno(rawValue: errno) }
        }
        guard rename(temporary, path) == 0 else { throw Errno(rawValue: errno) }
        let directory = try FileDescriptor.open(
            FilePath(path).removingLastComponent(), .readOnly, options: [.directory, .closeOnExec])
        try directory.closeAfter { _ = fsync(directory.rawValue) }
    }
}
