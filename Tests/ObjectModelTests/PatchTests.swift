import JSON
import ObjectModel
import Testing

@Suite("Patches")
struct PatchTests {
    @Test(
        "JSON patch operations",
        arguments: [
            (#"{"a":1}"#, #"[{"op":"add","path":"/b","value":2}]"#, #"{"a":1,"b":2}"#),
            (
                #"{"a":[1,2]}"#, #"[{"op":"add","path":"/a/1","value":9},{"op":"add","path":"/a/-","value":3}]"#,
                #"{"a":[1,9,2,3]}"#
            ),
            (
                #"{"a":{"b/c":1,"d~e":2}}"#,
                #"[{"op":"replace","path":"/a/b~1c","value":3},{"op":"remove","path":"/a/d~0e"}]"#, #"{"a":{"b/c":3}}"#
            ),
            (
                #"{"a":[1,2,3]}"#, #"[{"op":"remove","path":"/a/0"},{"op":"move","from":"/a/0","path":"/b"}]"#,
                #"{"a":[3],"b":2}"#
            ),
            (
                #"{"a":{"x":1}}"#, #"[{"op":"copy","from":"/a","path":"/b"},{"op":"replace","path":"/b/x","value":2}]"#,
                #"{"a":{"x":1},"b":{"x":2}}"#
            ),
            (
                #"{"a":1}"#, #"[{"op":"test","path":"/a","value":1.0},{"op":"test","path":"/nope","value":null}]"#,
                #"{"a":1}"#
            ),
            (#"{"a":1}"#, #"[{"op":"replace","path":"","value":[1]}]"#, "[1]"),
        ])
    func operations(document: String, patch: String, expected: String) throws {
        #expect(try JSON.parse(document).jsonPatched(with: JSON.parse(patch)) == JSON.parse(expected))
    }

    @Test(
        "Patches that do not apply",
        arguments: [
            (#"[{"op":"test","path":"/data/z","value":1}]"#, "testing value /data/z failed: test failed"),
            (
                #"[{"op":"remove","path":"/x"}]"#,
                "remove operation does not apply: doc is missing key: /x: missing value"
            ),
            (
                #"[{"op":"replace","path":"/x","value":1}]"#,
                "replace operation does not apply: doc is missing key: /x: missing value"
            ),
            (
                #"[{"op":"add","path":"/x/y","value":1}]"#,
                "add operation does not apply: doc is missing path: \"/x/y\": missing value"
            ),
            (
                #"[{"op":"add","path":"/l/5","value":1}]"#,
                "add operation does not apply: Unable to access invalid index: 5: invalid index referenced"
            ),
            (
                #"[{"op":"add","path":"/l/01","value":1}]"#,
                "add operation does not apply: Unable to access invalid index: 01: invalid index referenced"
            ),
            (
                #"[{"op":"move","from":"/data","path":"/data/a"}]"#,
                "move operation does not apply: /data cannot be moved into its own child"
            ),
        ])
    func unappliable(patch: String, problem: String) throws {
        let document: JSON = ["data": ["y": 1], "l": [1]]
        let operations = try JSON.parse(patch)
        #expect(throws: PatchError(.unappliable, problem)) { try document.jsonPatched(with: operations) }
    }

    @Test(
        "Malformed patches",
        arguments: [
            "{}", "[1]", #"[{"op":"add","path":"/a"}]"#, #"[{"op":"x","path":"/a"}]"#, #"[{"op":"remove","path":"a"}]"#,
        ])
    func malformed(patch: String) throws {
        let operations = try JSON.parse(patch)
        let error = #expect(throws: PatchError.self) { try JSON.parse(#"{"a":1}"#).jsonPatched(with: operations) }
        #expect(error?.code == .malformed)
    }

    @Test("Too many operations, copy bombs and endless nesting are refused")
    func bounds() {
        let document: JSON = ["a": ["x": "0123456789"], "b": [:]]
        let many = JSON.array(Array(repeating: ["op": "test", "path": "/q", "value": nil], count: 10_001))
        #expect(throws: PatchError.self) { try document.jsonPatched(with: many) }
        let bomb = JSON.array((0..<64).map { ["op": "copy", "from": "/a", "path": .string("/a/\($0)")] })
        #expect(throws: PatchError.self) { try document.jsonPatched(with: bomb) }
        let nesting = JSON.array(
            (0..<2000).flatMap { _ -> [JSON] in
                [
                    ["op": "add", "path": "/c", "value": [:]], ["op": "move", "from": "/a", "path": "/c/a"],
                    ["op": "move", "from": "/c", "path": "/a"],
                ]
            })
        #expect(throws: PatchError(.unappliable, "the patched document is nested deeper than 1024 levels")) {
            try document.jsonPatched(with: nesting)
        }
    }

    @Test(
        "Merge patches (RFC 7386, appendix A)",
        arguments: [
            (#"{"a":"b"}"#, #"{"a":"c"}"#, #"{"a":"c"}"#), (#"{"a":"b"}"#, #"{"b":"c"}"#, #"{"a":"b","b":"c"}"#),
            (#"{"a":"b"}"#, #"{"a":null}"#, "{}"), (#"{"a":["b"]}"#, #"{"a":"c"}"#, #"{"a":"c"}"#),
            (#"{"a":{"b":"c"}}"#, #"{"a":{"b":"d","c":null}}"#, #"{"a":{"b":"d"}}"#),
            ("[1,2]", #"{"a":"b","c":null}"#, #"{"a":"b"}"#),
            (#"{"e":null}"#, #"{"a":1}"#, #"{"e":null,"a":1}"#),
            ("{}", #"{"a":{"bb":{"ccc":null}}}"#, #"{"a":{"bb":{}}}"#),
            (#"{"a":"foo"}"#, "null", "null"),
        ])
    func merge(document: String, patch: String, expected: String) throws {
        #expect(try JSON.parse(document).mergePatched(with: JSON.parse(patch)) == JSON.parse(expected))
    }

    @Test("Random operations never crash")
    func fuzz() {
        let paths = [
            "", "/", "/a", "/a/0", "/a/-", "/a/b", "/c/x", "/a/1/b", "/~0", "/c", "a", "/a/99999999999999999999",
        ]
        let values: [JSON] = [nil, 1, "x", [1, 2], ["b": [1]]]
        for _ in 0..<fuzzIterations {
            let patch = JSON.array(
                (0..<Int.random(in: 1...6)).map { _ in
                    [
                        "op": .string(["add", "remove", "replace", "move", "copy", "test"].randomElement() ?? ""),
                        "path": .string(paths.randomElement() ?? ""), "from": .string(paths.randomElement() ?? ""),
                        "value": values.randomElement() ?? JSON.null,
                    ]
                })
            let document: JSON = ["a": [1, ["b": 2]], "c": ["x": 1]]
            _ = try? document.jsonPatched(with: patch)
            _ = document.mergePatched(with: patch)
        }
    }
}
