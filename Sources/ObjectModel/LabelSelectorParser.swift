/// Reads the query-string grammar of label selectors.
///
/// requirements are separated by commas; each is `key`, `!key`, `key = value`, `key == value`, `key != value`,
/// `key in (a,b)`, `key notin (a,b)`, `key > 1` or `key < 1`. Spaces may stand between tokens.
struct LabelSelectorParser {
    private enum Token: Equatable {
        case end, open, close, comma, not, equal, doubleEqual, notEqual, greater, less
        case word(String)

        var text: String {
            switch self {
            case .end: ""
            case .open: "("
            case .close: ")"
            case .comma: ","
            case .not: "!"
            case .equal: "="
            case .doubleEqual: "=="
            case .notEqual: "!="
            case .greater: ">"
            case .less: "<"
            case .word(let text): text
            }
        }
    }

    private var tokens: [Token] = []
    private var position = 0

    init(_ text: String) {
        let bytes = Array(text.utf8)
        var index = 0
        func isSpecial(_ byte: UInt8) -> Bool { "=!(),<>".utf8.contains(byte) }
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (9...13).contains(byte) }
        while index < bytes.count {
            let byte = bytes[index]
            let isFollowedByEqual = index + 1 < bytes.count && bytes[index + 1] == UInt8(ascii: "=")
            index += 1
            switch byte {
            case _ where isSpace(byte): continue
            case UInt8(ascii: "("): tokens.append(.open)
            case UInt8(ascii: ")"): tokens.append(.close)
            case UInt8(ascii: ","): tokens.append(.comma)
            case UInt8(ascii: ">"): tokens.append(.greater)
            case UInt8(ascii: "<"): tokens.append(.less)
            case UInt8(ascii: "="):
                tokens.append(isFollowedByEqual ? .doubleEqual : .equal)
                if isFollowedByEqual { index += 1 }
            case UInt8(ascii: "!"):
                tokens.append(isFollowedByEqual ? .notEqual : .not)
                if isFollowedByEqual { index += 1 }
            default:
                let start = index - 1
                while index < bytes.count, !isSpecial(bytes[index]), !isSpace(bytes[index]) { index += 1 }
                tokens.append(.word(String(decoding: bytes[start..<index], as: UTF8.self)))
            }
        }
        tokens.append(.end)
    }

    private var next: Token { tokens[position] }

    private mutating func take() -> Token {
        defer { position = min(position + 1, tokens.count - 1) }
        return tokens[position]
    }

    mutating func parse() throws(SelectorError) -> [LabelSelector.Requirement] {
        var requirements: [LabelSelector.Requirement] = []
        if next == .end { return [] }
        while true {
            switch next {
            case .word, .not:
                do throws(SelectorError) {
                    requirements.append(try requirement())
                } catch {
                    throw SelectorError("unable to parse requirement: \(error)")
                }
                switch take() {
                case .end: return requirements.sorted { $0.key < $1.key }
                case .comma:
                    switch next {
                    case .word, .not: continue
                    default: throw SelectorError("found '\(next.text)', expected: identifier after ','")
                    }
                case let other: throw SelectorError("found '\(other.text)', expected: ',' or 'end of string'")
                }
            default: throw SelectorError("found '\(next.text)', expected: !, identifier, or 'end of string'")
            }
        }
    }

    private mutating func requirement() throws(SelectorError) -> LabelSelector.Requirement {
        var token = take()
        let isNegated = token == .not
        if isNegated { token = take() }
        guard case .word(let key) = token else { throw SelectorError("found '\(token.text)', expected: identifier") }
        if isNegated { return try LabelSelector.Requirement(checkedKey: key, op: .doesNotExist, values: []) }
        if next == .end || next == .comma {
            return try LabelSelector.Requirement(checkedKey: key, op: .exists, values: [])
        }
        let op = take()
        switch op {
        case .equal, .doubleEqual:
            return try LabelSelector.Requirement(checkedKey: key, op: .in, values: [try single()])
        case .notEqual:
            return try LabelSelector.Requirement(checkedKey: key, op: .notIn, values: [try single()])
        case .greater:
            return try LabelSelector.Requirement(checkedKey: key, op: .greaterThan, values: [try single()])
        case .less:
            return try LabelSelector.Requirement(checkedKey: key, op: .lessThan, values: [try single()])
        case .word("in"): return try LabelSelector.Requirement(checkedKey: key, op: .in, values: try list())
        case .word("notin"): return try LabelSelector.Requirement(checkedKey: key, op: .notIn, values: try list())
        default: throw SelectorError("found '\(op.text)', expected: in, notin, =, ==, gt, lt, !=")
        }
    }

    /// One value; nothing before a comma or the end reads as the empty value.
    private mutating func single() throws(SelectorError) -> String {
        switch next {
        case .end, .comma: return ""
        case .word(let value):
            position += 1
            return value
        default: throw SelectorError("found '\(next.text)', expected: identifier")
        }
    }

    private mutating func list() throws(SelectorError) -> [String] {
        let first = take()
        guard first == .open else { throw SelectorError("found '\(first.text)' expected: '('") }
        var values: Set<String> = []
        while true {
            switch take() {
            case .word(let value):
                values.insert(value)
                switch take() {
                case .close: return values.sorted()
                case .comma:
                    if next == .close { values.insert("") }
                    continue
                case let other: throw SelectorError("found '\(other.text)', expected: ',', or ')'")
                }
            case .comma: values.insert("")
            case .close:
                if values.isEmpty { values.insert("") }
                return values.sorted()
            case let other: throw SelectorError("found '\(other.text)', expected: ',', ')' or identifier")
            }
        }
    }
}

