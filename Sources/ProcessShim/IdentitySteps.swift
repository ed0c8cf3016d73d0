import CLinux
import Glibc

/// The last steps before a program is executed: limits, filter, user, capabilities.
extension Launch.Identity {
    func apply() throws {
        for limit in limits {
            guard
                clinux_setrlimit(Int32(limit.resource), limit.soft ?? UInt64.max, limit.hard ?? UInt64.max) == 0
            else { throw ShimError.system("set resource limit \(limit.resource)") }
        }
        if let oomScore { _ = System.put("/proc/self/oom_score_adj", String(oomScore)) }
        _ = Glibc.umask(mode_t(umask ?? 0o022))
        let held = clinux_permitted() & capabilities
        // The filter needs the right to install it, and the calls after it must be allowed: setuid and capset are.
        if noNewPrivileges, clinux_prctl(38, 1) != 0 { throw ShimError.system("set no_new_privs") }
        if isFiltered { try SystemCallFilter.install(capabilities: held) }
        for capability in 0..<64 where capabilities & (1 << UInt64(capability)) == 0 {
            // Numbers that the kernel does not know are refused.
            if clinux_prctl(24, UInt(capability)) != 0 {
                if errno == EINVAL { break }
                throw ShimError.system("drop capability \(capability)")
            }
        }
        let list = groups.map { UInt32(truncatingIfNeeded: $0) }
        guard clinux_setgroups(list.count, list) == 0 else { throw ShimError.system("set groups") }
        guard clinux_setresgid(UInt32(truncatingIfNeeded: group)) == 0 else { throw ShimError.system("set group") }
        guard clinux_setresuid(UInt32(truncatingIfNeeded: user)) == 0 else { throw ShimError.system("set user") }
        // Another user than root has lost them with the change.
        if user == 0, clinux_capset(held, held, 0) != 0 { throw ShimError.system("set capabilities") }
    }
}

/// Replaces this process by a program.
enum Program {
    /// Searches `PATH` of the program's own environment.
    static func execute(_ arguments: [String], environment: [String]) -> ShimError {
        guard let name = arguments.first, !name.isEmpty else { return ShimError("no command specified") }
        let (argumentPointers, environmentPointers) = (cStrings(arguments), cStrings(environment))
        if name.contains("/") {
            _ = clinux_execve(name, argumentPointers, environmentPointers)
            return failure(name)
        }
        let path = environment.last { $0.hasPrefix("PATH=") }.map { String($0.dropFirst(5)) } ?? standardPath
        var code = ENOENT
        for folder in path.split(separator: ":", omittingEmptySubsequences: false) {
            _ = clinux_execve("\(folder.isEmpty ? "." : folder)/\(name)", argumentPointers, environmentPointers)
            if errno != ENOENT, errno != ENOTDIR { code = errno }
        }
        if code == ENOENT { return ShimError("exec: \"\(name)\": executable file not found in $PATH") }
        errno = code
        return failure(name)
    }
    static let standardPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    private static func failure(_ name: String) -> ShimError {
        ShimError("exec: \"\(name)\": \(System.lastError)")
    }

    /// Signals as a fresh program expects them.
    static func resetSignals() {
        for number in 1..<32 where number != SIGKILL && number != SIGSTOP { signal(Int32(number), SIG_DFL) }
        var none = sigset_t()
        sigemptyset(&none)
        sigprocmask(SIG_SETMASK, &none, nil)
    }

    /// What is open beyond the standard streams is not for the program.
    static func closeAll(above last: Int32) {
        if clinux_close_on_exec(UInt32(last) + 1) == 0 { return }
        for name in System.names("/proc/self/fd") {
            if let descriptor = Int32(name), descriptor > last { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        }
    }
}

/// The filter of system calls for programs that ask for `RuntimeDefault`: a list of calls that only administration needs
/// is refused with EPERM.
enum SystemCallFilter {
    private static let refused: UInt32 = 0x0005_0000 | UInt32(EPERM)
    private static let unknown: UInt32 = 0x0005_0000 | UInt32(ENOSYS)
    private static let allowed: UInt32 = 0x7FFF_0000
    private static let namespaceFlags: UInt32 = 0x7E02_0000

    static func install(capabilities: UInt64) throws {
        var program = instructions(capabilities: capabilities)
        let count = UInt16(program.count)
        let result = program.withUnsafeMutableBufferPointer { clinux_seccomp($0.baseAddress, count) }
        guard result == 0 else { throw ShimError.system("install the system call filter") }
    }

    static func instructions(capabilities: UInt64) -> [sock_filter] {
        let (load, equal, atLeast, anyBit, answer): (UInt16, UInt16, UInt16, UInt16, UInt16) =
            (0x20, 0x15, 0x35, 0x45, 0x06)
        func step(_ code: UInt16, _ value: UInt32, _ yes: UInt8 = 0, _ no: UInt8 = 0) -> sock_filter {
            sock_filter(code: code, jt: yes, jf: no, k: value)
        }
        // Another architecture numbers its calls differently.
        var out = [
            step(load, 4), step(equal, clinux_audit_architecture, 1, 0), step(answer, refused), step(load, 0),
        ]
        if clinux_audit_architecture == 0xC000_003E {
            out += [step(atLeast, 0x4000_0000, 0, 1), step(answer, unknown)]
        }
        var list: UnsafePointer<clinux_refusal>?
        let count = clinux_refusals(&list)
        for refusal in UnsafeBufferPointer(start: list, count: count) {
            if refusal.capability >= 0, capabilities & (1 << UInt64(refusal.capability)) != 0 { continue }
            out += [step(equal, UInt32(refusal.call), 0, 1), step(answer, refused)]
        }
        if capabilities & (1 << 21) == 0 {
            // clone3 hides its flags behind a pointer: programs fall back to clone.
            out += [step(equal, UInt32(clinux_call_clone3), 0, 1), step(answer, unknown)]
            out += [
                step(equal, UInt32(clinux_call_clone), 0, 3), step(load, 16), step(anyBit, namespaceFlags, 0, 1),
                step(answer, refused),
            ]
        }
        out.append(step(answer, allowed))
        return out
    }
}
