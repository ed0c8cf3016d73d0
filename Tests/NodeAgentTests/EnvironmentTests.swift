import JSON
import ObjectModel
import Testing

@testable import NodeAgent

@Suite struct EnvironmentTests {
    @Test(arguments: [
        ("$(A)", "1"), ("$$(A)", "$(A)"), ("$(NONE)", "$(NONE)"), ("a$b", "a$b"), ("$$$$", "$$"),
        ("x$(A)y$(A)", "x1y1"),
        ("$(A", "$(A"), ("cost $", "cost $"), ("$$$(A)", "$1"),
    ])
    func expansion(text: String, result: String) {
        #expect(Expansion.expand(text) { $0 == "A" ? "1" : nil } == result)
    }

    private func service(_ namespace: String, _ name: String, _ ip: String, ports: JSON) -> ServiceView {
        ServiceView(
            Object([
                "apiVersion": "v1", "kind": "Service",
                "metadata": ["name": .string(name), "namespace": .string(namespace)],
                "spec": ["clusterIP": .string(ip), "ports": ports],
            ]))
    }
    private func builder(
        _ pod: Pod, services: [ServiceView] = [], configMaps: [String: JSON] = [:], secrets: [String: JSON] = [:]
    )
        -> EnvironmentBuilder
    {
        EnvironmentBuilder(
            pod: pod, services: services,
            fields: DownwardFields(
                pod: pod, addresses: PodAddresses(pod: ["10.1.0.2"], host: ["192.0.2.1"]), nodeMilliCPU: 2000,
                nodeMemory: 1 << 30),
            configMap: { configMaps[$0] }, secret: { secrets[$0] }, file: { _, _ in nil })
    }

    @Test("Later wins: services, then envFrom in order, then env, which sees what stands before it")
    func order() throws {
        let pod = makePod(containers: [
            [
                "name": "web", "image": "i",
                "envFrom": [
                    ["configMapRef": ["name": "one"]], ["prefix": "P_", "secretRef": ["name": "two"]],
                    ["configMapRef": ["name": "none", "optional": true]],
                ],
                "env": [
                    ["name": "A", "value": "own"], ["name": "B", "value": "$(A)-$(REDIS_SERVICE_HOST)-$(C)"],
                    ["name": "C", "value": "late"],
                    ["name": "IP", "valueFrom": ["fieldRef": ["fieldPath": "status.podIP"]]],
                    ["name": "CPU", "valueFrom": ["resourceFieldRef": ["resource": "limits.cpu"]]],
                ],
            ]
        ])
        let environment = try builder(
            pod,
            services: [
                service("ns", "redis", "10.96.0.9", ports: [["port": 6379, "protocol": "TCP"]]),
                service("default", "kubernetes", "10.96.0.1", ports: [["name": "https", "port": 443]]),
                service("other", "hidden", "10.96.0.8", ports: [["port": 1]]),
                service("ns", "headless", "None", ports: [["port": 1]]),
            ],
            configMaps: ["one": ["data": ["A": "from", "X": "x"]]], secrets: ["two": ["data": ["S": "c2VjcmV0"]]]
        ).build(pod.spec.containers[0])
        #expect(environment["A"] == "own")
        #expect(environment["B"] == "own-10.96.0.9-$(C)")
        #expect(environment["X"] == "x")
        #expect(environment["P_S"] == "secret")
        #expect(environment["IP"] == "10.1.0.2")
        #expect(environment["CPU"] == "2")
        #expect(environment["REDIS_PORT_6379_TCP"] == "tcp://10.96.0.9:6379")
        #expect(environment["KUBERNETES_SERVICE_PORT_HTTPS"] == "443")
        #expect(environment["HIDDEN_SERVICE_HOST"] == nil)
        #expect(environment["HEADLESS_SERVICE_HOST"] == nil)
    }

