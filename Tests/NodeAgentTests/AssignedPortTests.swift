import ContainerRuntime
import JSON
import Testing

@testable import NodeAgent

@Suite("Host ports that the scheduler chose")
struct AssignedPortTests {
    private static let request = """
        [{"name":"web","protocol":"tcp","port":0,"containerPort":80},{"protocol":"udp,tcp","containerPort":0},{"port":0}]
        """

    private func pod(hostNetwork: Bool) -> Pod {
        makePod(
            spec: ["hostNetwork": .bool(hostNetwork)],
            containers: [["name": "c", "image": "i", "ports": [["name": "own", "containerPort": 7]]]],
            metadata: [
                "annotations": [
                    "ports.apus.dev/request": .string(Self.request), "ports.apus.dev/assigned": "31005,31006,31007",
                ]
            ])
    }

    @Test("Probes find them by index and by name: on the host, or where the container listens")
    func probes() throws {
        let onHost = try #require(pod(hostNetwork: true).container(named: "c"))
        #expect(Handler.port("web", of: onHost) == 31005)
        #expect(Handler.port("ports.apus.dev/1", of: onHost) == 31006)
        #expect(Handler.port("own", of: onHost) == 7)
        #expect(Handler.port("ports.apus.dev/3", of: onHost) == nil)
        let alone = try #require(pod(hostNetwork: false).container(named: "c"))
        #expect(Handler.port("web", of: alone) == 80)
        #expect(Handler.port("ports.apus.dev/1", of: alone) == 31006, "0 means the same number")
        #expect(Handler.port("ports.apus.dev/2", of: alone) == 31007)
    }

    @Test("A pod with the node's network takes them for itself; another pod with the same one is refused")
    func admission() {
        let node = PodAdmission.Node(labels: [:], name: "n1", allocatable: [:])
        let other = makePod(metadata: ["annotations": ["ports.apus.dev/assigned": "31006"]])
        #expect(PodAdmission.check(pod(hostNetwork: true), node: node, others: [other])?.reason == "NodePorts")
        let apart = makePod(metadata: ["annotations": ["ports.apus.dev/assigned": "31008"]])
        #expect(PodAdmission.check(pod(hostNetwork: true), node: node, others: [apart]) == nil)
    }
}
