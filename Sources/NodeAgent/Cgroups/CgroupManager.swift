import Glibc
import Logging
import Synchronization

/// Makes and removes the cgroups around pods: `/apus-ID/{,burstable/,besteffort/}podUID`, on cgroup v1 (one tree per
/// controller) and v2 (one tree). Containers' own cgroups below are the runtime's.
///
/// Where the agent may not write cgroups, it says so once and the runtime's own limits per container remain.
final class CgroupManager: Sendable {
    enum Version: Sendable { case v1, v2 }

    /// For example `/apus-ab12`.
    let prefix: String
    let version: Version
    /// Mount point by controller (v1), or the one tree under the empty name (v2).
    let trees: [String: String]
    private let logger: Logger
    private let isUsable = Mutex(true)

    init(prefix: String, root: String = "/sys/fs/cgroup", logger: Logger) {
        self.prefix = prefix
        self.logger = logger
        if Files.exists(root + "/cgroup.controllers") {
            version = .v2
            trees = ["": root]
        } else {
            version = .v1
            trees = Self.controllers(Files.text("/proc/self/mountinfo") ?? "")
        }
    }

    /// Mount points of v1 controllers from the text of `/proc/self/mountinfo`.
    static func controllers(_ mountinfo: String) -> [String: String] {
        var result: [String: String] = [:]
        for line in mountinfo.split(separator: "\n") {
            let halves = line.split(separator: " ")
            guard let dash = halves.firstIndex(of: "-"), halves.count > dash + 3, halves.count > 4 else { continue }
            let (type, path) = (halves[dash + 1], String(halves[4]))
            if type == "cgroup2" { result["unified"] = path }
            guard type == "cgroup" else { continue }
            for option in halves[dash + 3].split(separator: ",") where option != "rw" && option != "ro" {
                result[String(option)] = path
            }
        }
        return result
    }

    /// cgroup parent of a pod's sandbox and containers.
    func path(_ uid: String, _ quality: QualityOfService) -> String {
        switch quality {
        case .guaranteed: "\(prefix)/pod\(uid)"
        case .burstable: "\(prefix)/burstable/pod\(uid)"
        case .bestEffort: "\(prefix)/besteffort/pod\(uid)"
        }
    }

    // MARK: Making

    /// Makes the top of the tree.
    /// - Parameter allocatableMemory: limit of all pods together, in bytes.
    func prepare(allocatableMilliCPU: Int, allocatableMemory: Int) async {
        let shares = CgroupMath.shares(milliCPU: allocatableMilliCPU)
        await attempt("the pods' cgroup cannot be made; pods get no limits of their own, containers still do") {
            [self] in
            try make(prefix, shares: shares, quota: nil, memory: Int64(allocatableMemory))
            try make("\(prefix)/burstable", shares: nil, quota: nil, memory: nil)
            try make("\(prefix)/besteffort", shares: 2, quota: nil, memory: nil)
        }
    }

    /// Makes or updates a pod's cgroup.
    func makePod(_ uid: String, _ quality: QualityOfService, _ resources: PodResources) async {
        let path = path(uid, quality)
        let shares = quality == .bestEffort ? 2 : CgroupMath.shares(milliCPU: resources.requestMilliCPU)
        await attempt("a pod's cgroup cannot be made; its containers keep their own limits") { [self] in
            try make(
                path, shares: shares, quota: resources.limitMilliCPU.flatMap { CgroupMath.quota(milliCPU: $0) },
                memory: resources.limitMemory.map(Int64.init))
        }
    }

    /// Sets the weight of all burstable pods together.
    func setBurstable(requestMilliCPU: Int) async {
        let shares = CgroupMath.shares(milliCPU: requestMilliCPU)
        await attempt("the weight of burstable pods cannot be set") { [self] in
            try make("\(prefix)/burstable", shares: shares, quota: nil, memory: nil)
        }
    }

    private func attempt(_ failure: Logger.Message, _ work: @escaping @Sendable () throws -> Void) async {
        guard isUsable.withLock({ $0 }) else { return }
        do {
            try await blocking(work)
        } catch {
            let isPermission = (error as? FileError).map { [EACCES, EPERM, EROFS].contains($0.code) } ?? false
            if isPermission { isUsable.withLock { $0 = false } }
            logger.warning(failure, metadata: ["error": "\(error)"])
        }
    }

    private func make(_ path: String, shares: Int64?, quota: Int64?, memory: Int64?) throws {
        switch version {
        case .v1: try makeV1(path, shares: shares, quota: quota, memory: memory)
        case .v2: try makeV2(path, shares: shares, quota: quota, memory: memory)
        }
    }

    private func makeV1(_ path: String, shares: Int64?, quota: Int64?, memory: Int64?) throws {
        if let cpu = trees["cpu"] {
            let directory = cpu + path
            try Files.makeDirectories(directory, mode: 0o755)
            if let shares { try Files.put(directory + "/cpu.shares", String(shares)) }
            if quota != nil { try Files.put(directory + "/cpu.cfs_period_us", String(CgroupMath.period)) }
            if Files.exists(directory + "/cpu.cfs_quota_us") {
                try Files.put(directory + "/cpu.cfs_quota_us", String(quota ?? -1))
            }
        }
        if let tree = trees["memory"] {
            let directory = tree + path
            try Files.makeDirectories(directory, mode: 0o755)
            try? Files.put(directory + "/memory.use_hierarchy", "1")
            try Files.put(directory + "/memory.limit_in_bytes", String(memory ?? -1))
        }
        if let tree = trees["pids"] { try Files.makeDirectories(tree + path, mode: 0o755) }
    }

