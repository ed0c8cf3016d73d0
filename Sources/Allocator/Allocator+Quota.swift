public import MesosModel

/// A quota of a topmost role.
struct Quota: Sendable {
    var role: String
    var top: Int
    var guarantee: Amounts
    /// `unbounded` where there is no limit.
    var limit: Amounts
}

/// Sums over all agents, without what is revocable.
struct Totals: Sendable {
    var pool = Amounts()
    var reserved = Amounts()
    var allocated = Amounts()
    var allocatedReserved = Amounts()
    /// Unreserved, in use by nobody that is known.
    var withheld = Amounts()

    /// What could be given to anybody.
    var headroom: Amounts { pool &- allocated &- (reserved &- allocatedReserved) &- withheld }
}

/// A role's quota and how much of it is consumed, in thousandths.
public struct QuotaStatus: Sendable {
    public var role: String
    public var guarantees: Allocator.Quantities
    /// Only what is limited.
    public var limits: Allocator.Quantities
    /// Reservations of the role and those below it, and what they have of what is not reserved; offers included.
    public var consumed: Allocator.Quantities
}

extension Allocator {
    /// Sets a role's quota, in whole; empty guarantees and limits are no quota.
    /// - Parameter guarantees: thousandths by name; what is not named is not guaranteed.
    /// - Parameter limits: thousandths by name; what is not named is not limited.
    /// - Throws: `MesosError` for a role that is not topmost, a guarantee above its limit, negative amounts, or more
    ///   kinds of resources than are accounted for.
    public mutating func setQuota(of role: String, guarantees: Quantities, limits: Quantities) throws(MesosError) {
        if role.contains("/") { throw MesosError(.invalid, "Quotas are set for topmost roles, not for '\(role)'") }
        var limit = Amounts.unbounded
        for (name, value) in limits {
            guard let place = names.place(of: name) else {
                throw MesosError(.invalid, "Quotas of '\(name)' are not supported: too many kinds of resources")
            }
            guard value >= 0, value >= guarantees[name] ?? 0 else {
                throw MesosError(.invalid, "Invalid quota of role '\(role)': guarantee of '\(name)' is above its limit")
            }
            limit[place] = value
        }
        for (name, value) in guarantees where value < 0 || names.place(of: name) == nil {
            throw MesosError(.invalid, "Invalid guarantee of '\(name)' in the quota of role '\(role)'")
        }
        let top = tree.node(of: role)
        let quota = Quota(role: role, top: top, guarantee: names.amounts(guarantees), limit: limit)
        quotas.removeAll { $0.top == top }
        tree.setQuota(-1, at: top)
        if !guarantees.isEmpty || !limits.isEmpty { quotas.append(quota) }
        for (index, quota) in quotas.enumerated() { tree.setQuota(index, at: quota.top) }
        tree.prune(top)
        quotaMayAllowMore()
        isAllDirty = true
    }

    /// The quota of a role; one without bounds when none is set.
    public func quota(of role: String) -> QuotaStatus {
        guard let top = tree.knownNode(of: role) else {
            return QuotaStatus(role: role, guarantees: [:], limits: [:], consumed: [:])
        }
        var status = QuotaStatus(
            role: role, guarantees: [:], limits: [:], consumed: names.quantities(tree.nodes[tree.nodes[top].top].held))
        guard tree.nodes[top].quota >= 0 else { return status }
        let quota = quotas[tree.nodes[top].quota]
        status.guarantees = names.quantities(quota.guarantee)
        for (index, name) in names.names.enumerated() where quota.limit[index] < Amounts.unbounded[index] {
            status.limits[name] = quota.limit[index]
        }
        return status
    }

    /// Roles that hold more than their limits: offers of theirs should be rescinded.
    public var rolesAboveLimit: [String] {
        quotas.filter { (tree.nodes[$0.top].held &- $0.limit).hasAny }.map(\.role)
    }

    /// What must stay free for guarantees that are not met yet.
    var requiredHeadroom: Amounts {
        quotas.reduce(into: Amounts()) { $0 &+= ($1.guarantee &- tree.nodes[$1.top].held).positive }
    }
}
