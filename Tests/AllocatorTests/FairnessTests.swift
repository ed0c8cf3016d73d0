import MesosModel
import Testing

@testable import Allocator

/// A framework of the simulations: it launches tasks of one shape.
struct Shape {
    var name: String
    var role: String
    var demand: [String: Double]
    var tasks = 0

    var resources: Resources { Resources(scalars: demand) }
}

extension Allocator {
    /// An allocator without a minimum, on which frameworks of these roles are registered.
    static func make(_ frameworks: [(String, [String])], seed: UInt64 = 7) -> Allocator {
        var options = Allocator.Options()
        options.minimum = []
        var allocator = Allocator(options: options, seed: seed)
        for (name, roles) in frameworks { allocator.setFramework(name, Framework(roles: roles)) }
        return allocator
    }
    mutating func addAgent(_ id: String, _ text: String) throws {
        setAgent(id, total: try Resources(text: text), facts: OfferConstraints.Agent(hostname: id))
    }

    /// Lets every framework launch one task per offer and give back the rest, until nobody can launch any more.
    mutating func fill(_ shapes: inout [Shape]) {
        var idle = 0
        while idle < 2 {
            let offers = allocate(now: 0)
            idle = offers.isEmpty ? idle + 1 : 0
            for offer in offers {
                guard let index = shapes.firstIndex(where: { $0.name == offer.frameworkID }) else { continue }
                var rest = offer.resources
                if rest.contains(shapes[index].resources) {
                    rest -= shapes[index].resources
                    shapes[index].tasks += 1
                    recover(frameworkID: offer.frameworkID, role: offer.role, agentID: offer.agentID, rest)
                } else {
                    recover(
                        frameworkID: offer.frameworkID, role: offer.role, agentID: offer.agentID, rest,
                        refuseSeconds: 1000)
                }
            }
        }
    }
}

@Suite struct FairnessTests {
    @Test("The example of the DRF paper", arguments: [(1.0, 3, 2), (3.0, 4, 1)])
    func paper(weightOfA: Double, tasksOfA: Int, tasksOfB: Int) throws {
        var allocator = Allocator.make([("A", ["a"]), ("B", ["b"])])
        allocator.setWeight(weightOfA, of: "a")
        try allocator.addAgent("s", "cpus:9;mem:18")
        var shapes = [
            Shape(name: "A", role: "a", demand: ["cpus": 1, "mem": 4]),
            Shape(name: "B", role: "b", demand: ["cpus": 3, "mem": 1]),
        ]
        allocator.fill(&shapes)
        #expect(shapes[0].tasks == tasksOfA && shapes[1].tasks == tasksOfB)
    }

    @Test("Shares come within one task of the best that brute force finds", arguments: 1...25)
    func optimum(seed: Int) throws {
        var random = Xorshift(UInt64(seed) &* 0x1234_5678_9ABC_DEF1)
        let cpus = Int.random(in: 4...10, using: &random), mem = Int.random(in: 4...10, using: &random)
        let count = Int.random(in: 2...3, using: &random)
        var shapes = (0..<count).map { index in
            Shape(
                name: "f\(index)", role: "r\(index)",
                demand: [
                    "cpus": Double(Int.random(in: 1...3, using: &random)),
                    "mem": Double(Int.random(in: 1...3, using: &random)),
                ])
        }
        let weights = (0..<count).map { _ in Double(Int.random(in: 1...3, using: &random)) }
        var allocator = Allocator.make(shapes.map { ($0.name, [$0.role]) })
        for (shape, weight) in zip(shapes, weights) { allocator.setWeight(weight, of: shape.role) }
        try allocator.addAgent("s", "cpus:\(cpus);mem:\(mem)")
        allocator.fill(&shapes)

        func perTask(_ index: Int) -> Double {
            let shape = shapes[index]
            return max((shape.demand["cpus"] ?? 0) / Double(cpus), (shape.demand["mem"] ?? 0) / Double(mem))
                / weights[index]
        }
        // The largest smallest share among all ways to fill the pool.
        var best = 0.0
        func search(_ index: Int, _ cpusLeft: Double, _ memLeft: Double, _ least: Double) {
            guard index < count else { return best = max(best, least) }
            var tasks = 0.0
            while tasks * (shapes[index].demand["cpus"] ?? 0) <= cpusLeft,
                tasks * (shapes[index].demand["mem"] ?? 0) <= memLeft
            {
                search(
                    index + 1, cpusLeft - tasks * (shapes[index].demand["cpus"] ?? 0),
                    memLeft - tasks * (shapes[index].demand["mem"] ?? 0), min(least, tasks * perTask(index)))
                tasks += 1
            }
        }
        search(0, Double(cpus), Double(mem), .infinity)
        let least = (0..<count).map { Double(shapes[$0].tasks) * perTask($0) }.min() ?? 0
        let grain = (0..<count).map(perTask).max() ?? 0
        #expect(least >= best - grain - 1e-9)
        // Nothing that would still fit is left.
        let left = allocator.available(on: "s")
        #expect(shapes.allSatisfy { !left.contains($0.resources) })
    }

    @Test("Weights hold at every level of the hierarchy")
    func hierarchy() throws {
        var allocator = Allocator.make([("1", ["eng/a"]), ("2", ["eng/b"]), ("3", ["ops"]), ("4", ["eng"])])
        allocator.setWeight(3, of: "eng")
        allocator.setWeight(2, of: "eng/a")
        for index in 0..<320 { try allocator.addAgent("s\(index)", "cpus:1;mem:64") }
        let offers = allocator.allocate(now: 0)
        let counts = Dictionary(grouping: offers, by: \.frameworkID).mapValues(\.count)
        // ops has a quarter; of the rest eng/a has half, eng/b and eng itself a quarter each.
        #expect(counts == ["3": 80, "1": 120, "2": 60, "4": 60])
        #expect(offers.count == 320)
    }

    @Test("A scarce resource has no part in shares when it is excluded")
    func excluded() throws {
        var options = Allocator.Options()
        options.excludedNames = ["gpus"]
        var allocator = Allocator(options: options)
        for name in ["a", "b"] {
            var framework = Allocator.Framework(roles: [name])
            framework.capabilities = ["GPU_RESOURCES"]
            allocator.setFramework(name, framework)
        }
        try allocator.addAgent("g", "cpus:1;mem:64;gpus:8")
        try allocator.addAgent("c", "cpus:99;mem:64")
        allocator.setUses(on: "g", [.init(frameworkID: "a", role: "a", resources: try Resources(text: "gpus:8"))])
        // Were GPUs to count, everything else would go to b.
        #expect(Set(allocator.allocate(now: 0).map(\.frameworkID)) == ["a", "b"])
    }
}
