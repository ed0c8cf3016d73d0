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
    }

    @Test("Facts replace what was known of an agent; reservations stay with their role, filters stay where they were")
    func facts() throws {
        var allocator = Allocator.make([("f", ["r"]), ("g", ["q"])])
        try allocator.addAgent("s", "cpus:4;mem:1024;disk:100")
        let offer = try #require(allocator.allocate(now: 0).first)
        let (own, other) = (offer.role, offer.role == "r" ? "q" : "r")
        // It reserves the disk, and gives all back for long.
        try allocator.addAgent("s", "cpus:4;mem:1024;disk(\(own)):100")
        allocator.refuse(
            frameworkID: offer.frameworkID, role: own, agentID: "s", allocator.total(of: "s"), seconds: 100, now: 0)
        allocator.setUses(on: "s", [])
        let next = try #require(allocator.allocate(now: 1).first)
        #expect(next.role == other && next.resources.disk == 0 && next.resources.cpus == 4)
        // Pods of somebody without offers, in roles that nobody registered, and what belongs to nobody.
        allocator.setFramework("pods", Allocator.Framework(roles: []))
        let part = try Resources(text: "cpus:1")
        let nodes = allocator.nodeCount
        allocator.setUses(
            on: "s", [.init(frameworkID: "pods", role: "team/x", resources: part)], withheld: part)
        #expect(allocator.allocated(to: "team")["cpus"] == 1000 && allocator.available(on: "s").cpus == 2)
        #expect(allocator.nodeCount == nodes + 3)
        allocator.setUses(on: "s", [])
        #expect(allocator.nodeCount == nodes && allocator.available(on: "s").cpus == 4)
        check(allocator)
    }

    @Test("Filters of one framework on one agent are bounded, however often it refuses")
    func manyFilters() throws {
        var allocator = Allocator.make([("f", ["r"])])
        try allocator.addAgent("s", "cpus:4;mem:1024")
        for index in 1...20_000 {
            let part = Resources(scalars: ["cpus": Double(index % 100) / 100, "mem": Double(100 - index % 100)])
            allocator.refuse(
                frameworkID: "f", role: "r", agentID: "s", part, seconds: 1000, now: Double(index) / 1000)
        }
        #expect(allocator.filterCount(role: "r") <= 16 && allocator.filterTimes.count < 10_000)
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
            switch Int.random(in: 0..<13, using: &random) {
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
            case 12:
                // Facts: everything that is held, a pod of a role that comes and goes, and something of nobody's.
                var uses = held.filter { $0.agent == agent }.map {
                    Allocator.Use(frameworkID: $0.framework, role: $0.role, resources: $0.resources)
                }
                let cpu = Resources(scalars: ["cpus": 0.1])
                if Bool.random(using: &random) {
                    uses.append(
                        .init(frameworkID: "f0", role: "seen/\(Int.random(in: 0..<9, using: &random))", resources: cpu))
                }
                allocator.setUses(on: agent, uses, withheld: Bool.random(using: &random) ? cpu : Resources())
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
        var agents: [Int: Int] = [:]
        var names = allocator.names
        for agent in allocator.agents.indices where allocator.agents.isKnown[agent] {
            let used = allocator.agents.uses[agent].reduce(into: Resources()) { $0 += $1.resources }
            let all = used + allocator.agents.withheld[agent]
            if allocator.agents.total[agent].contains(all) {
                #expect(allocator.agents.available[agent] + all == allocator.agents.total[agent])
            }
            #expect(allocator.agents.free[agent] == names.split(allocator.agents.available[agent]).unreserved)
            for use in allocator.agents.uses[agent] {
                let (unreserved, reserved) = names.split(use.resources)
                byClient[use.client, default: Amounts()] &+= unreserved &+ reserved
                agents[use.client, default: 0] += 1
            }
        }
        for (place, client) in allocator.tree.clients.enumerated() where !client.isFree {
            #expect(client.allocated == byClient[place] ?? Amounts() && client.agents == agents[place] ?? 0)
        }
        #expect(allocator.tree.nodes[0].allocated == allocator.totals.allocated)
    }
}
