import JSON
import Ledger
import MesosModel

/// Who is offered what: filters, and the order in which frameworks get their chance.
struct OfferAllocation: Sendable {
    /// A framework in one of its roles.
    struct Candidate: Hashable, Sendable {
        var frameworkID: String
        var role: String
    }
    private struct Refusal: Sendable {
        var resources: Resources
        var end: ContinuousClock.Instant
    }

    /// Refused resources by candidate and agent.
    private var refusals: [Candidate: [String: [Refusal]]] = [:]
    private var paused: [String: ContinuousClock.Instant] = [:]

    // MARK: Filters

    /// Hides what is contained in refused resources for a time.
    mutating func refuse(
        _ resources: Resources, _ candidate: Candidate, agent: String, seconds: Double, now: ContinuousClock.Instant
    ) {
        var list = refusals[candidate]?[agent] ?? []
        list.removeAll { $0.end <= now }
        // Upstream's filters do not end before the next batch of offers.
        list.append(Refusal(resources: resources, end: now + .seconds(max(seconds, 1))))
        if list.count > 16 { list.removeFirst() }
        refusals[candidate, default: [:]][agent] = list
    }

    func isRefused(_ resources: Resources, _ candidate: Candidate, agent: String, now: ContinuousClock.Instant) -> Bool
    {
        if let end = paused[agent], end > now { return true }
        return refusals[candidate]?[agent]?.contains { $0.end > now && $0.resources.contains(resources) } ?? false
    }

    /// Offers nothing of an agent until then.
    mutating func pause(agent: String, until end: ContinuousClock.Instant) { paused[agent] = end }

    mutating func forgetFilters(framework: String, roles: Set<String>? = nil) {
        for candidate in refusals.keys
        where candidate.frameworkID == framework && roles?.contains(candidate.role) ?? true {
            refusals[candidate] = nil
        }
    }
    mutating func forgetFilters(agent: String) {
        for candidate in refusals.keys { refusals[candidate]?[agent] = nil }
        paused[agent] = nil
    }

    /// Number of refusals of a role that are in force.
    func activeFilters(role: String, now: ContinuousClock.Instant) -> Int {
        refusals.reduce(0) { sum, entry in
            guard entry.key.role == role else { return sum }
            return sum + entry.value.values.reduce(0) { $0 + $1.count { $0.end > now } }
        }
    }

    // MARK: Order

    /// What is used and offered, for fair shares.
    struct Use: Sendable {
        private var roles: [String: ResourceVector] = [:]
        private var frameworks: [Candidate: ResourceVector] = [:]
        private var total = ResourceVector()
        private var weights: [String: Double] = [:]

        init(_ state: MasterState) {
            for agent in state.agents.values { total += agent.node.allocatable }
            weights = state.roles.mapValues(\.weight)
            for task in state.tasks.values where !task.isTerminal {
                add(task.resources, role: task.role, framework: task.key.frameworkID)
            }
            for offer in state.offers.values { add(offer.resources, role: offer.role, framework: offer.frameworkID) }
            for pod in state.otherPods.values where !pod.node.isEmpty && !pod.isFinished {
                roles[state.role(ofNamespace: pod.key.namespace), default: ResourceVector()] += pod.requests
            }
        }

        mutating func add(_ resources: Resources, role: String, framework: String) {
            let vector = resources.vector
            roles[role, default: ResourceVector()] += vector
            frameworks[Candidate(frameworkID: framework, role: role), default: ResourceVector()] += vector
        }

        private func share(_ vector: ResourceVector) -> Double {
            func part(_ used: Int64, _ all: Int64) -> Double { all > 0 ? Double(used) / Double(all) : 0 }
            return max(
                part(vector.milliCPU, total.milliCPU), part(vector.memory, total.memory),
                part(vector.ephemeralStorage, total.ephemeralStorage))
        }

        func rank(_ candidate: Candidate) -> (Double, Double) {
            (
                share(roles[candidate.role] ?? ResourceVector()) / (weights[candidate.role] ?? 1),
                share(frameworks[candidate] ?? ResourceVector())
            )
        }
    }

    /// Frameworks that listen, in each role for which they want offers.
    func candidates(_ frameworks: some Sequence<FrameworkRecord>) -> [Candidate] {
        frameworks.flatMap { framework in
            framework.isActive
                ? framework.roles.filter { !framework.suppressedRoles.contains($0) }
                    .map { Candidate(frameworkID: framework.id, role: $0) } : []
        }
    }

