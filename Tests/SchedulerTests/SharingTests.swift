import JSON
import Ledger
import ObjectModel
import Testing

@testable import Scheduler

/// A pod that asks for host ports by annotation.
private func portPod(_ name: String, _ request: String, node: String = "", assigned: String? = nil) -> PodView {
    var annotations: [String: String] = [PortRequest.requestKey: request]
    annotations[PortRequest.assignedKey] = assigned
    return pod(name, node: node, annotations: annotations)
}

private func ports(_ decisions: [SchedulerCore.Decision]) -> [String: [Int]] {
    var result: [String: [Int]] = [:]
    for case .bind(let pod, _, let ports) in decisions { result[pod.key.name] = ports }
    return result
}

@Suite("Scheduler: host ports that are chosen")
struct PortTests {
    @Test("Every request gets a port of its own, one number for both protocols, and the ledger holds them")
    func choice() {
        let bench = Bench([node("a")])
        bench.set(portPod("p", #"[{"name":"web","protocol":"tcp","port":0},{"port":0,"protocol":"udp,tcp"}]"#))
        bench.set(portPod("q", #"[{"port":0}]"#), portPod("fixed", #"[{"port":0},{"port":8080}]"#))
        let chosen = ports(bench.schedule())
        let numbers = chosen.values.flatMap { $0 }
        #expect(chosen["p"]?.count == 2)
        #expect(chosen["fixed"]?.last == 8080)
        #expect(Set(numbers).count == 5, "nobody shares: \(chosen)")
        #expect(numbers.filter { PortRequest.range.contains($0) }.count == 4)
        let held = bench.ledger.node("a")?.hostPorts ?? []
        #expect(held.count == 6)
        #expect(held.contains(HostPort(transport: "UDP", port: chosen["p"]?[1] ?? 0)))
        // Seen bound, it holds the same; gone, nothing.
        let text = chosen["p"]?.map(String.init).joined(separator: ",")
        bench.set(
            portPod(
                "p", #"[{"name":"web","protocol":"tcp","port":0},{"port":0,"protocol":"udp,tcp"}]"#, node: "a",
                assigned: text))
        #expect(Set(bench.ledger.node("a")?.hostPorts ?? []) == Set(held))
        bench.delete("p")
        #expect(bench.ledger.node("a")?.hostPorts.count == 3)
    }

    @Test("Ports that others hold are not given, and a node without free ones says so")
    func exhausted() {
        let bench = Bench([node("a")])
        let free = 31500
        bench.ledger.set(
            Claim(
                .reservation(id: "r"), node: "a", resources: ResourceVector(),
                portRanges: [31000...(free - 1), (free + 1)...32000]))
        bench.set(portPod("p", #"[{"port":0}]"#))
        #expect(ports(bench.schedule()) == ["p": [free]])
        bench.set(portPod("q", #"[{"port":0}]"#))
        #expect(
            bench.messages(bench.schedule())["q"]?.hasPrefix(
                "0/1 nodes are available: 1 node(s) didn't have free host ports.") == true)
        bench.set(portPod("r", #"[{"port":31000}]"#))
        #expect(
            bench.messages(bench.schedule())["r"]?.hasPrefix(
                "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.") == true)
        bench.now += .seconds(20)
        bench.delete("p")
        #expect(ports(bench.schedule()) == ["q": [free]])
    }

    @Test("A pod that came with its ports holds them on every protocol")
    func assignedFromTheStart() {
        let bench = Bench([node("a")])
        bench.set(pod("task", node: "a", annotations: [PortRequest.assignedKey: "31001, 31002"]))
        #expect(bench.ledger.node("a")?.hostPorts.count == 4)
        #expect(bench.ledger.node("a")?.freePorts(in: 31000...31003) == [31000...31000, 31003...31003])
    }
}

@Suite("Scheduler: offers beside pods")
struct OfferTests {
    private func bench() -> Bench {
        let bench = Bench([node("a", cpu: "4"), node("b", cpu: "1")])
        let offer = Claim(
            .offer(id: "o"), node: "a", resources: ResourceVector(milliCPU: 4000), portRanges: [31000...32000])
        #expect(bench.ledger.commit([offer]) == [.committed])
        return bench
    }

    @Test("A pod that fits only without offers gets them back, silently, and the room is kept for it")
    func reclaim() {
        let bench = bench()
        bench.ledger.onReclaim { [ledger = bench.ledger] node, amount in
            #expect(node == "a" && amount.milliCPU == 2000)
            #expect(ledger.node("a")?.nominated.milliCPU == 2000)
        }
        bench.set(pod("p", cpu: "2"))
        #expect(bench.schedule().isEmpty)
        #expect(bench.schedule().isEmpty, "nothing happens before the offer is back")
        bench.ledger.remove(.offer(id: "o"))
        let greedy = Claim(.offer(id: "o2"), node: "a", resources: ResourceVector(milliCPU: 4000))
        #expect(bench.ledger.commit([greedy]) == [.insufficient(["cpu"])])
        bench.core.released(on: "a", now: bench.now)
        #expect(bench.bound(bench.schedule()) == ["p": "a"])
        #expect(bench.ledger.node("a")?.nominated.isZero == true)
    }

    @Test("An offer that does not come back is said to be in the way, and a pod that is gone lets go of the room")
    func stuck() {
        let bench = bench()
        bench.ledger.onReclaim { _, _ in }
        bench.set(pod("p", cpu: "2"))
        #expect(bench.schedule().isEmpty)
        bench.now += .seconds(2)
        #expect(
            bench.messages(bench.schedule())["p"]?.hasPrefix("0/2 nodes are available: 2 Insufficient cpu.") == true)
        bench.delete("p")
        #expect(bench.ledger.node("a")?.nominated.isZero == true)
    }

    @Test("Without anybody who takes offers back, they count like pods")
    func nobody() {
        let bench = bench()
        bench.set(pod("p", cpu: "2"))
        #expect(
            bench.messages(bench.schedule())["p"]?.hasPrefix("0/2 nodes are available: 2 Insufficient cpu.") == true)
        #expect(bench.ledger.node("a")?.nominated.isZero == true)
        bench.now += .seconds(20)
        bench.ledger.remove(.offer(id: "o"))
        bench.core.released(on: "a", now: bench.now)
        #expect(bench.bound(bench.schedule()) == ["p": "a"])
    }
}
