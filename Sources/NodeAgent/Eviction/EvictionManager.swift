import ClusterClient
import ContainerRuntime
import Logging
import ObjectModel

/// Watches what the node and its pods have left, and takes pods away before the kernel does.
///
/// Each round reads the signals, keeps the node's conditions (five minutes longer than the cause), frees what nobody
/// needs, and evicts at most one pod for the node's sake; pods beyond their own limits of local storage go all.
actor EvictionManager {
    private static let period: Duration = .seconds(10)
    private static let afterglow: Duration = .seconds(300)

    private let context: AgentContext
    private let pods: PodSet
    private let usage: UsageSampler
    let images: ImageCollector
    private var seen: [String: Timestamp] = [:]

    init(context: AgentContext, pods: PodSet, usage: UsageSampler) {
        self.context = context
        self.pods = pods
        self.usage = usage
        images = ImageCollector(runtime: context.runtime, logger: context.logger)
    }

    func run() async {
        var round = 0
        while !Task.isCancelled {
            await enforceLimits()
            await relieve()
            // Image collection looks at the disk's use, as eviction does, but less often.
            if round % 30 == 0 { await collectImages() }
            round += 1
            try? await Task.sleep(for: Self.period)
        }
    }

    // MARK: Limits of pods

    private func enforceLimits() async {
        let limited = await pods.active.filter { $0.hasStorageLimits && !$0.isTerminating }
        if limited.isEmpty { return }
        for usage in await usages(of: limited, withDisk: true) {
            guard !usage.pod.isCritical || !usage.pod.isStatic,
                let message = EvictionRanking.exceededLimit(usage)
            else { continue }
            context.logger.warning(
                "evicting a pod beyond its storage limit",
                metadata: ["pod": "\(usage.pod.key)", "reason": "\(message)"])
            await pods.evict(usage.pod.uid, message)
        }
    }

    /// What pods use now.
    private func usages(of pods: [Pod], withDisk: Bool) async -> [PodUsage] {
        var byPod: [String: [ContainerStats]] = [:]
        for stats in await usage.stats {
            if let uid = stats.labels[RuntimeLabel.podUID] { byPod[uid, default: []].append(stats) }
        }
        let found = byPod
        let (volumes, logs) = (context.volumes, context.logs)
        let result = try? await blocking {
            pods.map { pod in
                var usage = PodUsage(pod: pod)
                for stats in found[pod.uid] ?? [] {
                    guard let name = stats.labels[RuntimeLabel.containerName] else { continue }
                    var container = PodUsage.Container(name: name)
                    container.memory = Int(clamping: stats.workingSetBytes)
                    container.disk = Int(clamping: stats.writableLayerBytes)
                    if withDisk { container.disk += Files.usage("\(logs.directory(pod))/\(name)") }
                    usage.containers.append(container)
                }
                usage.containers.sort { $0.name < $1.name }
                guard withDisk else { return usage }
                for volume in pod.spec.volumes
                where !volume["emptyDir"].isNull && volume["emptyDir"]["medium"].string != "Memory" {
                    let name = volume["name"].string ?? ""
                    usage.volumes[name] = Files.usage(volumes.emptyDirectory(pod, name))
                }
                return usage
            }
        }
        return result ?? []
    }

    // MARK: The node

    private func read() async -> EvictionReading {
        let directory = context.configuration.dataDirectory
        let images = (try? await context.runtime.imageFilesystem())?.path ?? directory
        return (try? await blocking { EvictionReading.take(directory: directory, images: images) }) ?? EvictionReading()
    }

    private func relieve() async {
        let thresholds = context.configuration.evictionThresholds
        let reading = await read()
        let crossed = reading.crossed(thresholds)
        let now = Timestamp.now
        for signal in crossed { seen[signal.condition] = now }
        seen = seen.filter { now - $0.value < Self.afterglow }
        let held = Set(seen.keys)
        context.pressure.withLock { $0.conditions = held }
        guard let signal = crossed.first, let amount = reading.amounts[signal],
            let threshold = thresholds.values[signal]?.amount(of: amount.capacity)
        else { return }
        nodeEvent(
            "EvictionThresholdMet", "Attempting to reclaim \(signal.resource)")
        if signal.condition == "DiskPressure" {
            await images.removeUnused()
            if !(await read().crossed(thresholds).contains(signal)) { return }
        }
        var usages = await usages(of: await pods.active, withDisk: signal.condition == "DiskPressure")
        if signal == .processes {
            for index in usages.indices {
                usages[index].processes = await context.cgroups.processCount(usages[index].pod)
            }
        }
        guard let victim = EvictionRanking.order(usages, for: signal).first else { return }
        let message = EvictionRanking.message(
            victim, signal, threshold: threshold, available: amount.available)
        context.logger.warning(
            "evicting a pod for the node's sake", metadata: ["pod": "\(victim.pod.key)", "reason": "\(message)"])
        await pods.evict(victim.pod.uid, message)
    }

    private func collectImages() async {
        guard let path = (try? await context.runtime.imageFilesystem())?.path,
            let disk = try? await blocking({ HostFacts.filesystem(path) }), disk.capacity > 0
        else { return }
        let failure = await images.collect(used: disk.capacity - disk.available, capacity: disk.capacity)
        if let failure { nodeEvent("ImageGCFailed", failure) }
    }

    private func nodeEvent(_ reason: String, _ message: String) {
        let name = context.configuration.nodeName
        context.recorder.record(
            EventRecorder.Reference(
                kind: GroupVersionKind(group: "", version: "v1", kind: "Node"), key: ObjectKey(name: name), uid: name),
            .warning, reason: reason, message: message)
    }
}
