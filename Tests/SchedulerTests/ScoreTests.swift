import JSON
import Testing

@testable import Scheduler

@Suite("Scheduler scores")
struct ScoreTests {
    @Test("The emptier node wins")
    func leastAllocated() {
        let bench = Bench([node("a", cpu: "4"), node("b", cpu: "4")])
        bench.set(pod("old", cpu: "2", node: "a"))
        #expect(bench.place(pod("p", cpu: "1")) == "b")
    }

    @Test("Pods of one owner spread over hosts even when they ask for nothing")
    func defaultSpread() {
        let bench = Bench((0..<5).map { node("n\($0)", cpu: "\(4 + $0)") })
        for index in 0..<10 { bench.set(pod("p\(index)", owner: "rs")) }
        var counts: [String: Int] = [:]
        for host in bench.bound(bench.schedule()).values { counts[host, default: 0] += 1 }
        #expect(counts.values.sorted() == [2, 2, 2, 2, 2])
    }

    @Test("Preferred node affinity, avoided taints and images present decide between equals")
    func preferences() {
        let preferred: JSON = [
            "affinity": [
                "nodeAffinity": [
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        ["weight": 10, "preference": ["matchExpressions": [["key": "fast", "operator": "Exists"]]]]
                    ]
                ]
            ]
        ]
        #expect(Bench([node("a"), node("b", labels: ["fast": ""]), node("c")]).place(pod("p", spec: preferred)) == "b")
        let avoided: JSON = [["key": "k", "value": "v", "effect": "PreferNoSchedule"]]
        #expect(Bench([node("a", taints: avoided), node("b"), node("c", taints: avoided)]).place(pod("p")) == "b")
        let images: JSON = [["names": ["nginx:latest"], "sizeBytes": 900_000_000]]
        #expect(Bench([node("a"), node("b"), node("c", images: images)]).place(pod("p")) == "c")
    }

    @Test("Preferred pod affinity and soft spread decide between equals")
    func preferredPods() {
        func preferred(_ kind: String) -> JSON {
            [
                "affinity": [
                    kind: [
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            [
                                "weight": 100,
                                "podAffinityTerm": [
                                    "labelSelector": ["matchLabels": ["app": "x"]],
                                    "topologyKey": "kubernetes.io/hostname",
                                ],
                            ]
                        ]
                    ]
                ]
            ]
        }
        let bench = Bench([node("a"), node("b"), node("c")])
        bench.set(pod("x", labels: ["app": "x"], node: "b"))
        #expect(bench.place(pod("near", spec: preferred("podAffinity"))) == "b")
        for index in 0..<2 { #expect(bench.place(pod("far\(index)", spec: preferred("podAntiAffinity"))) != "b") }
        let soft: JSON = [
            "topologySpreadConstraints": [
                [
                    "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": ["matchLabels": ["app": "s"]],
                ]
            ]
        ]
        let hosts = (0..<3).map { bench.place(pod("s\($0)", labels: ["app": "s"], spec: soft)) ?? "" }
        #expect(Set(hosts) == ["a", "b", "c"])
    }

    @Test("Balanced allocation prefers the node that the pod evens out")
    func balanced() {
        let row: (Int64, Int64) -> NodeTable.Row = { cpu, memory in
            var row = NodeTable.Row()
            row.allocatableCPU = 1000
            row.allocatableMemory = 1000 << 20
            row.usedCPU = cpu
            row.usedMemory = memory << 20
            return row
        }
        let template = pod("p", cpu: "400m", memory: "100Mi").template
        #expect(ResourceScores.balanced(template, row(0, 300)) > ResourceScores.balanced(template, row(300, 0)))
        #expect(ResourceScores.balanced(pod("q").template, row(0, 0)) == 0)
    }
}
