import HTTPWindow
import JSON
import Logging
import MesosModel
import ObjectModel
import Testing

@testable import ClusterDNS

private func zone() -> MesosZone {
    let zone = MesosZone(.init(domain: "mesos", address: "10.0.0.1", masterPort: 5050, agentPort: 5051))
    func pod(
        _ name: String, labels: JSON = [:], annotations: JSON = [:], phase: JSON = "Running", hostNetwork: Bool = true
    ) {
        zone.put(
            MesosPodView(
                Object([
                    "apiVersion": "v1", "kind": "Pod",
                    "metadata": [
                        "name": .string(name), "namespace": "default", "uid": .string("uid-\(name)"), "labels": labels,
                        "annotations": annotations,
                    ],
                    "spec": ["nodeName": "n1", "hostNetwork": .bool(hostNetwork)],
                    "status": [
                        "phase": phase, "hostIP": "10.0.0.7",
                        "podIPs": [["ip": .string(hostNetwork ? "10.0.0.7" : "10.244.0.9")]],
                    ],
                ])))
    }
    pod(
        "web-1", labels: ["marathon.apus.dev/app": "shop.web", "marathon.apus.dev/instance": "i1"],
        annotations: [
            "ports.apus.dev/request": #"[{"name":"http","protocol":"tcp","port":0}]"#,
            "ports.apus.dev/assigned": "31005",
        ])
    pod(
        "task-1", labels: ["mesos.apus.dev/framework-id": "f-0000"],
        annotations: [
            "mesos.apus.dev/agent-id": "m-S4",
            "mesos.apus.dev/task":
                #"{"name":"my.job_1","task_id":{"value":"t1"},"resources":[{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":31010,"end":31011}]}}]}"#,
        ])
    pod(
        "task-2", labels: ["mesos.apus.dev/framework-id": "f-0000"],
        annotations: [
            "mesos.apus.dev/task":
                #"{"name":"x","task_id":{"value":"t2"},"discovery":{"name":"Api","ports":{"ports":[{"number":9000,"name":"admin","protocol":"udp","labels":{"labels":[{"key":"VIP_0","value":"/api:80"}]}}]}}}"#
        ], hostNetwork: false)
    pod(
        "named", labels: ["marathon.apus.dev/app": "shop.named"],
        annotations: [
            "ports.apus.dev/request": #"[{"name":"port-0","port":0},{"name":"port-1","protocol":"udp,tcp","port":0}]"#,
            "ports.apus.dev/assigned": "31020,31021",
            "mesos.apus.dev/task":
                #"{"name":"named.shop","task_id":{"value":"t3"},"discovery":{"name":"named.shop","ports":{"ports":[{"number":0,"assigned":0,"protocol":"tcp","name":"http"},{"number":0,"assigned":1,"protocol":"udp","name":"admin"},{"number":0,"assigned":1,"protocol":"tcp","name":"admin"}]}}}"#,
        ])
    pod("done", phase: "Succeeded")
    pod("plain", hostNetwork: false)
    zone.setFramework("f-0000", name: "My.Framework")
    zone.setAgent("n1", id: "m-S4")
    zone.setNode("n1", address: "10.0.0.7")
    return zone
}

private func texts(_ name: String, _ type: DNSType, in zone: MesosZone = zone()) -> [String]? {
    guard let response = zone.answer(DNSQuestion(name: DNSName(name), type: type, recordClass: 1)),
        response.code == .noError
    else { return nil }
    return response.answers.map {
        switch $0.data {
        case .address(let bytes): bytes.map(String.init).joined(separator: ".")
        case .service(let priority, let weight, let port, let target): "\(priority) \(weight) \(port) \(target)"
        case .name(let name, _): "\(name)"
        case .authority(let server, _, _, _): "\(server)"
        case .text(let text): text
        }
    }.sorted()
}

@Suite("Mesos names")
struct MesosZoneTests {
    @Test("A task's name is its container's address, under slave its agent's")
    func addresses() {
        #expect(texts("web-shop.marathon.mesos", .a) == ["10.0.0.7"])
        #expect(texts("WEB-shop.marathon.MESOS.", .a) == ["10.0.0.7"])
        #expect(texts("api.my.framework.mesos", .a) == ["10.244.0.9"])
        #expect(texts("api.my.framework.slave.mesos", .a) == ["10.0.0.7"])
        #expect(texts("my-job-1.my.framework.mesos", .a) == ["10.0.0.7"])
        #expect(texts("plain.kubernetes.mesos", .a) == ["10.244.0.9"])
        #expect(texts("plain.kubernetes.mesos", .aaaa) == [])
        #expect(texts("done.kubernetes.mesos", .a) == nil)
        #expect(texts("api.marathon.mesos", .a) == nil)
        #expect(texts("nothing.mesos", .a) == nil)
    }

