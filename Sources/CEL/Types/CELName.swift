/// Names of JSON properties in expressions: Kubernetes escapes what CEL's grammar has no identifier for.
public enum CELName {
    private static let reserved: Set<String> = [
        "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
        "let", "loop", "package", "namespace", "return", "var", "void", "while",
    ]

    /// The identifier for a property: `foo-bar` is `foo__dash__bar`, `namespace` is `__namespace__`. Nil when there
    /// is none: the name has other characters or begins with a digit.
    public static func escape(_ name: String) -> String? {
        if reserved.contains(name) { return "__\(name)__" }
        let bytes = Array(name.utf8)
        guard let first = bytes.first, first < 48 || first > 57 else { return nil }
        var out: [UInt8] = []
        var index = 0
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "_") where index + 1 < bytes.count && bytes[index + 1] == UInt8(ascii: "_"):
                out.append(contentsOf: "__underscores__".utf8)
                index += 1
            case UInt8(ascii: "."): out.append(contentsOf: "__dot__".utf8)
            case UInt8(ascii: "-"): out.append(contentsOf: "__dash__".utf8)
            case UInt8(ascii: "/"): out.append(contentsOf: "__slash__".utf8)
            case let byte where isIdentifier(byte): out.append(byte)
            default: return nil
            }
            index += 1
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// The property that an identifier of an expression means; nil when it is no escaped name (`a__b`).
    public static func unescape(_ identifier: String) -> String? {
        var rest = Substring(identifier)
        guard rest.utf8.contains(UInt8(ascii: "_")) else { return identifier }
        if rest.hasPrefix("__"), rest.hasSuffix("__"), rest.utf8.count > 4 {
            let inner = String(rest.dropFirst(2).dropLast(2))
            if reserved.contains(inner) { return inner }
        }
        var out = ""
        scan: while !rest.isEmpty {
            if rest.hasPrefix("__") {
                for (escape, text) in escapes where rest.hasPrefix(escape) {
                    out += text
                    rest = rest.dropFirst(escape.count)
                    continue scan
                }
                return nil
            }
            out.append(rest.removeFirst())
        }
        return out
    }

    private static let escapes = [
        ("__underscores__", "__"), ("__dot__", "."), ("__dash__", "-"), ("__slash__", "/"),
    ]

    private static func isIdentifier(_ byte: UInt8) -> Bool {
        byte == 95 || (byte | 0x20 >= 97 && byte | 0x20 <= 122) || (byte >= 48 && byte <= 57)
    }
}
