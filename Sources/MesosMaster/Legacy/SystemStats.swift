import JSON
import ObjectModel
import SystemPackage

/// What the machine is doing, from `/proc`.
enum SystemStats {
    static var values: [String: Double] {
        var values: [String: Double] = [:]
        let loads = read("/proc/loadavg").split(separator: " ")
        for (index, name) in ["load_1min", "load_5min", "load_15min"].enumerated() where index < loads.count {
            values[name] = Double(loads[index]) ?? 0
        }
        for line in read("/proc/meminfo").split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count >= 2, let amount = Double(words[1]) else { continue }
            if words[0] == "MemTotal:" { values["mem_total_bytes"] = amount * 1024 }
            if words[0] == "MemAvailable:" { values["mem_free_bytes"] = amount * 1024 }
        }
        values["cpus_total"] = Double(
            read("/proc/cpuinfo").split(separator: "\n").count { $0.hasPrefix("processor") })
        return values
    }

    /// `/system/stats.json` has other names than the metrics.
    static var json: JSON {
        let values = values
        func number(_ name: String) -> JSON { Message.double(values[name] ?? 0) }
        return [
            "avg_load_1min": number("load_1min"), "avg_load_5min": number("load_5min"),
            "avg_load_15min": number("load_15min"), "cpus_total": number("cpus_total"),
            "mem_total_bytes": number("mem_total_bytes"), "mem_free_bytes": number("mem_free_bytes"),
        ]
    }

    /// A small file as text; empty when it cannot be read.
    private static func read(_ path: String) -> String {
        guard let file = try? FileDescriptor.open(FilePath(path), .readOnly) else { return "" }
        defer { try? file.close() }
        var bytes: [UInt8] = []
        while bytes.count < 1 << 20 {
            let part = [UInt8](unsafeUninitializedCapacity: 16_384) { buffer, count in
                count = (try? file.read(into: UnsafeMutableRawBufferPointer(buffer))) ?? 0
            }
            if part.isEmpty { break }
            bytes += part
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
