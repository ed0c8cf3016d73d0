import JSON
import ObjectModel
import Testing

@Suite("Selectors")
struct SelectorTests {
    @Test(
        "Label selectors parse to their canonical text",
        arguments: [
            ("", ""), ("a=b", "a=b"), ("a==b", "a=b"), ("a!=b", "a!=b"), ("a in (c, b,b)", "a in (b,c)"),
            ("a in (b)", "a=b"),
            (" x notin (a,b) , y", "x notin (a,b),y"), ("!a", "!a"), ("b,a", "a,b"), ("a=", "a="), ("a=,b=c", "a=,b=c"),
            ("a>1,b<2", "a>1,b<2"), ("in in (in)", "in=in"), ("a in (,b)", "a in (,b)"), ("a in ()", "a="),
            ("app.kubernetes.io/name=x", "app.kubernetes.io/name=x"),
        ])
    func parse(text: String, canonical: String) throws {
        let selector = try LabelSelector(parsing: text)
        #expect(selector.description == canonical)
        #expect(try LabelSelector(parsing: canonical) == selector)
    }

    @Test(
        "Wrong label selectors say what is wrong",
        arguments: [
            ("a=b=c", "found '=', expected: ',' or 'end of string'"),
            (",a", "found ',', expected: !, identifier, or 'end of string'"),
            ("a,", "found '', expected: identifier after ','"),
            ("a in b", "unable to parse requirement: found 'b' expected: '('"),
            ("a in (b", "unable to parse requirement: found '', expected: ',', or ')'"),
            (
                "a>x",
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer"
            ),
            ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ])
    func malformed(text: String, problem: String) {
        #expect(throws: SelectorError(problem)) { try LabelSelector(parsing: text) }
    }

    @Test("Invalid keys and values are refused", arguments: ["-a=b", "a=b/c", "a/b/c", "a=-b", "/a", "A_b./x=y"])
    func invalid(text: String) {
        #expect(throws: SelectorError.self) { try LabelSelector(parsing: text) }
    }

    @Test(
        "Absent keys fulfil negative requirements only",
        arguments: [
            ("a=1", false), ("a!=1", true), ("a in (1)", false), ("a notin (1)", true), ("a", false), ("!a", true),
            ("a>1", false),
            ("b=2", true), ("b!=2", false), ("b>1", true), ("b>2", false), ("b<3", true), ("b,!a,b in (1,2)", true),
        ])
    func matching(text: String, expected: Bool) throws {
        #expect(try LabelSelector(parsing: text).matches(["b": "2"]) == expected)
    }

    @Test("The object form reads like the text form")
    func objectForm() throws {
        let json = try JSON.parse(
            #"{"matchLabels":{"a":"b"},"matchExpressions":[{"key":"c","operator":"NotIn","values":["e","d"]},{"key":"f","operator":"Exists"}]}"#
        )
        let selector = try #require(try LabelSelector(labelSelector: json))
        #expect(selector.description == "a=b,c notin (d,e),f")
        #expect(try LabelSelector(labelSelector: .null) == nil)
        #expect(try LabelSelector(labelSelector: [:])?.isEmpty == true)
        #expect(throws: SelectorError("\"Like\" is not a valid label selector operator")) {
            try LabelSelector(labelSelector: ["matchExpressions": [["key": "a", "operator": "Like"]]])
        }
    }

    @Test("Field selectors parse, escape and match")
    func fields() throws {
        let selector = try FieldSelector(parsing: #"metadata.name=a\,b,status.phase!=Failed,x=="#)
        #expect(selector.requirements.map(\.value) == ["a,b", "Failed", ""])
        #expect(selector.description == #"metadata.name=a\,b,status.phase!=Failed,x="#)
        #expect(selector.matches { ["metadata.name": "a,b", "status.phase": "Running"][$0] })
        #expect(!selector.matches { ["metadata.name": "a,b", "status.phase": "Failed"][$0] })
        #expect(throws: SelectorError("invalid selector: 'abc'; can't understand 'abc'")) {
            try FieldSelector(parsing: "abc")
        }
        #expect(throws: SelectorError.self) { try FieldSelector(parsing: #"a=\x"#) }
    }

    @Test("Random text never crashes the parsers")
    func fuzz() {
        let pieces = ["a", "b", " ", "in", "notin", "(", ")", ",", "=", "==", "!=", "!", ">", "<", "1", "\\", "/", "é"]
        for _ in 0..<fuzzIterations {
            let text = (0..<Int.random(in: 0...12)).map { _ in pieces.randomElement() ?? "" }.joined()
            if let selector = try? LabelSelector(parsing: text) {
                #expect((try? LabelSelector(parsing: selector.description)) == selector, "\(text)")
            }
            if let selector = try? FieldSelector(parsing: text) {
                #expect((try? FieldSelector(parsing: selector.description)) == selector, "\(text)")
            }
        }
    }
}
