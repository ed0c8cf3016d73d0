import HTTPWindow
import JSON
import MesosModel

/// Which quotas are taken.
struct QuotaRules {
    let reads: OperatorReads
    init(_ reads: OperatorReads) { self.reads = reads }

    /// - Throws: `WindowError` 400 that says what is wrong.
    func check(_ configs: [JSON], isForced: Bool) throws {
        var seen: Set<String> = []
        for config in configs {
            let role = config["role"].string ?? ""
            if let problem = MesosRoles.problem(role) { throw WindowError(400, "Invalid QuotaConfig: \(problem)") }
            if role.contains("/") {
                throw WindowError(400, "Updating quota on nested role '\(role)' is not supported yet")
            }
            guard seen.insert(role).inserted else {
                throw WindowError(400, "Invalid QuotaConfig: the role '\(role)' is named twice")
            }
            for list in ["guarantees", "limits"] {
                for (name, amount) in config[list].members {
                    guard let value = amount["value"].double, value >= 0, value.isFinite else {
                        throw WindowError(
                            400, "Invalid QuotaConfig: \(list) of \(name) must be a number that is not negative")
                    }
                }
            }
            for (name, amount) in config["guarantees"].members {
                guard let limit = config["limits"][name]["value"].double else { continue }
                if (amount["value"].double ?? 0) > limit {
                    throw WindowError(
                        400, "Invalid QuotaConfig: the guarantee of \(name) for '\(role)' is above its limit")
                }
            }
        }
        if isForced { return }
        for config in configs {
            let role = config["role"].string ?? ""
            let used = consumed(by: role)
            for (name, amount) in config["limits"].members {
                let limit = amount["value"].double ?? 0
                if let held = used[name], held > limit + 0.0005 {
                    throw WindowError(
                        400,
                        "Invalid QuotaConfig: Role '\(role)' is already consuming '\(Self.text(used))'; this is more than "
                            + "the requested limits '\(Self.text(config["limits"]))' (use 'force' flag to bypass this check)"
                    )
                }
            }
        }
        try checkCapacity(configs)
    }

    /// What a role and those below it use or have reserved.
    func consumed(by role: String) -> [String: Double] {
        func isIn(_ other: String) -> Bool { other == role || other.hasPrefix(role + "/") }
        var held: [JSON] = []
        func ofRole(_ resources: Resources) -> [JSON] {
            resources.json.elements.filter { isIn($0["reservations"].elements.last?["role"].string ?? "*") }
        }
        for framework in reads.view.frameworks {
            for (role, resources) in framework.allocatedOfRole where isIn(role) { held += resources.unreserved.trees }
        }
        var drawn: [JSON] = []
        for agent in reads.view.agents where !agent.reserved.isEmpty {
            held += ofRole(agent.reserved)
            // Pods that run on a reservation are in both.
            let unheld = reads.state.unheldReservations(of: agent)
            drawn += ofRole(reads.state.drawnReservations(of: agent, unheld))
        }
        let twice = Self.sums(drawn)
        return Dictionary(
            uniqueKeysWithValues: Self.sums(held).map { name, amount in
                (name, max((amount - (twice[name] ?? 0)) * 1000, 0).rounded() / 1000)
            })
    }

    static func sums(_ resources: [JSON]) -> [String: Double] {
        var thousandths: [String: Int64] = [:]
        for resource in resources {
            guard let name = resource["name"].string, let value = resource["scalar"]["value"].double else { continue }
            thousandths[name] = (thousandths[name] ?? 0).addingSaturated(MesosResource.thousandths(value))
        }
        return thousandths.mapValues { Double($0) / 1000 }
    }

    /// All guarantees together have to fit the cluster.
    private func checkCapacity(_ configs: [JSON]) throws {
        let capacity = Self.sums(reads.view.agents.flatMap { $0.total.json.elements })
        var guaranteed: [String: Double] = [:]
        func add(_ amounts: JSON) {
            for (name, amount) in amounts.members {
                guaranteed[name, default: 0] += amount["value"].double ?? amount.double ?? 0
            }
        }
        let changed = Set(configs.compactMap { $0["role"].string })
        for role in reads.state.roles.values where !changed.contains(role.role) { add(role.quota["guarantees"]) }
        for config in configs { add(config["guarantees"]) }
        for (name, amount) in guaranteed where amount > (capacity[name] ?? 0) + 0.0005 {
            throw WindowError(
                400,
                "Invalid QuotaConfig: total quota guarantees '\(Self.text(guaranteed))' exceed cluster capacity "
                    + "'\(Self.text(capacity))' (use 'force' flag to bypass this check)")
        }
    }

    /// `cpus:1; mem:32`
    private static func text(_ amounts: [String: Double]) -> String {
        amounts.sorted { $0.key < $1.key }.map { name, amount in
            "\(name):" + (Int64(exactly: amount).map { "\($0)" } ?? "\(amount)")
        }.joined(separator: "; ")
    }

    private static func text(_ amounts: JSON) -> String {
        text(Dictionary(uniqueKeysWithValues: amounts.members.map { ($0, $1["value"].double ?? 0) }))
    }
}
