import JSON
import NIOHTTP1
import ObjectModel
import Schema
import Testing

@testable import APIServer

@Suite struct ProtobufAnswerTests {
    private static let accept: HTTPHeaders = ["Accept": "application/vnd.kubernetes.protobuf"]
    private static let path = ResourceTests.path
    private static let configMap = GroupVersionKind(group: "", version: "v1", kind: "ConfigMap")

    private func decoded(_ answer: Client.Answer) throws -> JSON {
        #expect(answer.headers.first(name: "content-type") == "application/vnd.kubernetes.protobuf")
        return try Protobuf.decode(answer.bytes, expecting: Self.configMap)
    }

    @Test func objectsListsErrorsAndMetadata() async throws {
        try await TestServer.run { server in
            try await server.withClient { client in
                let tree = try JSON.parse(ResourceTests.configMap)
                var request = client.request(.POST, Self.path, Self.accept)
                request.headers.add(name: "Content-Type", value: "application/vnd.kubernetes.protobuf")
                request.body = .bytes(try #require(Protobuf.document(tree)))
                let made = try await client.http.execute(request, timeout: .seconds(120))
                #expect(made.status == .created)
                for query in ["", "?resourceVersion=0"] {
                    let got = try decoded(try await client.get(Self.path + "/a" + query, Self.accept))
                    #expect(got["data"] == tree["data"] && got["metadata"]["labels"] == tree["metadata"]["labels"])
                    #expect(got["metadata"]["resourceVersion"].string?.isEmpty == false)
                }
                let list = try decoded(try await client.get(Self.path, Self.accept))
                #expect(list["kind"] == "ConfigMapList" && list["items"][0]["data"] == tree["data"])
                #expect(list["metadata"]["resourceVersion"].string?.isEmpty == false)
                let missing = try await client.get(Self.path + "/none", Self.accept)
                #expect(missing.code == 404)
                #expect(try decoded(missing)["message"] == #"configmaps "none" not found"#)

                let partial = try await client.get(
                    Self.path + "/a",
                    ["Accept": "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"])
                let raw = Protobuf.metadataMessage(
                    try await client.get(Self.path + "/a").json["metadata"])
                #expect(partial.bytes == Protobuf.document(raw, kind: Protobuf.partialMetadata))
                let metadata = try await client.get(
                    Self.path, ["Accept": "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;v=v1"])
                #expect(metadata.text.contains("PartialObjectMetadataList"))
                #expect(
                    try decoded(try await client.send(.DELETE, Self.path + "/a", Self.accept))["status"] == "Success")
            }
        }
    }

    @Test(
        "What a client accepts is weighed",
        arguments: [
            ("application/vnd.kubernetes.protobuf, application/json", "application/vnd.kubernetes.protobuf"),
            ("application/vnd.kubernetes.protobuf;q=0.5, application/json", "application/json"),
            (
                "application/json;q=0.2, application/vnd.kubernetes.protobuf;q=0.8",
                "application/vnd.kubernetes.protobuf"
            ),
            ("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io, application/json", "application/json"),
            ("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io", ""),
            ("application/vnd.kubernetes.protobuf;q=0", ""),
            ("application/cbor, application/yaml", "application/yaml"),
        ])
    func negotiation(accept: String, type: String) async throws {
        try await TestServer.run { server in
            try await server.withClient { client in
                _ = try await client.post(Self.path, ResourceTests.configMap)
                let answer = try await client.get(Self.path + "/a", ["Accept": accept])
                #expect(answer.code == (type.isEmpty ? 406 : 200))
                if !type.isEmpty { #expect(answer.headers.first(name: "content-type") == type) }
            }
        }
    }

    @Test func watchesAreFrames() async throws {
        try await MachineryTests.withMachinery { machinery in
            try await TestServer.run(machinery: machinery) { server in
                try await server.withClient { client in
                    _ = try await client.post(Self.path, ResourceTests.configMap)
                    let stream = try await client.get(
                        Self.path + "?watch=1&timeoutSeconds=1&sendInitialEvents=true&allowWatchBookmarks=true"
                            + "&resourceVersionMatch=NotOlderThan", Self.accept)
                    #expect(
                        stream.headers.first(name: "content-type") == "application/vnd.kubernetes.protobuf;stream=watch"
                    )
                    var rest = stream.bytes[...]
                    var types: [String] = []
                    while rest.count >= 4 {
                        let length = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
                        let frame = Array(rest.dropFirst(4).prefix(length))
                        rest = rest.dropFirst(4 + length)
                        types.append(String(decoding: frame[2..<(2 + Int(frame[1]))], as: UTF8.self))
                        let start = try #require(frame.firstIndex(of: UInt8(ascii: "k")))
                        let object = try Protobuf.decode(
                            Array(frame[start...]), expecting: .init(group: "", version: "", kind: ""))
                        #expect(object["kind"] == "ConfigMap")
                    }
                    #expect(rest.isEmpty && types.suffix(1) == ["BOOKMARK"] && types.count >= 2)
                }
            }
        }
    }
}
