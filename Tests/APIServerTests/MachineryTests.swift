import APIMachinery
import JSON
import Logging
import NIOHTTP1
import Store
import Testing

@testable import APIServer

/// The whole path of a request, down to a store.
@Suite struct MachineryTests {
    static func withMachinery(_ test: @Sendable (Machinery) async throws -> Void) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .error
        let machinery = try Machinery(store: MemoryStore(), logger: logger)
        try await machinery.start()
        let running = Task { try await machinery.run() }
        do {
            try await test(machinery)
        } catch {
            running.cancel()
            throw error
        }
        running.cancel()
        _ = await running.result
    }

    @Test func fromHTTPToTheStoreAndBack() async throws {
        try await Self.withMachinery { machinery in
            try await TestServer.run(machinery: machinery) { server in
                try await server.withClient { client in
                    let path = "/apis/apps/v1/namespaces/default/deployments"
                    let body =
                        #"{"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}"#
                    let made = try await client.post(path, body)
                    #expect(made.code == 201, "\(made.text)")
                    #expect(made.json["spec"]["replicas"] == 1)
                    let strict = try await client.post(
                        path + "?fieldValidation=Strict",
                        body.replacing(#""spec":{"sel"#, with: #""spec":{"bad":1,"sel"#))
                    #expect(strict.code == 400)
                    #expect(
                        strict.json["message"].string?.contains(#"strict decoding error: unknown field "spec.bad""#)
                            == true)
                    let scale = try await client.send(
                        .PATCH, path + "/d/scale", ["Content-Type": "application/merge-patch+json"],
                        body: #"{"spec":{"replicas":3}}"#)
                    #expect(scale.json["kind"] == "Scale")
                    #expect(scale.json["spec"]["replicas"] == 3)
                    let table = try await client.get(path, ["Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"])
                        .json
                    #expect(table["rows"][0]["cells"][1] == "0/3")
                    let events = try await client.get(path + "?watch=1&timeoutSeconds=1&resourceVersion=0").text
                    #expect(events.hasPrefix(#"{"type":"ADDED","object":{"#))
                    let missing = try await client.post(
                        "/api/v1/namespaces/nope/configmaps", #"{"metadata":{"name":"x"}}"#)
                    #expect(missing.code == 404)
                    let metrics = try await client.get("/metrics").text
                    #expect(metrics.contains(#"apiserver_storage_objects{resource="deployments.apps"} 1"#))
                }
            }
        }
    }
}
