/// Reads an expression by recursive descent. Nesting and length are bounded, so that no text overflows the stack of
/// what walks the tree later.
struct Parser {
    /// Code points of an expression; as upstream.
    static let maximumLength = 100_000
    /// Levels of the tree and of nesting in the text.
    static let maximumDepth = 250
    /// Nodes of the tree, after macros.
    static let maximumNodes = 200_000

    let tokens: [Token]
    let libraries: CELLibraries
    private var position = 0
    private var nesting = 0
    private(set) var nodeCount = 0

    /// The first thing that is wrong; parsing ends there.
    struct Failure: Error {
        var offset: Int
        var message: String
    }

    init(_ tokens: [Token], _ libraries: CELLibraries) {
        self.tokens = tokens
        self.libraries = libraries
    }

    mutating func parse() throws(Failure) -> Expression {
        let expression = try parseConditional()
        guard case .end = current.kind else {
            throw unexpected("mismatched input", expecting: "<EOF>")
        }
        return expression
    }

    // MARK: Tokens

    private var current: Token { tokens[position] }
    private func isAt(_ symbol: Token.Symbol) -> Bool { current.kind == .symbol(symbol) }
    private mutating func accept(_ symbol: Token.Symbol) -> Bool {
        guard isAt(symbol) else { return false }
        position += 1
        return true
    }
    private mutating func expect(_ symbol: Token.Symbol) throws(Failure) {
        guard accept(symbol) else { throw unexpected("missing", symbol: symbol) }
    }
    private func unexpected(_ what: String, expecting: String) -> Failure {
        Failure(offset: current.offset, message: "Syntax error: \(what) '\(current.text)' expecting \(expecting)")
    }
    private func unexpected(_ what: String, symbol: Token.Symbol) -> Failure {
        if case .end = current.kind { return unexpected("mismatched input", expecting: "'\(symbol.rawValue)'") }
        return Failure(
            offset: current.offset, message: "Syntax error: \(what) '\(symbol.rawValue)' at '\(current.text)'")
    }
    private static let operands =
        "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"

    mutating func make(_ offset: Int, _ kind: Expression.Kind) throws(Failure) -> Expression {
        let expression = Expression(nodeCount, offset, kind)
        nodeCount += 1
        if expression.depth > Self.maximumDepth {
            throw Failure(offset: offset, message: "expression recursion limit exceeded: \(Self.maximumDepth)")
        }
        if nodeCount > Self.maximumNodes {
            throw Failure(offset: offset, message: "expression has more than \(Self.maximumNodes) nodes")
        }
        return expression
    }
    mutating func makeCall(_ offset: Int, _ name: String, _ arguments: [Expression]) throws(Failure) -> Expression {
        try make(offset, .call(name, target: nil, arguments: arguments))
    }

    // MARK: Operators

    private mutating func parseConditional() throws(Failure) -> Expression {
        nesting += 1
        defer { nesting -= 1 }
        if nesting > Self.maximumDepth {
            throw Failure(
                offset: current.offset, message: "expression recursion limit exceeded: \(Self.maximumDepth)")
        }
        let condition = try parseLogical(.conditionalOr)
        guard isAt(.question) else { return condition }
        let offset = current.offset
        position += 1
        let yes = try parseLogical(.conditionalOr)
        guard accept(.colon) else { throw unexpected("mismatched input", expecting: "':'") }
        let no = try parseConditional()
        return try makeCall(offset, Operator.conditional, [condition, yes, no])
    }

    /// A chain of `||` or `&&` is one call with all its terms: long chains make no deep trees.
    private mutating func parseLogical(_ symbol: Token.Symbol) throws(Failure) -> Expression {
        let isOr = symbol == .conditionalOr
        var terms = [isOr ? try parseLogical(.conditionalAnd) : try parseRelation()]
        var offset = current.offset
        while isAt(symbol) {
            offset = current.offset
            position += 1
            terms.append(isOr ? try parseLogical(.conditionalAnd) : try parseRelation())
        }
        return terms.count == 1 ? terms[0] : try makeCall(offset, isOr ? Operator.or : Operator.and, terms)
    }

    private mutating func parseRelation() throws(Failure) -> Expression {
        var left = try parseSum()
        while case .symbol(let symbol) = current.kind, let name = Self.relations[symbol] {
            let offset = current.offset
            position += 1
            left = try makeCall(offset, name, [left, try parseSum()])
        }
        return left
    }
    private static let relations: [Token.Symbol: String] = [
        .less: Operator.less, .lessOrEqual: Operator.lessOrEqual, .greater: Operator.greater,
        .greaterOrEqual: Operator.greaterOrEqual, .equals: Operator.equals, .notEquals: Operator.notEquals,
        .contained: Operator.contained,
    ]

