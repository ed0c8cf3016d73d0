import CLinux
import Glibc
import JSON

/// One program's supervisor: starts it, keeps its output, serves its socket, notes its end and ends what it leaves.
///
/// It is process 1 of the program's PID namespace (when that has one of its own): when the supervisor is killed the kernel
/// ends the whole tree, and nobody but the machine's root can signal it from inside.
struct Supervisor {
    let directory: String
    let launch: Launch
    var logFile: Int32 = -1
    var streams: Streams
    var control: ControlSocket
    let signals: Int32
    /// The program as this process numbers it.
    var child: pid_t = 0
    var startedAt: Int64 = 0
    var oomBefore = 0
    var exit: ShimExit?
    /// When what is left is killed; monotonic nanoseconds.
    var killAt: Int64?
    var isKilled = false
    /// When waiting for the rest of the output ends.
    var drainUntil: Int64?

    /// Runs the program whose files are in the folder. Does not return.
    static func run(_ directory: String, reply: Int32) -> Never {
        do {
            var supervisor = try Supervisor(directory)
            try supervisor.start(reply)
            close(reply)
            supervisor.serve()
        } catch {
            Reply.send(.failed((error as? ShimError)?.message ?? "\(error)"), to: reply)
        }
        Glibc.exit(0)
    }

