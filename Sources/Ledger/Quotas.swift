/// What a topmost Mesos role and those below it may have of the whole cluster, and what is kept for them.
public struct RoleQuota: Sendable, Hashable {
    /// Kept free of everybody else for as long as the role has less.
    public var guarantees: ResourceVector
    /// The most that it may have, by the ledger's names of resources; what is not named is not limited.
    public var limits: [String: Int64]

    /// A quota; nothing is guaranteed or limited by default.
    public init(guarantees: ResourceVector = ResourceVector(), limits: [String: Int64] = [:]) {
        self.guarantees = guarantees
        self.limits = limits
    }

    /// True when it asks for nothing.
    public var isEmpty: Bool { guarantees.isZero && limits.isEmpty }
}

/// Why a quota keeps a pod from any node.
public enum QuotaProblem: Sendable, Hashable {
    /// The role would have more than its limit.
    case limit(role: String, resource: String, limit: Int64, used: Int64)
    /// What is free is kept for guarantees of other roles that are not met yet.
    case guaranteed(resource: String, free: Int64, kept: Int64)
}

/// Quotas and what counts against them, at one moment.
///
/// A role has what its claims hold, offers included, and what is reserved for it, used or not. Nothing is counted while
/// there is no quota.
public struct QuotaView: Sendable {
    struct Use: Sendable {
        /// All of it.
        var held = ResourceVector()
        /// The part that outstanding offers hold: pods go before them.
        var offered = ResourceVector()
        /// The part that is reserved for pods of the role and that none uses.
        var idle = ResourceVector()

        /// What stays when offers are taken back.
        var firm: ResourceVector { held - offered }
    }

    /// By topmost role.
    public internal(set) var rules: [String: RoleQuota] = [:]
    var uses: [String: Use] = [:]
    /// What nobody holds on known nodes.
    var free = ResourceVector()
    /// What outstanding offers hold, those of roles without a quota included.
    var offered = ResourceVector()
    /// Grows with everything that may allow more.
    public internal(set) var eases: UInt64 = 0

    /// No quotas.
    public init() {}

    /// True when there is no quota.
    public var isEmpty: Bool { rules.isEmpty }

    /// The topmost role of a path: `a` of `a/b`.
    public static func top(of role: String) -> String {
        role.utf8.firstIndex(of: UInt8(ascii: "/")).map { String(role[..<$0]) } ?? role
    }

    /// What a role and those below it have; nil when it has no quota.
    public func held(by role: String) -> ResourceVector? { uses[role]?.held }

    // MARK: Asking

    /// Why a pod may not come; nil when no quota forbids it.
    /// - Parameters:
    ///   - role: its role; empty for none.
    ///   - request: what it holds once it is there.
    ///   - heeds: whether it has to leave room for guarantees of others.
    ///   - drawn: what it takes of reservations of its role, which count already; nil: as much as there is anywhere.
    public func problem(
        role: String, _ request: ResourceVector, heedsGuarantees heeds: Bool, drawn: ResourceVector? = nil
    ) -> QuotaProblem? {
        if rules.isEmpty { return nil }
        let top = Self.top(of: role)
        let use = uses[top] ?? Use()
        let need = (request - (drawn ?? request.minimum(use.idle))).positive
        if let limits = rules[top]?.limits, !limits.isEmpty {
            for name in limits.keys.sorted() where need[name] > 0 {
                let (limit, used) = (limits[name] ?? 0, use.firm[name])
                if used + need[name] > limit { return .limit(role: top, resource: name, limit: limit, used: used) }
            }
        }
        return heeds ? shortage(top, use, need) : nil
    }

    private func shortage(_ top: String, _ use: Use, _ need: ResourceVector) -> QuotaProblem? {
        var others = ResourceVector()
        /// Offers that nobody guarantees: they go before a pod does.
        var loose = offered
        for (role, rule) in rules where role != top && !rule.guarantees.isZero {
            let their = uses[role] ?? Use()
            others += (rule.guarantees - their.held).positive
            loose -= their.offered
        }
        if others.isZero { return nil }
        let own = ((rules[top]?.guarantees ?? ResourceVector()) - use.firm).positive
        for name in others.names where need[name] > 0 && others[name] > 0 {
            let uncovered = need[name] - min(need[name], own[name])
            let open = free[name] + loose[name]
            if uncovered > 0, uncovered > max(open - others[name] - own[name], 0) {
                return .guaranteed(resource: name, free: open, kept: others[name] + own[name])
            }
        }
        return nil
    }

    /// True when an offer would make a role pass its limit.
    func refuses(offer role: String, _ amount: ResourceVector) -> QuotaProblem? {
        let top = Self.top(of: role)
        guard let limits = rules[top]?.limits, !limits.isEmpty else { return nil }
        let used = uses[top]?.held ?? ResourceVector()
        for name in limits.keys.sorted() where amount[name] > 0 {
            let limit = limits[name] ?? 0
            if used[name] + amount[name] > limit {
                return .limit(role: top, resource: name, limit: limit, used: used[name])
            }
        }
        return nil
    }

    /// Roles that have more than their limits, offers included.
    public var rolesAboveLimit: [String] {
        rules.compactMap { role, rule in
            let held = uses[role]?.held ?? ResourceVector()
            return rule.limits.contains { held[$0.key] > $0.value } ? role : nil
        }.sorted()
    }

    /// True when less is free than is missing to guarantees.
    public var isShort: Bool {
        var missing = ResourceVector()
        for (role, rule) in rules where !rule.guarantees.isZero {
            missing += (rule.guarantees - (uses[role]?.held ?? ResourceVector())).positive
        }
        return missing.names.contains { missing[$0] > max(free[$0], 0) }
    }

    // MARK: Counting

    /// Counts a pod that is about to be committed.
    public mutating func charge(role: String, _ request: ResourceVector) {
        if rules.isEmpty { return }
        let top = Self.top(of: role)
        let drawn = request.minimum(uses[top]?.idle ?? ResourceVector()).positive
        let need = request - drawn
        if rules[top] != nil {
            uses[top, default: Use()].held += need
            uses[top, default: Use()].idle -= drawn
        }
        free -= need
    }

    mutating func count(_ claim: Claim, sign: Int) {
        if claim.isNomination || claim.isReserve { return }
        let amount = sign > 0 ? claim.resources : ResourceVector() - claim.resources
        if claim.isOffer { offered += amount }
        if claim.role.isEmpty { return }
        let top = Self.top(of: claim.role)
        guard rules[top] != nil else { return }
        uses[top, default: Use()].held += amount
        if claim.isOffer { uses[top, default: Use()].offered += amount }
    }

    /// Counts what changed on a node beside claims: what is free and what is reserved.
    mutating func count(from old: LedgerSnapshot.Node, to new: LedgerSnapshot.Node) {
        free += new.open - old.open
        if old.reserves.isEmpty, new.reserves.isEmpty { return }
        for (reserves, sign) in [(old.reserves, false), (new.reserves, true)] {
            for reserve in reserves {
                let top = Self.top(of: reserve.role)
                guard rules[top] != nil else { continue }
                let amount = sign ? reserve.idle : ResourceVector() - reserve.idle
                uses[top, default: Use()].held += amount
                uses[top, default: Use()].idle += amount
            }
        }
    }
}
