import AsyncHTTPClient
import JSON
import NIOCore
import NIOHTTP1
import Testing

@testable import APIServer

@Suite struct ResourceTests {
    static let configMap =
        #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","labels":{"x":"1"}},"data":{"k":"v"}}"#
    static let path = "/api/v1/namespaces/default/configmaps"

    @Test("The verbs, over both HTTP versions", arguments: [false, true])
    func verbs(http1: Bool) async throws {
        try await TestServer.run { server in
            try await server.withClient(http1: http1) { client in
                let created = try await client.post(Self.path, Self.configMap)
                #expect(created.code == 201)
                #expect(created.version == (http1 ? .http1_1 : .http2))
                #expect(created.headers.first(name: "audit-id")?.utf8.count == 36)
                #expect(created.headers.first(name: "cache-control") == "no-cache, private")
                #expect(created.headers.contains(name: "x-kubernetes-pf-flowschema-uid"))
                #expect(try await client.post(Self.path, Self.configMap).json["reason"] == "AlreadyExists")

                let got = try await client.get(Self.path + "/a")
                #expect(got.json["data"]["k"] == "v")
                let list = try await client.get("/api/v1/configmaps?labelSelector=x%3D1").json
                #expect(list["kind"] == "ConfigMapList")
                #expect(list["items"].elements.count == 1)
                #expect(try await client.get(Self.path + "?labelSelector=x%3D2").json["items"] == [])

                let patched = try await client.send(
                    .PATCH, Self.path + "/a", ["Content-Type": "application/merge-patch+json"],
                    body: #"{"data":{"k":"w"}}"#)
                #expect(patched.json["data"]["k"] == "w")
                let renamed = try await client.send(.PUT, Self.path + "/b", [:], body: Self.configMap)
                #expect(renamed.code == 400)

                let deleted = try await client.send(.DELETE, Self.path + "/a").json
                #expect(deleted["status"] == "Success")
                #expect(deleted["details"]["kind"] == "configmaps")
                let missing = try await client.get(Self.path + "/a")
                #expect(missing.code == 404)
                #expect(missing.json["message"] == #"configmaps "a" not found"#)
            }
        }
    }

    @Test func formsOfAnObject() async throws {
        try await TestServer.run { server in
            try await server.withClient { client in
                _ = try await client.post(Self.path, Self.configMap)
                let table = try await client.get(
                    Self.path, ["Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"]
                ).json
                #expect(table["kind"] == "Table")
                #expect(table["rows"][0]["cells"][0] == "a")
                let partial = try await client.get(
                    Self.path,
                    [
                        "Accept":
                            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
                    ]
                ).json
                #expect(partial["kind"] == "PartialObjectMetadataList")
                #expect(partial["items"][0]["data"].isNull)
                #expect(partial["items"][0]["metadata"]["name"] == "a")
                let yaml = try await client.get(Self.path + "/a", ["Accept": "application/yaml"])
                #expect(yaml.headers.first(name: "content-type") == "application/yaml")
                #expect(yaml.text.contains("data:\n  k: \"v\"\n"))
                #expect(try await client.get(Self.path + "/a?pretty=true").text.contains("\n  \"data\": {"))
                #expect(try await client.get(Self.path, ["Accept": "application/xml"]).code == 406)
                #expect(try await client.get(Self.path, ["Accept": "text/html;q=0.1, */*;q=0.1"]).code == 200)
            }
        }
    }

    @Test func yamlAndOptionsOfWrites() async throws {
        try await TestServer.run { server in
            try await server.withClient { client in
                let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata:\n  a: \"1\"\n  b: |\n    x\n"
                let made = try await client.post(Self.path, yaml, ["Content-Type": "application/yaml"])
                #expect(made.json["data"]["b"] == "x\n")
                #expect(try await client.post(Self.path, yaml, ["Content-Type": "text/csv"]).code == 415)
                let dry = try await client.post(
                    Self.path + "?dryRun=All", Self.configMap.replacing(#""a""#, with: #""dry""#))
                #expect(dry.code == 201)
                #expect(try await client.get(Self.path + "/dry").code == 404)
                let double = try await client.post(
                    Self.path, #"{"metadata":{"name":"d"},"data":{"k":"1","k":"2"}}"#)
                #expect(double.headers.first(name: "warning") == #"299 - "duplicate field \"data.k\"""#)
                for (query, text) in [
                    ("dryRun=Some", "dryRun: Unsupported value: \"Some\": supported values: \"All\""),
                    ("fieldValidation=Maybe", "fieldValidation: Unsupported value: \"Maybe\""),
                ] {
                    let bad = try await client.post(Self.path + "?" + query, Self.configMap)
                    #expect(bad.code == 422)
                    #expect(bad.json["message"].string?.contains(text) == true)
                }
                let apply = try await client.send(
                    .PATCH, Self.path + "/y", ["Content-Type": "application/apply-patch+yaml"], body: "{}")
                #expect(
                    apply.json["message"]
                        == #"PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch"#
                )
                let strange = try await client.send(
                    .PATCH, Self.path + "/y", ["Content-Type": "text/plain"], body: "{}")
                #expect(strange.code == 415)
            }
        }
    }

    @Test func protobufBodies() async throws {
        // What kubectl sends for `create configmap foo --from-literal=a=b`.
        let hexadecimal =
            "6b3873000a0f0a02763112" + "09436f6e6669674d6170121d0a130a03666f6f12001a0022002a00320038004200"
            + "12060a01611201621a002200"
        let digits = Array(hexadecimal.utf8).map { $0 < 0x3A ? $0 - 0x30 : $0 - 0x61 + 10 }
        let bytes = stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
        try await TestServer.run { server in
            try await server.withClient { client in
                var request = client.request(
                    .POST, Self.path,
                    [
                        "Content-Type": "application/vnd.kubernetes.protobuf",
                        "Accept": "application/json",
                    ])
                request.body = .bytes(ByteBuffer(bytes: bytes))
                let response = try await client.http.execute(request, timeout: .seconds(120))
                #expect(response.status == .created)
                let json = try await JSON.parse(Array(response.body.collect(upTo: 1 << 20).readableBytesView))
                #expect(json["data"] == ["a": "b"])
                #expect(json["metadata"]["generation"].isNull)
                #expect(json["metadata"]["creationTimestamp"].isNull)
            }
        }
    }

    @Test func bigListsAreStreamedAndCompressed() async throws {
        let backend = MemoryBackend()
        let text = String(repeating: "0123456789", count: 100)
        for index in 0..<3000 {
            backend.put(
                .configMaps,
                [
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": ["name": .string("c\(index)"), "namespace": "default"], "data": ["k": .string(text)],
                ])
        }
        try await TestServer.run(backend: backend) { server in
            try await server.withClient { client in
                let plain = try await client.get(Self.path)
                #expect(plain.json["items"].elements.count == 3000)
                let packed = try await client.get(Self.path, ["Accept-Encoding": "gzip"])
                #expect(packed.headers.first(name: "content-encoding") == "gzip")
                let table = try await client.get(Self.path, ["Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"])
                    .json
                #expect(table["rows"].elements.count == 3000)
                #expect(table["columnDefinitions"].elements.count > 1)
            }
            var configuration = HTTPClient.Configuration(tlsConfiguration: try TestServer.tls(admin: true))
            configuration.decompression = .enabled(limit: .none)
            let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
            let unpacked = try await Client(http: client, port: server.port).get(Self.path, ["Accept-Encoding": "gzip"])
            #expect(unpacked.json["items"].elements.count == 3000)
            try await client.shutdown()
        }
    }

    @Test("A watch delivers, ends in time, and leaves nothing behind", arguments: [false, true])
    func watch(http1: Bool) async throws {
        try await TestServer.run { server in
            try await server.withClient(http1: http1) { client in
                let response = try await client.http.execute(
                    client.request(.GET, Self.path + "?watch=1"), timeout: .seconds(120))
                // Headers come at once, before any event.
                #expect(response.status == .ok)
                _ = try await client.post(Self.path, Self.configMap)
                _ = try await client.send(.DELETE, Self.path + "/a")
                var text = ""
                for try await part in response.body {
                    text += String(buffer: part)
                    if text.contains("DELETED") { break }
                }
                let events = text.split(separator: "\n").compactMap { try? JSON.parse(String($0)) }
                #expect(events.compactMap { $0["type"].string } == ["ADDED", "DELETED"])
                #expect(events[0]["object"]["data"]["k"] == "v")
                let short = try await client.get(Self.path + "?watch=true&timeoutSeconds=1")
                #expect(short.code == 200)
                let old = try await client.get(Self.path + "?watch=1&resourceVersion=1")
                #expect(old.json["type"] == "ERROR" && old.json["object"]["code"] == 410)
                let table = try await client.get(
                    "/api/v1/watch/namespaces/default/configmaps?timeoutSeconds=1",
                    ["Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"])
                #expect(table.code == 200)
            }
            // The first watch was left without a word.
            try await eventually("the watch is freed") { server.backend.watcherCount == 0 }
        }
    }

    @Test("A stopped server ends watches in good order", arguments: [false, true])
    func stop(http1: Bool) async throws {
        try await TestServer.run { server in
            try await server.withClient(http1: http1) { client in
                let response = try await client.http.execute(
                    client.request(.GET, Self.path + "?watch=1"), timeout: .seconds(120))
                server.stop()
                // HTTP/1.1 shows whether the end is a regular one; this client drops it on HTTP/2 when GOAWAY follows.
                do {
                    for try await _ in response.body {}
                } catch {
                    #expect(!http1, "\(error)")
                }
            }
            #expect(server.backend.watcherCount == 0)
        }
    }
}
