import JSON
import NIOCore
import NIOHTTP1
import ObjectModel
import Synchronization
import Testing

@testable import APIServer

@Suite struct BadInputTests {
    static let path = "/api/v1/namespaces/default/configmaps"

    @Test func bodiesThatMakeNoSense() async throws {
        try await TestServer.run { server in
            try await server.withClient { client in
                let deep = String(repeating: "[", count: 10_000) + String(repeating: "]", count: 10_000)
                let bomb = "a: &a [x]\n" + (0..<40).map { "k\($0): *a\n" }.joined()
                for (body, type) in [
                    (#"{"metadata":"#, "application/json"), ("nonsense", "application/json"), ("", "application/json"),
                    (#"{"data":\#(deep)}"#, "application/json"), (deep, "application/yaml"),
                    ("[1]", "application/json"),
                    ("a: b: c: [", "application/yaml"), (bomb, "application/yaml"),
                    ("a: 1\na: 2\n", "application/yaml"),
                    (#"{"kind":"Secret"}"#, "application/json"), (#"{"apiVersion":"v2"}"#, "application/json"),
                    (#"{"metadata":{"namespace":"other"}}"#, "application/json"),
                ] {
                    let answer = try await client.post(Self.path, body, ["Content-Type": type])
                    #expect(answer.code == 400, "\(body.prefix(40))")
                    #expect(answer.json["reason"] == "BadRequest")
                }
                let protobuf = try await client.post(
                    Self.path, "k8s\0\u{12}\u{7F}", ["Content-Type": "application/vnd.kubernetes.protobuf"])
                #expect(protobuf.code == 400)
            }
        }
    }

    @Test("Bodies over 3 MiB are refused, with and without a declared length", arguments: [false, true])
    func tooMuch(http1: Bool) async throws {
        try await TestServer.run { server in
            try await server.withClient(http1: http1) { client in
                let big = String(repeating: "x", count: (3 << 20) + 1)
                let answer = try await client.post(Self.path, big)
                #expect(answer.code == 413)
                #expect(answer.json["message"].string?.contains("limit is 3145728") == true)
            }
            let piece = "100000\r\n" + String(repeating: "x", count: 0x10_0000) + "\r\n"
            let chunked = try await RawClient.connect(server).exchange(
                [Array("POST \(Self.path) HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)]
                    + Array(repeating: Array(piece.utf8), count: 4),
                until: { $0.contains("3145728") })
            #expect(chunked.hasPrefix("HTTP/1.1 413 "))
        }
    }

    @Test func pathsAndQueriesThatMakeNoSense() async throws {
        try await TestServer.run { server in
            try await server.withClient { client in
                for path in [
                    "/nothing", "/apis/nothing", "/apis/nothing/v1/things", "/api/v2", "/openapi/v3/apis/nothing/v1",
                ] {
                    let answer = try await client.get(path)
                    #expect(answer.code == 404)
                    #expect(answer.text == "404 page not found\n")
                }
                for path in [
                    "/api/v1/things", "/apis/apps/v1/namespaces/a/deployments/d/nothing", "/api/v1/namespaces/x/nodes",
                ] {
                    #expect(
                        try await client.get(path).json["message"] == "the server could not find the requested resource"
                    )
                }
                #expect(try await client.post("/api/v1/configmaps", "{}").code == 405)
                #expect(try await client.send(.DELETE, "/api/v1/namespaces").code == 405)
                #expect(try await client.send(.OPTIONS, Self.path).code == 405)
                for query in [
                    "labelSelector=a%20in%20(", "labelSelector=%3D%3D", "fieldSelector=nothing%3D1",
                    "fieldSelector=metadata.name", "limit=-1", "limit=x", "continue=x&resourceVersion=5",
                    "watch=1&timeoutSeconds=x", "timeout=soon", "resourceVersion=x",
                ] {
                    let answer = try await client.get(Self.path + "?" + query)
                    #expect(answer.code == 400, "\(query)")
                    #expect(answer.json["reason"] == "BadRequest")
                }
                for query in [
                    "resourceVersionMatch=Exact", "sendInitialEvents=true", "watch=1&resourceVersion=x",
                    "resourceVersion=0&resourceVersionMatch=Exact", "watch=1&resourceVersionMatch=Exact",
                    "watch=1&sendInitialEvents=true",
                ] {
                    #expect(try await client.get(Self.path + "?" + query).code == 422, "\(query)")
                }
                let both = try await client.send(
                    .DELETE, Self.path + "/a", [:], body: #"{"orphanDependents":true,"propagationPolicy":"Orphan"}"#)
                #expect(both.code == 422)
            }
        }
    }

    @Test func bytesThatAreNoHTTP() async throws {
        try await TestServer.run { server in
            let garbage = try await RawClient.connect(server).exchange("\u{1}\u{2}garbage\r\n\r\n")
            #expect(garbage.hasPrefix("HTTP/1.1 400 "))
            let header = "X: " + String(repeating: "y", count: 1 << 16) + "\r\n"
            let large = try await RawClient.connect(server).exchange(
                "GET /healthz HTTP/1.1\r\nHost: x\r\n" + String(repeating: header, count: 20) + "\r\n")
            #expect(large.hasPrefix("HTTP/1.1 431 "))
            let pipelined = try await RawClient.connect(server).exchange(
                "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            #expect(pipelined.components(of: "HTTP/1.1 200 OK") == 2)
            #expect(pipelined.contains("gitVersion"))
            let old = try await RawClient.connect(server).exchange("GET /healthz HTTP/1.0\r\n\r\n")
            #expect(old.hasSuffix("ok"))
            let patient = try await RawClient.connect(server).exchange(
                "POST \(Self.path) HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
                until: { $0.contains("100") })
            #expect(patient.hasPrefix("HTTP/1.1 100 "))
        }
    }

    @Test func clientsThatAreSlowOrSilentAreCutOff() async throws {
        var limits = APIServerConfiguration.Limits()
        limits.headTimeout = .milliseconds(200)
        limits.bodyTimeout = .milliseconds(200)
        limits.idleTimeout = .milliseconds(200)
        try await TestServer.run(limits: limits) { server in
            // Each returns when the server closes.
            let half = try await RawClient.connect(server).exchange("GET /healthz HT")
            #expect(half == "")
            let body = try await RawClient.connect(server).exchange(
                "POST \(Self.path) HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
            #expect(body == "")
            let idle = try await RawClient.connect(server).exchange("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(idle.hasSuffix("ok"))
        }
    }

    @Test func manyIdleConnectionsDoNotHinderOthers() async throws {
        var limits = APIServerConfiguration.Limits()
        limits.connections = 300
        try await TestServer.run(limits: limits) { server in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<250 {
                    group.addTask { _ = try? await RawClient.connect(server).exchange("") }
                }
                try await server.withClient { client in
                    #expect(try await client.get("/healthz").text == "ok")
                    try await eventually("all are connected") {
                        let text = try await client.get("/metrics").text
                        let line = text.split(separator: "\n").first { $0.hasPrefix("apiserver_open_connections ") }
                        return line?.split(separator: " ").last.flatMap { Int($0) } ?? 0 > 250
                    }
                    #expect(try await client.get("/healthz").text == "ok")
                }
                group.cancelAll()
            }
        }
    }

    @Test func tooManyAtOnceAndTooLong() async throws {
        var limits = APIServerConfiguration.Limits()
        limits.readsInFlight = 2
        limits.waitingPerUser = 0
        let backend = MemoryBackend()
        let (entered, tell) = AsyncStream<Void>.makeStream()
        backend.gate.withLock {
            $0 = {
                tell.yield()
                try? await Task.sleep(for: .seconds(60))
            }
        }
        try await TestServer.run(limits: limits, backend: backend) { server in
            try await server.withClient { client in
                try await withThrowingTaskGroup(of: UInt.self) { group in
                    for _ in 0..<2 {
                        group.addTask { try await client.get(Self.path + "/a?timeout=3s").code }
                    }
                    var waiting = entered.makeAsyncIterator()
                    await waiting.next()
                    await waiting.next()
                    let refused = try await client.get("/version")
                    #expect(refused.code == 429)
                    #expect(refused.headers.first(name: "retry-after") == "1")
                    for try await code in group { #expect(code == 504) }
                }
            }
        }
    }

    @Test func aPortInUseIsSaidClearly() async throws {
        try await TestServer.run { server in
            var configuration = try TestServer.configuration()
            configuration.port = server.port
            let second = APIServer(
                configuration: configuration, backend: MemoryBackend(), authenticator: TestAuthenticator(),
                authorizer: TestAuthorizer(), nodes: FixedNodes(), logger: .init(label: "second"))
            let error = await #expect(throws: APIServerError.self) { try await second.run() }
            #expect(error?.code == .portInUse)
            #expect(error?.description.contains("is in use by another program") == true)
        }
    }
}

extension String {
    func components(of text: String) -> Int { ranges(of: text).count }
}