    private init(_ directory: String) throws {
        self.directory = directory
        setsid()
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGCHLD)
        sigprocmask(SIG_BLOCK, &set, nil)
        umask(0o022)
        _ = System.put("/proc/self/oom_score_adj", "-998")
        guard chdir(directory) == 0 else { throw ShimError.system("enter \(directory)") }
        guard let bytes = System.read("\(directory)/\(ShimFile.launch)"), let json = try? JSON.parse(bytes) else {
            throw ShimError("cannot read \(directory)/\(ShimFile.launch)")
        }
        launch = Launch(json)
        if !launch.ownProcesses { _ = clinux_prctl(36, 1) }
        signals = clinux_signalfd(SIGCHLD)
        guard signals >= 0 else { throw ShimError.system("watch for ends of processes") }
        control = try ControlSocket()
        streams = try Streams(launch)
        openLog()
        oomBefore = oomKills()
    }

    private mutating func openLog() {
        if logFile >= 0 { close(logFile) }
        logFile = launch.log.isEmpty ? -1 : open(launch.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
    }

    private mutating func start(_ reply: Int32) throws {
        let status = try System.makePipe()
        startedAt = System.now()
        child = clinux_fork()
        guard child >= 0 else { throw ShimError.system("start the program") }
        if child == 0 {
            close(status.reading)
            close(reply)
            ProgramStart.run(launch, streams, status: status.writing)
        }
        close(status.writing)
        streams.closeProgramSides()
        var told: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(status.reading, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            told += chunk[..<count]
        }
        close(status.reading)
        var program = 0
        for line in String(decoding: told, as: UTF8.self).split(separator: "\n") {
            switch Reply(line) {
            case .started(_, let number): program = number
            case .failed(let message):
                var status: Int32 = 0
                waitpid(child, &status, 0)
                throw ShimError(message)
            default: break
            }
        }
        guard program > 0 else { throw ShimError("the program ended before it was started") }
        let own = System.hostPID()
        let started = ShimStarted(
            supervisor: own, program: program, ticks: ShimStarted.ticks(of: own) ?? "", boot: ShimStarted.bootID(),
            at: startedAt)
        try System.replace("\(directory)/\(ShimFile.started)", started.json.encoded(), isDurable: false)
        Reply.send(.started(supervisor: own, program: program), to: reply)
    }

    // MARK: The loop

    private mutating func serve() {
        while true {
            var entries: [pollfd] = [pollfd(fd: signals, events: Int16(POLLIN), revents: 0)]
            let streamEntries = streams.entries()
            let controlEntries = control.entries(takesInput: streams.takesInput)
            entries += streamEntries + controlEntries
            let count = poll(&entries, nfds_t(entries.count), timeout())
            if count < 0, errno != EINTR { usleep(10_000) }
            if entries[0].revents != 0 { reap() }
            for entry in entries[1..<(1 + streamEntries.count)] where entry.revents != 0 { handleStream(entry) }
            for entry in entries[(1 + streamEntries.count)...] where entry.revents != 0 {
                for (client, frame) in control.handle(entry) { obey(frame, client) }
            }
            if control.lostInput, launch.stdinOnce { streams.endInput() }
            control.lostInput = false
            if let killAt, !isKilled, System.uptime() >= killAt { killAll(SIGKILL) }
            if isOver() { break }
        }
        finish()
    }

    private func timeout() -> Int32 {
        let next = [isKilled ? nil : killAt, drainUntil].compactMap(\.self).min()
        // Without an own PID namespace the end of the last process is not told to us.
        let limit: Int64 = exit != nil || isKilled ? 100 : Int64(Int32.max)
        guard let next else { return exit == nil && !isKilled ? -1 : Int32(limit) }
        return Int32(max(min((next - System.uptime()) / 1_000_000 + 1, limit), 0))
    }

    private mutating func handleStream(_ entry: pollfd) {
        guard let (kind, bytes) = streams.handle(entry), !bytes.isEmpty else { return }
        streams.keep(kind, bytes[...], log: logFile)
        control.broadcast(Frame(kind, bytes))
    }

    private mutating func obey(_ frame: Frame, _ client: Int) {
        switch frame.kind {
        case .stop:
            guard frame.payload.count == 5 else { return }
            stop(signal: Int32(frame.payload[0]), milliseconds: Int64(Frame.number(frame.payload[1...])))
            control.send(Frame(.done), to: client)
        case .reopen:
            openLog()
            control.send(Frame(.done), to: client)
        case .attach: control.attach(client)
        case .input: frame.payload.isEmpty ? streams.endInput() : streams.addInput(frame.payload)
        case .resize:
            guard frame.payload.count == 4 else { return }
            let number = Frame.number(frame.payload)
            streams.resize(width: UInt16(number >> 16), height: UInt16(truncatingIfNeeded: number))
        case .output, .errorOutput, .exit, .done: break
        }
    }

    // MARK: Ends

    private mutating func stop(signal: Int32, milliseconds: Int64) {
        let at = System.uptime() + milliseconds * 1_000_000
        let isFirst = killAt == nil
        killAt = min(killAt ?? at, at)
        if milliseconds == 0 {
            killAll(SIGKILL)
        } else if isFirst {
            killAll(signal)
        }
    }

    /// Signals everything that the program started.
    private mutating func killAll(_ signal: Int32) {
        if signal == SIGKILL { isKilled = true }
        if launch.ownProcesses {
            kill(-1, signal)
            return
        }
        let pids = launch.cgroups.first.map(Self.processes) ?? []
        if pids.isEmpty, exit == nil { kill(-child, signal) }
        for pid in pids { kill(pid, signal) }
    }

    private static func processes(_ cgroup: String) -> [pid_t] {
        var found: [pid_t] = []
        var waiting = [cgroup]
        while let next = waiting.popLast() {
            found += (System.text(next + "/cgroup.procs") ?? "").split(separator: "\n").compactMap { pid_t($0) }
            for name in System.names(next) {
                let path = "\(next)/\(name)"
                if System.status(path, follow: false).map({ $0.st_mode & S_IFMT == S_IFDIR }) == true {
                    waiting.append(path)
                }
            }
        }
        return found.filter { $0 > 0 }
    }

    private mutating func reap() {
        var drop = [UInt8](repeating: 0, count: 1024)
        while read(signals, &drop, drop.count) > 0 {}
        while true {
            var status: Int32 = 0
            let pid = waitpid(-1, &status, WNOHANG)
            guard pid > 0 else { break }
            if pid == child { noteExit(WaitStatus(status)) }
        }
    }

    private mutating func noteExit(_ status: WaitStatus) {
        exit = ShimExit(
            code: status.code, signal: status.signal, isOutOfMemory: oomKills() > oomBefore && status.code != 0,
            startedAt: startedAt, finishedAt: System.now())
        // A program that was asked to end has its time for the rest of its tree; one that ended has not.
        if killAt == nil { killAll(SIGKILL) }
        if isKilled { drainUntil = System.uptime() + 2_000_000_000 }
    }

    private mutating func isOver() -> Bool {
        guard exit != nil else { return false }
        if !isGone() { return false }
        if drainUntil == nil { drainUntil = System.uptime() + 2_000_000_000 }
        return streams.isDrained || System.uptime() >= (drainUntil ?? 0)
    }

    /// Whether nothing of the program's tree is left.
    private mutating func isGone() -> Bool {
        var info = siginfo_t()
        let isChildless = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD
        if launch.ownProcesses || launch.cgroups.isEmpty { return isChildless || (isKilled && drainIsPast) }
        let left = launch.cgroups.first.map(Self.processes) ?? []
        if !left.isEmpty, isKilled { killAll(SIGKILL) }
        return left.isEmpty || (isKilled && drainIsPast)
    }
    private var drainIsPast: Bool { drainUntil.map { System.uptime() >= $0 } ?? false }

    private func oomKills() -> Int {
        guard !launch.oomFile.isEmpty, let text = System.text(launch.oomFile) else { return 0 }
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.first == "oom_kill", let count = words.last.flatMap({ Int($0) }) { return count }
        }
        return 0
    }

    private mutating func finish() {
        streams.finish(log: logFile)
        guard let exit else { return }
        unlink(ShimFile.control)
        try? System.replace("\(directory)/\(ShimFile.exit)", exit.json.encoded(), isDurable: true)
        control.broadcast(Frame(.exit, Frame.bytes(UInt32(truncatingIfNeeded: exit.code))))
        control.flush(milliseconds: 1000)
    }
}
