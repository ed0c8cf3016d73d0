import JSON
import Testing

@Suite("JSON reader")
struct JSONReaderTests {
    @Test(
        "Valid documents print as they were read",
        arguments: [
            "null", "true", "false", "0", "-1", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
            "1.50", "1e400", "-0", "-0.0", "2E+3", "\"\"", "[]", "{}", "[1,[2,[3]],{}]",
            #"{"b":1,"a":{"c":[null,true]},"terminationGracePeriodSeconds":30}"#, #""\"\\\n\t\b\f\r\u0001/""#,
            #""é😀""#, "123456789012345678901234567890",
        ])
    func roundTrip(text: String) throws {
        let value = try JSON.parse(text)
        #expect(value.description == text)
        #expect(try JSON.parse(value.prettyEncoded()) == value)
    }

    @Test("Numbers that fit 64 bits are integers, others keep their text")
    func numbers() throws {
        #expect(try JSON.parse("-9223372036854775808").int == Int.min)
        guard case .number(let number) = try JSON.parse("18446744073709551616") else {
            Issue.record("not a number")
            return
        }
        #expect(number.text == "18446744073709551616")
        #expect(try JSON.parse("1.0").int == 1)
        #expect(try JSON.parse("1.5").int == Optional<Int>.none)
    }

