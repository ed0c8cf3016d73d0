/// Splits source text into tokens (https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax).
struct Lexer {
    private let scalars: [Unicode.Scalar]
    private var position = 0

    init(_ scalars: [Unicode.Scalar]) { self.scalars = scalars }

    /// All tokens with `.end` last, and what could not be read.
    static func tokens(_ scalars: [Unicode.Scalar]) -> ([Token], [(offset: Int, message: String)]) {
        var lexer = Lexer(scalars)
        var tokens: [Token] = []
        var problems: [(Int, String)] = []
        while true {
            lexer.skipSpace()
            let start = lexer.position
            guard start < scalars.count else { break }
            if let kind = lexer.next() {
                tokens.append(Token(kind: kind, offset: start, text: lexer.text(start..<lexer.position)))
            } else {
                lexer.position = max(lexer.position, start + 1)
                // One report for a run of text that is no token.
                if problems.count < 100 {
                    problems.append(
                        (start, "Syntax error: token recognition error at: '\(lexer.text(start..<lexer.position))'"))
                }
            }
        }
        tokens.append(Token(kind: .end, offset: scalars.count, text: "<EOF>"))
        return (tokens, problems)
    }

    private func text(_ range: Range<Int>) -> String {
        var text = ""
        text.unicodeScalars.append(contentsOf: scalars[range])
        return text
    }
    private func at(_ index: Int) -> Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

    private mutating func skipSpace() {
        while let scalar = at(position) {
            switch scalar {
            case " ", "\t", "\n", "\r", "\u{0c}": position += 1
            case "/" where at(position + 1) == "/":
                while let scalar = at(position), scalar != "\n" { position += 1 }
            default: return
            }
        }
    }

    private static func isLetter(_ scalar: Unicode.Scalar?) -> Bool {
        switch scalar {
        case .some("a"..."z"), .some("A"..."Z"), .some("_"): true
        default: false
        }
    }
    private static func isDigit(_ scalar: Unicode.Scalar?) -> Bool {
        switch scalar {
        case .some("0"..."9"): true
        default: false
        }
    }
    private static func hex(_ scalar: Unicode.Scalar?) -> UInt32? {
        guard let scalar, scalar.isASCII else { return nil }
        return Character(scalar).hexDigitValue.map(UInt32.init)
    }

    private mutating func next() -> Token.Kind? {
        guard let scalar = at(position) else { return .end }
        if let string = readString() { return string }
        if Self.isLetter(scalar) {
            let start = position
            while Self.isLetter(at(position)) || Self.isDigit(at(position)) { position += 1 }
            let word = text(start..<position)
            if word.utf8.count <= 5, let symbol = Token.Symbol(rawValue: word) { return .symbol(symbol) }
            return .identifier(word)
        }
        if Self.isDigit(scalar) || scalar == "." && Self.isDigit(at(position + 1)) { return readNumber() }
        if scalar == "`" { return readQuotedIdentifier() }
        for length in [2, 1] where position + length <= scalars.count {
            if let symbol = Token.Symbol(rawValue: text(position..<position + length)) {
                position += length
                return .symbol(symbol)
            }
        }
        return nil
    }

    private mutating func readQuotedIdentifier() -> Token.Kind? {
        let start = position
        position += 1
        while let scalar = at(position), scalar != "`" {
            guard Self.isLetter(scalar) || Self.isDigit(scalar) || [".", "-", "/", " "].contains(scalar) else {
                return nil
            }
            position += 1
        }
        guard at(position) == "`", position > start + 1 else { return nil }
        position += 1
        return .quoted(text(start + 1..<position - 1))
    }

