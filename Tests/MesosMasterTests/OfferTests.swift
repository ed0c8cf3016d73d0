import Allocator
import JSON
import Ledger
import MesosModel
import ObjectModel
import Testing

@testable import MesosMaster

@Suite("Offers")
struct OfferTests {
    @Test("All that is free is offered once, as a claim in the ledger")
    func whole() throws {
        var test = TestState(nodes: 2)
        let id = test.subscribe()
        let offers = test.offers(to: id)
        #expect(offers.count == 2)
        let resources = Make.resources(offers[0])
        #expect(resources.cpus == 4 && resources.mem == 4096 && resources.ports.spans.count == 1)
        #expect(offers[0]["allocation_info"]["role"].string == "r")
        #expect(test.ledger.node("n0")?.offered.milliCPU == 4000 && test.ledger.node("n1")?.offered.milliCPU == 4000)
        #expect(test.offers(to: id).isEmpty)
    }

    @Test("A declined offer comes back when its filter ends, at once after REVIVE, never while suppressed")
    func filters() throws {
        var test = TestState()
        let id = test.subscribe()
        var offer = try #require(test.offers(to: id).first)
        test.state.decline(id, [Make.id(offer)], filters: ["refuse_seconds": 20])
        #expect(test.ledger.node("n0")?.offered.milliCPU == 0)
        test.pass(19)
        #expect(test.offers(to: id).isEmpty)
        test.pass(2)
        offer = try #require(test.offers(to: id).first)
        test.state.decline(id, [Make.id(offer)], filters: ["refuse_seconds": 1_000_000_000])
        #expect(test.offers(to: id).isEmpty)
        test.state.revive(id, roles: [])
        offer = try #require(test.offers(to: id).first)
        test.state.suppress(id, roles: ["r"])
        test.state.decline(id, [Make.id(offer)], filters: ["refuse_seconds": 0])
        #expect(test.offers(to: id).isEmpty)
        test.state.revive(id, roles: ["r"])
        #expect(test.offers(to: id).count == 1)
        // A second node is news, whatever was refused of the first.
        test.add(node: 1, cpu: 1, memoryGi: 1)
        #expect(test.offers(to: id).map { $0["agent_id"]["value"].string } == ["S1"])
    }

    @Test("A role's limit holds over what Kubernetes's pods use, and changes at once")
    func limits() throws {
        var test = TestState()
        test.setRole("r", quota: ["limits": ["cpus": ["value": Message.double(2.5)]]])
        test.addPod("web", namespace: "r", cpu: "1")
        test.addPod("other", namespace: "default", cpu: "500m")
        let id = test.subscribe()
        let offer = try #require(test.offers(to: id).first)
        #expect(Make.resources(offer).cpus == 1.5)
        test.setRole("r", quota: ["limits": ["cpus": ["value": 2]]])
        test.pass(1)
        let smaller = test.offers(to: id)
        #expect(test.events("RESCIND", of: id).count == 1)
        #expect(smaller.first.map { Make.resources($0).cpus } == 1)
        // A pod that comes now takes the room of the offer.
        test.addPod("more", namespace: "r", cpu: "1")
        test.pass(1)
        #expect(test.offers(to: id).allSatisfy { Make.resources($0).cpus == 0 })
        #expect(test.events("RESCIND", of: id).count == 1)
        test.setRole("r")
        #expect(test.offers(to: id).first.map { Make.resources($0).cpus } == 1.5)
    }

    @Test("A guarantee takes back what others were offered, and is kept free")
    func guarantee() throws {
        var test = TestState(nodes: 4, cpu: 1, memoryGi: 1)
        let greedy = test.subscribe(roles: ["greedy"])
        #expect(test.offers(to: greedy).count == 4)
        test.setRole("vip", quota: ["guarantees": ["cpus": ["value": 2]]])
        let left = test.offers(to: greedy).reduce(into: Resources()) { $0 += Make.resources($1) }
        #expect(left.cpus == 2)
        let vip = test.subscribe(roles: ["vip"])
        #expect(test.offers(to: vip).reduce(into: Resources()) { $0 += Make.resources($1) }.cpus == 2)
    }

