import JSON
import Ledger
import MesosModel
import ObjectModel

/// What the scheduler reads of a Mesos role's object.
struct RoleView: Sendable {
    var name: String
    var role: String
    var quota: RoleQuota

    init(_ object: Object) {
        let spec = object.tree["spec"]
        name = object.name
        role = spec["role"].string ?? object.name
        quota = RoleQuota()
        for (name, amount) in spec["quota"]["guarantees"].members {
            if let (name, value) = Self.amount(name, amount) { quota.guarantees[name] = value }
        }
        for (name, amount) in spec["quota"]["limits"].members {
            if let (name, value) = Self.amount(name, amount) { quota.limits[name] = value }
        }
    }

    /// An amount in the ledger's words and units; nil when it is none.
    private static func amount(_ name: String, _ amount: JSON) -> (String, Int64)? {
        guard let value = amount["value"].double ?? amount.double, value.isFinite, value >= 0, value < 1e12 else {
            return nil
        }
        let thousandths = MesosResource.thousandths(value)
        switch name {
        case "cpus": return ("cpu", thousandths)
        case "mem": return ("memory", thousandths * 1_048_576 / 1000)
        case "disk": return ("ephemeral-storage", thousandths * 1_048_576 / 1000)
        case "gpus": return ("nvidia.com/gpu", thousandths / 1000)
        default: return (name, thousandths / 1000)
        }
    }
}

/// Quotas of Mesos roles: a pod that would pass a limit, or take what is guaranteed to others, waits.
extension SchedulerCore {
    /// A role's object as it is now; nil: it does not exist.
    func set(_ name: String, quota: RoleView?) {
        quotas[name] = quota?.quota.isEmpty == false ? quota : nil
        var rules: [String: RoleQuota] = [:]
        // Only topmost roles have quotas; a nested one cannot come in but by kubectl.
        for view in quotas.values where !view.role.contains("/") { rules[view.role] = view.quota }
        ledger.setQuotas(rules)
    }

    /// Quotas for one pass; pods that they held back are tried again when there is room now.
    /// - Returns: nil when there are none.
    func refreshQuotas(now: Instant) -> QuotaView? {
        guard ledger.hasQuotas else {
            if quotaEases != 0 { queue.move(.quota, now: now) { _ in true } }
            quotaEases = 0
            return nil
        }
        let quotas = ledger.quotas()
        if quotas.eases != quotaEases {
            quotaEases = quotas.eases
            // Only as many as find room together: the others would only say so again.
            var left = quotas
            queue.moveInOrder(.quota, now: now) { pod in
                guard problem(pod, left) == nil else { return false }
                left.charge(role: table.role(ofNamespace: pod.key.namespace), pod.template.requests)
                return true
            }
        }
        return quotas
    }

    private func problem(_ pod: PodView, _ quotas: QuotaView) -> QuotaProblem? {
        quotas.problem(
            role: table.role(ofNamespace: pod.key.namespace), pod.template.requests,
            heedsGuarantees: pod.template.heedsGuarantees,
            drawn: pod.template.reserveUse == .none ? ResourceVector() : nil)
    }

    /// Puts a pod back that a quota forbids, or whose role is not known yet.
    /// - Returns: true when it did.
    func isHeldBack(
        _ entry: SchedulingQueue.Entry, _ quotas: QuotaView, now: Instant, _ decisions: inout [Decision]
    ) -> Bool {
        if table.roles[entry.pod.key.namespace] == nil {
            queue.markUnschedulable(entry, by: .quota, now: now)
            return true
        }
        guard let problem = problem(entry.pod, quotas) else { return false }
        decisions.append(holdBack(entry, problem, now: now))
        return true
    }

    func holdBack(_ entry: SchedulingQueue.Entry, _ problem: QuotaProblem, now: Instant) -> Decision {
        queue.markUnschedulable(entry, by: .quota, now: now)
        return .unschedulable(entry.pod, message: Self.message(problem, entry.pod.template.requests))
    }

    /// Names the role, the resource, the bound and what is used, in Mesos's units.
    static func message(_ problem: QuotaProblem, _ request: ResourceVector) -> String {
        switch problem {
        case .limit(let role, let name, let limit, let used):
            "the quota of the Mesos role '\(role)' limits \(mesosName(name)) to \(text(limit, name)), of which "
                + "\(text(used, name)) are used; the pod asks for \(text(request[name], name))"
        case .guaranteed(let name, let free, let kept):
            "quotas of Mesos roles guarantee \(text(kept, name)) \(mesosName(name)) more than these use, and "
                + "\(text(free, name)) are free; the pod asks for \(text(request[name], name))"
        }
    }

    private static func mesosName(_ name: String) -> String {
        switch name {
        case "cpu": "cpus"
        case "memory": "mem"
        case "ephemeral-storage": "disk"
        case "nvidia.com/gpu": "gpus"
        default: name
        }
    }

    /// CPUs, MiB or a count, with at most three decimals.
    private static func text(_ amount: Int64, _ name: String) -> String {
        let value: Double
        switch name {
        case "cpu": value = Double(amount) / 1000
        case "memory", "ephemeral-storage": value = (Double(amount) / 1_048_576 * 1000).rounded() / 1000
        default: value = Double(amount)
        }
        return value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }
}
