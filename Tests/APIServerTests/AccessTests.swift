import AsyncHTTPClient
import Glibc
import JSON
import NIOHTTP1
import NIOSSL
import Security
import Testing

@testable import APIServer

@Suite struct AccessTests {
    @Test func whoMayDoWhat() async throws {
        try await TestServer.run { server in
            try await server.withClient(admin: false) { client in
                let nobody = try await client.get("/api/v1/secrets")
                #expect(nobody.code == 403)
                #expect(
                    nobody.json["message"]
                        == #"secrets is forbidden: User "system:anonymous" cannot list resource "secrets" in API group "" at the cluster scope"#
                )
                #expect(
                    try await client.get("/metrics").json["message"]
                        == #"forbidden: User "system:anonymous" cannot get path "/metrics""#)
                #expect(try await client.get("/healthz").text == "ok")
                let bad = try await client.get("/healthz", ["Authorization": "Bearer wrong"])
                #expect(bad.code == 401)
                #expect(bad.json["reason"] == "Unauthorized")
                let reader: HTTPHeaders = ["Authorization": "Bearer user-reader", "Content-Type": "application/json"]
                #expect(try await client.get("/api/v1/secrets", reader).code == 200)
                let write = try await client.post("/api/v1/namespaces/x/secrets", "{}", reader)
                #expect(
                    write.json["message"]
                        == #"secrets is forbidden: User "reader" cannot create resource "secrets" in API group "" in the namespace "x""#
                )
                var acting = reader
                acting.add(name: "Impersonate-User", value: "root")
                #expect(try await client.get("/api/v1/secrets", acting).code == 403)
            }
            try await server.withClient { client in
                let me = try await client.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}")
                #expect(me.code == 201)
                #expect(me.json["status"]["userInfo"]["username"] == "kubernetes-admin")
                #expect(me.json["status"]["userInfo"]["groups"].elements.contains("system:masters"))
                let table = try await client.post(
                    "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}",
                    ["Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"])
                #expect(table.code == 406)
                let acted = try await client.post(
                    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                    #"{"spec":{"resourceAttributes":{"verb":"create","resource":"pods"}}}"#,
                    ["Impersonate-User": "reader"])
                // The impersonated user may not even ask here.
                #expect(acted.code == 403)
                let review = try await client.post(
                    "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                    #"{"spec":{"user":"reader","resourceAttributes":{"verb":"get","resource":"pods"}}}"#)
                #expect(review.json["status"]["allowed"] == true)
                let token = try await client.post(
                    "/apis/authentication.k8s.io/v1/tokenreviews", #"{"spec":{"token":"user-x"}}"#)
                #expect(token.json["status"]["authenticated"] == true)
                let rules = try await client.post(
                    "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", #"{"spec":{"namespace":"a"}}"#)
                #expect(rules.json["status"]["resourceRules"].elements.count == 1)
            }
        }
    }

    @Test("A certificate of a stranger is answered with 401, and does not shut out a token")
    func foreignCertificate() async throws {
        var template = Array("/tmp/apiserver-foreign-XXXXXX".utf8CString)
        let directory = try #require(mkdtemp(&template).map { String(cString: $0) })
        let stranger = try ClusterPKI.loadOrCreate(directory: directory).adminCertificate()
        try await TestServer.run { server in
            var tls = try TestServer.tls(admin: false)
            tls.certificateChain = try NIOSSLCertificate.fromPEMBytes(Array(stranger.certificatePEM.utf8)).map {
                .certificate($0)
            }
            tls.privateKey = .privateKey(
                try NIOSSLPrivateKey(bytes: Array(stranger.privateKeyPEM.utf8), format: .pem))
            try await server.withClient(tls) { client in
                let refused = try await client.get("/healthz")
                #expect(refused.code == 401 && refused.json["reason"] == "Unauthorized")
                let known = try await client.get("/api/v1/secrets", ["Authorization": "Bearer user-reader"])
                #expect(known.code == 200)
            }
        }
    }

    @Test func discoveryInBothForms() async throws {
        try await TestServer.run { server in
            try await server.withClient { client in
                #expect(try await client.get("/api").json["versions"] == ["v1"])
                let groups = try await client.get("/apis").json
                #expect(groups["groups"].elements.contains { $0["name"] == "apps" })
                let core = try await client.get("/api/v1").json["resources"].elements
                let eviction = core.first { $0["name"] == "pods/eviction" }
                #expect(eviction?["group"] == "policy")
                #expect(core.first { $0["name"] == "pods" }?["shortNames"] == ["po"])

                let wanted: HTTPHeaders = [
                    "Accept":
                        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
                ]
                let aggregated = try await client.get("/apis", wanted)
                #expect(aggregated.headers.first(name: "content-type")?.contains("as=APIGroupDiscoveryList") == true)
                let apps = aggregated.json["items"].elements.first { $0["metadata"]["name"] == "apps" }
                let deployments = apps?["versions"][0]["resources"].elements.first { $0["resource"] == "deployments" }
                #expect(deployments?["subresources"].elements.contains { $0["subresource"] == "scale" } == true)
                var again = wanted
                again.add(name: "If-None-Match", value: aggregated.headers.first(name: "etag") ?? "")
                #expect(try await client.get("/apis", again).code == 304)
                #expect(try await client.get("/apis/metrics.k8s.io/v1beta1").json["resources"].elements.count == 2)
            }
        }
    }

    @Test func openAPIAndOperations() async throws {
        try await TestServer.run(adjust: { $0.healthChecks = [HealthCheck("broken", endpoints: .readyz) { "why" }] }) {
            server in
            try await server.withClient { client in
                let index = try await client.get("/openapi/v3").json["paths"]
                let url = try #require(index["apis/apps/v1"]["serverRelativeURL"].string)
                let document = try await client.get(url)
                #expect(document.headers.first(name: "cache-control") == "public, immutable")
                #expect(document.json["openapi"].string?.hasPrefix("3.") == true)
                var tag: HTTPHeaders = [:]
                tag.add(name: "If-None-Match", value: document.headers.first(name: "etag") ?? "")
                #expect(try await client.get(url, tag).code == 304)

                #expect(try await client.get("/version").json["gitVersion"] == "v1.36.2")
                #expect(try await client.get("/livez?verbose").text.hasSuffix("livez check passed\n"))
                let ready = try await client.get("/readyz")
                #expect(ready.code == 500)
                #expect(ready.text.contains("[-]broken failed: reason withheld"))
                #expect(try await client.get("/readyz?exclude=broken").text == "ok")
                #expect(try await client.get("/readyz/broken").code == 500)
                let metrics = try await client.get("/metrics").text
                #expect(metrics.contains("apiserver_request_total{code=\"500\""))
                #expect(metrics.contains("process_resident_memory_bytes "))
                #expect(try await client.get("/").json["paths"].elements.contains("/apis/apps/v1"))
            }
        }
    }
}
