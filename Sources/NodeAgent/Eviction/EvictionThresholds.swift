import ObjectModel

/// What the node keeps free before it takes pods away: `memory.available<100Mi,nodefs.available<10%`.
public struct EvictionThresholds: Sendable, Hashable {
    enum Signal: String, Sendable, CaseIterable {
        case memory = "memory.available"
        case disk = "nodefs.available"
        case inodes = "nodefs.inodesFree"
        case imageDisk = "imagefs.available"
        case imageInodes = "imagefs.inodesFree"
        case processes = "pid.available"

        /// The condition of the node that it leads to.
        var condition: String {
            switch self {
            case .memory: "MemoryPressure"
            case .processes: "PIDPressure"
            default: "DiskPressure"
            }
        }
        /// As users know the resource from messages.
        var resource: String {
            switch self {
            case .memory: "memory"
            case .processes: "pids"
            case .inodes, .imageInodes: "inodes"
            case .disk, .imageDisk: "ephemeral-storage"
            }
        }
    }
    enum Value: Sendable, Hashable {
        case amount(Quantity)
        /// Percent of the capacity.
        case percent(Double)

        func amount(of capacity: Int) -> Int {
            switch self {
            case .amount(let quantity): quantity.value
            case .percent(let percent): Int(Double(capacity) * percent / 100)
            }
        }
    }
    private(set) var values: [Signal: Value]

    /// Kubernetes's hard thresholds.
    public static let standard = EvictionThresholds(values: [
        .memory: .amount(Quantity("100Mi") ?? .zero), .disk: .percent(10), .inodes: .percent(5),
        .imageDisk: .percent(15), .imageInodes: .percent(5),
    ])

    private init(values: [Signal: Value]) {
        self.values = values
    }

    /// Reads `SIGNAL<VALUE,…`; signals that are not named have no threshold. Nil when it cannot be understood.
    public init?(parsing text: String) {
        var values: [Signal: Value] = [:]
        for part in text.split(separator: ",") {
            let sides = part.split(separator: "<", maxSplits: 1).map { $0.filter { $0 != " " } }
            guard sides.count == 2, let signal = Signal(rawValue: sides[0]), values[signal] == nil else { return nil }
            if sides[1].hasSuffix("%") {
                guard let percent = Double(sides[1].dropLast()), percent >= 0, percent <= 100 else { return nil }
                values[signal] = .percent(percent)
            } else {
                guard let quantity = Quantity(sides[1]), !quantity.isNegative else { return nil }
                values[signal] = .amount(quantity)
            }
        }
        self.values = values
    }

    /// Bytes of memory that pods may not have.
    func reservedMemory(capacity: Int) -> Int { values[.memory]?.amount(of: capacity) ?? 0 }
    func reservedDisk(capacity: Int) -> Int { values[.disk]?.amount(of: capacity) ?? 0 }
}

/// What was found of the signals at one moment.
struct EvictionReading: Sendable {
    struct Amount: Sendable, Hashable {
        var available: Int
        var capacity: Int
    }
    var amounts: [EvictionThresholds.Signal: Amount] = [:]

    /// Signals that are below their threshold, the ones that hurt most first.
    func crossed(_ thresholds: EvictionThresholds) -> [EvictionThresholds.Signal] {
        EvictionThresholds.Signal.allCases.filter { signal in
            guard let amount = amounts[signal], amount.capacity > 0, let value = thresholds.values[signal] else {
                return false
            }
            return amount.available < value.amount(of: amount.capacity)
        }
    }

    /// Reads the machine. Blocking, but tiny.
    /// - Parameter directory: on the file system of pods and images.
    static func take(directory: String, images: String) -> EvictionReading {
        var reading = EvictionReading()
        let memory = HostFacts.meminfo()
        // The kernel's own estimate: where the machine is a container, the root cgroup is not the machine's.
        if let total = memory["MemTotal"], let available = memory["MemAvailable"] {
            reading.amounts[.memory] = Amount(available: available, capacity: total)
        }
        for (path, bytes, inodes): (String, EvictionThresholds.Signal, EvictionThresholds.Signal) in [
            (directory, .disk, .inodes), (images, .imageDisk, .imageInodes),
        ] {
            let found = HostFacts.filesystem(path)
            reading.amounts[bytes] = Amount(available: found.available, capacity: found.capacity)
            reading.amounts[inodes] = Amount(available: found.inodesFree, capacity: found.inodes)
        }
        if let most = Files.text("/proc/sys/kernel/pid_max").flatMap({ Int($0.filter(\.isNumber)) }),
            let running = Files.text("/proc/loadavg")?.split(separator: " ").dropFirst(3).first?.split(separator: "/")
                .last.flatMap({ Int($0) })
        {
            reading.amounts[.processes] = Amount(available: most - running, capacity: most)
        }
        return reading
    }
}

/// Node conditions as the agent's parts see them now.
struct NodePressure: Sendable, Hashable {
    /// `MemoryPressure`, `DiskPressure`, `PIDPressure`.
    var conditions: Set<String> = []

    /// Why a pod may not come now; nil when it may.
    func rejection(of pod: Pod) -> WaitingReason? {
        guard !conditions.isEmpty, !pod.isCritical else { return nil }
        if conditions == ["MemoryPressure"] {
            if QualityOfService(pod.spec) != .bestEffort { return nil }
            let tolerates = pod.spec.tolerations.contains { toleration in
                let (key, effect) = (toleration["key"].string ?? "", toleration["effect"].string ?? "")
                let isExists = toleration["operator"].string == "Exists"
                return (key == "node.kubernetes.io/memory-pressure" || (key.isEmpty && isExists))
                    && (effect.isEmpty || effect == "NoSchedule")
            }
            if tolerates { return nil }
        }
        return WaitingReason(
            reason: "Evicted",
            message: "The node had condition: [\(conditions.sorted().joined(separator: " "))]. ")
    }
}
