import APIMachinery
import ClusterClient
import JSON
import ObjectModel
import Security
import Store
import Testing

@Suite struct AllocationTests {
    @Test("Services get an address, families and node ports; all are free again after a delete")
    func allocate() async throws {
        let cluster = try await Cluster()
        let plain = try await cluster.create(.services, Fixture.service("a")).tree["spec"]
        let address = try #require(plain["clusterIP"].string)
        #expect(CIDR("10.96.0.0/12")?.contains(try #require(IPAddress(address))) == true)
        #expect(plain["clusterIPs"] == [.string(address)])
        #expect(plain["ipFamilies"] == ["IPv4"] && plain["ipFamilyPolicy"].string == "SingleStack")
        let node = try await cluster.create(.services, Fixture.service("b", ["type": "NodePort"])).tree["spec"]
        #expect((30000...32767).contains(node["ports"][0]["nodePort"].int ?? 0))
        try await cluster.delete(.services, "a")
        let again = try await cluster.create(.services, Fixture.service("c", ["clusterIP": .string(address)]))
        #expect(again.tree["spec"]["clusterIP"].string == address)
    }

    @Test("What is taken is refused, in Kubernetes's words")
    func conflicts() async throws {
        let cluster = try await Cluster()
        try await cluster.create(
            .services,
            Fixture.service(
                "a", ["type": "NodePort", "clusterIP": "10.96.0.50", "ports": [["port": 80, "nodePort": 30080]]]))
        #expect(
            await message { try await cluster.create(.services, Fixture.service("b", ["clusterIP": "10.96.0.50"])) }
                == "422 Service \"b\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.50\"]: failed to allocate IP "
                + "10.96.0.50: provided IP is already allocated")
        #expect(
            await message {
                try await cluster.create(
                    .services, Fixture.service("b", ["type": "NodePort", "ports": [["port": 80, "nodePort": 30080]]]))
            }
                == "422 Service \"b\" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already "
                + "allocated")
        #expect(
            await message { try await cluster.create(.services, Fixture.service("b", ["clusterIP": "192.0.2.1"])) }
                .contains(
                    "not in the valid range"))
        #expect(
            await message { try await cluster.create(.services, Fixture.service("b", ["clusterIP": "10.96.0.1"])) }
                .contains(
                    "provided IP is already allocated"))
    }

    @Test("An update that leaves out what was allocated keeps it; a change of type lets go")
    func carryOver() async throws {
        let cluster = try await Cluster()
        let made = try await cluster.create(.services, Fixture.service("a", ["type": "NodePort"])).tree
        var body = Fixture.service("a", ["type": "NodePort"])
        body["metadata"]["labels"] = ["x": "y"]
        let kept = try await cluster.update(.services, body).tree
        #expect(kept["spec"]["clusterIP"] == made["spec"]["clusterIP"])
        #expect(kept["spec"]["ports"][0]["nodePort"] == made["spec"]["ports"][0]["nodePort"])
        #expect(
            await message {
                try await cluster.patch(
                    .services, "a", ["spec": ["clusterIP": "10.96.0.77", "clusterIPs": ["10.96.0.77"]]])
            }.contains("spec.clusterIPs[0]: Invalid value: \"10.96.0.77\": may not change once set"))
        let plain = try await cluster.patch(.services, "a", ["spec": ["type": "ClusterIP"]]).tree
        #expect(plain["spec"]["ports"][0]["nodePort"].isNull)
        let port = made["spec"]["ports"][0]["nodePort"]
        let other = try await cluster.create(
            .services, Fixture.service("b", ["type": "NodePort", "ports": [["port": 1, "nodePort": port]]]))
        #expect(other.tree["spec"]["ports"][0]["nodePort"] == port)
        let named = try await cluster.patch(
            .services, "b", ["spec": ["type": "ExternalName", "externalName": "example.com"]])
        #expect(named.tree["spec"]["clusterIP"].isNull)
    }

    @Test("Headless services have no address, and a dry run or a failed create holds none")
    func nothingHeld() async throws {
        let cluster = try await Cluster()
        let headless = try await cluster.create(.services, Fixture.service("h", ["clusterIP": "None"])).tree["spec"]
        #expect(headless["clusterIPs"] == ["None"])
        let body = Fixture.service("x", ["clusterIP": "10.96.1.1"])
        try await cluster.create(.services, body, RequestContext(user: .system, isDryRun: true))
        _ = await message {
            try await cluster.create(.services, Fixture.service("h", ["clusterIP": "10.96.1.1"]))
        }
        try await cluster.create(.services, body)
    }

    @Test("After a restart the stored services still hold what they hold")
    func restart() async throws {
        let store = MemoryStore()
        let before = try await Cluster(store: store)
        try await before.create(.services, Fixture.service("a", ["clusterIP": "10.96.0.60"]))
        await before.machinery.stop()
        let after = try await Cluster(store: store)
        #expect(
            await message { try await after.create(.services, Fixture.service("b", ["clusterIP": "10.96.0.60"])) }
                .contains(
                    "provided IP is already allocated"))
    }

    @Test("A new cluster has its namespaces, its services with endpoints, and its priority classes")
    func bootstrap() async throws {
        let cluster = try await Cluster {
            $0.apiEndpoint = .init(address: "192.0.2.10", port: 6443)
            $0.dnsEndpoint = .init(address: "192.0.2.10", port: 53)
        }
        #expect(
            try await cluster.list(.namespaces).items.map(\.name) == [
                "default", "kube-node-lease", "kube-public", "kube-system",
            ])
        let api = try await cluster.get(.services, "kubernetes").tree
        #expect(api["spec"]["clusterIP"].string == "10.96.0.1" && api["spec"]["ports"][0]["port"].int == 443)
        #expect(
            try await cluster.get(.endpoints, "kubernetes").tree["subsets"][0]["addresses"][0]["ip"].string
                == "192.0.2.10")
        let slice = try await cluster.get(.endpointSlices, "kubernetes").tree
        #expect(slice["endpoints"][0]["addresses"][0].string == "192.0.2.10")
        let dns = try await cluster.list(.services).items.first { $0.name == "kube-dns" }
        #expect(dns?.tree["spec"]["clusterIP"].string == "10.96.0.10")
    }

    @Test("The default roles are made once, put right at each start, and what was added to them stays")
    func accessBootstrap() async throws {
        let store = MemoryStore()
        let roles = GroupVersionResource(group: "rbac.authorization.k8s.io", version: "v1", resource: "clusterroles")
        let first = try await Cluster(store: store) { $0.bootstrapRBAC = DefaultRoles.all }
        #expect(try await first.list(roles).items.count == DefaultRoles.clusterRoles.count)
        let full = try await first.get(roles, "view").tree["rules"].elements
        await first.machinery.stop()
        let revision = try await store.currentRevision()
        let second = try await Cluster(store: store) { $0.bootstrapRBAC = DefaultRoles.all }
        #expect(try await store.currentRevision() == revision)
        let extra: JSON = ["verbs": ["get"], "apiGroups": ["example.com"], "resources": ["things"]]
        try await second.patch(roles, "system:basic-user", ["rules": [extra]])
        await second.machinery.stop()
        let third = try await Cluster(store: store) { $0.bootstrapRBAC = DefaultRoles.all }
        let rules = try await third.get(roles, "system:basic-user").tree["rules"].elements
        #expect(rules.contains(extra) && rules.count > 1)
        #expect(try await third.get(roles, "view").tree["rules"].elements == full)
    }
}
