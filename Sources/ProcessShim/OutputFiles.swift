import Glibc

/// Where one stream of a program goes: the log in the form of the CRI, and a plain file in the sandbox.
struct OutputFiles {
    private static let lineLimit = 16384

    let stream: String
    private let sandbox: Int32
    private let rotationBytes: Int
    private var plain: Int32 = -1
    private var plainBytes = 0
    private var line: [UInt8] = []

    /// - Parameter sandbox: descriptor of the sandbox folder, -1 for none.
    init(stream: String, sandbox: Int32, owner: UInt32, rotationBytes: Int) {
        self.stream = stream
        self.sandbox = sandbox
        self.rotationBytes = rotationBytes
        openPlain(owner: owner)
    }

    /// The folder belongs to the program's user: what lies there under the name is appended to only when it is a plain
    /// file without other names, never followed as a link.
    private mutating func openPlain(owner: UInt32) {
        guard sandbox >= 0 else { return }
        let flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
        plain = openat(sandbox, stream, flags | O_CREAT, 0o644)
        var info = stat()
        if plain < 0 || fstat(plain, &info) != 0 || info.st_mode & S_IFMT != S_IFREG || info.st_nlink != 1 {
            if plain >= 0 { close(plain) }
            unlinkat(sandbox, stream, 0)
            plain = openat(sandbox, stream, flags | O_CREAT | O_EXCL, 0o644)
            info.st_size = 0
        }
        if plain >= 0, owner != 0 { _ = fchown(plain, owner, gid_t.max) }
        plainBytes = Int(info.st_size)
    }

    mutating func write(_ bytes: ArraySlice<UInt8>, log: Int32) {
        writePlain(bytes)
        guard log >= 0 else { return }
        var text: [UInt8] = []
        var rest = bytes
        while !rest.isEmpty {
            let room = Self.lineLimit - line.count
            if let end = rest.prefix(room).firstIndex(of: 10) {
                line += rest[..<end]
                rest = rest[rest.index(after: end)...]
                entry("F", into: &text)
            } else {
                line += rest.prefix(room)
                rest = rest.dropFirst(room)
                if line.count >= Self.lineLimit { entry("P", into: &text) }
            }
        }
        System.writeAll(log, text)
    }

    /// What the program wrote without a line end.
    mutating func finish(log: Int32) {
        guard log >= 0, !line.isEmpty else { return }
        var text: [UInt8] = []
        entry("F", into: &text)
        System.writeAll(log, text)
    }

    private mutating func entry(_ tag: String, into text: inout [UInt8]) {
        text += LogTime.now()
        text += " \(stream) \(tag) ".utf8
        text += line
        text.append(10)
        line.removeAll(keepingCapacity: true)
    }

    private mutating func writePlain(_ bytes: ArraySlice<UInt8>) {
        guard plain >= 0 else { return }
        if plainBytes + bytes.count > rotationBytes {
            close(plain)
            renameat(sandbox, stream, sandbox, stream + ".1")
            plain = openat(
                sandbox, stream, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_CREAT | O_EXCL, 0o644)
            plainBytes = 0
            if plain < 0 { return }
        }
        System.writeAll(plain, Array(bytes))
        plainBytes += bytes.count
    }
}

/// Times as container logs write them: RFC 3339 with nanoseconds, UTC.
enum LogTime {
    static func now() -> [UInt8] {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        var parts = tm()
        var seconds = time.tv_sec
        gmtime_r(&seconds, &parts)
        var out: [UInt8] = []
        out.reserveCapacity(30)
        func digits(_ number: Int, _ count: Int) {
            var divisor = 1
            for _ in 1..<count { divisor *= 10 }
            while divisor > 0 {
                out.append(UInt8(48 + number / divisor % 10))
                divisor /= 10
            }
        }
        digits(Int(parts.tm_year) + 1900, 4)
        out.append(UInt8(ascii: "-"))
        digits(Int(parts.tm_mon) + 1, 2)
        out.append(UInt8(ascii: "-"))
        digits(Int(parts.tm_mday), 2)
        out.append(UInt8(ascii: "T"))
        digits(Int(parts.tm_hour), 2)
        out.append(UInt8(ascii: ":"))
        digits(Int(parts.tm_min), 2)
        out.append(UInt8(ascii: ":"))
        digits(Int(parts.tm_sec), 2)
        out.append(UInt8(ascii: "."))
        digits(time.tv_nsec, 9)
        out.append(UInt8(ascii: "Z"))
        return out
    }
}
