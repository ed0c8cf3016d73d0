import Foundation
import JSON
import ObjectModel
import Testing

@testable import ServiceNetwork

@Suite("Ingress")
struct IngressTests {
    private func ingress(
        _ name: String, _ spec: JSON, annotations: JSON = [:], created: String = "2026-01-01T00:00:00Z"
    )
        -> IngressView
    {
        IngressView(
            Object([
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "metadata": [
                    "name": .string(name), "namespace": "shop", "annotations": annotations,
                    "creationTimestamp": .string(created),
                ],
                "spec": spec,
            ]))
    }
    private func path(_ path: String, _ type: String = "Prefix", service: String = "web") -> JSON {
        [
            "path": .string(path), "pathType": .string(type),
            "backend": ["service": ["name": .string(service), "port": ["number": 80]]],
        ]
    }
    private func compiler(
        _ ingresses: [IngressView], apps: [BalancedApp] = [], instances: [String: [BalancedInstance]] = [:]
    ) -> IngressCompiler {
        let slice = SliceView(
            Object([
                "metadata": ["name": "s", "namespace": "shop", "labels": ["kubernetes.io/service-name": "web"]],
                "addressType": "IPv4", "ports": [["name": "http", "port": 8080, "protocol": "TCP"]],
                "endpoints": [
                    ["addresses": ["10.244.0.3"], "conditions": ["ready": true]],
                    ["addresses": ["10.244.0.2"], "conditions": ["ready": true]],
                    ["addresses": ["10.244.0.4"], "conditions": ["ready": false]],
                ],
            ]))
        let service = ServiceView(
            Object([
                "metadata": ["name": "web", "namespace": "shop"],
                "spec": ["clusterIP": "None", "ports": [["name": "http", "port": 80, "protocol": "TCP"]]],
            ]))
        return IngressCompiler(
            httpPort: 8000, httpsPort: 8443, ingresses: ingresses,
            service: { $0.name == "web" ? service : nil },
            slices: { $0.name == "web" ? [slice].compactMap(\.self) : [] },
            certificate: { _ in nil }, apps: apps, instances: instances)
    }

