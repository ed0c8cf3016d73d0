import APIMachinery
import JSON
import Testing

@testable import APIServer

/// The matrix of `resourceVersion`, `resourceVersionMatch`, `limit` and `sendInitialEvents`, cell by cell
/// (kubernetes.io/docs/reference/using-api/api-concepts, "Resource versions").
@Suite struct RevisionMatrixTests {
    private static let path = ResourceTests.path

    /// What a cell answers: a code, or the names of the objects.
    enum Outcome: Sendable, Equatable {
        case names([String])
        case code(UInt)
    }

    /// Two objects, then the revision `N`, then a third.
    private func withThree(_ test: @Sendable (Client, _ revision: String) async throws -> Void) async throws {
        try await MachineryTests.withMachinery { machinery in
            try await TestServer.run(machinery: machinery) { server in
                try await server.withClient { client in
                    for name in ["a", "b"] {
                        let made = try await client.post(Self.path, Self.body(name))
                        #expect(made.code == 201)
                    }
                    let list = try await client.get(Self.path).json
                    let revision = try #require(list["metadata"]["resourceVersion"].string)
                    _ = try await client.post(Self.path, Self.body("c"))
                    try await test(client, revision)
                }
            }
        }
    }

    private static func body(_ name: String) -> String { #"{"metadata":{"name":"\#(name)","labels":{"m":"x"}}}"# }

    @Test("Lists")
    func lists() async throws {
        let all = Outcome.names(["a", "b", "c"]), then = Outcome.names(["a", "b"])
        let cells: [(String, Outcome)] = [
            ("", all), ("limit=10", all),
            ("resourceVersionMatch=Exact", .code(422)), ("resourceVersionMatch=NotOlderThan", .code(422)),
            ("resourceVersion=0", all), ("resourceVersion=0&limit=10", all),
            ("resourceVersion=0&resourceVersionMatch=Exact", .code(422)),
            ("resourceVersion=0&resourceVersionMatch=NotOlderThan", all),
            ("resourceVersion=N", all), ("resourceVersion=N&limit=10", then),
            ("resourceVersion=N&resourceVersionMatch=Exact", then),
            ("resourceVersion=N&resourceVersionMatch=Exact&limit=10", then),
            ("resourceVersion=N&resourceVersionMatch=NotOlderThan", all),
            ("resourceVersion=N&resourceVersionMatch=NotOlderThan&limit=10", all),
            ("resourceVersion=N&resourceVersionMatch=Newest", .code(422)),
            ("resourceVersion=99999999", .code(504)),
            ("resourceVersion=99999999&resourceVersionMatch=Exact", .code(504)),
            ("sendInitialEvents=false", .code(422)),
        ]
        try await withThree { client, revision in
            for (query, expected) in cells {
                let query =
                    "labelSelector=m%3Dx&"
                    + query.replacing("=N", with: "=" + revision)
                    .replacing("=" + revision + "otOlderThan", with: "=NotOlderThan")
                    .replacing("=" + revision + "ewest", with: "=Newest")
                let answer = try await client.get(Self.path + "?" + query)
                let outcome: Outcome =
                    answer.code == 200
                    ? .names(answer.json["items"].elements.compactMap { $0["metadata"]["name"].string })
                    : .code(answer.code)
                #expect(outcome == expected, "\(query)")
            }
        }
    }

    @Test("Pages carry one revision; what is left is counted only without selectors")
    func pages() async throws {
        try await withThree { client, revision in
            let first = try await client.get(Self.path + "?limit=1&resourceVersion=" + revision).json
            #expect(first["metadata"]["resourceVersion"].string == revision)
            #expect(first["metadata"]["remainingItemCount"] == 1)
            let token = try #require(first["metadata"]["continue"].string)
            let second = try await client.get(Self.path + "?limit=1&continue=" + token).json
            #expect(second["items"][0]["metadata"]["name"] == "b")
            #expect(second["metadata"]["resourceVersion"].string == revision)
            #expect(second["metadata"]["continue"].isNull && second["metadata"]["remainingItemCount"].isNull)
            let selected = try await client.get(Self.path + "?limit=1&labelSelector=m%3Dx").json
            #expect(selected["metadata"]["remainingItemCount"].isNull)
            #expect(try await client.get(Self.path + "?continue=x").code == 400)
            for query in ["&resourceVersionMatch=NotOlderThan&resourceVersion=0", "&resourceVersion=" + revision] {
                let refused = try await client.get(Self.path + "?continue=" + token + query)
                #expect(refused.code == (query.contains("Match") ? 422 : 400))
            }
        }
    }

    @Test(
        "Watches",
        arguments: [
            ("", "ADDED a,ADDED b,ADDED c"), ("&resourceVersion=0", "ADDED a,ADDED b,ADDED c"),
            ("&resourceVersion=N", "ADDED c"), ("&resourceVersion=99999999", ""),
            (
                "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1",
                "ADDED a,ADDED b,ADDED c,END"
            ),
            ("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", "ADDED a,ADDED b,ADDED c"),
            ("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=N", "ADDED a,ADDED b,ADDED c"),
            ("&sendInitialEvents=false&resourceVersionMatch=NotOlderThan", ""),
            ("&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=0", ""),
            ("&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=N", "ADDED c"),
            ("&fieldSelector=metadata.name%3Db", "ADDED b"),
            ("&fieldSelector=metadata.name!%3Db,metadata.namespace%3Ddefault&resourceVersion=0", "ADDED a,ADDED c"),
            ("&fieldSelector=metadata.namespace%3Dother", ""),
        ])
    func watches(query: String, expected: String) async throws {
        try await withThree { client, revision in
            let query = query.hasSuffix("=N") ? String(query.dropLast()) + revision : query
            let text = try await client.get(Self.path + "?watch=1&timeoutSeconds=1&labelSelector=m%3Dx" + query).text
            let seen = try text.split(separator: "\n").map { line -> String in
                let event = try JSON.parse(String(line))
                let object = event["object"]
                let isEnd = object["metadata"]["annotations"]["k8s.io/initial-events-end"].string == "true"
                if event["type"] == "BOOKMARK" { return isEnd ? "END" : "BOOKMARK" }
                return
                    "\(event["type"].string ?? "") \(object["metadata"]["name"].string ?? "\(object["code"].int ?? 0)")"
            }
            #expect(seen.joined(separator: ",") == expected)
        }
    }

    @Test("The old form of a watch on one object takes no other name")
    func oldWatch() async throws {
        try await withThree { client, _ in
            let path = "/api/v1/watch/namespaces/default/configmaps/b?timeoutSeconds=1"
            let events = try await client.get(path)
            #expect(events.text.split(separator: "\n").count == 1)
            let same = try await client.get(path + "&fieldSelector=metadata.name%3Db")
            #expect(same.code == 200)
            let other = try await client.get(path + "&fieldSelector=metadata.name%3Da")
            #expect(other.code == 400)
        }
    }
}
