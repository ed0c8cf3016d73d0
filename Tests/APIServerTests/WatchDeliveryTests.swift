import AsyncHTTPClient
import ClusterClient
import JSON
import NIOCore
import NIOHTTP1
import ObjectModel
import Testing

@testable import APIServer

@Suite struct WatchDeliveryTests {
    static let path = "/api/v1/namespaces/default/configmaps"

    private static func configMap(_ index: Int, bytes: Int) -> JSON {
        [
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": ["name": .string("c\(index)"), "namespace": "default"],
            "data": ["filler": .string(String(repeating: "x", count: bytes))],
        ]
    }

    /// Reads so many events: their names in order, and how many columns each has when it is a table.
    private static func read(_ count: Int, _ response: HTTPClientResponse) async throws -> (
        names: [String], columns: [Int]
    ) {
        var rest = ByteBuffer()
        var names: [String] = []
        var columns: [Int] = []
        for try await var part in response.body {
            rest.writeBuffer(&part)
            while let end = rest.readableBytesView.firstIndex(of: UInt8(ascii: "\n")),
                let line = rest.readString(length: end + 1 - rest.readerIndex)
            {
                let object = try JSON.parse(line)["object"]
                names.append((object["metadata"]["name"].string ?? object["rows"][0]["cells"][0].string) ?? "?")
                columns.append(object["columnDefinitions"].elements.count)
            }
            if names.count >= count { break }
        }
        return (names, columns)
    }

    @Test("Watches of all forms beside one another are told everything in order", arguments: [false, true])
    func forms(http1: Bool) async throws {
        let count = 400
        let names = (0..<count).map { "c\($0)" }
        let metadata = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io"
        // No more than the connections that the client opens to one server.
        let forms = ["application/json", metadata, "application/json", table, "application/json", metadata, table]
        try await TestServer.run { server in
            try await server.withClient(http1: http1) { client in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for form in forms {
                        let response = try await client.http.execute(
                            client.request(.GET, Self.path + "?watch=1", ["Accept": form]), timeout: .seconds(30))
                        group.addTask {
                            let seen = try await Self.read(count, response)
                            #expect(seen.names == names, "\(form)")
                            let columns = form == table ? seen.columns.filter { $0 > 0 }.count : 0
                            #expect(columns == (form == table ? 1 : 0))
                        }
                    }
                    try await eventually("all watches run") { server.backend.watcherCount == forms.count }
                    for index in 0..<count {
                        server.backend.put(.configMaps, Self.configMap(index, bytes: 100))
                        if index % 7 == 0 { await Task.yield() }
                    }
                    try await group.waitForAll()
                }
            }
            try await eventually("the watches are freed") { server.backend.watcherCount == 0 }
        }
    }

    @Test("A client that does not read holds up nobody, and misses nothing", arguments: [false, true])
    func slow(http1: Bool) async throws {
        let count = 120
        let names = (0..<count).map { "c\($0)" }
        try await TestServer.run { server in
            try await server.withClient(http1: http1) { slow in
                let waiting = try await slow.http.execute(
                    slow.request(.GET, Self.path + "?watch=1"), timeout: .seconds(30))
                try await server.withClient(http1: http1) { quick in
                    let response = try await quick.http.execute(
                        quick.request(.GET, Self.path + "?watch=1"), timeout: .seconds(30))
                    for index in 0..<count { server.backend.put(.configMaps, Self.configMap(index, bytes: 100_000)) }
                    #expect(try await Self.read(count, response).names == names)
                }
                #expect(try await Self.read(count, waiting).names == names)
            }
            try await eventually("the watches are freed") { server.backend.watcherCount == 0 }
        }
    }

    @Test("HTTP/1.1 is sent chunks of the right length, HTTP/1.0 none")
    func framing() async throws {
        try await TestServer.run { server in
            server.backend.put(.configMaps, Self.configMap(0, bytes: 10))
            let request = "GET \(Self.path)?watch=1&timeoutSeconds=1 HTTP/1."
            let headers = "\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            let chunked = try await RawClient.connect(server).exchange(request + "1" + headers)
            let body = chunked.components(after: "\r\n\r\n").split(separator: "\r\n", maxSplits: 1)
            #expect(body.count == 2)
            let length = try #require(Int(body.first ?? "", radix: 16))
            let rest = Array((body.last ?? "").utf8)
            #expect(String(decoding: rest.dropFirst(length), as: UTF8.self) == "\r\n0\r\n\r\n")
            #expect(rest.starts(with: Array(#"{"type":"ADDED""#.utf8)) && rest[length - 1] == UInt8(ascii: "\n"))
            let plain = try await RawClient.connect(server).exchange(request + "0" + headers)
            let text = plain.components(after: "\r\n\r\n")
            #expect(text.hasPrefix(#"{"type":"ADDED""#) && text.hasSuffix("}\n"))
        }
    }
}

extension String {
    /// What stands behind the first occurrence of a text.
    fileprivate func components(after text: String) -> String {
        firstRange(of: text).map { String(self[$0.upperBound...]) } ?? ""
    }
}
