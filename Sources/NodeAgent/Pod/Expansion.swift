/// `$(NAME)` references as in a container's env, command and args.
enum Expansion {
    /// Replaces references to known names; `$$` is a literal dollar sign; an unknown reference stays as it is.
    static func expand(_ text: String, _ value: (String) -> String?) -> String {
        guard text.utf8.contains(UInt8(ascii: "$")) else { return text }
        let bytes = Array(text.utf8)
        var out: [UInt8] = []
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            guard byte == UInt8(ascii: "$"), index + 1 < bytes.count else {
                out.append(byte)
                index += 1
                continue
            }
            switch bytes[index + 1] {
            case UInt8(ascii: "$"):
                out.append(byte)
                index += 2
            case UInt8(ascii: "("):
                guard let close = bytes[(index + 2)...].firstIndex(of: UInt8(ascii: ")")) else {
                    out.append(contentsOf: [byte, bytes[index + 1]])
                    index += 2
                    continue
                }
                let name = String(decoding: bytes[(index + 2)..<close], as: UTF8.self)
                out.append(contentsOf: (value(name) ?? "$(\(name))").utf8)
                index = close + 1
            default:
                out.append(contentsOf: [byte, bytes[index + 1]])
                index += 2
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// The same, but an unknown reference is an error (as for `subPathExpr`).
    static func expandStrictly(_ text: String, _ value: (String) -> String?) throws(ConfigurationError) -> String {
        var missing: [String] = []
        let result = expand(text) { name in
            let found = value(name)
            if found == nil { missing.append(name) }
            return found
        }
        if !missing.isEmpty {
            throw ConfigurationError("missing value for \(missing.map { "\"\($0)\"" }.joined(separator: ", "))")
        }
        return result
    }
}

/// Something the pod names is missing or wrong: `CreateContainerConfigError` with this message, tried again later.
struct ConfigurationError: Error, Sendable, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

extension String {
    /// A string literal as Go writes it: quotes, backslashes and control characters escaped.
    var goQuoted: String {
        var out = "\""
        for scalar in unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\t": out += "\\t"
            case "\r": out += "\\r"
            default:
                if scalar.value < 0x20 || scalar.value == 0x7f {
                    let hex = String(scalar.value, radix: 16)
                    out += "\\x" + (hex.count == 1 ? "0" + hex : hex)
                } else {
                    out.unicodeScalars.append(scalar)
                }
            }
        }
        return out + "\""
    }
}
