import Glibc

/// The cgroups of plain programs, below the pod's: on cgroup v1 one folder in each controller's tree, on v2 one. All
/// calls block.
struct ProcessCgroups: Sendable {
    /// Mount point by controller (v1); empty on v2.
    let trees: [String: String]
    /// Mount point of the one tree (v2).
    let unified: String?

    private static let controllers = ["pids", "memory", "cpu", "cpuacct", "cpuset", "hugetlb"]

    init(root: String = "/sys/fs/cgroup") {
        if access(root + "/cgroup.controllers", F_OK) == 0 {
            unified = root
            trees = [:]
        } else {
            unified = nil
            var found: [String: String] = [:]
            for line in (HostFiles.readText("/proc/self/mountinfo") ?? "").split(separator: "\n") {
                let fields = line.split(separator: " ")
                guard let dash = fields.firstIndex(of: "-"), fields.count > dash + 3, fields.count > 4,
                    fields[dash + 1] == "cgroup"
                else { continue }
                for option in fields[dash + 3].split(separator: ",") {
                    if Self.controllers.contains(String(option)) { found[String(option)] = String(fields[4]) }
                }
            }
            trees = found
        }
    }

    /// Makes a container's cgroup with its limits.
    /// - Parameter path: below the root, for example `/apus-ab12/podUID/process-1`.
    /// - Returns: its folders; the first lists its processes. Empty when this machine lets nobody make cgroups.
    func make(_ path: String, _ resources: ContainerResources) throws(RuntimeError) -> [String] {
        if let unified {
            let directory = unified + path
            try HostFiles.makeDirectory(directory)
            try apply(resources, to: [directory])
            return [directory]
        }
        var directories: [String] = []
        for controller in Self.controllers {
            guard let tree = trees[controller], !directories.contains(tree + path) else { continue }
            if controller == "cpuset" {
                if resources.cpusetCPUs.isEmpty { continue }
                try HostFiles.makeDirectory(tree + path)
                try inheritCPUs(tree, path)
            } else if controller == "hugetlb" {
                if resources.hugepageLimits.isEmpty { continue }
            }
            try HostFiles.makeDirectory(tree + path)
            directories.append(tree + path)
        }
        try apply(resources, to: directories)
        return directories
    }

