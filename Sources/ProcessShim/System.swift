import CLinux
import Glibc

/// CLONE_NEW… flags.
enum Namespace {
    static let mount: Int32 = 0x0002_0000
    static let hostname: Int32 = 0x0400_0000
    static let ipc: Int32 = 0x0800_0000
    static let process: Int32 = 0x2000_0000
    static let network: Int32 = 0x4000_0000
}

/// A step that failed, in words for the user.
struct ShimError: Error {
    var message: String
    init(_ message: String) { self.message = message }
    /// With the cause from `errno`.
    static func system(_ what: String) -> ShimError { ShimError("cannot \(what): \(System.lastError)") }
}

/// Small system jobs. All block.
enum System {
    static var lastError: String { String(cString: strerror(errno)) }

    @discardableResult
    static func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    static func read(_ path: String, limit: Int = 4 << 20) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16384)
        while bytes.count < limit {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        return bytes
    }
    static func text(_ path: String) -> String? { read(path).map { String(decoding: $0, as: UTF8.self) } }

    /// Replaces a file as a whole.
    static func replace(_ path: String, _ bytes: [UInt8], isDurable: Bool) throws {
        let temporary = path + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw ShimError.system("open \(temporary)") }
        let isWritten = writeAll(descriptor, bytes) && (!isDurable || fdatasync(descriptor) == 0)
        close(descriptor)
        guard isWritten, rename(temporary, path) == 0 else { throw ShimError.system("write \(path)") }
    }

    /// Writes to a file of the kernel.
    static func put(_ path: String, _ text: String) -> Bool {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        return write(descriptor, bytes, bytes.count) == bytes.count
    }

    static func link(_ path: String) -> String? {
        var bytes = [CChar](repeating: 0, count: 4096)
        let count = readlink(path, &bytes, bytes.count - 1)
        guard count >= 0 else { return nil }
        return String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static func names(_ directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    static func status(_ path: String, follow: Bool = true) -> stat? {
        var info = stat()
        return (follow ? stat(path, &info) : lstat(path, &info)) == 0 ? info : nil
    }

    static func makeDirectories(_ path: String, mode: mode_t = 0o755) throws {
        var current = ""
        for part in path.split(separator: "/") {
            current += "/\(part)"
            if mkdir(current, mode) != 0, errno != EEXIST { throw ShimError.system("make \(current)") }
        }
    }

    /// Nanoseconds since 1970.
    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
    /// Nanoseconds that only grow.
    static func uptime() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// The number of this process as `/proc` counts, whatever its own PID namespace.
    static func hostPID() -> Int { link("/proc/self").flatMap { Int($0) } ?? Int(getpid()) }

    /// Two ends of a pipe, both close-on-exec.
    static func makePipe() throws -> (reading: Int32, writing: Int32) {
        var two: [Int32] = [-1, -1]
        guard clinux_pipe(&two) == 0 else { throw ShimError.system("make a pipe") }
        return (two[0], two[1])
    }

    static func setNonblocking(_ descriptor: Int32) {
        let flags = fcntl(descriptor, F_GETFL)
        _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
    }
}

/// Null-terminated C strings, as `execve` takes them. Never freed: the process execs or ends.
func cStrings(_ strings: [String]) -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> {
    let pointers = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: strings.count + 1)
    for (index, string) in strings.enumerated() { pointers[index] = strdup(string) }
    pointers[strings.count] = nil
    return pointers
}

/// How a process ended, from the words of `waitpid`.
struct WaitStatus {
    var code: Int
    /// 0 when it ended by itself.
    var signal: Int
    init(_ status: Int32) {
        signal = Int(status & 0x7F)
        code = signal == 0 ? Int((status >> 8) & 0xFF) : 128 + signal
    }
}