    static let missingCases: [(JSON, String)] = [
        (["name": "E", "valueFrom": ["configMapKeyRef": ["name": "m", "key": "k"]]], "configmap \"m\" not found"),
        (
            ["name": "E", "valueFrom": ["configMapKeyRef": ["name": "one", "key": "k"]]],
            "couldn't find key k in ConfigMap ns/one"
        ),
        (["name": "E", "valueFrom": ["secretKeyRef": ["name": "m", "key": "k"]]], "secret \"m\" not found"),
    ]

    @Test("What is missing is named", arguments: missingCases)
    func missing(entry: JSON, message: String) {
        let pod = makePod(containers: [["name": "web", "image": "i", "env": [entry]]])
        let error = #expect(throws: ConfigurationError.self) {
            try builder(pod, configMaps: ["one": ["data": [:]]]).build(pod.spec.containers[0])
        }
        #expect(error?.description == message)
    }

    @Test("Downward API: labels as quoted lines, resources rounded up by the divisor")
    func downward() throws {
        let pod = makePod(
            containers: [["name": "web", "image": "i", "resources": ["limits": ["cpu": "1500m", "memory": "100Mi"]]]],
            metadata: ["labels": ["b": "two \"x\"", "a": "1"]])
        let fields = builder(pod).fields
        #expect(try fields.field("metadata.labels") == "a=\"1\"\nb=\"two \\\"x\\\"\"")
        #expect(try fields.field("metadata.labels['a']") == "1")
        let web = pod.spec.containers[0]
        #expect(try fields.resource("limits.cpu", container: web, divisor: nil) == "2")
        #expect(try fields.resource("limits.cpu", container: web, divisor: Quantity("1m")) == "1500")
        #expect(try fields.resource("limits.memory", container: web, divisor: Quantity("1Mi")) == "100")
        #expect(throws: ConfigurationError.self) { try fields.field("spec.containers") }
    }
}

@Suite struct PodNetworkFilesTests {
    private func files(_ pod: Pod) -> PodNetworkFiles {
        PodNetworkFiles(pod: pod, clusterDomain: "cluster.local", clusterDNS: "10.96.0.10", nodeHostname: "node")
    }
    private let node = ResolverConfiguration("nameserver 1.1.1.1\nsearch example.org\noptions ndots:2 rotate\n")

    @Test("ClusterFirst asks the cluster, searches the namespace first")
    func clusterFirst() {
        let dns = files(makePod()).dns(node: node)
        #expect(dns.servers == ["10.96.0.10"])
        #expect(dns.searches == ["ns.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.org"])
        #expect(dns.options == ["ndots:5"])
    }

    @Test("Host network means the node's resolver unless asked otherwise; dnsConfig is merged")
    func policies() {
        #expect(files(makePod(spec: ["hostNetwork": true])).dns(node: node).servers == ["1.1.1.1"])
        let both = makePod(spec: ["hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"])
        #expect(files(both).dns(node: node).servers == ["10.96.0.10"])
        let config: JSON = ["nameservers": ["9.9.9.9"], "options": [["name": "ndots", "value": "1"]]]
        let merged = files(makePod(spec: ["dnsConfig": config])).dns(node: node)
        #expect(merged.servers == ["10.96.0.10", "9.9.9.9"])
        #expect(merged.options == ["ndots:1"])
        let none = files(makePod(spec: ["dnsPolicy": "None", "dnsConfig": config])).dns(node: node)
        #expect(none.servers == ["9.9.9.9"])
    }

    @Test("Hosts file: own name with its domain, then the aliases")
    func hosts() {
        let pod = makePod(spec: [
            "hostname": "h", "subdomain": "s", "hostAliases": [["ip": "1.2.3.4", "hostnames": ["a", "b"]]],
        ])
        let text = files(pod).hosts(addresses: ["10.1.0.2"], nodeHosts: "")
        #expect(text.hasPrefix("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"))
        #expect(text.contains("10.1.0.2\th.s.ns.svc.cluster.local\th\n"))
        #expect(text.hasSuffix("# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"))
    }
}
