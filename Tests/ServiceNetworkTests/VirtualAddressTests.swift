import JSON
import MesosModel
import ObjectModel
import Testing

@testable import ServiceNetwork

@Suite("Virtual addresses of tasks")
struct VirtualAddressTests {
    private func task(_ ports: JSON, labels: JSON = ["marathon.apus.dev/app": "web"], ready: String = "True") -> Object
    {
        let info: JSON = ["name": "web", "discovery": ["visibility": "CLUSTER", "ports": ["ports": ports]]]
        return Object([
            "apiVersion": "v1", "kind": "Pod",
            "metadata": [
                "name": "web-1", "namespace": "default", "labels": labels,
                "annotations": [
                    "mesos.apus.dev/task": .string(info.description), "ports.apus.dev/assigned": "31005,31006",
                ],
            ],
            "spec": ["hostNetwork": true],
            "status": [
                "phase": "Running", "hostIP": "192.0.2.7", "podIP": "10.244.0.9",
                "conditions": [["type": "Ready", "status": .string(ready)]],
            ],
        ])
    }
    private func port(_ number: Int, _ vip: String, scope: String = "host") -> JSON {
        [
            "number": JSON(number), "protocol": "tcp",
            "labels": [
                "labels": [
                    ["key": "VIP_0", "value": .string(vip)], ["key": "network-scope", "value": .string(scope)],
                ]
            ],
        ]
    }

    @Test("Labels are read, names are stable, and nonsense is none")
    func labels() throws {
        let named = try #require(NamedVIP(label: "VIP_0", "/web:80"))
        let address = named.address(framework: "marathon")
        #expect(address.hasPrefix("11."))
        #expect(address == NamedVIP.address(name: "WEB", framework: "Marathon"))
        #expect(address != named.address(framework: "other"))
        #expect(named.hostName(framework: "marathon") == "web.marathon.l4lb.thisdcos.directory")
        let literal = try #require(NamedVIP(label: "VIP_12", "10.1.2.3:443"))
        #expect(literal.address(framework: "marathon") == "10.1.2.3" && literal.port == 443)
        for (key, value) in [
            ("VIP_0", "/:80"), ("VIP_0", "/web"), ("VIP_0", "web:80"), ("VIP_0", "/web:0"), ("X", "/w:80"),
        ] {
            #expect(NamedVIP(label: key, value) == nil, "\(key) \(value)")
        }
    }

    @Test("A task answers on its host's port, on the one that was chosen for it, or in its own network")
    func targets() throws {
        let view = try #require(
            VirtualAddressView(task([port(8080, "/a:80"), port(0, "/b:80"), port(9000, "/c:80", scope: "container")])))
        #expect(view.framework == "" && view.isReady)
        #expect(view.ports.map(\.address) == ["192.0.2.7", "192.0.2.7", "10.244.0.9"])
        #expect(view.ports.map(\.port) == [8080, 31006, 9000])
        #expect(VirtualAddressView(task([port(8080, "/a:80")], ready: "False"))?.isReady == false)
        #expect(VirtualAddressView(task([["number": 80, "protocol": "tcp"]])) == nil)
    }

    @Test("Ready tasks share the address; without one it refuses")
    func fragments() throws {
        let compiler = ServiceCompiler(nodeName: "here", podCIDR: "10.244.0.0/16")
        let vip = VirtualAddress(address: "11.1.2.3", port: 80, transport: "tcp")
        let ports = try #require(VirtualAddressView(task([port(8080, "/a:80"), port(8081, "/a:80")]))).ports
        let fragment = compiler.compile(vip, targets: ports)
        let chain = try #require(fragment.elements[.services]?["11.1.2.3 . tcp . 80"]?.split(separator: " ").last)
        #expect(
            fragment.chains[String(chain)] == [
                "meta l4proto tcp dnat to numgen random mod 2 map { 0 : 192.0.2.7 . 8080, 1 : 192.0.2.7 . 8081 }"
            ])
        #expect(compiler.compile(vip, targets: []).members == [.closedAddresses: ["11.1.2.3 . tcp . 80"]])
    }

    @Test("Assigned host ports of a pod with its own network lead to its container ports")
    func hostPorts() {
        let view = HostPortView(
            Object([
                "apiVersion": "v1", "kind": "Pod",
                "metadata": [
                    "name": "p", "namespace": "default",
                    "annotations": [
                        "ports.apus.dev/request":
                            #"[{"containerPort":80},{"protocol":"udp","containerPort":0},{"port":0}]"#,
                        "ports.apus.dev/assigned": "31005,31006,31007",
                    ],
                ],
                "spec": ["containers": [["name": "c"]]], "status": ["podIP": "10.244.0.9", "phase": "Running"],
            ]))
        #expect(view.ports.map(\.hostPort) == [31005, 31006])
        #expect(view.ports.map(\.containerPort) == [80, 31006])
        #expect(view.ports.map(\.transport) == ["tcp", "udp"])
    }
}
