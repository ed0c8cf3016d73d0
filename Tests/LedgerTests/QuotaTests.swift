import Ledger
import Synchronization
import Testing

@Suite("Ledger: quotas of roles")
struct QuotaTests {
    private func pod(_ uid: String, cpu: Int64, role: String, heeds: Bool = true) -> Claim {
        var claim = Claim(.assumedPod(uid: uid), node: "a", resources: ResourceVector(milliCPU: cpu), role: role)
        claim.heedsGuarantees = heeds
        return claim
    }
    private func offer(_ id: String, cpu: Int64, role: String) -> Claim {
        Claim(.offer(id: id), node: "a", resources: ResourceVector(milliCPU: cpu), role: role)
    }
    private func ledger(_ rules: [String: RoleQuota]) -> Ledger {
        let ledger = Ledger()
        ledger.setNode("a", allocatable: ResourceVector(milliCPU: 4000))
        ledger.setNode("b", allocatable: ResourceVector(milliCPU: 4000))
        ledger.setQuotas(rules)
        return ledger
    }

    @Test("A limit counts the roles below and what was there before it; pods go before offers, and offers are refused")
    func limit() {
        let ledger = ledger([:])
        #expect(ledger.commit([pod("old", cpu: 500, role: "eng/web")]) == [.committed])
        let strains = Atomic(0)
        ledger.onQuotaStrain { strains.add(1, ordering: .relaxed) }
        ledger.setQuotas(["eng": RoleQuota(limits: ["cpu": 2000])])
        #expect(ledger.commit([offer("o", cpu: 1500, role: "eng")]) == [.committed])
        let refused = QuotaProblem.limit(role: "eng", resource: "cpu", limit: 2000, used: 2000)
        #expect(ledger.commit([offer("p", cpu: 1, role: "eng/db")]) == [.overQuota(refused)])
        #expect(
            ledger.commit([pod("1", cpu: 1000, role: "eng"), pod("2", cpu: 5, role: "other")]) == [
                .committed, .committed,
            ])
        #expect(strains.load(ordering: .relaxed) == 1)
        #expect(ledger.quotas().rolesAboveLimit == ["eng"] && ledger.isAboveLimit("eng/db"))
        let full = QuotaProblem.limit(role: "eng", resource: "cpu", limit: 2000, used: 1500)
        #expect(ledger.commit([pod("3", cpu: 501, role: "eng/db")]) == [.overQuota(full)])
        let eases = ledger.quotas().eases
        ledger.remove(.offer(id: "o"))
        ledger.remove(.pod(uid: "old"))
        #expect(ledger.quotas().eases > eases && ledger.quotas().held(by: "eng")?.milliCPU == 1000)
        #expect(ledger.commit([pod("3", cpu: 501, role: "eng/db")]) == [.committed])
        ledger.setQuotas([:])
        #expect(ledger.commit([pod("4", cpu: 2000, role: "eng")]) == [.committed])
    }

    @Test("What guarantees miss is kept free of pods of other roles, not of those that need not heed, nor of its own")
    func guarantee() {
        let ledger = ledger(["vip": RoleQuota(guarantees: ResourceVector(milliCPU: 3000))])
        #expect(ledger.commit([pod("1", cpu: 3000, role: "x")]) == [.committed])
        // 5000 are free, of which 3000 are kept.
        let kept = QuotaProblem.guaranteed(resource: "cpu", free: 5000, kept: 3000)
        ledger.setNode("c", allocatable: ResourceVector(memory: 1))
        var other = pod("2", cpu: 2500, role: "y")
        other.node = "b"
        #expect(ledger.commit([other]) == [.overQuota(kept)])
        var system = pod("s", cpu: 500, role: "y", heeds: false)
        system.node = "b"
        #expect(ledger.commit([system]) == [.committed])
        var own = pod("3", cpu: 2000, role: "vip/a")
        own.node = "b"
        #expect(ledger.commit([own]) == [.committed])
        // 1000 are still missing, 2500 are free: 1500 may be had.
        var last = pod("4", cpu: 1501, role: "y")
        last.node = "b"
        #expect(!ledger.commit([last])[0].isCommitted)
        last.resources = ResourceVector(milliCPU: 1500)
        #expect(ledger.commit([last]) == [.committed])
        #expect(!ledger.quotas().isShort)
    }

    @Test("Only pods of the role and of those below it use what is reserved, and leave it reserved when they go")
    func reserve() {
        let ledger = ledger(["eng": RoleQuota(limits: ["cpu": 3500])])
        ledger.set(Claim(.reserve(id: "r"), node: "a", resources: ResourceVector(milliCPU: 3000), role: "eng"))
        #expect(ledger.node("a")?.free.milliCPU == 1000)
        func web(_ uid: String, _ cpu: Int64, _ use: ReserveUse, role: String = "eng/web") -> Claim {
            var claim = pod(uid, cpu: cpu, role: role)
            claim.reserveUse = use
            return claim
        }
        #expect(ledger.commit([web("x", 1001, .first, role: "engine")]) == [.insufficient(["cpu"])])
        #expect(ledger.commit([web("y", 1001, .none)]) == [.insufficient(["cpu"])])
        #expect(ledger.commit([web("1", 2500, .only)]) == [.committed])
        #expect(ledger.node("a")?.free.milliCPU == 1000 && ledger.node("a")?.used.milliCPU == 3000)
        #expect(ledger.node("a")?.reserved(for: "eng/web").milliCPU == 500)
        #expect(ledger.commit([web("2", 501, .only)]) == [.insufficient(["cpu"])])
        // The role has 3000 already, used or not: beyond it only 500.
        let full = QuotaProblem.limit(role: "eng", resource: "cpu", limit: 3500, used: 3000)
        #expect(ledger.commit([web("2", 1001, .first)]) == [.overQuota(full)])
        #expect(ledger.commit([web("2", 1000, .first)]) == [.committed])
        #expect(ledger.node("a")?.free.milliCPU == 500 && ledger.quotas().held(by: "eng")?.milliCPU == 3500)
        ledger.remove(.pod(uid: "1"))
        #expect(ledger.node("a")?.free.milliCPU == 1000 && ledger.quotas().held(by: "eng")?.milliCPU == 3000)
        ledger.remove(.reserve(id: "r"))
        #expect(ledger.node("a")?.used.milliCPU == 1000 && ledger.node("a")?.reserves.isEmpty == true)
        #expect(ledger.quotas().held(by: "eng")?.milliCPU == 1000)
    }
}
