import JSON
import MesosModel
import Testing

@testable import Allocator

@Suite struct AllocatorTests {
    @Test("A refused agent comes back when the filter ends, when more is free, or by revive")
    func filters() throws {
        var allocator = Allocator.make([("f", ["r"])])
        try allocator.addAgent("s", "cpus:4;mem:1024;ports:[1-9]")
        var offer = try #require(allocator.allocate(now: 0).first)
        #expect(offer.resources == (try Resources(text: "cpus:4;mem:1024;ports:[1-9]")))
        #expect(allocator.allocate(now: 1).isEmpty)
        func decline(_ now: Double) {
            allocator.recover(
                frameworkID: "f", role: "r", agentID: "s", offer.resources.allocated(to: "r"), refuseSeconds: 5,
                now: now)
        }
        decline(1)
        #expect(allocator.allocate(now: 5).isEmpty)
        offer = try #require(allocator.allocate(now: 6.1).first)
        decline(7)
        #expect(allocator.allocate(now: 8).isEmpty)
        allocator.revive("f")
        offer = try #require(allocator.allocate(now: 8).first)
        // Two cpus are used; the rest is refused. When they are free the offer is more than what was refused.
        let task = try Resources(text: "cpus:2;mem:24")
        offer.resources -= task
        decline(9)
        #expect(allocator.allocate(now: 9).isEmpty)
        allocator.recover(frameworkID: "f", role: "r", agentID: "s", task)
        #expect(allocator.allocate(now: 9).count == 1)
    }

    @Test("Suppressed roles, inactive frameworks and agents get and give nothing")
    func silence() throws {
        var allocator = Allocator.make([("f", ["a", "b"])])
        try allocator.addAgent("s", "cpus:4;mem:1024")
        allocator.suppress("f", roles: ["a"])
        let offer = try #require(allocator.allocate(now: 0).first)
        #expect(offer.role == "b")
        allocator.recover(frameworkID: "f", role: "b", agentID: "s", offer.resources)
        allocator.setFramework("f", isActive: false)
        #expect(allocator.allocate(now: 0).isEmpty)
        allocator.setAgent("s", isActive: false)
        allocator.setFramework("f", isActive: true)
        #expect(allocator.allocate(now: 0).isEmpty)
        allocator.setAgent("s", isActive: true)
        #expect(allocator.allocate(now: 0).count == 1)
        allocator.removeFramework("f")
        #expect(allocator.available(on: "s").cpus == 4)
    }

    @Test("Reservations go to their role and those below it, capabilities hide agents, constraints choose them")
    func eligibility() throws {
        var allocator = Allocator.make([("f", ["eng/a"]), ("g", ["ops"])])
        try allocator.addAgent("s", "cpus(eng):2;mem(eng):64;cpus(ops):1;mem(ops):64")
        let offers = allocator.allocate(now: 0)
        #expect(offers.count == 2)
        #expect(offers.first { $0.frameworkID == "f" }?.resources.cpus == 2)
        #expect(offers.first { $0.frameworkID == "g" }?.resources.cpus == 1)
        try allocator.addAgent("gpu", "cpus:1;mem:64;gpus:1")
        #expect(allocator.allocate(now: 0).isEmpty)
        var able = Allocator.Framework(roles: ["ops"])
        able.capabilities = ["GPU_RESOURCES"]
        able.constraints = try OfferConstraints([
            "role_constraints": [
                "ops": [
                    "groups": [
                        [
                            "attribute_constraints": [
                                [
                                    "selector": ["pseudoattribute_type": "HOSTNAME"],
                                    "predicate": ["text_matches": ["regex": "g.*"]],
                                ]
                            ]
                        ]
                    ]
                ]
            ]
        ])
        allocator.setFramework("h", able)
        try allocator.addAgent("plain", "cpus:1;mem:64")
        allocator.suppress("f")
        allocator.suppress("g")
        #expect(allocator.allocate(now: 0).map(\.agentID) == ["gpu"])
    }

