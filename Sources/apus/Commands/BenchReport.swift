import Glibc
import JSON
import LoadGenerator

/// What `apus bench` prints: a table for people or a JSON object for each measurement, and a progress line on a terminal.
struct BenchReport: Sendable {
    let isTable: Bool
    let showsProcessorTime: Bool

    func begin() {
        guard isTable else { return }
        Self.line(
            "               per second    p50 ms    p90 ms    p99 ms   p999 ms  failures"
                + (showsProcessorTime ? "  server CPU µs each" : ""))
    }

    func print(_ measurement: Measurement) {
        Self.line(isTable ? Self.row(measurement) : Self.json(measurement).description)
    }

    private static func line(_ text: String) {
        progress("")
        Swift.print(text)
        fflush(nil)
    }

    /// One line on standard error that the next overwrites; nothing when nobody looks.
    @Sendable static func progress(_ text: String) {
        guard isatty(STDERR_FILENO) == 1 else { return }
        let bytes = Array("\r\u{1B}[K\(text)".utf8)
        _ = write(STDERR_FILENO, bytes, bytes.count)
    }

    private static func row(_ measurement: Measurement) -> String {
        let cells = [
            decimal(measurement.perSecond, 0), decimal(measurement.percentile(0.5) * 1000, 2),
            decimal(measurement.percentile(0.9) * 1000, 2), decimal(measurement.percentile(0.99) * 1000, 2),
            decimal(measurement.percentile(0.999) * 1000, 2), String(measurement.failures),
        ]
        let widths = [10, 10, 10, 10, 10, 10]
        let padded = zip(cells, widths).map { cell, width in
            String(repeating: " ", count: max(0, width - cell.count)) + cell
        }
        let name = measurement.name + String(repeating: " ", count: max(0, 15 - measurement.name.count))
        let cpu = measurement.serverMicroseconds.map { decimal($0, 1) }
        return name + padded.joined()
            + (cpu.map { String(repeating: " ", count: max(0, 20 - $0.count)) + $0 } ?? "")
    }

    private static func json(_ measurement: Measurement) -> JSON {
        func number(_ value: Double) -> JSON { .number(JSONNumber(text: decimal(value, 3))) }
        var json: JSON = [
            "name": .string(measurement.name), "count": JSON(measurement.count),
            "failures": JSON(measurement.failures), "perSecond": number(measurement.perSecond),
            "p50Milliseconds": number(measurement.percentile(0.5) * 1000),
            "p90Milliseconds": number(measurement.percentile(0.9) * 1000),
            "p99Milliseconds": number(measurement.percentile(0.99) * 1000),
            "p999Milliseconds": number(measurement.percentile(0.999) * 1000), "bytes": JSON(measurement.bytes),
        ]
        if let cpu = measurement.serverMicroseconds { json["serverMicrosecondsPerRequest"] = number(cpu) }
        return json
    }

    /// Fixed-point text without Foundation.
    private static func decimal(_ value: Double, _ digits: Int) -> String {
        var scale = 1
        for _ in 0..<digits { scale *= 10 }
        let scaled = Int((value * Double(scale)).rounded())
        guard digits > 0 else { return String(scaled) }
        let fraction = String(scaled % scale)
        return "\(scaled / scale)." + String(repeating: "0", count: digits - fraction.count) + fraction
    }
}
