public import JSON

/// All that the supervisor must know to run one program: the file `launch.json` in its folder. Who it runs as is resolved,
/// paths are absolute.
public struct Launch: Sendable {
    /// A folder or file of the machine that the program sees at another place.
    public struct Mount: Sendable {
        public var source: String
        public var target: String
        public var isReadOnly: Bool
        /// Mounts that are made later on the machine below `source` appear.
        public var followsHost: Bool
        public init(source: String, target: String, isReadOnly: Bool = false, followsHost: Bool = false) {
            self.source = source
            self.target = target
            self.isReadOnly = isReadOnly
            self.followsHost = followsHost
        }
    }
    /// One resource limit; nil is unlimited.
    public struct Limit: Sendable, Hashable {
        /// The kernel's number, for example 7 for open files.
        public var resource: Int
        public var soft: UInt64?
        public var hard: UInt64?
        public init(resource: Int, soft: UInt64?, hard: UInt64?) {
            self.resource = resource
            self.soft = soft
            self.hard = hard
        }
    }
    /// What may differ between a program and commands run beside it in its namespaces.
    public struct Identity: Sendable {
        public var user = 0
        public var group = 0
        public var groups: [Int] = []
        public var umask: Int?
        /// Bits of the capabilities that are kept.
        public var capabilities: UInt64 = 0
        public var noNewPrivileges = false
        public var isFiltered = false
        public var oomScore: Int?
        public var limits: [Limit] = []
        public init() {}
    }

    public var arguments: [String] = []
    /// `NAME=value`
    public var environment: [String] = []
    public var workingDirectory = ""
    public var identity = Identity()
    /// The folder for the program's files; `stdout` and `stderr` are written there. Empty for none.
    public var sandbox = ""
    /// The log in the form of the CRI; empty for none.
    public var log = ""
    public var stdin = false
    public var stdinOnce = false
    public var tty = false
    /// Size of the terminal at the start; zeros for none.
    public var rows = 0, columns = 0
    public var ownProcesses = true
    /// A process whose PID namespace is joined; 0 for none.
    public var joinProcesses = 0
    /// Path of the network namespace; empty for the machine's.
    public var network = ""
    /// Empty for the machine's.
    public var hostname = ""
    public var mounts: [Mount] = []
    /// A folder that the program sees as /tmp; empty for the machine's.
    public var temporary = ""
    /// An empty folder to build a changed root in.
    public var rootDirectory = ""
    public var isRootReadOnly = false
    public var maskedPaths: [String] = []
    public var readOnlyPaths: [String] = []
    /// The program's cgroup in each tree; the first lists its processes.
    public var cgroups: [String] = []
    /// File that counts kills for lack of memory.
    public var oomFile = ""
    /// Size at which `stdout` and `stderr` are rotated.
    public var rotationBytes = 10 << 20

    public init() {}

    public var json: JSON {
        [
            "arguments": .array(arguments.map(JSON.string)), "environment": .array(environment.map(JSON.string)),
            "workingDirectory": .string(workingDirectory), "identity": identity.json, "sandbox": .string(sandbox),
            "log": .string(log), "stdin": .bool(stdin), "stdinOnce": .bool(stdinOnce), "tty": .bool(tty),
            "rows": JSON(rows), "columns": JSON(columns), "ownProcesses": .bool(ownProcesses),
            "joinProcesses": JSON(joinProcesses), "network": .string(network),
            "hostname": .string(hostname),
            "mounts": .array(
                mounts.map {
                    [
                        "source": .string($0.source), "target": .string($0.target), "readOnly": .bool($0.isReadOnly),
                        "followsHost": .bool($0.followsHost),
                    ]
                }),
            "temporary": .string(temporary), "rootDirectory": .string(rootDirectory),
            "isRootReadOnly": .bool(isRootReadOnly), "maskedPaths": .array(maskedPaths.map(JSON.string)),
            "readOnlyPaths": .array(readOnlyPaths.map(JSON.string)), "cgroups": .array(cgroups.map(JSON.string)),
            "oomFile": .string(oomFile), "rotationBytes": JSON(rotationBytes),
        ]
    }

