import Glibc
import RegularExpression
import Testing

let fuzzIterations = getenv("APUS_FUZZ_ITERATIONS").flatMap { Int(String(cString: $0)) } ?? 300

@Suite("Patterns")
struct PatternTests {
    @Test(
        "Texts that match, and texts that do not",
        arguments: [
            ("abc", "xxabcxx", true), ("^abc$", "abc", true), ("^abc$", "abcd", false), ("a|b|", "", true),
            ("^(a|bc)+$", "abcbca", true), ("^(a|bc)+$", "abcb", false), ("a{2,3}", "xaay", true),
            ("^a{2,3}$", "aaaa", false),
            ("^a{2}$", "aa", true), ("^a{2,}$", "aaaaa", true), ("a{,2}", "a{,2}", true), ("x{", "x{", true),
            ("[a-c]+d", "bcad", true), ("[^a-c]", "abc", false), ("[]a]", "]", true), ("[a\\]]", "]", true),
            ("[a-]", "-", true), ("^[[:alpha:]_]+$", "abc_", true), ("[[:^alpha:]]", "abc", false),
            ("^\\d{3}-\\w+$", "123-ab_9", true), ("\\D", "123", false), ("^\\s\\S$", " x", true),
            ("[\\d\\s]", "x", false),
            ("\\bfoo\\b", "a foo b", true), ("\\bfoo\\b", "afoo", false), ("o\\B", "foo", true),
            ("(?i)straße", "STRAßE", true), ("(?i)[k]", "\u{212a}", true), ("(?i)σ", "ς", true), ("a(?i)b", "aB", true),
            ("a(?i)b", "AB", false), ("(?i:a)b", "Ab", true), ("(?i:a)b", "AB", false), ("(?-i)a", "A", false),
            ("(?m)^b$", "a\nb\nc", true), ("^b$", "a\nb\nc", false), ("a.c", "a\nc", false), ("(?s)a.c", "a\nc", true),
            ("\\p{L}+", "é", true), ("^\\pN$", "٣", true), ("\\P{Lu}", "A", false), ("[\\p{Greek}]", "λ", true),
            ("[^\\p{Ll}\\d]", "a1", false), ("^.$", "😀", true), ("^[😀-😎]$", "😃", true), ("\\x41\\x{1F600}", "A😀", true),
            ("\\Qa.b\\E+", "a.bb", true), ("\\Qa.b", "axb", false), ("\\A\\z", "", true), ("\\075", "=", true),
            ("\\.", "a", false),
            ("^(?:a?){30}a{30}$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true), ("", "", true), ("$", "abc", true),
            ("(?P<x>a)(?<y>b)", "ab", true), ("^(([a-z0-9]+)(-[a-z0-9]+)*)$", "my-name-1", true),
            ("^(([a-z0-9]+)(-[a-z0-9]+)*)$", "my-name-", false), ("(?U)^a+$", "aaa", true),
        ])
    func matching(pattern: String, text: String, expected: Bool) throws {
        let compiled = try Pattern(pattern)
        #expect(compiled.matches(text) == expected)
        // Twice: the second run goes through remembered states. Captures go through the other machine.
        #expect(compiled.matches(text) == expected)
        #expect((compiled.captures(text) != nil) == expected)
    }

    @Test(
        "Leftmost-first captures",
        arguments: [
            ("(a+)(b+)?", "xaab", ["aab", "aa", "b"]), ("(a+?)(a*)", "aaa", ["aaa", "a", "aa"]),
            ("(a|ab)(c|bcd)", "abcd", ["abcd", "a", "bcd"]), ("(?U)(a+)(a*?)", "aaa", ["aaa", "a", "aa"]),
            ("(é)(.)", "aéb", ["éb", "é", "b"]), ("x*", "aaa", [""]),
        ])
    func captures(pattern: String, text: String, expected: [String]) throws {
        #expect(try Pattern(pattern).captures(text) == expected)
    }

    @Test("A group that took no part has no text")
    func absentGroup() throws {
        #expect(try Pattern("(a)|(b)").captures("b") == ["b", nil, "b"])
    }

    @Test(
        "All matches, as Go finds them",
        arguments: [
            ("a", "banana", ["a", "a", "a"]), ("a*", "baac", ["", "aa", ""]),
            ("[0-9]+", "1 22 333", ["1", "22", "333"]),
            ("^a", "aaa", ["a"]), ("é?", "aé", ["", "é"]), ("\\b", "ab", ["", ""]), ("x", "", []),
            ("", "ab", ["", "", ""]),
        ])
    func findAll(pattern: String, text: String, expected: [String]) throws {
        #expect(try Pattern(pattern).findAll(text) == expected)
        #expect(try Pattern(pattern).findAll(text, limit: 1) == Array(expected.prefix(1)))
    }

    @Test(
        "Bad patterns are refused in Go's words",
        arguments: [
            ("(a", "missing closing ): `(a`"), ("a)", "unexpected ): `a)`"), ("[a", "missing closing ]: `[a`"),
            ("*", "missing argument to repetition operator: `*`"), ("a**", "invalid nested repetition operator: `**`"),
            ("a{1001}", "invalid repeat count: `{1001}`"), ("a{2,1}", "invalid repeat count: `{2,1}`"),
            ("(a{100}){100}", "invalid repeat count: `{100}`"), ("\\y", "invalid escape sequence: `\\y`"),
            ("\\1", "invalid escape sequence: `\\1`"), ("a\\", "trailing backslash at end of expression: ``"),
            ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"), ("[z-a]", "invalid character class range: `z-a`"),
            ("\\p{Nope}", "invalid character class range: `\\p{Nope}`"),
            ("[[:nope:]]", "invalid character class range: `[:nope:]`"),
            ("(?P<1 >a)", "invalid named capture: `(?P<1 >`"),
        ])
    func refused(pattern: String, message: String) {
        #expect { try Pattern(pattern) } throws: { "\($0)" == "error parsing regexp: " + message }
    }

    @Test("What would explode elsewhere stays linear, and what would not fit is refused")
    func bounds() throws {
        let text = String(repeating: "a", count: 1500)
        #expect(try !Pattern("^(a+)+$").matches(text + "b"))
        #expect(try !Pattern("(a|aa)*\\bc").matches(text))
        #expect(throws: PatternProblem.self) { try Pattern(String(repeating: "(", count: 5000)) }
        #expect(throws: PatternProblem.self) { try Pattern(String(repeating: "(\\pL{500}|x{500})", count: 200)) }
        #expect(throws: PatternProblem.self) { try Pattern(String(repeating: "a", count: 70_000)) }
        // More states than are kept: the answer stays right after the table was emptied.
        let wide = try Pattern("a[ab]{12}c")
        var random = SystemRandomNumberGenerator()
        let noise = String((0..<3000).map { _ in Bool.random(using: &random) ? "a" : "b" })
        #expect(!wide.matches(noise))
        #expect(wide.matches(noise + "abbbbbbbbbbbbc"))
    }

    @Test("Random patterns never crash, and both machines agree")
    func fuzz() {
        let pieces = [
            "a", "b", "é", ".", "^", "$", "(", ")", "(?i)", "(?:", "[ab]", "[^a]", "[", "]", "*", "+", "?", "{2}",
            "{0,3}", "|",
            "\\b", "\\w", "\\pL", "\\", "-", "(?P<n>", "\\z", "\\A", "[a-", "{", "}", "1", "\\x", "\\Q",
        ]
        for _ in 0..<fuzzIterations * 5 {
            let source = (0..<Int.random(in: 0...12)).map { _ in pieces.randomElement() ?? "" }.joined()
            guard let pattern = try? Pattern(source) else { continue }
            for _ in 0..<4 {
                let text = (0..<Int.random(in: 0...10)).map { _ in
                    ["a", "b", "é", "B", "\n", "1"].randomElement() ?? ""
                }
                .joined()
                #expect(pattern.matches(text) == (pattern.find(text) != nil), "\(source) on \(text)")
                _ = pattern.findAll(text)
            }
        }
    }
}
