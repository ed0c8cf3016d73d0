import CLinux
import Glibc
import JSON

/// The way of a freshly forked process to the program it is to be.
enum ProgramStart {
    /// Does not return. Tells its number, or why it failed, on `status`, which closes when the program runs.
    static func run(_ launch: Launch, _ streams: Streams, status: Int32) -> Never {
        do {
            Reply.send(.started(supervisor: 0, program: System.hostPID()), to: status)
            try joinCgroups(launch.cgroups)
            setsid()
            try attach(streams)
            if launch.joinProcesses > 0 { try joinProcesses(launch.joinProcesses, status: status) }
            if !launch.network.isEmpty { try enter(launch.network, Namespace.network) }
            let flags = Namespace.mount | (launch.hostname.isEmpty ? 0 : Namespace.hostname)
            guard clinux_unshare(flags) == 0 else { throw ShimError.system("make namespaces") }
            if !launch.hostname.isEmpty {
                guard clinux_sethostname(launch.hostname, launch.hostname.utf8.count) == 0 else {
                    throw ShimError.system("set the host name")
                }
            }
            try MountView.make(launch)
            guard chdir(launch.workingDirectory.isEmpty ? "/" : launch.workingDirectory) == 0 else {
                throw ShimError.system("change to the working directory \(launch.workingDirectory)")
            }
            Program.resetSignals()
            Program.closeAll(above: 2)
            try launch.identity.apply()
            throw Program.execute(launch.arguments, environment: launch.environment)
        } catch {
            Reply.send(.failed((error as? ShimError)?.message ?? "\(error)"), to: status)
            _exit(127)
        }
    }

    static func joinCgroups(_ cgroups: [String]) throws {
        for cgroup in cgroups where !System.put(cgroup + "/cgroup.procs", "0") {
            throw ShimError.system("join the cgroup \(cgroup)")
        }
    }

    static func enter(_ path: String, _ type: Int32) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ShimError.system("open \(path)") }
        defer { close(descriptor) }
        guard clinux_setns(descriptor, type) == 0 else { throw ShimError.system("enter \(path)") }
    }

    /// Only children come into another PID namespace, so the program is one more process below this one.
    private static func joinProcesses(_ pid: Int, status: Int32) throws {
        try enter("/proc/\(pid)/ns/pid", Namespace.process)
        let child = clinux_fork()
        guard child >= 0 else { throw ShimError.system("start the program") }
        guard child > 0 else {
            Reply.send(.started(supervisor: 0, program: System.hostPID()), to: status)
            return
        }
        close(status)
        var result: Int32 = 0
        while waitpid(child, &result, 0) < 0, errno == EINTR {}
        let end = WaitStatus(result)
        _exit(Int32(truncatingIfNeeded: end.code))
    }

    private static func attach(_ streams: Streams) throws {
        if let path = streams.terminalPath {
            let terminal = open(path, O_RDWR)
            guard terminal >= 0 else { throw ShimError.system("open \(path)") }
            _ = ioctl(terminal, UInt(TIOCSCTTY), 0)
            for number: Int32 in 0...2 { dup2(terminal, number) }
            if terminal > 2 { close(terminal) }
            return
        }
        let input = streams.programInput >= 0 ? streams.programInput : open("/dev/null", O_RDONLY)
        guard input >= 0 else { throw ShimError.system("open /dev/null") }
        for (descriptor, number) in [(input, Int32(0)), (streams.programOutput, 1), (streams.programError, 2)]
        where dup2(descriptor, number) < 0 {
            throw ShimError.system("set up the standard streams")
        }
    }
}

/// A command beside a program: in its namespaces and cgroup.
enum Entrant {
    /// Does not return; answers on `reply`.
    static func run(_ path: String, reply: Int32, streams: [Int32]) -> Never {
        do {
            guard let bytes = System.read(path), let json = try? JSON.parse(bytes) else {
                throw ShimError("cannot read \(path)")
            }
            unlink(path)
            guard streams.count == 3 else { throw ShimError("the command has no streams") }
            try enter(Entry(json), reply, streams)
        } catch {
            Reply.send(.failed((error as? ShimError)?.message ?? "\(error)"), to: reply)
            exit(1)
        }
    }

    private static func enter(_ entry: Entry, _ reply: Int32, _ streams: [Int32]) throws -> Never {
        var held: [(Int32, Int32)] = []
        for (name, type) in [
            ("net", Namespace.network), ("uts", Namespace.hostname), ("mnt", Namespace.mount),
        ] {
            let path = "/proc/\(entry.program)/ns/\(name)"
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw ShimError("the container is not running") }
            held.append((descriptor, type))
        }
        try ProgramStart.enter("/proc/\(entry.program)/ns/pid", Namespace.process)
        let status = try System.makePipe()
        let child = clinux_fork()
        guard child >= 0 else { throw ShimError.system("start the command") }
        if child == 0 {
            become(entry, held, streams, status: status.writing)
        }
        for descriptor in streams + [status.writing] { close(descriptor) }
        var told: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(status.reading, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            told += chunk[..<count]
        }
        for line in String(decoding: told, as: UTF8.self).split(separator: "\n") {
            if let answer = Reply(line) { Reply.send(answer, to: reply) }
        }
        var result: Int32 = 0
        while waitpid(child, &result, 0) < 0, errno == EINTR {}
        Reply.send(.exited(code: WaitStatus(result).code), to: reply)
        exit(0)
    }

    private static func become(_ entry: Entry, _ held: [(Int32, Int32)], _ streams: [Int32], status: Int32) -> Never {
        do {
            Reply.send(.started(supervisor: 0, program: System.hostPID()), to: status)
            try ProgramStart.joinCgroups(entry.cgroups)
            setsid()
            for (number, descriptor) in streams.enumerated() where dup2(descriptor, Int32(number)) < 0 {
                throw ShimError.system("set up the standard streams")
            }
            if entry.tty { _ = ioctl(0, UInt(TIOCSCTTY), 0) }
            for (descriptor, type) in held where clinux_setns(descriptor, type) != 0 {
                throw ShimError.system("enter the container's namespaces")
            }
            guard chdir(entry.workingDirectory) == 0 else {
                throw ShimError.system("change to the working directory \(entry.workingDirectory)")
            }
            Program.resetSignals()
            Program.closeAll(above: 2)
            try entry.identity.apply()
            throw Program.execute(entry.arguments, environment: entry.environment)
        } catch {
            Reply.send(.failed((error as? ShimError)?.message ?? "\(error)"), to: status)
            _exit(127)
        }
    }
}
