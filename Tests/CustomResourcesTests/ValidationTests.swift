import JSON
import Testing

@testable import CustomResources

@Suite struct ValidationTests {
    private func problems(_ schema: String, _ value: String, old: String? = nil) throws -> [String] {
        let version = try thing(spec: ["type": "object", "properties": ["v": json(schema)]])
        return try version.problems(
            of: object(["v": json(value)]), old: old.map { try object(["v": json($0)]) }
        ).map(\.description)
    }

    private static let blocked =
        "<nil>: Invalid value: \"null\": some validation rules were not checked because the object was invalid; "
        + "correct the existing errors to complete validation"

    @Test(
        "Every word of the schema has the message that clients know",
        arguments: [
            (
                #"{"type":"integer","maximum":400}"#, "900",
                "spec.v: Invalid value: 900: spec.v in body should be less than or equal to 400"
            ),
            (
                #"{"type":"number","minimum":0.5,"exclusiveMinimum":true}"#, "0.5",
                "spec.v: Invalid value: 0.5: spec.v in body should be greater than 0.5"
            ),
            (
                #"{"type":"integer","multipleOf":3}"#, "4",
                "spec.v: Invalid value: 4: spec.v in body should be a multiple of 3"
            ),
            (
                #"{"type":"integer"}"#, #""x""#,
                #"spec.v: Invalid value: "string": spec.v in body must be of type integer: "string""#
            ),
            (
                #"{"type":"integer"}"#, "1.5",
                #"spec.v: Invalid value: "number": spec.v in body must be of type integer: "number""#
            ),
            (
                #"{"x-kubernetes-int-or-string":true}"#, "true",
                #"spec.v: Invalid value: "boolean": spec.v in body must be of type integer,string: "boolean""#
            ),
            (
                #"{"type":"string","enum":["b","a"]}"#, #""c""#,
                #"spec.v: Unsupported value: "c": supported values: "a", "b""#
            ),
            (#"{"type":"string","maxLength":2}"#, #""abc""#, "spec.v: Too long: may not be more than 2 bytes"),
            (
                #"{"type":"string","minLength":2}"#, #""é""#,
                #"spec.v: Invalid value: "é": spec.v in body should be at least 2 chars long"#
            ),
            (
                #"{"type":"string","pattern":"^[a-z]+$"}"#, #""A""#,
                #"spec.v: Invalid value: "A": spec.v in body should match '^[a-z]+$'"#
            ),
            (
                #"{"type":"string","format":"ipv4"}"#, #""::1""#,
                #"spec.v: Invalid value: "::1": spec.v in body must be of type ipv4: "::1""#
            ),
            (
                #"{"type":"array","items":{"type":"integer"},"minItems":1}"#, "[]",
                "spec.v: Invalid value: 0: spec.v in body should have at least 1 items"
            ),
            (
                #"{"type":"array","items":{"type":"integer"},"maxItems":1}"#, "[1,2]",
                "spec.v: Too many: 2: must have at most 1 items"
            ),
            (
                #"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}"#, "{}",
                "spec.v.a: Required value"
            ),
            (
                #"{"type":"object","additionalProperties":{"type":"string"},"minProperties":1}"#, "{}",
                "spec.v: Invalid value: 0: spec.v in body should have at least 1 properties"
            ),
            (
                #"{"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"}}"#, #"["a","b","a"]"#,
                #"spec.v[2]: Duplicate value: "a""#
            ),
            (
                #"{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["n"],"items":{"type":"object","properties":{"n":{"type":"string"}}}}"#,
                #"[{"n":"a"},{"n":"a"}]"#, #"spec.v[1]: Duplicate value: {"n":"a"}"#
            ),
            (
                #"{"type":"object","properties":{"a":{"type":"integer"}},"not":{"required":["a"]}}"#, #"{"a":1}"#,
                #"<nil>: Invalid value: "": "spec.v" must not validate the schema (not)"#
            ),
            (
                #"{"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true}"#,
                #"{"apiVersion":"v1"}"#, "spec.v.kind: Required value: must not be empty"
            ),
        ])
    func messages(_ schema: String, _ value: String, _ message: String) throws {
        #expect(try problems(schema, value).first == message)
    }

    @Test("Of alternatives the closest one says what is wrong")
    func alternatives() throws {
        let schema =
            #"{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"oneOf":[{"required":["a"]},{"required":["b"]}]}"#
        #expect(
            try problems(schema, "{}") == [
                #"<nil>: Invalid value: "": "spec.v" must validate one and only one schema (oneOf). Found none valid"#,
                "spec.v.a: Required value",
            ])
        #expect(
            try problems(schema, #"{"a":1,"b":1}"#) == [
                #"<nil>: Invalid value: "": "spec.v" must validate one and only one schema (oneOf). Found 2 valid alternatives"#
            ])
        #expect(try problems(schema, #"{"a":1}"#).isEmpty)
    }

    @Test(
        "Values that fit are let through",
        arguments: [
            (#"{"type":"integer"}"#, "1.0"), (#"{"type":"number"}"#, "1"),
            (#"{"type":"string","nullable":true}"#, "null"),
            (#"{"x-kubernetes-int-or-string":true}"#, #""80%""#),
            (#"{"type":"string","format":"date-time"}"#, #""2024-02-29T10:00:00.5Z""#),
            (#"{"type":"string","format":"uuid"}"#, #""6ba7b810-9dad-11d1-80b4-00c04fd430c8""#),
            (#"{"type":"string","format":"unheard-of"}"#, #""x""#),
            (#"{"type":"string","format":"uri"}"#, #""https://a/b?c=d%20""#),
            (#"{"type":"string","format":"email"}"#, #""a.b@example.com""#),
            (#"{"type":"string","format":"mac"}"#, #""00:1b:63:84:45:e6""#),
            (#"{"type":"string","format":"duration"}"#, #""1h30m""#),
            (#"{"type":"string","format":"isbn"}"#, #""0-306-40615-2""#),
            (#"{"type":"string","format":"creditcard"}"#, #""4111 1111 1111 1111""#),
            (#"{"type":"object","x-kubernetes-preserve-unknown-fields":true}"#, #"{"a":[1]}"#),
        ])
    func accepted(_ schema: String, _ value: String) throws {
        #expect(try problems(schema, value).isEmpty)
    }

    @Test("A change is not blamed for what was wrong before")
    func ratcheting() throws {
        let schema =
            #"{"type":"object","properties":{"a":{"type":"integer","maximum":5},"b":{"type":"integer","maximum":5}}}"#
        #expect(try problems(schema, #"{"a":9,"b":1}"#, old: #"{"a":9,"b":2}"#).isEmpty)
        #expect(try problems(schema, #"{"a":9,"b":8}"#, old: #"{"a":9,"b":2}"#).count == 1)
        let keyed =
            #"{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["n"],"items":{"type":"object","properties":{"n":{"type":"string"},"a":{"type":"integer","maximum":5}}}}"#
        #expect(try problems(keyed, #"[{"n":"y","a":1},{"n":"x","a":9}]"#, old: #"[{"n":"x","a":9}]"#).isEmpty)
    }
}