extension LabelSelector.Requirement {
    /// A requirement whose key, number of values and values are valid.
    init(checkedKey key: String, op: Operator, values: [String]) throws(SelectorError) {
        if let problem = Names.qualifiedNameProblems(key).first {
            throw SelectorError("key: Invalid value: \"\(key)\": \(problem)")
        }
        switch op {
        case .in, .notIn:
            if values.isEmpty {
                throw SelectorError("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty")
            }
        case .exists, .doesNotExist:
            if !values.isEmpty {
                throw SelectorError(
                    "values: Invalid value: [\(values.map { "\"\($0)\"" }.joined(separator: ","))]: "
                        + "values set must be empty for exists and does not exist")
            }
        case .greaterThan, .lessThan:
            if values.count != 1 {
                throw SelectorError(
                    "values: Invalid value: []: for 'Gt', 'Lt' operators, exactly one value is required")
            }
            if Int64(values[0]) == nil {
                throw SelectorError(
                    "values[0]: Invalid value: \"\(values[0])\": for 'Gt', 'Lt' operators, the value must be an integer"
                )
            }
        }
        for (index, value) in values.enumerated() {
            if let problem = Names.labelValueProblems(value).first {
                throw SelectorError("values[\(index)][\(key)]: Invalid value: \"\(value)\": \(problem)")
            }
        }
        self.init(key: key, op: op, values: values)
    }

    /// True when the labels fulfil this requirement. `notIn` also holds for labels without the key.
    public func matches(_ labels: [String: String]) -> Bool {
        let value = labels[key]
        switch op {
        case .in:
            guard let value else { return false }
            return values.contains(value)
        case .notIn:
            guard let value else { return true }
            return !values.contains(value)
        case .exists: return value != nil
        case .doesNotExist: return value == nil
        case .greaterThan, .lessThan:
            guard let left = value.flatMap({ Int64($0) }), let right = values.first.flatMap({ Int64($0) }) else {
                return false
            }
            return op == .greaterThan ? left > right : left < right
        }
    }
}

extension LabelSelector.Requirement: CustomStringConvertible {
    /// The requirement in the query-string grammar.
    public var description: String {
        switch op {
        case .in: values.count == 1 ? "\(key)=\(values[0])" : "\(key) in (\(values.joined(separator: ",")))"
        case .notIn: values.count == 1 ? "\(key)!=\(values[0])" : "\(key) notin (\(values.joined(separator: ",")))"
        case .exists: key
        case .doesNotExist: "!\(key)"
        case .greaterThan: "\(key)>\(values.first ?? "")"
        case .lessThan: "\(key)<\(values.first ?? "")"
        }
    }
}

/// Reads the query-string grammar of field selectors.
enum FieldSelectorParser {
    static func parse(_ text: String) throws(SelectorError) -> [FieldSelector.Requirement] {
        var requirements: [FieldSelector.Requirement] = []
        for term in terms(of: Array(text.utf8)) where !term.isEmpty {
            guard let (field, isEqual, value) = split(term) else {
                throw SelectorError(
                    "invalid selector: '\(text)'; can't understand '\(String(decoding: term, as: UTF8.self))'")
            }
            requirements.append(
                .init(field: String(decoding: field, as: UTF8.self), value: try unescape(value), isEqual: isEqual))
        }
        return requirements
    }

    static func escape(_ value: String) -> String {
        var out: [UInt8] = []
        for byte in value.utf8 {
            if byte == UInt8(ascii: "\\") || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "=") {
                out.append(UInt8(ascii: "\\"))
            }
            out.append(byte)
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func terms(of bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        var result: [ArraySlice<UInt8>] = []
        var start = 0
        var isEscaped = false
        for (index, byte) in bytes.enumerated() {
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: ",") {
                result.append(bytes[start..<index])
                start = index + 1
            }
        }
        result.append(bytes[start...])
        return result
    }

    private static func split(_ term: ArraySlice<UInt8>) -> (ArraySlice<UInt8>, Bool, ArraySlice<UInt8>)? {
        for index in term.indices {
            let follows = index + 1 < term.endIndex && term[index + 1] == UInt8(ascii: "=")
            if term[index] == UInt8(ascii: "!"), follows { return (term[..<index], false, term[(index + 2)...]) }
            if term[index] == UInt8(ascii: "=") {
                return (term[..<index], true, term[(follows ? index + 2 : index + 1)...])
            }
        }
        return nil
    }

    private static func unescape(_ value: ArraySlice<UInt8>) throws(SelectorError) -> String {
        var out: [UInt8] = []
        var isEscaped = false
        for byte in value {
            let isSpecial = byte == UInt8(ascii: "\\") || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "=")
            if isEscaped {
                guard isSpecial else {
                    let sequence = String(decoding: [UInt8(ascii: "\\"), byte], as: UTF8.self)
                    throw SelectorError("invalid field selector: invalid escape sequence: \(sequence)")
                }
                out.append(byte)
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if isSpecial {
                throw SelectorError(
                    "invalid field selector: unescaped character in value: \(Character(Unicode.Scalar(byte)))")
            } else {
                out.append(byte)
            }
        }
        if isEscaped { throw SelectorError("invalid field selector: invalid escape sequence: \\") }
        return String(decoding: out, as: UTF8.self)
    }
}
