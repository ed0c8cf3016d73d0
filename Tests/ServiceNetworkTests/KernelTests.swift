import Glibc
import JSON
import ObjectModel
import Testing

@testable import ServiceNetwork

@Suite("The kernel takes the tables", .enabled(if: geteuid() == 0, "needs root, for a network namespace of its own"))
struct KernelTests {
    @Test("A whole table, a change and a removal are valid transactions")
    func transactions() async throws {
        let compiler = ServiceCompiler(nodeName: "here", podCIDR: "10.244.0.0/16")
        func fragment(_ addresses: [String], affinity: Bool) throws -> Fragment {
            let service = ServiceView(
                Object([
                    "metadata": ["name": "web", "namespace": "shop"],
                    "spec": [
                        "type": "NodePort", "clusterIPs": ["10.96.0.7"], "externalIPs": ["192.0.2.77"],
                        "sessionAffinity": affinity ? "ClientIP" : "None", "externalTrafficPolicy": "Local",
                        "ports": [
                            ["name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"],
                            ["name": "dns", "port": 53, "protocol": "UDP"],
                        ],
                    ],
                ]))
            let slice = try #require(
                SliceView(
                    Object([
                        "metadata": [
                            "name": "web-1", "namespace": "shop", "labels": ["kubernetes.io/service-name": "web"],
                        ],
                        "addressType": "IPv4",
                        "ports": [
                            ["name": "http", "port": 8080, "protocol": "TCP"],
                            ["name": "dns", "port": 5353, "protocol": "UDP"],
                        ],
                        "endpoints": .array(addresses.map { ["addresses": [.string($0)], "nodeName": "here"] }),
                    ])))
            return compiler.compile(service, slices: [slice])
        }
        var table = TableState()
        var script = NftablesScript(table: "apus_test")
        script.replaceTable(podCIDR: "10.244.0.0/16", serviceCIDR: "10.96.0.0/12")
        let owner = TableState.Owner.service(ObjectKey(namespace: "shop", name: "web"))
        let pod = HostPortView(
            Object([
                "spec": ["containers": [["ports": [["containerPort": 80, "hostPort": 8088, "protocol": "TCP"]]]]],
                "status": ["podIP": "10.244.0.9", "phase": "Running"],
            ]))
        let key = ObjectKey(namespace: "shop", name: "pod")
        _ = table.set(.hostPorts(key), to: compiler.compile(hostPorts: pod, key: key), script: &script)
        var steps = [script.text]
        for wanted in [
            try fragment(["10.244.0.2", "10.244.0.3"], affinity: true), try fragment(["10.244.0.3"], affinity: false),
            try fragment([], affinity: false), nil,
        ] {
            var change = NftablesScript(table: "apus_test")
            _ = table.set(owner, to: wanted, script: &change)
            steps.append(change.text)
        }
        // One shell in one new network namespace: each step is a transaction of its own.
        let shell = steps.map { "nft -f - <<'END'\n\($0)END\n" }.joined()
        let listing = try await HostCommand.run(
            "unshare", ["--net", "sh", "-ec", shell + "\nnft list table ip apus_test"])
        #expect(listing.contains("tcp . 8088 : goto ext_"))
        #expect(!listing.contains("10.244.0.2"))
    }
}
