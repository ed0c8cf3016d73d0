import CLinux
import Glibc

/// A process on this machine that we started or found; the descriptor keeps its identity even when the number is reused.
struct HostProcess: ~Copyable, Sendable {
    let pid: pid_t
    private let descriptor: Int32

    /// Nil when there is no such process.
    init?(pid: pid_t) {
        let descriptor = clinux_pidfd_open(pid)
        guard descriptor >= 0 else { return nil }
        self.pid = pid
        self.descriptor = descriptor
    }

    deinit { Glibc.close(descriptor) }

    /// Whether it still runs; reaps it when it was our child.
    func isRunning() -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, 0) > 0 else { return true }
        var status: Int32 = 0
        waitpid(pid, &status, WNOHANG)
        return false
    }

    func signal(_ number: Int32) { kill(pid, number) }

    /// Waits for its end.
    /// - Returns: false when it still runs after the time.
    func waitForEnd(within limit: Duration) async -> Bool {
        let deadline = ContinuousClock.now + limit
        while isRunning() {
            if ContinuousClock.now > deadline { return false }
            try? await Task.sleep(for: .milliseconds(20))
            // A cancelled sleep returns at once: give the processor away.
            if Task.isCancelled { await Task.yield() }
        }
        return true
    }
}

/// A row of the process table.
struct ProcessEntry: Sendable {
    let pid: pid_t
    let parent: pid_t
    let arguments: [String]

    /// All processes of this PID namespace.
    static func all() -> [ProcessEntry] {
        HostFiles.entries("/proc").compactMap { name in
            guard let pid = pid_t(name), let stat = HostFiles.readText("/proc/\(name)/stat") else { return nil }
            // `pid (name) state ppid …`; the name may contain anything.
            guard let end = stat.lastIndex(of: ")") else { return nil }
            let fields = stat[stat.index(after: end)...].split(separator: " ")
            guard fields.count > 1, fields[0] != "Z", let parent = pid_t(fields[1]) else { return nil }
            let command = HostFiles.read("/proc/\(name)/cmdline") ?? []
            let arguments = command.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            return ProcessEntry(pid: pid, parent: parent, arguments: arguments)
        }
    }

    /// Name of the program without its folder.
    var program: Substring {
        guard let first = arguments.first else { return "" }
        return first.split(separator: "/").last ?? ""
    }

    /// Whether `option value` is among the arguments.
    func hasOption(_ option: String, _ value: String) -> Bool {
        zip(arguments, arguments.dropFirst()).contains { $0 == option && $1 == value }
    }
}

/// Starts programs that outlive us.
enum DetachedLauncher {
    /// Starts a program in its own session: it gets no signal meant for us, and goes on when we die.
    ///
    /// Standard output and error are appended to `logPath`; no other descriptor of ours is inherited, except `input`,
    /// which becomes standard input.
    static func start(_ path: String, _ arguments: [String], logPath: String, input: Int32 = -1) throws(RuntimeError)
        -> pid_t
    {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        if input >= 0 {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_addopen(&actions, 1, logPath, O_WRONLY | O_CREAT | O_APPEND, 0o640)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        clinux_spawn_close_from(&actions, 3)
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        // POSIX_SPAWN_SETSID (0x80) is hidden behind _GNU_SOURCE.
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | 0x80))

        var pid: pid_t = 0
        let vector = CStringArray([path] + arguments)
        let environment = CStringArray(Self.environment())
        let result = posix_spawn(&pid, path, &actions, &attributes, vector.pointers, environment.pointers)
        guard result == 0 else {
            throw RuntimeError(
                .other, operation: "start", "cannot start \(path): \(String(cString: strerror(result)))")
        }
        return pid
    }

    /// Ours, with the folders of system programs in `PATH`: containerd looks there for its shim and for runc.
    private static func environment() -> [String] {
        var out: [String] = []
        var path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        for entry in (HostFiles.read("/proc/self/environ") ?? []).split(separator: 0) {
            let text = String(decoding: entry, as: UTF8.self)
            if text.hasPrefix("PATH=") {
                path = text.dropFirst("PATH=".count) + ":" + path
            } else if !text.hasPrefix("NOTIFY_SOCKET="), !text.hasPrefix("LISTEN_") {
                out.append(text)
            }
        }
        return out + ["PATH=" + path]
    }
}

/// A null-terminated array of C strings.
private final class CStringArray {
    let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int

    init(_ strings: [String]) {
        count = strings.count
        pointers = .allocate(capacity: count + 1)
        for (index, string) in strings.enumerated() { pointers[index] = strdup(string) }
        pointers[count] = nil
    }

    deinit {
        for index in 0..<count { free(pointers[index]) }
        pointers.deallocate()
    }
}
