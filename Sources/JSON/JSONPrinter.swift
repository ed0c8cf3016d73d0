extension JSON {
    /// Compact JSON text as UTF-8 bytes.
    public func encoded() -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(512)
        encode(into: &out)
        return out
    }

    /// Appends compact JSON text. Only what RFC 8259 demands is escaped; `<`, `>` and `&` stay as they are.
    public func encode(into out: inout [UInt8]) {
        switch self {
        case .null: out.append(contentsOf: [0x6e, 0x75, 0x6c, 0x6c])
        case .bool(true): out.append(contentsOf: [0x74, 0x72, 0x75, 0x65])
        case .bool(false): out.append(contentsOf: [0x66, 0x61, 0x6c, 0x73, 0x65])
        case .integer(let value): JSONPrinter.append(value, to: &out)
        case .number(let number): out.append(contentsOf: number.text.utf8)
        case .string(let text): JSONPrinter.append(text, to: &out)
        case .array(let elements):
            out.append(UInt8(ascii: "["))
            var isFirst = true
            for element in elements {
                if !isFirst { out.append(UInt8(ascii: ",")) }
                isFirst = false
                element.encode(into: &out)
            }
            out.append(UInt8(ascii: "]"))
        case .object(let members):
            out.append(UInt8(ascii: "{"))
            let keys = members.keys.elements
            let values = members.values.elements
            for index in keys.indices {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                JSONPrinter.append(keys[index], to: &out)
                out.append(UInt8(ascii: ":"))
                values[index].encode(into: &out)
            }
            out.append(UInt8(ascii: "}"))
        }
    }

    /// JSON text indented by two spaces, as `kubectl get --raw` users and `?pretty=true` see it. No newline at the end.
    public func prettyEncoded() -> [UInt8] {
        var out: [UInt8] = []
        JSONPrinter.appendPretty(self, indent: 0, to: &out)
        return out
    }
}

extension JSON: CustomStringConvertible {
    /// Compact JSON text.
    public var description: String { String(decoding: encoded(), as: UTF8.self) }
}

/// The scalars of the printed form.
enum JSONPrinter {
    private static let hex: StaticString = "0123456789abcdef"

    static func append(_ value: Int64, to out: inout [UInt8]) {
        if value >= 0, value < 10 {
            out.append(48 + UInt8(truncatingIfNeeded: value))
            return
        }
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var rest = value.magnitude
            var first = 20
            repeat {
                first -= 1
                let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
                digits[first] = 48 + UInt8(truncatingIfNeeded: digit)
                rest = quotient
            } while rest > 0
            if value < 0 {
                first -= 1
                digits[first] = UInt8(ascii: "-")
            }
            out.append(contentsOf: UnsafeBufferPointer(rebasing: digits[first...]))
        }
    }

    static func append(_ text: String, to out: inout [UInt8]) {
        var text = text
        text.withUTF8 { bytes in
            out.append(0x22)
            var start = 0
            for index in 0..<bytes.count {
                let byte = bytes[index]
                if byte >= 0x20, byte != 0x22, byte != 0x5c { continue }
                out.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[start..<index]))
                appendEscape(byte, to: &out)
                start = index + 1
            }
            if start < bytes.count { out.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[start...])) }
            out.append(0x22)
        }
    }

    private static func appendEscape(_ byte: UInt8, to out: inout [UInt8]) {
        out.append(0x5c)
        switch byte {
        case 0x22, 0x5c: out.append(byte)
        case 8: out.append(UInt8(ascii: "b"))
        case 9: out.append(UInt8(ascii: "t"))
        case 10: out.append(UInt8(ascii: "n"))
        case 12: out.append(UInt8(ascii: "f"))
        case 13: out.append(UInt8(ascii: "r"))
        default:
            out.append(contentsOf: [UInt8(ascii: "u"), 48, 48, 48 + (byte >> 4), hex.utf8Start[Int(byte & 15)]])
        }
    }

    static func appendPretty(_ value: JSON, indent: Int, to out: inout [UInt8]) {
        func newline(_ depth: Int) {
            out.append(0x0a)
            out.append(contentsOf: repeatElement(0x20, count: depth * 2))
        }
        switch value {
        case .array(let elements) where !elements.isEmpty:
            out.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                newline(indent + 1)
                appendPretty(element, indent: indent + 1, to: &out)
            }
            newline(indent)
            out.append(UInt8(ascii: "]"))
        case .object(let members) where !members.isEmpty:
            out.append(UInt8(ascii: "{"))
            for (index, (key, element)) in members.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                newline(indent + 1)
                append(key, to: &out)
                out.append(contentsOf: [UInt8(ascii: ":"), 0x20])
                appendPretty(element, indent: indent + 1, to: &out)
            }
            newline(indent)
            out.append(UInt8(ascii: "}"))
        default: value.encode(into: &out)
        }
    }
}
