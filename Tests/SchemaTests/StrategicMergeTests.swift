import JSON
import ObjectModel
import Schema
import Testing

@Suite struct StrategicMergeTests {
    /// What is merged into the spec of a pod; patch, original, result.
    @Test(arguments: [
        // Lists with a merge key merge element by element, others are replaced.
        (
            #"{"containers":[{"name":"b","image":"b:2"},{"name":"c","args":["x"]}]}"#,
            #"{"containers":[{"name":"a","image":"a:1"},{"name":"b","image":"b:1","args":["1","2"]}]}"#,
            #"{"containers":[{"name":"a","image":"a:1"},{"name":"b","image":"b:2","args":["1","2"]},{"name":"c","args":["x"]}]}"#
        ),
        (#"{"tolerations":[{"key":"b"}]}"#, #"{"tolerations":[{"key":"a"}]}"#, #"{"tolerations":[{"key":"b"}]}"#),
        // Directives in elements.
        (
            #"{"containers":[{"name":"a","$patch":"delete"}]}"#, #"{"containers":[{"name":"a"},{"name":"b"}]}"#,
            #"{"containers":[{"name":"b"}]}"#
        ),
        (
            #"{"containers":[{"$patch":"replace"},{"name":"z"}]}"#, #"{"containers":[{"name":"a"},{"name":"b"}]}"#,
            #"{"containers":[{"name":"z"}]}"#
        ),
        // Directives in maps.
        (
            #"{"securityContext":{"$patch":"replace","runAsUser":1}}"#, #"{"securityContext":{"fsGroup":2}}"#,
            #"{"securityContext":{"runAsUser":1}}"#
        ),
        (
            #"{"securityContext":{"$patch":"delete"}}"#, #"{"securityContext":{"fsGroup":2}}"#,
            #"{"securityContext":{}}"#
        ),
        (
            #"{"volumes":[{"name":"v","$retainKeys":["name","emptyDir"],"emptyDir":{}}]}"#,
            #"{"volumes":[{"name":"v","hostPath":{"path":"/x"}}]}"#, #"{"volumes":[{"name":"v","emptyDir":{}}]}"#
        ),
        // Null removes, also what is not there.
        (
            #"{"nodeSelector":null,"dnsPolicy":null,"affinity":{"nodeAffinity":null}}"#, #"{"nodeSelector":{"a":"b"}}"#,
            #"{"affinity":{}}"#
        ),
        (
            #"{"nodeSelector":{"a":null,"c":"d"}}"#, #"{"nodeSelector":{"a":"b","x":"y"}}"#,
            #"{"nodeSelector":{"c":"d","x":"y"}}"#
        ),
        // Two items of one merge key: neither is lost.
        (
            #"{"containers":[{"name":"a","$setElementOrder/ports":[{"containerPort":53},{"containerPort":53}],"image":"x"}]}"#,
            #"{"containers":[{"name":"a","ports":[{"containerPort":53,"protocol":"UDP"},{"containerPort":53,"protocol":"TCP"}]}]}"#,
            #"{"containers":[{"name":"a","image":"x","ports":[{"containerPort":53,"protocol":"UDP"},{"containerPort":53,"protocol":"TCP"}]}]}"#
        ),
        // A new item comes before those that only the object has.
        (
            #"{"containers":[{"name":"new"}]}"#, #"{"containers":[{"name":"a"},{"name":"b"}]}"#,
            #"{"containers":[{"name":"new"},{"name":"a"},{"name":"b"}]}"#
        ),
        // The order given; what only the server has keeps its place.
        (
            #"{"$setElementOrder/containers":[{"name":"c"},{"name":"a"}],"containers":[{"name":"c","image":"c"}]}"#,
            #"{"containers":[{"name":"a"},{"name":"side"},{"name":"c"}]}"#,
            #"{"containers":[{"name":"side"},{"name":"c","image":"c"},{"name":"a"}]}"#
        ),
    ])
    func podSpecs(_ patch: String, _ original: String, _ expected: String) throws {
        let merged = try Catalog.builtin.strategicMerge(
            json(#"{"spec":\#(original)}"#), with: json(#"{"spec":\#(patch)}"#), kind: .pod)
        let wanted = try json(#"{"spec":\#(expected)}"#)
        #expect(merged == wanted, "\(merged)")
    }

    @Test func listsOfScalars() throws {
        let object = try json(#"{"metadata":{"finalizers":["a","b","c"]}}"#)
        let patch = try json(
            #"""
            {"metadata":{"$deleteFromPrimitiveList/finalizers":["b"],"$setElementOrder/finalizers":["d","a"],
            "finalizers":["d"]}}
            """#)
        let merged = try Catalog.builtin.strategicMerge(object, with: patch, kind: .pod)
        #expect(Set(merged["metadata"]["finalizers"].elements.compactMap(\.string)) == ["a", "c", "d"])
        let added = try Catalog.builtin.strategicMerge(
            object, with: json(#"{"metadata":{"finalizers":["c","x"]}}"#), kind: .pod)
        #expect(added["metadata"]["finalizers"] == ["a", "b", "c", "x"])
    }

    @Test(arguments: [
        (#"{"spec":{"$patch":"nonsense"}}"#, "unknown patch type: nonsense in map: {}"),
        (#"{"spec":{"containers":[{"image":"x"}]}}"#, #"map: {"image":"x"} does not contain declared merge key: name"#),
        (#"{"spec":{"volumes":[{"name":"v","$retainKeys":1}]}}"#, "invalid patch format of retain keys"),
        (#"{"metadata":{"$deleteFromPrimitiveList/finalizers":1}}"#, "invalid patch format of primitive list"),
        (#"{"spec":{"$setElementOrder/containers":1}}"#, "invalid patch format of setElementOrder list"),
        (#"[]"#, "invalid JSON document"),
    ])
    func refused(_ patch: String, _ problem: String) throws {
        let error = #expect(throws: PatchError.self) {
            try Catalog.builtin.strategicMerge(
                json(#"{"metadata":{},"spec":{}}"#), with: json(patch), kind: .pod)
        }
        #expect(error?.description == problem)
    }
}
