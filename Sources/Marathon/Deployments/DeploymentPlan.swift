import JSON

/// One thing that a step of a deployment does.
struct DeploymentAction: Sendable, Hashable {
    enum Verb: String, Sendable {
        case start = "Start"
        case stop = "Stop"
        case scale = "Scale"
        case restart = "Restart"
    }
    var verb: Verb
    var kind: RunSpec.Kind
    var id: PathID

    /// `StartApplication`, `RestartPod`.
    var name: String { verb.rawValue + (kind == .app ? "Application" : "Pod") }
    var json: JSON { ["action": .string(name), kind.rawValue: .string(id.text)] }

    init(_ verb: Verb, _ kind: RunSpec.Kind, _ id: PathID) {
        self.verb = verb
        self.kind = kind
        self.id = id
    }
    init?(_ json: JSON) {
        guard let name = json["action"].string else { return nil }
        let isApp = name.hasSuffix("Application")
        let kind: RunSpec.Kind = isApp ? .app : .pod
        guard let verb = Verb(rawValue: String(name.dropLast(isApp ? 11 : 3))), let id = json[kind.rawValue].string
        else {
            return nil
        }
        self.init(verb, kind, PathID(id))
    }
}

/// The steps from one state of definitions to another.
enum DeploymentPlan {
    /// Removals first and together, then starts at no instances, then scaling and restarts by level of dependency.
    ///
    /// - Throws: `MarathonError` 422 when the dependencies of the target form a circle.
    static func steps(from base: any Definitions, _ change: DefinitionChange) throws(MarathonError)
        -> [[DeploymentAction]]
    {
        let target = ChangedDefinitions(base: base, change: change)
        var stops: [DeploymentAction] = []
        var starts: [DeploymentAction] = []
        var levels: [Int: [DeploymentAction]] = [:]
        var order = DependencyOrder(target)
        let touched = Set(change.specs.keys).union(change.restarts).sorted()
        for id in touched {
            let old = base.spec(id)
            guard let new = target.spec(id) else {
                if let old { stops.append(DeploymentAction(.stop, old.kind, id)) }
                continue
            }
            guard let old, old.kind == new.kind else {
                if let old { stops.append(DeploymentAction(.stop, old.kind, id)) }
                starts.append(DeploymentAction(.start, new.kind, id))
                levels[try order.level(of: id), default: []].append(DeploymentAction(.scale, new.kind, id))
                continue
            }
            let isForced = change.restarts.contains(id)
            if !isForced, old.version == new.version { continue }
            let verb: DeploymentAction.Verb
            if !isForced, old.hasSameConfiguration(as: new) {
                // A version that only goes back or forth in time changes nothing that runs.
                if old.instances == new.instances, old.lastConfigChange == new.lastConfigChange { continue }
                verb = old.lastConfigChange == new.lastConfigChange ? .scale : .restart
            } else {
                verb = new.instances == 0 ? .scale : .restart
            }
            levels[try order.level(of: id), default: []].append(DeploymentAction(verb, new.kind, id))
        }
        let steps = [stops, starts] + levels.keys.sorted().map { levels[$0] ?? [] }
        return steps.filter { !$0.isEmpty }
    }
}

/// How many instances of a restart may be killed at once and run at most.
struct RestartArithmetic: Sendable, Hashable {
    var killNow: Int
    /// Old and new instances together.
    var maximum: Int

    /// - Parameters:
    ///   - target: instances that the new definition wants.
    ///   - current: old instances that exist.
    ///   - healthy: old instances that run (and are healthy, when they have checks).
    init(
        target: Int, current: Int, healthy: Int, minimumHealthCapacity: Double, maximumOverCapacity: Double,
        isResident: Bool = false
    ) {
        // Ten digits are enough for every share, and hide that 0.1 has no exact double.
        func tidy(_ value: Double) -> Double { (value * 1e10).rounded() / 1e10 }
        let minimumHealthy = Int(bounded: tidy(Double(target) * minimumHealthCapacity).rounded(.up))
        var maximum = Int(bounded: tidy(Double(target) * (1 + maximumOverCapacity)).rounded(.down))
        var killNow = max(0, healthy - minimumHealthy)
        if minimumHealthy == maximum, maximum <= healthy {
            if isResident { killNow = healthy - minimumHealthy + 1 } else { maximum += 1 }
        }
        if target < current { killNow = max(current - target, killNow) }
        self.killNow = min(killNow, current)
        self.maximum = maximum
    }
}
