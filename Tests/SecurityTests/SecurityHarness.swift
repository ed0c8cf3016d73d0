import Glibc
import ObjectModel
import Testing

@testable import Security

/// A fresh directory, removed after the body.
func withDirectory<T>(_ body: (String) async throws -> T) async throws -> T {
    var template = Array("/tmp/apus-security-XXXXXX".utf8CString)
    let path = try #require(mkdtemp(&template).map { String(cString: $0) })
    defer {
        for name in names(in: path) { unlink("\(path)/\(name)") }
        rmdir(path)
    }
    return try await body(path)
}

/// Names of the files in a directory.
func names(in path: String) -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var result: [String] = []
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { result.append(name) }
    }
    return result.sorted()
}

/// The security error that a body throws.
func securityError(_ body: () throws -> Void) -> String? {
    do {
        try body()
        return nil
    } catch {
        return (error as? SecurityError)?.message ?? "other: \(error)"
    }
}

let noon = Timestamp(seconds: 1_800_000_000)