    public init(_ json: JSON) {
        arguments = json["arguments"].elements.compactMap(\.string)
        environment = json["environment"].elements.compactMap(\.string)
        workingDirectory = json["workingDirectory"].string ?? ""
        identity = Identity(json["identity"])
        sandbox = json["sandbox"].string ?? ""
        log = json["log"].string ?? ""
        stdin = json["stdin"].bool ?? false
        stdinOnce = json["stdinOnce"].bool ?? false
        tty = json["tty"].bool ?? false
        (rows, columns) = (json["rows"].int ?? 0, json["columns"].int ?? 0)
        ownProcesses = json["ownProcesses"].bool ?? true
        joinProcesses = json["joinProcesses"].int ?? 0
        network = json["network"].string ?? ""
        hostname = json["hostname"].string ?? ""
        mounts = json["mounts"].elements.map {
            Mount(
                source: $0["source"].string ?? "", target: $0["target"].string ?? "",
                isReadOnly: $0["readOnly"].bool ?? false, followsHost: $0["followsHost"].bool ?? false)
        }
        temporary = json["temporary"].string ?? ""
        rootDirectory = json["rootDirectory"].string ?? ""
        isRootReadOnly = json["isRootReadOnly"].bool ?? false
        maskedPaths = json["maskedPaths"].elements.compactMap(\.string)
        readOnlyPaths = json["readOnlyPaths"].elements.compactMap(\.string)
        cgroups = json["cgroups"].elements.compactMap(\.string)
        oomFile = json["oomFile"].string ?? ""
        rotationBytes = json["rotationBytes"].int ?? 10 << 20
    }
}

extension Launch.Identity {
    var json: JSON {
        var json: JSON = [
            "user": JSON(user), "group": JSON(group), "groups": .array(groups.map { JSON($0) }),
            "capabilities": .integer(Int64(bitPattern: capabilities)), "noNewPrivileges": .bool(noNewPrivileges),
            "isFiltered": .bool(isFiltered),
            "limits": .array(
                limits.map { limit in
                    var item: JSON = ["resource": JSON(limit.resource)]
                    if let soft = limit.soft { item["soft"] = .string(String(soft)) }
                    if let hard = limit.hard { item["hard"] = .string(String(hard)) }
                    return item
                }),
        ]
        if let umask { json["umask"] = JSON(umask) }
        if let oomScore { json["oomScore"] = JSON(oomScore) }
        return json
    }
    init(_ json: JSON) {
        self.init()
        user = json["user"].int ?? 0
        group = json["group"].int ?? 0
        groups = json["groups"].elements.compactMap(\.int)
        umask = json["umask"].int
        capabilities = UInt64(bitPattern: Int64(json["capabilities"].int ?? 0))
        noNewPrivileges = json["noNewPrivileges"].bool ?? false
        isFiltered = json["isFiltered"].bool ?? false
        oomScore = json["oomScore"].int
        limits = json["limits"].elements.map {
            Launch.Limit(
                resource: $0["resource"].int ?? 0, soft: $0["soft"].string.flatMap { UInt64($0) },
                hard: $0["hard"].string.flatMap { UInt64($0) })
        }
    }
}

/// A command to run in a program's namespaces: a file that is removed when it was read.
public struct Entry: Sendable {
    public var arguments: [String] = []
    public var environment: [String] = []
    public var workingDirectory = ""
    public var identity = Launch.Identity()
    /// The program, as the machine numbers processes.
    public var program = 0
    public var cgroups: [String] = []
    /// The descriptors are one terminal.
    public var tty = false
    public init() {}

    public var json: JSON {
        [
            "arguments": .array(arguments.map(JSON.string)), "environment": .array(environment.map(JSON.string)),
            "workingDirectory": .string(workingDirectory), "identity": identity.json, "program": JSON(program),
            "cgroups": .array(cgroups.map(JSON.string)), "tty": .bool(tty),
        ]
    }
    public init(_ json: JSON) {
        arguments = json["arguments"].elements.compactMap(\.string)
        environment = json["environment"].elements.compactMap(\.string)
        workingDirectory = json["workingDirectory"].string ?? ""
        identity = Launch.Identity(json["identity"])
        program = json["program"].int ?? 0
        cgroups = json["cgroups"].elements.compactMap(\.string)
        tty = json["tty"].bool ?? false
    }
}

/// Names of the files in a program's folder.
public enum ShimFile {
    public static let launch = "launch.json"
    /// Written when the program runs: `ShimStarted`.
    public static let started = "started.json"
    /// Written when it ended: `ShimExit`.
    public static let exit = "exit.json"
    /// Unix socket of the supervisor: see `Frame`.
    public static let control = "control"
}

/// The processes of a program that was started, as the machine numbers them.
public struct ShimStarted: Sendable, Hashable {
    public var supervisor: Int
    public var program: Int
    /// Start of the supervisor in clock ticks since boot: with it the number is an identity.
    public var ticks: String
    public var boot: String
    /// Nanoseconds since 1970.
    public var at: Int64

