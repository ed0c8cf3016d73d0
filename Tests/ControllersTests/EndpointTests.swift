import JSON
import ObjectModel
import Testing

@testable import Controllers

@Suite struct EndpointTests {
    private func pod(_ name: String, ip: String?, ready: Bool = true, status: JSON = [:], metadata: JSON = [:])
        -> PodView
    {
        var tree: JSON = [
            "apiVersion": "v1", "kind": "Pod",
            "metadata": [
                "name": .string(name), "namespace": "ns", "uid": .string("uid-" + name), "labels": ["app": "a"],
            ],
            "spec": [
                "nodeName": "n1",
                "containers": [["name": "c", "ports": [["name": "http", "containerPort": 8080, "protocol": "TCP"]]]],
            ],
            "status": [
                "phase": "Running", "conditions": [["type": "Ready", "status": .string(ready ? "True" : "False")]],
            ],
        ]
        if let ip { tree["status"]["podIPs"] = [["ip": .string(ip)]] }
        for (key, value) in status.members { tree["status"][key] = value }
        for (key, value) in metadata.members { tree["metadata"][key] = value }
        return PodView(Object(tree))
    }

    private func service(_ spec: JSON = [:]) -> ServiceView {
        var tree: JSON = [
            "apiVersion": "v1", "kind": "Service", "metadata": ["name": "web", "namespace": "ns"],
            "spec": [
                "selector": ["app": "a"],
                "ports": [["name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"]],
            ],
        ]
        for (key, value) in spec.members { tree["spec"][key] = value }
        return ServiceView(Object(tree))
    }

    private let http = SlicePort(name: "http", protocolName: "TCP", number: 8080)

    @Test("Ready, terminating, finished and addressless pods")
    func conditions() throws {
        let gone: JSON = ["deletionTimestamp": "2026-01-01T00:00:00Z"]
        let pods = [
            pod("a", ip: "10.0.0.1"), pod("b", ip: "10.0.0.2", ready: false), pod("c", ip: "10.0.0.3", metadata: gone),
            pod("d", ip: nil), pod("e", ip: "10.0.0.5", status: ["phase": "Succeeded"]),
        ]
        let groups = EndpointSelection.groups(of: service(), pods: pods) { _ in "z" }
        let endpoints = try #require(groups[SliceGroup(addressType: "IPv4", ports: [http])])
        #expect(endpoints.map(\.addresses) == [["10.0.0.1"], ["10.0.0.2"], ["10.0.0.3"]])
        #expect(endpoints.map(\.isReady) == [true, false, false])
        #expect(endpoints.map(\.isServing) == [true, false, true])
        #expect(endpoints.map(\.isTerminating) == [false, false, true])
        #expect(endpoints[0].zone == "z" && endpoints[0].nodeName == "n1")
        let all = EndpointSelection.groups(of: service(["publishNotReadyAddresses": true]), pods: pods) { _ in nil }
        #expect(all.values.joined().map(\.isReady) == [true, true, true])

        let (subsets, isCut) = EndpointSubsets.compute(of: service(), pods: pods)
        #expect(subsets.map { $0.ready.map(\.ip) } == [["10.0.0.1"]])
        #expect(subsets.map { $0.notReady.map(\.ip) } == [["10.0.0.2"]])
        #expect(!isCut)
        #expect(EndpointSubsets.compute(of: service(), pods: pods, capacity: 1).isCut)
    }

    @Test("A named target port is looked up in each pod; pods without it serve no port")
    func namedPorts() {
        let other = pod("b", ip: "10.0.0.2")
        let named = service(["ports": [["name": "x", "port": 1, "targetPort": "nope", "protocol": "TCP"]]])
        let groups = EndpointSelection.groups(of: named, pods: [other]) { _ in nil }
        #expect(groups.keys.map(\.ports) == [[]])
        #expect(EndpointSubsets.compute(of: named, pods: [other]).subsets.isEmpty)
    }

    @Test("A service without pods keeps one empty slice")
    func placeholder() {
        let groups = EndpointSelection.groups(of: service(), pods: []) { _ in nil }
        let empty = SliceGroup(addressType: "IPv4", ports: [])
        #expect(groups == [empty: []])
        #expect(SlicePlan.actions(desired: groups, existing: []) == [.create(empty, [])])
        let existing = SlicePlan.Slice(name: "s", group: empty, endpoints: [])
        #expect(SlicePlan.actions(desired: groups, existing: [existing]).isEmpty)
    }

    private func endpoint(_ index: Int, ready: Bool = true) -> SliceEndpoint {
        SliceEndpoint(addresses: ["10.0.\(index / 250).\(index % 250)"], isReady: ready)
    }

    @Test("Endpoints fill slices of one hundred, stay where they are, and only changed slices are written")
    func distribution() throws {
        let group = SliceGroup(addressType: "IPv4", ports: [http])
        let wanted = (0..<250).map { endpoint($0) }
        let created = SlicePlan.actions(desired: [group: wanted], existing: [])
        let sizes = created.map { action -> Int in if case .create(_, let list) = action { list.count } else { -1 } }
        #expect(sizes == [100, 100, 50])
        let slices = created.enumerated().map { index, action in
            guard case .create(let group, let list) = action else { fatalError("not a creation") }
            return SlicePlan.Slice(name: "s\(index)", group: group, endpoints: list)
        }
        #expect(SlicePlan.actions(desired: [group: wanted.reversed()], existing: slices).isEmpty)

        // One endpoint becomes unready: exactly its slice is written.
        var changed = wanted
        let moved = slices[1].endpoints[7]
        let index = try #require(changed.firstIndex(of: moved))
        changed[index].isReady = false
        let update = SlicePlan.actions(desired: [group: changed], existing: slices)
        var expected = slices[1].endpoints
        expected[7].isReady = false
        #expect(update == [.update(name: "s1", expected)])

        // One goes and one comes: the newcomer takes the place in the slice that changes anyway.
        let swapped = wanted.filter { $0 != moved } + [endpoint(900)]
        let swap = SlicePlan.actions(desired: [group: swapped], existing: slices)
        #expect(swap.count == 1)
        if case .update(let name, let list) = try #require(swap.first) {
            #expect(name == "s1" && list.count == 100 && list.contains(endpoint(900)))
        }
        // Nothing left: one slice is emptied of everything else.
        #expect(SlicePlan.actions(desired: [:], existing: slices) == ["s0", "s1", "s2"].map { .delete(name: $0) })
    }

    @Test("Hand-made Endpoints are mirrored by family")
    func mirrored() {
        let subset = EndpointSubset([
            "addresses": [["ip": "1.2.3.4"], ["ip": "fd00::1"]], "notReadyAddresses": [["ip": "1.2.3.5"]],
            "ports": [["port": 8080, "protocol": "TCP", "name": "http"]],
        ])
        let groups = EndpointMirroringController.groups([subset])
        #expect(groups[SliceGroup(addressType: "IPv4", ports: [http])]?.map(\.isReady) == [true, false])
        #expect(groups[SliceGroup(addressType: "IPv6", ports: [http])]?.count == 1)
    }
}
