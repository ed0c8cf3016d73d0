import ArgumentParser
import LoadGenerator

extension Bench {
    /// `apus bench tasks`.
    struct Tasks: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Launch tasks of one Mesos framework through offers and see when they run, and when they ended.",
            discussion: """
                The tasks do nothing, on nodes that are made for the load; the framework acknowledges every status. With \
                --nodes 0 they are `true` on the cluster's own nodes.
                """)
        @OptionGroup var options: Options
        @Option(help: "Where the Mesos master's window is.")
        var master = "127.0.0.1:5050"
        @Option(help: "Tasks that are launched.")
        var tasks = 10_000
        @Option(help: "Most tasks that one ACCEPT launches.")
        var batch = 100
        @Option(help: "Nodes made for the load; 0: the cluster's own.")
        var nodes = 100

        func run() async throws {
            guard tasks > 0, batch > 0, nodes >= 0 else {
                throw ValidationError("--tasks and --batch must be positive, --nodes not negative")
            }
            let parts = master.split(separator: ":")
            guard parts.count == 2, let port = Int(parts[1]) else {
                throw ValidationError("--master must be HOST:PORT")
            }
            let load = TaskLoad(
                rig: try options.rig(), host: String(parts[0]), port: port, tasks: tasks, batch: batch, nodes: nodes)
            try await options.report { try await load.run(report: $0) }
        }
    }
}