    private mutating func readNumber() -> Token.Kind {
        let start = position
        if at(position) == "0", at(position + 1) == "x", Self.hex(at(position + 2)) != nil {
            position += 2
            while Self.hex(at(position)) != nil { position += 1 }
            let digits = text(start + 2..<position)
            return integer(UInt64(digits, radix: 16))
        }
        while Self.isDigit(at(position)) { position += 1 }
        var isDouble = false
        if at(position) == ".", Self.isDigit(at(position + 1)) {
            isDouble = true
            position += 1
            while Self.isDigit(at(position)) { position += 1 }
        }
        if at(position) == "e" || at(position) == "E" {
            let signed = at(position + 1) == "+" || at(position + 1) == "-"
            if Self.isDigit(at(position + (signed ? 2 : 1))) {
                isDouble = true
                position += signed ? 2 : 1
                while Self.isDigit(at(position)) { position += 1 }
            }
        }
        let digits = text(start..<position)
        guard isDouble else { return integer(UInt64(digits)) }
        guard let value = Double(digits.hasPrefix(".") ? "0" + digits : digits), value.isFinite else {
            return .invalid("invalid double literal")
        }
        return .double(value)
    }

    private mutating func integer(_ value: UInt64?) -> Token.Kind {
        if at(position) == "u" || at(position) == "U" {
            position += 1
            return value.map(Token.Kind.uint) ?? .invalid("invalid uint literal")
        }
        return value.map(Token.Kind.int) ?? .invalid("invalid int literal")
    }

    // MARK: Strings

    private mutating func readString() -> Token.Kind? {
        var index = position
        var isRaw = false
        var isBytes = false
        while let scalar = at(index) {
            if (scalar == "r" || scalar == "R") && !isRaw {
                isRaw = true
            } else if (scalar == "b" || scalar == "B") && !isBytes {
                isBytes = true
            } else {
                break
            }
            index += 1
        }
        guard let quote = at(index), quote == "\"" || quote == "'" else { return nil }
        let isTriple = at(index + 1) == quote && at(index + 2) == quote
        index += isTriple ? 3 : 1
        var scalarsOut = String.UnicodeScalarView()
        var bytesOut: [UInt8] = []
        func put(_ scalar: Unicode.Scalar) {
            if isBytes {
                bytesOut.append(contentsOf: UTF8.encode(scalar) ?? .init())
            } else {
                scalarsOut.append(scalar)
            }
        }
        while true {
            guard let scalar = at(index) else { return nil }
            if scalar == quote, !isTriple || at(index + 1) == quote && at(index + 2) == quote {
                index += isTriple ? 3 : 1
                break
            }
            if !isTriple, scalar == "\n" || scalar == "\r" { return nil }
            if scalar == "\\", !isRaw {
                guard let escape = readEscape(at: index + 1, isBytes: isBytes) else { return nil }
                index += 1 + escape.length
                if escape.isByte, isBytes {
                    bytesOut.append(UInt8(truncatingIfNeeded: escape.value))
                } else {
                    guard let scalar = Unicode.Scalar(escape.value) else { return nil }
                    put(scalar)
                }
            } else {
                put(scalar)
                index += 1
            }
        }
        position = index
        if isBytes { return .bytes(bytesOut) }
        return .string(String(scalarsOut))
    }

    private func readEscape(at index: Int, isBytes: Bool) -> (value: UInt32, length: Int, isByte: Bool)? {
        guard let scalar = at(index) else { return nil }
        func digits(_ count: Int) -> UInt32? {
            var value: UInt32 = 0
            for offset in 1...count {
                guard let digit = Self.hex(at(index + offset)) else { return nil }
                value = value << 4 | digit
            }
            return value
        }
        switch scalar {
        case "a": return (7, 1, false)
        case "b": return (8, 1, false)
        case "f": return (12, 1, false)
        case "n": return (10, 1, false)
        case "r": return (13, 1, false)
        case "t": return (9, 1, false)
        case "v": return (11, 1, false)
        case "\\", "?", "\"", "'", "`": return (scalar.value, 1, false)
        case "x", "X": return digits(2).map { ($0, 3, true) }
        case "u": return isBytes ? nil : digits(4).map { ($0, 5, false) }
        case "U": return isBytes ? nil : digits(8).map { ($0, 9, false) }
        case "0"..."3":
            var value = scalar.value - 48
            for offset in 1...2 {
                guard let digit = at(index + offset), digit >= "0", digit <= "7" else { return nil }
                value = value << 3 | (digit.value - 48)
            }
            return (value, 3, true)
        default: return nil
        }
    }
}