    @Test("Weights decide how many agents a role is offered; the use of Kubernetes's pods counts for their namespaces")
    func weights() throws {
        var test = TestState(nodes: 12, cpu: 1, memoryGi: 1)
        test.setRole("heavy", weight: 3)
        let heavy = test.subscribe(roles: ["heavy"])
        let light = test.subscribe(roles: ["light"])
        #expect(test.offers(to: heavy).count == 9 && test.offers(to: light).count == 3)
        // New weights take back what is out.
        test.setRole("heavy", weight: 1)
        #expect(test.offers(to: heavy).count == 6 && test.offers(to: light).count == 6)
        // Half of all CPUs run pods of the one role's namespace.
        var shared = TestState(nodes: 8, cpu: 1, memoryGi: 1)
        for node in 0..<8 { shared.addPod("p\(node)", namespace: "team", node: node, cpu: "500m") }
        let team = shared.subscribe(roles: ["team"]), other = shared.subscribe(roles: ["other"])
        #expect(shared.offers(to: other).count == 5 && shared.offers(to: team).count == 3)
    }

    @Test("Constraints choose agents by attributes, with regular expressions")
    func constraints() throws {
        func constraint(_ selector: JSON, _ predicate: JSON) -> JSON {
            [
                "role_constraints": [
                    "r": ["groups": [["attribute_constraints": [["selector": selector, "predicate": predicate]]]]]
                ]
            ]
        }
        let labels = ["a-1", "a-2", "b-1"].map { ["attribute.mesos.apus.dev/rack": $0] }
        var test = TestState(nodes: 3, labels: labels)
        let rack: JSON = ["attribute_name": "rack"]
        let some = test.subscribe(constraints: constraint(rack, ["text_matches": ["regex": "a-[0-9]"]]))
        #expect(test.offers(to: some).compactMap { $0["hostname"].string }.sorted() == ["n0", "n1"])
        let host: JSON = ["pseudoattribute_type": "HOSTNAME"]
        let other = test.subscribe(constraints: constraint(host, ["text_not_matches": ["regex": "n[01]"]]))
        #expect(test.offers(to: other).compactMap { $0["hostname"].string } == ["n2"])
        let info: JSON = ["roles": ["r"], "capabilities": [["type": "MULTI_ROLE"]]]
        for bad in [
            constraint(rack, ["text_matches": ["regex": "("]]), constraint([:], ["exists": [:]]),
            constraint(rack, ["no_such": [:]]), ["role_constraints": ["other": ["groups": []]]],
        ] {
            #expect(MasterState.problem(withConstraints: bad, info: info)?.contains("constraint") == true)
        }
    }

    @Test("Who hoards offers loses them when others wait; the scheduler gets room back")
    func hoarding() throws {
        var test = TestState(nodes: 2)
        let hoarder = test.subscribe(roles: ["a"])
        #expect(test.offers(to: hoarder).count == 2)
        let patient = test.subscribe(roles: ["b"])
        test.pass(20)
        #expect(test.offers(to: patient).isEmpty)
        test.pass(11)
        #expect(test.offers(to: patient).count == 2)
        #expect(test.events("RESCIND", of: hoarder).count == 2)
        test.state.reclaim(node: "n0", ResourceVector(milliCPU: 1000))
        #expect(test.events("RESCIND", of: patient).count == 1)
        // What was taken back is for whoever asked.
        #expect(test.offers(to: hoarder).isEmpty && test.offers(to: patient).isEmpty)
        test.pass(2)
        #expect(test.offers(to: hoarder).count + test.offers(to: patient).count == 1)
    }

