import JSON
import Ledger
import ObjectModel
import Testing

@testable import Scheduler

@Suite("Scheduler: quotas and reservations of Mesos roles")
struct RoleQuotaTests {
    private func bench(_ quotas: [String: JSON], namespaces: [String: String] = [:], cpu: String = "4") -> Bench {
        let bench = Bench([node("a", cpu: cpu)])
        for name in ["default", "eng", "kube-system", "other"] { bench.core.set(name, role: name, now: bench.now) }
        for (name, role) in namespaces { bench.core.set(name, role: role, now: bench.now) }
        for (role, quota) in quotas { set(bench, role, quota) }
        return bench
    }
    private func set(_ bench: Bench, _ role: String, _ quota: JSON) {
        bench.core.set(
            role,
            quota: RoleView(
                Object(["metadata": ["name": .string(role)], "spec": ["role": .string(role), "quota": quota]])))
    }

    @Test("A pod beyond the limit waits with a reason, preempts nobody, and comes when another ends or the limit goes")
    func limit() {
        let bench = bench(
            ["eng": ["limits": ["cpus": ["value": .number(JSONNumber(text: "1.5"))]]]],
            namespaces: ["eng-web": "eng/web"])
        #expect(bench.place(pod("p", cpu: "1", namespace: "eng")) == "a")
        bench.set(pod("q", cpu: "600m", namespace: "eng-web", priority: 1000))
        #expect(
            bench.messages(bench.schedule())["q"]
                == "the quota of the Mesos role 'eng' limits cpus to 1.5, of which 1 are used; the pod asks for 0.6")
        #expect(bench.place(pod("free", cpu: "1", namespace: "other")) == "a")
        bench.now += .seconds(20)
        #expect(bench.schedule().isEmpty)
        bench.delete("p", namespace: "eng")
        #expect(bench.bound(bench.schedule()) == ["q": "a"])
        // Of those that wait only as many are tried as find room, the important first.
        for index in 0..<5 { bench.set(pod("w\(index)", cpu: "500m", namespace: "eng", priority: index)) }
        #expect(Set(bench.bound(bench.schedule()).keys) == ["w4"])
        bench.now += .seconds(20)
        set(bench, "eng", ["limits": ["cpus": ["value": .number(JSONNumber(text: "2.1"))]]])
        let decisions = bench.schedule()
        #expect(bench.bound(decisions) == ["w3": "a", "w2": "a"] && decisions.count == 2)
        bench.now += .seconds(20)
        set(bench, "eng", .null)
        #expect(bench.bound(bench.schedule()).count == 1, "the node has no more")
    }

    @Test("What is guaranteed to a role is left free by others, but for the system's own pods")
    func guarantee() {
        let bench = bench(["eng": ["guarantees": ["cpus": ["value": 2]]]])
        #expect(bench.place(pod("o", cpu: "2", namespace: "other")) == "a")
        bench.set(pod("more", cpu: "500m", namespace: "other"))
        #expect(
            bench.messages(bench.schedule())["more"]
                == "quotas of Mesos roles guarantee 2 cpus more than these use, and 2 are free; the pod asks for 0.5")
        #expect(bench.place(pod("dns", cpu: "100m", namespace: "kube-system")) == "a")
        #expect(bench.place(pod("vip", cpu: "1500m", namespace: "eng")) == "a")
        #expect(bench.place(pod("small", namespace: "other")) == "a", "it asks for nothing")
        bench.now += .seconds(20)
        set(bench, "eng", .null)
        #expect(bench.bound(bench.schedule()).isEmpty, "0.4 are left")
    }

    @Test("Pods use what is reserved for their role, as acceptedResourceRoles says, and no other's")
    func reservations() {
        let bench = bench([:], namespaces: ["eng-web": "eng/web"])
        bench.ledger.set(Claim(.reserve(id: "r"), node: "a", resources: ResourceVector(milliCPU: 3000), role: "eng"))
        bench.core.released(on: "a", now: bench.now)
        func accepting(_ name: String, _ cpu: String, _ roles: String) -> PodView {
            pod(name, cpu: cpu, namespace: "eng-web", annotations: ["marathon.apus.dev/accepted-resource-roles": roles])
        }
        #expect(bench.place(pod("o", cpu: "1500m", namespace: "other")) == nil)
        #expect(bench.place(accepting("star", "1500m", #"["*"]"#)) == nil)
        #expect(bench.place(accepting("own", "2", #"["eng/web"]"#)) == "a")
        bench.set(accepting("much", "1500m", #"["eng/web"]"#))
        #expect(
            bench.messages(bench.schedule())["much"]?.contains("didn't have enough cpu reserved for the resource role")
                == true)
        #expect(bench.place(pod("both", cpu: "1500m", namespace: "eng")) == "a")
        #expect(bench.ledger.node("a")?.free.milliCPU == 500)
        #expect(bench.place(pod("rest", cpu: "500m", namespace: "other")) == "a")
    }
}
