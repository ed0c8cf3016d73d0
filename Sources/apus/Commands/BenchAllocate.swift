import Allocator
import ArgumentParser
import MesosModel

extension Bench {
    /// `apus bench allocate`: the allocator alone, no server.
    struct Allocate: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Measure one full and one incremental cycle of the allocator, without a server.",
            discussion: """
                Agents are all free and frameworks are spread over a hierarchy of roles with weights; the first cycle offers \
                every agent. The incremental cycle comes after a hundredth of the agents gave back half of what was offered.
                """)
        @Option(help: "Agents, each with cpus, mem, disk and ports.")
        var agents = 10_000
        @Option(help: "Frameworks; every four of them share a role.")
        var frameworks = 200
        @Option(help: "How often everything is measured; the fastest counts.")
        var rounds = 5

        func validate() throws {
            guard agents > 0, frameworks > 0, rounds > 0, agents <= 1_000_000, frameworks <= 100_000 else {
                throw ValidationError("--agents, --frameworks and --rounds must be positive and not too large")
            }
        }

        func run() throws {
            var setup = Duration.seconds(3600), full = setup, incremental = setup, refused = setup
            var offered = 0, again = 0
            let clock = ContinuousClock()
            for round in 0..<rounds {
                var allocator = Allocator(seed: UInt64(round) + 1)
                setup = min(setup, try clock.measure { try fill(&allocator) })
                var offers: [Allocator.Offer] = []
                full = min(full, clock.measure { offers = allocator.allocate(now: 0) })
                offered = offers.count
                let half = try Resources(text: "cpus:8;mem:32768")
                for offer in offers.prefix(max(1, agents / 100)) {
                    allocator.recover(
                        frameworkID: offer.frameworkID, role: offer.role, agentID: offer.agentID, half)
                }
                incremental = min(incremental, clock.measure { again = allocator.allocate(now: 1).count })
                // What a steady cluster does: everybody refuses, nothing is new.
                for offer in offers.suffix(offers.count / 2) {
                    allocator.recover(
                        frameworkID: offer.frameworkID, role: offer.role, agentID: offer.agentID, offer.resources,
                        refuseSeconds: 1000, now: 1)
                }
                refused = min(refused, clock.measure { _ = allocator.allocate(now: 2) })
            }
            func line(_ name: String, _ time: Duration, _ note: String) {
                let (seconds, attoseconds) = time.components
                let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
                let text = "\(microseconds / 1000).\(String(1000 + microseconds % 1000).dropFirst())"
                print("\(name)\(String(repeating: " ", count: max(1, 22 - name.count)))\(text) ms  \(note)")
            }
            line("register", setup, "\(agents) agents, \(frameworks) frameworks")
            line("full cycle", full, "\(offered) offers")
            line("incremental cycle", incremental, "\(max(1, agents / 100)) agents changed, \(again) offers")
            line("half refused", refused, "\(offered / 2) agents given back")
        }

        private func fill(_ allocator: inout Allocator) throws {
            for index in 0..<frameworks {
                let role = "team-\(index / 4 % 10)/role-\(index / 4)"
                allocator.setFramework("framework-\(index)", Allocator.Framework(roles: [role]))
                allocator.setWeight(Double(index % 3 + 1), of: role)
            }
            let total = try Resources(text: "cpus:16;mem:65536;disk:1000000;ports:[31000-32000]")
            for index in 0..<agents {
                let name = "agent-\(index)"
                allocator.setAgent(name, total: total, facts: OfferConstraints.Agent(hostname: name))
            }
        }
    }
}