    @Test("Guarantees are kept free, limits are never passed")
    func quotas() throws {
        var allocator = Allocator.make([("greedy", ["greedy"])])
        try allocator.setQuota(of: "vip", guarantees: ["cpus": 10_000, "mem": 640_000], limits: ["cpus": 12_000])
        for index in 0..<20 { try allocator.addAgent("s\(index)", "cpus:2;mem:128") }
        _ = allocator.allocate(now: 0)
        #expect(allocator.allocated(to: "greedy")["cpus"] == 30_000)
        allocator.setFramework("v", Allocator.Framework(roles: ["vip/team"]))
        _ = allocator.allocate(now: 1)
        let vip = allocator.allocated(to: "vip")
        #expect((10_000...12_000).contains(vip["cpus"] ?? 0) && (vip["mem"] ?? 0) >= 640_000)
        #expect(throws: MesosError.self) {
            try allocator.setQuota(of: "a/b", guarantees: ["cpus": 1], limits: [:])
        }
        let problem = allocator.quotaProblem([("vip", [:], ["cpus": 1_000])], offered: [:])
        #expect(problem?.contains("already consuming") == true)
        #expect(allocator.quotaProblem([("vip", ["cpus": 99_000], [:])], offered: [:])?.contains("add up") == true)
    }

    @Test("A reservation by an operation stays with its role after the task ends")
    func operations() throws {
        var allocator = Allocator.make([("f", ["r"]), ("g", ["q"])])
        try allocator.addAgent("s", "cpus:4;mem:1024;disk:100")
        let offer = try #require(allocator.allocate(now: 0).first)
        var disk = MesosResource("disk", 100)
        disk.reservations = [MesosResource.Reservation(role: offer.role, principal: "p")]
        let reserve: JSON = ["type": "RESERVE", "reserve": ["resources": [disk.tree]]]
        let effect = try OperationEffect(of: reserve, role: offer.role)
        try allocator.apply(effect, frameworkID: offer.frameworkID, role: offer.role, agentID: "s")
        let held = allocator.use(frameworkID: offer.frameworkID, role: offer.role, agentID: "s")
        #expect(held.reserved(for: offer.role).disk == 100)
        allocator.recover(frameworkID: offer.frameworkID, role: offer.role, agentID: "s", held, refuseSeconds: 100)
        let other = try #require(allocator.allocate(now: 1).first)
        #expect(other.frameworkID != offer.frameworkID && other.resources.disk == 0 && other.resources.cpus == 4)
        #expect(throws: MesosError.self) { try allocator.apply(effect, agentID: "s") }
    }

    @Test("Whatever happens, nothing is given twice, accounts agree and limits hold", arguments: 1...8)
    func invariants(seed: Int) throws {
        var random = Xorshift(UInt64(seed) &* 0x9876_5432_1FED_CBA9)
        var allocator = Allocator.make([], seed: UInt64(seed))
        try allocator.setQuota(of: "a", guarantees: ["cpus": 6_000], limits: ["cpus": 9_000, "mem": 4_096_000])
        let roles = ["a", "a/x", "b", "b/y/z", "*"]
        var held: [(framework: String, role: String, agent: String, resources: Resources)] = []
        var now = 0.0
        for _ in 0..<400 {
            now += 0.5
            let agent = "s\(Int.random(in: 0..<6, using: &random))"
            let framework = "f\(Int.random(in: 0..<5, using: &random))"
            switch Int.random(in: 0..<12, using: &random) {
            case 0:
                try allocator.addAgent(
                    agent, "cpus:\(Int.random(in: 1...8, using: &random));mem:4096;cpus(b):1;ports:[1-100]")
            case 1:
                allocator.removeAgent(agent)
                held.removeAll { $0.agent == agent }
            case 2:
                allocator.setFramework(
                    framework, Allocator.Framework(roles: roles.filter { _ in Bool.random(using: &random) }))
            case 3:
                if Int.random(in: 0..<4, using: &random) == 0 {
                    allocator.removeFramework(framework)
                    held.removeAll { $0.framework == framework }
                }
            case 4: allocator.revive(framework)
            case 5: allocator.suppress(framework, roles: ["a"])
            case 6...8:
                if !held.isEmpty {
                    let gone = held.remove(at: Int.random(in: 0..<held.count, using: &random))
                    allocator.recover(
                        frameworkID: gone.framework, role: gone.role, agentID: gone.agent, gone.resources,
                        refuseSeconds: Bool.random(using: &random) ? 3 : nil, now: now)
                }
            default:
                let before = allocator.quota(of: "a").consumed
                for offer in allocator.allocate(now: now) {
                    #expect(!offer.resources.isEmpty)
                    held.append((offer.frameworkID, offer.role, offer.agentID, offer.resources))
                }
                // Facts may be above a limit; giving never goes above it.
                let after = allocator.quota(of: "a").consumed
                for (name, limit) in ["cpus": Int64(9_000), "mem": 4_096_000] {
                    #expect((after[name] ?? 0) <= max(limit, before[name] ?? 0))
                }
            }
            check(allocator)
        }
    }

    private func check(_ allocator: Allocator) {
        var byClient: [Int: Amounts] = [:]
        var names = allocator.names
        for agent in allocator.agents.indices where allocator.agents.isKnown[agent] {
            let used = allocator.agents.uses[agent].reduce(into: Resources()) { $0 += $1.resources }
            if !allocator.isOvercommitted(allocator.agents.ids[agent]) {
                #expect(allocator.agents.available[agent] + used == allocator.agents.total[agent])
            }
            #expect(allocator.agents.free[agent] == names.split(allocator.agents.available[agent]).unreserved)
            for use in allocator.agents.uses[agent] {
                let (unreserved, reserved) = names.split(use.resources)
                byClient[use.client, default: Amounts()] &+= unreserved &+ reserved
            }
        }
        for (place, client) in allocator.tree.clients.enumerated() where !client.isFree {
            #expect(client.allocated == byClient[place] ?? Amounts())
        }
        #expect(allocator.tree.nodes[0].allocated == allocator.totals.allocated)
    }
}
