import ArgumentParser
import Glibc
import LoadGenerator
import Logging
import ServiceLifecycle

extension Bench {
    /// `apus bench nodes`.
    struct Nodes: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add simulated nodes, which say of their pods what a node would, until it is interrupted.",
            discussion: """
                Pods that are bound to such a node run and are ready at once, and end when they are deleted. The nodes have the \
                label apus.dev/simulated=true and are removed at the end.
                """)
        @Option(help: "Which server, as whom (KUBECONFIG).")
        var kubeconfig: String?
        @Option(help: "Nodes that are added.")
        var count = 100
        @Option(help: "Their names are PREFIX-0, PREFIX-1, …")
        var prefix = "sim"
        @Option(help: "CPUs of each node.")
        var cpu = "64"
        @Option(help: "Memory of each node.")
        var memory = "256Gi"
        @Option(help: "Pods that each node takes.")
        var pods = 500
        @Option(name: .customLong("label"), help: "A label KEY=VALUE of the nodes; can be repeated.")
        var labels: [String] = []
        @Flag(help: "Pods succeed a moment after they started.")
        var podsSucceed = false
        @Option(help: "How long that moment is, in milliseconds.")
        var podMilliseconds = 100
        @Option(help: "Connections that tell the state of pods.")
        var connections = 8

        func validate() throws {
            guard (1...100_000).contains(count), (1...100_000).contains(pods), (1...1000).contains(connections),
                podMilliseconds >= 0
            else {
                throw ValidationError("--count, --pods, --connections and --pod-milliseconds must be positive")
            }
        }

        func run() async throws {
            var settings = SimulatedNodes.Settings(
                access: try KubeconfigLocation.access(kubeconfig), count: count)
            settings.prefix = prefix
            settings.cpu = cpu
            settings.memory = memory
            settings.pods = pods
            settings.connections = connections
            settings.podLifetime = podsSucceed ? .milliseconds(podMilliseconds) : nil
            for label in labels {
                guard let equals = label.firstIndex(of: "=") else {
                    throw UserError("--label is \"\(label)\": give KEY=VALUE")
                }
                settings.labels[String(label[..<equals])] = String(label[label.index(after: equals)...])
            }
            let nodes = try SimulatedNodes(settings)
            do {
                try await nodes.start()
            } catch let problem as LoadProblem {
                throw UserError("\(problem)")
            }
            print("\(count) simulated nodes are ready; interrupt to remove them")
            fflush(nil)
            var configuration = ServiceGroupConfiguration(
                services: [Simulation(nodes: nodes, count: count)], gracefulShutdownSignals: [.sigint, .sigterm],
                logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() })
            configuration.maximumGracefulShutdownDuration = .seconds(60)
            try await ServiceGroup(configuration: configuration).run()
        }
    }
}

private struct Simulation: Service {
    let nodes: SimulatedNodes
    let count: Int

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await nodes.run() }
                group.addTask {
                    var before = nodes.counts
                    while (try? await Task.sleep(for: .seconds(1))) != nil {
                        let now = nodes.counts
                        BenchReport.progress(
                            "\(count) nodes, pods: \(now.started) started (\(now.started - before.started)/s), "
                                + "\(now.ended) ended, \(now.deleted) deleted"
                                + (now.failures > 0 ? ", \(now.failures) requests failed" : ""))
                        before = now
                    }
                }
            }
        }
        BenchReport.progress("")
        let counts = nodes.counts
        print(
            "pods: \(counts.started) started, \(counts.ended) ended, \(counts.deleted) deleted, \(counts.failures) failed"
        )
        try await nodes.remove()
    }
}