    @Test(
        "Escapes decode",
        arguments: [
            (#""\u0041\/""#, "A/"), (#""\ud83d\ude00""#, "😀"), (#""\ud83d""#, "\u{fffd}"), (#""\ude00x""#, "\u{fffd}x"),
            (#""\ud83d\u0041""#, "\u{fffd}A"), (#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"), (#""\u00e9\u20AC""#, "é€"),
        ])
    func escapes(text: String, expected: String) throws {
        #expect(try JSON.parse(text).string == expected)
    }

    @Test("Invalid UTF-8 in a string becomes the replacement character")
    func invalidUTF8() throws {
        #expect(try JSON.parse([0x22, 0x61, 0xff, 0x62, 0x22]).string == "a\u{fffd}b")
    }

    @Test(
        "What RFC 8259 forbids is an error with its position",
        arguments: [
            ("", "unexpected end of JSON input", 0), ("{", "unexpected end of JSON input", 1),
            ("[1,]", "invalid character ']' looking for beginning of value", 3),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string", 7),
            ("{a:1}", "invalid character 'a' looking for beginning of object key string", 1),
            ("{\"a\" 1}", "invalid character '1' after object key", 5),
            ("{\"a\":1 2}", "invalid character '2' after object key:value pair", 7),
            ("[1 2]", "invalid character '2' after array element", 3),
            ("1 2", "invalid character '2' after top-level value", 2),
            ("01", "invalid character '1' after top-level value", 1), ("-", "unexpected end of JSON input", 1),
            ("1.", "unexpected end of JSON input", 2),
            ("1.x", "invalid character 'x' after decimal point in numeric literal", 2),
            ("1e+", "unexpected end of JSON input", 3),
            ("+1", "invalid character '+' looking for beginning of value", 0),
            ("tru", "unexpected end of JSON input", 3),
            ("nule", "invalid character 'e' in literal null (expecting 'l')", 3),
            ("\"\u{1}\"", "invalid character '\\x01' in string literal", 1),
            (#""\x""#, "invalid character 'x' in string escape code", 2),
            (#""\u00g0""#, "invalid character 'g' in \\u hexadecimal character escape", 5),
            ("\"abc", "unexpected end of JSON input", 4),
            ("\u{feff}1", "invalid character '\\xef' looking for beginning of value", 0),
        ])
    func malformed(text: String, problem: String, offset: Int) {
        #expect(throws: JSONError(problem, at: offset)) { try JSON.parse(text) }
    }

    @Test("Nesting beyond the limit is an error, not a stack overflow")
    func depth() throws {
        let deep = [UInt8](repeating: UInt8(ascii: "["), count: 1_000_000)
        #expect(throws: JSONError("exceeded max depth", at: 512)) { try JSON.parse(deep) }
        let allowed = String(repeating: "[", count: 512) + String(repeating: "]", count: 512)
        #expect(try JSON.parse(allowed).description == allowed)
    }

    @Test("Repeated members are reported by path and the last one wins")
    func duplicates() throws {
        var options = JSONReadOptions()
        options.collectsDuplicates = true
        let text = #"{"spec":{"containers":[{"image":"a","image":"b"},{"name":"x"}],"x":1},"spec":{"x":null,"x":1}}"#
        let document = try JSON.parseDocument(Array(text.utf8), options: options)
        #expect(document.duplicates == ["spec.containers[0].image", "spec.x", "spec"])
        #expect(document.value["spec"]["x"] == 1)
    }

    @Test("Repeated members of big objects, and keys that are equal only when decoded")
    func bigObjects() throws {
        var options = JSONReadOptions()
        options.collectsDuplicates = true
        let many = (0..<1000).map { "\"k\($0)\":\($0)" }
        let text = "{\"o\":{" + (many + ["\"k7\":-7", "\"k999\":-1"]).joined(separator: ",") + "}}"
        let document = try JSON.parseDocument(Array(text.utf8), options: options)
        #expect(document.duplicates == ["o.k7", "o.k999"])
        #expect(document.value["o"]["k7"] == -7)
        #expect(document.value["o"].members.count == 1000)
        #expect(try JSON.parse(text) == document.value)
        let escaped = try JSON.parseDocument(Array(#"{"a":1,"\u0061":2,"é":3,"\u00e9":4}"#.utf8), options: options)
        #expect(escaped.duplicates == ["a", "é"])
        #expect(escaped.value == ["a": 2, "é": 4])
    }

    @Test("Random trees survive printing and reading; mutilated text never crashes the reader")
    func fuzz() throws {
        var random = SeededRandom(seed: 42)
        for _ in 0..<fuzzIterations {
            let tree = randomTree(depth: 4, &random)
            let bytes = tree.encoded()
            #expect(try JSON.parse(bytes) == tree)
            #expect(try JSON.parse(bytes).encoded() == bytes)
            var broken = bytes
            for _ in 0..<Int.random(in: 1...3, using: &random) where !broken.isEmpty {
                let index = Int.random(in: 0..<broken.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: broken[index] = UInt8.random(in: 0...255, using: &random)
                case 1: broken.removeSubrange(index...)
                default: broken.insert(Array("\"\\{}[],:0e-".utf8).randomElement(using: &random) ?? 0, at: index)
                }
            }
            if let value = try? JSON.parse(broken) { #expect(try JSON.parse(value.encoded()) == value) }
        }
    }
}

@Suite("JSON tree")
struct JSONTreeTests {
    @Test("Nested members are made and changed through subscripts")
    func mutation() {
        var tree: JSON = ["a": ["b": 1]]
        tree["a"]["b"] = 2
        tree["a"]["c"]["d"] = "x"
        tree["list"] = [1, 2]
        tree["list"][1] = 3
        #expect(tree == ["a": ["b": 2, "c": ["d": "x"]], "list": [1, 3]])
        #expect(tree.description == #"{"a":{"b":2,"c":{"d":"x"}},"list":[1,3]}"#)
        tree.setMember("list", Optional<JSON>.none)
        #expect(tree.members.count == 1)
    }

    @Test("An access that throws leaves the rest of the tree in place")
    func throwingMutation() {
        struct Stop: Error {}
        func fail(_ value: inout JSON) throws {
            value = 5
            throw Stop()
        }
        var tree: JSON = ["a": ["b": [1, 2]], "z": true]
        #expect(throws: Stop.self) { try fail(&tree["a"]["b"][0]) }
        #expect(tree == ["a": ["b": [5, 2]], "z": true])
    }

    @Test("Changing one member of a big tree does not copy it")
    func inPlace() {
        var tree: JSON = ["big": .array((0..<100_000).map { .integer(Int64($0)) })]
        func address(_ tree: borrowing JSON) -> Int {
            guard case .array(let elements) = tree["big"] else { return 0 }
            return elements.withUnsafeBufferPointer { Int(bitPattern: $0.baseAddress) }
        }
        let before = address(tree)
        for index in 0..<1000 { tree["big"][index] = 0 }
        #expect(address(tree) == before)
    }
}
