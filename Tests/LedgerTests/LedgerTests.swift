import Ledger
import ObjectModel
import Testing

@Suite("Ledger")
struct LedgerTests {
    private func pod(_ uid: String, _ node: String, cpu: Int64, ports: [HostPort] = []) -> Claim {
        Claim(.assumedPod(uid: uid), node: node, resources: ResourceVector(milliCPU: cpu, pods: 1), hostPorts: ports)
    }

    @Test("A claim is committed when it fits, and says why it does not")
    func commit() {
        let ledger = Ledger()
        ledger.setNode("a", allocatable: ResourceVector(milliCPU: 1000, pods: 3))
        #expect(
            ledger.commit([pod("1", "a", cpu: 600), pod("2", "a", cpu: 600), pod("3", "b", cpu: 1)]) == [
                .committed, .insufficient(["cpu"]), .unknownNode,
            ])
        #expect(ledger.commit([pod("1", "a", cpu: 600)]) == [.committed], "asking twice is safe")
        ledger.setNode("b", allocatable: ResourceVector(milliCPU: 1000, pods: 3))
        #expect(ledger.commit([pod("1", "b", cpu: 1)]) == [.claimedElsewhere(node: "a")])
        ledger.remove(.pod(uid: "1"))
        #expect(ledger.commit([pod("2", "a", cpu: 1000)]) == [.committed])
        #expect(ledger.snapshot().nodes.compactMap { $0?.used.milliCPU }.sorted() == [0, 1000])
    }

    @Test("Facts may over-commit, and what is not asked for is no obstacle")
    func facts() {
        let ledger = Ledger()
        ledger.setNode("a", allocatable: ResourceVector(milliCPU: 100, pods: 10))
        ledger.set(Claim(.boundPod(uid: "1"), node: "a", resources: ResourceVector(milliCPU: 500, pods: 1)))
        #expect(ledger.commit([pod("2", "a", cpu: 0)]) == [.committed])
        #expect(ledger.commit([pod("3", "a", cpu: 1)]) == [.insufficient(["cpu"])])
    }

    @Test("An assumed pod that becomes bound changes nobody's numbers")
    func confirm() {
        let ledger = Ledger()
        ledger.setNode("a", allocatable: ResourceVector(milliCPU: 1000, pods: 3))
        #expect(ledger.commit([pod("1", "a", cpu: 600)]) == [.committed])
        var snapshot = ledger.snapshot()
        ledger.set(Claim(.boundPod(uid: "1"), node: "a", resources: ResourceVector(milliCPU: 600, pods: 1)))
        #expect(ledger.update(&snapshot).isEmpty)
        #expect(ledger.claim(.pod(uid: "1"))?.owner == .boundPod(uid: "1"))
        ledger.set(Claim(.boundPod(uid: "1"), node: "a", resources: ResourceVector(milliCPU: 700, pods: 1)))
        #expect(ledger.update(&snapshot) == [0])
        #expect(snapshot.nodes[0]?.used.milliCPU == 700)
    }

    @Test("Ports on one address, or on all of them, belong to one holder")
    func ports() {
        let ledger = Ledger()
        ledger.setNode("a", allocatable: ResourceVector(pods: 10))
        let one = HostPort(address: "10.0.0.1", port: 80)
        #expect(ledger.commit([pod("1", "a", cpu: 0, ports: [one])]) == [.committed])
        #expect(ledger.commit([pod("2", "a", cpu: 0, ports: [HostPort(port: 80)])]) == [.portTaken(HostPort(port: 80))])
        #expect(
            ledger.commit([
                pod(
                    "3", "a", cpu: 0,
                    ports: [HostPort(address: "10.0.0.2", port: 80), HostPort(transport: "UDP", port: 80)])
            ]) == [.committed])
        ledger.remove(.pod(uid: "1"))
        ledger.remove(.pod(uid: "3"))
        #expect(ledger.commit([pod("2", "a", cpu: 0, ports: [HostPort(port: 80)])]) == [.committed])
    }

    @Test("Groups stand and fall together")
    func groups() {
        let ledger = Ledger()
        ledger.setNode("a", allocatable: ResourceVector(milliCPU: 1000, pods: 10))
        ledger.setNode("b", allocatable: ResourceVector(milliCPU: 1000, pods: 10))
        let claims = [pod("1", "a", cpu: 600), pod("2", "a", cpu: 600), pod("3", "b", cpu: 600)]
        #expect(ledger.commit(claims, mode: .all) == [.groupFailed, .insufficient(["cpu"]), .groupFailed])
        #expect(ledger.snapshot().nodes.allSatisfy { $0?.used.isZero == true })
        #expect(ledger.commit(claims, mode: .perNode) == [.groupFailed, .insufficient(["cpu"]), .committed])
    }

    @Test("A claim that expects a generation loses against any change")
    func generations() {
        let ledger = Ledger()
        ledger.setNode("a", allocatable: ResourceVector(milliCPU: 1000, pods: 10))
        var claim = pod("1", "a", cpu: 1)
        claim.expectedGeneration = ledger.snapshot().nodes[0]?.generation
        ledger.set(Claim(.offer(id: "o"), node: "a", resources: ResourceVector(milliCPU: 1)))
        #expect(ledger.commit([claim]) == [.generationChanged])
        claim.expectedGeneration = ledger.snapshot().nodes[0]?.generation
        #expect(ledger.commit([claim]) == [.committed])
    }

    @Test("A removed node keeps its claims until they go, then its slot is free")
    func removal() {
        let ledger = Ledger()
        ledger.setNode("a", allocatable: ResourceVector(pods: 10))
        #expect(ledger.commit([pod("1", "a", cpu: 0)]) == [.committed])
        ledger.removeNode("a")
        #expect(ledger.claims(on: "a").count == 1)
        #expect(ledger.snapshot().nodes[0]?.isRegistered == false)
        ledger.remove(.pod(uid: "1"))
        #expect(ledger.snapshot().nodes[0] == nil)
        ledger.setNode("b", allocatable: ResourceVector(pods: 10))
        #expect(ledger.snapshot().nodes[0]?.name == "b")
    }

    @Test("Random concurrent commits never over-commit, and an incremental snapshot equals a fresh one")
    func property() async {
        let ledger = Ledger()
        for node in 0..<8 {
            ledger.setNode("n\(node)", allocatable: ResourceVector(milliCPU: 1000, pods: 20, extended: ["gpu": 3]))
        }
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    var mine: [String] = []
                    for round in 0..<400 {
                        if Int.random(in: 0..<3) == 0, let index = mine.indices.randomElement() {
                            ledger.remove(.pod(uid: mine.remove(at: index)))
                            continue
                        }
                        let claims = (0..<Int.random(in: 1...4)).map { index in
                            Claim(
                                .assumedPod(uid: "\(worker)-\(round)-\(index)"), node: "n\(Int.random(in: 0..<8))",
                                resources: ResourceVector(
                                    milliCPU: Int64.random(in: 0...300), pods: 1,
                                    extended: ["gpu": Int64.random(in: 0...1)]),
                                hostPorts: [HostPort(port: Int.random(in: 1...50))])
                        }
                        let mode = [CommitMode.perClaim, .perNode, .all].randomElement() ?? .all
                        for (claim, result) in zip(claims, ledger.commit(claims, mode: mode)) where result.isCommitted {
                            if case .assumedPod(let uid) = claim.owner { mine.append(uid) }
                        }
                    }
                }
            }
            group.addTask {
                var snapshot = LedgerSnapshot()
                for _ in 0..<500 {
                    ledger.update(&snapshot)
                    for node in snapshot.nodes.compactMap({ $0 }) {
                        #expect(node.used.milliCPU <= 1000 && node.used.pods <= 20 && node.used["gpu"] <= 3)
                        #expect(Set(node.hostPorts).count == node.hostPorts.count)
                    }
                    await Task.yield()
                }
                ledger.update(&snapshot)
            }
        }
        var incremental = LedgerSnapshot()
        for node in 0..<8 {
            ledger.update(&incremental)
            ledger.setNode("n\(node)", allocatable: ResourceVector(milliCPU: 2000 + Int64(node), pods: 20))
        }
        ledger.update(&incremental)
        let fresh = ledger.snapshot()
        for (left, right) in zip(incremental.nodes, fresh.nodes) {
            #expect(
                left?.used == right?.used && left?.allocatable == right?.allocatable
                    && left?.generation == right?.generation)
        }
        for node in fresh.nodes.compactMap({ $0 }) {
            let sum = ledger.claims(on: node.name).reduce(ResourceVector()) { $0 + $1.resources }
            #expect(sum == node.used)
        }
    }
}
