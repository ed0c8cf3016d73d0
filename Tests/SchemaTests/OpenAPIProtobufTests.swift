import JSON
import Schema
import Testing

@Suite struct OpenAPIProtobufTests {
    @Test("A document is what protoc makes of the same messages")
    func bytes() throws {
        // Members stand in the order of their fields' numbers, as protoc writes them.
        let document = try JSON.parse(
            """
            {"swagger":"2.0","paths":{"/a":{"get":{"operationId":"g","parameters":[
              {"in":"query","name":"q","type":"boolean"},
              {"name":"b","in":"body","required":true,"schema":{"$ref":"#/definitions/T"}}],
              "responses":{"200":{"description":"OK","schema":{"$ref":"#/definitions/T"}}},
              "x-kubernetes-action":"get"}}},
             "definitions":{"T":{"maximum":5,"maxLength":3,"required":["s"],"enum":["x"],
              "additionalProperties":{"type":"string"},"type":"object",
              "properties":{"s":{"type":"array","items":{"type":"integer"}}}}}}
            """)
        // `protoc --encode=openapi.v2.Document OpenAPIv2.proto` of gnostic, in hexadecimal.
        let expected =
            "0a03322e304295011292010a022f61128b011288012a016742190a1712151a13120571756572792201713207626f6f6c6561"
            + "6e42220a200a1e1201621a04626f647920012a110a0f232f646566696e6974696f6e732f544a240a220a03323030121b0a19"
            + "0a024f4b12130a110a0f232f646566696e6974696f6e732f546a1e0a13782d6b756265726e657465732d616374696f6e1207"
            + "120522676574224a5e0a5c0a0154125739000000000000144058039a010173a201051203227822aa010d0a0bb201080a0673"
            + "7472696e67b201080a066f626a656374ca01220a200a0173121bb201070a056172726179ba010e0a0cb201090a07696e7465"
            + "676572"
        let made = OpenAPIProtobuf.encode(document)
        #expect(made.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() == expected)
    }

    @Test("The whole document has every definition")
    func whole() {
        let made = OpenAPIProtobuf.encode(Catalog.builtin.openAPIv2())
        let text = String(decoding: made, as: UTF8.self)
        #expect(made.count > 100_000)
        for name in Catalog.builtin.openAPIv2()["definitions"].members.keys where !text.contains(name) {
            Issue.record("\(name) is missing")
        }
    }
}
