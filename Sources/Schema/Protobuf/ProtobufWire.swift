/// Fields of one protobuf message, in order (protobuf encoding guide; groups are not known).
struct ProtobufWire {
    enum Value {
        case varint(UInt64)
        case fixed64(UInt64)
        case fixed32(UInt32)
        case bytes(ArraySlice<UInt8>)
    }
    struct Field {
        var number: Int
        var value: Value

        func bytes() throws(ProtobufError) -> ArraySlice<UInt8> {
            guard case .bytes(let bytes) = value else { throw ProtobufError("field \(number) is no message") }
            return bytes
        }
        func text() throws(ProtobufError) -> String {
            guard let text = String(validating: try bytes(), as: UTF8.self) else {
                throw ProtobufError("field \(number) is not UTF-8")
            }
            return text
        }
    }

    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) {
        rest = bytes
    }

    /// Nil at the end.
    mutating func next() throws(ProtobufError) -> Field? {
        guard let key = try nextVarint() else { return nil }
        guard key >> 3 > 0, key >> 3 < 1 << 29 else { throw ProtobufError("a field number is out of range") }
        let number = Int(key >> 3)
        switch key & 7 {
        case 0:
            guard let value = try nextVarint() else { throw ProtobufError("the message ends too early") }
            return Field(number: number, value: .varint(value))
        case 1: return Field(number: number, value: .fixed64(try fixed(8)))
        case 2:
            guard let length = try nextVarint(), length <= UInt64(rest.count) else {
                throw ProtobufError("the message ends too early")
            }
            let bytes = rest.prefix(Int(length))
            rest = rest.dropFirst(Int(length))
            return Field(number: number, value: .bytes(bytes))
        case 5: return Field(number: number, value: .fixed32(UInt32(truncatingIfNeeded: try fixed(4))))
        default: throw ProtobufError("a wire type is not known")
        }
    }

    /// Nil at the end.
    mutating func nextVarint() throws(ProtobufError) -> UInt64? {
        if rest.isEmpty { return nil }
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard let byte = rest.popFirst() else { throw ProtobufError("the message ends too early") }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw ProtobufError("a number is too long")
    }

    private mutating func fixed(_ count: Int) throws(ProtobufError) -> UInt64 {
        guard rest.count >= count else { throw ProtobufError("the message ends too early") }
        var value: UInt64 = 0
        for byte in rest.prefix(count).reversed() { value = value << 8 | UInt64(byte) }
        rest = rest.dropFirst(count)
        return value
    }
}

/// Scalars that JSON writes as text.
enum ProtobufScalars {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// Standard base64 with padding.
    static func base64(_ bytes: ArraySlice<UInt8>) -> String {
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count + 2) / 3 * 4)
        var rest = bytes
        while !rest.isEmpty {
            let group = rest.prefix(3)
            rest = rest.dropFirst(3)
            var word: UInt32 = 0
            for byte in group { word = word << 8 | UInt32(byte) }
            word <<= UInt32(8 * (3 - group.count))
            for index in 0..<4 {
                out.append(
                    index <= group.count ? alphabet[Int(word >> UInt32(18 - 6 * index) & 63)] : UInt8(ascii: "="))
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
    /// Nil when the text is not base64; line breaks are skipped and padding is optional, as Go's JSON reads it.
    static func decode(_ text: String) -> [UInt8]? {
        var out: [UInt8] = []
        out.reserveCapacity(text.utf8.count / 4 * 3 + 3)
        var word: UInt32 = 0, bits = 0, isPadded = false
        for byte in text.utf8 {
            let value: UInt8
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = byte - 65
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = byte - 71
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = byte + 4
            case UInt8(ascii: "+"), UInt8(ascii: "-"): value = 62
            case UInt8(ascii: "/"), UInt8(ascii: "_"): value = 63
            case UInt8(ascii: "="):
                isPadded = true
                continue
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"): continue
            default: return nil
            }
            if isPadded { return nil }
            word = word << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                out.append(UInt8(truncatingIfNeeded: word >> UInt32(bits)))
            }
        }
        return out
    }
}
