import Glibc
import JSON
import ProcessShim

/// What the annotation `process.apus.dev/options` says for one container:
/// `{"name": {"rlimits": [{"type": "RLMT_NOFILE", "soft": 1024, "hard": 4096}], "user": "nobody", "umask": "0027",
/// "privateTmp": false, "window": {"rows": 24, "columns": 80}}}`.
struct ProcessOptions: Sendable {
    static let annotation = "process.apus.dev/options"

    var limits: [Launch.Limit] = []
    /// A user by name, where the pod says none.
    var user = ""
    var umask: Int?
    var hasPrivateTemporary = true
    /// Size of its terminal; zeros for none.
    var rows: UInt16 = 0, columns: UInt16 = 0

    init(_ annotations: [String: String], container: String) throws(RuntimeError) {
        guard let text = annotations[Self.annotation], !text.isEmpty else { return }
        guard let json = try? JSON.parse(text) else {
            throw RuntimeError(.invalidArgument, operation: "create", "annotation \(Self.annotation) is not JSON")
        }
        let own = json[container]
        for item in own["rlimits"].elements {
            let name = item["type"].string ?? ""
            guard let resource = Self.resource(name) else {
                throw RuntimeError(.invalidArgument, operation: "create", "unknown resource limit \"\(name)\"")
            }
            func amount(_ json: JSON) -> UInt64? {
                (json.int.map { UInt64(max($0, 0)) } ?? json.string.flatMap { UInt64($0) })
            }
            limits.append(
                Launch.Limit(resource: resource, soft: amount(item["soft"]), hard: amount(item["hard"])))
        }
        user = own["user"].string ?? ""
        umask = own["umask"].string.flatMap { Int($0, radix: 8) }.map { $0 & 0o777 }
        hasPrivateTemporary = own["privateTmp"].bool ?? true
        rows = UInt16(clamping: own["window"]["rows"].int ?? 0)
        columns = UInt16(clamping: own["window"]["columns"].int ?? 0)
    }

    /// The kernel's number of `RLMT_NOFILE`, `RLIMIT_NOFILE` or `nofile`.
    static func resource(_ name: String) -> Int? {
        var short = name.uppercased()
        for prefix in ["RLMT_", "RLIMIT_"] where short.hasPrefix(prefix) { short.removeFirst(prefix.count) }
        let names = [
            "CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS", "SIGPENDING",
            "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
        ]
        return names.firstIndex(of: short)
    }
}

/// Who a program runs as: numbers, with what the machine's user database adds to them. Blocks.
struct ProcessIdentity {
    var launch = Launch.Identity()
    var name = ""
    var home = ""

    init(_ config: ContainerConfig, _ options: ProcessOptions) throws(RuntimeError) {
        let security = config.security
        var entry: passwd?
        // The entry's texts lie in it.
        let size = 65_536
        let buffer = UnsafeMutablePointer<CChar>.allocate(capacity: size)
        defer { buffer.deallocate() }
        var storage = passwd()
        var result: UnsafeMutablePointer<passwd>?
        let username = security.runAsUsername.isEmpty ? options.user : security.runAsUsername
        if let user = security.runAsUser {
            launch.user = Int(user)
            getpwuid_r(uid_t(truncatingIfNeeded: user), &storage, buffer, size, &result)
            if result != nil { entry = storage }
        } else if !username.isEmpty {
            getpwnam_r(username, &storage, buffer, size, &result)
            guard result != nil else {
                throw RuntimeError(
                    .invalidArgument, operation: "create", "unable to find user \(username) on this machine")
            }
            entry = storage
            launch.user = Int(storage.pw_uid)
        } else {
            getpwuid_r(0, &storage, buffer, size, &result)
            if result != nil { entry = storage }
        }
        if let entry {
            launch.group = Int(entry.pw_gid)
            name = String(cString: entry.pw_name)
            home = String(cString: entry.pw_dir)
            var groups = [gid_t](repeating: 0, count: 256)
            var count = Int32(groups.count)
            if getgrouplist(entry.pw_name, entry.pw_gid, &groups, &count) >= 0 {
                launch.groups = groups.prefix(Int(count)).map(Int.init)
            }
        }
        if let group = security.runAsGroup { launch.group = Int(group) }
        for group in security.supplementalGroups.map(Int.init) where !launch.groups.contains(group) {
            launch.groups.append(group)
        }
        launch.umask = options.umask
        launch.limits = options.limits
        launch.noNewPrivileges = security.noNewPrivileges
        launch.oomScore = config.resources.oomScoreAdjustment.map(Int.init)
        launch.capabilities = try Capabilities.set(security)
        switch security.seccomp {
        case .runtimeDefault: launch.isFiltered = !security.privileged
        case .unconfined: break
        case .localhost(let name):
            throw RuntimeError(
                .invalidArgument, operation: "create",
                "seccomp profile \(name): the process runtime knows only RuntimeDefault and Unconfined")
        }
    }
}

/// Linux capabilities by name.
enum Capabilities {
    /// In the kernel's order.
    static let names = [
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
        "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
        "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
        "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
        "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
        "CHECKPOINT_RESTORE",
    ]
    static let all: UInt64 = (1 << UInt64(names.count)) - 1
    /// What containers have unless they say otherwise.
    static let standard = bits([
        "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "NET_BIND_SERVICE",
        "NET_RAW", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP",
    ])

    static func set(_ security: ContainerSecurity) throws(RuntimeError) -> UInt64 {
        if security.privileged { return all }
        var result = standard
        // `drop: ALL` comes first, so that what is added is kept.
        if security.dropCapabilities.contains(where: { $0.uppercased() == "ALL" }) { result = 0 }
        for name in security.addCapabilities { result |= try bits(of: name) }
        for name in security.dropCapabilities where name.uppercased() != "ALL" { result &= ~(try bits(of: name)) }
        return result
    }

    private static func bits(of name: String) throws(RuntimeError) -> UInt64 {
        var short = name.uppercased()
        if short == "ALL" { return all }
        if short.hasPrefix("CAP_") { short.removeFirst(4) }
        guard let index = names.firstIndex(of: short) else {
            throw RuntimeError(.invalidArgument, operation: "create", "unknown capability \"\(name)\"")
        }
        return 1 << UInt64(index)
    }
    private static func bits(_ list: [String]) -> UInt64 {
        list.reduce(0) { result, name in names.firstIndex(of: name).map { result | 1 << UInt64($0) } ?? result }
    }
}