    private mutating func parseSum() throws(Failure) -> Expression {
        var left = try parseProduct()
        while isAt(.plus) || isAt(.minus) {
            let name = isAt(.plus) ? Operator.add : Operator.subtract
            let offset = current.offset
            position += 1
            left = try makeCall(offset, name, [left, try parseProduct()])
        }
        return left
    }

    private mutating func parseProduct() throws(Failure) -> Expression {
        var left = try parseUnary()
        while isAt(.star) || isAt(.slash) || isAt(.percent) {
            let name = isAt(.star) ? Operator.multiply : isAt(.slash) ? Operator.divide : Operator.modulo
            let offset = current.offset
            position += 1
            left = try makeCall(offset, name, [left, try parseUnary()])
        }
        return left
    }

    private mutating func parseUnary() throws(Failure) -> Expression {
        guard isAt(.exclamation) || isAt(.minus) else { return try parseMember(negative: false, at: current.offset) }
        let symbol: Token.Symbol = isAt(.minus) ? .minus : .exclamation
        let offset = current.offset
        var count = 0
        while accept(symbol) { count += 1 }
        if symbol == .minus, isNumber(current.kind) {
            // The sign belongs to the number: only so can the least int be written.
            let operand = try parseMember(negative: true, at: offset)
            return count % 2 == 0 ? try makeCall(offset, Operator.negate, [operand]) : operand
        }
        let operand = try parseMember(negative: false, at: current.offset)
        return count % 2 == 0
            ? operand : try makeCall(offset, symbol == .minus ? Operator.negate : Operator.not, [operand])
    }

    private func isNumber(_ kind: Token.Kind) -> Bool {
        switch kind {
        case .int, .double: true
        default: false
        }
    }

    // MARK: Members and operands

    private mutating func parseMember(negative: Bool, at start: Int) throws(Failure) -> Expression {
        var operand = try parseOperand(negative: negative, at: start)
        while true {
            let offset = current.offset
            if accept(.dot) {
                if accept(.question) {
                    let name = try parseFieldName()
                    let field = try make(current.offset, .literal(.string(name)))
                    operand = try makeCall(offset, Operator.optionalSelect, [operand, field])
                    continue
                }
                let isQuoted = if case .quoted = current.kind { true } else { false }
                let name = try parseFieldName()
                if isAt(.openParenthesis), !isQuoted {
                    let open = current.offset
                    position += 1
                    let arguments = try parseArguments(.closeParenthesis)
                    operand = try makeMemberCall(open, name, operand, arguments)
                } else {
                    operand = try make(offset, .select(operand, field: name, isTest: false))
                }
            } else if accept(.openBracket) {
                let isOptional = accept(.question)
                let index = try parseConditional()
                try expect(.closeBracket)
                operand = try makeCall(offset, isOptional ? Operator.optionalIndex : Operator.index, [operand, index])
            } else if isAt(.openBrace), let name = qualifiedName(operand) {
                operand = try parseStructure(name)
            } else {
                return operand
            }
        }
    }

    private mutating func parseFieldName() throws(Failure) -> String {
        switch current.kind {
        case .identifier(let name):
            position += 1
            return name
        case .quoted(let name) where libraries.contains(.extensions):
            position += 1
            return name
        case .quoted: throw Failure(offset: current.offset, message: "unsupported syntax: '`'")
        default:
            throw unexpected(
                current.kind == .end ? "no viable alternative at input" : "mismatched input", expecting: "IDENTIFIER")
        }
    }

    /// `a.b.c` or `.a.b`; nil for anything else.
    func qualifiedName(_ expression: Expression) -> String? {
        switch expression.kind {
        case .identifier(let name): name
        case .select(let operand, let field, false): qualifiedName(operand).map { "\($0).\(field)" }
        default: nil
        }
    }

    private mutating func parseArguments(_ close: Token.Symbol) throws(Failure) -> [Expression] {
        var arguments: [Expression] = []
        if accept(close) { return arguments }
        repeat {
            arguments.append(try parseConditional())
        } while accept(.comma)
        guard accept(close) else { throw unexpected("mismatched input", expecting: "'\(close.rawValue)'") }
        return arguments
    }

    private static let reserved: Set<String> = [
        "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
        "namespace", "return", "var", "void", "while",
    ]

