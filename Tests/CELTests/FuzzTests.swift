import CEL
import Glibc
import JSON
import Testing

private let rounds = getenv("APUS_FUZZ_ITERATIONS").flatMap { Int(String(cString: $0)) } ?? 300

@Suite("CEL under random input")
struct FuzzTests {
    private static let pieces = [
        "self", ".", "name", "replicas", "ports", "any", "tags", "(", ")", "[", "]", "{", "}", "?", ":", ",", "+", "-",
        "*",
        "/", "%", "==", "!=", "<", "<=", "in", "&&", "||", "!", "0", "1", "2u", "1.5", "-9223372036854775808", "'a'",
        "\"\"",
        "b'x'", "r'\\'", "'\\u00e9'", "true", "null", "has(", ".all(x, ", ".map(x, ", ".filter(x, ", ".exists(x, ", "x",
        "size(",
        ".size()", "optional.of(", ".?", "[?", ".orValue(", "duration('1s')", "timestamp('2026-01-01T00:00:00Z')",
        ".getHours(",
        "type(", "dyn(", ".matches('", ".split(", ".format([", "quantity('1')", "ip('::1')", ".transformMap(k, v, ",
        "k", "'",
        "`", "\\", "é", "😀", "#", "//", "\n", "[1, 2]", "{'a': 1}", ".sortBy(e, ", ".flatten()", "lists.range(9)",
        "int(", "string(",
    ]

    private func environment() -> CELEnvironment {
        CELEnvironment(
            variables: [("self", .object(widget)), ("any", .dyn)], libraries: [.kubernetes, .extensions, .mutation])
    }

    /// Compiles, estimates, evaluates: whatever happens, it ends and within its budget.
    private func run(_ source: String, _ environment: CELEnvironment) -> Bool {
        guard let program = try? environment.compile(source) else { return false }
        _ = program.estimateCost { _ in nil }
        var budget = CELBudget(limit: 20_000, perCallLimit: 20_000)
        let variables = [
            "self": CELValue(json: widgetJSON, type: .object(widget)), "any": CELValue(json: widgetJSON, type: .dyn),
        ]
        if let value = try? program.evaluate(variables, budget: &budget) { _ = value.json }
        return true
    }

    @Test("Random words never crash or hang")
    func words() {
        let environment = environment()
        for _ in 0..<rounds * 4 {
            let source = (0..<Int.random(in: 1...14)).map { _ in Self.pieces.randomElement() ?? "" }.joined()
            _ = run(source, environment)
        }
    }

    @Test("Random well-formed expressions run to an end, many of them with a value")
    func wellFormed() {
        let environment = environment()
        var compiled = 0
        for _ in 0..<rounds where run(expression(4), environment) { compiled += 1 }
        #expect(compiled > rounds / 4)
    }

    private func expression(_ depth: Int) -> String {
        let leaves = [
            "1", "2", "-3", "0", "1.5", "2u", "'a'", "''", "true", "false", "null", "self.replicas", "self.name",
            "self.tags",
            "any.replicas", "any.tags", "any.labels", "self.labels", "x", "[1, 2]", "duration('1s')", "any",
            "self.when",
        ]
        if depth == 0 { return leaves.randomElement() ?? "1" }
        func sub() -> String { "dyn(\(expression(depth - 1)))" }
        switch Int.random(in: 0..<14) {
        case 0: return "(\(sub()) + \(sub()))"
        case 1: return "(\(sub()) == \(sub()))"
        case 2: return "(\(sub()) && \(sub()))"
        case 3: return "(\(sub()) ? \(sub()) : \(sub()))"
        case 4: return "[\(sub()), \(sub())]"
        case 5: return "{\(sub()): \(sub())}"
        case 6: return "\(sub()).map(x, \(sub()))"
        case 7: return "\(sub()).exists(x, \(sub()))"
        case 8: return "\(sub())[\(sub())]"
        case 9: return "(\(sub()) < \(sub()))"
        case 10: return "\(sub()).size()"
        case 11: return "(\(sub()) in \(sub()))"
        case 12: return "\(sub()).?name.orValue(\(sub()))"
        default: return leaves.randomElement() ?? "1"
        }
    }

    @Test("Depth and length are refused before they hurt")
    func extremes() {
        let environment = environment()
        let count = 5000
        for source in [
            String(repeating: "(", count: count), String(repeating: "[", count: count),
            String(repeating: "-", count: count) + "1",
            String(repeating: "!", count: count) + "true", "any" + String(repeating: ".a", count: count),
            "any" + String(repeating: "[0]", count: count), (0..<count).map { _ in "1" }.joined(separator: "+"),
            String(repeating: "true ? ", count: count), String(repeating: "[1].map(x, ", count: count),
            String(repeating: "a", count: 200_000), "optional.of(1)" + String(repeating: ".optMap(x, x)", count: 60),
            "'" + String(repeating: "\\", count: count) + "'", (0..<count).map { _ in "true" }.joined(separator: "&&"),
            "'\(String(repeating: "x", count: 4000))'.replace('', '\(String(repeating: "y", count: 40_000))')",
            "[[1, 2]].map(x, x + x)" + String(repeating: ".map(x, x + x)", count: 100),
            "['x'].map(x, x + x)" + String(repeating: ".map(x, x + x)", count: 100),
            "lists.range(500).map(i, 'a'.replace('', self.name + '\(String(repeating: "y", count: 20_000))'))",
            "lists.range(100000000)", "lists.range(99999).map(a, lists.range(99999))",
        ] {
            _ = run(source, environment)
        }
        #expect(run((0..<count).map { _ in "true" }.joined(separator: "&&"), environment))
    }
}
