extension DNSQuery {
    /// Decodes a query (RFC 1035 §4.1). Any bytes are safe: names are bounded, compression pointers only go backwards.
    init(decoding bytes: [UInt8]) throws(DNSFormatError) {
        guard bytes.count >= 12 else { throw DNSFormatError(id: nil, code: .formatError) }
        func word(_ at: Int) -> UInt16 { UInt16(bytes[at]) << 8 | UInt16(bytes[at + 1]) }
        let id = word(0)
        let flags = word(2)
        guard flags & 0x8000 == 0 else { throw DNSFormatError(id: nil, code: .formatError) }
        guard flags & 0x7800 == 0 else { throw DNSFormatError(id: id, code: .notImplemented) }
        guard word(4) == 1 else { throw DNSFormatError(id: id, code: .formatError) }

        var position = 12
        guard let name = Self.readName(bytes, &position), bytes.count >= position + 4 else {
            throw DNSFormatError(id: id, code: .formatError)
        }
        self.id = id
        isRecursionDesired = flags & 0x0100 != 0
        question = DNSQuestion(
            name: name, type: DNSType(rawValue: word(position)), recordClass: word(position + 2))
        position += 4
        payloadSize = 512
        hasOptions = false

        // Only the OPT record of the additional section is of interest; what cannot be read is ignored.
        let others = Int(word(6)) + Int(word(8)) + Int(word(10))
        for _ in 0..<min(others, 32) {
            guard Self.readName(bytes, &position) != nil, bytes.count >= position + 10 else { return }
            let type = DNSType(rawValue: word(position))
            if type == .opt {
                hasOptions = true
                payloadSize = min(max(512, Int(word(position + 2))), 4096)
            }
            position += 10 + Int(word(position + 8))
        }
    }

    /// Reads a possibly compressed name; nil when it is malformed.
    static func readName(_ bytes: [UInt8], _ position: inout Int) -> DNSName? {
        var labels: [String] = []
        var length = 0
        var cursor = position
        var end: Int?
        var lowest = position
        while true {
            guard cursor < bytes.count else { return nil }
            let count = Int(bytes[cursor])
            if count & 0xC0 == 0xC0 {
                guard cursor + 1 < bytes.count else { return nil }
                if end == nil { end = cursor + 2 }
                let target = (count & 0x3F) << 8 | Int(bytes[cursor + 1])
                guard target < lowest else { return nil }
                lowest = target
                cursor = target
                continue
            }
            guard count & 0xC0 == 0 else { return nil }
            cursor += 1
            if count == 0 { break }
            length += count + 1
            guard length <= 254, cursor + count <= bytes.count else { return nil }
            labels.append(String(decoding: bytes[cursor..<cursor + count], as: UTF8.self))
            cursor += count
        }
        position = end ?? cursor
        return DNSName(labels: labels)
    }
}
