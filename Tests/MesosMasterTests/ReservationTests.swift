import JSON
import Ledger
import MesosModel
import ObjectModel
import Testing

@testable import MesosMaster

@Suite("Reservations and quotas over both windows")
struct ReservationTests {
    private func reserve(_ test: inout TestState, _ cpus: Double, for role: String) throws {
        try test.state.operate(
            ["type": "RESERVE", "reserve": ["resources": [Make.scalar("cpus", cpus, reservedFor: role)]]],
            onAgent: "S0", principal: nil)
    }

    @Test("What pods of a role use of its reservation is offered to nobody, and comes back when they go")
    func drawn() throws {
        var test = TestState()
        try reserve(&test, 3, for: "r")
        #expect(test.ledger.node("n0")?.free.milliCPU == 1000)
        var claim = Claim(
            .boundPod(uid: "web"), node: "n0", resources: ResourceVector(milliCPU: 2000, memory: 64 << 20), role: "r")
        claim.reserveUse = .first
        test.addPod("web", namespace: "r", cpu: "2", claim: claim)
        let other = test.subscribe(roles: ["other"])
        #expect(test.offers(to: other).first.map { Make.resources($0).cpus } == 1)
        // The pod runs on the reservation: it is used once.
        #expect(QuotaRules(OperatorReads(test.state)).consumed(by: "r")["cpus"] == 3)
        let id = test.subscribe(roles: ["r"])
        test.state.withdrawOffers(of: other, tell: false)
        test.state.suppress(other, roles: [])
        let offer = try #require(test.offers(to: id).first)
        #expect(Make.resources(offer).reserved(for: "r").cpus == 1 && Make.resources(offer).cpus == 2)
        #expect(test.ledger.node("n0")?.free.milliCPU == 0 && test.ledger.node("n0")?.offered.milliCPU == 1000)
        test.state.decline(id, [Make.id(offer)], filters: ["refuse_seconds": 0])
        test.remove("web", namespace: "r")
        test.pass(2)
        #expect(test.offers(to: id).map { Make.resources($0).reserved(for: "r").cpus } == [3])
        #expect(test.ledger.node("n0")?.used.milliCPU == 4000)
    }

    @Test("Offers beyond what pods leave of a limit are taken back at once, and no good to whoever accepts them first")
    func strain() throws {
        var test = TestState()
        test.setRole("r", quota: ["limits": ["cpus": ["value": 3]]])
        test.ledger.setQuotas(["r": RoleQuota(limits: ["cpu": 3000])])
        let id = test.subscribe(roles: ["r"], capabilities: ["PARTITION_AWARE"])
        let offer = try #require(test.offers(to: id).first)
        #expect(Make.resources(offer).cpus == 3)
        let pod = Claim(.assumedPod(uid: "p"), node: "n0", resources: ResourceVector(milliCPU: 1000), role: "r/web")
        #expect(test.ledger.commit([pod]) == [.committed])
        let launches = test.state.accept(id, [Make.id(offer)], [Make.launch([Make.task("t")])], filters: [:])
        #expect(launches.isEmpty && test.updates(of: id).map { $0["state"].string } == ["TASK_DROPPED"])
        test.state.relieveQuotas()
        test.pass(2)
        #expect(test.ledger.quotas().held(by: "r")?.milliCPU == 1000)
        test.addPod("p", namespace: "r", cpu: "1", claim: pod)
        test.state.revive(id, roles: [])
        #expect(test.offers(to: id).map { Make.resources($0).cpus } == [2])
    }
}
