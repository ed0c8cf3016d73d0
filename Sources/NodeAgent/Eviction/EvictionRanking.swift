import ObjectModel

/// What a pod uses of the node.
struct PodUsage: Sendable {
    struct Container: Sendable {
        var name: String
        /// Working set, in bytes.
        var memory = 0
        /// Written layer and logs, in bytes.
        var disk = 0
    }
    var pod: Pod
    var containers: [Container] = []
    /// Volumes on disk that go with the pod, in bytes by name.
    var volumes: [String: Int] = [:]
    var processes = 0

    var memory: Int { containers.reduce(0) { $0 + $1.memory } }
    var disk: Int { containers.reduce(0) { $0 + $1.disk } + volumes.values.reduce(0, +) }
}

/// Who goes first, and with what words. Pure.
enum EvictionRanking {
    /// Pods in the order in which they are taken away.
    static func order(_ usages: [PodUsage], for signal: EvictionThresholds.Signal) -> [PodUsage] {
        usages.filter { !$0.pod.isCritical && !$0.pod.isStatic && !$0.pod.isFinished && !$0.pod.isTerminating }
            .map { (usage: $0, key: key($0, signal)) }
            .sorted { left, right in
                if left.key.exceeds != right.key.exceeds { return left.key.exceeds }
                if left.usage.pod.spec.priority != right.usage.pod.spec.priority {
                    return left.usage.pod.spec.priority < right.usage.pod.spec.priority
                }
                if left.key.amount != right.key.amount { return left.key.amount > right.key.amount }
                return left.usage.pod.key < right.usage.pod.key
            }
            .map(\.usage)
    }

    private static func key(_ usage: PodUsage, _ signal: EvictionThresholds.Signal) -> (exceeds: Bool, amount: Int) {
        switch signal {
        case .memory:
            let excess = usage.memory - PodResources.request(usage.pod.spec, "memory").value
            return (excess > 0, excess)
        case .processes: return (false, usage.processes)
        default:
            let excess = usage.disk - PodResources.request(usage.pod.spec, "ephemeral-storage").value
            return (excess > 0, excess)
        }
    }

    /// What the pod's status and event say.
    static func message(
        _ usage: PodUsage, _ signal: EvictionThresholds.Signal, threshold: Int, available: Int
    ) -> String {
        func text(_ amount: Int) -> String {
            signal.resource == "inodes" || signal == .processes
                ? String(amount) : Quantity.bytes(amount).canonical
        }
        var message = "The node was low on resource: \(signal.resource). "
        message += "Threshold quantity: \(text(threshold)), available: \(text(available)). "
        guard signal == .memory || signal.resource == "ephemeral-storage" else { return message }
        for container in usage.containers {
            let used = signal == .memory ? container.memory : container.disk
            let spec = usage.pod.container(named: container.name)
            let request = spec?.resources.requests[signal.resource] ?? Quantity(0)
            guard used > request.value else { continue }
            message += "Container \(container.name) was using \(text(used)), request is \(request.canonical), "
            message += "has larger consumption of \(signal.resource). "
        }
        return message
    }

    /// Which of its own limits of local storage a pod exceeds; nil for none.
    static func exceededLimit(_ usage: PodUsage) -> String? {
        for volume in usage.pod.spec.volumes {
            let name = volume["name"].string ?? ""
            guard !volume["emptyDir"].isNull, volume["emptyDir"]["medium"].string != "Memory",
                let limit = Quantity(volume["emptyDir"]["sizeLimit"]), !limit.isZero,
                (usage.volumes[name] ?? 0) > limit.value
            else { continue }
            return "Usage of EmptyDir volume \"\(name)\" exceeds the limit \"\(limit.canonical)\". "
        }
        let limits = usage.pod.spec.containers.map { $0.resources.limits["ephemeral-storage"] }
        let own = usage.pod.spec.resources.limits["ephemeral-storage"]
        if own != nil || limits.contains(where: { $0 != nil }) {
            let total = own ?? limits.compactMap(\.self).reduce(Quantity(0), +)
            if usage.disk > total.value {
                return "Pod ephemeral local storage usage exceeds the total limit of containers \(total.canonical). "
            }
        }
        for container in usage.containers {
            guard let limit = usage.pod.container(named: container.name)?.resources.limits["ephemeral-storage"],
                container.disk > limit.value
            else { continue }
            return "Container \(container.name) exceeded its local ephemeral storage limit \"\(limit.canonical)\". "
        }
        return nil
    }
}
