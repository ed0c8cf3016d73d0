import Glibc

/// CPU time of processes on this machine (proc(5)).
enum ProcessorTime {
    /// User and system time of all together; nil without a process, or when one is gone.
    static func seconds(of processes: [Int]) -> Double? {
        if processes.isEmpty { return nil }
        var ticks = 0.0
        for process in processes {
            // Fields 14 and 15, counted behind the command's closing parenthesis.
            guard let stat = text("/proc/\(process)/stat"), let end = stat.lastIndex(of: ")") else { return nil }
            let fields = stat[end...].split(separator: " ")
            guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else { return nil }
            ticks += user + system
        }
        return ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private static func text(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(descriptor, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
    }
}
