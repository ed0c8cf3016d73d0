import Glibc
import Logging
import Testing

@testable import NodeAgent

@Suite struct CgroupTests {
    /// A directory that looks like the root of a cgroup v2 tree, with the files that the kernel would make.
    private static func fakeTree(_ cgroups: [String]) throws -> String {
        var template = Array("/tmp/cgroup-test.XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw FileError("mkdtemp", "/tmp") }
        let root = String(cString: made)
        for path in [""] + cgroups {
            let directory = root + path
            try Files.makeDirectories(directory)
            try Files.write(directory + "/cgroup.controllers", Array("cpu memory pids\n".utf8), mode: 0o644)
            for name in ["cgroup.subtree_control", "cpu.weight", "cpu.max", "memory.max", "pids.current"] {
                try Files.write("\(directory)/\(name)", [], mode: 0o644)
            }
        }
        return root
    }
    private static var logger: Logger {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }

    @Test("Version 2 cgroups get the kernel's values at every level")
    func versionTwo() async throws {
        let top = "/apus-t"
        let pods = ["/podg", "/burstable/podb", "/besteffort/pode"].map { top + $0 }
        let root = try Self.fakeTree([top, top + "/burstable", top + "/besteffort"] + pods)
        defer { try? Files.removeTree(root) }
        let manager = CgroupManager(prefix: top, root: root, logger: Self.logger)
        #expect(manager.version == .v2 && manager.trees == ["": root])
        await manager.prepare(allocatableMilliCPU: 4000, allocatableMemory: 8 << 30)
        func value(_ file: String) -> String { Files.text(root + top + file) ?? "none" }
        // 4096 shares.
        #expect(value("/cpu.weight") == "157")
        #expect(value("/memory.max") == String(8 << 30))
        #expect(value("/cpu.max") == "max 100000")
        #expect(value("/besteffort/cpu.weight") == "1")
        // Every level hands its controllers on.
        #expect(Files.text(root + "/cgroup.subtree_control")?.hasPrefix("+") == true)

        let limited = makePod(containers: [
            [
                "name": "web", "image": "i",
                "resources": ["requests": ["cpu": "500m"], "limits": ["cpu": "1500m", "memory": "64Mi"]],
            ]
        ])
        await manager.makePod("b", .burstable, PodResources(limited.spec))
        #expect(value("/burstable/podb/cpu.weight") == "20")
        #expect(value("/burstable/podb/cpu.max") == "150000 100000")
        #expect(value("/burstable/podb/memory.max") == String(64 << 20))
        await manager.makePod("e", .bestEffort, PodResources(makePod().spec))
        #expect(value("/besteffort/pode/cpu.weight") == "1")
        #expect(value("/besteffort/pode/memory.max") == "max")
        #expect(await manager.podUIDs() == ["g", "b", "e"])
        #expect(manager.path("g", .guaranteed) == "/apus-t/podg")
    }
}
