import JSON
import Testing

@testable import CustomResources

@Suite struct StructuralTests {
    @Test("Members that no schema names are dropped and told; open ones stay")
    func pruning() throws {
        let version = try thing(
            spec: json(
                """
                {"type":"object","properties":{
                  "a":{"type":"integer"},
                  "open":{"type":"object","x-kubernetes-preserve-unknown-fields":true,
                    "properties":{"closed":{"type":"object","properties":{"x":{"type":"integer"}}}}},
                  "list":{"type":"array","items":{"type":"object","properties":{"n":{"type":"string"}}}},
                  "map":{"type":"object","additionalProperties":{"type":"object","properties":{"n":{"type":"string"}}}},
                  "pod":{"type":"object","x-kubernetes-embedded-resource":true,"properties":{"spec":{"type":"object"}}}
                }}
                """))
        var tree = try object(
            json(
                """
                {"a":1,"b":2,"open":{"any":{"thing":1},"closed":{"x":1,"y":2}},"list":[{"n":"1"},{"n":"2","m":3}],
                 "map":{"k":{"n":"1","m":2}},"pod":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"other":1,
                 "spec":{}}}
                """))
        #expect(
            version.prune(&tree) == [
                "spec.b", "spec.open.closed.y", "spec.list[1].m", "spec.map.k.m", "spec.pod.other",
            ])
        #expect(
            try tree["spec"]
                == json(
                    """
                    {"a":1,"open":{"any":{"thing":1},"closed":{"x":1}},"list":[{"n":"1"},{"n":"2"}],
                     "map":{"k":{"n":"1"}},"pod":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{}}}
                    """))
        #expect(version.prune(&tree).isEmpty)
    }

    @Test("Defaults fill what is absent or null where null may not stand; nested defaults need their parent")
    func defaulting() throws {
        let version = try thing(
            spec: json(
                """
                {"type":"object","properties":{
                  "a":{"type":"integer","default":7},
                  "nullable":{"type":"integer","nullable":true,"default":1},
                  "plain":{"type":"string"},
                  "deep":{"type":"object","default":{},"properties":{"b":{"type":"string","default":"x"}}},
                  "absent":{"type":"object","properties":{"c":{"type":"string","default":"y"}}},
                  "list":{"type":"array","items":{"type":"object","properties":{"d":{"type":"integer","default":3}}}}
                }}
                """))
        var tree = try object(json(#"{"a":null,"nullable":null,"plain":null,"list":[{},{"d":4}]}"#))
        #expect(!version.isInOrder(tree))
        version.applyDefaults(to: &tree)
        #expect(
            try tree["spec"] == json(#"{"a":7,"nullable":null,"deep":{"b":"x"},"list":[{"d":3},{"d":4}]}"#))
        #expect(version.isInOrder(tree))
    }

    @Test(
        "Paths find members, items, slices and filtered items",
        arguments: [
            (".spec.a", "1"), (".spec['b.c']", "2"), (".spec.b\\.c", "2"), (".spec.list[1].n", "\"two\""),
            (".spec.list[-1].n", "\"two\""), (".spec.list[?(@.n==\"two\")].v", "20"),
            (".spec.list[?(@.v>10)].n", "\"two\""),
            (".spec.list[*].n", "\"one\""), ("..v", "10"), (".spec.none", ""), (".spec.list[7]", ""),
        ])
    func paths(_ path: String, _ expected: String) throws {
        let tree = try object(
            json(#"{"a":1,"b.c":2,"list":[{"n":"one","v":10},{"n":"two","v":20}]}"#))
        #expect(try JSONPath(path).first(in: tree)?.description ?? "" == expected)
    }

    @Test("Columns have the value of their type or nothing")
    func columns() throws {
        let version = try thing(
            spec: ["type": "object", "x-kubernetes-preserve-unknown-fields": true],
            extra: json(
                """
                {"additionalPrinterColumns":[
                  {"name":"A","type":"integer","jsonPath":".spec.a"},{"name":"B","type":"string","jsonPath":".spec.b"},
                  {"name":"C","type":"string","jsonPath":".spec.c"},{"name":"D","type":"integer","jsonPath":".spec.b"},
                  {"name":"E","type":"number","jsonPath":".spec.e"},{"name":"F","type":"string","jsonPath":".spec.f"}]}
                """))
        let tree = try object(json(#"{"a":1,"b":"x","c":{"d":[1]},"e":1.5}"#))
        #expect(version.columnValues(tree) == [1, "x", #"{"d":[1]}"#, nil, .number(.init(text: "1.5")), nil])
    }
}