    @Test("A thousand frameworks that come and go leave nothing behind")
    func churn() throws {
        var test = TestState(nodes: 3)
        let nodes = test.state.allocator.nodeCount
        for index in 0..<1000 {
            let id = test.subscribe(roles: ["role-\(index)/x"], timeout: 0)
            if index % 7 == 0 { #expect(!test.offers(to: id).isEmpty) }
            test.state.disconnected(id, streamID: test.stream(of: id)?.id ?? "")
            test.state.effects = []
        }
        #expect(test.state.frameworks.isEmpty && test.state.offers.isEmpty)
        #expect(test.state.completedFrameworks.count == MasterState.maximumCompletedFrameworks)
        #expect(test.state.allocator.nodeCount == nodes)
        #expect(test.ledger.claims(on: "n0").isEmpty)
    }

    @Test("Whatever happens, the ledger is never over-booked and the allocator knows what is free", arguments: 1...6)
    func invariants(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        var test = TestState(nodes: 3)
        test.setRole("a", quota: ["limits": ["cpus": ["value": 5]]])
        let roles = ["a", "a/b", "c"]
        var frameworks = roles.map { test.subscribe(roles: [$0]) }
        var held: [(framework: String, offer: JSON)] = []
        var launches: [MasterState.Launch] = []
        for step in 0..<200 {
            test.pass(0.5)
            let which = Int.random(in: 0..<3, using: &random)
            switch Int.random(in: 0..<8, using: &random) {
            case 0:
                let cpu = Int.random(in: 100...900, using: &random)
                let node = Int.random(in: 0..<3, using: &random)
                if (test.ledger.node("n\(node)")?.free.milliCPU ?? 0) >= cpu {
                    test.addPod("p\(step)", namespace: roles[which], node: node, cpu: "\(cpu)m")
                }
            case 1: test.state.revive(frameworks[which], roles: [])
            case 2: frameworks[which] = test.subscribe(roles: [roles[which]], id: frameworks[which])
            case 3...5:
                guard let entry = held.popLast() else { break }
                let role = entry.offer["allocation_info"]["role"].string ?? ""
                let free = Make.resources(entry.offer)
                var operations: [JSON] = []
                if free.reserved().isEmpty, free.cpus >= 1, free.mem >= 64 {
                    operations = [
                        ["type": "RESERVE", "reserve": ["resources": [Make.scalar("cpus", 0.5, reservedFor: role)]]],
                        Make.launch([
                            Make.task("t\(step)", agent: entry.offer["agent_id"]["value"].string ?? "", cpus: 0.25)
                        ]),
                    ]
                }
                launches += test.state.accept(
                    entry.framework, [Make.id(entry.offer)], operations, filters: ["refuse_seconds": 2])
            case 6:
                if let launch = launches.popLast() { Bool.random(using: &random) ? test.run(launch) : test.end(launch) }
            default: test.state.reclaim(node: "n0", ResourceVector(milliCPU: 500))
            }
            let offers = frameworks.map { test.offers(to: $0) }
            for (framework, list) in zip(frameworks, offers) { held += list.map { (framework, $0) } }
            for index in 0..<3 {
                let node = try #require(test.ledger.node("n\(index)"))
                #expect(node.free.milliCPU >= 0 && node.free.memory >= 0, "step \(step)")
                let agent = try #require(test.state.agents["S\(index)"])
                // Only what became free since the cycle may be missing.
                let known = test.state.allocator.available(on: "S\(index)")
                let free = test.state.free(on: agent) + test.state.idleReservations(of: agent)
                #expect(free.contains(known), "step \(step): \(known) of \(free)")
            }
            #expect(
                test.state.allocator.rolesAboveLimit.isEmpty
                    || test.state.offers.values.allSatisfy {
                        MesosRoles.top(of: $0.role) != "a"
                    } || (test.state.allocator.quota(of: "a").consumed["cpus"] ?? 0) > 5000)
        }
        #expect(!test.state.tasks.isEmpty)
    }

    @Test("Whoever uses a machine that goes is asked again when its answer is old, and after a failover")
    func inverseOffers() throws {
        var test = TestState()
        let id = test.subscribe()
        let offer = try #require(test.offers(to: id).first)
        _ = test.state.accept(id, [Make.id(offer)], [Make.launch([Make.task("t")])], filters: [:])
        func asked() -> [JSON] {
            test.state.askForResources()
            return test.events("INVERSE_OFFERS", of: id).flatMap { $0["inverse_offers"].elements }
        }
        test.state.set(
            maintenance: [
                "windows": [
                    [
                        "machine_ids": [["ip": "10.0.0.1"]],
                        "unavailability": ["start": ["nanoseconds": 1]],
                    ]
                ]
            ])
        let first = try #require(asked().first)
        #expect(first["url"]["path"] == "/slave(1)")
        test.state.answerInverse(id, [Make.id(first)], accepts: false, filters: ["refuse_seconds": 60])
        #expect(asked().isEmpty)
        test.pass(61)
        let second = try #require(asked().first)
        test.subscribe(id: id)
        let third = try #require(asked().first)
        #expect(Make.id(third) != Make.id(second))
        test.state.answerInverse(id, [Make.id(third)], accepts: true, filters: [:])
        #expect(test.state.inverseAnswers["S0"]?.map(\.status) == ["ACCEPT"])
    }
}

struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }
    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
