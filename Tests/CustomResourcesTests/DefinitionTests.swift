import JSON
import Testing

@testable import CustomResources

/// What a definition of a custom resource may not say, by the field that is to blame.
@Suite struct DefinitionTests {
    /// Problems of a definition with this schema below `spec`, without the common start of their paths.
    private func problems(_ spec: String) throws -> [String] {
        let version: JSON = [
            "name": "v1", "served": true, "storage": true,
            "schema": ["openAPIV3Schema": ["type": "object", "properties": ["spec": try json(spec)]]],
        ]
        return DefinitionValidation.problems(of: definition(versions: [version])).map { problem in
            let field = problem.field.replacing("spec.versions[0].schema.openAPIV3Schema", with: "")
            return "\(field.replacing(".properties[spec]", with: "spec")): \(problem.message)"
        }
    }

    @Test(
        "Schemas must be structural",
        arguments: [
            (#"{"properties":{}}"#, "spec.type: Required value: must not be empty for specified object fields"),
            (#"{"type":"array"}"#, "spec.items: Required value: must be specified"),
            (
                #"{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":{"type":"string"}}"#,
                "spec.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"
            ),
            (
                #"{"type":"object","allOf":[{"type":"object"}]}"#,
                "spec.allOf[0].type: Forbidden: must be empty to be structural"
            ),
            (
                #"{"type":"object","allOf":[{"properties":{"b":{"minimum":1}}}]}"#,
                "spec.properties[b]: Required value: because it is defined in spec.versions[0].schema.openAPIV3Schema"
                    + ".properties[spec].allOf[0].properties[b]"
            ),
            (
                #"{"type":"string","x-kubernetes-int-or-string":true}"#,
                #"spec.type: Invalid value: "string": must be empty if x-kubernetes-int-or-string is true"#
            ),
            (
                #"{"type":"object","x-kubernetes-preserve-unknown-fields":false}"#,
                "spec.x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined"
            ),
            (
                #"{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["n"],"#
                    + #""items":{"type":"object","properties":{"n":{"type":"string"}}}}"#,
                "spec.items.properties[n].default: Required value: this property is in x-kubernetes-list-map-keys, so"
                    + " it must have a default or be a required property"
            ),
            (
                #"{"type":"object","default":{"x":1},"properties":{"b":{"type":"string"}}}"#,
                #"spec.default: Invalid value: {"x":1}: must not have unknown fields"#
            ),
            (
                #"{"type":"array","uniqueItems":true,"items":{"type":"string"}}"#,
                "spec.uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes"
                    + " quadratic"
            ),
        ])
    func structural(_ spec: String, _ problem: String) throws {
        #expect(try problems(spec) == [problem])
    }

    @Test("Rules that could cost too much are refused where a bound is missing, and taken with it")
    func costs() throws {
        let rule = #""x-kubernetes-validations":[{"rule":"self.all(x, self.all(y, x == y))"}]"#
        let open = try problems(#"{"type":"array","items":{"type":"string"},\#(rule)}"#)
        #expect(open.first?.hasPrefix("spec.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost") == true)
        #expect(open.last?.contains("for entire OpenAPIv3 schema exceeds budget by factor of more than 100x") == true)
        #expect(
            try problems(#"{"type":"array","maxItems":20,"items":{"type":"string","maxLength":20},\#(rule)}"#).isEmpty)
        // A cheap rule below unbounded lists is run too often.
        let inner = #"{"type":"string","x-kubernetes-validations":[{"rule":"self.contains('x')"}]}"#
        #expect(
            try !problems(#"{"type":"array","items":{"type":"array","items":\#(inner)}}"#).isEmpty)
    }

    @Test("Transition rules stand only where old and new are known to be the same thing")
    func transitions() throws {
        let rule = #""x-kubernetes-validations":[{"rule":"self == oldSelf"}]"#
        func list(_ kind: String) -> String {
            #"{"type":"array","maxItems":5,\#(kind),"items":{"type":"object","required":["n"],"#
                + #""properties":{"n":{"type":"string","maxLength":9}},\#(rule)}}"#
        }
        #expect(
            try problems(list(#""x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["n"]"#)).isEmpty)
        #expect(
            try problems(list(#""x-kubernetes-list-type":"atomic""#)) == [
                #"spec.items.x-kubernetes-validations[0].rule: Invalid value: "self == oldSelf": oldSelf cannot be used"#
                    + " on the uncorrelatable portion of the schema within spec.versions[0].schema.openAPIV3Schema"
                    + ".properties[spec]"
            ])
        #expect(
            try problems(
                #"{"type":"object","x-kubernetes-validations":[{"rule":"true","optionalOldSelf":true}]}"#) == [
                    "spec.x-kubernetes-validations[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is"
                        + " not used in rule"
                ])
    }

    @Test("A transition rule is run for changes only, an optional one for creation too")
    func transitionsAtWork() throws {
        let spec = try json(
            """
            {"type":"object","x-kubernetes-validations":[{"rule":"self.a == oldSelf.a","message":"fixed"}],
             "properties":{"a":{"type":"integer"},"b":{"type":"integer","x-kubernetes-validations":[
              {"rule":"!oldSelf.hasValue() || self > oldSelf.value()","optionalOldSelf":true,"message":"grows"}]}}}
            """)
        let version = try thing(spec: spec)
        func check(_ new: String, _ old: String?) throws -> [String] {
            version.problems(of: object(try json(new)), old: try old.map { object(try json($0)) })
                .map { "\($0.field): \($0.message)" }
        }
        #expect(try check(#"{"a":1,"b":1}"#, nil).isEmpty)
        #expect(try check(#"{"a":1,"b":2}"#, #"{"a":1,"b":1}"#).isEmpty)
        #expect(try check(#"{"a":2,"b":2}"#, #"{"a":1,"b":1}"#).map { $0.hasSuffix("fixed") } == [true])
        #expect(try check(#"{"a":1,"b":1}"#, #"{"a":1,"b":3}"#).map { $0.hasSuffix("grows") } == [true])
        #expect(try check(#"{"a":1,"b":1}"#, #"{"a":1}"#).isEmpty)
    }
}