    /// A v1 cpuset takes no process before it has CPUs and memory nodes, level by level.
    private func inheritCPUs(_ tree: String, _ path: String) throws(RuntimeError) {
        var current = tree
        for part in path.split(separator: "/") {
            let parent = current
            current += "/\(part)"
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let own = HostFiles.readText("\(current)/\(file)") ?? ""
                if own.allSatisfy(\.isWhitespace), let text = HostFiles.readText("\(parent)/\(file)") {
                    try Self.put("\(current)/\(file)", text)
                }
            }
        }
    }

    /// Sets the limits that are given and leaves the others.
    func apply(_ resources: ContainerResources, to directories: [String]) throws(RuntimeError) {
        for directory in directories {
            if unified != nil {
                try applyUnified(resources, directory)
            } else {
                try applyTree(resources, directory)
            }
        }
    }

    private func applyUnified(_ resources: ContainerResources, _ directory: String) throws(RuntimeError) {
        if let shares = resources.cpuShares, shares > 0 {
            try putIfThere("\(directory)/cpu.weight", String(1 + (max(shares, 2) - 2) * 9999 / 262_142))
        }
        if let quota = resources.cpuQuota {
            try putIfThere(
                "\(directory)/cpu.max", "\(quota > 0 ? String(quota) : "max") \(resources.cpuPeriod ?? 100_000)")
        }
        if let memory = resources.memoryLimitBytes {
            try putIfThere("\(directory)/memory.max", memory > 0 ? String(memory) : "max")
            try putIfThere("\(directory)/memory.swap.max", "0")
        }
        if !resources.cpusetCPUs.isEmpty { try putIfThere("\(directory)/cpuset.cpus", resources.cpusetCPUs) }
        for (size, limit) in resources.hugepageLimits { try putIfThere("\(directory)/hugetlb.\(size).max", "\(limit)") }
        for (file, text) in resources.unified where !file.contains("/") { try putIfThere("\(directory)/\(file)", text) }
    }

    private func applyTree(_ resources: ContainerResources, _ directory: String) throws(RuntimeError) {
        if let shares = resources.cpuShares, shares > 0 { try putIfThere("\(directory)/cpu.shares", String(shares)) }
        if let quota = resources.cpuQuota {
            try putIfThere("\(directory)/cpu.cfs_period_us", String(resources.cpuPeriod ?? 100_000))
            try putIfThere("\(directory)/cpu.cfs_quota_us", String(quota > 0 ? quota : -1))
        }
        if let memory = resources.memoryLimitBytes {
            // Memory with swap may never be less than memory: which goes first depends on the direction.
            let (plain, swap) = ("\(directory)/memory.limit_in_bytes", "\(directory)/memory.memsw.limit_in_bytes")
            let text = String(memory > 0 ? memory : -1)
            if access(swap, F_OK) == 0, (try? Self.put(swap, text)) != nil {
                try Self.put(plain, text)
            } else {
                try putIfThere(plain, text)
                try putIfThere(swap, text)
            }
        }
        if !resources.cpusetCPUs.isEmpty { try putIfThere("\(directory)/cpuset.cpus", resources.cpusetCPUs) }
        for (size, limit) in resources.hugepageLimits {
            try putIfThere("\(directory)/hugetlb.\(size).limit_in_bytes", "\(limit)")
        }
    }

    private func putIfThere(_ path: String, _ text: String) throws(RuntimeError) {
        if access(path, F_OK) == 0 { try Self.put(path, text) }
    }
    private static func put(_ path: String, _ text: String) throws(RuntimeError) {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw HostFiles.failure("open", path) }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        guard write(descriptor, bytes, bytes.count) == bytes.count else {
            throw HostFiles.failure("write \(text) to", path)
        }
    }

    /// The file that counts kills for lack of memory.
    func oomFile(_ directories: [String]) -> String {
        for directory in directories {
            for name in ["memory.events", "memory.oom_control"] where access("\(directory)/\(name)", F_OK) == 0 {
                return "\(directory)/\(name)"
            }
        }
        return ""
    }

    /// Ends what may be left in a cgroup, and removes it.
    static func clear(_ directories: [String]) {
        for _ in 0..<50 {
            var left = false
            for directory in directories {
                for pid in processes(directory) {
                    kill(pid, SIGKILL)
                    left = true
                }
                HostFiles.removeCgroup(directory)
                if access(directory, F_OK) == 0 { left = true }
            }
            if !left { return }
            usleep(4000)
        }
    }
    private static func processes(_ directory: String) -> [pid_t] {
        var result = (HostFiles.readText(directory + "/cgroup.procs") ?? "").split(separator: "\n").compactMap {
            pid_t($0)
        }
        for name in HostFiles.entries(directory) where HostFiles.isDirectory("\(directory)/\(name)") {
            result += processes("\(directory)/\(name)")
        }
        return result.filter { $0 > 0 }
    }

    /// CPU time in nanoseconds and memory in bytes that the kernel cannot take back.
    func usage(_ directories: [String]) -> (cpu: UInt64, memory: UInt64) {
        var (cpu, memory): (UInt64, UInt64) = (0, 0)
        func number(_ path: String) -> UInt64? {
            HostFiles.readText(path).flatMap { UInt64($0.filter(\.isNumber)) }
        }
        func member(_ path: String, _ name: Substring) -> UInt64 {
            for line in (HostFiles.readText(path) ?? "").split(separator: "\n") {
                let words = line.split(separator: " ")
                if words.first == name { return words.last.flatMap { UInt64($0) } ?? 0 }
            }
            return 0
        }
        for directory in directories {
            if unified != nil {
                cpu = member("\(directory)/cpu.stat", "usage_usec") * 1000
                let used = number("\(directory)/memory.current") ?? 0
                memory = used - min(used, member("\(directory)/memory.stat", "inactive_file"))
                continue
            }
            if cpu == 0, let used = number("\(directory)/cpuacct.usage") { cpu = used }
            if memory == 0, let used = number("\(directory)/memory.usage_in_bytes") {
                memory = used - min(used, member("\(directory)/memory.stat", "total_inactive_file"))
            }
        }
        return (cpu, memory)
    }
}
