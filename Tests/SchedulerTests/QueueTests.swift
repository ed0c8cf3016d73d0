import JSON
import Ledger
import Testing

@testable import Scheduler

@Suite("Scheduling queue")
struct QueueTests {
    private func pop(_ queue: inout SchedulingQueue, _ now: ContinuousClock.Instant) throws -> SchedulingQueue.Entry {
        let entry = queue.pop(now: now)
        return try #require(entry)
    }

    @Test("Higher priority first, then first come")
    func order() {
        var queue = SchedulingQueue()
        let now = ContinuousClock.now
        for (name, priority) in [("a", 0), ("b", 10), ("c", 0), ("d", 10)] {
            queue.add(pod(name, priority: priority), now: now)
        }
        queue.remove("uid-c")
        #expect((0..<4).map { _ in queue.pop(now: now)?.pod.key.name } == ["b", "d", "a", nil])
    }

    @Test("Back-off doubles from one second to ten")
    func backoff() {
        #expect(
            [1, 2, 3, 4, 5, 50].map { SchedulingQueue.backoff(attempts: $0) }
                == [1, 2, 4, 8, 10, 10].map { Duration.seconds($0) })
    }

    @Test("An unschedulable pod moves on an event that can cure it, and not before its back-off")
    func moves() throws {
        var queue = SchedulingQueue()
        var now = ContinuousClock.now
        queue.add(pod("a"), now: now)
        queue.markUnschedulable(try pop(&queue, now), by: .fit, now: now)
        queue.move(.volumes, now: now) { _ in true }
        queue.move(.podGone, now: now) { _ in false }
        #expect(queue.unschedulable.count == 1)
        queue.move(.podGone, now: now) { _ in true }
        #expect(queue.unschedulable.isEmpty && queue.backoffCount == 1)
        #expect(queue.pop(now: now) == nil)
        #expect(queue.nextWake() == now + .seconds(1))
        now += .seconds(1)
        let again = try pop(&queue, now)
        #expect(again.attempts == 1)
        queue.markUnschedulable(again, by: .fit, now: now)
        now += .seconds(3)
        queue.move(.podGone, now: now) { _ in true }
        #expect(queue.activeCount == 1, "its back-off is over")
    }

    @Test("A pod is tried again after five minutes without any event")
    func flush() throws {
        var queue = SchedulingQueue()
        let now = ContinuousClock.now
        queue.add(pod("a"), now: now)
        queue.markUnschedulable(try pop(&queue, now), by: .fit, now: now)
        #expect(queue.nextWake() == now + .seconds(300))
        queue.flush(now: now + .seconds(299))
        #expect(queue.pop(now: now + .seconds(299)) == nil)
        queue.flush(now: now + .seconds(300))
        #expect(queue.pop(now: now + .seconds(300)) != nil)
    }

    @Test("A pod that changes itself is tried at once; the newest version is used")
    func changes() {
        let bench = Bench([node("a", labels: ["disk": "ssd"])])
        #expect(bench.place(pod("p", spec: ["nodeSelector": ["disk": "hdd"]])) == nil)
        #expect(bench.place(pod("p", spec: ["nodeSelector": ["disk": "ssd"]])) == "a")
    }

    @Test("Only pods that a changed node can take are woken by it")
    func hints() {
        let bench = Bench([node("a", cpu: "1")])
        #expect(bench.place(pod("big", cpu: "8")) == nil)
        #expect(bench.place(pod("medium", cpu: "2")) == nil)
        bench.core.set("b", node: node("b", cpu: "4"), now: bench.now)
        #expect(bench.core.queue.unschedulable == ["uid-big"])
        bench.now += .seconds(1)
        #expect(bench.bound(bench.schedule()) == ["medium": "b"])
    }
}

@Suite("Scheduler core")
struct CoreTests {
    @Test("A failed binding gives the share back and backs off; a repeated one is bound again")
    func bindingFailed() {
        let bench = Bench([node("a", cpu: "1")])
        let first = pod("p", cpu: "1")
        #expect(bench.place(first) == "a")
        #expect(bench.ledger.node("a")?.used.milliCPU == 1000)
        bench.core.bindingFailed(first, now: bench.now)
        #expect(bench.ledger.node("a")?.used.isZero == true)
        #expect(bench.bound(bench.schedule()).isEmpty)
        bench.now += .seconds(1)
        #expect(bench.bound(bench.schedule()) == ["p": "a"])
        // The informer shows the bound pod: nothing changes. Then it finishes: the share is free.
        bench.set(pod("p", cpu: "1", node: "a"))
        #expect(bench.ledger.claim(.pod(uid: "uid-p"))?.owner == .boundPod(uid: "uid-p"))
        bench.set(pod("p", cpu: "1", node: "a", status: ["phase": "Succeeded"]))
        #expect(bench.ledger.node("a")?.used.isZero == true)
        #expect(bench.place(pod("q", cpu: "1")) == "a")
    }

    @Test("A claim of another decider makes the pod go elsewhere or wait")
    func foreignClaims() {
        let bench = Bench([node("a", cpu: "2"), node("b", cpu: "1")])
        bench.ledger.set(Claim(.offer(id: "o"), node: "a", resources: ResourceVector(milliCPU: 2000)))
        #expect(bench.place(pod("p", cpu: "1")) == "b")
        #expect(bench.place(pod("q", cpu: "1")) == nil)
    }

