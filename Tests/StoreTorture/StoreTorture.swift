import Glibc
import Logging
import Store

/// `StoreTorture DATABASE WRITERS [SECONDS VALUE-BYTES]`: writes as fast as it can; whoever tests durability kills it.
///
/// Each writer walks its own keys through create, update, update, delete, and prints `KEY STEP REVISION` (step: number
/// of the write on that key, from 0) after each acknowledgement. The value of step N of a key is the key and N over and
/// over, so that a torn value shows. With SECONDS it stops by itself and prints the rate instead.
@main struct StoreTorture {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 3, let writers = Int(arguments[2]) else {
            print("usage: StoreTorture DATABASE WRITERS [SECONDS VALUE-BYTES]")
            exit(2)
        }
        let store = try await SQLiteStore.open(path: arguments[1], logger: Logger(label: "torture"))
        if arguments.count > 4, let seconds = Int(arguments[3]), let size = Int(arguments[4]) {
            try await measure(store, writers: writers, seconds: seconds, size: size)
            return
        }
        // A run of its own, so that keys of different rounds on one file do not meet.
        let run = try await store.currentRevision()
        try await withThrowingDiscardingTaskGroup { group in
            for writer in 0..<writers {
                group.addTask {
                    for number in 0... {
                        try await walk(store, key: "/torture/\(run)/\(writer)/\(number)", keep: number % 2 == 0)
                    }
                }
            }
        }
    }

    private static func walk(_ store: SQLiteStore, key: String, keep: Bool) async throws {
        var revision = try await store.write(.create(key: key, value: value(key, 0)))
        tell(key, 0, revision)
        for step in 1...2 {
            revision = try await store.write(.update(key: key, value: value(key, step), expected: revision))
            tell(key, step, revision)
        }
        if keep { return }
        revision = try await store.write(.delete(key: key, expected: revision))
        tell(key, 3, revision)
    }

    private static func value(_ key: String, _ step: Int) -> [UInt8] {
        Array(String(repeating: "\(key) \(step);", count: 40 + step * 50).utf8)
    }

    /// One `write` per line: shorter than PIPE_BUF, so lines of different writers do not mix.
    private static func tell(_ key: String, _ step: Int, _ revision: UInt64) {
        let line = Array("\(key) \(step) \(revision)\n".utf8)
        _ = Glibc.write(STDOUT_FILENO, line, line.count)
    }

    private static func measure(_ store: SQLiteStore, writers: Int, seconds: Int, size: Int) async throws {
        let bytes = [UInt8](repeating: 0x61, count: size)
        let clock = ContinuousClock()
        let start = clock.now
        let end = start.advanced(by: .seconds(seconds))
        var latencies = try await withThrowingTaskGroup(of: [Duration].self) { group in
            for writer in 0..<writers {
                group.addTask {
                    var latencies: [Duration] = []
                    while clock.now < end {
                        let begin = clock.now
                        _ = try await store.write(.create(key: "/bench/\(writer)/\(latencies.count)", value: bytes))
                        latencies.append(begin.duration(to: clock.now))
                    }
                    return latencies
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        let count = latencies.count
        guard count > 0 else { return }
        let took = start.duration(to: clock.now)
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        let cpu =
            Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6
            + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
        let rate = Double(count) / (Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18)
        latencies.sort()
        print("p50 \(latencies[count / 2]), p99 \(latencies[count * 99 / 100]), max \(latencies[count - 1])")
        print("\(Int(rate)) durable creates/s, \(Int(cpu / Double(count))) µs CPU each, \(usage.ru_maxrss) KiB")
        await store.close()
    }
}
