import JSON
import ObjectModel
import Testing

@testable import ClusterDNS

private func zone() -> ClusterZone {
    let zone = ClusterZone(domain: "cluster.local")
    func service(_ name: String, _ spec: JSON) {
        zone.put(
            ServiceRecordView(
                Object([
                    "apiVersion": "v1", "kind": "Service", "metadata": ["name": .string(name), "namespace": "shop"],
                    "spec": spec,
                ])))
    }
    service("web", ["clusterIPs": ["10.96.0.7"], "ports": [["name": "http", "port": 80, "protocol": "TCP"]]])
    service("db", ["clusterIPs": ["None"], "ports": [["name": "sql", "port": 5432]]])
    service("out", ["type": "ExternalName", "externalName": "web.shop.svc.cluster.local"])
    zone.put(
        SliceRecordView(
            Object([
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": ["name": "db-1", "namespace": "shop", "labels": ["kubernetes.io/service-name": "db"]],
                "addressType": "IPv4", "ports": [["name": "sql", "port": 5432, "protocol": "TCP"]],
                "endpoints": [
                    ["addresses": ["10.244.0.5"], "hostname": "db-0", "conditions": ["ready": true]],
                    ["addresses": ["10.244.0.6"], "conditions": ["ready": true]],
                    ["addresses": ["10.244.0.7"], "conditions": ["ready": false]],
                ],
            ])))
    return zone
}

private func ask(_ name: String, _ type: DNSType) -> DNSResponse? {
    zone().answer(DNSQuestion(name: DNSName(name), type: type, recordClass: 1))
}

@Suite("Cluster names (DNS specification 1.1.0)")
struct ClusterZoneTests {
    @Test("A service's name is its cluster address")
    func serviceAddress() throws {
        let response = try #require(ask("WEB.shop.svc.cluster.local.", .a))
        #expect(response.code == .noError)
        #expect(response.answers.map(\.data) == [.address([10, 96, 0, 7])])
    }

    @Test("A headless service's name is its ready endpoints, and each has a name of its own")
    func headless() throws {
        let all = try #require(ask("db.shop.svc.cluster.local", .a))
        #expect(Set(all.answers.map(\.data)) == [.address([10, 244, 0, 5]), .address([10, 244, 0, 6])])
        #expect(ask("db-0.db.shop.svc.cluster.local", .a)?.answers.map(\.data) == [.address([10, 244, 0, 5])])
        #expect(ask("10-244-0-6.db.shop.svc.cluster.local", .a)?.answers.map(\.data) == [.address([10, 244, 0, 6])])
        #expect(ask("10-244-0-7.db.shop.svc.cluster.local", .a)?.code == .nameError)
    }

    @Test("Named ports have SRV records")
    func services() throws {
        let response = try #require(ask("_http._tcp.web.shop.svc.cluster.local", .srv))
        #expect(
            response.answers.map(\.data) == [
                .service(priority: 0, weight: 100, port: 80, target: DNSName("web.shop.svc.cluster.local"))
            ])
        #expect(ask("_sql._tcp.db.shop.svc.cluster.local", .srv)?.answers.count == 2)
        #expect(ask("_none._tcp.web.shop.svc.cluster.local", .srv)?.code == .nameError)
    }

    @Test("External names are aliases; addresses lead back to names")
    func aliasAndReverse() throws {
        #expect(
            ask("out.shop.svc.cluster.local", .a)?.answers.map(\.data) == [
                .name(DNSName("web.shop.svc.cluster.local"), type: .cname)
            ])
        #expect(
            ask("7.0.96.10.in-addr.arpa", .ptr)?.answers.map(\.data) == [
                .name(DNSName("web.shop.svc.cluster.local"), type: .ptr)
            ])
        #expect(
            ask("5.0.244.10.in-addr.arpa", .ptr)?.answers.map(\.data) == [
                .name(DNSName("db-0.db.shop.svc.cluster.local"), type: .ptr)
            ])
    }

    @Test("What does not exist is a name error; another type of an existing name is empty; other domains are not ours")
    func negative() throws {
        #expect(ask("none.shop.svc.cluster.local", .a)?.code == .nameError)
        #expect(ask("web.none.svc.cluster.local", .a)?.code == .nameError)
        let empty = try #require(ask("web.shop.svc.cluster.local", .aaaa))
        #expect(empty.code == .noError && empty.answers.isEmpty && empty.authority.count == 1)
        #expect(ask("example.com", .a) == nil)
        #expect(ask("10-244-0-9.shop.pod.cluster.local", .a)?.answers.map(\.data) == [.address([10, 244, 0, 9])])
    }

    @Test("A removed slice takes its names along")
    func removal() {
        let zone = zone()
        let slice = SliceRecordView(Object(["metadata": ["name": "db-1", "namespace": "shop"]]))
        zone.removeSlice(slice)
        let answer = zone.answer(
            DNSQuestion(name: DNSName("db.shop.svc.cluster.local"), type: .a, recordClass: 1))
        #expect(answer?.answers.isEmpty == true)
    }
}
