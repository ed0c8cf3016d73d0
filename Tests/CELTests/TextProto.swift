struct TextProtoField {
    let name: String
    let value: TextProtoValue
}

indirect enum TextProtoValue {
    case message(TextProto)
    case text([UInt8])
    case word(String)
}

/// Protocol buffers' text format, just enough of it to read CEL's conformance data.
struct TextProto {
    fileprivate(set) var fields: [TextProtoField] = []

    func message(_ name: String) -> TextProto? {
        for field in fields where field.name == name {
            if case .message(let message) = field.value { return message }
        }
        return nil
    }
    func messages(_ name: String) -> [TextProto] {
        fields.compactMap { field in
            if field.name == name, case .message(let message) = field.value { message } else { nil }
        }
    }
    func bytes(_ name: String) -> [UInt8]? {
        for field in fields where field.name == name {
            if case .text(let bytes) = field.value { return bytes }
        }
        return nil
    }
    func string(_ name: String) -> String? { bytes(name).map { String(decoding: $0, as: UTF8.self) } }
    func word(_ name: String) -> String? {
        for field in fields where field.name == name {
            if case .word(let word) = field.value { return word }
        }
        return nil
    }

    init?(_ text: String) {
        var reader = Reader(bytes: Array(text.utf8))
        guard let message = reader.message(until: nil) else { return nil }
        self = message
    }
    private init() {}

    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        mutating func skip() {
            while position < bytes.count {
                let byte = bytes[position]
                if byte == UInt8(ascii: "#") {
                    while position < bytes.count, bytes[position] != 10 { position += 1 }
                } else if byte <= 32 || byte == UInt8(ascii: ",") || byte == UInt8(ascii: ";") {
                    position += 1
                } else {
                    return
                }
            }
        }
        func peek() -> UInt8? { position < bytes.count ? bytes[position] : nil }

        mutating func message(until close: UInt8?) -> TextProto? {
            var result = TextProto()
            while true {
                skip()
                guard let byte = peek() else { return close == nil ? result : nil }
                if byte == close {
                    position += 1
                    return result
                }
                guard let name = name() else { return nil }
                skip()
                if peek() == UInt8(ascii: ":") { position += 1 }
                skip()
                if peek() == UInt8(ascii: "[") {
                    position += 1
                    while true {
                        skip()
                        if peek() == UInt8(ascii: "]") { break }
                        guard let value = value() else { return nil }
                        result.fields.append(TextProtoField(name: name, value: value))
                    }
                    position += 1
                } else {
                    guard let value = value() else { return nil }
                    result.fields.append(TextProtoField(name: name, value: value))
                }
            }
        }

        mutating func name() -> String? {
            let start = position
            if peek() == UInt8(ascii: "[") {
                while let byte = peek(), byte != UInt8(ascii: "]") { position += 1 }
                position += 1
            } else {
                while let byte = peek(),
                    byte == 95 || (byte | 32 >= 97 && byte | 32 <= 122) || (byte >= 48 && byte <= 57)
                {
                    position += 1
                }
            }
            return position > start ? String(decoding: bytes[start..<position], as: UTF8.self) : nil
        }

        mutating func value() -> TextProtoValue? {
            guard let byte = peek() else { return nil }
            if byte == UInt8(ascii: "{") || byte == UInt8(ascii: "<") {
                position += 1
                return message(until: byte == UInt8(ascii: "{") ? UInt8(ascii: "}") : UInt8(ascii: ">")).map(
                    TextProtoValue.message)
            }
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                var text: [UInt8] = []
                while let quote = peek(), quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") {
                    position += 1
                    while let next = peek(), next != quote {
                        position += 1
                        if next == UInt8(ascii: "\\") { escape(into: &text) } else { text.append(next) }
                    }
                    position += 1
                    skip()
                }
                return .text(text)
            }
            let start = position
            while let byte = peek(), byte > 32, ![44, 59, 93, 125, 62, 35].contains(byte) { position += 1 }
            return position > start ? .word(String(decoding: bytes[start..<position], as: UTF8.self)) : nil
        }

        mutating func escape(into text: inout [UInt8]) {
            guard let byte = peek() else { return }
            position += 1
            func digits(_ count: Int, _ radix: Int) -> UInt32 {
                let end = min(position + count, bytes.count)
                var stop = position
                while stop < end, Character(Unicode.Scalar(bytes[stop])).hexDigitValue.map({ $0 < radix }) == true {
                    stop += 1
                }
                defer { position = stop }
                return UInt32(String(decoding: bytes[position..<stop], as: UTF8.self), radix: radix) ?? 0
            }
            switch byte {
            case UInt8(ascii: "n"): text.append(10)
            case UInt8(ascii: "r"): text.append(13)
            case UInt8(ascii: "t"): text.append(9)
            case UInt8(ascii: "a"): text.append(7)
            case UInt8(ascii: "b"): text.append(8)
            case UInt8(ascii: "f"): text.append(12)
            case UInt8(ascii: "v"): text.append(11)
            case UInt8(ascii: "x"): text.append(UInt8(truncatingIfNeeded: digits(2, 16)))
            case UInt8(ascii: "u"), UInt8(ascii: "U"):
                let value = digits(byte == UInt8(ascii: "u") ? 4 : 8, 16)
                text.append(contentsOf: UTF8.encode(Unicode.Scalar(value) ?? "?") ?? .init())
            case 48...55:
                position -= 1
                text.append(UInt8(truncatingIfNeeded: digits(3, 8)))
            default: text.append(byte)
            }
        }
    }
}