    func order(_ candidates: [Candidate], by use: Use?) -> [Candidate] {
        guard let use else { return candidates }
        return candidates.map { ($0, use.rank($0)) }.sorted {
            ($0.1.0, $0.1.1, $0.0.role, $0.0.frameworkID) < ($1.1.0, $1.1.1, $1.0.role, $1.0.frameworkID)
        }.map(\.0)
    }

    // MARK: Rules

    func isEligible(_ framework: FrameworkRecord, _ role: String, _ agent: AgentRecord, master: MasterState) -> Bool {
        if agent.node.allocatable["nvidia.com/gpu"] > 0, !framework.capabilities.contains("GPU_RESOURCES") {
            return false
        }
        let region = agent.node.domain["fault_domain"]["region"]["name"].string
        if let region, let own = master.configuration.region, region != own,
            !framework.capabilities.contains("REGION_AWARE")
        {
            return false
        }
        return OfferConstraints.allow(framework.offerConstraints, role: role, agent: agent)
    }

    /// True for an offer that is not too small: a hundredth of a CPU or 32 MB, unless the framework says otherwise.
    func isWorth(_ resources: Resources, _ framework: FrameworkRecord, _ role: String) -> Bool {
        if resources.isEmpty { return false }
        let minimum = framework.info["offer_filters"][role]["min_allocatable_resources"]["quantities"].elements
        let vector = resources.vector
        guard !minimum.isEmpty else { return vector.milliCPU >= 10 || vector.memory >= 32 << 20 }
        return minimum.contains { set in
            set["quantities"].members.allSatisfy { name, value in
                let amount = value["value"].double ?? value.double ?? 0
                switch name {
                case "cpus": return Double(vector.milliCPU) / 1000 >= amount
                case "mem": return Double(vector.memory) / 1_048_576 >= amount
                case "disk": return Double(vector.ephemeralStorage) / 1_048_576 >= amount
                default: return amount <= 0
                }
            }
        }
    }
}

/// Offer constraints: which agents a framework wants to hear of at all.
enum OfferConstraints {
    static func allow(_ constraints: JSON, role: String, agent: AgentRecord) -> Bool {
        let groups = constraints["role_constraints"][role]["groups"].elements
        if groups.isEmpty { return true }
        return groups.contains { group in
            group["attribute_constraints"].elements.allSatisfy { allows($0, agent) }
        }
    }

    private static func allows(_ constraint: JSON, _ agent: AgentRecord) -> Bool {
        let selector = constraint["selector"]
        var text: String?
        var isThere = false
        switch selector["pseudoattribute_type"].string {
        case "HOSTNAME": text = agent.hostname
        case "REGION": text = agent.node.domain["fault_domain"]["region"]["name"].string
        case "ZONE": text = agent.node.domain["fault_domain"]["zone"]["name"].string
        default:
            let attribute = agent.node.attributes.first { $0["name"].string == selector["attribute_name"].string }
            isThere = attribute != nil
            text = attribute?["text"]["value"].string
        }
        isThere = isThere || text != nil
        let predicate = constraint["predicate"]
        if predicate["exists"].object != nil { return isThere }
        if predicate["not_exists"].object != nil { return !isThere }
        // Text says nothing of attributes that are none.
        if isThere, text == nil { return true }
        if let value = predicate["text_equals"]["value"].string { return text == value }
        if let value = predicate["text_not_equals"]["value"].string { return text != value }
        return true
    }
}

extension OfferConstraints {
    /// Why constraints cannot be; nil when they can.
    static func problem(_ constraints: JSON) -> String? {
        for (role, entry) in constraints["role_constraints"].members {
            let groups = entry["groups"].elements
            if groups.isEmpty { return "Invalid offer constraints for role '\(role)': an empty list of groups" }
            for group in groups {
                let list = group["attribute_constraints"].elements
                if list.isEmpty { return "Invalid offer constraints for role '\(role)': a group without constraints" }
                for constraint in list {
                    let selector = constraint["selector"]
                    if selector["attribute_name"].string == nil, selector["pseudoattribute_type"].string == nil {
                        return "Invalid offer constraints for role '\(role)': a selector that selects nothing"
                    }
                    if constraint["predicate"].members.isEmpty {
                        return "Invalid offer constraints for role '\(role)': an unknown predicate"
                    }
                }
            }
        }
        return nil
    }
}
