import CLinux
import Glibc

/// Entry of the helper that starts plain programs.
///
/// The node agent runs it once (`apus process-shim`, a re-exec of the same binary) with one end of a socket as standard
/// input. For each program it forks a supervisor (`Supervisor`), for each command in a running program's namespaces an
/// `Entrant`. Forks share the helper's memory, so a supervisor costs little of its own. The helper ends with the agent;
/// supervisors live on, and a later agent finds them through their files.
///
/// This room has one thread only: nothing here may start another.
public enum ProcessShim {
    /// The argument that asks for the helper.
    public static let argument = "process-shim"

    /// Serves requests on standard input until the other side is gone.
    public static func run() -> Never {
        signal(SIGPIPE, SIG_IGN)
        for number in [SIGHUP, SIGINT, SIGTERM, SIGQUIT] { signal(number, SIG_IGN) }
        // Children are reaped by the kernel.
        signal(SIGCHLD, SIG_IGN)
        let socket = fcntl(0, F_DUPFD_CLOEXEC, 3)
        let null = open("/dev/null", O_RDWR)
        if null >= 0 {
            dup2(null, 0)
            dup2(null, 1)
            if null > 2 { close(null) }
        }
        var bytes = [UInt8](repeating: 0, count: 16384)
        var descriptors = [Int32](repeating: -1, count: 8)
        while true {
            var number: Int32 = 0
            let count = clinux_receive(socket, &bytes, bytes.count, &descriptors, &number)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { exit(0) }
            let received = Array(descriptors.prefix(Int(number)))
            serve(Array(bytes[..<count]), received, socket)
            for descriptor in received { close(descriptor) }
        }
    }

    private static func serve(_ bytes: [UInt8], _ descriptors: [Int32], _ socket: Int32) {
        guard let request = Request(bytes), let reply = descriptors.first else { return }
        let flags: Int32 = request.kind == .run && request.hasOwnProcesses ? Namespace.process : 0
        let pid = clinux_fork_into(flags)
        if pid < 0 {
            Reply.send(.failed("cannot start a supervisor: \(System.lastError)"), to: reply)
        } else if pid == 0 {
            close(socket)
            signal(SIGCHLD, SIG_DFL)
            switch request.kind {
            case .run: Supervisor.run(request.path, reply: reply)
            case .enter: Entrant.run(request.path, reply: reply, streams: Array(descriptors.dropFirst()))
            }
        }
    }
}

/// What the agent asks the helper for: one datagram.
public struct Request: Sendable {
    public enum Kind: UInt8, Sendable {
        /// Start the program whose `launch.json` is in the folder `path`.
        case run = 0x52
        /// Run a command in a program's namespaces, as the file `path` says.
        case enter = 0x45
    }
    public var kind: Kind
    /// A PID namespace of its own.
    public var hasOwnProcesses: Bool
    public var path: String

    public init(_ kind: Kind, hasOwnProcesses: Bool = false, path: String) {
        self.kind = kind
        self.hasOwnProcesses = hasOwnProcesses
        self.path = path
    }

    public init?(_ bytes: [UInt8]) {
        guard bytes.count > 2, let kind = Kind(rawValue: bytes[0]) else { return nil }
        self.init(kind, hasOwnProcesses: bytes[1] == 1, path: String(decoding: bytes[2...], as: UTF8.self))
    }

    public var encoded: [UInt8] { [kind.rawValue, hasOwnProcesses ? 1 : 0] + Array(path.utf8) }
}

/// What is answered on a request's own pipe, as lines.
public enum Reply: Sendable, Hashable {
    /// Process numbers as the machine sees them: the supervisor (0 for a command) and the program.
    case started(supervisor: Int, program: Int)
    case exited(code: Int)
    case failed(String)

    public init?(_ line: some StringProtocol) {
        let parts = Substring(line).split(separator: " ", maxSplits: 1).map(String.init)
        switch parts.first {
        case "S":
            let numbers = (parts.last ?? "").split(separator: " ").compactMap { Int($0) }
            guard numbers.count == 2 else { return nil }
            self = .started(supervisor: numbers[0], program: numbers[1])
        case "X":
            guard let code = Int(parts.last ?? "") else { return nil }
            self = .exited(code: code)
        case "E": self = .failed(parts.count > 1 ? parts[1] : "")
        default: return nil
        }
    }

    var line: String {
        switch self {
        case .started(let supervisor, let program): "S \(supervisor) \(program)\n"
        case .exited(let code): "X \(code)\n"
        case .failed(let message): "E \(message.split(separator: "\n").joined(separator: " "))\n"
        }
    }

    static func send(_ reply: Reply, to descriptor: Int32) {
        System.writeAll(descriptor, Array(reply.line.utf8))
    }
}
