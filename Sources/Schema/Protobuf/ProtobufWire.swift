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
