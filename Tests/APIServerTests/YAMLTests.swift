import NIOCore
import Testing

@testable import APIServer

@Suite struct YAMLTests {
    @Test(
        "A key that stands twice is named with the line of its second time",
        arguments: [
            ("\nspec:\n  foo: a\n  bar:\n    foo: b\n  foo: c\n", "line 6: key \"foo\" already set in map"),
            ("ports:\n- name: x\n  \"name\": y\n", "line 3: key \"name\" already set in map"),
        ])
    func duplicateKeys(_ text: String, _ expected: String) throws {
        let problem = #expect(throws: YAML.Problem.self) { try YAML.parse(ByteBuffer(string: text)) }
        #expect(problem?.description == expected)
    }
}
