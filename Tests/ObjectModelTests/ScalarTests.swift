import Glibc
import ObjectModel
import Testing

/// How many rounds the fuzz tests do; `APUS_FUZZ_ITERATIONS` makes them longer.
let fuzzIterations = getenv("APUS_FUZZ_ITERATIONS").flatMap { Int(String(cString: $0)) } ?? 300

@Suite("Timestamps and durations")
struct TimestampTests {
    @Test(
        "RFC 3339 is read with offsets and fractions",
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("2026-01-02T03:04:05Z", 1_767_323_045_000_000),
            ("2000-02-29T23:59:59.5Z", 951_868_799_500_000),
            ("2026-01-02T03:04:05.123456789+01:00", 1_767_319_445_123_456), ("1969-12-31T23:59:59.999999Z", -1),
        ])
    func parse(text: String, microseconds: Int64) {
        #expect(Timestamp(text)?.microseconds == microseconds)
    }

    @Test(
        "Other text is no timestamp",
        arguments: [
            "", "2026-01-02", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-02 03:04:05Z",
            "2026-01-02T24:00:00Z", "2026-01-02T03:04:05", "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05+0100",
            "2026-01-02T03:04:05Zx",
        ])
    func malformed(text: String) {
        #expect(Timestamp(text) == nil)
    }

    @Test("Arithmetic ends where time does")
    func extremes() {
        #expect(Timestamp(seconds: .max).microseconds == .max)
        #expect(Timestamp(seconds: 0) + .seconds(Int64.max) == Timestamp(microseconds: .max))
        #expect(Timestamp(seconds: 0) + .seconds(Int64.min) == Timestamp(microseconds: .min))
        #expect(Timestamp(seconds: .min) - Timestamp(seconds: .max) == .microseconds(Int64.min))
        #expect(Timestamp(microseconds: .min).seconds == -9_223_372_036_855)
        #expect(Timestamp(microseconds: .max).rfc3339 == "9999-01-10T04:00:54Z")
    }

    @Test("Every moment prints as it is read")
    func roundTrip() {
        for _ in 0..<fuzzIterations {
            let time = Timestamp(microseconds: Int64.random(in: -62_135_596_800_000_000...253_402_300_799_999_999))
            #expect(Timestamp(time.rfc3339Micro) == time)
            #expect(Timestamp(time.rfc3339)?.seconds == time.seconds)
        }
        #expect(Timestamp(seconds: 1_767_323_045).civil.weekday == 5)
    }

    @Test(
        "Durations",
        arguments: [
            ("5m0s", 300_000_000_000), ("1.5s", 1_500_000_000), ("250ms", 250_000_000), ("1h0m0s", 3_600_000_000_000),
            ("0s", 0), ("-2m3.25s", -123_250_000_000), ("1µs", 1000), ("7ns", 7),
        ])
    func durations(text: String, nanoseconds: Int64) {
        #expect(GoDuration(text)?.nanoseconds == nanoseconds)
        #expect(GoDuration(nanoseconds: nanoseconds).description == text)
    }

    @Test("Other text is no duration", arguments: ["", "5", "s", "1x", "1s2", ".s", "- 1s", "9999999999h"])
    func malformedDurations(text: String) {
        #expect(GoDuration(text) == nil)
    }
}

@Suite("Names")
struct NameTests {
    @Test("Subdomains, labels and keys")
    func names() {
        #expect(Names.dns1123SubdomainProblems("a.b-c.1").isEmpty)
        #expect(Names.dns1123SubdomainProblems("A") == [Names.dns1123SubdomainMessage])
        #expect(Names.dns1123SubdomainProblems("a..b").count == 1)
        #expect(
            Names.dns1123SubdomainProblems(String(repeating: "a", count: 254))
                == ["must be no more than 253 characters"])
        #expect(Names.dns1123LabelProblems("a.b") == ["must not contain dots"])
        #expect(Names.dns1035LabelProblems("1a") == [Names.dns1035LabelMessage])
        #expect(Names.qualifiedNameProblems("example.com/My_Name").isEmpty)
        #expect(Names.qualifiedNameProblems("/x") == ["prefix part must be non-empty"])
        #expect(Names.qualifiedNameProblems("a/b/c").count == 1)
        #expect(Names.labelValueProblems("").isEmpty)
        #expect(Names.labelValueProblems("-").count == 1)
        #expect(Names.portNameProblems("http-2").isEmpty)
        #expect(Names.portNameProblems("1--2").count == 2)
        #expect(Names.pathSegmentProblems("a/b%") == ["may not contain '/'", "may not contain '%'"])
        #expect(Names.environmentNameProblems("A=B").count == 1)
    }

    @Test("Generated parts")
    func generated() {
        #expect(NameGenerator.fnv32a("hello".utf8) == 0x4f9f_2cab)
        #expect(
            NameGenerator.safeEncoded("012")
                == String(
                    decoding: "012".utf8.map { Array("bcdfghjklmnpqrstvwxz2456789".utf8)[Int($0) % 27] }, as: UTF8.self)
        )
        #expect(NameGenerator.name(from: String(repeating: "x", count: 100)).utf8.count == 63)
        let uuid = NameGenerator.uuid()
        #expect(uuid.split(separator: "-").map(\.count) == [8, 4, 4, 4, 12])
        #expect(uuid.utf8.dropFirst(14).first == UInt8(ascii: "4"))
    }
}

@Suite("Addresses")
struct AddressTests {
    @Test(
        "Addresses print canonically",
        arguments: [
            ("10.0.0.1", "10.0.0.1"), ("::", "::"), ("::1", "::1"), ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
            ("1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"), ("fe80::", "fe80::"), ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
            ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
        ])
    func canonical(text: String, expected: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == expected)
        #expect(IPAddress(bytes: address.bytes) == address)
    }

    @Test(
        "Other text is no address",
        arguments: [
            "", "1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4.5", ":::", "1::2::3", "1:2:3:4:5:6:7", "12345::",
            "fe80::1%eth0", "1:", ":1", "1:2:3:4:5:6:7::8", "::1.2.3",
        ])
    func malformed(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test("Ranges")
    func ranges() throws {
        let services = try #require(CIDR("10.96.0.0/12"))
        #expect(services.address(at: 10)?.description == "10.96.0.10")
        #expect(services.size == 1 << 20)
        #expect(services.last.description == "10.111.255.255")
        #expect(services.address(at: 1 << 20) == nil)
        #expect(services.contains(try #require(IPAddress("10.100.1.1"))))
        #expect(!services.contains(try #require(IPAddress("10.112.0.0"))))
        #expect(CIDR("10.244.0.0/16")?.subnet(3, prefixLength: 24)?.description == "10.244.3.0/24")
        #expect(CIDR("10.244.0.0/16")?.subnet(256, prefixLength: 24) == nil)
        #expect(CIDR("fd00::5/64")?.masked.description == "fd00::/64")
        #expect(CIDR("0.0.0.0/0")?.contains(services) == true)
        #expect(CIDR("::/0")?.size == Int.max)
        for text in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/08", "x/8", "10.0.0.0/"] { #expect(CIDR(text) == nil) }
    }
}
