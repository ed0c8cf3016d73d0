import CLinux
import Glibc
import ProcessShim
import Synchronization

/// The agent's end of the helper that forks supervisors. Started when it is first needed, and anew when it is gone.
/// Calls block for an instant.
final class ShimHelper: Sendable {
    private let program: String
    private let arguments: [String]
    private let logPath: String
    private let state = Mutex<(socket: Int32, pid: pid_t)>((-1, 0))

    init(program: String, arguments: [String], logPath: String) {
        self.program = program
        self.arguments = arguments
        self.logPath = logPath
    }

    deinit {
        let (socket, pid) = state.withLock { $0 }
        if socket >= 0 { close(socket) }
        if pid > 0 { waitpid(pid, nil, WNOHANG) }
    }

    /// Sends a request with descriptors, the first of which is the writing end for the reply.
    func send(_ request: Request, _ descriptors: [Int32]) throws(RuntimeError) {
        let problem = state.withLock { state -> RuntimeError? in
            for attempt in 0..<2 {
                if state.socket < 0 {
                    do {
                        state = try start()
                    } catch {
                        return error as? RuntimeError
                            ?? RuntimeError(.unavailable, operation: "start", "\(error)")
                    }
                }
                let bytes = request.encoded
                if clinux_send(state.socket, bytes, bytes.count, descriptors, descriptors.count) == bytes.count {
                    return nil
                }
                let code = errno
                close(state.socket)
                state.socket = -1
                waitpid(state.pid, nil, WNOHANG)
                if attempt == 1 {
                    return RuntimeError(
                        .unavailable, operation: "start",
                        "the process helper cannot be reached: \(String(cString: strerror(code)))")
                }
            }
            return nil
        }
        if let problem { throw problem }
    }

    private func start() throws -> (Int32, pid_t) {
        var pair: [Int32] = [-1, -1]
        let type = Int32(SOCK_SEQPACKET.rawValue) | O_CLOEXEC
        guard socketpair(AF_UNIX, type, 0, &pair) == 0 else {
            throw RuntimeError(.unavailable, operation: "start", "cannot make a socket pair")
        }
        defer { close(pair[1]) }
        do {
            let pid = try DetachedLauncher.start(program, arguments, logPath: logPath, input: pair[1])
            return (pair[0], pid)
        } catch {
            close(pair[0])
            throw error
        }
    }

    /// Reads a reply until it tells a start or a failure. Blocks.
    static func readStart(_ descriptor: Int32, within milliseconds: Int32) throws(RuntimeError) -> ShimReply {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            if let end = bytes.firstIndex(of: 10) {
                switch Reply(String(decoding: bytes[..<end], as: UTF8.self)) {
                case .started(let supervisor, let program): return .started(supervisor, program)
                case .failed(let message): return .failed(message)
                case .exited, nil: break
                }
                bytes.removeFirst(end + 1)
                continue
            }
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&entry, 1, milliseconds)
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else {
                throw RuntimeError(.timedOut, operation: "start", "the program's supervisor does not answer")
            }
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw RuntimeError(.other, operation: "start", "the program's supervisor ended without an answer")
            }
            bytes += chunk[..<count]
        }
    }

    enum ShimReply {
        case started(Int, Int)
        case failed(String)
    }
}

/// The agent's way to one supervisor.
enum ShimControl {
    /// Connects to the socket in a container's folder; the path may be longer than a socket's address. Blocks.
    static func connect(_ directory: String) throws(RuntimeError) -> Int32 {
        let oPath: Int32 = 0o10_000_000
        let folder = open(directory, oPath | O_CLOEXEC)
        guard folder >= 0 else { throw HostFiles.failure("open", directory) }
        defer { close(folder) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        guard descriptor >= 0 else { throw HostFiles.failure("make a socket for", directory) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = Array("/proc/thread-self/fd/\(folder)/\(ShimFile.control)".utf8) + [0]
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            let error = RuntimeError(.notFound, operation: "connect", "the container is not running")
            close(descriptor)
            throw error
        }
        return descriptor
    }

    /// Sends one frame and waits until it was carried out. Blocks, for five seconds at most.
    static func request(_ directory: String, _ frame: Frame) throws(RuntimeError) {
        let descriptor = try connect(directory)
        defer { close(descriptor) }
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let bytes = frame.encoded
        guard write(descriptor, bytes, bytes.count) == bytes.count else {
            throw HostFiles.failure("write to the supervisor in", directory)
        }
        var answer = [UInt8](repeating: 0, count: 16)
        // Its end is an answer too: the program is gone.
        if read(descriptor, &answer, answer.count) < 0 {
            throw RuntimeError(.timedOut, operation: "control", "the supervisor in \(directory) does not answer")
        }
    }
}
