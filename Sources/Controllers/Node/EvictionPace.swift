/// How fast nodes that stopped answering get their eviction taint, by zone: when most of a zone seems down, the fault
/// is more likely ours (the network, the API server) than theirs, and evicting everything would make it worse. Pure.
struct EvictionPace: Sendable {
    /// Nodes per second.
    static let normal = 0.1
    static let reduced = 0.01
    /// Zones up to this size are left alone when most of their nodes are unhealthy.
    static let largeZone = 50

    enum ZoneState: Sendable, Hashable {
        case normal
        case mostlyDown
        case allDown
    }

    static func state(ready: Int, notReady: Int) -> ZoneState {
        if ready == 0 && notReady > 0 { return .allDown }
        if notReady > 2, Double(notReady) / Double(ready + notReady) >= 0.55 { return .mostlyDown }
        return .normal
    }

    /// Nodes per second that may be tainted in a zone; nil stops everywhere: all zones are down.
    static func rate(of zone: ZoneState, size: Int, all: [ZoneState]) -> Double? {
        if all.allSatisfy({ $0 == .allDown }) { return nil }
        switch zone {
        case .normal, .allDown: return normal
        case .mostlyDown: return size > largeZone ? reduced : 0
        }
    }

    private var credits: [String: (amount: Double, at: ContinuousClock.Instant)] = [:]

    /// Takes one permit of a zone, if there is one; at most one is saved up.
    mutating func take(zone: String, rate: Double, now: ContinuousClock.Instant) -> Bool {
        var (amount, at) = credits[zone] ?? (1, now)
        amount = min(1, amount + (now - at) / .seconds(1) * rate)
        at = now
        let isGranted = rate > 0 && amount >= 1
        credits[zone] = (isGranted ? amount - 1 : amount, at)
        return isGranted
    }
}
