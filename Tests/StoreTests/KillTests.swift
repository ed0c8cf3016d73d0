import Glibc
import Testing

@testable import Store

/// Durability under attack: a child with 64 concurrent writers is killed again and again on the same file.
@Suite(.serialized) struct KillTests {
    /// One acknowledged write, as the child told it.
    struct Acknowledged {
        var step: Int
        var revision: UInt64
    }

    @Test("SIGKILL under 64 writers loses no acknowledged write and tears nothing")
    func kill() async throws {
        let rounds = getenv("APUS_KILL_ROUNDS").flatMap { Int(String(cString: $0)) } ?? 8
        let program = try #require(Self.torture(), "StoreTorture is not beside the test bundle")
        try await withDirectory { directory in
            for round in 0..<rounds {
                // Different moments: during opening of an existing file, early, in full swing.
                let lines = min(round * round * 60, 4000)
                let told = try Self.runAndKill(program, directory + "/state.db", afterLines: lines)
                try await Self.check(told, directory)
            }
        }
    }

    private static func check(_ told: [(key: String, write: Acknowledged)], _ directory: String) async throws {
        let store = try await openStore(directory)
        #expect(try await store.integrityCheck() == ["ok"])
        let current = try await store.currentRevision()
        let revisions = told.map(\.write.revision)
        #expect(Set(revisions).count == revisions.count, "a revision was given twice")
        #expect((revisions.max() ?? 0) <= current)

        var newest: [String: Acknowledged] = [:]
        for (key, write) in told where write.step >= (newest[key]?.step ?? -1) { newest[key] = write }
        for (key, write) in newest {
            let found = try await store.get(key)
            // The next write of the same writer may have been committed but not told.
            if let found {
                let step = try #require(Self.step(of: found), "\(key) is torn")
                let isTold = step == write.step && found.modRevision == write.revision
                let isNext = step == write.step + 1 && found.modRevision > write.revision
                #expect(isTold || isNext, "\(key): told \(write), found step \(step) at \(found.modRevision)")
            } else {
                let isRemoved = write.step == 3 || (write.step == 2 && !Self.isKept(key))
                #expect(isRemoved, "\(key): told \(write), found nothing")
            }
        }
        // Nothing is torn in what was never told either, and history has no gap.
        for value in try await store.list(prefix: "/", after: nil, limit: nil, revision: nil).values {
            #expect(Self.step(of: value) != nil, "\(value.key) is torn")
        }
        let begin = current > 5000 ? current - 5000 : 1
        let watch = try await store.watch(prefix: "/", after: begin)
        let events = try await take(Int(current - begin), from: watch)
        #expect(events.map(\.revision) == Array(begin + 1..<current + 1))
        await store.close()
    }

    /// The step whose value this is; nil when it is no whole value.
    private static func step(of stored: StoredValue) -> Int? {
        let text = stored.text
        return (0...2).first { text == String(repeating: "\(stored.key) \($0);", count: 40 + $0 * 50) }
    }
    /// Writers keep every other key.
    private static func isKept(_ key: String) -> Bool {
        key.split(separator: "/").last.flatMap { Int($0) }.map { $0 % 2 == 0 } ?? false
    }

    /// Runs the child until it has told so many writes, kills it, and returns everything it told.
    private static func runAndKill(_ program: String, _ path: String, afterLines lines: Int) throws
        -> [(key: String, write: Acknowledged)]
    {
        var pipes: [Int32] = [0, 0]
        let piped = pipe(&pipes)
        try #require(piped == 0)
        for descriptor in pipes { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO)
        let words: [String] = [program, path, "64"]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var child: pid_t = 0
        let result = posix_spawn(&child, program, &actions, nil, arguments, environ)
        close(pipes[1])
        defer { close(pipes[0]) }
        try #require(result == 0)

        var bytes: [UInt8] = []
        var seen = 0
        var isKilled = false
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            if !isKilled, seen >= lines {
                Glibc.kill(child, SIGKILL)
                isKilled = true
            }
            let count = read(pipes[0], &buffer, buffer.count)
            if count <= 0 { break }
            bytes += buffer.prefix(count)
            seen += buffer.prefix(count).count { $0 == 0x0A }
        }
        var status: Int32 = 0
        waitpid(child, &status, 0)
        #expect(
            status & 0x7F == SIGKILL, "the child ended by itself: \(String(decoding: bytes.suffix(300), as: UTF8.self))"
        )
        return bytes.split(separator: 0x0A).compactMap { line in
            let parts = String(decoding: line, as: UTF8.self).split(separator: " ")
            guard parts.count == 3, let step = Int(parts[1]), let revision = UInt64(parts[2]) else { return nil }
            return (String(parts[0]), Acknowledged(step: step, revision: revision))
        }
    }

    /// The helper program; it is built beside the test bundle, or where `APUS_TORTURE` says.
    private static func torture() -> String? {
        if let path = getenv("APUS_TORTURE") { return String(cString: path) }
        var candidates: [String] = []
        for argument in CommandLine.arguments where argument.contains(".xctest") { candidates.append(argument) }
        var buffer = [CChar](repeating: 0, count: 4096)
        if readlink("/proc/self/exe", &buffer, buffer.count - 1) > 0 {
            candidates.append(String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        for candidate in candidates {
            guard let slash = candidate.lastIndex(of: "/") else { continue }
            let path = candidate[..<slash] + "/StoreTorture"
            if access(String(path), X_OK) == 0 { return String(path) }
        }
        return nil
    }
}
