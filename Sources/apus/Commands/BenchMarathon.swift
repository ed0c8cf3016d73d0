import ArgumentParser
import HTTPAccess
import LoadGenerator

extension Bench {
    /// `apus bench marathon`.
    struct MarathonApps: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "marathon",
            abstract: "Create apps through Marathon's API, list them, and start one with many instances.",
            discussion: "Run `apus bench nodes` meanwhile, so that the instances have nodes that cost nothing.")
        @Option(help: "Where Marathon is served, HOST:PORT.")
        var marathon = "127.0.0.1:8080"
        @Option(help: "Apps without instances.")
        var apps = 10_000
        @Option(help: "Instances of the one large app.")
        var instances = 200
        @Option(help: "Requests of each kind of list.")
        var lists = 20
        @Option(help: "Connections that create apps.")
        var clients = 8
        @Option(help: "A process of the server on this machine, to measure its CPU time too; can be repeated.")
        var pid: [Int] = []
        @Option(help: "`table` or `json`.")
        var output = "table"

        func run() async throws {
            guard apps >= 0, instances >= 0, lists > 0, (1...1000).contains(clients),
                ["table", "json"].contains(output), let colon = marathon.lastIndex(of: ":"),
                let port = Int(marathon[marathon.index(after: colon)...])
            else {
                throw ValidationError("--marathon must be HOST:PORT, and the numbers positive")
            }
            let rig = LoadRig(
                access: ClusterAccess(plainHost: String(marathon[..<colon]), port: port), namespace: "",
                clients: clients, serverProcesses: pid, progress: BenchReport.progress)
            let load = MarathonLoad(rig: rig, apps: apps, instances: instances, lists: lists)
            let report = BenchReport(isTable: output == "table", showsProcessorTime: !pid.isEmpty)
            report.begin()
            do {
                try await load.run { report.print($0) }
            } catch let problem as LoadProblem {
                throw UserError("\(problem)")
            }
        }
    }
}