    public init(supervisor: Int, program: Int, ticks: String, boot: String, at: Int64) {
        self.supervisor = supervisor
        self.program = program
        self.ticks = ticks
        self.boot = boot
        self.at = at
    }
    public init?(_ json: JSON) {
        guard let supervisor = json["supervisor"].int, let program = json["program"].int else { return nil }
        self.init(
            supervisor: supervisor, program: program, ticks: json["ticks"].string ?? "",
            boot: json["boot"].string ?? "", at: Int64(json["at"].int ?? 0))
    }
    public var json: JSON {
        [
            "supervisor": JSON(supervisor), "program": JSON(program), "ticks": .string(ticks), "boot": .string(boot),
            "at": .integer(at),
        ]
    }

    /// Start time of a process in ticks; nil when there is none, or it is a zombie.
    public static func ticks(of pid: Int) -> String? {
        guard let text = System.text("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return nil }
        return String(fields[19])
    }
    public static func bootID() -> String {
        (System.text("/proc/sys/kernel/random/boot_id") ?? "").filter { !$0.isWhitespace }
    }
}

/// How a program ended.
public struct ShimExit: Sendable, Hashable {
    /// 128 + signal when a signal ended it.
    public var code: Int
    public var signal: Int
    public var isOutOfMemory: Bool
    public var startedAt: Int64
    public var finishedAt: Int64
    /// Replaces `Completed`, `Error`, `OOMKilled` when not empty.
    public var reason: String
    public var message: String

    public init(
        code: Int, signal: Int = 0, isOutOfMemory: Bool = false, startedAt: Int64, finishedAt: Int64,
        reason: String = "", message: String = ""
    ) {
        self.code = code
        self.signal = signal
        self.isOutOfMemory = isOutOfMemory
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.reason = reason
        self.message = message
    }
    public init?(_ json: JSON) {
        guard let code = json["code"].int else { return nil }
        self.init(
            code: code, signal: json["signal"].int ?? 0, isOutOfMemory: json["oom"].bool ?? false,
            startedAt: Int64(json["startedAt"].int ?? 0), finishedAt: Int64(json["finishedAt"].int ?? 0),
            reason: json["reason"].string ?? "", message: json["message"].string ?? "")
    }
    public var json: JSON {
        [
            "code": JSON(code), "signal": JSON(signal), "oom": .bool(isOutOfMemory), "startedAt": .integer(startedAt),
            "finishedAt": .integer(finishedAt), "reason": .string(reason), "message": .string(message),
        ]
    }
}

/// What goes over a supervisor's socket, both ways: a kind, four bytes of length (big endian), the payload.
public struct Frame: Sendable, Hashable {
    public enum Kind: UInt8, Sendable {
        /// To the supervisor: end the program. Signal (1 byte), then milliseconds until KILL (4 bytes, big endian).
        case stop = 0x53
        /// Open the log file anew.
        case reopen = 0x4C
        /// From now on send the program's output here.
        case attach = 0x41
        /// Standard input; empty at its end.
        case input = 0x49
        /// Size of the terminal: width and height, 2 bytes each.
        case resize = 0x57
        /// From the supervisor.
        case output = 0x31
        case errorOutput = 0x32
        /// The program ended: its code in 4 bytes.
        case exit = 0x58
        /// A request was carried out.
        case done = 0x4B
    }
    public var kind: Kind
    public var payload: [UInt8]
    public init(_ kind: Kind, _ payload: [UInt8] = []) {
        self.kind = kind
        self.payload = payload
    }

    public static let maximumPayload = 1 << 20

    public var encoded: [UInt8] { [kind.rawValue] + Self.bytes(UInt32(payload.count)) + payload }

    /// Takes the first whole frame off the bytes; nil when there is none yet.
    /// - Parameter isBroken: set when what comes is no frame.
    public static func take(_ bytes: inout [UInt8], isBroken: inout Bool) -> Frame? {
        guard bytes.count >= 5 else { return nil }
        let count = Int(number(bytes[1..<5]))
        guard let kind = Kind(rawValue: bytes[0]), count <= maximumPayload else {
            isBroken = true
            return nil
        }
        guard bytes.count >= 5 + count else { return nil }
        defer { bytes.removeFirst(5 + count) }
        return Frame(kind, Array(bytes[5..<(5 + count)]))
    }

    public static func bytes(_ number: UInt32) -> [UInt8] {
        [
            UInt8(number >> 24), UInt8(truncatingIfNeeded: number >> 16), UInt8(truncatingIfNeeded: number >> 8),
            UInt8(truncatingIfNeeded: number),
        ]
    }
    public static func number(_ bytes: some Collection<UInt8>) -> UInt32 {
        bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }
}