    private mutating func parseOperand(negative: Bool, at start: Int) throws(Failure) -> Expression {
        let token = current
        switch token.kind {
        case .symbol(.openParenthesis):
            position += 1
            let inner = try parseConditional()
            guard accept(.closeParenthesis) else { throw unexpected("mismatched input", expecting: "')'") }
            return inner
        case .symbol(.openBracket):
            position += 1
            return try parseList(token.offset)
        case .symbol(.openBrace):
            position += 1
            return try parseMap(token.offset)
        case .symbol(.dot):
            position += 1
            guard case .identifier(let name) = current.kind else {
                throw unexpected("mismatched input", expecting: "IDENTIFIER")
            }
            return try parseName("." + name, current.offset)
        case .identifier(let name):
            if Self.reserved.contains(name) {
                throw Failure(offset: token.offset, message: "reserved identifier: \(name)")
            }
            return try parseName(name, token.offset)
        default:
            let value = try literal(token, negative)
            position += 1
            return try make(start, .literal(value))
        }
    }

    private func literal(_ token: Token, _ negative: Bool) throws(Failure) -> CELValue {
        switch token.kind {
        case .symbol(.true_): return .bool(true)
        case .symbol(.false_): return .bool(false)
        case .symbol(.null): return .null
        case .int(let value):
            if negative, value == UInt64(Int64.max) + 1 { return .int(.min) }
            guard let int = Int64(exactly: value) else {
                throw Failure(offset: token.offset, message: "invalid int literal")
            }
            return .int(negative ? -int : int)
        case .uint(let value): return .uint(value)
        case .double(let value): return .double(negative ? -value : value)
        case .string(let value): return .string(value)
        case .bytes(let value): return .bytes(value)
        case .invalid(let message): throw Failure(offset: token.offset, message: message)
        case .quoted: throw Failure(offset: token.offset, message: "unsupported syntax: '`'")
        default:
            throw Failure(
                offset: token.offset,
                message: "Syntax error: mismatched input '\(token.text)' expecting \(Self.operands)")
        }
    }

    private mutating func parseName(_ name: String, _ offset: Int) throws(Failure) -> Expression {
        position += 1
        guard isAt(.openParenthesis) else { return try make(offset, .identifier(name)) }
        let open = current.offset
        position += 1
        let arguments = try parseArguments(.closeParenthesis)
        if let expanded = try expandGlobal(open, name, arguments) { return expanded }
        return try makeCall(open, name, arguments)
    }

    private mutating func makeMemberCall(
        _ offset: Int, _ name: String, _ target: Expression, _ arguments: [Expression]
    ) throws(Failure) -> Expression {
        if let expanded = try expandMember(offset, name, target, arguments) { return expanded }
        return try make(offset, .call(name, target: target, arguments: arguments))
    }

    private mutating func parseList(_ offset: Int) throws(Failure) -> Expression {
        var elements: [Expression] = []
        var optional: Set<Int> = []
        while !isAt(.closeBracket) {
            if accept(.question) { optional.insert(elements.count) }
            elements.append(try parseConditional())
            if !accept(.comma) { break }
        }
        guard accept(.closeBracket) else { throw unexpected("mismatched input", expecting: "']'") }
        return try make(offset, .list(elements, optional: optional))
    }

    private mutating func parseMap(_ offset: Int) throws(Failure) -> Expression {
        var entries: [Expression.Entry] = []
        while !isAt(.closeBrace) {
            let isOptional = accept(.question)
            let key = try parseConditional()
            guard accept(.colon) else { throw unexpected("mismatched input", expecting: "':'") }
            entries.append(.init(key: key, value: try parseConditional(), isOptional: isOptional))
            if !accept(.comma) { break }
        }
        guard accept(.closeBrace) else { throw unexpected("mismatched input", expecting: "'}'") }
        return try make(offset, .map(entries))
    }

    private mutating func parseStructure(_ name: String) throws(Failure) -> Expression {
        let offset = current.offset
        position += 1
        var members: [Expression.Member] = []
        while !isAt(.closeBrace) {
            let isOptional = accept(.question)
            let field = try parseFieldName()
            let colon = current.offset
            guard accept(.colon) else { throw unexpected("mismatched input", expecting: "':'") }
            let value = try parseConditional()
            members.append(.init(name: field, offset: colon, value: value, isOptional: isOptional))
            if !accept(.comma) { break }
        }
        guard accept(.closeBrace) else { throw unexpected("mismatched input", expecting: "'}'") }
        return try make(offset, .structure(name, members))
    }
}
