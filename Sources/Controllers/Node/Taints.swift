import JSON
import ObjectModel

/// A taint of a node.
struct Taint: Sendable, Hashable {
    enum Effect: String, Sendable {
        case noSchedule = "NoSchedule"
        case preferNoSchedule = "PreferNoSchedule"
        case noExecute = "NoExecute"
    }
    var key: String
    var value: String = ""
    var effect: Effect
    var timeAdded: Timestamp?

    init(_ key: String, _ effect: Effect, timeAdded: Timestamp? = nil) {
        self.key = key
        self.effect = effect
        self.timeAdded = timeAdded
    }
    /// Nil for an effect this version does not know.
    init?(_ json: JSON) {
        guard let effect = json["effect"].string.flatMap(Effect.init) else { return nil }
        key = json["key"].string ?? ""
        value = json["value"].string ?? ""
        self.effect = effect
        timeAdded = json["timeAdded"].string.flatMap { Timestamp($0) }
    }
    var json: JSON {
        var json: JSON = ["key": .string(key), "effect": .string(effect.rawValue)]
        if !value.isEmpty { json["value"] = .string(value) }
        if let timeAdded { json["timeAdded"] = .string(timeAdded.rfc3339) }
        return json
    }
}

/// Taints that the node controllers put on and take off by the node's conditions. Pure.
enum NodeTaints {
    static let notReady = "node.kubernetes.io/not-ready"
    static let unreachable = "node.kubernetes.io/unreachable"
    static let unschedulable = "node.kubernetes.io/unschedulable"
    /// Conditions that are bad when true.
    static let pressure = [
        "MemoryPressure": "node.kubernetes.io/memory-pressure", "DiskPressure": "node.kubernetes.io/disk-pressure",
        "PIDPressure": "node.kubernetes.io/pid-pressure",
        "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
    ]
    private static let managed = Set(pressure.values).union([notReady, unreachable, unschedulable])

    /// Keys of the NoSchedule taints that the node should have; they follow its conditions at once.
    static func noSchedule(_ node: JSON) -> Set<String> {
        let conditions = Conditions(node["status"]["conditions"])
        var keys = Set(pressure.filter { conditions.isTrue($0.key) }.values)
        if let key = readiness(conditions) { keys.insert(key) }
        if node["spec"]["unschedulable"].bool == true { keys.insert(unschedulable) }
        return keys
    }

    /// The taint key for the Ready condition: nil when it is True. A node that has not reported counts as not ready.
    static func readiness(_ conditions: Conditions) -> String? {
        switch conditions["Ready"]?["status"].string {
        case "True": nil
        case "Unknown": unreachable
        default: notReady
        }
    }

    /// The taints a node should have now.
    /// - Parameter evicts: pods may be evicted from it (`NoExecute`); nil: leave an eviction taint of the right kind as
    ///   it is, but add none.
    static func desired(_ node: JSON, evicts: Bool?, now: Timestamp) -> [Taint] {
        let current = node["spec"]["taints"].elements.compactMap(Taint.init)
        let wanted = noSchedule(node)
        var taints = current.filter { taint in
            switch taint.effect {
            case .noSchedule: !managed.contains(taint.key) || wanted.contains(taint.key)
            case .noExecute: taint.key != notReady && taint.key != unreachable
            case .preferNoSchedule: true
            }
        }
        let had = Set(taints.filter { $0.effect == .noSchedule }.map(\.key))
        for key in wanted.subtracting(had).sorted() { taints.append(Taint(key, .noSchedule, timeAdded: now)) }
        let evictions = current.filter { $0.effect == .noExecute && ($0.key == notReady || $0.key == unreachable) }
        if let key = readiness(Conditions(node["status"]["conditions"])), evicts ?? !evictions.isEmpty {
            // Not ready and unreachable replace each other and keep the time: the wait of pods goes on.
            var taint = Taint(key, .noExecute, timeAdded: now)
            if let old = evictions.first(where: { $0.key == key }) { taint = old }
            taints.append(taint)
        }
        return taints
    }
}

/// When a pod has to leave a tainted node. Pure.
enum EvictionDecision: Sendable, Hashable {
    case stay
    case leave(at: Timestamp)

    /// - Parameters:
    ///   - taints: the NoExecute taints of the node.
    ///   - since: when the pod came there.
    static func decide(taints: [Taint], tolerations: [JSON], since: Timestamp) -> EvictionDecision {
        var deadline: Timestamp?
        for taint in taints where taint.effect == .noExecute {
            let start = max(taint.timeAdded ?? since, since)
            let matching = tolerations.filter { tolerates($0, taint) }
            if matching.isEmpty { return .leave(at: start) }
            // The shortest of the tolerations that apply counts; without a time it is for ever.
            guard let seconds = matching.compactMap({ $0["tolerationSeconds"].int }).min() else { continue }
            let due = start + .seconds(max(seconds, 0))
            deadline = min(deadline ?? due, due)
        }
        return deadline.map { .leave(at: $0) } ?? .stay
    }

    /// Whether a toleration covers a taint: an empty effect covers all, an empty key with Exists covers all keys.
    static func tolerates(_ toleration: JSON, _ taint: Taint) -> Bool {
        let effect = toleration["effect"].string ?? ""
        guard effect.isEmpty || effect == taint.effect.rawValue else { return false }
        let key = toleration["key"].string ?? ""
        let exists = toleration["operator"].string == "Exists"
        if key.isEmpty { return exists }
        return key == taint.key && (exists || toleration["value"].string ?? "" == taint.value)
    }
}
