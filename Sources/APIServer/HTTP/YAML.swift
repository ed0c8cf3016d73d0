import JSON
import NIOCore
import Yams

/// YAML in request bodies and answers: the JSON data model in YAML clothes.
///
/// Plain scalars are read as Kubernetes does: YAML 1.1 booleans and numbers. Aliases are bounded, because a few hundred
/// bytes of nested ones stand for gigabytes.
enum YAML {
    struct Problem: Error, CustomStringConvertible {
        let description: String
    }

    static let maximumNodes = 2_000_000
    static let maximumDepth = 512
    static let maximumAliases = 32

    static func parse(_ body: ByteBuffer) throws -> JSON {
        guard let text = String(validating: body.readableBytesView, as: UTF8.self) else {
            throw Problem(description: "the text is not UTF-8")
        }
        guard aliasCount(body.readableBytesView) <= maximumAliases else {
            throw Problem(description: "more than \(maximumAliases) aliases")
        }
        let root: Node?
        do {
            // Only the first document counts.
            root = try Parser(yaml: text).nextRoot()
        } catch {
            throw Problem(description: describe(error, in: text))
        }
        guard let root else { return .null }
        var budget = maximumNodes
        return try convert(root, depth: 0, &budget)
    }

    private static func describe(_ error: any Error, in text: String) -> String {
        guard let error = error as? YamlError else { return "\(error)" }
        switch error {
        case .duplicatedKeysInMapping(let names, let context):
            return names.map { name in
                let line = secondLine(of: name, from: context.mark.line, in: text)
                return "line \(line): key \"\(name)\" already set in map"
            }.joined(separator: ", ")
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return "line \(mark.line): \(problem)"
        default:
            return "the text is not valid YAML"
        }
    }

    /// The line on which a key stands for the second time, at the same depth; the library tells only where it stood first.
    private static func secondLine(of key: String, from first: Int, in text: String) -> Int {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        var column: Int?
        for (index, line) in lines.enumerated().dropFirst(max(first - 1, 0)) {
            let rest = line.drop { $0 == " " || $0 == "-" }
            let name = rest.prefix { $0 != ":" }.filter { $0 != "\"" && $0 != "'" }
            guard name == key, rest.count > name.count else { continue }
            let depth = line.count - rest.count
            guard let known = column else {
                column = depth
                continue
            }
            if depth == known { return index + 1 }
        }
        return first
    }

    /// Counts what looks like an alias (`*name` where a value may stand), when there are anchors at all.
    private static func aliasCount(_ bytes: ByteBufferView) -> Int {
        var previous = UInt8(ascii: "\n")
        var pending: UInt8 = 0
        var aliases = 0
        var anchors = 0
        for byte in bytes {
            if pending != 0, byte > 0x20, byte != UInt8(ascii: "*"), byte != UInt8(ascii: "&") {
                if pending == UInt8(ascii: "*") { aliases += 1 } else { anchors += 1 }
            }
            let mayStart = previous <= 0x20 || [0x5B, 0x7B, 0x2C, 0x3A, 0x2D, 0x3F].contains(previous)
            pending = mayStart && (byte == UInt8(ascii: "*") || byte == UInt8(ascii: "&")) ? byte : 0
            previous = byte
        }
        return anchors == 0 ? 0 : aliases
    }

    private static func convert(_ node: Node, depth: Int, _ budget: inout Int) throws -> JSON {
        budget -= 1
        guard budget > 0 else { throw Problem(description: "more than \(maximumNodes) values") }
        guard depth < maximumDepth else { throw Problem(description: "nested deeper than \(maximumDepth) levels") }
        switch node {
        case .scalar(let scalar):
            return value(of: scalar)
        case .sequence(let sequence):
            var elements: [JSON] = []
            elements.reserveCapacity(sequence.count)
            for element in sequence { elements.append(try convert(element, depth: depth + 1, &budget)) }
            return .array(elements)
        case .mapping(let mapping):
            var members = JSONObject(minimumCapacity: mapping.count)
            for (key, element) in mapping {
                guard let name = key.scalar?.string else { throw Problem(description: "a key is not a string") }
                members[name] = try convert(element, depth: depth + 1, &budget)
            }
            return .object(members)
        default:
            throw Problem(description: "an alias stands for nothing")
        }
    }

