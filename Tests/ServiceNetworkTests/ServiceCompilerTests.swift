import JSON
import ObjectModel
import Testing

@testable import ServiceNetwork

private func service(_ change: (inout JSON) -> Void = { _ in }) -> ServiceView {
    var tree: JSON = [
        "apiVersion": "v1", "kind": "Service", "metadata": ["name": "web", "namespace": "shop"],
        "spec": [
            "type": "ClusterIP", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"],
            "ports": [["name": "http", "port": 80, "protocol": "TCP"]],
        ],
    ]
    change(&tree)
    return ServiceView(Object(tree))
}

private func slice(_ endpoints: [(address: String, node: String, ready: Bool, terminating: Bool)]) throws -> SliceView {
    let tree: JSON = [
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": ["name": "web-x", "namespace": "shop", "labels": ["kubernetes.io/service-name": "web"]],
        "addressType": "IPv4", "ports": [["name": "http", "port": 8080, "protocol": "TCP"]],
        "endpoints": .array(
            endpoints.map {
                [
                    "addresses": [.string($0.address)], "nodeName": .string($0.node),
                    "conditions": [
                        "ready": .bool($0.ready), "serving": true, "terminating": .bool($0.terminating),
                    ],
                ]
            }),
    ]
    return try #require(SliceView(Object(tree)))
}

private let compiler = ServiceCompiler(nodeName: "here", podCIDR: "10.244.0.0/16")

@Suite("Services become nftables fragments")
struct ServiceCompilerTests {
    @Test("Ready endpoints share the traffic of the cluster address")
    func clusterAddress() throws {
        let fragment = compiler.compile(
            service(),
            slices: [try slice([("10.244.0.3", "here", true, false), ("10.244.0.2", "there", true, false)])])
        let chain = try #require(fragment.elements[.services]?["10.96.0.7 . tcp . 80"]?.split(separator: " ").last)
        #expect(
            fragment.chains[String(chain)] == [
                "meta l4proto tcp dnat to numgen random mod 2 map { 0 : 10.244.0.2 . 8080, 1 : 10.244.0.3 . 8080 }"
            ])
        #expect(fragment.members[.hairpins]?.count == 2)
    }

    @Test("A terminating endpoint gets traffic only when no other is ready")
    func terminating() throws {
        let both = compiler.compile(
            service(),
            slices: [try slice([("10.244.0.2", "here", true, false), ("10.244.0.3", "here", false, true)])])
        #expect(!both.chains.values.joined().joined().contains("10.244.0.3"))
        let last = compiler.compile(service(), slices: [try slice([("10.244.0.3", "here", false, true)])])
        #expect(last.chains.values.joined().joined().contains("10.244.0.3"))
    }

    @Test("Without endpoints nothing is translated, and node ports are closed")
    func noEndpoints() throws {
        let fragment = compiler.compile(
            service { $0["spec"]["ports"][0]["nodePort"] = 30080 }, slices: [try slice([])])
        #expect(fragment.chains.isEmpty)
        #expect(fragment.members[.closedNodePorts] == ["tcp . 30080"])
    }

    @Test("Session affinity remembers clients per endpoint")
    func affinity() throws {
        let fragment = compiler.compile(
            service { $0["spec"]["sessionAffinity"] = "ClientIP" },
            slices: [try slice([("10.244.0.2", "here", true, false), ("10.244.0.3", "here", true, false)])])
        #expect(fragment.ownSets.count == 2)
        #expect(fragment.ownSets.values.allSatisfy { $0.contains("timeout 10800s") })
        #expect(fragment.chains.values.contains { $0.last?.hasPrefix("numgen random mod 2 vmap") == true })
    }

    @Test("externalTrafficPolicy Local keeps to this node, and drops when it has no endpoint")
    func externalLocal() throws {
        let local = service {
            $0["spec"]["type"] = "NodePort"
            $0["spec"]["externalTrafficPolicy"] = "Local"
            $0["spec"]["ports"][0]["nodePort"] = 30080
        }
        let fragment = compiler.compile(local, slices: [try slice([("10.244.1.2", "there", true, false)])])
        let external = try #require(fragment.chains.first { $0.key.hasPrefix("ext_") }?.value)
        #expect(external.last == "drop")
        #expect(!external.contains("jump mark_outside"))
    }

    @Test("Headless and external-name services are not translated")
    func headless() throws {
        let fragment = compiler.compile(
            service {
                $0["spec"]["clusterIP"] = "None"
                $0["spec"]["clusterIPs"] = ["None"]
            }, slices: [try slice([("10.244.0.2", "here", true, false)])])
        #expect(fragment == Fragment())
    }
}

@Suite("The table changes by differences")
struct TableStateTests {
    private func fragment(_ address: String) throws -> Fragment {
        compiler.compile(service(), slices: [try slice([(address, "here", true, false)])])
    }

    @Test("An unchanged service costs nothing; a changed one only its own lines")
    func difference() throws {
        var table = TableState()
        var first = NftablesScript(table: "t")
        _ = table.set(
            .service(ObjectKey(namespace: "shop", name: "web")), to: try fragment("10.244.0.2"), script: &first)
        #expect(first.text.contains("add element ip t services"))
        var again = NftablesScript(table: "t")
        _ = table.set(
            .service(ObjectKey(namespace: "shop", name: "web")), to: try fragment("10.244.0.2"), script: &again)
        #expect(again.isEmpty)
        var changed = NftablesScript(table: "t")
        _ = table.set(
            .service(ObjectKey(namespace: "shop", name: "web")), to: try fragment("10.244.0.9"), script: &changed)
        #expect(!changed.text.contains("services {"))
        #expect(changed.lines.contains { $0.hasPrefix("flush chain") })
    }

    @Test("A member that two services need stays until both let go")
    func sharedMembers() throws {
        var table = TableState()
        var script = NftablesScript(table: "t")
        let one = TableState.Owner.service(ObjectKey(namespace: "a", name: "one"))
        let two = TableState.Owner.service(ObjectKey(namespace: "a", name: "two"))
        var own = Fragment()
        own.members[.hairpins] = ["10.244.0.2 . 10.244.0.2"]
        _ = table.set(one, to: own, script: &script)
        _ = table.set(two, to: own, script: &script)
        #expect(script.lines.count == 1)
        _ = table.set(one, to: nil, script: &script)
        #expect(script.lines.count == 1)
        _ = table.set(two, to: nil, script: &script)
        #expect(script.lines.last?.hasPrefix("delete element") == true)
    }

    @Test("Two owners of one port: the first keeps it, the second gets it afterwards")
    func conflict() {
        var table = TableState()
        var script = NftablesScript(table: "t")
        let one = TableState.Owner.service(ObjectKey(namespace: "a", name: "one"))
        let two = TableState.Owner.hostPorts(ObjectKey(namespace: "a", name: "two"))
        func claim(_ chain: String) -> Fragment {
            var fragment = Fragment()
            fragment.elements[.nodePorts] = ["tcp . 30080": "goto \(chain)"]
            return fragment
        }
        _ = table.set(one, to: claim("c1"), script: &script)
        _ = table.set(two, to: claim("c2"), script: &script)
        #expect(script.lines == ["add element ip t node_ports { tcp . 30080 : goto c1 }"])
        #expect(table.set(one, to: nil, script: &script))
        _ = table.set(two, to: claim("c2"), script: &script)
        #expect(script.lines.last == "add element ip t node_ports { tcp . 30080 : goto c2 }")
    }
}