    @Test("Paths of hosts lead to the ready endpoints of their service; the older of two has its way")
    func routes() {
        let plan = compiler([
            ingress(
                "late", ["rules": [["host": "A.example.org", "http": ["paths": [path("/x", service: "other")]]]]],
                created: "2026-02-01T00:00:00Z"),
            ingress(
                "early",
                [
                    "rules": [
                        ["host": "a.example.org", "http": ["paths": [path("/x"), path("/y", "Exact")]]],
                        ["http": ["paths": [path("/")]]],
                    ]
                ]),
        ]).plan()
        #expect(plan.routes.map(\.host) == ["a.example.org", "a.example.org", ""])
        #expect(Set(plan.routes.map(\.backend)).count == 1)
        #expect(
            plan.backends[plan.routes[0].backend]?.servers == [
                .init(address: "10.244.0.2", port: 8080), .init(address: "10.244.0.3", port: 8080),
            ])
    }

    @Test("What users write cannot become configuration")
    func injection() {
        #expect(BalancerText.host("a.b\n  bind *:1") == nil)
        #expect(BalancerText.host("*.Example.org") == "*.example.org")
        #expect(BalancerText.path("/a b") == nil)
        #expect(BalancerText.path("/a\n") == nil)
        #expect(BalancerText.plainPath("/a%[env(x)]") == nil)
        #expect(BalancerText.address("1.2.3.4 ssl") == nil)
        let plan = compiler([ingress("i", ["rules": [["host": "a b", "http": ["paths": [path("/")]]]]])]).plan()
        #expect(plan.routes.isEmpty)
    }

    private func app(_ labels: JSON) throws -> BalancedApp {
        try #require(
            BalancedApp(
                Object([
                    "metadata": ["name": "shop.web"],
                    "spec": [
                        "id": "/shop/web", "labels": labels,
                        "portDefinitions": [["port": 10101, "protocol": "tcp"], ["port": 10102]],
                    ],
                ])))
    }
    private func instance() -> BalancedInstance {
        BalancedInstance(
            Object([
                "metadata": [
                    "name": "i", "namespace": "default", "labels": ["marathon.apus.dev/app": "shop.web"],
                    "annotations": ["ports.apus.dev/assigned": "31001,31002"],
                ],
                "status": [
                    "phase": "Running", "hostIP": "192.0.2.1",
                    "conditions": [["type": "Ready", "status": "True"]],
                ],
            ]))
    }

    @Test("Labels of marathon-lb give service ports and virtual hosts")
    func marathon() throws {
        let app = try app([
            "HAPROXY_GROUP": "external", "HAPROXY_0_VHOST": "one.example.org,two.example.org",
            "HAPROXY_0_STICKY": "true",
            "HAPROXY_1_MODE": "tcp", "HAPROXY_1_PORT": "9999", "HAPROXY_1_BALANCE": "leastconn\n    bind *:1",
        ])
        let plan = compiler([], apps: [app], instances: ["shop.web": [instance()]]).plan()
        #expect(plan.routes.map(\.host) == ["one.example.org", "two.example.org"])
        #expect(plan.listeners.map(\.port) == [10101, 9999])
        #expect(plan.listeners.map(\.isHTTP) == [true, false])
        let backends = plan.listeners.compactMap { plan.backends[$0.backend] }
        #expect(
            backends.map(\.servers) == [
                [.init(address: "192.0.2.1", port: 31001)], [.init(address: "192.0.2.1", port: 31002)],
            ])
        #expect(backends.map(\.isSticky) == [true, false])
        #expect(backends.map(\.balance) == ["roundrobin", "roundrobin"])
        #expect(BalancedApp(Object(["metadata": ["name": "x"], "spec": ["id": "/x", "labels": ["a": "b"]]])) == nil)
    }

    @Test("The real program takes what is written", .enabled(if: BalancerProcess.isInstalled))
    func configuration() async throws {
        let folder = "/tmp/apus-ingress-\(UInt32.random(in: 0...UInt32.max))"
        let app = try app([
            "HAPROXY_GROUP": "external", "HAPROXY_0_VHOST": "one.example.org", "HAPROXY_0_STICKY": "true",
            "HAPROXY_0_REDIRECT_TO_HTTPS": "true", "HAPROXY_0_USE_HSTS": "true",
            "HAPROXY_0_HTTP_BACKEND_PROXYPASS_PATH": "/inner/", "HAPROXY_1_STICKY": "true",
        ])
        var plan = compiler(
            [
                ingress(
                    "i", ["defaultBackend": path("/")["backend"]]),
                ingress(
                    "j", ["rules": [["host": "*.example.org", "http": ["paths": [path("/a", "Exact"), path("/b")]]]]]),
            ], apps: [app], instances: ["shop.web": [instance()]]
        ).plan()
        let process = BalancerProcess(directory: folder)
        plan.httpPort = 18_088
        plan.listeners = []
        defer {
            process.stop()
            // It holds what it needs of them open.
            try? FileManager.default.removeItem(atPath: folder)
        }
        try await process.apply(plan)
        let first = try #require(process.runningProcess)
        #expect(process.heldPorts == [18_088])
        plan.routes = []
        try await process.apply(plan)
        #expect(process.runningProcess == first, "a reload keeps the master")
        #expect(await !process.accepts("no certificate"))
        // While it executes itself again it is the same process, whenever one looks.
        for _ in 0..<20 {
            try await process.apply(plan)
            #expect(process.runningProcess == first)
        }
        // Who ended between its start and the record of it finds it, too.
        try FileManager.default.removeItem(atPath: "\(folder)/master")
        for _ in 0..<500 where process.runningProcess != first { try await Task.sleep(for: .milliseconds(10)) }
        #expect(process.runningProcess == first)
        plan.defaultBackend = "nowhere"
        await #expect(throws: (any Error).self) { try await process.apply(plan) }
        #expect(process.runningProcess == first)
    }
}
