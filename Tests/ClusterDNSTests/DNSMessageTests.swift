import Glibc
import Testing

@testable import ClusterDNS

/// The wire form of a query as a resolver sends it.
private func query(_ name: String, type: UInt16 = 1, options: Bool = false) -> [UInt8] {
    var bytes: [UInt8] = [0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, options ? 1 : 0]
    for label in name.split(separator: ".") { bytes += [UInt8(label.utf8.count)] + Array(label.utf8) }
    bytes += [0, UInt8(type >> 8), UInt8(type & 0xFF), 0, 1]
    if options { bytes += [0, 0, 41, 0x04, 0xD0, 0, 0, 0, 0, 0, 0] }
    return bytes
}

@Suite("DNS messages")
struct DNSMessageTests {
    @Test("A query is read, with the size its sender can take")
    func decode() throws {
        let plain = try DNSQuery(decoding: query("Web.Shop.svc.cluster.local"))
        #expect(plain.question.name == DNSName("web.shop.svc.cluster.local"))
        #expect(plain.payloadSize == 512 && plain.isRecursionDesired)
        #expect(try DNSQuery(decoding: query("a.b", options: true)).payloadSize == 1232)
    }

    @Test("Names are compressed and read back")
    func compression() throws {
        let asked = try DNSQuery(decoding: query("web.shop.svc.cluster.local"))
        var response = DNSResponse()
        response.answers = [
            DNSRecord(name: asked.question.name, timeToLive: 5, data: .address([10, 96, 0, 7]))
        ]
        let bytes = DNSEncoder.encode(response, to: asked, limit: 512)
        #expect(bytes.count == 12 + 28 + 4 + 2 + 10 + 4)
        var position = 12 + 28 + 4
        #expect(DNSQuery.readName(bytes, &position) == asked.question.name)
    }

    @Test("An answer that does not fit is cut and marked")
    func truncation() throws {
        let asked = try DNSQuery(decoding: query("db.shop.svc.cluster.local"))
        var response = DNSResponse()
        response.answers = (0..<100).map {
            DNSRecord(name: asked.question.name, timeToLive: 5, data: .address([10, 0, 0, UInt8($0)]))
        }
        let bytes = DNSEncoder.encode(response, to: asked, limit: 512)
        #expect(bytes.count <= 512)
        #expect(bytes[2] & 0x02 != 0)
        #expect(Int(bytes[6]) << 8 | Int(bytes[7]) < 100)
    }

    @Test("Additional records go along while there is room, and nothing is marked when they do not")
    func additional() throws {
        let asked = try DNSQuery(decoding: query("_http._tcp.shop.svc.cluster.local", type: 33, options: true))
        var response = DNSResponse()
        response.additional = (0..<100).map {
            DNSRecord(name: asked.question.name, timeToLive: 5, data: .address([10, 0, 0, UInt8($0)]))
        }
        let bytes = DNSEncoder.encode(response, to: asked, limit: 512)
        let count = Int(bytes[10]) << 8 | Int(bytes[11])
        // 16 bytes each behind the header and the question, and 11 of options.
        #expect(bytes.count <= 512 && count == (512 - 12 - 39 - 11) / 16 + 1)
        #expect(bytes[2] & 0x02 == 0)
        #expect(Array(bytes.suffix(11).prefix(3)) == [0, 0, 41])
    }

    @Test("Pointer loops and cut messages are format errors")
    func malformed() {
        let loop = query("a").prefix(12) + [0xC0, 0x0C, 0, 1, 0, 1]
        #expect(throws: DNSFormatError.self) { try DNSQuery(decoding: Array(loop)) }
        #expect(throws: DNSFormatError.self) { try DNSQuery(decoding: [1, 2, 3]) }
    }

    @Test("Fuzz: no bytes crash the decoder")
    func fuzzDecoder() {
        let rounds = getenv("APUS_FUZZ_ITERATIONS").flatMap { Int(String(cString: $0)) } ?? 20_000
        var generator = SystemRandomNumberGenerator()
        let seed = query("web.shop.svc.cluster.local", options: true)
        for _ in 0..<rounds {
            var bytes = seed
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[Int.random(in: 0..<bytes.count)] = UInt8.random(in: 0...255, using: &generator)
                case 1 where bytes.count > 1: bytes.removeLast(Int.random(in: 1..<bytes.count, using: &generator))
                default: bytes.append(UInt8.random(in: 0...255, using: &generator))
                }
            }
            _ = try? DNSQuery(decoding: bytes)
        }
    }
}
