import Glibc

/// What the machine is. Read once at start; blocking but tiny reads.
struct HostFacts: Sendable {
    var hostname: String
    var kernelVersion: String
    var osImage: String
    var architecture: String
    var machineID: String
    var systemUUID: String
    var bootID: String
    var cpus: Int
    var memoryBytes: Int
    var swapBytes: Int
    /// Pages by name such as `hugepages-2Mi`, in bytes.
    var hugepages: [String: Int]
    /// The lowest oom_score_adj that we may give to a container.
    var lowestOOMScore: Int64

    static func read() -> HostFacts {
        var name = utsname()
        uname(&name)
        func text<T>(_ field: T) -> String {
            withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
        let machine = text(name.machine)
        let memory = Self.meminfo()
        let machineID = Self.line("/etc/machine-id") ?? ""
        return HostFacts(
            hostname: text(name.nodename), kernelVersion: text(name.release), osImage: osImage(),
            architecture: ["x86_64": "amd64", "aarch64": "arm64"][machine] ?? machine, machineID: machineID,
            systemUUID: Self.line("/sys/class/dmi/id/product_uuid") ?? machineID,
            bootID: Self.line("/proc/sys/kernel/random/boot_id") ?? "",
            cpus: max(Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))), 1), memoryBytes: memory["MemTotal"] ?? 0,
            swapBytes: memory["SwapTotal"] ?? 0, hugepages: readHugepages(), lowestOOMScore: readLowestOOMScore())
    }

    /// `/proc/meminfo` in bytes.
    static func meminfo() -> [String: Int] {
        var result: [String: Int] = [:]
        for line in (Files.text("/proc/meminfo") ?? "").split(separator: "\n") {
            let parts = line.split(whereSeparator: { $0 == ":" || $0 == " " })
            if parts.count >= 2, let value = Int(parts[1]) { result[String(parts[0])] = value * 1024 }
        }
        return result
    }

    private static func line(_ path: String) -> String? {
        Files.text(path).flatMap { $0.split(separator: "\n").first.map(String.init) }
    }
    private static func osImage() -> String {
        for line in (Files.text("/etc/os-release") ?? "").split(separator: "\n") where line.hasPrefix("PRETTY_NAME=") {
            return line.dropFirst("PRETTY_NAME=".count).filter { $0 != "\"" }
        }
        return "Linux"
    }
    private static func readHugepages() -> [String: Int] {
        var result: [String: Int] = [:]
        let root = "/sys/kernel/mm/hugepages"
        for name in Files.names(in: root) {
            guard name.hasPrefix("hugepages-"), name.hasSuffix("kB"),
                let kilobytes = Int(name.dropFirst("hugepages-".count).dropLast(2)),
                let count = line("\(root)/\(name)/nr_hugepages").flatMap({ Int($0) })
            else { continue }
            let unit = kilobytes >= 1 << 20 ? "\(kilobytes >> 20)Gi" : "\(kilobytes >> 10)Mi"
            result["hugepages-\(unit)"] = count * kilobytes * 1024
        }
        return result
    }
    /// Without CAP_SYS_RESOURCE (bit 24) a process can only raise the score.
    private static func readLowestOOMScore() -> Int64 {
        for line in (Files.text("/proc/self/status") ?? "").split(separator: "\n") where line.hasPrefix("CapEff:") {
            let hex = line.dropFirst("CapEff:".count).filter { !$0.isWhitespace }
            if let bits = UInt64(hex, radix: 16), bits & (1 << 24) != 0 { return -1000 }
        }
        return line("/proc/self/oom_score_adj").flatMap { Int64($0) } ?? 0
    }

    /// Size and free bytes of the file system that holds a path.
    static func filesystem(_ path: String) -> (capacity: Int, available: Int, inodes: Int, inodesFree: Int) {
        var result = statvfs()
        guard statvfs(path, &result) == 0 else { return (0, 0, 0, 0) }
        let block = Int(result.f_frsize)
        return (Int(result.f_blocks) * block, Int(result.f_bavail) * block, Int(result.f_files), Int(result.f_ffree))
    }
}
