import Ledger
import Synchronization
import Testing

@Suite("Ledger: offers beside pods")
struct SharingTests {
    private func pod(_ uid: String, cpu: Int64, ports: [HostPort] = []) -> Claim {
        Claim(.assumedPod(uid: uid), node: "a", resources: ResourceVector(milliCPU: cpu), hostPorts: ports)
    }
    private func offer(_ id: String, cpu: Int64, ranges: [ClosedRange<Int>] = []) -> Claim {
        Claim(.offer(id: id), node: "a", resources: ResourceVector(milliCPU: cpu), portRanges: ranges)
    }
    private func ledger() -> Ledger {
        let ledger = Ledger()
        ledger.setNode("a", allocatable: ResourceVector(milliCPU: 1000))
        return ledger
    }

    @Test("Room that is kept for a pod is not offered, and becomes the pod's own")
    func nomination() {
        let ledger = ledger()
        ledger.set(Claim(.nominatedPod(uid: "1"), node: "a", resources: ResourceVector(milliCPU: 600)))
        #expect(ledger.node("a")?.free.milliCPU == 400)
        #expect(ledger.commit([offer("o", cpu: 500)]) == [.insufficient(["cpu"])])
        #expect(ledger.commit([pod("1", cpu: 600)]) == [.committed])
        #expect(ledger.node("a")?.nominated.isZero == true)
        #expect(ledger.commit([offer("o", cpu: 400)]) == [.committed])
        #expect(ledger.node("a")?.offered.milliCPU == 400)
    }

    @Test("Ranges of ports exclude single ones and each other")
    func ranges() {
        let ledger = ledger()
        let port = HostPort(transport: "UDP", port: 31005)
        #expect(ledger.commit([pod("1", cpu: 0, ports: [port])]) == [.committed])
        #expect(
            ledger.commit([offer("o", cpu: 0, ranges: [31000...31010]), offer("p", cpu: 0, ranges: [31006...31010])])
                == [.rangeTaken(31000...31010), .committed])
        #expect(
            ledger.commit([pod("2", cpu: 0, ports: [HostPort(port: 31010)])]) == [.portTaken(HostPort(port: 31010))])
        #expect(ledger.node("a")?.freePorts(in: 31004...31012) == [31004...31004, 31011...31012])
        ledger.remove(.offer(id: "p"))
        #expect(ledger.node("a")?.freePorts(in: 31004...31012) == [31004...31004, 31006...31012])
    }

    @Test("An accepted offer becomes a pod with no moment of freedom, and observers hear of what they asked for")
    func exchange() {
        let ledger = ledger()
        let heard = Mutex<[Ledger.Change]>([])
        ledger.onChange(of: [.shareReleased, .podPlaced]) { changes in heard.withLock { $0 += changes } }
        #expect(ledger.commit([offer("o", cpu: 1000)]) == [.committed])
        ledger.exchange(
            [.offer(id: "o")],
            for: [Claim(.boundPod(uid: "1"), node: "a", resources: ResourceVector(milliCPU: 300))])
        #expect(ledger.node("a")?.used.milliCPU == 300)
        #expect(heard.withLock { $0.map(\.kind) } == [.shareReleased, .podPlaced])
        #expect(heard.withLock { $0.allSatisfy { $0.node == "a" } })
    }

    @Test("Whoever needs room asks the one who can take offers back")
    func reclaim() {
        let ledger = ledger()
        #expect(!ledger.requestReclaim(node: "a", resources: ResourceVector(milliCPU: 1)))
        _ = ledger.commit([offer("o", cpu: 1000)])
        // The handler runs outside of the lock: it may use the ledger.
        ledger.onReclaim { [unowned ledger] node, amount in
            for claim in ledger.claims(on: node) where amount.milliCPU > 0 { ledger.remove(claim.id) }
        }
        #expect(ledger.requestReclaim(node: "a", resources: ResourceVector(milliCPU: 1)))
        #expect(ledger.node("a")?.used.isZero == true)
    }
}