    private static func value(of scalar: Node.Scalar) -> JSON {
        let text = scalar.string
        guard scalar.style == .plain || scalar.style == .any else { return .string(text) }
        if scalar.tag.description.hasSuffix(":str") { return .string(text) }
        return plainValue(text)
    }

    /// The value of an unquoted scalar.
    static func plainValue(_ text: String) -> JSON {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y": return .bool(true)
        case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N": return .bool(false)
        default: return number(text) ?? .string(text)
        }
    }

    private static func number(_ text: String) -> JSON? {
        guard let first = text.utf8.first,
            first == 0x2D || first == 0x2B || first == 0x2E || (0x30...0x39).contains(first)
        else { return nil }
        let isNegative = first == 0x2D
        let digits = (isNegative || first == 0x2B ? text.dropFirst() : Substring(text)).filter { $0 != "_" }
        let sign = isNegative ? "-" : ""
        if digits.hasPrefix("0x") { return Int64(sign + digits.dropFirst(2), radix: 16).map(JSON.integer) }
        if digits.hasPrefix("0o") { return Int64(sign + digits.dropFirst(2), radix: 8).map(JSON.integer) }
        if digits.hasPrefix("0b") { return Int64(sign + digits.dropFirst(2), radix: 2).map(JSON.integer) }
        if digits.utf8.count > 1, digits.hasPrefix("0"), digits.utf8.allSatisfy({ (0x30...0x37).contains($0) }) {
            return Int64(sign + digits, radix: 8).map(JSON.integer)
        }
        if let integer = Int64(sign + digits) { return .integer(integer) }
        guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) || [0x2E, 0x65, 0x45, 0x2B, 0x2D].contains($0) }),
            let double = Double(sign + digits), double.isFinite
        else { return nil }
        // Printed anew, because JSON does not know forms such as `1.` and `.5`.
        return .number(JSONNumber(text: "\(double)"))
    }

    // MARK: Writing

    /// Block style with quoted strings, which every YAML reader reads the same way.
    static func encode(_ value: JSON) -> [UInt8] {
        var out: [UInt8] = []
        write(value, indent: 0, isInline: false, &out)
        return out
    }

    private static func write(_ value: JSON, indent: Int, isInline: Bool, _ out: inout [UInt8]) {
        let margin = [UInt8](repeating: 0x20, count: indent)
        switch value {
        case .object(let members) where !members.isEmpty:
            var isFirst = isInline
            for (key, element) in members {
                if !isFirst { out += margin }
                isFirst = false
                writeKey(key, &out)
                writeNested(element, indent: indent + 2, &out)
            }
        case .array(let elements) where !elements.isEmpty:
            var isFirst = isInline
            for element in elements {
                if !isFirst { out += margin }
                isFirst = false
                out += Array("- ".utf8)
                if isBlock(element) {
                    write(element, indent: indent + 2, isInline: true, &out)
                } else {
                    element.encode(into: &out)
                    out.append(0x0A)
                }
            }
        default:
            value.encode(into: &out)
            out.append(0x0A)
        }
    }

    private static func writeNested(_ value: JSON, indent: Int, _ out: inout [UInt8]) {
        guard isBlock(value) else {
            out.append(0x20)
            value.encode(into: &out)
            out.append(0x0A)
            return
        }
        out.append(0x0A)
        write(value, indent: indent, isInline: false, &out)
    }

    private static func isBlock(_ value: JSON) -> Bool {
        switch value {
        case .object(let members): !members.isEmpty
        case .array(let elements): !elements.isEmpty
        default: false
        }
    }

    private static func writeKey(_ key: String, _ out: inout [UInt8]) {
        let isPlain =
            plainValue(key) == .string(key)
            && key.utf8.allSatisfy {
                (0x61...0x7A).contains($0) || (0x41...0x5A).contains($0) || (0x30...0x39).contains($0)
                    || [0x2E, 0x2F, 0x5F].contains($0)
            }
        if isPlain { out += Array(key.utf8) } else { JSON.string(key).encode(into: &out) }
        out.append(0x3A)
    }
}
