import ArgumentParser
import HTTPAccess
import JSON
import LoadGenerator

/// `apus bench`: load against any Kubernetes API server.
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure an API server.", subcommands: [Crud.self])

    struct Crud: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create, read, update and delete config maps over many connections at once.")

        @Option(help: "Which server, as whom (KUBECONFIG).")
        var kubeconfig: String?
        @Option(help: "Connections, each with one request under way.")
        var clients = 64
        @Option(help: "Requests of each kind.")
        var requests = 10_000
        @Option(help: "Bytes of data in each config map.")
        var size = 1024
        @Option(help: "Namespace that is made for the objects and deleted afterwards.")
        var namespace = "apus-bench"
        @Option(help: "A process of the server on this machine, to measure its CPU time too; can be repeated.")
        var pid: [Int] = []
        @Option(help: "`table` or `json`.")
        var output = "table"

        func run() async throws {
            guard clients > 0, requests > 0, size >= 0, size < 1 << 20 else {
                throw ValidationError("--clients and --requests must be positive, --size below 1 MiB")
            }
            let load = CrudLoad(
                access: try KubeconfigLocation.access(kubeconfig), namespace: namespace, clients: clients,
                requests: requests, size: size, serverProcesses: pid)
            let isTable = output != "json"
            if isTable {
                print(
                    "             per second    p50 ms    p90 ms    p99 ms  failures"
                        + (pid.isEmpty ? "" : "  server CPU µs/request"))
            }
            try await load.run { measurement in
                print(isTable ? Self.row(measurement) : Self.json(measurement).description)
            }
        }

        private static func row(_ measurement: Measurement) -> String {
            let cells = [
                decimal(measurement.perSecond, 0), decimal(measurement.percentile(0.5) * 1000, 2),
                decimal(measurement.percentile(0.9) * 1000, 2), decimal(measurement.percentile(0.99) * 1000, 2),
                String(measurement.failures),
            ]
            let widths = [10, 10, 10, 10, 10]
            let padded = zip(cells, widths).map { cell, width in
                String(repeating: " ", count: max(0, width - cell.count)) + cell
            }
            let name = measurement.name + String(repeating: " ", count: max(0, 13 - measurement.name.count))
            let cpu = measurement.serverMicroseconds.map { decimal($0, 1) }
            return name + padded.joined()
                + (cpu.map { String(repeating: " ", count: max(0, 23 - $0.count)) + $0 } ?? "")
        }

        private static func json(_ measurement: Measurement) -> JSON {
            func number(_ value: Double) -> JSON { .number(JSONNumber(text: decimal(value, 3))) }
            var json: JSON = [
                "name": .string(measurement.name), "count": JSON(measurement.count),
                "failures": JSON(measurement.failures), "perSecond": number(measurement.perSecond),
                "p50Milliseconds": number(measurement.percentile(0.5) * 1000),
                "p90Milliseconds": number(measurement.percentile(0.9) * 1000),
                "p99Milliseconds": number(measurement.percentile(0.99) * 1000),
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
}
