import JSON
import ObjectModel
import Testing

@testable import Scheduler

@Suite("Scheduler filters")
struct FilterTests {
    @Test("The message counts every reason over all nodes")
    func message() {
        let bench = Bench([
            node("a", cpu: "1"), node("b", taints: [["key": "k", "value": "v", "effect": "NoSchedule"]]),
            node("c", taints: [["key": "k", "value": "v", "effect": "NoExecute"]]), node("d", unschedulable: true),
            node("e", cpu: "1", memory: "1Mi", pods: 0),
        ])
        bench.set(pod("p", cpu: "2", memory: "1Gi"))
        #expect(
            bench.messages(bench.schedule())["p"]
                == "0/5 nodes are available: 1 Insufficient memory, 1 Too many pods, 1 node(s) were unschedulable, "
                + "2 Insufficient cpu, 2 node(s) had untolerated taint {k: v}. preemption: 0/5 nodes are available: "
                + "5 Preemption is not helpful for scheduling.")
    }

    @Test("Without nodes the message says so")
    func noNodes() {
        let bench = Bench()
        bench.set(pod("p"))
        #expect(bench.messages(bench.schedule())["p"] == "no nodes available to schedule pods")
        bench.core.set("a", node: node("a"), now: bench.now)
        bench.now += .seconds(2)
        #expect(bench.bound(bench.schedule()) == ["p": "a"])
    }

    @Test(
        "Tolerations",
        arguments: [
            (#"{"key":"k","operator":"Equal","value":"v","effect":"NoSchedule"}"#, true),
            (#"{"key":"k","value":"v"}"#, true),
            (#"{"key":"k","operator":"Exists"}"#, true), (#"{"operator":"Exists"}"#, true),
            (#"{"key":"k","value":"w"}"#, false),
            (#"{"key":"k","value":"v","effect":"NoExecute"}"#, false), (#"{"key":"j","operator":"Exists"}"#, false),
        ])
    func tolerations(toleration: String, fits: Bool) throws {
        let bench = Bench([node("a", taints: [["key": "k", "value": "v", "effect": "NoSchedule"]])])
        let spec: JSON = ["tolerations": [try JSON.parse(toleration)]]
        #expect((bench.place(pod("p", spec: spec)) == "a") == fits)
    }

    @Test(
        "Node selectors and required affinity",
        arguments: [
            (#"{"nodeSelector":{"zone":"x"}}"#, ["a"]), (#"{"nodeSelector":{"zone":"z"}}"#, []),
            (
                #"{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"zone","operator":"In","values":["y"]},{"key":"n","operator":"Gt","values":["1"]}]}]}}}}"#,
                ["b"]
            ),
            (
                #"{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"zone","operator":"DoesNotExist"}]},{"matchFields":[{"key":"metadata.name","operator":"In","values":["b"]}]}]}}}}"#,
                ["b", "c"]
            ),
            (
                #"{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":[{"key":"metadata.name","operator":"In","values":["c"]}]}]}}}}"#,
                ["c"]
            ),
            (
                #"{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{}]}}}}"#,
                []
            ),
        ])
    func affinity(spec: String, expected: [String]) throws {
        let bench = Bench([
            node("a", pods: 1, labels: ["zone": "x", "n": "1"]), node("b", pods: 1, labels: ["zone": "y", "n": "2"]),
            node("c", pods: 1),
        ])
        let spec = try JSON.parse(spec)
        for index in 0..<3 { bench.set(pod("p\(index)", spec: spec)) }
        let decisions = bench.schedule()
        #expect(bench.bound(decisions).values.sorted() == expected)
        for message in bench.messages(decisions).values {
            #expect(message.contains("node(s) didn't match Pod's node affinity/selector"))
        }
    }

    @Test("Host ports, extended resources and the number of pods are counted")
    func counted() {
        let bench = Bench([node("a", pods: 3, extended: ["example.com/gpu": "1"])])
        let ports: JSON = [
            "containers": [["name": "c", "image": "x", "ports": [["hostPort": 80, "containerPort": 80]]]]
        ]
        #expect(bench.place(pod("p1", spec: ports)) == "a")
        bench.set(pod("p2", spec: ports))
        #expect(
            bench.messages(bench.schedule())["p2"]?.hasPrefix(
                "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.") == true)
        let gpu: JSON = ["containers": [["name": "c", "image": "x", "resources": ["limits": ["example.com/gpu": 1]]]]]
        #expect(bench.place(pod("g1", spec: gpu)) == "a")
        bench.set(pod("g2", spec: gpu))
        #expect(bench.messages(bench.schedule())["g2"]?.contains("1 Insufficient example.com/gpu") == true)
        #expect(bench.place(pod("q1")) == "a")
        bench.set(pod("q2"))
        #expect(bench.messages(bench.schedule())["q2"]?.contains("1 Too many pods") == true)
    }

    @Test("Effective requests count init containers, sidecars and overhead as the kubelet does")
    func requests() throws {
        let spec = try JSON.parse(
            #"{"containers":[{"resources":{"requests":{"cpu":"100m"}}},{"resources":{"limits":{"cpu":"200m"}}}],"initContainers":[{"resources":{"requests":{"cpu":"350m"}}},{"restartPolicy":"Always","resources":{"requests":{"cpu":"100m"}}},{"resources":{"requests":{"cpu":"250m","memory":"1Gi"}}}],"overhead":{"cpu":"10m"}}"#
        )
        let requests = PodRequests(spec)
        #expect(requests.requests.milliCPU == 410)
        #expect(requests.requests.memory == 1 << 30)
        #expect(
            requests.scoredMemory == (1 << 30) + (200 << 20),
            "the sidecar beside it asks for nothing and counts as 200 MiB")
    }

    @Test("Required pod affinity and anti-affinity hold per domain, for newcomers and for those already there")
    func podAffinity() throws {
        func term(_ kind: String, _ app: String, _ key: String) -> JSON {
            [
                "affinity": [
                    kind: [
                        "requiredDuringSchedulingIgnoredDuringExecution": [
                            ["labelSelector": ["matchLabels": ["app": .string(app)]], "topologyKey": .string(key)]
                        ]
                    ]
                ]
            ]
        }
        let bench = Bench([
            node("a", labels: ["zone": "x"]), node("b", labels: ["zone": "x"]), node("c", labels: ["zone": "y"]),
            node("d"),
        ])
        #expect(
            bench.place(pod("db", labels: ["app": "db"], spec: ["nodeSelector": ["kubernetes.io/hostname": "a"]]))
                == "a")
        let near = bench.place(pod("web", labels: ["app": "web"], spec: term("podAffinity", "db", "zone")))
        #expect(near == "a" || near == "b")
        #expect(
            bench.place(pod("far", spec: term("podAntiAffinity", "db", "zone"))).map { ["c", "d"].contains($0) } == true
        )
        // One per host, also against pods without rules of their own.
        let lonely = term("podAntiAffinity", "one", "kubernetes.io/hostname")
        var hosts: Set<String> = []
        for index in 0..<4 { hosts.insert(bench.place(pod("one\(index)", labels: ["app": "one"], spec: lonely)) ?? "") }
        #expect(hosts == ["a", "b", "c", "d"])
        bench.set(pod("plain", labels: ["app": "one"]), pod("one4", labels: ["app": "one"], spec: lonely))
        let messages = bench.messages(bench.schedule())
        #expect(
            messages["plain"]?.hasPrefix(
                "0/4 nodes are available: 4 node(s) didn't satisfy existing pods anti-affinity rules.") == true)
        #expect(
            messages["one4"]?.hasPrefix("0/4 nodes are available: 4 node(s) didn't match pod anti-affinity rules.")
                == true)
        bench.delete("one2")
        bench.now += .seconds(2)
        #expect(bench.bound(bench.schedule()).count == 1)
    }

    @Test("The first pod of a group that wants to be together may go anywhere, the others follow")
    func firstOfGroup() {
        let spec: JSON = [
            "affinity": [
                "podAffinity": [
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        ["labelSelector": ["matchLabels": ["app": "g"]], "topologyKey": "zone"]
                    ]
                ]
            ]
        ]
        let bench = Bench([node("a", labels: ["zone": "x"]), node("b", labels: ["zone": "y"]), node("c")])
        var zones: Set<String> = []
        for index in 0..<4 { zones.insert(bench.place(pod("g\(index)", labels: ["app": "g"], spec: spec)) ?? "none") }
        #expect(zones.count == 1 && !zones.contains("c") && !zones.contains("none"))
        #expect(
            bench.place(
                pod(
                    "other", labels: ["app": "h"],
                    spec: [
                        "affinity": [
                            "podAffinity": [
                                "requiredDuringSchedulingIgnoredDuringExecution": [
                                    ["labelSelector": ["matchLabels": ["app": "absent"]], "topologyKey": "zone"]
                                ]
                            ]
                        ]
                    ])) == nil)
    }

    @Test("Namespace selectors mean pods of namespaces with those labels")
    func namespaceSelector() {
        let bench = Bench([node("a"), node("b")])
        bench.core.set("default", namespaceLabels: [:], now: bench.now)
        bench.core.set("red", namespaceLabels: ["team": "red"], now: bench.now)
        bench.set(
            pod("r", labels: ["app": "x"], node: "a", namespace: "red"), pod("d", labels: ["app": "x"], node: "b"))
        let spec: JSON = [
            "affinity": [
                "podAffinity": [
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        [
                            "labelSelector": ["matchLabels": ["app": "x"]],
                            "namespaceSelector": ["matchLabels": ["team": "red"]],
                            "topologyKey": "kubernetes.io/hostname",
                        ]
                    ]
                ]
            ]
        ]
        #expect(bench.place(pod("p", spec: spec)) == "a")
    }

    @Test("Hard topology spread keeps the skew, node labels missing exclude a node")
    func spread() {
        let spec: JSON = [
            "topologySpreadConstraints": [
                [
                    "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": ["matchLabels": ["app": "s"]],
                ]
            ]
        ]
        let bench = Bench([node("a", labels: ["zone": "x"]), node("b", pods: 2, labels: ["zone": "y"]), node("c")])
        var counts: [String: Int] = [:]
        for index in 0..<5 {
            counts[bench.place(pod("s\(index)", labels: ["app": "s"], spec: spec)) ?? "none", default: 0] += 1
        }
        #expect(counts == ["a": 3, "b": 2])
        bench.set(pod("s5", labels: ["app": "s"], spec: spec))
        #expect(
            bench.messages(bench.schedule())["s5"]?.hasPrefix(
                "0/3 nodes are available: 1 Too many pods, 1 node(s) didn't match pod topology spread constraints, "
                    + "1 node(s) didn't match pod topology spread constraints (missing required label).") == true)
    }

    @Test("The largest skew there is lets every pod go anywhere")
    func anySkew() {
        let spec: JSON = [
            "topologySpreadConstraints": [
                [
                    "maxSkew": 2_147_483_647, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": ["matchLabels": ["app": "s"]],
                ]
            ]
        ]
        let bench = Bench([node("a", labels: ["zone": "x"])])
        for index in 0..<3 { #expect(bench.place(pod("s\(index)", labels: ["app": "s"], spec: spec)) == "a") }
    }

    @Test("Volume claims must exist and be bound, and their volumes say where")
    func volumes() {
        let bench = Bench([node("a"), node("b", labels: ["disk": "yes"])])
        let spec: JSON = ["volumes": [["name": "v", "persistentVolumeClaim": ["claimName": "data"]]]]
        bench.set(pod("p", spec: spec))
        #expect(
            bench.messages(bench.schedule())["p"]
                == "0/2 nodes are available: persistentvolumeclaim \"data\" not found. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
        )
        let key = ObjectKey(namespace: "default", name: "data")
        func claim(_ phase: String) -> ClaimView {
            ClaimView(
                Object([
                    "metadata": ["namespace": "default", "name": "data"], "spec": ["volumeName": "pv"],
                    "status": ["phase": .string(phase)],
                ]))
        }
        bench.core.set(key, claim: claim("Pending"), now: bench.now)
        bench.now += .seconds(2)
        #expect(
            bench.messages(bench.schedule())["p"]?.hasPrefix(
                "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.") == true)
        bench.core.set(
            "pv",
            volume: VolumeView(
                Object([
                    "metadata": ["name": "pv"],
                    "spec": [
                        "nodeAffinity": [
                            "required": [
                                "nodeSelectorTerms": [["matchExpressions": [["key": "disk", "operator": "Exists"]]]]
                            ]
                        ]
                    ],
                ])), now: bench.now)
        bench.core.set(key, claim: claim("Bound"), now: bench.now)
        bench.now += .seconds(5)
        #expect(bench.bound(bench.schedule()) == ["p": "b"])
    }

    @Test("Claims that wait for their pod get a volume on its node")
    func delayedVolumes() {
        let bench = Bench([node("a"), node("b")])
        func storageClass(_ provisioner: String) -> StorageClassView {
            StorageClassView(
                Object([
                    "metadata": ["name": "late"], "provisioner": .string(provisioner),
                    "volumeBindingMode": "WaitForFirstConsumer",
                ]))
        }
        func volume(_ name: String, on host: String, size: String) -> VolumeView {
            VolumeView(
                Object([
                    "metadata": ["name": .string(name)],
                    "spec": [
                        "capacity": ["storage": .string(size)], "accessModes": ["ReadWriteOnce"],
                        "storageClassName": "late",
                        "nodeAffinity": [
                            "required": [
                                "nodeSelectorTerms": [
                                    [
                                        "matchExpressions": [
                                            [
                                                "key": "kubernetes.io/hostname", "operator": "In",
                                                "values": [.string(host)],
                                            ]
                                        ]
                                    ]
                                ]
                            ]
                        ],
                    ], "status": ["phase": "Available"],
                ]))
        }
        for name in ["one", "two", "three"] {
            bench.core.set(
                ObjectKey(namespace: "default", name: name),
                claim: ClaimView(
                    Object([
                        "metadata": ["namespace": "default", "name": .string(name), "uid": .string(name)],
                        "spec": [
                            "accessModes": ["ReadWriteOnce"], "storageClassName": "late",
                            "resources": ["requests": ["storage": "1Gi"]],
                        ], "status": ["phase": "Pending"],
                    ])), now: bench.now)
        }
        bench.core.set("late", storageClass: storageClass("kubernetes.io/no-provisioner"), now: bench.now)
        bench.core.set("big", volume: volume("big", on: "b", size: "5Gi"), now: bench.now)
        bench.core.set("fit", volume: volume("fit", on: "b", size: "1Gi"), now: bench.now)
        bench.core.set("tiny", volume: volume("tiny", on: "a", size: "1Mi"), now: bench.now)
        func use(_ claim: String) -> JSON {
            ["volumes": [["name": "v", "persistentVolumeClaim": ["claimName": .string(claim)]]]]
        }
        func plans(_ decisions: [SchedulerCore.Decision]) -> [String: [String?]] {
            var result: [String: [String?]] = [:]
            for case .bindVolumes(let pod, let node, _, let plan) in decisions {
                result[pod.key.name] = [node] + plan.values
            }
            return result
        }
        bench.set(pod("p1", spec: use("one")))
        bench.set(pod("p2", spec: use("two")))
        bench.set(pod("p3", spec: use("three")))
        let decisions = bench.schedule()
        #expect(plans(decisions) == ["p1": ["b", "fit"], "p2": ["b", "big"]])
        #expect(
            bench.messages(decisions)["p3"]?.hasPrefix(
                "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.") == true)
        // Somebody makes volumes: any node will do, and one is asked for.
        bench.core.set("late", storageClass: storageClass("x.io/y"), now: bench.now)
        bench.now += .seconds(2)
        let made = plans(bench.schedule())["p3"]
        #expect(made?.count == 2 && made?.last == .some(nil))
    }

    @Test("Gated, foreign and terminating pods are left alone")
    func leftAlone() {
        let bench = Bench([node("a")])
        bench.set(
            pod("gated", spec: ["schedulingGates": [["name": "x"]]]), pod("foreign", spec: ["schedulerName": "other"]),
            pod("gone", deleting: true))
        let decisions = bench.schedule()
        #expect(bench.bound(decisions).isEmpty && decisions.count == 1)
        guard case .gated(let reported)? = decisions.first else {
            Issue.record("the gated pod was not reported")
            return
        }
        #expect(reported.key.name == "gated")
        #expect(bench.place(pod("gated")) == "a")
    }
}
