import Glibc

/// `format`: `%s %d %f %e %b %o %x %X` with an optional precision.
struct StringFormat {
    /// Kubernetes's version of the strings library quotes texts inside lists and maps and gives doubles there six
    /// digits; the newest does neither.
    let isQuoting: Bool
    private static let maximumPrecision = 1000
    /// The most that one call may make, in bytes: its arguments may be large, and each may be named many times.
    private static let maximumResult = 4 << 20

    func run(_ format: String, _ arguments: CELList) throws(CELFailure) -> String {
        var result = ""
        var next = 0
        var scalars = Array(format.unicodeScalars)[...]
        while let scalar = scalars.popFirst() {
            guard scalar == "%" else {
                result.unicodeScalars.append(scalar)
                continue
            }
            guard var verb = scalars.popFirst() else { throw CELFailure("unexpected end of format string") }
            if verb == "%" {
                result += "%"
                continue
            }
            guard next < arguments.count else { throw CELFailure("index \(next) out of range") }
            var precision: Int?
            if verb == "." {
                var digits = ""
                while let digit = scalars.first, digit >= "0", digit <= "9" {
                    digits.unicodeScalars.append(digit)
                    scalars.removeFirst()
                }
                guard let value = Int(digits), value <= Self.maximumPrecision, let after = scalars.popFirst() else {
                    throw CELFailure("error while parsing precision: \"\(digits)\"")
                }
                precision = value
                verb = after
            }
            result += try clause(verb, precision, arguments[next])
            if result.utf8.count > Self.maximumResult { throw CELFailure("format: result too large") }
            next += 1
        }
        if next < arguments.count, isQuoting {
            throw CELFailure("too many arguments supplied to string.format (expected \(next), got \(arguments.count))")
        }
        return result
    }

    private func clause(_ verb: Unicode.Scalar, _ precision: Int?, _ value: CELValue) throws(CELFailure) -> String {
        switch verb {
        case "s": return try text(value, nested: false)
        case "d":
            switch value {
            case .int(let value): return String(value)
            case .uint(let value): return String(value)
            case .double(let value) where !value.isFinite || !isQuoting: return Self.decimal(value)
            default: throw unsupported("decimal clause can only be used on integers", value)
            }
        case "f", "e":
            let number: Double
            switch value {
            case .double(let value): number = value
            case .int(let value): number = Double(value)
            case .uint(let value): number = Double(value)
            case .string("NaN"): number = .nan
            case .string("Infinity"): number = .infinity
            case .string("-Infinity"): number = -.infinity
            default:
                throw unsupported(
                    verb == "f"
                        ? "fixed-point clause can only be used on doubles"
                        : "scientific clause can only be used on doubles", value)
            }
            return Self.print(number, verb == "f" ? "%.*f" : "%.*e", precision ?? 6)
        case "b":
            switch value {
            case .int(let value): return String(value, radix: 2)
            case .uint(let value): return String(value, radix: 2)
            case .bool(let value): return value ? "1" : "0"
            default: throw unsupported("only integers and bools can be formatted as binary", value)
            }
        case "o":
            switch value {
            case .int(let value): return String(value, radix: 8)
            case .uint(let value): return String(value, radix: 8)
            default: throw unsupported("octal clause can only be used on integers", value)
            }
        case "x", "X":
            switch value {
            case .int(let value): return String(value, radix: 16, uppercase: verb == "X")
            case .uint(let value): return String(value, radix: 16, uppercase: verb == "X")
            case .string(let value): return Self.hex(Array(value.utf8), verb == "X")
            case .bytes(let value): return Self.hex(value, verb == "X")
            default:
                throw unsupported("only integers, byte buffers, and strings can be formatted as hex", value)
            }
        default: throw CELFailure("could not parse formatting clause: unrecognized formatting clause \"\(verb)\"")
        }
    }

    private func unsupported(_ rule: String, _ value: CELValue) -> CELFailure {
        CELFailure("error during formatting: \(rule), was given \(TypeNames.name(TypeNames.type(of: value)))")
    }

    private static func hex(_ bytes: [UInt8], _ isUpper: Bool) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: isUpper) }.joined()
    }

    private static func decimal(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        return value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : CELText.double(value)
    }

    static func print(_ value: Double, _ format: String, _ precision: Int) -> String {
        if !value.isFinite { return decimal(value) }
        return withVaList([Int32(precision), value]) { list in
            var buffer = [CChar](repeating: 0, count: 400 + precision)
            let count = vsnprintf(&buffer, buffer.count, format, list)
            return String(decoding: buffer.prefix(max(0, Int(count))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }

    /// A value as `%s` prints it.
    func text(_ value: CELValue, nested: Bool) throws(CELFailure) -> String {
        switch value {
        case .null: return "null"
        case .string(let value): return nested && isQuoting ? Self.quote(value) : value
        case .bytes(let value):
            let text = String(decoding: value, as: UTF8.self)
            return nested && isQuoting ? "b" + Self.quote(text) : text
        case .double(let value):
            if nested, isQuoting {
                return value.isFinite ? Self.print(value, "%.*f", 6) : Self.quote(Self.decimal(value))
            }
            return Self.decimal(value)
        case .bool, .int, .uint, .timestamp, .duration: return CELText.display(value)
        case .type(let type): return nested && isQuoting ? "type(\(TypeNames.name(type)))" : TypeNames.name(type)
        case .list(let list):
            var parts: [String] = []
            for element in list.values { parts.append(try text(element, nested: true)) }
            return "[" + parts.joined(separator: ", ") + "]"
        case .map(let map):
            var parts: [(String, String)] = []
            for key in map.keys {
                parts.append((try text(key, nested: true), try text(map[key] ?? .null, nested: true)))
            }
            parts.sort { $0.0 < $1.0 }
            let separator = isQuoting ? ":" : ": "
            return "{" + parts.map { $0.0 + separator + $0.1 }.joined(separator: ", ") + "}"
        case .object(.json(let members, _)): return try text(.map(.json(members, .dyn)), nested: nested)
        default:
            throw unsupported(
                "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps",
                value)
        }
    }

    /// The text in double quotes with what is special escaped, as `strings.quote` gives it.
    static func quote(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\u{07}": out += "\\a"
            case "\u{08}": out += "\\b"
            case "\u{0c}": out += "\\f"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case "\u{0b}": out += "\\v"
            case "\\": out += "\\\\"
            case "\"": out += "\\\""
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}
