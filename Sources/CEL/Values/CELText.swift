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
