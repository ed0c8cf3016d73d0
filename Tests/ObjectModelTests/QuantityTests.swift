import ObjectModel
import Testing

@Suite("Quantity")
struct QuantityTests {
    @Test(
        "Text is read exactly and printed canonically",
        arguments: [
            ("0", "0"), ("100m", "100m"), ("0.1", "100m"), ("1.5", "1500m"), ("1", "1"), ("1000", "1k"),
            ("1500m", "1500m"),
            ("2000m", "2"), ("1Gi", "1Gi"), ("1.5Gi", "1536Mi"), ("1024Ki", "1Mi"), ("1000Ki", "1000Ki"),
            ("0.5Ki", "512"),
            ("0.5Mi", "512Ki"), ("128974848", "128974848"), ("129e6", "129e6"), ("129M", "129M"), ("2e3", "2e3"),
            ("1E", "1E"), ("1E3", "1e3"), ("12e-3", "12e-3"), ("1n", "1n"), ("0.1n", "1n"), ("-0.1n", "-1n"),
            ("-5m", "-5m"),
            ("+3", "3"), (".5", "500m"), ("5.", "5"), ("1.0000000001", "1000000001n"), ("8Ei", "8Ei"),
            ("0.00001Ki", "10240u"),
            ("100E", "100E"), ("1100", "1100"), ("1.1Ki", "1126400m"), ("10000000", "10M"),
        ])
    func canonical(text: String, expected: String) throws {
        let quantity = try #require(Quantity(text))
        #expect(quantity.canonical == expected)
        #expect(Quantity(quantity.canonical) == quantity)
    }

    @Test(
        "Other text is no quantity",
        arguments: [
            "", ".", "-", "x", "1.2.3", "1 ", " 1", "1mm", "1ki", "1iK", "1e", "1e+", "1ee3", "1Gib", "0x1", "1e1.5",
            "--1",
        ])
    func malformed(text: String) {
        #expect(Quantity(text) == nil)
    }

    @Test("Values compare across suffixes, round up and saturate")
    func values() throws {
        #expect(Quantity("1Ki") == Quantity("1024"))
        #expect(try #require(Quantity("100m")) < #require(Quantity("0.2")))
        #expect(Quantity("1001m")?.value == 2)
        #expect(Quantity("1u")?.milliValue == 1)
        #expect(Quantity("-1500m")?.value == -1)
        #expect(Quantity("1e30")?.value == Int.max)
        #expect(Quantity("99999999999999999999999999999999999999999999Ei")?.value == Int.max)
        #expect(Quantity("1e-40")?.canonical == "1e-9")
        #expect((Quantity.bytes(1 << 30) + Quantity.bytes(1 << 29)).canonical == "1536Mi")
        #expect((Quantity(milli: 1500) - Quantity(1)).canonical == "500m")
        #expect((Quantity.zero + .bytes(1 << 20)).canonical == "1Mi")
    }

    @Test("Random quantities keep their value through their canonical text; random text never crashes")
    func fuzz() throws {
        var random = SystemRandomNumberGenerator()
        let suffixes = [
            "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e2", "e-3", "E4",
        ]
        for _ in 0..<fuzzIterations {
            let fraction = Bool.random() ? ".\(Int.random(in: 0...1_000_000_000, using: &random))" : ""
            let text =
                "\(Int.random(in: -10_000_000...10_000_000, using: &random))\(fraction)\(suffixes.randomElement() ?? "")"
            let quantity = try #require(Quantity(text))
            #expect(Quantity(quantity.canonical) == quantity, "\(text)")
            #expect((quantity + quantity) - quantity == quantity)
            let noise = String(
                decoding: (0..<Int.random(in: 0...50)).map { _ in
                    Array("0123456789.-+eEinumkKMGTP".utf8).randomElement() ?? 0
                }, as: UTF8.self)
            if let quantity = Quantity(noise) { #expect(Quantity(quantity.canonical) == quantity, "\(noise)") }
        }
    }
}
