import JSON
import ObjectModel

/// How well a pod is protected from others: decided once from its resources.
enum QualityOfService: String, Sendable {
    case guaranteed = "Guaranteed"
    case burstable = "Burstable"
    case bestEffort = "BestEffort"

    init(_ spec: PodSpec) {
        let relevant = ["cpu", "memory"]
        if !spec.resources.isEmpty {
            self.init([spec.resources], relevant)
        } else {
            self.init((spec.initContainers + spec.containers).map(\.resources), relevant)
        }
    }

    private init(_ all: [ResourceRequirements], _ relevant: [String]) {
        var isBestEffort = true
        var isGuaranteed = true
        for resources in all {
            for name in relevant {
                let limit = resources.limits[name].flatMap { $0.milliValue > 0 ? $0 : nil }
                let request = resources.requests[name].flatMap { $0.milliValue > 0 ? $0 : nil }
                if limit != nil || request != nil { isBestEffort = false }
                guard let limit else {
                    isGuaranteed = false
                    continue
                }
                if let request, request.milliValue != limit.milliValue { isGuaranteed = false }
            }
        }
        self = isBestEffort ? .bestEffort : isGuaranteed ? .guaranteed : .burstable
    }
}

/// The arithmetic between Kubernetes quantities and cgroup values.
enum CgroupMath {
    static let period: Int64 = 100_000

    static func shares(milliCPU: Int) -> Int64 {
        milliCPU <= 0 ? 2 : Int64(min(max(min(milliCPU, 1_000_000) * 1024 / 1000, 2), 262_144))
    }
    /// Microseconds per period; nil without a limit.
    static func quota(milliCPU: Int) -> Int64? {
        milliCPU <= 0 ? nil : max(Int64(min(milliCPU, 1_000_000_000)) * period / 1000, 1000)
    }
    /// cgroup v2 `cpu.weight` of v1 shares.
    static func weight(shares: Int64) -> Int64 { 1 + ((shares - 2) * 9999) / 262_142 }

    static func oomScoreAdjustment(
        _ quality: QualityOfService, memoryRequest: Int, nodeMemory: Int, isNodeCritical: Bool
    ) -> Int64 {
        if isNodeCritical { return -997 }
        switch quality {
        case .guaranteed: return -997
        case .bestEffort: return 1000
        case .burstable:
            let share = nodeMemory > 0 ? 1000 * min(memoryRequest, nodeMemory) / nodeMemory : 0
            return Int64(min(max(1000 - share, 3), 999))
        }
    }
}

/// What a whole pod asks for and may use at most.
struct PodResources: Sendable, Equatable {
    var requestMilliCPU = 0
    var requestMemory = 0
    /// Nil: not all containers have a limit.
    var limitMilliCPU: Int?
    var limitMemory: Int?

    init(_ spec: PodSpec) {
        requestMilliCPU = Self.request(spec, "cpu").milliValue
        requestMemory = Self.request(spec, "memory").value
        limitMilliCPU = Self.limit(spec, "cpu")?.milliValue
        limitMemory = Self.limit(spec, "memory")?.value
    }

    /// The larger of two, resource by resource; no limit is the largest.
    func maximum(_ other: PodResources) -> PodResources {
        var result = self
        result.requestMilliCPU = max(requestMilliCPU, other.requestMilliCPU)
        result.requestMemory = max(requestMemory, other.requestMemory)
        result.limitMilliCPU = Self.largest(limitMilliCPU, other.limitMilliCPU)
        result.limitMemory = Self.largest(limitMemory, other.limitMemory)
        return result
    }
    private static func largest(_ left: Int?, _ right: Int?) -> Int? {
        guard let left, let right else { return nil }
        return max(left, right)
    }

    /// The effective request: running containers and sidecars together, or what initialisation needs at its peak.
    static func request(_ spec: PodSpec, _ name: String) -> Quantity {
        if let pod = spec.resources.requests[name] ?? spec.resources.limits[name] {
            return pod + (spec.overhead[name] ?? Quantity(0))
        }
        return total(spec, name) { $0.requests[name] ?? $0.limits[name] ?? Quantity(0) }
    }

    private static func limit(_ spec: PodSpec, _ name: String) -> Quantity? {
        if let pod = spec.resources.limits[name] { return pod + (spec.overhead[name] ?? Quantity(0)) }
        let relevant = spec.containers + spec.initContainers
        guard relevant.allSatisfy({ ($0.resources.limits[name]?.milliValue ?? 0) > 0 }) else { return nil }
        return total(spec, name) { $0.limits[name] ?? Quantity(0) }
    }

    private static func total(_ spec: PodSpec, _ name: String, _ value: (ResourceRequirements) -> Quantity) -> Quantity
    {
        var sidecars = Quantity(0)
        var peak = Quantity(0)
        for container in spec.initContainers {
            if container.kind == .sidecar {
                sidecars = sidecars + value(container.resources)
                peak = max(peak, sidecars)
            } else {
                peak = max(peak, sidecars + value(container.resources))
            }
        }
        var sum = sidecars
        for container in spec.containers { sum = sum + value(container.resources) }
        return max(sum, peak) + (spec.overhead[name] ?? Quantity(0))
    }
}
