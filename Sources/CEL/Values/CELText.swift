import ObjectModel

/// Texts of values, in the forms of cel-go.
enum CELText {
    /// Seconds with a fraction, `1.5s`: the form of `string(duration)` and of JSON.
    static func seconds(_ value: GoDuration) -> String {
        let magnitude = value.nanoseconds.magnitude
        var text = "\(magnitude / 1_000_000_000)"
        var fraction = magnitude % 1_000_000_000
        if fraction > 0 {
            var digits = 9
            while fraction % 10 == 0 {
                fraction /= 10
                digits -= 1
            }
            let tail = String(fraction)
            text += "." + String(repeating: "0", count: digits - tail.utf8.count) + tail
        }
        return (value.nanoseconds < 0 ? "-" : "") + text + "s"
    }

    /// A map key as the name of a JSON member.
    static func key(_ value: CELValue) -> String {
        switch value {
        case .bool(let value): value ? "true" : "false"
        case .int(let value): String(value)
        case .uint(let value): String(value)
        case .double(let value): double(value)
        case .string(let value): value
        default: ""
        }
    }

    /// A double in the shortest form that reads back, with an exponent where Go's `%g` has one (from 1e6 with enough digits cut, below 1e-4).
    static func double(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if value == 0 { return value.sign == .minus ? "-0" : "0" }
        let (digits, exponent) = shortest(value.magnitude)
        let sign = value < 0 ? "-" : ""
        if exponent < -4 || exponent >= max(21, 0) {
            let tail = digits.count > 1 ? "." + String(decoding: digits.dropFirst(), as: UTF8.self) : ""
            let power = exponent.magnitude < 10 ? "0\(exponent.magnitude)" : "\(exponent.magnitude)"
            return sign + String(decoding: digits.prefix(1), as: UTF8.self) + tail + "e"
                + (exponent < 0 ? "-" : "+") + power
        }
        if exponent < 0 {
            return sign + "0." + String(repeating: "0", count: -exponent - 1) + String(decoding: digits, as: UTF8.self)
        }
        if digits.count <= exponent + 1 {
            return sign + String(decoding: digits, as: UTF8.self)
                + String(repeating: "0", count: exponent + 1 - digits.count)
        }
        return sign + String(decoding: digits.prefix(exponent + 1), as: UTF8.self) + "."
            + String(decoding: digits.dropFirst(exponent + 1), as: UTF8.self)
    }

    /// The shortest digits of a positive finite number and the decimal exponent of the first.
    static func shortest(_ value: Double) -> (digits: [UInt8], exponent: Int) {
        var digits: [UInt8] = []
        var exponent = 0
        var pointAt: Int?
        var bytes = Array("\(value)".utf8)[...]
        while let byte = bytes.popFirst() {
            if byte == UInt8(ascii: ".") {
                pointAt = digits.count
            } else if byte == UInt8(ascii: "e") {
                exponent = Int(String(decoding: bytes, as: UTF8.self)) ?? 0
                break
            } else {
                digits.append(byte)
            }
        }
        var first = (pointAt ?? digits.count) - 1 + exponent
        while digits.count > 1, digits.first == 48 {
            digits.removeFirst()
            first -= 1
        }
        while digits.count > 1, digits.last == 48 { digits.removeLast() }
        return (digits, first)
    }
}

/// Base64 of RFC 4648 with padding; decoding also accepts text without.
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count + 2) / 3 * 4)
        var index = 0
        while index < bytes.count {
            let count = min(3, bytes.count - index)
            var group = UInt32(bytes[index]) << 16
            if count > 1 { group |= UInt32(bytes[index + 1]) << 8 }
            if count > 2 { group |= UInt32(bytes[index + 2]) }
            for position in 0..<4 {
                out.append(
                    position <= count
                        ? alphabet[Int((group >> UInt32(18 - 6 * position)) & 63)] : UInt8(ascii: "="))
            }
            index += 3
        }
        return String(decoding: out, as: UTF8.self)
    }

    static func decode(_ text: String) -> [UInt8]? {
        var bytes = Array(text.utf8)
        let padded = bytes.count
        while bytes.count > padded - 2, bytes.last == UInt8(ascii: "=") { bytes.removeLast() }
        guard bytes.count == padded || padded % 4 == 0, bytes.count % 4 != 1 else { return nil }
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count / 4 * 3 + 2)
        var group: UInt32 = 0
        var bits: UInt32 = 0
        for byte in bytes {
            let digit: UInt8
            switch byte {
            case 65...90: digit = byte - 65
            case 97...122: digit = byte - 71
            case 48...57: digit = byte + 4
            case UInt8(ascii: "+"), UInt8(ascii: "-"): digit = 62
            case UInt8(ascii: "/"), UInt8(ascii: "_"): digit = 63
            default: return nil
            }
            group = group << 6 | UInt32(digit)
            bits += 6
            if bits >= 8 {
                bits -= 8
                out.append(UInt8(truncatingIfNeeded: group >> bits))
                group &= (1 << bits) - 1
            }
        }
        return out
    }
}

extension CELText {
    /// A value in messages.
    static func display(_ value: CELValue) -> String {
        switch value {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .int(let value): String(value)
        case .uint(let value): String(value)
        case .double(let value): double(value)
        case .string(let value): value
        case .timestamp(let value): value.description
        case .duration(let value): seconds(value)
        case .type(let type): TypeNames.name(type)
        default: value.json?.description ?? TypeNames.name(TypeNames.type(of: value))
        }
    }
}
