import JSON
import NIOHTTP1
import ObjectModel
import Streaming
import Synchronization
import Testing

@testable import APIServer

/// A node whose containers echo: what is written to standard input comes back, and `exit N` as the command's last words
/// is how it ends.
struct EchoNode: NodeGateway {
    func logs(_ container: ContainerReference, options: LogOptions) async throws -> AsyncThrowingStream<
        [UInt8], any Error
    > {
        if container.pod.name == "starting" {
            throw StatusError.notFound(.init(group: "", resource: "pods"), name: "log")
        }
        let (stream, continuation) = AsyncThrowingStream<[UInt8], any Error>.makeStream(
            bufferingPolicy: .bufferingOldest(16))
        continuation.yield(Array("log of \(container.container) tail=\(options.tailLines ?? -1)\n".utf8))
        if !options.follow { continuation.finish() }
        return stream
    }
    func exec(_ container: ContainerReference, _ options: ExecOptions) async throws -> any ProcessSession {
        EchoSession(options)
    }
    func attach(_ container: ContainerReference, _ options: ExecOptions) async throws -> any ProcessSession {
        EchoSession(options)
    }
    func connect(_ pod: PodReference, port: Int) async throws -> any ByteConnection { EchoConnection() }
    func nodeUsage() async throws -> JSON {
        ["timestamp": "2026-01-01T00:00:00Z", "window": "10s", "usage": ["cpu": "250m", "memory": "1Mi"]]
    }
    func podUsage() async throws -> [JSON] {
        [
            [
                "metadata": ["namespace": "default", "name": "p"], "timestamp": "2026-01-01T00:00:00Z", "window": "10s",
                "containers": [["name": "a", "usage": ["cpu": "5m", "memory": "1Mi"]]],
            ]
        ]
    }
}

final class EchoSession: ProcessSession {
    let output: AsyncThrowingStream<ProcessOutput, any Error>
    private let sink: AsyncThrowingStream<ProcessOutput, any Error>.Continuation
    private let code: Int

    init(_ options: ExecOptions) {
        (output, sink) = AsyncThrowingStream.makeStream(bufferingPolicy: .bufferingOldest(1024))
        code = options.command.last.flatMap { Int($0) } ?? 0
        sink.yield(.standardOutput(Array("ran \(options.command.joined(separator: " "))\n".utf8)))
        if !options.stdin { sink.finish() }
    }
    func write(_ bytes: [UInt8]) async throws { sink.yield(.standardOutput(bytes)) }
    func closeInput() async throws { sink.finish() }
    func resize(width: UInt16, height: UInt16) async throws {}
    func exit() async throws -> ProcessExit { .code(code) }
    func close() async { sink.finish() }
}

final class EchoConnection: ByteConnection {
    let input: AsyncThrowingStream<[UInt8], any Error>
    private let sink: AsyncThrowingStream<[UInt8], any Error>.Continuation
    init() {
        (input, sink) = AsyncThrowingStream.makeStream(bufferingPolicy: .bufferingOldest(1024))
    }
    func write(_ bytes: [UInt8]) async throws { sink.yield(bytes) }
    func closeOutput() async throws { sink.finish() }
    func close() async { sink.finish() }
}

@Suite struct PodTests {
    static func backend() -> MemoryBackend {
        let backend = MemoryBackend()
        func pod(_ name: String, node: String?, _ containers: [String], _ status: JSON) {
            var spec: JSON = ["containers": .array(containers.map { ["name": .string($0), "image": "i"] })]
            if let node { spec["nodeName"] = .string(node) }
            backend.put(
                .pods,
                [
                    "apiVersion": "v1", "kind": "Pod", "spec": spec, "status": status,
                    "metadata": ["name": .string(name), "namespace": "default", "labels": ["app": .string(name)]],
                ])
        }
        pod("p", node: "n", ["a"], ["phase": "Running"])
        pod("two", node: "n", ["a", "b"], ["phase": "Running"])
        pod("done", node: "n", ["a"], ["phase": "Succeeded"])
        pod("nowhere", node: nil, ["a"], ["phase": "Pending"])
        pod("lost", node: "gone", ["a"], ["phase": "Running"])
        pod(
            "starting", node: "n", ["c"],
            ["containerStatuses": [["name": "c", "state": ["waiting": ["reason": "ContainerCreating"]]]]])
        backend.put(.nodes, ["apiVersion": "v1", "kind": "Node", "metadata": ["name": "n", "labels": ["x": "1"]]])
        return backend
    }
    static let pods = "/api/v1/namespaces/default/pods"

