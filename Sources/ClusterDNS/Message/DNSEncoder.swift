/// Writes responses with name compression (RFC 1035 §4.1.4).
struct DNSEncoder {
    private var bytes: [UInt8] = []
    private var offsets: [[String]: Int] = [:]

    /// Encodes the answer to a query. When it does not fit `limit` bytes, records are left out and the truncation bit
    /// tells the client to ask by TCP.
    static func encode(_ response: DNSResponse, to query: DNSQuery, limit: Int) -> [UInt8] {
        var encoder = DNSEncoder()
        let room = limit - (query.hasOptions ? 11 : 0)
        encoder.header(id: query.id, query: query, response: response)
        encoder.name(query.question.name)
        encoder.word(query.question.type.rawValue)
        encoder.word(query.question.recordClass)
        var counts = (answers: 0, authority: 0)
        var isTruncated = false
        for (index, record) in (response.answers + response.authority).enumerated() {
            let before = encoder
            encoder.record(record)
            if encoder.bytes.count > room {
                encoder = before
                isTruncated = true
                break
            }
            if index < response.answers.count { counts.answers += 1 } else { counts.authority += 1 }
        }
        encoder.patch(6, UInt16(counts.answers))
        encoder.patch(8, UInt16(counts.authority))
        if isTruncated { encoder.bytes[2] |= 0x02 }
        var additional = query.hasOptions ? 1 : 0
        for record in isTruncated ? [] : response.additional {
            let before = encoder
            encoder.record(record)
            if encoder.bytes.count > room {
                encoder = before
                break
            }
            additional += 1
        }
        encoder.patch(10, UInt16(additional))
        if query.hasOptions {
            encoder.bytes += [0, 0, 41, 0x10, 0x00, 0, 0, 0, 0, 0, 0]
        }
        return encoder.bytes
    }

    /// A bare answer to something that could not be read.
    static func encode(error: DNSFormatError) -> [UInt8]? {
        guard let id = error.id else { return nil }
        return [UInt8(id >> 8), UInt8(id & 0xFF), 0x80, UInt8(error.code.rawValue), 0, 0, 0, 0, 0, 0, 0, 0]
    }

    private mutating func header(id: UInt16, query: DNSQuery, response: DNSResponse) {
        var flags: UInt16 = 0x8080 | response.code.rawValue
        if response.isAuthoritative { flags |= 0x0400 }
        if query.isRecursionDesired { flags |= 0x0100 }
        word(id)
        word(flags)
        word(1)
        for _ in 0..<3 { word(0) }
    }

    private mutating func record(_ record: DNSRecord) {
        name(record.name)
        word(record.type.rawValue)
        word(1)
        long(record.timeToLive)
        let lengthAt = bytes.count
        word(0)
        switch record.data {
        case .address(let address): bytes += address
        case .name(let target, _): name(target)
        case .service(let priority, let weight, let port, let target):
            word(priority)
            word(weight)
            word(port)
            // RFC 2782: the target is not compressed.
            for label in target.labels { self.label(label) }
            bytes.append(0)
        case .text(let text):
            let chunk = Array(text.utf8.prefix(255))
            bytes.append(UInt8(chunk.count))
            bytes += chunk
        case .authority(let server, let mailbox, let serial, let minimum):
            name(server)
            name(mailbox)
            long(serial)
            for value: UInt32 in [7200, 1800, 86400, minimum] { long(value) }
        }
        patch(lengthAt, UInt16(truncatingIfNeeded: bytes.count - lengthAt - 2))
    }

    private mutating func name(_ name: DNSName) {
        var labels = name.labels
        while !labels.isEmpty {
            if let offset = offsets[labels] {
                word(0xC000 | UInt16(offset))
                return
            }
            if bytes.count < 0x4000 { offsets[labels] = bytes.count }
            label(labels.removeFirst())
        }
        bytes.append(0)
    }

    private mutating func label(_ label: String) {
        let text = Array(label.utf8.prefix(63))
        bytes.append(UInt8(text.count))
        bytes += text
    }

    private mutating func word(_ value: UInt16) {
        bytes.append(UInt8(value >> 8))
        bytes.append(UInt8(value & 0xFF))
    }
    private mutating func long(_ value: UInt32) {
        word(UInt16(value >> 16))
        word(UInt16(value & 0xFFFF))
    }
    private mutating func patch(_ at: Int, _ value: UInt16) {
        bytes[at] = UInt8(value >> 8)
        bytes[at + 1] = UInt8(value & 0xFF)
    }
}
