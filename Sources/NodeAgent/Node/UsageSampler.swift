import ContainerRuntime
import JSON
import ObjectModel

/// Samples what containers and the node use, and makes rates of the last two samples.
actor UsageSampler {
    static let period = Duration.seconds(10)
    private struct Sample {
        var at: Timestamp
        var containers: [String: ContainerStats]
        var nodeCPUSeconds: Double
    }
    private let context: AgentContext
    private var previous: Sample?
    private var latest: Sample?

    init(context: AgentContext) {
        self.context = context
    }

    func run() async {
        while !Task.isCancelled {
            await sample()
            // The second sample comes soon, so that a fresh agent has rates to show.
            try? await Task.sleep(for: previous == nil ? .seconds(2) : Self.period)
        }
    }

    private func sample() async {
        do {
            let stats = try await context.runtime.containerStats()
            let cpu = try await blocking { Self.nodeCPUSeconds() }
            let byID = Dictionary(stats.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
            if latest != nil { previous = latest }
            latest = Sample(at: .now, containers: byID, nodeCPUSeconds: cpu)
        } catch {
            context.logger.debug("usage cannot be read", metadata: ["error": "\(error)"])
        }
    }

    /// Busy time of all CPUs since boot.
    private static func nodeCPUSeconds() -> Double {
        guard let line = Files.text("/proc/stat")?.split(separator: "\n").first else { return 0 }
        let ticks = line.split(separator: " ").dropFirst().compactMap { Double($0) }
        guard ticks.count >= 8 else { return 0 }
        // user, nice, system, irq, softirq, steal; not idle and iowait.
        return (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6] + ticks[7]) / 100
    }

    // MARK: Answers

    /// The newest sample of each running container.
    var stats: [ContainerStats] { latest.map { Array($0.containers.values) } ?? [] }

    func node() async -> JSON? {
        guard let previous, let latest else { return nil }
        let window = max((latest.at - previous.at).inSeconds, 0.001)
        let nanocores = max(latest.nodeCPUSeconds - previous.nodeCPUSeconds, 0) / window * 1e9
        let memory = (try? await blocking { HostFacts.meminfo() }) ?? [:]
        let used = (memory["MemTotal"] ?? 0) - (memory["MemAvailable"] ?? 0)
        return [
            "timestamp": .string(latest.at.rfc3339), "window": .string((latest.at - previous.at).goTextMilliseconds),
            "usage": Self.usage(nanocores: nanocores, memory: max(used, 0)),
        ]
    }

    func pods() -> [JSON] {
        guard let latest else { return [] }
        struct Key: Hashable {
            var namespace: String
            var name: String
            var uid: String
        }
        var pods: [Key: [(String, JSON)]] = [:]
        var window = Duration.seconds(10)
        for stats in latest.containers.values {
            let labels = stats.labels
            guard let uid = labels[RuntimeLabel.podUID], let container = labels[RuntimeLabel.containerName],
                labels[ContainerConfigBuilder.clusterLabel] ?? context.configuration.clusterID
                    == context.configuration.clusterID,
                let before = previous?.containers[stats.id], stats.timestamp > before.timestamp
            else { continue }
            let elapsed = Double(stats.timestamp - before.timestamp) / 1e9
            window = .nanoseconds(stats.timestamp - before.timestamp)
            let used = stats.cpuNanoseconds >= before.cpuNanoseconds ? stats.cpuNanoseconds - before.cpuNanoseconds : 0
            let key = Key(
                namespace: labels[RuntimeLabel.podNamespace] ?? "", name: labels[RuntimeLabel.podName] ?? "", uid: uid)
            let usage = Self.usage(nanocores: Double(used) / elapsed, memory: Int(stats.workingSetBytes))
            pods[key, default: []].append((container, usage))
        }
        return pods.sorted { ($0.key.namespace, $0.key.name) < ($1.key.namespace, $1.key.name) }.map {
            key, containers in
            [
                "metadata": ["name": .string(key.name), "namespace": .string(key.namespace)],
                "timestamp": .string(latest.at.rfc3339), "window": .string(window.goTextMilliseconds),
                "containers": .array(
                    containers.sorted { $0.0 < $1.0 }.map { ["name": .string($0.0), "usage": $0.1] }),
            ]
        }
    }

    private static func usage(nanocores: Double, memory: Int) -> JSON {
        ["cpu": .string("\(Int64(nanocores.rounded()))n"), "memory": .string("\(memory / 1024)Ki")]
    }
}