    @Test func logs() async throws {
        try await TestServer.run(nodes: FixedNodes(["n": EchoNode()]), backend: Self.backend()) { server in
            try await server.withClient { client in
                let log = try await client.get(Self.pods + "/p/log?tailLines=3")
                #expect(log.text == "log of a tail=3\n")
                #expect(log.headers.first(name: "content-type") == "text/plain")
                #expect(try await client.get(Self.pods + "/two/log?container=b").text == "log of b tail=-1\n")
                for (path, message) in [
                    ("/two/log", "a container name must be specified for pod two, choose one of: [a b]"),
                    ("/two/log?container=x", "container x is not valid for pod two"),
                    ("/starting/log", #"container "c" in pod "starting" is waiting to start: ContainerCreating"#),
                    ("/nowhere/log", "pod nowhere does not have a host assigned"),
                    ("/p/exec?command=ls&stdout=1", "Upgrade request required"),
                ] {
                    let answer = try await client.get(Self.pods + path)
                    #expect(answer.code == 400)
                    #expect(answer.json["message"].string == message)
                }
                #expect(try await client.get(Self.pods + "/lost/log").code == 503)
                #expect(try await client.get(Self.pods + "/p/log?tailLines=-1").code == 422)
                #expect(try await client.get(Self.pods + "/p/proxy/").code == 503)
            }
            // A followed log comes at once and goes on.
            let text = try await RawClient.connect(server).exchange(
                "GET \(Self.pods)/p/log?follow=true HTTP/1.1\r\nHost: x\r\n\r\n", until: { $0.contains("tail=-1\n") })
            #expect(text.contains("log of a"))
        }
    }

    @Test func usage() async throws {
        try await TestServer.run(nodes: FixedNodes(["n": EchoNode()]), backend: Self.backend()) { server in
            try await server.withClient { client in
                let path = "/apis/metrics.k8s.io/v1beta1"
                let node = try await client.get(path + "/nodes/n").json
                #expect(node["usage"]["cpu"] == "250m")
                #expect(node["metadata"]["labels"] == ["x": "1"])
                #expect(try await client.get(path + "/nodes/other").code == 404)
                let pods = try await client.get(path + "/namespaces/default/pods?labelSelector=app%3Dp").json
                #expect(pods["kind"] == "PodMetricsList")
                #expect(pods["items"][0]["containers"][0]["usage"]["memory"] == "1Mi")
                #expect(try await client.get(path + "/pods?labelSelector=app%3Dtwo").json["items"] == [])
            }
        }
        try await TestServer.run(backend: Self.backend()) { server in
            try await server.withClient { client in
                let nodes = try await client.get("/apis/metrics.k8s.io/v1beta1/nodes")
                #expect(nodes.json["items"] == [])
            }
        }
    }

    static func handshake(_ path: String, _ subprotocol: String) -> String {
        "GET \(path) HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: \(subprotocol)\r\n\r\n"
    }

    @Test func execOverWebSocket() async throws {
        try await TestServer.run(nodes: FixedNodes(["n": EchoNode()]), backend: Self.backend()) { server in
            // A masked message on channel 0 (`hi`), then the end of channel 0; sent with the handshake, before the answer.
            let message: [UInt8] = [0x82, 0x83, 0, 0, 0, 0, 0, 0x68, 0x69]
            let end: [UInt8] = [0x82, 0x82, 0, 0, 0, 0, 255, 0]
            let text = try await RawClient.connect(server).exchange(
                [
                    Array(
                        Self.handshake(
                            Self.pods + "/p/exec?command=sh&command=3&stdin=true&stdout=true&stderr=true",
                            "v5.channel.k8s.io"
                        ).utf8) + message + end
                ], until: { $0.contains("ExitCode") })
            #expect(text.hasPrefix("HTTP/1.1 101 "))
            #expect(text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
            #expect(text.contains("Sec-WebSocket-Protocol: v5.channel.k8s.io"))
            #expect(text.contains("\u{1}ran sh 3\n"))
            #expect(text.contains("\u{1}hi"))
            #expect(text.contains(#""message":"3""#))
        }
    }

    @Test func logOverWebSocket() async throws {
        try await TestServer.run(nodes: FixedNodes(["n": EchoNode()]), backend: Self.backend()) { server in
            // The handshake, an empty message, the log and the end.
            let text = try await RawClient.connect(server).exchange(
                Self.handshake(Self.pods + "/p/log", "binary.k8s.io"), until: { $0.contains("tail=-1\n") })
            #expect(text.hasPrefix("HTTP/1.1 101 "))
            #expect(text.contains("Sec-WebSocket-Protocol: binary.k8s.io"))
            #expect(text.contains("log of a"))
        }
    }

    @Test func upgradesThatAreRefused() async throws {
        try await TestServer.run(nodes: FixedNodes(["n": EchoNode()]), backend: Self.backend()) { server in
            for (path, subprotocol, expected) in [
                ("/p/exec?command=sh&stdout=1", "v9.channel.k8s.io", "400"),
                ("/p/exec?command=sh", "v5.channel.k8s.io", "400"),
                ("/p/exec?stdout=1", "v5.channel.k8s.io", "400"),
                ("/nope/exec?command=sh&stdout=1", "v5.channel.k8s.io", "404"),
                ("/done/exec?command=sh&stdout=1", "v5.channel.k8s.io", "400"),
                ("/done/portforward", "SPDY/3.1+portforward.k8s.io", "400"),
                ("/p/portforward?ports=x", "v4.channel.k8s.io", "400"),
            ] {
                let text = try await RawClient.connect(server).exchange(
                    Self.handshake(Self.pods + path, subprotocol), until: { $0.contains("\"code\":") })
                #expect(text.hasPrefix("HTTP/1.1 \(expected) "), "\(path)")
            }
            let spdy = try await RawClient.connect(server).exchange(
                "POST \(Self.pods)/p/exec?command=sh&stdout=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
                    + "X-Stream-Protocol-Version: v9\r\nContent-Length: 0\r\n\r\n",
                until: { $0.contains("server accepts") })
            #expect(spdy.hasPrefix("HTTP/1.1 403 "))
            #expect(spdy.contains("X-Accepted-Stream-Protocol-Versions: v4.channel.k8s.io"))
        }
    }
}