    @Test("SRV records name one task each, with assigned ports at the agent and published ones at the container")
    func services() throws {
        let web = try #require(texts("_web-shop._tcp.marathon.mesos", .srv)?.first)
        #expect(web.hasPrefix("0 0 31005 web-shop-") && web.hasSuffix("-s4.marathon.slave.mesos."))
        let target = try #require(web.split(separator: " ").last)
        #expect(texts(String(target), .a) == ["10.0.0.7"])
        #expect(texts("_http._web-shop._tcp.marathon.mesos", .srv) == [web])
        #expect(texts("_web-shop._tcp.marathon.slave.mesos", .srv) == [web])
        #expect(texts("_web-shop._udp.marathon.mesos", .srv) == nil)
        #expect(texts("_my-job-1._tcp.my.framework.mesos", .srv)?.count == 2)
        let api = try #require(texts("_admin._api._udp.my.framework.mesos", .srv)?.first)
        #expect(api.hasPrefix("0 0 9000 api-") && api.hasSuffix("-s4.my.framework.mesos."))
    }

    @Test("Ports have the names that the app gave them, and the app its own name with dots, too")
    func named() throws {
        let http = try #require(texts("_http._named-shop._tcp.marathon.mesos", .srv)?.first)
        #expect(http.hasPrefix("0 0 31020 named-shop-"))
        #expect(texts("_admin._named-shop._udp.marathon.mesos", .srv)?.first?.hasPrefix("0 0 31021 ") == true)
        #expect(texts("_named-shop._tcp.marathon.mesos", .srv)?.count == 2)
        #expect(texts("_port-0._named-shop._tcp.marathon.mesos", .srv) == nil)
        #expect(texts("named.shop.marathon.mesos", .a) == ["10.0.0.7"])
        #expect(texts("named.shop.marathon.slave.mesos", .a) == ["10.0.0.7"])
        #expect(texts("_http._named.shop._tcp.marathon.mesos", .srv) == [http])
        #expect(texts("named.other.marathon.mesos", .a) == nil)
    }

    @Test("The master, the agents, the frameworks and the zone itself have names")
    func special() {
        #expect(texts("leader.mesos", .a) == ["10.0.0.1"])
        #expect(texts("master.mesos", .a) == ["10.0.0.1"])
        #expect(texts("slave.mesos", .a) == ["10.0.0.7"])
        #expect(texts("_leader._tcp.mesos", .srv) == ["0 0 5050 leader.mesos."])
        #expect(texts("_slave._tcp.mesos", .srv) == ["0 0 5051 slave.mesos."])
        #expect(texts("my.framework.mesos", .a) == ["10.0.0.1"])
        #expect(texts("mesos", .soa) == ["ns1.mesos."])
        #expect(texts("mesos", .ns) == ["ns1.mesos."])
        #expect(zone().answer(DNSQuestion(name: DNSName("example.org"), type: .a, recordClass: 1)) == nil)
    }

    @Test("DC/OS's zones say which network, and virtual names balance")
    func directory() {
        #expect(texts("api.my.framework.containerip.dcos.thisdcos.directory", .a) == ["10.244.0.9"])
        #expect(texts("api.my.framework.agentip.dcos.thisdcos.directory", .a) == ["10.0.0.7"])
        #expect(texts("web-shop.marathon.autoip.dcos.thisdcos.directory", .a) == ["10.0.0.7"])
        let zone = zone()
        #expect(
            texts("api.my.framework.l4lb.thisdcos.directory", .a, in: zone) == [
                NamedVIP.address(name: "api", framework: "my.framework")
            ])
        let service = ObjectKey(namespace: "default", name: "vip")
        zone.setVirtual(service, names: ["api.my.framework"], addresses: ["10.96.0.9"])
        #expect(texts("api.my.framework.l4lb.thisdcos.directory", .a, in: zone) == ["10.96.0.9"])
        zone.setVirtual(service, names: [], addresses: [])
        #expect(texts("other.my.framework.l4lb.thisdcos.directory", .a, in: zone) == nil)
    }

    @Test("A task that ends takes its names along")
    func ends() {
        let zone = zone()
        zone.remove(ObjectKey(namespace: "default", name: "web-1"))
        #expect(texts("web-shop.marathon.mesos", .a, in: zone) == nil)
    }

    @Test("The HTTP API knows the same names")
    func api() throws {
        let names = MesosNamesAPI(zone: zone(), version: "1", port: 8123)
        #expect(names.hosts("web-shop.marathon.mesos") == [["host": "web-shop.marathon.mesos.", "ip": "10.0.0.7"]])
        #expect(names.hosts("no.marathon.mesos") == [["host": "", "ip": ""]])
        let service = names.services("_web-shop._tcp.marathon.mesos.")[0]
        #expect(service["ip"].string == "10.0.0.7" && service["port"].string == "31005")
        #expect(names.services("_no._tcp.mesos")[0]["port"].string == "")
        #expect(names.configuration["Domain"].string == "mesos")
    }
}