    @Test("Deleting and recreating nodes and pods under load never over-commits and loses no pod")
    func churn() {
        let bench = Bench((0..<6).map { node("n\($0)", cpu: "2", pods: 8) })
        var random = SystemRandomNumberGenerator()
        var alive: [String: PodView] = [:]
        var bound: [String: String] = [:]
        for round in 0..<400 {
            switch Int.random(in: 0..<6, using: &random) {
            case 0..<3:
                let labels = ["app": "a\(round % 3)"]
                let rules: JSON =
                    round % 5 == 0
                    ? [
                        "affinity": [
                            "podAntiAffinity": [
                                "requiredDuringSchedulingIgnoredDuringExecution": [
                                    [
                                        "labelSelector": ["matchLabels": JSON(labels)],
                                        "topologyKey": "kubernetes.io/hostname",
                                    ]
                                ]
                            ]
                        ]
                    ] : [:]
                let made = pod(
                    "p\(round)", cpu: "\(Int.random(in: 100...900))m", labels: labels, owner: "rs\(round % 2)",
                    spec: rules)
                alive[made.key.name] = made
                bench.set(made)
            case 3:
                if let name = alive.keys.randomElement() {
                    alive[name] = nil
                    bound[name] = nil
                    bench.delete(name)
                }
            case 4:
                let name = "n\(Int.random(in: 0..<6))"
                bench.core.set(name, node: Bool.random() ? nil : node(name, cpu: "2", pods: 8), now: bench.now)
            default: break
            }
            for (name, node) in bench.bound(bench.schedule()) {
                #expect(bound[name] == nil, "bound twice")
                bound[name] = node
            }
            bench.now += .seconds(11)
            for entry in bench.ledger.snapshot().nodes.compactMap({ $0 }) where entry.isRegistered {
                #expect(entry.used.milliCPU <= 2000 && entry.used.pods <= 8)
            }
        }
        for index in 0..<6 { bench.core.set("n\(index)", node: node("n\(index)", cpu: "2", pods: 8), now: bench.now) }
        let waiting = Set(bench.core.queue.entries.values.map(\.pod.key.name))
        #expect(waiting.union(bound.keys) == Set(alive.keys))
        #expect(waiting.isDisjoint(with: bound.keys))
    }

    @Test("Lower priority makes room: the fewest and least important victims, and their place is kept")
    func preemption() throws {
        let bench = Bench([node("a", cpu: "2"), node("b", cpu: "2")])
        bench.set(
            pod("a1", cpu: "1", node: "a", priority: 5), pod("a2", cpu: "1", node: "a", priority: 1),
            pod("b1", cpu: "2", node: "b", priority: 5))
        bench.set(pod("vip", cpu: "1", priority: 100))
        let decisions = bench.schedule()
        guard case .preempt(let winner, let host, let victims, let message)? = decisions.first else {
            Issue.record("no preemption: \(decisions)")
            return
        }
        #expect(winner.key.name == "vip" && host == "a" && victims.map(\.key.name) == ["a2"])
        #expect(message == "0/2 nodes are available: 2 Insufficient cpu.")
        // The victim goes; a lesser pod does not get its place, the nominated one does.
        bench.set(pod("thief", cpu: "1", priority: 50, spec: ["preemptionPolicy": "Never"]))
        bench.delete("a2")
        #expect(bench.bound(bench.schedule()).isEmpty)
        bench.now += .seconds(1)
        #expect(bench.bound(bench.schedule()) == ["vip": "a"])
    }

    @Test("Who may not preempt, or cannot, is told why")
    func noPreemption() {
        let bench = Bench([node("a", cpu: "2"), node("b", cpu: "1")])
        bench.set(pod("a1", cpu: "2", node: "a", priority: 10))
        bench.set(
            pod("never", cpu: "2", priority: 20, spec: ["preemptionPolicy": "Never"]), pod("low", cpu: "2", priority: 5)
        )
        let messages = bench.messages(bench.schedule())
        #expect(
            messages["never"]
                == "0/2 nodes are available: 2 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never."
        )
        #expect(
            messages["low"]
                == "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling."
        )
    }

    @Test("A disruption budget makes another victim the better one")
    func budgets() {
        let bench = Bench([node("a", cpu: "1"), node("b", cpu: "1")])
        bench.set(
            pod("kept", cpu: "1", labels: ["app": "db"], node: "a"), pod("other", cpu: "1", node: "b", priority: 1))
        bench.core.set(
            .init(namespace: "default", name: "pdb"),
            budget: BudgetView(
                .init([
                    "metadata": ["namespace": "default", "name": "pdb"],
                    "spec": ["selector": ["matchLabels": ["app": "db"]]], "status": ["disruptionsAllowed": 0],
                ])))
        bench.set(pod("vip", cpu: "1", priority: 100))
        guard case .preempt(_, let host, let victims, _)? = bench.schedule().first else {
            Issue.record("no preemption")
            return
        }
        #expect(host == "b" && victims.map(\.key.name) == ["other"])
    }
}
