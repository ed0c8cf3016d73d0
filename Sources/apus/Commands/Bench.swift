import ArgumentParser
import Glibc
import HTTPAccess
import LoadGenerator

/// `apus bench`: load against any Kubernetes API server.
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure an API server.",
        discussion: """
            Works against any Kubernetes API server that a kubeconfig names. Times are percentiles of an HdrHistogram; with \
            --pid the server's CPU time is measured too, the number to compare by on a busy machine.
            """,
        subcommands: [
            Crud.self, List.self, Watch.self, Schedule.self, Allocate.self, Nodes.self, Tasks.self, MarathonApps.self,
        ])

    /// What every load takes.
    struct Options: ParsableArguments {
        @Option(help: "Which server, as whom (KUBECONFIG).")
        var kubeconfig: String?
        @Option(help: "Connections, each with one request under way.")
        var clients = 64
        @Option(help: "Namespace that is made for the objects and deleted afterwards.")
        var namespace = "apus-bench"
        @Option(help: "A process of the server on this machine, to measure its CPU time too; can be repeated.")
        var pid: [Int] = []
        @Option(help: "`table` or `json`.")
        var output = "table"

        func validate() throws {
            guard clients > 0, clients <= 10_000 else { throw ValidationError("--clients must be 1 to 10000") }
            guard ["table", "json"].contains(output) else { throw ValidationError("--output must be table or json") }
        }

        func rig() throws -> LoadRig {
            LoadRig(
                access: try KubeconfigLocation.access(kubeconfig), namespace: namespace, clients: clients,
                serverProcesses: pid, progress: BenchReport.progress)
        }

        /// Runs a load and prints what it measures.
        func report(_ load: (@escaping @Sendable (Measurement) -> Void) async throws -> Void) async throws {
            let report = BenchReport(isTable: output == "table", showsProcessorTime: !pid.isEmpty)
            report.begin()
            do {
                try await load { report.print($0) }
            } catch let problem as LoadProblem {
                throw UserError("\(problem)")
            }
        }
    }

    struct Crud: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create, read, update and delete config maps over many connections at once.")
        @OptionGroup var options: Options
        @Option(help: "Requests of each kind.")
        var requests = 10_000
        @Option(help: "Bytes of data in each config map.")
        var size = 1024

        func run() async throws {
            guard requests > 0, size >= 0, size < 1 << 20 else {
                throw ValidationError("--requests must be positive, --size below 1 MiB")
            }
            let load = CrudLoad(rig: try options.rig(), requests: requests, size: size)
            try await options.report { try await load.run(report: $0) }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List pods: all, a hundredth by label, and a page of 500.")
        @OptionGroup var options: Options
        @Option(help: "Pods in the namespace; no scheduler takes them.")
        var pods = 10_000
        @Option(help: "Requests of each kind.")
        var requests = 100

        func run() async throws {
            guard pods > 0, requests > 0 else { throw ValidationError("--pods and --requests must be positive") }
            let load = ListLoad(rig: try options.rig(), pods: pods, requests: requests)
            try await options.report { try await load.run(report: $0) }
        }
    }

    struct Watch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change config maps while many watchers look.")
        @OptionGroup var options: Options
        @Option(help: "Watches, each on a connection of its own.")
        var watchers = 1000
        @Option(help: "Changes made; each watcher gets each.")
        var changes = 100
        @Option(help: "Changes a second; without it as many as the server takes.")
        var rate: Int?

        func run() async throws {
            guard watchers > 0, changes > 0, rate ?? 1 > 0 else {
                throw ValidationError("--watchers, --changes and --rate must be positive")
            }
            let load = WatchLoad(rig: try options.rig(), watchers: watchers, changes: changes, rate: rate)
            try await options.report { try await load.run(report: $0) }
        }
    }

    struct Schedule: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create pods at once and see when they get a node, and when they run.")
        @OptionGroup var options: Options
        @Option(help: "Pods that are created.")
        var pods = 1000
        @Option(help: "Nodes made for the load, with nothing behind them; 0 runs the pods on the cluster's own nodes.")
        var nodes = 100
        @Option(help: "Image of the pods.")
        var image = "registry.example.com/none:1"
        @Option(parsing: .upToNextOption, help: "What the pods run; without it what the image says.")
        var command: [String] = []

        func run() async throws {
            guard pods > 0, nodes >= 0 else { throw ValidationError("--pods must be positive, --nodes not negative") }
            let load = ScheduleLoad(
                rig: try options.rig(), pods: pods, nodes: nodes, image: image, command: command)
            try await options.report { try await load.run(report: $0) }
        }
    }
}