    private func makeV2(_ path: String, shares: Int64?, quota: Int64?, memory: Int64?) throws {
        guard let root = trees[""] else { return }
        // Children get a controller only when every level above passes it on.
        var current = root
        for part in path.split(separator: "/") {
            passOn(current)
            current += "/\(part)"
            try Files.makeDirectories(current, mode: 0o755)
        }
        passOn(current)
        if let shares, Files.exists(current + "/cpu.weight") {
            try Files.put(current + "/cpu.weight", String(CgroupMath.weight(shares: shares)))
        }
        if Files.exists(current + "/cpu.max") {
            try Files.put(current + "/cpu.max", "\(quota.map(String.init) ?? "max") \(CgroupMath.period)")
        }
        if Files.exists(current + "/memory.max") {
            try Files.put(current + "/memory.max", memory.map(String.init) ?? "max")
        }
    }
    private func passOn(_ directory: String) {
        let available = (Files.text(directory + "/cgroup.controllers") ?? "").split(whereSeparator: \.isWhitespace)
        let enabled = Set(
            (Files.text(directory + "/cgroup.subtree_control") ?? "").split(whereSeparator: \.isWhitespace))
        for controller in available where !enabled.contains(controller) {
            try? Files.put(directory + "/cgroup.subtree_control", "+\(controller)")
        }
    }

    /// Processes in a pod's cgroup and below.
    func processCount(_ pod: Pod) async -> Int {
        let tree = trees["pids"] ?? trees[""] ?? trees["memory"] ?? ""
        let directory = tree + path(pod.uid, QualityOfService(pod.spec))
        let count = try? await blocking {
            if let text = Files.text(directory + "/pids.current") { return Int(text.filter(\.isNumber)) ?? 0 }
            var count = 0
            var waiting = [directory]
            while let next = waiting.popLast() {
                count += (Files.text(next + "/cgroup.procs") ?? "").split(separator: "\n").count
                waiting += Files.names(in: next).map { "\(next)/\($0)" }.filter { Files.isDirectory($0, follow: false) }
            }
            return count
        }
        return count ?? 0
    }

    /// The part of pods' CPU time that the kernel worked for them, in nanoseconds by uid; those that are not known are left
    /// out.
    func systemTimes(_ uids: [String]) async -> [String: UInt64] {
        let (file, member, unit, tree) =
            switch version {
            case .v1:
                (
                    "cpuacct.stat", "system", 1_000_000_000 / UInt64(max(sysconf(Int32(_SC_CLK_TCK)), 1)),
                    trees["cpuacct"]
                )
            case .v2: ("cpu.stat", "system_usec", 1000, trees[""])
            }
        guard let tree else { return [:] }
        let paths = uids.map { uid in
            (uid, [QualityOfService.guaranteed, .burstable, .bestEffort].map { tree + path(uid, $0) + "/" + file })
        }
        let found = try? await blocking {
            var result: [String: UInt64] = [:]
            for (uid, files) in paths {
                guard let text = files.lazy.compactMap({ Files.text($0) }).first else { continue }
                for line in text.split(separator: "\n") {
                    let words = line.split(separator: " ")
                    guard words.count == 2, words[0] == member, let number = UInt64(words[1]) else { continue }
                    result[uid] = number * unit
                }
            }
            return result
        }
        return found ?? [:]
    }

    // MARK: Removing

    /// Uids of pods that have a cgroup.
    func podUIDs() async -> Set<String> {
        let (trees, prefix) = (self.trees, self.prefix)
        let found = try? await blocking {
            var result: Set<String> = []
            for tree in Set(trees.values) {
                for level in ["", "/burstable", "/besteffort"] {
                    for name in Files.names(in: tree + prefix + level) where name.hasPrefix("pod") {
                        result.insert(String(name.dropFirst(3)))
                    }
                }
            }
            return result
        }
        return found ?? []
    }

    /// Removes a pod's cgroup in all trees, with whatever the runtime left below it.
    func removePod(_ uid: String) async {
        let paths = [QualityOfService.guaranteed, .burstable, .bestEffort].map { path(uid, $0) }
        let directories = Set(trees.values)
        try? await blocking {
            for tree in directories {
                for path in paths where Files.exists(tree + path) { Self.remove(tree + path) }
            }
        }
    }
    /// Removes everything under the prefix; for `apus down`, when nothing runs any more.
    func removeAll() async {
        let (prefix, directories) = (self.prefix, Set(trees.values))
        try? await blocking {
            for tree in directories where Files.exists(tree + prefix) { Self.remove(tree + prefix) }
        }
    }
    private static func remove(_ directory: String) {
        for name in Files.names(in: directory) {
            let child = "\(directory)/\(name)"
            if Files.isDirectory(child, follow: false) { remove(child) }
        }
        // Busy for an instant after the last process ended.
        for _ in 0..<20 {
            if rmdir(directory) == 0 || errno != EBUSY { return }
            usleep(5000)
        }
    }
}
