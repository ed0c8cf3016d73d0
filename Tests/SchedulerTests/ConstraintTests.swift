import JSON
import ObjectModel
import Testing

@testable import Scheduler

@Suite("Marathon constraints")
struct ConstraintTests {
    /// Three hosts in two racks, and one without a rack.
    private func bench(pods: Int = 110) -> Bench {
        func host(_ name: String, _ rack: String, _ zone: String) -> NodeView {
            node(
                name, pods: pods,
                labels: [
                    "attribute.mesos.apus.dev/rack": rack, "topology.kubernetes.io/zone": zone,
                    "attribute.mesos.apus.dev/cores": "8.0004", "disk": "ssd",
                ])
        }
        return Bench([host("a", "r1", "z1"), host("b", "r1", "z2"), host("c", "r2", "z2"), node("d", pods: pods)])
    }
    private func instance(_ index: Int, _ constraints: String, app: String = "web") -> PodView {
        pod(
            "\(app)-\(index)", labels: [MarathonConstraint.groupLabel: app],
            annotations: [MarathonConstraint.annotation: constraints])
    }
    /// Places so many instances one after the other, all of them known from the start: hosts in order, "" for none.
    private func place(_ count: Int, _ constraints: String, on bench: Bench) -> [String] {
        let pods = (0..<count).map { instance($0, constraints) }
        for pod in pods { bench.set(pod) }
        let bound = bench.bound(bench.schedule())
        return pods.map { bound[$0.key.name] ?? "" }
    }

    @Test(
        "Operators that look at the node alone",
        arguments: [
            (#"[["hostname","LIKE","[ab]"]]"#, ["a", "b"]), (#"[["@hostname","CLUSTER","c"]]"#, ["c"]),
            (#"[["rack","LIKE","r"]]"#, []), (#"[["rack","LIKE","r."]]"#, ["a", "b", "c"]),
            (#"[["rack","UNLIKE","r1"]]"#, ["c", "d"]), (#"[["@zone","IS","z2"]]"#, ["b", "c"]),
            (#"[["cores","IS","8"]]"#, ["a", "b", "c"]), (#"[["cores","IS","8.001"]]"#, []),
            (#"[["disk","LIKE","ssd"],["rack","CLUSTER","r2"]]"#, ["c"]), (#"[["rack","LIKE","("]]"#, []),
            (#"[["rack","SOMEWHERE","r1"]]"#, []), ("nonsense", []),
        ])
    func nodeAlone(constraints: String, expected: [String]) {
        let bench = bench(pods: 1)
        #expect(Set(place(4, constraints, on: bench)) == Set(expected + (expected.count < 4 ? [""] : [])))
    }

    @Test("UNIQUE puts one on each value, and says when there is none left")
    func unique() {
        let bench = bench()
        let hosts = place(5, #"[["hostname","UNIQUE"]]"#, on: bench)
        #expect(hosts.sorted() == ["", "a", "b", "c", "d"])
        let other = Bench([node("a")])
        other.set(instance(0, #"[["rack","UNIQUE"]]"#))
        #expect(
            other.messages(other.schedule())["web-0"]?.hasPrefix(
                "0/1 nodes are available: 1 node(s) didn't satisfy Marathon constraint.") == true)
    }

    @Test("Instances of other apps, and ones on their way out, do not count")
    func counted() {
        let bench = bench()
        let unique = #"[["rack","UNIQUE"]]"#
        #expect(place(3, unique, on: bench).filter { !$0.isEmpty }.count == 2)
        #expect(bench.place(instance(0, unique, app: "other")) != nil)
        bench.set(
            pod(
                "web-0", labels: [MarathonConstraint.groupLabel: "web"], node: "a", deleting: true,
                annotations: [MarathonConstraint.annotation: unique]))
        bench.set(
            pod(
                "web-1", labels: [MarathonConstraint.groupLabel: "web"], node: "c",
                annotations: [MarathonConstraint.annotation: unique]))
        bench.now += .seconds(20)
        let late = bench.bound(bench.schedule())["web-2"]
        #expect(late == "a" || late == "b")
    }

    @Test("CLUSTER follows the first instance")
    func cluster() {
        let hosts = place(6, #"[["rack","CLUSTER"]]"#, on: bench())
        #expect(Set(hosts).isSubset(of: ["a", "b"]) || Set(hosts) == ["c"])
        #expect(!hosts.contains(""))
    }

    @Test("MAX_PER bounds each value")
    func maximum() {
        let hosts = place(6, #"[["rack","MAX_PER","2"]]"#, on: bench())
        #expect(hosts.count { $0 == "a" || $0 == "b" } == 2)
        #expect(hosts.count { $0 == "c" } == 2)
        #expect(hosts.count { $0.isEmpty } == 2)
    }

    @Test("GROUP_BY spreads evenly over the values there are, or over so many", arguments: [nil, 2])
    func groupBy(groups: Int?) {
        let constraints = groups.map { #"[["rack","GROUP_BY","\#($0)"]]"# } ?? #"[["rack","GROUP_BY"]]"#
        let hosts = place(7, constraints, on: bench())
        let first = hosts.count { $0 == "a" || $0 == "b" }
        let second = hosts.count { $0 == "c" }
        #expect(first + second == 7)
        #expect(abs(first - second) == 1)
    }

    @Test("GROUP_BY with fewer groups than values uses no more")
    func fewerGroups() {
        let hosts = place(6, #"[["hostname","GROUP_BY","2"]]"#, on: bench())
        #expect(Set(hosts).count == 2)
        #expect(hosts.count { $0 == hosts[0] } == 3)
    }
}
